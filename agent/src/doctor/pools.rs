//! Registrars, elements, peers.

use super::{Check, Facts};
use crate::control::protocol::NOBODY_LISTENS;
use crate::control::{ElementReport, PoolsReport};

const GROUP: &str = "pools";

pub(super) fn check(facts: &Facts) -> Vec<Check> {
    let pools = &facts.pools;
    if !pools.configured {
        return vec![Check::ok(
            GROUP,
            "registrar",
            "no registrar is configured: only one end can move at a time",
        )];
    }
    let Some(report) = &pools.report else {
        return vec![match pools.answered {
            Some(true) => Check::ok(GROUP, "registrar", "a registrar answers"),
            Some(false) => unreachable(facts),
            None => Check::ok(GROUP, "registrar", "registrars are configured; none was asked"),
        }];
    };
    let mut checks = vec![match &report.registrar {
        Some(registrar) => Check::ok(GROUP, "registrar", format!("{registrar} is the home registrar")),
        None => unreachable(facts),
    }];
    checks.extend(report.elements.iter().map(element));
    checks.extend(peers(report));
    checks
}

fn unreachable(facts: &Facts) -> Check {
    let text = "no registrar answers: this host is not found when both ends move";
    let mend = "roam-registrar  # runs where [registrars] says; is SCTP port 3863 let through?";
    if facts.pools.needed {
        return Check::fail(GROUP, "registrar", text, mend);
    }
    Check::warn(GROUP, "registrar", text, mend)
}

fn element(it: &ElementReport) -> Check {
    let ElementReport { handle, id, .. } = it;
    if it.registered {
        let addresses: Vec<_> = it.addresses.iter().map(ToString::to_string).collect();
        let text = format!("element {handle} ({id:#010x}) is registered at {}", addresses.join(", "));
        let Some(ago) = it.confirmed_ms else { return Check::ok(GROUP, "element", text) };
        let text = format!("{text}, confirmed {} s ago for {} s", ago / 1000, it.life_ms / 1000);
        if ago > it.life_ms {
            let text = format!("{text}: it should have been renewed");
            return Check::warn(GROUP, "element", text, "roam monitor --recent 100");
        }
        return Check::ok(GROUP, "element", text);
    }
    let text = format!("element {handle} ({id:#010x}) is not registered: {}", it.why);
    if it.why == NOBODY_LISTENS {
        return Check::warn(
            GROUP,
            "element",
            text,
            format!("ss --sctp -lnp  # is the program of port {} running?", it.port),
        );
    }
    Check::fail(GROUP, "element", text, "roam monitor --recent 100")
}

fn peers(report: &PoolsReport) -> Vec<Check> {
    let check = |peer: &crate::control::PeerReport| match (peer.known, peer.addresses.is_empty()) {
        (true, false) => Check::ok(GROUP, "peer", format!("peer {} is registered", peer.handle)),
        _ => Check::warn(
            GROUP,
            "peer",
            format!("peer {} is not registered: it is not found when both ends move", peer.handle),
            format!("roam pools  # and at the peer, [[element]] with handle = \"{}\"", peer.handle),
        ),
    };
    report.peers.iter().map(check).collect()
}
