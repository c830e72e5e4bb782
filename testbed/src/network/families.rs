//! IPv4 and IPv6 by turns.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Stage;
use super::stage::{gap, gap_in};
use crate::clock;
use crate::topology::{A1, Host};

/// A has IPv4, and B both.
fn addresses(stage: &Stage) -> Result<()> {
    stage.network.up(Host::A, &[A1])?;
    let b = stage.network.host(Host::B);
    stage.shell(b, "ip addr add fd00:3::2/64 dev b1 nodad && ip -6 route add default via fd00:3::1")?;
    // Else the kernel tells a peer at a global address, as an IPv6 one is, of no private one.
    for host in Host::ALL {
        stage.shell(stage.network.host(host), "sysctl -qw net.sctp.addr_scope_policy=0")?;
    }
    Ok(())
}

/// A gets IPv6, too.
fn ipv6_comes(stage: &Stage) -> Result<()> {
    stage.ip(["addr add fd00:1::2/64 dev a1 nodad", "route add default via fd00:1::1 dev a1"])
}

/// The first ASCONF that asks the peer to forget this address leaves from that one, over the other family, and not from where
/// the host no longer is.
fn ensure_forgotten_from(stage: &Stage, gone: &str, from: &str) -> Result<()> {
    let asked = stage.asconfs(0).into_iter().find(|asked| asked.ends_with(&format!("delete {gone}")));
    let asked = asked.with_context(|| format!("nobody asked for the deletion of {gone}"))?;
    ensure!(asked.starts_with(&format!("ASCONF {from} > ")), "{asked:?}: it should leave from {from}");
    Ok(())
}

/// The association knows both from the start.
pub(super) fn both_known(stage: &mut Stage) -> Result<String> {
    addresses(stage)?;
    there_and_back(stage)
}

/// The same, with an agent at the peer's host, too.
pub(super) fn both_agents(stage: &mut Stage) -> Result<String> {
    addresses(stage)?;
    stage.start_daemon_at_peer()?;
    there_and_back(stage)
}

fn there_and_back(stage: &mut Stage) -> Result<String> {
    ipv6_comes(stage)?;
    stage.start_daemon("", "")?;
    let (own, peer) =
        (["fd00:1::2".parse()?, "10.1.0.2".parse()?], ["fd00:3::2".parse()?, "10.3.0.2".parse()?]);
    stage.talk_between(&own, &peer)?;
    stage.note("IPv6 goes");
    let from = clock::now();
    stage.ip(["addr del fd00:1::2/64 dev a1"])?;
    stage.until_at(&["10.1.0.2"])?;
    stage.until_flows()?;
    ensure_forgotten_from(stage, "fd00:1::2", "10.1.0.2")?;
    stage.note("IPv6 comes, and IPv4 goes");
    let back = clock::now();
    stage.ip(["addr add fd00:1::3/64 dev a1 nodad", "route replace default via fd00:1::1 dev a1"])?;
    stage.until("IPv6 in the association", |stage| {
        stage.association()?.local.iter().any(std::net::IpAddr::is_ipv6).then_some(())
    })?;
    stage.ip(["addr del 10.1.0.2/24 dev a1"])?;
    // That the peer forgets it cannot be waited for: on a socket of IPv6 its kernel refuses that (cause 0x0005).
    stage.until_unlisted("10.1.0.2")?;
    let gone = clock::now();
    stage.until_flows()?;
    clock::pass(Duration::from_secs(4))?;
    stage.until_flows()?;
    let said = stage.asconfs(gone).len();
    ensure!(said < 20, "{said} ASCONFs in four seconds ask for what is refused");
    ensure_forgotten_from(stage, "10.1.0.2", "fd00:1::3")?;
    let record = stage.finish()?;
    let (there, back) = (gap_in(&record, from..back), gap(&record, back));
    Ok(format!("the longest pause from IPv6 to IPv4 was {there:.0} ms, and back {back:.0} ms"))
}

/// The association begins with IPv4. The daemon is started when both are there, and does not know which came last.
pub(super) fn one_known(stage: &mut Stage) -> Result<String> {
    addresses(stage)?;
    let (own, peer) = (["10.1.0.2".parse()?], ["10.3.0.2".parse()?, "fd00:3::2".parse()?]);
    stage.talk_with(&own, &peer, &["--mapped"])?;
    ipv6_comes(stage)?;
    stage.start_daemon("", "")?;
    stage.until("IPv6 in the association", |stage| {
        stage.association()?.local.iter().any(std::net::IpAddr::is_ipv6).then_some(())
    })?;
    stage.until_settled()?;
    stage.note("IPv4 goes");
    let from = clock::now();
    stage.ip(["addr del 10.1.0.2/24 dev a1"])?;
    stage.until_unlisted("10.1.0.2")?;
    stage.until_flows()?;
    stage.until_settled()?;
    ensure_forgotten_from(stage, "10.1.0.2", "fd00:1::2")?;
    let record = stage.finish()?;
    Ok(format!("the longest pause from IPv4 to IPv6 was {:.0} ms", gap(&record, from)))
}
