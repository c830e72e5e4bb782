//! Sessions over elements that are killed and started anew, on a virtual clock: every request is seen answered once, in
//! order, whatever the seed.

#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

mod app;
mod world;

use std::time::{Duration, Instant};

use asap_client::session::user::Exchange;
use world::{Outcome, Plant, REQUESTS, World};

/// The seeds `ROAM_SESSION_SEEDS=FROM..TO`; without it 1,000, or as many as a build without optimisation has time for.
fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("ROAM_SESSION_SEEDS") else {
        return 0..if cfg!(debug_assertions) { 50 } else { 1000 };
    };
    let ends = text.split_once("..").map(|(from, to)| (from.parse(), to.parse()));
    let Some((Ok(from), Ok(to))) = ends else { panic!("ROAM_SESSION_SEEDS is FROM..TO, not {text}") };
    from..to
}

fn run(seed: u64, exchange: Exchange, plant: Plant) -> Result<Outcome, String> {
    World::new(Instant::now(), seed, exchange, plant).run()
}

fn every_seed(exchange: Exchange) {
    let (mut losses, mut executed, mut echoes, mut afresh, mut repeated) = (0, 0, 0, 0, 0);
    let (mut pause, mut runs) = (Duration::ZERO, 0);
    for seed in seeds() {
        let outcome = run(seed, exchange, Plant::Nothing).unwrap_or_else(|wrong| panic!("{wrong}"));
        runs += 1;
        losses += outcome.counters.losses;
        echoes += outcome.counters.echoes;
        afresh += outcome.counters.afresh;
        repeated += outcome.counters.repeated;
        executed += outcome.executed;
        pause = pause.max(outcome.pause);
    }
    println!(
        "{exchange:?}: {runs} runs of {REQUESTS} requests, {losses} elements lost, {echoes} cookies echoed, \
         {afresh} refused, {executed} executions, {repeated} answers seen before, longest pause {pause:?}"
    );
    assert!(losses > runs, "the elements are to be lost: {losses} in {runs} runs");
    assert!(echoes > runs / 2 && executed > runs * REQUESTS);
}

#[test]
fn each_request_is_answered_once_and_in_order_while_the_elements_come_and_go() {
    every_seed(Exchange::Requests);
}

#[test]
fn a_service_with_a_state_answers_as_if_it_had_never_been_lost() {
    every_seed(Exchange::Transactions);
}

/// How many of 20 seeds show what was planted.
fn found(exchange: Exchange, plant: Plant) -> usize {
    (0..20).filter(|seed| run(*seed, exchange, plant).is_err()).count()
}

#[test]
fn a_cookie_that_does_not_cover_what_it_claims_is_found() {
    assert!(found(Exchange::Requests, Plant::CookieClaimsTooMuch) > 15);
    assert!(found(Exchange::Transactions, Plant::CookieClaimsTooMuch) > 15);
}

#[test]
fn an_answer_that_comes_twice_is_found() {
    assert!(found(Exchange::Requests, Plant::AnswerTwice) > 15);
    assert!(found(Exchange::Transactions, Plant::AnswerTwice) > 15);
}

#[test]
fn a_request_dropped_at_failover_is_found() {
    assert!(found(Exchange::Requests, Plant::RequestDropped) > 15);
    assert!(found(Exchange::Transactions, Plant::RequestDropped) > 15);
}
