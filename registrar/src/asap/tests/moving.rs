use super::*;
use asap_client::wire::Cause;

/// An element at A; the same registers over B from another address, and waits.
fn moving() -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.up(B, &["10.0.1.1"]);
    w.say(B, &Message::Registration { handle: handle("p"), element: element(1, "10.0.1.1") });
    assert!(w.heard(B).is_empty(), "it waits");
    w
}

/// As [`moving`], and A was silent.
fn moved() -> World {
    let mut w = moving();
    w.heard(A);
    w.pass(MOVE);
    assert_eq!(w.one(B), accepted("p", 1));
    w
}

const MOVE: Duration = Duration::from_millis(300);

fn ack(id: u32) -> Message {
    Message::EndpointKeepAliveAck { handle: handle("p"), id }
}

fn there() -> Vec<(u32, Vec<IpAddr>)> {
    vec![(1, vec!["10.0.1.1".parse().unwrap()])]
}

fn here() -> Vec<(u32, Vec<IpAddr>)> {
    vec![(1, vec!["10.0.0.1".parse().unwrap()])]
}

#[test]
fn an_element_that_moved_registers_over_its_old_association_at_once() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.give(Input::Addresses { association: A, addresses: vec!["10.0.1.1".parse().unwrap()] });
    w.registered(A, "p", element(1, "10.0.1.1"));
    assert_eq!(w.seen("p"), there());
    assert!(w.heard(A).is_empty(), "nobody is asked");
}

#[test]
fn over_a_new_association_it_is_let_in_when_the_old_one_is_silent_for_300_ms() {
    let mut w = moving();
    assert!(matches!(w.one(A), Message::EndpointKeepAlive { home: false, id: Some(1), .. }));
    w.pass(MOVE - Duration::from_millis(1));
    assert_eq!(w.seen("p"), here());
    assert!(w.heard(B).is_empty());
    w.pass(Duration::from_millis(1));
    assert_eq!(w.one(B), accepted("p", 1));
    assert_eq!(w.seen("p"), there());
    assert!(w.events.iter().any(|e| matches!(e, Event::Reregistered { owner: B, from: Some(A), .. })));
}

#[test]
fn with_no_time_for_its_answer_the_owner_is_not_asked() {
    let mut w = World::with(Settings { move_timeout: Duration::ZERO, ..Settings::default() });
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.up(B, &["10.0.1.1"]);
    w.registered(B, "p", element(1, "10.0.1.1"));
    assert_eq!(w.seen("p"), there());
}

#[test]
fn how_long_the_old_one_has_can_be_set() {
    let move_timeout = second(2);
    let mut w = World::with(Settings { keep_alive_interval: None, move_timeout, ..Settings::default() });
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.up(B, &["10.0.1.1"]);
    w.say(B, &Message::Registration { handle: handle("p"), element: element(1, "10.0.1.1") });
    w.pass(Duration::from_millis(1999));
    assert!(w.heard(B).is_empty());
    w.pass(Duration::from_millis(1));
    assert_eq!(w.one(B), accepted("p", 1));
}

#[test]
fn while_the_old_association_answers_the_newcomer_is_refused_and_that_is_told() {
    let mut w = moving();
    w.pass(MOVE / 2);
    w.say(A, &ack(1));
    let answer = w.one(B);
    assert!(matches!(answer, Message::RegistrationResponse { rejected: true, id: 1, .. }));
    assert_eq!(cause_of(&answer), Some(Cause::NON_UNIQUE_PE_IDENTIFIER));
    assert_eq!(w.seen("p"), here());
    assert!(w.events.iter().any(|e| matches!(e, Event::Contested { owner: A, other: B, .. })));
    assert!(w.events.iter().any(|e| matches!(e, Event::Refused { association: B, cause: 4, .. })));
    assert_eq!((w.registrar.counters().contested, w.registrar.counters().registrations_refused), (1, 1));
    w.pass(second(60));
    assert_eq!(w.seen("p"), here());
}

