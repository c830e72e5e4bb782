use super::*;
use asap_client::wire::Cause;

/// An element at A; the same registers over B from another address.
fn moved() -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.up(B, &["10.0.1.1"]);
    w.registered(B, "p", element(1, "10.0.1.1"));
    w
}

fn ack(id: u32) -> Message {
    Message::EndpointKeepAliveAck { handle: handle("p"), id }
}

#[test]
fn a_host_that_moved_registers_at_once_though_its_old_association_is_alive() {
    let w = moved();
    assert_eq!(w.seen("p"), [(1, vec!["10.0.1.1".parse().unwrap()])]);
}

#[test]
fn the_end_of_the_old_association_does_not_remove_the_element_that_moved() {
    let mut w = moved();
    w.down(A);
    assert_eq!(w.seen("p").len(), 1);
    w.down(B);
    assert!(w.seen("p").is_empty());
}

#[test]
fn the_old_association_is_asked_and_closed_if_it_is_silent() {
    let mut w = moved();
    assert!(matches!(w.one(A), Message::EndpointKeepAlive { home: false, id: Some(1), .. }));
    w.pass(second(5));
    assert_eq!(w.aborted, [(A, Reason::Displaced)]);
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn a_silent_old_association_that_has_another_element_is_left_alone() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.registered(A, "q", element(2, "10.0.0.1"));
    w.up(B, &["10.0.1.1"]);
    w.registered(B, "p", element(1, "10.0.1.1"));
    w.pass(second(60));
    assert!(w.aborted.is_empty());
    assert_eq!(w.seen("q").len(), 1);
}

#[test]
fn two_live_associations_that_claim_one_element_are_told_apart_by_keep_alives() {
    let mut w = moved();
    w.heard(A);
    w.say(A, &ack(1));
    assert!(w.events.iter().any(|e| matches!(e, Event::Contested { owner: B, older: A, .. })));
    w.say(B, &ack(1));
    let answer = w.register(A, "p", element(1, "10.0.0.1"));
    assert_eq!(cause_of(&answer), Some(Cause::NON_UNIQUE_PE_IDENTIFIER));
    assert_eq!(w.seen("p"), [(1, vec!["10.0.1.1".parse().unwrap()])], "the newer stays the owner");
}

#[test]
fn a_host_that_moves_back_over_its_first_association_is_let_in() {
    let mut w = moved();
    w.registered(A, "p", element(1, "10.0.0.1"));
    assert_eq!(w.seen("p"), [(1, vec!["10.0.0.1".parse().unwrap()])]);
    w.down(B);
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn a_contested_identifier_is_free_again_when_its_owner_has_gone() {
    let mut w = moved();
    w.say(A, &ack(1));
    w.say(B, &ack(1));
    w.down(B);
    w.heard(A);
    w.registered(A, "p", element(1, "10.0.0.1"));
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
