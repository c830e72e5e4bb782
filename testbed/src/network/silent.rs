//! Networks that swallow packets while everything on this host looks as it should.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, A2, Host};

/// How long an association that works is watched while nothing may happen to it.
const WATCHED: Duration = Duration::from_millis(2500);

pub(super) fn from_the_start(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    stage.swallow(&["ra2"])?;
    let begin = clock::now();
    stage.network.up(Host::A, &[A2])?;
    stage.until_usable("10.2.0.2")?;
    clock::pass(WATCHED)?;
    stage.until_flows()?;
    let said = stage.asconfs(begin);
    ensure!(said.is_empty(), "the peer was told of an address that nobody answers at: {said:?}");
    stage.note("the network lets packets through");
    stage.swallow(&[])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    let pause = gap(&record, begin);
    ensure!(pause < 1000.0, "the association paused for {pause:.0} ms");
    Ok(format!("it moved when the new network answered, and not before; the longest pause was {pause:.0} ms"))
}

pub(super) fn later(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    let begin = clock::now();
    stage.swallow(&["ra1"])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let moved = clock::now();
    stage.note("the first network works again");
    stage.swallow(&[])?;
    stage.until_at(&["10.1.0.2"])?;
    stage.until_flows()?;
    stage.note("neither of them works");
    let nothing = clock::now();
    stage.swallow(&["ra1", "ra2"])?;
    clock::pass(WATCHED)?;
    let said = stage.asconfs(nothing);
    stage.swallow(&[])?;
    stage.until_flows()?;
    ensure!(said.is_empty(), "where nobody answers there is nowhere to go: {said:?}");
    let record = stage.finish()?;
    let pause = gap(&record, begin);
    let back = clock::ms_between(begin, moved);
    Ok(format!(
        "it moved {back:.0} ms after its path had died, and back; the longest pause was {pause:.0} ms"
    ))
}

pub(super) fn heartbeats(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.network.up(Host::B, &[crate::topology::B2])?;
    stage.start_daemon("", "")?;
    stage.shell(
        stage.network.router(),
        "nft add table inet dropped && \
         nft 'add chain inet dropped forward { type filter hook forward priority 0; }' && \
         nft add rule inet dropped forward ip daddr 10.4.0.2 sctp chunk heartbeat exists drop",
    )?;
    stage.talk_between(&["10.1.0.2".parse()?], &["10.3.0.2".parse()?, "10.4.0.2".parse()?])?;
    let from = clock::now();
    stage.ip(["addr del 10.1.0.2/24 dev a1", "link set a1 down"])?;
    stage.network.up(Host::A, &[A2])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    Ok(format!("a move took {:.0} ms although a path of the peer is never confirmed", gap(&record, from)))
}