#[test]
fn a_registration_of_the_old_association_is_as_good_as_an_answer() {
    let mut w = moving();
    w.registered(A, "p", element(1, "10.0.0.1"));
    assert_eq!(cause_of(&w.one(B)), Some(Cause::NON_UNIQUE_PE_IDENTIFIER));
    assert_eq!(w.seen("p"), here());
}

#[test]
fn an_answer_for_another_element_or_from_another_association_is_none() {
    let mut w = moving();
    w.registered(A, "p", element(2, "10.0.0.1"));
    w.up(C, &["10.0.2.1"]);
    w.say(A, &ack(2));
    w.say(B, &ack(1));
    w.say(C, &ack(1));
    w.pass(MOVE);
    assert_eq!(w.one(B), accepted("p", 1));
}

#[test]
fn when_the_old_association_is_down_it_is_let_in_and_is_not_gone_for_a_moment() {
    let mut w = moving();
    w.up(C, &["10.0.2.1"]);
    w.subscribe(C, "p");
    w.down(A);
    assert_eq!(w.one(B), accepted("p", 1));
    assert_eq!(w.seen("p"), there());
    assert_eq!(ids(&w.one(C)), [1], "one push, and not that it is gone");
    assert!(!w.events.iter().any(|e| matches!(e, Event::Removed { .. })));
    w.pass(second(60));
    assert_eq!(w.seen("p"), there());
}

#[test]
fn when_the_old_association_gets_an_address_of_the_new_one_they_are_one_host() {
    let mut w = moving();
    let both = ["10.0.0.1", "10.0.1.1"].map(|a| a.parse().unwrap()).to_vec();
    w.give(Input::Addresses { association: A, addresses: both });
    assert_eq!(w.one(B), accepted("p", 1));
    assert_eq!(w.seen("p"), there());
}

#[test]
fn of_several_newcomers_the_last_waits_and_no_longer_than_the_first() {
    let mut w = moving();
    w.pass(MOVE / 2);
    w.up(C, &["10.0.2.1"]);
    w.say(C, &Message::Registration { handle: handle("p"), element: element(1, "10.0.2.1") });
    assert_eq!(cause_of(&w.one(B)), Some(Cause::NON_UNIQUE_PE_IDENTIFIER));
    assert_eq!(w.heard(A).len(), 1, "it is asked once");
    w.pass(MOVE / 2);
    assert_eq!(w.one(C), accepted("p", 1));
}

#[test]
fn a_newcomer_that_has_gone_waits_for_nothing() {
    let mut w = moving();
    w.down(B);
    w.pass(second(60));
    assert_eq!(w.seen("p"), here());
    assert!(w.aborted.is_empty());
}

#[test]
fn a_newcomer_to_an_element_that_deregisters_is_let_in() {
    let mut w = moving();
    w.say(A, &Message::Deregistration { handle: handle("p"), id: 1 });
    assert_eq!(w.one(B), accepted("p", 1));
    assert_eq!(w.seen("p"), there());
}

#[test]
fn what_an_association_waits_for_counts_as_what_it_owns() {
    let limits = Limits { elements_per_association: 2, ..Limits::default() };
    let mut w = World::with_limits(limits);
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.1.1"]);
    for id in [1, 2] {
        w.registered(A, "p", element(id, "10.0.0.1"));
        w.say(B, &Message::Registration { handle: handle("p"), element: element(id, "10.0.1.1") });
    }
    assert_eq!(cause_of(&w.register(B, "q", element(3, "10.0.1.1"))), Some(Cause::LACK_OF_RESOURCES));
    w.pass(MOVE);
    assert_eq!(w.seen("p").len(), 2);
    assert_eq!(w.heard(B).len(), 2);
}

#[test]
fn the_end_of_the_old_association_does_not_remove_the_element_that_moved() {
    let mut w = moved();
    w.down(A);
    assert_eq!(w.seen("p"), there());
    w.down(B);
    assert!(w.seen("p").is_empty());
}

/// An element that its host registered over A and then over B; the registrar has them in the wrong order.
fn confused() -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.1"]);
    w.registered(B, "p", element(1, "10.0.0.1"));
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.down(A);
    w
}

