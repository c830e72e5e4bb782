//! What is known of the policies (Dreibholz, "Reliable Server Pooling", 2007, chapters 8 and 9) shows here, too.

use super::*;

const SEED: u64 = 1;

fn played(capacities: Capacities, policy: Contender, change: impl FnOnce(&mut Shape)) -> Seen {
    let mut shape = Shape::new(50, capacities, policy, 0.7);
    shape.jobs = 3_000;
    change(&mut shape);
    run(SEED, &shape)
}

fn plain(capacities: Capacities, policy: Contender) -> Seen {
    played(capacities, policy, |_| {})
}

#[test]
fn the_same_seed_gives_the_same_results_and_another_one_others() {
    let shape = Shape { jobs: 500, ..Shape::new(10, Capacities::Linear, Contender::Random, 0.6) };
    assert_eq!(run(7, &shape), run(7, &shape));
    assert_ne!(run(7, &shape), run(8, &shape));
}

#[test]
fn every_job_is_done_and_what_is_computed_is_what_was_asked_for() {
    for policy in Contender::ALL {
        let seen = plain(Capacities::Linear, policy);
        assert_eq!((seen.done, seen.interrupted, seen.lost), (3_000, 0, 0.0), "{policy:?}");
        // The pool fills at first and empties at the end.
        assert!((0.5..0.8).contains(&seen.utilisation), "{policy:?}: {}", seen.utilisation);
    }
}

#[test]
fn adaptive_policies_come_before_those_that_do_not_adapt_where_elements_are_unequal() {
    for capacities in [Capacities::Linear, Capacities::FewFast] {
        let of = |adapts: bool| {
            let all = Contender::ALL.into_iter().filter(move |policy| policy.adapts() == adapts);
            all.map(move |policy| plain(capacities, policy).handling)
        };
        let worst_that_adapts = of(true).fold(0.0, f64::max);
        // Those that know the capacities have a part of what adapting gives.
        let blind = [Contender::RoundRobin, Contender::Random].map(|it| plain(capacities, it).handling);
        let best_blind = blind.into_iter().fold(f64::MAX, f64::min);
        assert!(worst_that_adapts < best_blind, "{capacities:?}: {worst_that_adapts} {best_blind}");
        let best_that_adapts = of(true).fold(f64::MAX, f64::min);
        let best_that_does_not = of(false).fold(f64::MAX, f64::min);
        assert!(best_that_adapts < best_that_does_not, "{capacities:?}");
    }
}

#[test]
fn round_robin_comes_before_random_and_knowing_the_capacities_before_not_knowing_them() {
    let equal = |policy| plain(Capacities::Equal, policy).handling;
    assert!(equal(Contender::RoundRobin) < equal(Contender::Random));
    let unequal = |policy| plain(Capacities::FewFast, policy).handling;
    assert!(unequal(Contender::WeightedRoundRobin) < unequal(Contender::RoundRobin));
    assert!(unequal(Contender::WeightedRandom) < unequal(Contender::Random));
}

#[test]
fn round_robin_degrades_where_elements_that_are_slow_for_their_jobs_come_and_go_and_least_used_hardly_does() {
    // A job takes half as long as an element stays.
    let slower = |policy| {
        let play = |churn| {
            let mut shape = Shape { churn, ..Shape::new(50, Capacities::Equal, policy, 0.7) };
            shape.jobs = 5_000;
            (1..=5).map(|seed| run(seed, &shape).handling).sum::<f64>()
        };
        play(Some((20 * SECOND, 5 * SECOND))) / play(None) - 1.0
    };
    let (blind, adapts) = (slower(Contender::RoundRobin), slower(Contender::LeastUsed));
    assert!(blind > 0.15 && adapts < blind / 3.0, "{blind} {adapts}");
}

#[test]
fn what_is_lost_when_elements_die_is_less_with_more_cookies_and_nothing_when_they_leave() {
    let lost = |cookie: f64, deaths: u64| {
        let seen = played(Capacities::Linear, Contender::LeastUsed, |shape| {
            (shape.churn, shape.cookie, shape.deaths) = (Some((60 * SECOND, 15 * SECOND)), cookie, deaths);
        });
        assert!(seen.interrupted > 100 && seen.done == 3_000);
        seen.lost
    };
    let (seldom, often) = (lost(0.5, 1), lost(0.05, 1));
    assert!(often < seldom / 3.0, "{often} {seldom}");
    assert_eq!(lost(0.5, 0), 0.0);
}
