use super::*;

#[test]
fn an_unknown_policy_has_no_selector_and_every_known_one_has() {
    assert!(Selector::<Policy>::new(&Policy::Unknown { code: 0x4711, data: vec![] }).is_none());
    for policy in every_kind() {
        assert_eq!(Pool::new(std::slice::from_ref(&policy)).select(5), [1], "{policy:?}");
    }
}

#[test]
fn a_member_of_another_policy_gets_no_service_but_by_round_robin_which_asks_for_no_values() {
    for policy in every_kind() {
        let other = if policy == Policy::Random { Policy::RoundRobin } else { Policy::Random };
        let mut pool = Pool::new(&[policy.clone(), policy.clone()]);
        pool.set(2, &other);
        pool.set(3, &other);
        let expected = if policy == Policy::RoundRobin { vec![1, 2, 3] } else { vec![1] };
        assert_eq!(pool.select(9), expected, "{policy:?}");
    }
}

#[test]
fn round_robin_turns_by_one_however_many_are_named() {
    let mut pool = Pool::new(&[Policy::RoundRobin, Policy::RoundRobin, Policy::RoundRobin]);
    for expected in [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]] {
        assert_eq!(pool.select(9), expected);
    }
    assert_eq!(pool.singles(4), [2, 3, 1, 2]);
}

#[test]
fn weighted_round_robin_gives_the_right_counts_evenly_spread() {
    let mut pool = Pool::new(&[wrr(1), wrr(2), wrr(3)]);
    for _ in 0..5 {
        let round = pool.singles(6);
        let count = |member| round.iter().filter(|chosen| **chosen == member).count();
        assert_eq!([count(1), count(2), count(3)], [1, 2, 3], "{round:?}");
        assert!(!round.windows(2).any(|pair| pair == [3, 3]), "{round:?}");
    }
}

#[test]
fn weighted_round_robin_names_nobody_twice_and_those_without_weight_never() {
    let mut pool = Pool::new(&[wrr(5), wrr(0), wrr(u32::MAX)]);
    for _ in 0..100 {
        let mut named = pool.select(9);
        named.sort_unstable();
        assert_eq!(named, [1, 3]);
    }
    assert!(Pool::new(&[wrr(0), wrr(0)]).select(9).is_empty());
}

