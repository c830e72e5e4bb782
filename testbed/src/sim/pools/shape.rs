//! How large a run is, and what it came to.

use asap_client::random::{SplitMix64, below};

use super::super::{SECOND, Time};
use super::mischief::Trick;

/// How registrars find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// Each is configured with all others.
    All,
    /// Each but the first is configured with the first.
    First,
    /// By multicast.
    Multicast,
}

/// How large a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Registrars.
    pub registrars: usize,
    /// Pool elements.
    pub elements: usize,
    /// Elements of one host.
    pub elements_per_host: usize,
    /// Pools.
    pub pools: usize,
    /// Hosts that have pool users only.
    pub users: usize,
    /// Steps in which something goes wrong.
    pub steps: usize,
    /// Over how long a time the hosts begin.
    pub ramp: Time,
    /// How registrars find each other.
    pub acquaintance: Acquaintance,
    /// Hosts have some of the registrars in their lists, the first among them. They do not follow others.
    pub some_listed: bool,
    /// What is not as it should be.
    pub trick: Trick,
}

impl Shape {
    /// Two to eight registrars, tens of elements.
    #[must_use]
    pub fn small(seed: u64) -> Self {
        let mut world = Dice(SplitMix64::new(!seed));
        let registrars = 2 + world.below(7);
        Self {
            registrars,
            elements: 2 + world.below(40),
            elements_per_host: 1 + world.below(4),
            pools: 1 + world.below(4),
            users: 1 + world.below(6),
            steps: 10 + world.below(25),
            ramp: [0, SECOND, 5 * SECOND][world.below(3)],
            acquaintance: [Acquaintance::All, Acquaintance::First, Acquaintance::Multicast][world.below(3)],
            some_listed: false,
            trick: Trick::None,
        }
    }

    /// So many registrars and elements.
    #[must_use]
    pub fn large(registrars: usize, elements: usize) -> Self {
        Self {
            registrars,
            elements,
            elements_per_host: 1,
            pools: elements.div_ceil(200).max(1),
            users: 20,
            steps: 12,
            ramp: 10 * SECOND,
            acquaintance: Acquaintance::All,
            some_listed: false,
            trick: Trick::None,
        }
    }
}

/// Draws whose bounds are places in lists.
pub(super) struct Dice(pub(super) SplitMix64);

impl Dice {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(below(self.0.draw(), bound as u64)).unwrap_or(0)
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Messages sent.
    pub messages: u64,
    /// Things that came to programs.
    pub steps: u64,
    /// Elements in registrars' books that were looked at after a step.
    pub looks: u64,
    /// Simulated time, in microseconds.
    pub time: Time,
    /// The longest time until all was whole, in microseconds.
    pub slowest: Time,
    /// Registrars taken over.
    pub takeovers: u64,
    /// Resynchronisations.
    pub resyncs: u64,
    /// Elements removed in them.
    pub purged: u64,
    /// Elements that moved to another registrar which claimed them.
    pub conceded: u64,
    /// Claims that were refuted.
    pub refuted: u64,
    /// Updates refused, as those of whoever is not the element's home.
    pub refused: u64,
    /// Updates dropped since they came too fast.
    pub dropped: u64,
}

impl Seen {
    /// Takes another run in.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.steps += other.steps;
        self.looks += other.looks;
        self.time += other.time;
        self.slowest = self.slowest.max(other.slowest);
        self.takeovers += other.takeovers;
        self.resyncs += other.resyncs;
        self.purged += other.purged;
        self.conceded += other.conceded;
        self.refuted += other.refuted;
        self.refused += other.refused;
        self.dropped += other.dropped;
    }
}
