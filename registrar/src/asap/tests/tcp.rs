//! Pool users over TCP.

use super::*;
use asap_client::wire::Cause;

impl World {
    fn connected(&mut self, association: Association, from: &str) {
        self.give(Input::Connected { association, from: from.parse().unwrap() });
    }
}

#[test]
fn a_user_over_tcp_resolves_subscribes_and_reports_as_over_sctp() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.connected(B, "10.0.0.5:40000");
    assert_eq!(ids(&w.resolve(B, "p", None)), [1]);
    assert_eq!(cause_of(&w.resolve(B, "none", None)), Some(Cause::UNKNOWN_POOL_HANDLE));
    assert_eq!(ids(&w.subscribe(B, "p")), [1]);
    w.up(C, &["10.0.0.2"]);
    w.registered(C, "p", element(2, "10.0.0.2"));
    assert_eq!(ids(&w.one(B)), [1, 2]);
    w.say(B, &Message::EndpointUnreachable { handle: handle("p"), id: 2 });
    assert!(matches!(w.one(C), Message::EndpointKeepAlive { id: Some(2), .. }), "it is asked at once");
    assert!(w.heard(B).is_empty());
}

#[test]
fn an_element_is_neither_registered_nor_deregistered_over_tcp() {
    let mut w = World::new();
    w.connected(B, "10.0.0.1:40000");
    let answer = w.register(B, "p", element(1, "10.0.0.1"));
    assert!(matches!(answer, Message::RegistrationResponse { rejected: true, .. }));
    assert_eq!(cause_of(&answer), Some(Cause::SECURITY));
    assert!(w.seen("p").is_empty());

    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.say(B, &Message::Deregistration { handle: handle("p"), id: 1 });
    assert_eq!(cause_of(&w.one(B)), Some(Cause::SECURITY), "though it has the element's address");
    w.say(B, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    assert_eq!(w.seen("p").len(), 1);
    assert_eq!(w.registrar.counters().unexpected, 1);
}

#[test]
fn a_stream_that_cannot_be_read_on_is_answered_by_an_error_but_an_error_is_not() {
    let mut w = World::new();
    w.connected(B, "10.0.0.5:40000");
    w.give(Input::Garbled { association: B, bytes: vec![5, 0, 0, 3] });
    assert_eq!(w.one(B), Message::Error(vec![Cause::unrecognized_message(&[5, 0, 0, 3])]));
    w.give(Input::Garbled { association: B, bytes: vec![14, 0, 0, 3] });
    assert!(w.heard(B).is_empty());
    assert_eq!(w.registrar.counters().faults.malformed, 2);
}

#[test]
fn the_limit_of_associations_holds_for_tcp_and_sctp_together() {
    let mut w = World::with_limits(Limits { associations: 2, ..Limits::default() });
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.connected(B, "10.0.0.5:40000");
    w.connected(C, "10.0.0.5:40001");
    assert_eq!(w.aborted, [(B, Reason::PlaceNeeded)]);
    w.subscribe(C, "p");
    w.connected(Association(4), "10.0.0.5:40002");
    assert_eq!(w.aborted[1..], [(Association(4), Reason::TooMany)]);
}
