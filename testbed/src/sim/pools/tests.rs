//! A few runs of each kind; `cargo testbed check` plays many more, and all that has to be noticed.

use super::command::{noticed, small, small_of_each_kind};
use super::crowd::{Crowd, serve};
use super::*;

/// How many runs: without optimisation each takes some twenty times as long.
const RUNS: u64 = if cfg!(debug_assertions) { 16 } else { 200 };

#[test]
fn whatever_goes_wrong_every_living_element_has_one_home_and_every_registrar_knows_it() {
    for some_listed in [false, true] {
        let (seen, failed) = small(0..RUNS, some_listed);
        if let Some((seed, what)) = failed.first() {
            let option = if some_listed { " --some-listed" } else { "" };
            let again = format!("cargo testbed simulate --seed {seed}{option}");
            panic!("{} failed; seed {seed}: {what}; again: {again}", failed.len());
        }
        let Seen { takeovers, resyncs, purged, conceded, refuted, refused, .. } = seen;
        let put_to_the_test = [takeovers, resyncs, purged, conceded, refuted, refused];
        assert!(put_to_the_test.iter().all(|count| *count > 0), "{seen:?}");
    }
}

#[test]
fn clusters_whose_hosts_list_all_registrars_are_played_and_such_as_list_only_some() {
    let shown = small_of_each_kind(2);
    assert!(shown.iter().all(|shown| shown.failed.is_none()), "{shown:?}");
    let names: Vec<_> = shown.iter().map(|shown| shown.name.as_str()).collect();
    assert_eq!(names, ["2 small clusters", "2 small clusters, some registrars listed"]);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let shape = Shape::small(3);
    let (first, second) = (replay(3, &shape), replay(3, &shape));
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert!(first.1.len() > 100, "it is told what happens");
}

#[test]
fn a_cluster_of_many_registrars_is_whole_with_as_many_elements_as_there_are() {
    let (registrars, elements) = if cfg!(debug_assertions) { (6, 60) } else { (20, 500) };
    let seen = run(0, &Shape::large(registrars, elements)).unwrap();
    assert!(seen.conceded > 0 && seen.resyncs > 0 && seen.looks > 10 * elements as u64, "{seen:?}");
}

#[test]
fn a_network_that_loses_answers_is_noticed_by_living_elements_that_are_taken_out() {
    noticed(Trick::Deaf(3), "takes out element").unwrap();
}

#[test]
fn registrars_whose_checksum_stands_still_are_noticed_by_what_their_peers_hear() {
    noticed(Trick::Stuck, "hears checksum").unwrap();
}

#[test]
fn the_subscribers_of_a_restless_pool_all_have_its_last_state_and_wait_for_no_slow_one() {
    let crowd = Crowd { subscribers: 300, slow: 3, seconds: 1, ..Crowd::default() };
    let served = serve(1, &crowd).unwrap();
    assert!(served.slowest > served.late + super::super::SECOND, "{served:?}");
}
