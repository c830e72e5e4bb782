//! A few runs of each kind; `cargo testbed check` plays many more. And what no network does is noticed.

use super::command::small;
use super::crowd::{Crowd, serve};
use super::*;

#[test]
fn whatever_goes_wrong_every_living_element_has_one_home_and_every_registrar_knows_it() {
    let (seen, failed) = small(0..40);
    if let Some((seed, what)) = failed.first() {
        panic!("{} failed; seed {seed}: {what}; again: cargo testbed simulate --seed {seed}", failed.len());
    }
    let put_to_the_test = [seen.takeovers, seen.resyncs, seen.purged, seen.conceded, seen.refuted];
    assert!(put_to_the_test.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let shape = Shape::small(3);
    let (first, second) = (replay(3, &shape), replay(3, &shape));
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert!(first.1.len() > 100, "it is told what happens");
}

/// How many of so many runs fail in a network that does this, and what is said of them.
fn noticed(trick: Trick, seeds: u64) -> Vec<String> {
    (0..seeds).filter_map(|seed| run(seed, &Shape { trick, ..Shape::small(seed) }).err()).collect()
}

#[test]
fn a_network_that_brings_old_updates_once_more_is_noticed_by_elements_that_rise_from_the_dead() {
    let noticed = noticed(Trick::Resurrect, 40);
    assert!(
        noticed.iter().any(|what| what.contains("is gone, no registrar has had it for long")),
        "{noticed:?}"
    );
}

#[test]
fn a_network_that_loses_answers_is_noticed_by_living_elements_that_are_taken_out() {
    let noticed = noticed(Trick::Deaf(3), 10);
    assert!(noticed.iter().any(|what| what.contains("takes out element")), "{noticed:?}");
}

#[test]
fn the_subscribers_of_a_restless_pool_all_have_its_last_state_and_wait_for_no_slow_one() {
    let crowd = Crowd { subscribers: 300, slow: 3, seconds: 1, ..Crowd::default() };
    let served = serve(1, &crowd).unwrap();
    assert!(served.slowest > served.late + super::super::SECOND, "{served:?}");
}
