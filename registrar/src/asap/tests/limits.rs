//! Every bound is refused with cause 0x6, and others have what is left.

use super::*;
use asap_client::wire::Cause;

fn refused(answer: &Message) -> bool {
    matches!(answer, Message::RegistrationResponse { rejected: true, .. })
        && cause_of(answer) == Some(Cause::LACK_OF_RESOURCES)
}

/// A registrar of these limits with two clients, which have the addresses 10.0.0.1 and 10.0.0.2.
fn limited(limits: Limits) -> World {
    let mut w = World::with_limits(limits);
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w
}

fn at_a(id: u32) -> PoolElement {
    element(id, "10.0.0.1")
}

fn at_b(id: u32) -> PoolElement {
    element(id, "10.0.0.2")
}

#[test]
fn elements_beyond_the_limit_are_refused_and_those_there_are_renewed() {
    let mut w = limited(Limits { elements: 2, ..Limits::default() });
    w.registered(A, "p", at_a(1));
    w.registered(B, "q", at_b(2));
    assert!(refused(&w.register(A, "p", at_a(3))));
    w.registered(A, "p", at_a(1));
    w.say(A, &Message::Deregistration { handle: handle("p"), id: 1 });
    w.heard(A);
    w.registered(B, "p", at_b(3));
}

#[test]
fn elements_of_one_association_beyond_the_limit_are_refused_and_anothers_are_not() {
    let mut w = limited(Limits { elements_per_association: 2, ..Limits::default() });
    w.registered(A, "p", at_a(1));
    w.registered(A, "q", at_a(2));
    assert!(refused(&w.register(A, "p", at_a(3))));
    w.registered(A, "q", at_a(2));
    w.registered(B, "p", at_b(3));
}

#[test]
fn elements_of_one_pool_beyond_the_limit_are_refused_and_another_pools_are_not() {
    let mut w = limited(Limits { elements_per_pool: 2, ..Limits::default() });
    w.registered(A, "p", at_a(1));
    w.registered(B, "p", at_b(2));
    assert!(refused(&w.register(A, "p", at_a(3))));
    w.registered(A, "p", at_a(1));
    w.registered(A, "q", at_a(3));
}

#[test]
fn pools_beyond_the_limit_are_refused_and_those_there_are_served() {
    let mut w = limited(Limits { pools: 2, ..Limits::default() });
    w.registered(A, "p", at_a(1));
    w.registered(A, "q", at_a(1));
    assert!(refused(&w.register(B, "r", at_b(1))));
    w.registered(B, "p", at_b(2));
    w.say(A, &Message::Deregistration { handle: handle("q"), id: 1 });
    w.registered(B, "r", at_b(1));
}

#[test]
fn a_handle_or_an_element_beyond_the_limit_is_refused() {
    let mut w = limited(Limits { pool_handle_octets: 8, element_octets: 64, ..Limits::default() });
    assert!(refused(&w.register(A, "123456789", at_a(1))));
    w.registered(A, "12345678", at_a(1));
    let user = Transport::Opaque(vec![1; 100]);
    assert!(refused(&w.register(A, "p", PoolElement { user, ..at_a(1) })));
}

#[test]
fn a_handle_of_33_octets_or_of_60000_is_served() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    for length in [33, 60_000, 61_440] {
        let pool = "h".repeat(length);
        w.registered(A, &pool, at_a(1));
        assert_eq!(ids(&w.subscribe(B, &pool)), [1]);
        w.registered(A, &pool, at_a(2));
        assert_eq!(ids(&w.one(B)), [1, 2]);
        w.say(B, &Message::EndpointUnreachable { handle: handle(&pool), id: 1 });
        assert!(matches!(w.one(A), Message::EndpointKeepAlive { id: Some(1), .. }));
        w.say(A, &Message::Deregistration { handle: handle(&pool), id: 1 });
        w.one(A);
        assert_eq!(ids(&w.one(B)), [2]);
    }
}

