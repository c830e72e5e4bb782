//! The policies there are, in one place for the tests of all crates.

use super::Policy;

/// One of every kind, with these values.
pub(crate) fn every_policy([weight, priority, load, degradation, dpf, distance]: [u32; 6]) -> [Policy; 16] {
    [
        Policy::RoundRobin,
        Policy::WeightedRoundRobin { weight },
        Policy::Random,
        Policy::WeightedRandom { weight },
        Policy::Priority { priority },
        Policy::LeastUsed { load },
        Policy::LeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsed { load },
        Policy::RandomizedPriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsedDegradation { load, degradation },
        Policy::RandomizedPriorityLeastUsedDegradation { load, degradation },
        Policy::WeightedRandomDpf { weight, dpf, distance },
        Policy::LeastUsedDpf { load, dpf, distance },
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance },
    ]
}
