//! Addresses that come before they can be used, or are never to be used.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, Host};

/// How much later than its address a route comes.
const LATER: Duration = Duration::from_secs(2);

pub(super) fn late_route(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    // These veths are uplinks; without a default route they look as if they were a container's.
    stage.start_daemon("", "[[interface]]\nname = \"a*\"")?;
    stage.talk()?;
    let begin = clock::now();
    stage.ip(["link set a2 up", "addr add 10.2.0.2/24 dev a2"])?;
    stage.until_unusable("10.2.0.2", "no route")?;
    clock::pass(LATER)?;
    stage.until_unusable("10.2.0.2", "no route")?;
    let early = stage.asconfs(begin);
    ensure!(early.is_empty(), "before there was a route: {early:?}");
    stage.note("the route comes");
    let routed = clock::now();
    stage.ip(["route add default via 10.2.0.1 dev a2 metric 50"])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    Ok(format!(
        "the association moved when the route had come; the longest pause was {:.0} ms",
        gap(&record, routed)
    ))
}

pub(super) fn ipv6_states(stage: &mut Stage) -> Result<String> {
    stage.ip([
        "link set a1 up",
        "addr add fd00:1::2/64 dev a1 nodad",
        "route add default via fd00:1::1 dev a1",
    ])?;
    stage.router(["addr add fd00:2::66/64 dev ra2 nodad"])?;
    let b = stage.network.host(Host::B);
    stage.shell(b, "ip addr add fd00:3::2/64 dev b1 nodad && ip -6 route add default via fd00:3::1")?;
    stage.start_daemon("", "")?;
    stage.talk_between(&["fd00:1::2".parse()?], &["fd00:3::2".parse()?])?;
    let begin = clock::now();
    // The router has that address already; and detection takes a second, in which the other one is tentative.
    stage.shell(stage.network.host(Host::A), "sysctl -qw net.ipv6.conf.a2.use_tempaddr=2")?;
    stage.ip(["link set a2 up"])?;
    stage.ip([
        "addr add fd00:2::77/64 dev a2 preferred_lft 0 valid_lft 1000 nodad",
        "addr add fd00:2::66/64 dev a2",
        "route add default via fd00:2::1 dev a2 metric 50",
    ])?;
    stage.until_unusable("fd00:2::77", "deprecated")?;
    stage.until_unusable("fd00:2::66", "somebody else")?;
    // Of an address that the kernel manages itself it makes a temporary one.
    stage.ip(["addr add fd00:2:0:0:8888::8/64 dev a2 mngtmpaddr preferred_lft 0 valid_lft 900 nodad"])?;
    let early = stage.asconfs(begin);
    ensure!(early.is_empty(), "of addresses that are not to be used: {early:?}");
    stage.note("one comes that is to be used");
    let added = clock::now();
    stage.ip(["addr add fd00:2::2/64 dev a2"])?;
    stage.until_unusable("fd00:2::2", "detection is not over")?;
    stage.until_at(&["fd00:2::2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    Ok(format!("only the good address was used; the longest pause was {:.0} ms", gap(&record, added)))
}
