use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The same rules, every member looked at for every selection.
#[derive(Default)]
struct Model {
    members: BTreeMap<u32, (Policy, u64)>,
}

impl Model {
    fn serves(policy: &Policy) -> bool {
        !matches!(
            policy,
            Policy::WeightedRoundRobin { weight: 0 }
                | Policy::WeightedRandom { weight: 0 }
                | Policy::WeightedRandomDpf { weight: 0, .. }
        )
    }

    fn serving(&self) -> Vec<u32> {
        self.members.iter().filter(|(_, (policy, _))| Self::serves(policy)).map(|(id, _)| *id).collect()
    }

    /// By which the deterministic policies order; the same for all where there is no order.
    fn rank(&self, member: u32) -> u128 {
        let (policy, returned) = &self.members[&member];
        let sum = |load: u32, times: u64, degradation: u32| {
            u128::from(load) + u128::from(times) * u128::from(degradation)
        };
        match *policy {
            Policy::Priority { priority } => u128::from(!priority),
            Policy::LeastUsed { load } => sum(load, 0, 0),
            Policy::LeastUsedDegradation { load, degradation } => sum(load, *returned, degradation),
            Policy::PriorityLeastUsed { load, degradation } => sum(load, 1, degradation),
            Policy::PriorityLeastUsedDegradation { load, degradation } => {
                sum(load, returned + 1, degradation)
            }
            Policy::LeastUsedDpf { load, dpf, distance } => sum(load, distance.into(), dpf),
            Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                sum(load, *returned, degradation) + sum(0, distance.into(), dpf)
            }
            _ => 0,
        }
    }

    /// What must hold of every selection, whatever the policy.
    fn check(&mut self, count: usize, chosen: &[u32]) {
        let serving = self.serving();
        assert_eq!(chosen.len(), count.min(serving.len()), "as many as were asked for, or all");
        assert!(chosen.iter().all(|member| serving.contains(member)), "{chosen:?} of {serving:?}");
        let mut once = chosen.to_vec();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), chosen.len(), "nobody twice: {chosen:?}");
        let ranks: Vec<_> = chosen.iter().map(|member| self.rank(*member)).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
        let left_out =
            serving.iter().filter(|member| !chosen.contains(member)).map(|member| self.rank(*member));
        assert!(ranks.last().is_none_or(|worst| left_out.min().is_none_or(|best| *worst <= best)));
        for member in chosen {
            if let Some((_, returned)) = self.members.get_mut(member) {
                *returned += 1;
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, [u32; 4]),
    Remove(u32),
    Select(usize),
}

fn value() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 0u32..5, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u32..20, [value(), value(), value(), value()]).prop_map(|(id, values)| Step::Set(id, values)),
        1 => (0u32..20).prop_map(Step::Remove),
        4 => (0usize..25).prop_map(Step::Select),
    ]
}

/// The same kind of policy with other values.
fn with_values(kind: &Policy, [a, b, c, d]: [u32; 4]) -> Policy {
    match kind {
        Policy::WeightedRoundRobin { .. } => Policy::WeightedRoundRobin { weight: a },
        Policy::WeightedRandom { .. } => Policy::WeightedRandom { weight: a },
        Policy::Priority { .. } => Policy::Priority { priority: a },
        Policy::LeastUsed { .. } => Policy::LeastUsed { load: a },
        Policy::LeastUsedDegradation { .. } => Policy::LeastUsedDegradation { load: a, degradation: b },
        Policy::PriorityLeastUsed { .. } => Policy::PriorityLeastUsed { load: a, degradation: b },
        Policy::RandomizedLeastUsed { .. } => Policy::RandomizedLeastUsed { load: a },
        Policy::RandomizedPriorityLeastUsed { .. } => {
            Policy::RandomizedPriorityLeastUsed { load: a, degradation: b }
        }
        Policy::RandomizedLeastUsedDegradation { .. } => {
            Policy::RandomizedLeastUsedDegradation { load: a, degradation: b }
        }
        Policy::PriorityLeastUsedDegradation { .. } => {
            Policy::PriorityLeastUsedDegradation { load: a, degradation: b }
        }
        Policy::RandomizedPriorityLeastUsedDegradation { .. } => {
            Policy::RandomizedPriorityLeastUsedDegradation { load: a, degradation: b }
        }
        Policy::WeightedRandomDpf { .. } => Policy::WeightedRandomDpf { weight: a, dpf: b, distance: c },
        Policy::LeastUsedDpf { .. } => Policy::LeastUsedDpf { load: a, dpf: b, distance: c },
        Policy::LeastUsedDegradationDpf { .. } => {
            Policy::LeastUsedDegradationDpf { load: a, degradation: b, dpf: c, distance: d }
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn every_selection_is_what_a_look_at_all_members_gives(
        kind in prop::sample::select(every_kind()),
        steps in prop::collection::vec(step(), 1..150),
        seed in any::<u64>(),
    ) {
        let (mut model, mut selector) = (Model::default(), Selector::new(&kind).unwrap());
        let mut random = SplitMix64::new(seed);
        for step in steps {
            match step {
                Step::Set(member, values) => {
                    let policy = with_values(&kind, values);
                    selector.set(member, policy.clone(), &policy);
                    model.members.insert(member, (policy, 0));
                }
                Step::Remove(member) => {
                    selector.remove(member);
                    model.members.remove(&member);
                }
                Step::Select(count) => model.check(count, &selector.select(count, &mut || random.draw())),
            }
        }
    }

    #[test]
    fn a_source_that_repeats_itself_for_ever_holds_nothing_up(
        kind in prop::sample::select(every_kind()),
        same in any::<u64>(),
    ) {
        let mut pool = Pool::new(&vec![kind; 9]);
        prop_assert_eq!(pool.selector.select(20, &mut || same).len(), 9);
    }

    #[test]
    fn everybody_with_a_weight_is_reached(
        kind in prop::sample::select(every_kind()),
        members in 1u32..20,
    ) {
        let mut pool = Pool::new(&vec![kind; usize::try_from(members).unwrap()]);
        let mut reached: Vec<u32> = pool.singles(2000);
        reached.sort_unstable();
        reached.dedup();
        prop_assert_eq!(reached, (1..=members).collect::<Vec<_>>());
    }

    /// Nobody is ever a whole turn before or behind its share, at no moment of the cycle.
    #[test]
    fn weighted_round_robin_keeps_everybody_within_one_turn_of_its_share(
        weights in prop::collection::vec(prop_oneof![1u32..5, 1u32..60], 1..12),
    ) {
        let mut pool = Pool::new(&weights.iter().map(|weight| wrr(*weight)).collect::<Vec<_>>());
        let total: u32 = weights.iter().sum();
        let mut had = vec![0_i64; weights.len()];
        for turn in 1..=i64::from(2 * total) {
            had[usize::try_from(pool.one()).unwrap() - 1] += 1;
            for (had, weight) in had.iter().zip(&weights) {
                let lag = turn * i64::from(*weight) - had * i64::from(total);
                prop_assert!(lag.abs() < i64::from(total), "turn {}: {} of weight {}", turn, had, weight);
            }
            if turn % i64::from(total) == 0 {
                let rounds = turn / i64::from(total);
                prop_assert!(had.iter().zip(&weights).all(|(had, weight)| *had == rounds * i64::from(*weight)));
            }
        }
    }
}
