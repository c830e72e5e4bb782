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

/// What is known of data that waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When either end moved last.
    moved: Option<Instant>,
    /// Since when it is watched, and how many SACKs and gaps there had been by then.
    watch: Option<(Instant, u64, u64)>,
}

impl Backlog {
    /// An end has moved.
    pub(super) fn moved(&mut self, now: Instant) {
        self.moved = Some(now);
    }
}

impl Planner {
    /// Where the peer turns out to have moved just now: its old address has been deleted, or it asks for what is to
    /// come to be sent to a new one, and that works.
    pub(super) fn peer_moves_to(&self, now: Instant, facts: &Facts) -> Option<IpAddr> {
        self.fresh_peer.filter(|&since| now.duration_since(since) < FRESH)?;
        let before = &self.facts;
        match facts.peers[..] {
            [(alone, _)] if before.peers.len() > 1 => Some(alone),
            _ => {
                let primary =
                    facts.primary.filter(|_| before.primary.is_some_and(|it| facts.primary != Some(it)))?;
                // Else what is sent once more goes to the old address.
                facts.peers.contains(&(primary, PathState::Active)).then_some(primary)
            }
        }
    }

    /// The peer has moved there.
    pub(super) fn hasten(&mut self, now: Instant, peer: IpAddr) {
        if self.stranded.is_some() {
            return;
        }
        self.backlog.moved(now);
        if self.facts.unacknowledged {
            self.push(
                Action::Nudge(peer),
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
            self.push(Action::Nudge(peer), "what was sent before the move has still not arrived");
        }
    }
}
