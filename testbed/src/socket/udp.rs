//! SCTP in UDP (RFC 6951), with and without a NAT on the way.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use sctp_sys::Family::V4;

use super::kinds::{MANY, OUTAGE, through_both};
use super::talk::{Pair, finish, until_all_flow, until_all_up, until_settled};
use crate::clock;
use crate::network::Stage;
use crate::topology::{A1, A2, B1, Host};

/// At both ends packets in UDP are taken; nothing but UDP passes between them.
fn in_udp_alone(stage: &Stage, encap_port: u16) -> Result<()> {
    for host in Host::ALL {
        let line = format!("sysctl -qw net.sctp.udp_port=9899 net.sctp.encap_port={encap_port}");
        stage.shell(stage.network.host(host), &line)?;
    }
    stage.shell(
        stage.network.router(),
        "nft 'add table inet edge; add chain inet edge forward { type filter hook forward priority 0; }; \
         add rule inet edge forward meta l4proto sctp counter drop'",
    )?;
    Ok(())
}

/// What the programs say by socket option, and what the host says for all.
pub(super) fn without_nat(stage: &mut Stage) -> Result<String> {
    let (a1, b1) = (A1.address(V4), B1.address(V4));
    let any: IpAddr = std::net::Ipv4Addr::UNSPECIFIED.into();
    in_udp_alone(stage, 0)?;
    let by_option = ["--udp", "9899"];
    through_both(
        stage,
        &[A1],
        vec![
            Pair::of("one-to-one", 7000, &[a1], &[b1]).client_with(&by_option),
            Pair::of("accepted", 7010, &[a1], &[b1]).served_by_a(2, a1).client_with(&by_option),
            Pair::of("one-to-many", 7020, &[a1], &[b1]).client_with(&MANY).client_with(&by_option),
            Pair::of("bound to none", 7030, &[any], &[b1]).client_with(&by_option),
        ],
    )
}

/// The host's networks are behind a router with one public address.
pub(super) fn behind_nat(stage: &mut Stage) -> Result<String> {
    let (a1, b1) = (A1.address(V4), B1.address(V4));
    in_udp_alone(stage, 9899)?;
    stage.shell(
        stage.network.router(),
        "nft 'add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }; \
         add rule ip nat out oifname rb1 meta l4proto udp masquerade; \
         add chain ip nat keep { type filter hook forward priority 0; }; \
         add rule ip nat keep ip daddr 10.1.0.0/16 ct state new drop; \
         add rule ip nat keep oifname { ra1, ra2 } ct state new drop'",
    )?;
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    let mut talks = vec![
        Pair::of("one-to-one", 7000, &[a1], &[b1]).start(stage)?,
        Pair::of("one-to-many", 7010, &[a1], &[b1]).client_with(&MANY).start(stage)?,
    ];
    until_all_up(stage, &mut talks)?;
    until_settled(stage, &talks, &[])?;
    let begin = clock::now();
    for (from, to) in [(A1, A2), (A2, A1)] {
        stage.note("the host moves to another network behind the same router");
        stage.network.down(Host::A, &[from])?;
        clock::pass(OUTAGE)?;
        stage.network.up(Host::A, &[to])?;
        until_all_flow(stage, &mut talks)?;
    }
    // Behind it nobody is known by any other address.
    let seen = stage.network.host(Host::B).enter(sctp_sys::diag::snapshot)?;
    let public: IpAddr = [10, 3, 0, 1].into();
    for it in &seen.associations {
        ensure!(it.primary.is_some() && it.peer.contains(&public), "B talks to {:?}", it.peer);
    }
    let silence = finish(talks, begin)?;
    stage.stop_daemon()?;
    let overhead = silence - OUTAGE.as_secs_f64() * 1000.0;
    Ok(format!("both associations moved there and back behind the router, overhead at most {overhead:.0} ms"))
}
