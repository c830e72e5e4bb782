//! A policy, and what an element tells of itself by it (RFC 5356).

use asap_client::wire::Policy;
use clap::ValueEnum;

/// A policy that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Round Robin.
    RoundRobin,
    /// Weighted Round Robin, by capacity.
    WeightedRoundRobin,
    /// Random.
    Random,
    /// Weighted Random, by capacity.
    WeightedRandom,
    /// Least Used.
    LeastUsed,
    /// Least Used with Degradation, which is what one more job adds.
    LeastUsedDegradation,
    /// Priority Least Used: least used once it had one more job.
    PriorityLeastUsed,
    /// Randomized Least Used.
    RandomizedLeastUsed,
}

impl Contender {
    /// All of them, those that do not adapt first.
    pub const ALL: [Self; 8] = [
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::Random,
        Self::WeightedRandom,
        Self::RandomizedLeastUsed,
        Self::LeastUsed,
        Self::LeastUsedDegradation,
        Self::PriorityLeastUsed,
    ];

    /// As RFC 5356 calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "Round Robin",
            Self::WeightedRoundRobin => "Weighted Round Robin",
            Self::Random => "Random",
            Self::WeightedRandom => "Weighted Random",
            Self::LeastUsed => "Least Used",
            Self::LeastUsedDegradation => "Least Used with Degradation",
            Self::PriorityLeastUsed => "Priority Least Used",
            Self::RandomizedLeastUsed => "Randomized Least Used",
        }
    }

    /// Whether an element tells its load, so that the choice follows it.
    #[must_use]
    pub const fn adapts(self) -> bool {
        matches!(
            self,
            Self::LeastUsed
                | Self::LeastUsedDegradation
                | Self::PriorityLeastUsed
                | Self::RandomizedLeastUsed
        )
    }

    /// What an element registers that computes `jobs` of the `most` that it may at a time.
    pub(super) fn policy(self, jobs: usize, most: usize) -> Policy {
        let part = |jobs: usize| {
            let part = jobs as u64 * u64::from(u32::MAX) / most.max(1) as u64;
            u32::try_from(part).unwrap_or(u32::MAX)
        };
        let (load, degradation) = (part(jobs), part(1));
        let weight = u32::try_from(most).unwrap_or(u32::MAX);
        match self {
            Self::RoundRobin => Policy::RoundRobin,
            Self::WeightedRoundRobin => Policy::WeightedRoundRobin { weight },
            Self::Random => Policy::Random,
            Self::WeightedRandom => Policy::WeightedRandom { weight },
            Self::LeastUsed => Policy::LeastUsed { load },
            Self::LeastUsedDegradation => Policy::LeastUsedDegradation { load, degradation },
            Self::PriorityLeastUsed => Policy::PriorityLeastUsed { load, degradation },
            Self::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
        }
    }
}