#[test]
fn weighted_round_robin_with_equal_weights_is_round_robin() {
    let mut pool = Pool::new(&[wrr(4), wrr(4), wrr(4)]);
    assert_eq!(pool.singles(9), [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn weighted_round_robin_with_the_largest_weights_comes_round() {
    let mut pool = Pool::new(&[wrr(u32::MAX), wrr(u32::MAX / 2), wrr(1)]);
    let chosen = pool.singles(3000);
    let count = |member| chosen.iter().filter(|one| **one == member).count();
    assert!(count(1).abs_diff(2000) <= 1 && count(2).abs_diff(1000) <= 1, "{} {}", count(1), count(2));
}

#[test]
fn a_change_of_weight_neither_gives_a_member_more_than_its_share_nor_starves_it() {
    let mut pool = Pool::new(&[wrr(1), wrr(1)]);
    let mut named = [0; 3];
    for step in 0..1000 {
        pool.set(1, &wrr(1 + step % 2));
        named[usize::try_from(pool.one()).unwrap()] += 1;
    }
    assert!((500..=670).contains(&named[1]), "{named:?}: between one and two thirds of two");
}

#[test]
fn a_newcomer_is_served_at_once_though_thousands_came_and_went_before() {
    let mut pool = Pool::new(&[wrr(1000), wrr(1000)]);
    for member in 10..5000 {
        pool.set(member, &wrr(member));
        pool.select(1);
        pool.selector.remove(member);
    }
    pool.set(3, &wrr(1000));
    let next = pool.singles(9);
    let count = next.iter().filter(|one| **one == 3).count();
    assert!((2..=4).contains(&count), "{next:?}");
}

#[test]
fn priority_names_the_highest_first_and_equals_in_turn() {
    let priority = |priority| Policy::Priority { priority };
    let mut pool = Pool::new(&[priority(5), priority(u32::MAX), priority(0), priority(5)]);
    assert_eq!(pool.select(9), [2, 1, 4, 3]);
    assert_eq!(pool.select(9), [2, 4, 1, 3]);
    assert_eq!(pool.select(1), [2]);
}

#[test]
fn least_used_names_the_lowest_loads_first_and_equals_in_turn() {
    let mut pool = Pool::new(&[lu(50), lu(10), lu(50), lu(50), lu(u32::MAX)]);
    assert_eq!(pool.select(9), [2, 1, 3, 4, 5]);
    assert_eq!(pool.select(9), [2, 3, 4, 1, 5]);
    assert_eq!(pool.select(3), [2, 4, 1]);
    pool.set(5, &lu(9));
    assert_eq!(pool.select(2), [5, 2]);
}

#[test]
fn a_registration_without_change_keeps_the_turn() {
    let mut pool = Pool::new(&[lu(50), lu(50), lu(50)]);
    for expected in [1, 2, 3, 1, 2] {
        for member in 1..=3 {
            pool.set(member, &lu(50));
        }
        assert_eq!(pool.one(), expected);
    }
}

#[test]
fn degradation_alternates_equals_as_round_robin_does() {
    let policy = Policy::LeastUsedDegradation { load: percent(20), degradation: percent(10) };
    let mut pool = Pool::new(&[policy.clone(), policy]);
    assert_eq!(pool.singles(6), [1, 2, 1, 2, 1, 2]);
}

#[test]
fn degradation_fills_an_idle_member_up_to_the_load_of_the_others() {
    let lud = |load| Policy::LeastUsedDegradation { load, degradation: 10 };
    let mut pool = Pool::new(&[lud(50), lud(0)]);
    let chosen = pool.singles(6);
    assert_eq!(chosen, [2, 2, 2, 2, 2, 1], "at 50 both tie, and the other is longer without a turn");
}

#[test]
fn degradation_counts_every_entry_returned_and_starts_anew_with_a_registration() {
    let lud = |load| Policy::LeastUsedDegradation { load, degradation: 10 };
    let mut pool = Pool::new(&[lud(0), lud(5)]);
    assert_eq!(pool.select(2), [1, 2]);
    // 10 and 15: had only the first been counted, the second would be the better now.
    assert_eq!(pool.select(2), [1, 2]);
    // 20 and 25. The second registers again: 5.
    pool.set(2, &lud(5));
    assert_eq!(pool.select(2), [2, 1]);
}

#[test]
fn new_values_hold_from_the_registration_on_though_the_rank_is_the_same_at_first() {
    let lud = |degradation| Policy::LeastUsedDegradation { load: 0, degradation };
    let mut pool = Pool::new(&[lud(0), lud(0)]);
    pool.set(1, &lud(5));
    assert_eq!(pool.singles(4), [1, 2, 2, 2]);
}

#[test]
fn degradation_grows_beyond_32_bits() {
    let lud = |load| Policy::LeastUsedDegradation { load, degradation: u32::MAX };
    let mut pool = Pool::new(&[lud(u32::MAX), lud(u32::MAX - 1)]);
    assert_eq!(pool.singles(4), [2, 1, 2, 1], "saturated sums would be a tie");
}

#[test]
fn priority_least_used_weighs_what_one_more_user_would_cost() {
    let plu = |load, cost| Policy::PriorityLeastUsed { load: percent(load), degradation: percent(cost) };
    let mut pool = Pool::new(&[plu(50, 50), plu(50, 10)]);
    assert_eq!(pool.select(9), [2, 1], "the example of 5.3.1");
    let mut pool = Pool::new(&[plu(100, 90), plu(100, 80)]);
    assert_eq!(pool.select(9), [2, 1], "beyond full load too");
}

#[test]
fn priority_least_used_with_degradation_counts_on_from_the_first_user() {
    let plud = |load, degradation| Policy::PriorityLeastUsedDegradation { load, degradation };
    let mut pool = Pool::new(&[plud(0, 30), plud(15, 10)]);
    // 30 and 25; 30 and 35; 60 and 35; 60 and 45; 60 and 55; 60 and 65.
    assert_eq!(pool.singles(6), [2, 1, 2, 2, 2, 1]);
}

#[test]
fn distance_adds_to_the_load() {
    let near = Policy::LeastUsedDpf { load: 1000, dpf: 10, distance: 5 };
    let far = Policy::LeastUsedDpf { load: 900, dpf: 10, distance: 16 };
    let farthest = Policy::LeastUsedDpf { load: 0, dpf: u32::MAX, distance: u32::MAX };
    assert_eq!(Pool::new(&[farthest, far, near]).select(9), [3, 2, 1]);
    let place = |load, distance| Policy::LeastUsedDegradationDpf { load, degradation: 40, dpf: 10, distance };
    let mut pool = Pool::new(&[place(0, 5), place(0, 12)]);
    // 50 and 120; 90 and 120; 130 and 120; 130 and 160.
    assert_eq!(pool.singles(4), [1, 1, 2, 1]);
}

#[test]
fn those_without_weight_are_never_drawn_and_those_under_full_load_are() {
    let wrand = |weight| Policy::WeightedRandom { weight };
    assert_eq!(Pool::new(&[wrand(0), wrand(1), wrand(0)]).select(9), [2]);
    assert!(Pool::new(&[wrand(0)]).select(9).is_empty());
    let dpf = |weight| Policy::WeightedRandomDpf { weight, dpf: u32::MAX, distance: u32::MAX };
    assert_eq!(Pool::new(&[dpf(0), dpf(u32::MAX)]).select(9), [2]);
    let full = Policy::RandomizedLeastUsed { load: u32::MAX };
    assert_eq!(Pool::new(&[full]).select(9), [1]);
}

#[test]
fn a_look_at_the_choice_changes_nothing() {
    for policy in every_kind() {
        let policies = vec![policy.clone(); 5];
        let (mut looked, mut plain) = (Pool::new(&policies), Pool::new(&policies));
        for count in [1, 3, 9, 2, 1] {
            looked.selector.peek(2, &mut || 0);
            assert_eq!(looked.select(count), plain.select(count), "{policy:?}");
        }
    }
}
