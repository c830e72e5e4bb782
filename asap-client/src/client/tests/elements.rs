//! What is said for elements and users, and over which association.

use super::*;

#[test]
fn registration_and_resolution_each_travel_with_the_setting_up_of_an_association() {
    let mut world = World::new(1);
    assert_eq!(world.give(Input::Register(element())), []);
    assert_eq!(world.give(Input::Subscribe(peers())), []);
    let seen = world.local(&[1]);
    let [
        Seen::Bind(port, local),
        Seen::Open(pe, from, remote),
        first,
        Seen::Bind(..),
        Seen::Open(pu, ..),
        second,
    ] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((local, from, remote), (&vec![ip(1)], port, &vec![registrar(1)]));
    assert_eq!(registered(&said(&seen, *pe)), [[ip(1)]]);
    assert!(matches!(said(&seen, *pu)[..], [Message::HandleResolution { subscribe: true, .. }]));
    assert_eq!((message(first), message(second)), (said(&seen, *pe)[0], said(&seen, *pu)[0]));
    assert_eq!(world.give(Input::Up(*pe)), [Seen::Event(Event::Home { registrar: vec![registrar(1)] })]);
    assert_eq!(world.give(Input::Up(*pu)), [], "the same registrar");
}

#[test]
fn what_is_not_needed_is_not_set_up() {
    let mut world = World::new(1);
    assert_eq!(world.local(&[1]), []);
    assert_eq!(opened(&world.give(Input::Subscribe(peers()))).len(), 1);
    let seen = world.give(Input::Register(element()));
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(1)]]);
    let mut world = World::new(1);
    world.local(&[1]);
    let link = opened(&world.give(Input::Subscribe(peers())))[0];
    assert!(
        world.give(Input::Up(link)).contains(&Seen::Event(Event::Home { registrar: vec![registrar(1)] }))
    );
}

#[test]
fn an_element_that_serves_at_some_addresses_is_registered_with_those_the_host_has() {
    let mut world = World::new(1);
    world.give(Input::Register(ElementConfig { addresses: Some(vec![ip(2), ip(3)]), ..element() }));
    let seen = world.local(&[1, 2]);
    let link = opened(&seen)[0];
    assert_eq!(registered(&said(&seen, link)), [[ip(2)]]);
    world.give(Input::Up(link));
    world.hear(link, &accepted());
    let seen = world.local(&[1]);
    let link = opened(&seen)[0];
    assert!(matches!(said(&seen, link)[..], [Message::Deregistration { .. }]));
    world.give(Input::Up(link));
    world.hear(link, &Message::DeregistrationResponse { handle: pool(), id: 9, error: None });
    let seen = world.local(&[1, 3]);
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(3)]]);
}

#[test]
fn an_element_changed_while_registered_is_registered_anew_over_the_same_association() {
    let (mut world, link, _) = World::settled();
    let seen = world.give(Input::Register(ElementConfig { port: 8, ..element() }));
    assert_eq!(said(&seen, link).len(), 1);
}

#[test]
fn deregistered_elements_are_forgotten() {
    let (mut world, link, _) = World::settled();
    let seen = world.give(Input::DeregisterAll);
    assert!(matches!(said(&seen, link)[..], [Message::Deregistration { .. }]));
    assert!(!world.client.is_withdrawn());
    let seen = world.hear(link, &Message::DeregistrationResponse { handle: pool(), id: 9, error: None });
    assert_eq!(seen, [Seen::Event(Event::Withdrawn { handle: pool(), id: 9 })]);
    assert!(world.client.is_withdrawn());
}

#[test]
fn an_element_that_never_was_registered_is_forgotten_at_once() {
    let mut world = World::new(1);
    world.give(Input::Register(element()));
    let seen = world.give(Input::Deregister { handle: pool(), id: 9 });
    assert_eq!(seen, [Seen::Event(Event::Withdrawn { handle: pool(), id: 9 })]);
    assert!(world.client.is_withdrawn());
}

#[test]
fn a_keep_alive_is_answered_where_it_came_from() {
    let (mut world, home, _) = World::settled();
    assert!(matches!(world.hear(home, &keep_alive(false))[..], [Seen::Say(to, _)] if to == home));
    let other = LinkId::Theirs(1);
    world.give(Input::Accepted { link: other, port: PortId(1), peer: vec![registrar(7)] });
    assert!(matches!(world.hear(other, &keep_alive(false))[..], [Seen::Say(to, _)] if to == other));
}

#[test]
fn nonsense_is_reported_to_its_sender_only_where_the_rules_ask_for_it() {
    let (mut world, link, _) = World::settled();
    let seen = world.give(Input::Received(link, vec![0x4f, 0, 0, 4]));
    let error = Message::Error(vec![Cause::unrecognized_message(&[0x4f, 0, 0, 4])]);
    assert_eq!(seen[0], Seen::Say(link, error));
    let seen = world.give(Input::Received(link, vec![0x0f, 0, 0, 4]));
    assert!(matches!(&seen[..], [Seen::Event(Event::Nonsense { .. })]));
    assert_eq!(world.give(Input::Received(LinkId::Ours(99), vec![0x4f, 0, 0, 4])), []);
}

#[test]
fn an_unreachable_element_is_reported_to_the_users_registrar() {
    let (mut world, _, pu) = World::settled();
    let seen = world.give(Input::Unreachable { handle: peers(), id: 3 });
    assert_eq!(seen, [Seen::Say(pu, Message::EndpointUnreachable { handle: peers(), id: 3 })]);
}
