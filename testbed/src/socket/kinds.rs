//! Sockets of every shape, bound in every way, through both kinds of handover.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use sctp_sys::Family::V4;

use super::talk::{Pair, Talk, finish, until_all_flow, until_all_up, until_b_sees, until_settled};
use crate::clock;
use crate::network::Stage;
use crate::topology::{A1, A1B, A2, B1, Host, Place};

/// How long the host is offline.
pub(super) const OUTAGE: Duration = Duration::from_millis(800);

pub(super) const MANY: [&str; 2] = ["--shape", "one-to-many"];

const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// All shapes, bound to these addresses at A.
fn shapes(a: &[IpAddr]) -> Vec<Pair> {
    let (a1, b1) = (A1.address(V4), B1.address(V4));
    let pair = |name, port| Pair::of(name, port, a, &[b1]);
    vec![
        pair("one-to-one", 7000),
        pair("one-to-many", 7010).client_with(&MANY),
        pair("one-to-many with four", 7020).served_by_a(4, a1).server_with(&MANY),
        pair("peeled off", 7030).served_by_a(3, a1).server_with(&MANY).server_with(&["--peel-off"]),
        pair("accepted", 7040).served_by_a(3, a1),
        pair("IPv6 with mapped IPv4", 7050).both_with(&["--mapped"]),
        pair("mapped, peeled off", 7060)
            .served_by_a(2, a1)
            .server_with(&MANY)
            .both_with(&["--mapped"])
            .server_with(&["--peel-off"]),
    ]
}

/// Bound to one address, and one of them to two.
pub(super) fn explicit(stage: &mut Stage) -> Result<String> {
    let (a1, a1b, b1) = (A1.address(V4), A1B.address(V4), B1.address(V4));
    let mut pairs = shapes(&[a1]);
    pairs.push(Pair::of("two addresses", 7070, &[a1, a1b], &[b1]));
    through_both(stage, &[A1, A1B], pairs)
}

/// Bound to none, which is all.
pub(super) fn wildcard(stage: &mut Stage) -> Result<String> {
    through_both(stage, &[A1], shapes(&[ANY]))
}

/// Some bound to addresses and some to none, at the same host.
pub(super) fn mixed(stage: &mut Stage) -> Result<String> {
    let (a1, b1) = (A1.address(V4), B1.address(V4));
    let pairs = vec![
        Pair::of("one-to-one", 7000, &[a1], &[b1]),
        Pair::of("one-to-one, to none", 7010, &[ANY], &[b1]),
        Pair::of("accepted", 7020, &[a1], &[b1]).served_by_a(2, a1),
        Pair::of("accepted, to none", 7030, &[ANY], &[b1]).served_by_a(2, a1),
    ];
    through_both(stage, &[A1], pairs)
}

/// The host loses all its addresses and gets another one; then it gets one beside that, before that goes.
pub(super) fn through_both(stage: &mut Stage, first: &[Place], pairs: Vec<Pair>) -> Result<String> {
    stage.network.up(Host::A, first)?;
    stage.start_daemon("", "")?;
    let mut talks: Vec<Talk> = pairs.into_iter().map(|pair| pair.start(stage)).collect::<Result<_>>()?;
    until_all_up(stage, &mut talks)?;
    until_settled(stage, &talks, &[])?;
    let begin = clock::now();
    stage.note("the host moves, with a break");
    stage.network.down(Host::A, first)?;
    clock::pass(OUTAGE)?;
    stage.network.up(Host::A, &[A2])?;
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, &talks, &[A2.address(V4)])?;
    until_settled(stage, &talks, &[])?;
    stage.note("the host moves, without a break");
    stage.network.up(Host::A, &[A1])?;
    until_settled(stage, &talks, &[A1.address(V4)])?;
    stage.network.down(Host::A, &[A2])?;
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, &talks, &[A1.address(V4)])?;
    let associations: u16 = talks.iter().map(|talk| talk.pair.count).sum();
    let kinds = talks.len();
    let silence = finish(talks, begin)?;
    stage.stop_daemon()?;
    let overhead = silence - OUTAGE.as_secs_f64() * 1000.0;
    Ok(format!("{associations} associations of {kinds} kinds lived, overhead at most {overhead:.0} ms"))
}
