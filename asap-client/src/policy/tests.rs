//! The policies against the RFC's rules, against chance, and against a model that is as plain as can be.

#[path = "../../tests/common/every_policy.rs"]
mod every_policy;
mod properties;
mod rules;
mod statistics;

use super::*;
use crate::random::SplitMix64;

/// A selector of these members, numbered from 1, and its source of randomness.
struct Pool {
    selector: Selector<Policy>,
    random: SplitMix64,
}

impl Pool {
    fn new(policies: &[Policy]) -> Self {
        let mut selector = Selector::new(&policies[0]).unwrap();
        for (member, policy) in (1..).zip(policies) {
            selector.set(member, policy.clone(), policy);
        }
        Self { selector, random: SplitMix64::new(0x0bad_5eed) }
    }

    fn select(&mut self, count: usize) -> Vec<u32> {
        self.selector.select(count, &mut || self.random.draw())
    }

    /// The only member that is named.
    fn one(&mut self) -> u32 {
        let chosen = self.select(1);
        assert_eq!(chosen.len(), 1);
        chosen[0]
    }

    fn singles(&mut self, draws: usize) -> Vec<u32> {
        (0..draws).map(|_| self.one()).collect()
    }

    fn set(&mut self, member: u32, policy: &Policy) {
        self.selector.set(member, policy.clone(), policy);
    }
}

/// This part of 100 % as loads are written.
fn percent(part: u32) -> u32 {
    u32::try_from(u64::from(u32::MAX) * u64::from(part) / 100).unwrap()
}

fn wrr(weight: u32) -> Policy {
    Policy::WeightedRoundRobin { weight }
}

fn lu(load: u32) -> Policy {
    Policy::LeastUsed { load }
}

/// One of every kind, with values that give service.
fn every_kind() -> Vec<Policy> {
    every_policy::every_policy([7, 3, percent(10), percent(1), 1000, 20]).to_vec()
}