#[test]
fn an_element_whose_association_ends_is_asked_over_the_one_that_its_host_registered_it_over_before() {
    let mut w = confused();
    assert_eq!(w.seen("p"), here());
    assert!(matches!(w.one(B), Message::EndpointKeepAlive { home: false, id: Some(1), .. }));
    w.say(B, &ack(1));
    w.pass(Duration::from_millis(1));
    assert_eq!(w.seen("p"), here());
    assert!(!w.events.iter().any(|e| matches!(e, Event::Removed { .. })));
    w.down(B);
    assert!(w.seen("p").is_empty());
}

#[test]
fn an_element_that_does_not_answer_where_its_host_registered_it_before_is_removed() {
    let mut w = confused();
    w.pass(Settings::default().keep_alive_timeout);
    assert!(w.seen("p").is_empty());
    assert!(w.events.iter().any(|e| matches!(e, Event::Removed { why: crate::asap::Why::NoAnswer, .. })));
}

#[test]
fn an_old_association_that_stays_silent_is_closed() {
    let mut w = moved();
    w.pass(second(5));
    assert_eq!(w.aborted, [(A, Reason::Displaced)]);
    assert_eq!(w.seen("p"), there());
}

#[test]
fn an_old_association_that_answers_too_late_is_kept_without_the_element() {
    let mut w = moved();
    w.say(A, &ack(1));
    assert!(w.events.iter().any(|e| matches!(e, Event::Contested { owner: B, other: A, .. })));
    w.pass(second(60));
    assert!(w.aborted.is_empty());
    assert_eq!(w.seen("p"), there());
    w.say(A, &Message::Registration { handle: handle("p"), element: element(1, "10.0.0.1") });
    w.say(B, &ack(1));
    assert_eq!(cause_of(&w.one(A)), Some(Cause::NON_UNIQUE_PE_IDENTIFIER), "now it is the stranger");
}

#[test]
fn a_silent_old_association_that_has_another_element_is_left_alone() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.registered(A, "q", element(2, "10.0.0.1"));
    w.up(B, &["10.0.1.1"]);
    w.say(B, &Message::Registration { handle: handle("p"), element: element(1, "10.0.1.1") });
    w.pass(second(60));
    assert_eq!(w.one(B), accepted("p", 1));
    assert!(w.aborted.is_empty());
    assert_eq!(w.seen("q").len(), 1);
}

#[test]
fn a_host_that_moves_back_over_its_first_association_is_let_in() {
    let mut w = moved();
    w.heard(A);
    w.say(A, &Message::Registration { handle: handle("p"), element: element(1, "10.0.0.1") });
    w.pass(MOVE);
    assert_eq!(w.one(A), accepted("p", 1));
    assert_eq!(w.seen("p"), here());
    w.down(B);
    assert_eq!(w.seen("p"), here());
}

#[test]
fn a_new_association_of_the_same_host_takes_over_without_questions() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.up(B, &["10.0.0.1", "10.0.1.1"]);
    w.registered(B, "p", element(1, "10.0.0.1"));
    assert!(w.heard(A).is_empty());
    w.down(A);
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn an_association_that_moves_takes_its_asap_transport_along() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let new: IpAddr = "10.0.1.1".parse().unwrap();
    w.give(Input::Addresses { association: A, addresses: vec![new] });
    let pool = w.registrar.handlespace().pool(&handle("p")).unwrap();
    assert_eq!(pool.element(1).unwrap().asap.addresses(), [new]);
    w.registered(A, "p", element(1, "10.0.1.1"));
    assert_eq!(w.seen("p"), [(1, vec![new])]);
}

#[test]
fn a_newcomer_that_waits_for_one_owner_waits_as_long_for_the_next() {
    let mut w = moving();
    w.pass(MOVE / 2);
    w.up(C, &["10.0.0.1"]);
    w.say(C, &Message::Registration { handle: handle("p"), element: element(1, "10.0.0.1") });
    let asked = |m: &Message| matches!(m, Message::EndpointKeepAlive { home: false, id: Some(1), .. });
    assert!(w.heard(C).iter().any(asked));
    w.pass(MOVE - Duration::from_millis(1));
    assert_eq!(w.seen("p"), here(), "its time to answer has begun anew");
    w.pass(Duration::from_millis(1));
    assert_eq!(w.seen("p"), there());
}

