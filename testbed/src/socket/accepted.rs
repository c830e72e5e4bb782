//! A listener with hundreds of accepted associations.

use anyhow::{Context, Result, ensure};
use sctp_sys::Family::V4;

use super::kinds::OUTAGE;
use super::talk::{Pair, finish, until_all_flow, until_all_up, until_b_sees, until_settled};
use crate::clock;
use crate::network::Stage;
use crate::result::Agent;
use crate::topology::{A1, A2, B1, Host};

/// So many.
const ASSOCIATIONS: u16 = 300;

pub(super) fn hundreds(stage: &mut Stage) -> Result<String> {
    let (a1, a2, b1) = (A1.address(V4), A2.address(V4), B1.address(V4));
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    let mut pair = Pair::of("hundreds", 7000, &[a1], &[b1]).served_by_a(ASSOCIATIONS, a1);
    // What is measured is not how many messages an emulated processor can send.
    pair.interval = 1000;
    let mut talks = vec![pair.start(stage)?];
    until_all_up(stage, &mut talks)?;
    until_settled(stage, &talks, &[])?;
    let begin = clock::now();
    stage.note("the host moves");
    stage.network.down(Host::A, &[A1])?;
    clock::pass(OUTAGE)?;
    stage.network.up(Host::A, &[A2])?;
    let up = clock::now();
    // So many at once are slow on an emulated processor.
    until_all_up(stage, &mut talks)?;
    let flowed = clock::ms_between(up, clock::now());
    until_b_sees(stage, &talks, &[a2])?;
    let all = clock::ms_between(up, clock::now());
    // The listener is where the host is.
    let late = Pair::of("a late one", 7000, &[a2], &[b1]).served_by_a(1, a2);
    let mut late = Pair { first: ASSOCIATIONS + 1, ..late }.start_clients(stage, None, &[])?;
    until_all_flow(stage, std::slice::from_mut(&mut late))?;
    until_settled(stage, &talks, &[])?;
    if stage.agent == Agent::Roam {
        let reports = stage.associations().context("no answer")?;
        ensure!(reports.len() > usize::from(ASSOCIATIONS), "the agent tells of {} only", reports.len());
    }
    finish(vec![late], begin)?;
    let silence = finish(talks, begin)?;
    stage.stop_daemon()?;
    Ok(format!(
        "{ASSOCIATIONS} of {ASSOCIATIONS} lived: all had moved {all:.0} ms after the address came, and messages had come \
         back in all within {flowed:.0} ms (one a second in each); the longest silence {silence:.0} ms; a new one found \
         the listener"
    ))
}
