use super::*;
use asap_client::wire::Cause;

#[test]
fn unknown_types_are_reported_as_their_high_bits_ask() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.bytes(A, vec![0x4f, 0, 0, 4]);
    assert_eq!(w.one(A), Message::Error(vec![Cause::unrecognized_message(&[0x4f, 0, 0, 4])]));
    for silent in [0x0f, 0x8f, 0xcf] {
        w.bytes(A, vec![silent, 0, 0, 4]);
        assert!(w.heard(A).is_empty());
    }
}

/// A resolution of pool "pool" with one more parameter, of type `type_`.
fn with_parameter(type_: u16) -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 20, 0, 9, 0, 8, b'p', b'o', b'o', b'l'];
    bytes.extend(type_.to_be_bytes());
    bytes.extend([0, 8, 1, 2, 3, 4]);
    bytes
}

#[test]
fn unknown_parameters_are_treated_as_their_high_bits_ask() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "pool", element(1, "10.0.0.1"));
    let reported =
        |type_: u8| Message::Error(vec![Cause::unrecognized_parameter(&[type_, 0xff, 0, 8, 1, 2, 3, 4])]);
    w.bytes(A, with_parameter(0x00ff));
    assert!(w.heard(A).is_empty(), "dropped");
    w.bytes(A, with_parameter(0x40ff));
    assert_eq!(w.heard(A), [reported(0x40)], "dropped and reported");
    w.bytes(A, with_parameter(0x80ff));
    assert_eq!(ids(&w.one(A)), [1], "skipped");
    w.bytes(A, with_parameter(0xc0ff));
    let heard = w.heard(A);
    assert_eq!(heard.len(), 2, "skipped and reported");
    assert_eq!((ids(&heard[0]), &heard[1]), (vec![1], &reported(0xc0)));
}

#[test]
fn an_error_is_never_answered() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.say(A, &Message::Error(vec![Cause::bare(1)]));
    w.bytes(A, vec![0x0e, 0, 0, 4]);
    w.bytes(A, vec![0x0e, 0, 0, 12, 0x40, 0xff, 0, 8, 1, 2, 3, 4]);
    w.bytes(A, vec![0x0e, 0, 0, 20, 0, 0xc, 0, 8, 0, 1, 0, 4, 0xc0, 0xff, 0, 8, 1, 2, 3, 4]);
    assert!(w.heard(A).is_empty());
    assert_eq!(w.registrar.counters().errors_sent, 0);
}

#[test]
fn messages_of_another_ppid_are_dropped_and_counted() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    let bytes = Message::HandleResolution { subscribe: false, handle: handle("p"), items: None }.encode();
    w.give(Input::Message { association: A, ppid: 12, bytes });
    assert!(w.heard(A).is_empty());
    assert_eq!(w.registrar.counters().faults.wrong_ppid, 1);
}

#[test]
fn messages_that_are_not_for_a_registrar_are_ignored() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.say(A, &accepted("p", 1));
    w.say(A, &Message::Cookie(vec![1, 2, 3]));
    w.say(A, &Message::ServerAnnounce { server: 1, transports: vec![] });
    assert!(w.heard(A).is_empty());
    assert_eq!(w.registrar.counters().unexpected, 3);
}

#[test]
fn a_newcomer_takes_the_place_of_the_longest_idle_association() {
    let mut w = World::with_limits(Limits { associations: 3, ..Limits::default() });
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.pass(second(1));
    w.up(B, &["10.0.0.2"]);
    w.pass(second(1));
    w.up(C, &["10.0.0.3"]);
    w.pass(second(1));
    w.up(Association(4), &["10.0.0.4"]);
    assert_eq!(w.aborted, [(B, Reason::PlaceNeeded)]);
    w.subscribe(C, "p");
    w.subscribe(Association(4), "p");
    w.up(Association(5), &["10.0.0.5"]);
    assert_eq!(w.aborted[1], (Association(5), Reason::TooMany));
}

#[test]
fn an_unknown_association_says_nothing_to_us() {
    let mut w = World::new();
    w.bytes(A, vec![0x4f, 0, 0, 4]);
    w.down(A);
    w.give(Input::Addresses { association: A, addresses: vec![] });
    assert!(w.sent.is_empty());
}