#[test]
fn an_owner_that_answers_too_late_has_its_element_again_when_the_newcomers_association_ends() {
    let mut w = moved();
    w.say(A, &ack(1));
    assert_eq!(w.seen("p"), there());
    w.heard(A);
    w.down(B);
    assert!(matches!(w.one(A), Message::EndpointKeepAlive { home: false, id: Some(1), .. }));
    assert_eq!(w.seen("p"), here());
    w.say(A, &ack(1));
    w.pass(second(60));
    assert_eq!(w.seen("p"), here());
    w.down(A);
    assert!(w.seen("p").is_empty());
}

#[test]
fn an_element_whose_association_ends_is_what_it_was_registered_as_over_the_one_before() {
    let mut w = World::new();
    let loaded = |load| PoolElement { policy: Policy::LeastUsed { load }, ..element(1, "10.0.0.1") };
    let load = |w: &World| {
        let pool = w.registrar.handlespace().pool(&handle("p")).unwrap();
        pool.element(1).map(|element| element.policy.clone())
    };
    for association in [A, B] {
        w.up(association, &["10.0.0.1"]);
    }
    // That over B was sent before the other, and came later.
    w.registered(A, "p", loaded(7));
    w.registered(B, "p", loaded(3));
    w.heard(A);
    w.down(B);
    assert_eq!(load(&w), Some(Policy::LeastUsed { load: 7 }));
    assert!(matches!(w.one(A), Message::EndpointKeepAlive { id: Some(1), .. }));
    assert_eq!(w.registrar.handlespace().count_owned_by(A), 1);
}

#[test]
fn reports_of_an_element_that_goes_back_to_the_association_before_begin_anew_and_each_host_counts() {
    for while_at in [A, B] {
        let mut w = World::new();
        for association in [A, B] {
            w.up(association, &["10.0.0.1"]);
        }
        let report = |w: &mut World, hosts: std::ops::RangeInclusive<u64>| {
            for host in hosts {
                w.up(Association(10 + host), &[&format!("10.0.2.{host}")]);
                w.say(Association(10 + host), &Message::EndpointUnreachable { handle: handle("p"), id: 1 });
            }
        };
        for association in [A, B] {
            w.registered(association, "p", element(1, "10.0.0.1"));
            if association == while_at {
                report(&mut w, 1..=3);
            }
        }
        w.down(B);
        report(&mut w, 4..=4);
        assert_eq!(w.seen("p"), here(), "what was said before does not count");
        report(&mut w, 1..=2);
        assert_eq!(w.seen("p"), here());
        report(&mut w, 3..=3);
        assert!(w.seen("p").is_empty(), "but whoever says it again does");
    }
}

#[test]
fn elements_that_go_back_to_an_association_are_not_more_than_it_may_have() {
    let limits = Limits { elements_per_association: 2, ..Limits::default() };
    let mut w = World::with_limits(limits);
    for association in [A, B] {
        w.up(association, &["10.0.0.1"]);
    }
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.registered(A, "p", element(2, "10.0.0.1"));
    w.registered(B, "p", element(1, "10.0.0.1"));
    w.registered(B, "p", element(2, "10.0.0.1"));
    w.registered(A, "p", element(3, "10.0.0.1"));
    w.heard(A);
    w.down(B);
    assert_eq!(w.registrar.handlespace().count_owned_by(A), 2);
    let told = |m: &Message| matches!(m, Message::DeregistrationResponse { id: 2, error: None, .. });
    assert_eq!(w.heard(A).into_iter().filter(told).count(), 1, "the other one can register again");
    let refused = w.register(A, "p", element(2, "10.0.0.1"));
    assert_eq!(cause_of(&refused), Some(Cause::LACK_OF_RESOURCES));
}
