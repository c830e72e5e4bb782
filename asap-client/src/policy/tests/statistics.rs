//! Draws counted: the tolerances are about four standard deviations, and the seed is fixed.

use super::*;

const DRAWS: usize = 30_000;

/// Draws singly, and compares the counts with these shares.
fn shares(policies: &[Policy], expected: &[f64]) {
    let mut pool = Pool::new(policies);
    let chosen = pool.singles(DRAWS);
    compare(&chosen, expected, DRAWS);
}

fn compare(chosen: &[u32], expected: &[f64], draws: usize) {
    for (member, share) in (1..).zip(expected) {
        let count = chosen.iter().filter(|one| **one == member).count() as f64;
        let (mean, sigma) = (share * draws as f64, (draws as f64 * share * (1.0 - share)).sqrt());
        assert!((count - mean).abs() <= 4.0 * sigma, "member {member}: {count}, not {mean:.0} ± {sigma:.0}");
    }
}

#[test]
fn random_gives_all_the_same_chance() {
    shares(&vec![Policy::Random; 3], &[1.0 / 3.0; 3]);
    shares(&vec![Policy::Random; 7], &[1.0 / 7.0; 7]);
}

#[test]
fn random_orders_of_a_whole_pool_are_all_as_likely() {
    let mut pool = Pool::new(&vec![Policy::Random; 3]);
    let mut orders = std::collections::BTreeMap::new();
    for _ in 0..DRAWS {
        *orders.entry(pool.select(3)).or_insert(0_u32) += 1;
    }
    assert_eq!(orders.len(), 6);
    let mean = DRAWS as f64 / 6.0;
    let chi_square: f64 = orders.values().map(|n| (f64::from(*n) - mean).powi(2) / mean).sum();
    assert!(chi_square < 20.5, "{chi_square}: 0.1 % of all runs reach 20.5 with 5 degrees of freedom");
}

#[test]
fn weighted_random_draws_by_weight() {
    let weights = |weights: &[u32]| -> Vec<Policy> {
        weights.iter().map(|weight| Policy::WeightedRandom { weight: *weight }).collect()
    };
    shares(&weights(&[1, 3]), &[0.25, 0.75]);
    shares(&weights(&[5, 0, 1, 4]), &[0.5, 0.0, 0.1, 0.4]);
    shares(&weights(&[u32::MAX, u32::MAX, u32::MAX, u32::MAX]), &[0.25; 4]);
}

#[test]
fn the_second_of_a_weighted_draw_is_drawn_from_the_rest() {
    let mut pool = Pool::new(&[1, 2, 3].map(|weight| Policy::WeightedRandom { weight }));
    let second: Vec<u32> = (0..DRAWS).map(|_| pool.select(2)[1]).collect();
    // P(second = i) = sum over j of w_j / 6 * w_i / (6 - w_j).
    let of = |i: f64, others: [f64; 2]| others.iter().map(|j| j / 6.0 * i / (6.0 - j)).sum::<f64>();
    compare(&second, &[of(1.0, [2.0, 3.0]), of(2.0, [1.0, 3.0]), of(3.0, [1.0, 2.0])], DRAWS);
}

#[test]
fn randomized_least_used_draws_by_what_is_left_to_full_load() {
    let rlu = |load| Policy::RandomizedLeastUsed { load };
    shares(&[rlu(0), rlu(0x8000_0000)], &[2.0 / 3.0, 1.0 / 3.0]);
    shares(&[rlu(u32::MAX), rlu(percent(90))], &[0.0, 1.0]);
}

#[test]
fn randomized_priority_least_used_draws_by_what_one_more_user_would_leave() {
    let rplu =
        |load, cost| Policy::RandomizedPriorityLeastUsed { load: percent(load), degradation: percent(cost) };
    shares(&[rplu(0, 40), rplu(60, 20)], &[0.75, 0.25]);
}

#[test]
fn randomized_degradation_lowers_the_chance_until_the_next_registration() {
    let rlud = Policy::RandomizedLeastUsedDegradation { load: 0, degradation: percent(50) };
    let rplud = Policy::RandomizedPriorityLeastUsedDegradation { load: 0, degradation: percent(25) };
    // The chance of member 1 is a half of what it was after one, or two thirds, with one user more counted ahead.
    for (policy, share) in [(rlud, 1.0 / 3.0), (rplud, 2.0 / 5.0)] {
        let mut pool = Pool::new(&[policy.clone(), policy.clone()]);
        let mut then = Vec::new();
        for _ in 0..DRAWS {
            let first = pool.one();
            // The same as before counts as member 1.
            then.push(if pool.one() == first { 1 } else { 2 });
            pool.set(1, &policy);
            pool.set(2, &policy);
        }
        compare(&then, &[share, 1.0 - share], DRAWS);
    }
}

#[test]
fn distance_takes_its_part_off_the_weight() {
    // 1 % per millisecond: 50 ms take half of the weight.
    let place = |distance| Policy::WeightedRandomDpf { weight: 1_000_000, dpf: percent(1), distance };
    shares(&[place(0), place(50)], &[2.0 / 3.0, 1.0 / 3.0]);
}

#[test]
fn adaptive_rankings_share_evenly_among_equals() {
    for policy in [lu(7), Policy::PriorityLeastUsed { load: 7, degradation: 9 }] {
        let mut pool = Pool::new(&vec![policy; 4]);
        let chosen = pool.singles(400);
        for member in 1..=4 {
            assert_eq!(chosen.iter().filter(|one| **one == member).count(), 100);
        }
    }
}
