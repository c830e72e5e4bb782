//! Programs that start, end, fork and pass their sockets on in the midst of things.

use std::process::Command;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use sctp_sys::Family::V4;

use super::kinds::{MANY, OUTAGE};
use super::talk::{Pair, finish, until_all_flow, until_all_up, until_b_sees, until_settled};
use crate::clock;
use crate::network::Stage;
use crate::topology::{A1, A2, B1, Host};

pub(super) fn in_the_midst(stage: &mut Stage) -> Result<String> {
    let (a1, a2, b1) = (A1.address(V4), A2.address(V4), B1.address(V4));
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    let heir_at = stage.path("heir");
    let mut heir = Command::new(std::env::current_exe()?);
    heir.args(["traffic", "heir", "--at"]).arg(&heir_at);
    let mut heir = stage.start(Host::A, "heir", &mut heir)?;
    let heir_words = ["--heir", &heir_at.display().to_string()].map(str::to_owned);
    let served = |name, port, count| Pair::of(name, port, &[a1], &[b1]).served_by_a(count, a1);
    let mut passed_on = served("passed on", 7000, 3);
    passed_on.server_with.extend(heir_words);
    let mut talks = vec![
        passed_on.start(stage)?,
        served("inherited", 7010, 2).server_with(&MANY).start(stage)?,
        served("inherited, later", 7020, 2).server_with(&MANY).start(stage)?,
        Pair::of("a bystander", 7030, &[a1], &[b1]).start(stage)?,
    ];
    let ends = Pair::of("ends", 7040, &[a1], &[b1]).start(stage)?;
    let ended_by = Pair::of("killed", 7050, &[a1], &[b1]).start(stage)?;
    until_all_up(stage, &mut talks)?;
    until_settled(stage, &talks, &[])?;

    stage.note("a program starts a child that goes on with its sockets, and is killed");
    let fork = |talk: &mut super::talk::Talk| -> Result<()> {
        let server = talk.server.as_mut().context("no server")?;
        server.signal(Signal::SIGUSR2);
        clock::until("the child", super::talk::PATIENCE, || {
            server.output().contains("goes on").then_some(())
        })?;
        Ok(())
    };
    fork(&mut talks[1])?;
    fork(&mut talks[2])?;
    until_all_flow(stage, &mut talks)?;
    talks[1].server = None;

    let begin = clock::now();
    stage.note("the host is offline, one program passes its sockets on, others end");
    stage.network.down(Host::A, &[A1])?;
    clock::pass(OUTAGE / 2)?;
    let server = talks[0].server.as_mut().context("no server")?;
    server.signal(Signal::SIGUSR1);
    server.wait(super::talk::PATIENCE)?;
    talks[0].server = None;
    clock::until("the heir", super::talk::PATIENCE, || heir.output().contains("goes on").then_some(()))?;
    // Its child has the socket, and nobody has told the agent.
    talks[2].server = None;
    // One that is killed takes its association with it; the other one's says farewell when it can.
    drop(ended_by);
    let mut ends = ends;
    ends.client.signal(Signal::SIGTERM);
    clock::pass(OUTAGE / 2)?;
    stage.network.up(Host::A, &[A2])?;
    talks.push(Pair::of("a new one", 7060, &[a2], &[b1]).start(stage)?);
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, &talks, &[a2])?;
    until_settled(stage, &talks, &[])?;
    finish(vec![ends], begin)?;

    stage.note("the host moves once more");
    stage.network.up(Host::A, &[A1])?;
    until_settled(stage, &talks, &[a1])?;
    stage.network.down(Host::A, &[A2])?;
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, &talks, &[a1])?;
    let silence = finish(talks, begin)?;
    heir.stop(super::talk::PATIENCE);
    stage.stop_daemon()?;
    let overhead = silence - OUTAGE.as_secs_f64() * 1000.0;
    Ok(format!("sockets that were passed on or inherited moved, twice; overhead at most {overhead:.0} ms"))
}
