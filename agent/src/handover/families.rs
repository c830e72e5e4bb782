//! Associations between hosts with addresses of both families.
//!
//! From one family to the other there is no way where the peer does not know an address of it beforehand. So one of each
//! is added as soon as the host has it, and not only where it is the newest.
//!
//! As long as the peer knows none of ours of a family that it has itself, nothing must be sent to it there. Linux does so
//! all the same: when a path of IPv6 has no route yet, it asks for one with the source `::` (`sctp_transport_pmtu`), or with
//! the one that the path had before, and takes what it gets without asking whether the association has that address. The
//! peer has no association with whoever sends from there, and answers with ABORT, which ends ours. So such paths are
//! closed at the edge from the start, before an address comes; and while one is being added, such an ABORT does not enter.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::own::Own;
use super::planner::Planner;
use crate::translate::Rule;

impl Planner {
    /// What keeps the association from being ended so.
    pub(super) fn restrictions_by_family(&self) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let has = |v6: bool, among: &[Own]| {
            self.own.all().any(|(own, state)| own.is_ipv6() == v6 && among.contains(&state))
        };
        let rule = |destination: IpAddr| {
            let v6 = destination.is_ipv6();
            if has(v6, &[Own::Confirmed, Own::Answered, Own::Kept]) {
                None
            } else if has(v6, &[Own::Adding]) {
                // The peer may have it by now, and its answer may come this way alone.
                Some(Rule::NoAbortIn(pair))
            } else {
                Some(Rule::RestrictTo { pair, destination })
            }
        };
        self.facts.peers.iter().filter_map(|&(peer, _)| rule(peer)).collect()
    }

    /// The first usable address of the family that the newest one does not belong to, unless it is a backup that is to stay
    /// out of use.
    pub(super) fn of_the_other_family(&self) -> Option<IpAddr> {
        let newest = self.usable.first()?;
        let other =
            |address: &&IpAddr| address.is_ipv6() != newest.is_ipv6() && !self.cold.contains(*address);
        self.usable.iter().find(other).copied()
    }
}
