//! The agent does not hear of everything: its buffer runs over, or it was stopped, or the host slept.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, A2, Host};

/// Addresses that come while the agent is stopped.
const ADDRESSES: u32 = 500;

pub(super) fn overrun(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.ip(["link add d0 type dummy", "link set d0 up"])?;
    stage.start_daemon("receive_buffer = 4096", "[[interface]]\nname = \"d0\"\nrole = \"never\"")?;
    stage.talk()?;
    let before = stage.status().context("no answer")?.network;
    stage.daemon()?.signal(Signal::SIGSTOP);
    let from = clock::now();
    stage.ip((0..ADDRESSES).map(|n| format!("addr add 10.77.{}.{}/32 dev d0", n / 250, n % 250 + 1)))?;
    stage.network.down(Host::A, &[A1])?;
    stage.network.up(Host::A, &[A2])?;
    stage.daemon()?.signal(Signal::SIGCONT);
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let after = stage.status().context("no answer")?.network;
    ensure!(after.overruns > before.overruns, "nothing ran over: {after:?}");
    let looks = after.resyncs - before.resyncs;
    ensure!((1..=3).contains(&looks), "everything was looked at {looks} times");
    let record = stage.finish()?;
    Ok(format!("{looks} looks at everything after an overrun; the pause was {:.0} ms", gap(&record, from)))
}

pub(super) fn stopped(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    let before = stage.status().context("no answer")?.network;
    stage.daemon()?.signal(Signal::SIGSTOP);
    let from = clock::now();
    stage.network.down(Host::A, &[A1])?;
    stage.network.up(Host::A, &[A2])?;
    clock::pass(Duration::from_secs(5))?;
    stage.daemon()?.signal(Signal::SIGCONT);
    let woken = clock::now();
    stage.until_flows()?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until("the agent to say that it was stopped", |stage| {
        let said = stage.told("agent", from);
        said.iter().any(|what| what.contains("nothing was done for")).then_some(())
    })?;
    let after = stage.status().context("no answer")?.network;
    ensure!(after.resyncs > before.resyncs, "not everything was looked at again: {after:?}");
    let record = stage.finish()?;
    Ok(format!("it went on {:.0} ms after the agent did", gap(&record, woken)))
}
