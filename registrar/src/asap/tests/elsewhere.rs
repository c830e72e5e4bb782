//! Elements that are registered at another registrar.

use super::*;
use crate::enrp::Effect;
use crate::handlespace::Element;

const OTHER: u32 = 0x2222;

/// An element of another registrar.
pub(super) fn at_another(id: u32) -> Element {
    let user = sctp(7000, &["10.0.9.9"]);
    Element {
        id,
        home: OTHER,
        life: 300,
        user: user.clone(),
        policy: Policy::RoundRobin,
        asap: user,
        owner: None,
        expires: None,
        bad_reports: 0,
    }
}

/// Element 1 of pool "p" is at another registrar; A and B are associations of ours.
fn foreign() -> World {
    let mut w = World::with(Settings { server: 0x1111, ..Settings::default() });
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registrar.space.insert(handle("p"), at_another(1));
    w
}

#[test]
fn it_is_found_by_our_users() {
    let mut w = foreign();
    let Message::HandleResolutionResponse { elements, .. } = w.resolve(B, "p", None) else { panic!() };
    assert_eq!((elements[0].id, elements[0].home), (1, OTHER));
}

#[test]
fn it_is_for_its_home_registrar_to_watch_it() {
    let mut w = foreign();
    for _ in 0..20 {
        w.say(B, &Message::EndpointUnreachable { handle: handle("p"), id: 1 });
    }
    w.say(B, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    w.pass(second(600));
    assert_eq!(w.seen("p").len(), 1);
    assert_eq!((w.registrar.counters().keep_alives, w.registrar.counters().reported), (0, 0));
    w.down(A);
    w.down(B);
    assert_eq!(w.seen("p").len(), 1, "no association of ours owns it");
}

#[test]
fn it_is_ours_when_it_registers_here() {
    let mut w = foreign();
    let others = w.registrar.handlespace().checksum(OTHER);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let space = w.registrar.handlespace();
    assert_eq!((space.checksum(OTHER), space.checksum(0x1111)), (0xffff, others));
    assert_eq!(space.count_owned_by(A), 1);
    w.down(A);
    assert!(w.seen("p").is_empty());
}

#[test]
fn it_is_told_when_its_home_has_it_no_more_if_it_has_an_association_with_us() {
    let mut w = foreign();
    let key = w.registrar.space.key(&handle("p"), 1).unwrap();
    let mut element = Box::new(w.registrar.space.remove(key).unwrap().element);
    let effect =
        |element: &Element| Effect::Dropped { handle: handle("p"), element: Box::new(element.clone()) };
    w.registrar.effect(w.now, effect(&element));
    w.drain();
    assert!(w.sent.is_empty(), "it is nowhere here");
    element.asap = sctp(5000, &["10.0.0.7", "10.0.0.2"]);
    w.registrar.effect(w.now, effect(&element));
    w.drain();
    let told = Message::DeregistrationResponse { handle: handle("p"), id: 1, error: None };
    assert_eq!(w.sent, BTreeMap::from([(B, vec![told])]));
}
