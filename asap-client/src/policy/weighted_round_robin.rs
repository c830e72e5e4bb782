//! Weighted Round Robin (RFC 5356, 4.2): a circular list in which a member of weight w appears w times, as evenly
//! spread as possible.
//!
//! The list is never written down: weights go up to 2^32. Time is counted in rounds of it. A member of weight w has
//! a turn for each w-th part of a round, which begins and ends with that part; of the members whose turn has begun,
//! the one whose turn ends first is next (earliest eligible virtual deadline first). So nobody is ever a whole turn
//! before or behind its share, and over each round the counts are exact.

use std::collections::{BTreeMap, BTreeSet};

use super::{Circle, Selection};
use crate::wire::Policy;

/// One round; times are multiples of its 2^64th part.
const ROUND: u128 = 1 << 64;

/// `done` of `of` parts of a round.
fn part(done: u64, of: u64) -> u128 {
    (u128::from(done) << 64) / u128::from(of.max(1))
}

/// A member's turns.
#[derive(Clone, Copy, Debug)]
struct Turns {
    weight: u32,
    /// When its present round began.
    start: u128,
    /// Turns it had in this round, below its weight.
    done: u32,
}

impl Turns {
    fn begin(&self) -> u128 {
        self.start + part(self.done.into(), self.weight.into())
    }

    fn end(&self) -> u128 {
        self.start + part(u64::from(self.done) + 1, self.weight.into())
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct WeightedRoundRobin {
    /// Those with a weight other than 0.
    members: BTreeMap<u32, Turns>,
    /// Those whose turn has begun, by its end.
    ready: BTreeSet<(u128, u32)>,
    /// The others, by the beginning of their turn.
    waiting: BTreeSet<(u128, u32)>,
    /// The sum of all weights.
    total: u64,
    /// The list's time is this, and so many turns of all the members' in a round.
    epoch: u128,
    turns: u64,
}

impl WeightedRoundRobin {
    fn time(&self) -> u128 {
        self.epoch + part(self.turns, self.total)
    }

    fn set_time(&mut self, time: u128) {
        (self.epoch, self.turns) = (time, 0);
    }

    fn enter(&mut self, member: u32, turns: Turns) {
        self.set_time(self.time());
        self.total += u64::from(turns.weight);
        self.waiting.insert((turns.begin(), member));
        self.members.insert(member, turns);
    }

    fn leave(&mut self, member: u32) -> Option<Turns> {
        let turns = self.members.remove(&member)?;
        self.set_time(self.time());
        self.total -= u64::from(turns.weight);
        self.take_out(member, turns);
        Some(turns)
    }

    fn take_out(&mut self, member: u32, turns: Turns) {
        self.ready.remove(&(turns.end(), member));
        self.waiting.remove(&(turns.begin(), member));
    }

    /// Lets the turns begin whose time has come. Where members left, time may be before the first turn or behind one
    /// that should have ended: it is set right, or newcomers would start too early or too late.
    fn settle(&mut self) {
        let now = self.time();
        match (self.ready.first(), self.waiting.first()) {
            (Some((end, _)), _) if *end < now => self.set_time(*end),
            (None, Some((begin, _))) if *begin > now => self.set_time(*begin),
            _ => {}
        }
        let now = self.time();
        while let Some((begin, member)) = self.waiting.first().copied()
            && begin <= now
        {
            self.waiting.pop_first();
            if let Some(turns) = self.members.get(&member) {
                self.ready.insert((turns.end(), member));
            }
        }
    }
}

impl Selection for WeightedRoundRobin {
    fn set(&mut self, member: u32, policy: &Policy) {
        let weight = match policy {
            Policy::WeightedRoundRobin { weight } => *weight,
            _ => 0,
        };
        if self.members.get(&member).is_some_and(|turns| turns.weight == weight) {
            return;
        }
        self.settle();
        let before = self.leave(member);
        if weight != 0 {
            // Whoever had its turn already does not get another by changing its weight.
            let start = before.map_or(0, |turns| turns.begin()).max(self.time());
            self.enter(member, Turns { weight, start, done: 0 });
        }
    }

    fn remove(&mut self, member: u32) {
        self.leave(member);
    }

    /// The member that is next, then the others in the order of their next turns: repetitions are left out.
    fn choose(&mut self, _: &dyn Circle, count: usize, _: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.settle();
        self.ready.iter().chain(&self.waiting).take(count).map(|(_, member)| *member).collect()
    }

    /// The list moves on by one turn, however many were named.
    fn returned(&mut self, _: &dyn Circle, named: &[u32]) {
        let Some(first) = named.first() else { return };
        let Some(mut turns) = self.members.get(first).copied() else { return };
        self.take_out(*first, turns);
        turns.done += 1;
        if turns.done == turns.weight {
            (turns.start, turns.done) = (turns.start + ROUND, 0);
        }
        self.waiting.insert((turns.begin(), *first));
        self.members.insert(*first, turns);
        self.turns += 1;
        if self.turns == self.total {
            self.set_time(self.epoch + ROUND);
        }
    }

    fn boxed_clone(&self) -> Box<dyn Selection> {
        Box::new(self.clone())
    }
}
