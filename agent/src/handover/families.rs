//! Associations between hosts with addresses of both families.
//!
//! From one family to the other there is no way where the peer does not know an address of it beforehand. So one of each
//! is added as soon as the host has it, and not only where it is the newest.
//!
//! As long as the peer knows none of ours of a family that it has itself, nothing must be sent to it there. Linux does so
//! all the same: when a path of IPv6 has no route yet, it asks for one with the source `::` (`sctp_transport_pmtu`), or with
//! the one that the path had before, and takes what it gets without asking whether the association has that address. The
//! peer has no association with whoever sends from there, and answers with ABORT, which ends ours. So such paths are
//! closed at the edge from the start, before an address comes.

use std::net::IpAddr;

use super::own::Own;
use super::planner::Planner;
use crate::translate::Rule;

impl Planner {
    /// For each of the peer's addresses that nothing may be sent to, as the peer does not know from where it would come.
    pub(super) fn restrictions_by_family(&self) -> impl Iterator<Item = Rule> + '_ {
        let knows = |v6: bool| {
            let known = |state| matches!(state, Own::Confirmed | Own::Answered | Own::Kept);
            self.own.all().any(|(own, state)| own.is_ipv6() == v6 && known(state))
        };
        let pair = self.identity.pair;
        let peers = self.facts.peers.iter().map(|&(peer, _)| peer).filter(move |peer| !knows(peer.is_ipv6()));
        peers.map(move |destination| Rule::RestrictTo { pair, destination })
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
