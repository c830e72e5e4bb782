//! Associations whose peer has addresses of a family of which it knows none of ours. Linux sends to those all the same:
//! when a path of IPv6 has no route yet, it asks for one with the source `::` (`sctp_transport_pmtu`), or with the one that the
//! path had before, and takes what it gets without asking whether the association has that address. The peer has no
//! association with whoever sends from there, and answers with ABORT, which ends ours. So from the start such paths
//! are closed at the edge, before an address comes.

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
}
