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

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use super::own::Own;
use super::planner::Planner;
use super::types::{Action, Facts, PathState};
use crate::translate::Rule;

/// How often the pause doubles between two questions to a path; whose confirmation is not needed yet is then, after some
/// 50 seconds, left to the kernel.
const CONFIRMATIONS: u32 = 8;

/// What is known of paths by their families.
#[derive(Debug, Default)]
pub(super) struct Families {
    /// The primary path of a family of which the host has nothing left, and what is primary instead.
    led: Option<(IpAddr, IpAddr)>,
    /// Which path is asked whether it works, how often it was, and when it is again.
    asked: Option<(IpAddr, u32, Instant)>,
    /// Paths that are to be confirmed: how often that was asked for, and when it is again.
    confirming: BTreeMap<IpAddr, (u32, Instant)>,
}

impl Families {
    /// What an earlier daemon has left, as far as it was carried out.
    pub(super) fn resumed(led: Option<(IpAddr, IpAddr)>, facts: &Facts) -> Self {
        Self { led: led.filter(|(_, to)| facts.primary == Some(*to)), ..Self::default() }
    }

    /// The primary path of a family that the host has lost, and what is primary instead.
    pub(super) fn led(&self) -> Option<(IpAddr, IpAddr)> {
        self.led
    }

    /// The primary path could not be changed.
    pub(super) fn not_led(&mut self) {
        self.led = None;
    }

    /// How many things it remembers.
    pub(super) fn remembers(&self) -> usize {
        self.confirming.len()
    }
}

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

    /// Has own data sent over a family that is left, and back where it went before when that family is there again.
    ///
    /// Left alone the kernel goes on sending where the host has nothing to send from, ASCONFs as well, until its timers have
    /// run out: that takes seconds. And a path of another family has to be confirmed before it is needed, which the kernel leaves
    /// to the first heartbeat, half a minute later.
    pub(super) fn follow_families(&mut self, now: Instant, alive: &[IpAddr]) {
        let there = |peer: IpAddr| alive.iter().any(|own| own.is_ipv6() == peer.is_ipv6());
        let Some(primary) = self.facts.primary else { return };
        self.confirm_others(now, there, primary);
        if let Some((from, to)) = self.families.led {
            if primary != to && primary != from || !self.facts.has_peer(from) {
                // Somebody else has decided.
                self.families.led = None;
            } else if primary == to && there(from) && self.answers(now, from) {
                self.families.led = None;
                let back = Action::SendTo { peer: from, alone: false };
                self.push(back, "the family of the primary path is back");
                return;
            }
        }
        if there(primary) {
            return;
        }
        let of_use = self.facts.peers.iter().filter(|(peer, _)| there(*peer));
        let Some(&(peer, _)) = of_use.min_by_key(|(_, state)| *state) else { return };
        if self.answers(now, peer) && self.families.led != Some((primary, peer)) {
            self.families.led = Some((primary, peer));
            self.push(
                Action::SendTo { peer, alone: true },
                "the host has no address left from which the primary path can be used",
            );
            self.prefer(alive[0], "the peer may be sending to a family that is gone");
        }
    }

    /// Whether a path works. One that does not is asked, ever more seldom.
    fn answers(&mut self, now: Instant, peer: IpAddr) -> bool {
        if self.facts.peers.contains(&(peer, PathState::Active)) {
            self.families.asked = None;
            return true;
        }
        let asked = self.families.asked.filter(|(asked, ..)| *asked == peer);
        let (times, due) = asked.map_or((0, now), |(_, times, due)| (times, due));
        if now < due {
            self.wake_at(due);
            return false;
        }
        let next = now + self.tuning.retry / 4 * (1 << times);
        self.families.asked = Some((peer, (times + 1).min(CONFIRMATIONS), next));
        self.push(Action::Heartbeat(peer), "data is to be sent there as soon as it answers");
        self.wake_at(next);
        false
    }

    /// Asks for the confirmation of paths of the family that the primary one is not of, ever more seldom.
    fn confirm_others(&mut self, now: Instant, there: impl Fn(IpAddr) -> bool, primary: IpAddr) {
        let other = |&&(peer, state): &&(IpAddr, PathState)| {
            state == PathState::Unconfirmed && peer.is_ipv6() != primary.is_ipv6() && there(peer)
        };
        let peers: Vec<IpAddr> = self.facts.peers.iter().filter(other).map(|&(peer, _)| peer).collect();
        self.families.confirming.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            let (times, due) = self.families.confirming.get(&peer).copied().unwrap_or((0, now));
            if times == CONFIRMATIONS {
                continue;
            }
            let next = now + self.tuning.retry * (1 << times);
            if now < due {
                self.wake_at(due);
            } else {
                self.families.confirming.insert(peer, (times + 1, next));
                self.push(Action::Heartbeat(peer), "the path is to be confirmed before it is needed");
                self.wake_at(next);
            }
        }
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
