//! A listener with hundreds of accepted associations.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sctp_sys::Family::V4;

use super::kinds::OUTAGE;
use super::talk::{Pair, finish, until_a_listens, until_all_flow, until_all_up, until_b_sees, until_settled};
use crate::clock;
use crate::network::Stage;
use crate::result::Agent;
use crate::topology::{A1, A2, B1, Host};

/// So many.
const ASSOCIATIONS: u16 = 300;
/// Where a server listens that begins when all are there.
const LATE: u16 = 7600;
/// The listeners are moved before the associations. New ones are looked for every 250 ms.
const NOTICED: Duration = Duration::from_secs(2);

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
    // Where there are many associations all are looked at rarely, and a new listener is noticed all the same.
    let begun_late = Pair::of("a late server", LATE, &[a1], &[b1]).served_by_a(1, a2);
    let server = begun_late.serve(stage, None, &[])?;
    let begin = clock::now();
    stage.note("the host moves");
    stage.network.down(Host::A, &[A1])?;
    clock::pass(OUTAGE)?;
    stage.network.up(Host::A, &[A2])?;
    let up = clock::now();
    until_a_listens(stage, &[7000, LATE], a2, NOTICED)?;
    let listened = clock::ms_between(up, clock::now());
    // So many at once are slow on an emulated processor.
    until_all_up(stage, &mut talks)?;
    let flowed = clock::ms_between(up, clock::now());
    until_b_sees(stage, &talks, &[a2])?;
    let all = clock::ms_between(up, clock::now());
    // And so are the listeners.
    let late = Pair::of("a late one", 7000, &[a2], &[b1]).served_by_a(1, a2);
    let late = Pair { first: ASSOCIATIONS + 1, ..late }.start_clients(stage, None, &[])?;
    let mut at_late = begun_late.start_clients(stage, None, &[])?;
    at_late.server = Some(server);
    let mut late = vec![late, at_late];
    until_all_flow(stage, &mut late)?;
    until_settled(stage, &talks, &[])?;
    if stage.agent == Agent::Roam {
        let reports = stage.associations().context("no answer")?;
        ensure!(reports.len() > usize::from(ASSOCIATIONS), "the agent tells of {} only", reports.len());
    }
    finish(late, begin)?;
    let silence = finish(talks, begin)?;
    stage.stop_daemon()?;
    Ok(format!(
        "{ASSOCIATIONS} of {ASSOCIATIONS} lived: all had moved {all:.0} ms after the address came, and messages had come \
         back in all within {flowed:.0} ms (one a second in each); the longest silence {silence:.0} ms; the listeners, one \
         of which had begun among so many, had moved within {listened:.0} ms, and new ones found them"
    ))
}
