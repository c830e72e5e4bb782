//! What was sent before a move and has not arrived: the kernel left alone retransmits it late, or never.
//!
//! Late: data of a path that is gone waits for that path's timer, a second away. Never: when a path is removed, the
//! kernel hands its unacknowledged data to another one whose bytes in flight do not count them, so that a SACK may
//! stop the retransmission timer while they are missing (`sctp_assoc_rm_peer`, `sctp_check_transmitted`).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::hold::FRESH;
use super::planner::Planner;
use super::types::{Action, Facts, PathState};

/// For how long after a move data is watched.
const WATCHED: Duration = Duration::from_secs(15);

/// Longer than any retransmission timer of a calm association, and than the kernel takes data for recently sent.
const LATE: Duration = Duration::from_millis(1300);

/// The shortest time between two heartbeats to an address that is not confirmed.
const CONFIRM: Duration = Duration::from_millis(20);

/// What is known of data that waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When either end moved last.
    moved: Option<Instant>,
    /// When the peer was last seen to ask for a new address from there.
    arrived: Option<Instant>,
    /// Since when it is watched, and how many SACKs and gaps there had been by then.
    watch: Option<(Instant, u64, u64)>,
    /// When the confirmation of a new address was last asked for.
    confirming: Option<Instant>,
}

impl Backlog {
    /// An end has moved.
    pub(super) fn moved(&mut self, now: Instant) {
        self.moved = Some(now);
    }

    /// The peer has a new address and no other that works.
    pub(super) fn arrived(&mut self, now: Instant) {
        self.arrived = Some(now);
    }

    /// The peer has a new address.
    pub(super) fn gained(&mut self) {
        self.confirming = None;
    }
}

impl Planner {
    /// Where the peer turns out to have moved just now: its old address has been deleted, or it asks for what is to
    /// come to be sent to a new one, and that works.
    pub(super) fn peer_moves_to(&self, now: Instant, facts: &Facts) -> Option<IpAddr> {
        self.fresh_peer.filter(|&since| now.duration_since(since) < FRESH)?;
        let before = &self.facts;
        match facts.peers[..] {
            // One that is not confirmed yet is about to be, and the kernel then does by itself what a nudge does.
            [(alone, state)] if before.peers.len() > 1 && state != PathState::Unconfirmed => Some(alone),
            _ => {
                let primary =
                    facts.primary.filter(|_| before.primary.is_some_and(|it| facts.primary != Some(it)))?;
                // Else what is sent once more goes to the old address.
                facts.peers.contains(&(primary, PathState::Active)).then_some(primary)
            }
        }
    }

    /// Asks for the confirmation of a peer's new address, at first every [`CONFIRM`], then ever more seldom: the kernel
    /// asks once, and a peer that moves does not answer before it has deleted its old address.
    pub(super) fn confirm_fresh(&mut self, now: Instant) {
        let fresh = self.fresh_peer.filter(|&since| now.duration_since(since) < FRESH);
        let mut unconfirmed = self.facts.peers.iter().filter(|(_, state)| *state == PathState::Unconfirmed);
        let (Some(since), Some(&(peer, _))) = (fresh, unconfirmed.next_back()) else { return };
        let wait = CONFIRM.max(now.duration_since(since) / 4);
        let due = self.backlog.confirming.unwrap_or(since) + wait;
        if due <= now {
            self.backlog.confirming = Some(now);
            self.push(Action::Heartbeat(peer), "the peer's new address is to be confirmed");
        }
        self.wake_at(due.max(now + CONFIRM));
    }

    /// The peer has moved there.
    pub(super) fn hasten(&mut self, now: Instant, peer: IpAddr) {
        if self.stranded.is_some() {
            return;
        }
        self.backlog.moved(now);
        if self.facts.unacknowledged {
            let left = self.backlog.arrived.is_some_and(|at| now.duration_since(at) < FRESH);
            self.push(
                Action::Nudge { peer, left },
                "the peer has moved there and what it missed waits for a distant timer",
            );
        }
    }

    /// Looks whether data arrives: a hole that lasts longer than the longest timer is one that no timer fills. Either
    /// every SACK tells of it, or none comes any more.
    pub(super) fn watch_backlog(&mut self, now: Instant) {
        let facts = &self.facts;
        let (sacks, gaps) = (facts.sacks, facts.gaps);
        let alone = match facts.peers[..] {
            [(peer, _)] if facts.unacknowledged => Some(peer),
            _ => None,
        };
        let recent = self.backlog.moved.is_some_and(|at| now.duration_since(at) < WATCHED);
        let Some(peer) = alone.filter(|_| recent) else {
            self.backlog.watch = None;
            if recent {
                self.wake_at(now + LATE);
            }
            return;
        };
        let (since, sacks_then, gaps_then) = *self.backlog.watch.get_or_insert((now, sacks, gaps));
        if now < since + LATE {
            return self.wake_at(since + LATE);
        }
        let (sacks_since, gaps_since) = (sacks.saturating_sub(sacks_then), gaps.saturating_sub(gaps_then));
        self.backlog.watch = Some((now, sacks, gaps));
        self.wake_at(now + LATE);
        if gaps_since >= sacks_since {
            self.push(
                Action::Nudge { peer, left: true },
                "what was sent before the move has still not arrived",
            );
        }
    }
}