#[test]
fn long_handles_cannot_fill_the_memory() {
    let mut w = limited(Limits { pool_handles_octets: 200_000, ..Limits::default() });
    let long = |number: u32| format!("{number:060000}");
    for number in 0..3 {
        w.registered(A, &long(number), at_a(1));
    }
    assert!(refused(&w.register(A, &long(3), at_a(1))));
    w.registered(A, &long(0), at_a(2));
    w.registered(B, "a short one", at_b(1));
    w.say(A, &Message::Deregistration { handle: handle(&long(1)), id: 1 });
    w.heard(A);
    w.registered(A, &long(3), at_a(1));
    assert_eq!(w.registrar.handlespace().handle_octets(), 180_011);
}

#[test]
fn subscriptions_to_long_handles_that_are_gone_cannot_fill_the_memory() {
    let mut w = limited(Limits { pool_handles_octets: 200_000, ..Limits::default() });
    let mut subscribed = 0;
    for number in 0..10 {
        let pool = format!("{number:060000}");
        w.registered(A, &pool, at_a(1));
        w.say(B, &Message::HandleResolution { subscribe: true, handle: handle(&pool), items: None });
        let heard = w.heard(B);
        assert_eq!(ids(&heard[0]), [1]);
        let told = matches!(heard[0], Message::HandleResolutionResponse { subscribed: true, .. });
        assert_eq!(told, heard.len() == 1, "it is answered, and refused apart");
        subscribed += usize::from(told);
        w.say(A, &Message::Deregistration { handle: handle(&pool), id: 1 });
        w.heard(A);
        w.pass(second(1));
        w.heard(B);
    }
    assert_eq!(subscribed, 3);
}

#[test]
fn an_element_that_no_update_could_hold_is_refused() {
    let limits = Limits { pool_handle_octets: 65_531, element_octets: 65_535, ..Limits::default() };
    let mut w = limited(limits);
    let pool = "h".repeat(40_000);
    let opaque = |octets| PoolElement { user: Transport::Opaque(vec![1; octets]), ..at_a(1) };
    assert!(refused(&w.register(A, &pool, opaque(25_470))));
    w.registered(A, &pool, opaque(25_400));
}

#[test]
fn subscriptions_beyond_the_limit_are_refused_and_the_question_is_answered() {
    let limits = Limits { subscriptions: 2, subscriptions_per_association: 1, ..Limits::default() };
    let mut w = limited(limits);
    w.up(C, &["10.0.0.3"]);
    for pool in ["p", "q"] {
        w.registered(A, pool, at_a(1));
    }
    let refused = |w: &mut World, association, pool: &str| {
        w.say(association, &Message::HandleResolution { subscribe: true, handle: handle(pool), items: None });
        let heard = w.heard(association);
        assert_eq!(ids(&heard[0]), [1]);
        let subscribed = matches!(heard[0], Message::HandleResolutionResponse { subscribed: true, .. });
        match &heard[1..] {
            [] => assert!(subscribed),
            [error] => assert!(!subscribed && cause_of(error) == Some(Cause::LACK_OF_RESOURCES)),
            more => panic!("{more:?}"),
        }
        !subscribed
    };
    assert!(!refused(&mut w, B, "p"));
    assert!(refused(&mut w, B, "q"));
    assert!(!refused(&mut w, B, "p"), "the one it has");
    assert!(!refused(&mut w, A, "p"));
    assert!(refused(&mut w, C, "p"), "all together");
    assert_eq!(w.registrar.counters().subscriptions_refused, 2);
}

#[test]
fn other_registrars_elements_leave_ours_their_room() {
    let mut w = limited(Limits { elements: 2, ..Limits::default() });
    for id in 10..20 {
        w.registrar.handlespace_mut().insert(handle("theirs"), super::elsewhere::at_another(id));
    }
    w.registered(A, "p", at_a(1));
    w.registered(A, "p", at_a(2));
    assert!(refused(&w.register(A, "p", at_a(3))));
}
