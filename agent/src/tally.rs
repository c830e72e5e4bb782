//! What the daemon counts: handovers and how long they took, ASCONFs and what came of them. Without I/O and without a
//! clock; what is shown of it is [`CountsReport`](crate::control::CountsReport).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::control::{AsconfReport, BucketReport, CauseReport, HandoverReport, HistogramReport};
use crate::handover::State;

/// Upper bounds of what is told of times, in milliseconds.
const BOUNDS: [u64; 12] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000, 600_000];

/// How an association came to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It had the new address before it lost the old ones.
    MakeBeforeBreak,
    /// It had no usable address for a while.
    BreakBeforeMake,
    /// The same, and the peer had none of its addresses any more either.
    Simultaneous,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is at other addresses.
    Moved,
    /// An address that it had lost came back, and nothing had to be moved.
    Returned,
    /// It ended while it had no usable address, or was being moved.
    Lost,
}

impl Kind {
    /// As it is written in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MakeBeforeBreak => "make-before-break",
            Self::BreakBeforeMake => "break-before-make",
            Self::Simultaneous => "simultaneous",
        }
    }
}

impl Outcome {
    /// As it is written in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Returned => "returned",
            Self::Lost => "lost",
        }
    }
}

/// How long things took.
#[derive(Debug, Clone, Default)]
struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        let fits = BOUNDS.iter().position(|bound| time <= Duration::from_millis(*bound));
        if let Some(count) = fits.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
        }
    }

    fn report(&self) -> HistogramReport {
        let mut below = 0;
        let bucket = |(&le_ms, count): (&u64, u64)| {
            below += count;
            BucketReport { le_ms, count: below }
        };
        let buckets = BOUNDS.iter().zip(self.counts).map(bucket).collect();
        let sum_ms = u64::try_from(self.sum.as_millis()).unwrap_or(u64::MAX);
        HistogramReport { buckets, count: self.count, sum_ms }
    }
}

/// The counters, since the daemon began.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    handovers: BTreeMap<(Kind, Outcome), u64>,
    gap: Histogram,
    delay: Histogram,
    accepted: u64,
    refused: BTreeMap<u16, u64>,
    unanswered: u64,
}

impl Tally {
    fn handover(&mut self, kind: Kind, outcome: Outcome) {
        *self.handovers.entry((kind, outcome)).or_default() += 1;
    }

    /// Handovers by kind and outcome; those that have not been seen are not listed.
    #[must_use]
    pub fn handovers(&self) -> Vec<HandoverReport> {
        let report =
            |(&(kind, outcome), &count): (&(Kind, Outcome), &u64)| HandoverReport { kind, outcome, count };
        self.handovers.iter().map(report).collect()
    }

    /// From the loss of an association's last usable address until the peer had accepted another one.
    #[must_use]
    pub fn gap(&self) -> HistogramReport {
        self.gap.report()
    }

    /// The part of it in which there was a usable address.
    #[must_use]
    pub fn delay(&self) -> HistogramReport {
        self.delay.report()
    }

    /// What came of ASCONFs of this host.
    #[must_use]
    pub fn asconf(&self) -> AsconfReport {
        let cause = |(&cause, &count): (&u16, &u64)| CauseReport { cause, count };
        AsconfReport {
            accepted: self.accepted,
            refused: self.refused.iter().map(cause).collect(),
            unanswered: self.unanswered,
        }
    }
}

/// What is known of one association for the tally.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Own addresses when it was last counted, as far as it still has them.
    home: BTreeSet<IpAddr>,
    /// Since when it has had no usable address, or none that the peer has accepted; and the peer's addresses then.
    lost: Option<(Instant, BTreeSet<IpAddr>)>,
    /// Since when there has been one that it moves to.
    offered: Option<Instant>,
    /// It is at another address, and that was counted.
    moved: bool,
    /// The serial number of the ASCONF that waits for its answer.
    asked: Option<u32>,
}

impl Course {
    /// An association that was found with these own addresses.
    #[must_use]
    pub fn new(local: &BTreeSet<IpAddr>) -> Self {
        Self { home: local.clone(), ..Self::default() }
    }

    /// How it stands now, and its addresses.
    pub fn stands(
        &mut self,
        tally: &mut Tally,
        now: Instant,
        state: &State,
        local: &BTreeSet<IpAddr>,
        peers: impl Iterator<Item = IpAddr>,
    ) {
        let peers: BTreeSet<IpAddr> = peers.collect();
        match state {
            State::Stranded => {
                self.lost.get_or_insert((now, peers));
                self.offered = None;
            }
            State::Moving => {
                self.lost.get_or_insert((now, peers));
                self.offered.get_or_insert(now);
            }
            State::Changing | State::Settled => {
                if let Some((since, before)) = self.lost.take() {
                    self.found_again(tally, now, since, &before, &peers);
                }
            }
        }
        if *state == State::Settled {
            self.home.retain(|address| local.contains(address));
            if self.home.is_empty() {
                if !std::mem::take(&mut self.moved) {
                    tally.handover(Kind::MakeBeforeBreak, Outcome::Moved);
                }
                self.home.clone_from(local);
            }
        }
    }

    fn found_again(
        &mut self,
        tally: &mut Tally,
        now: Instant,
        since: Instant,
        before: &BTreeSet<IpAddr>,
        peers: &BTreeSet<IpAddr>,
    ) {
        let Some(offered) = self.offered.take() else {
            return tally.handover(Kind::BreakBeforeMake, Outcome::Returned);
        };
        let kind = if before.is_disjoint(peers) { Kind::Simultaneous } else { Kind::BreakBeforeMake };
        tally.handover(kind, Outcome::Moved);
        tally.gap.add(now.duration_since(since));
        tally.delay.add(now.duration_since(offered));
        self.moved = true;
    }

    /// An ASCONF of it was seen to leave. Sent again it has the same serial number.
    pub fn asked(&mut self, tally: &mut Tally, serial: u32) {
        if self.asked.replace(serial).is_some_and(|before| before != serial) {
            tally.unanswered += 1;
        }
    }

    /// An answer was seen to come, with the causes for which the peer has refused parts of it.
    pub fn answered(&mut self, tally: &mut Tally, serial: u32, causes: impl Iterator<Item = u16>) {
        if self.asked.take_if(|asked| *asked == serial).is_none() {
            return;
        }
        let causes: BTreeSet<u16> = causes.collect();
        if causes.is_empty() {
            tally.accepted += 1;
        }
        for cause in causes {
            *tally.refused.entry(cause).or_default() += 1;
        }
    }

    /// It has ended by itself.
    pub fn ended(self, tally: &mut Tally) {
        if self.lost.is_some() {
            tally.handover(Kind::BreakBeforeMake, Outcome::Lost);
        }
        tally.unanswered += u64::from(self.asked.is_some());
    }
}

#[cfg(test)]
mod tests;
