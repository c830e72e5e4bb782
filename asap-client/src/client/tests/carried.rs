//! The elements' association moves along with its host.

use super::*;

/// Moves to these addresses, and the old association is being moved; the elements' new one, and what was said.
fn moving(world: &mut World, old: LinkId, last: &[u8]) -> (LinkId, Vec<Seen>) {
    let mut seen = world.local(last);
    seen.extend(world.give(Input::Carried(old)));
    (opened(&seen)[0], seen)
}

/// Registered over a new association from address 2, the old one is being moved.
fn bridged() -> (World, LinkId, LinkId) {
    let (mut world, old, _) = World::settled();
    let (new, seen) = moving(&mut world, old, &[2]);
    let users = opened(&seen)[1];
    world.give(Input::Up(users));
    world.hear(users, &push(true, &[1]));
    world.give(Input::Up(new));
    let seen = world.hear(new, &accepted());
    assert!(!seen.contains(&Seen::Close(old)));
    (world, old, new)
}

/// As [`bridged`], and it has been said over the old one, too.
fn returned() -> (World, LinkId, LinkId) {
    let (mut world, old, new) = bridged();
    let (millis, seen) = world.wait();
    assert_eq!(millis, 500);
    assert_eq!(registered(&said(&seen, old)), [[ip(2)]]);
    assert!(!seen.contains(&Seen::Close(new)), "it still is the one that works");
    (world, old, new)
}

#[test]
fn the_old_association_is_moved_before_a_new_one_is_opened() {
    let (mut world, old, _) = World::settled();
    let (new, seen) = moving(&mut world, old, &[2]);
    let at = |wanted: &Seen| seen.iter().position(|seen| seen == wanted).unwrap();
    let port = bound(&seen);
    assert!(at(&Seen::Carry(old, vec![ip(2)])) < at(&Seen::Open(new, port, vec![registrar(1)])), "{seen:?}");
    assert_eq!(registered(&said(&seen, new)), [[ip(2)]], "and the first word is with the new one");
}

#[test]
fn once_all_is_registered_it_is_registered_over_the_old_association_and_the_new_one_ends() {
    let (mut world, old, new) = returned();
    let seen = world.hear(old, &accepted());
    assert!(seen.contains(&Seen::Close(new)));
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Unbind(_))), "its socket goes with it");
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Event(Event::Registered { .. }))));
    let seen = world.give(Input::Register(ElementConfig { port: 8, ..element() }));
    assert_eq!(said(&seen, old).len(), 1, "it is home");
}

#[test]
fn it_is_carried_along_from_move_to_move() {
    let (mut world, old, new) = returned();
    world.hear(old, &accepted());
    assert_ne!(old, new);
    let (newer, seen) = moving(&mut world, old, &[3]);
    assert!(seen.contains(&Seen::Carry(old, vec![ip(3)])));
    world.give(Input::Up(newer));
    world.hear(newer, &accepted());
    assert_eq!(registered(&said(&world.wait().1, old)), [[ip(3)]]);
}

#[test]
fn offline_it_waits_for_an_address_to_be_moved_to() {
    let (mut world, old, _) = World::settled();
    assert!(!world.local(&[]).iter().any(|seen| matches!(seen, Seen::Carry(..) | Seen::Close(_))));
    assert!(world.local(&[2]).contains(&Seen::Carry(old, vec![ip(2)])));
}

#[test]
fn one_that_cannot_be_moved_is_ended_when_its_successor_has_taken_over() {
    let (mut world, old, _) = World::settled();
    let new = opened(&world.local(&[2]))[0];
    world.give(Input::Up(new));
    assert!(world.hear(new, &accepted()).contains(&Seen::Close(old)));
}

#[test]
fn the_users_association_is_not_carried_along() {
    let (mut world, _, users) = World::settled();
    let seen = world.local(&[2]);
    assert_eq!(seen.iter().filter(|seen| matches!(seen, Seen::Carry(..))).count(), 1);
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Carry(link, _) if *link == users)));
}

#[test]
fn an_old_association_that_is_lost_on_the_way_is_missed_by_nobody() {
    let (mut world, old, new) = bridged();
    assert_eq!(world.give(Input::Down(old)).len(), 1, "its port is given up");
    let seen = world.give(Input::Register(ElementConfig { port: 8, ..element() }));
    assert_eq!(said(&seen, new).len(), 1);
    let mut timers = 0;
    while timers < 10 {
        assert_eq!(said(&world.wait().1, old), Vec::<&Message>::new());
        timers += 1;
    }
}

#[test]
fn an_old_association_that_does_not_answer_is_left_again_and_not_tried_again() {
    let (mut world, old, new) = returned();
    let (millis, seen) = world.wait();
    assert_eq!(millis, 30_000, "until then the other one, which has answered, is kept");
    let third = opened(&seen)[0];
    let seen = world.give(Input::Up(third));
    assert_eq!(registered(&said(&seen, third)), [[ip(2)]]);
    let seen = world.hear(third, &accepted());
    assert!(seen.contains(&Seen::Close(old)) && seen.contains(&Seen::Close(new)));
    assert_eq!(registered(&said(&world.wait().1, third)), [[ip(2)]], "the next is T4's");
}

#[test]
fn what_is_refused_over_the_old_association_stays_registered_over_the_new_one() {
    let (mut world, old, new) = returned();
    let error = Some(vec![Cause::bare(Cause::INVALID_VALUES)]);
    let refused = Message::RegistrationResponse { rejected: true, handle: pool(), id: 9, error };
    let seen = world.hear(old, &refused);
    assert_eq!(registered(&said(&seen, new)), [[ip(2)]]);
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Close(_) | Seen::Event(Event::Rejected { .. }))));
    let seen = world.hear(new, &accepted());
    assert!(seen.contains(&Seen::Close(old)) && !seen.contains(&Seen::Close(new)));
    assert_eq!(registered(&said(&world.wait().1, new)), [[ip(2)]], "the next is T4's");
}

#[test]
fn a_registration_that_is_under_way_is_not_sent_over_two_associations() {
    let (mut world, old, new) = bridged();
    world.give(Input::Register(ElementConfig { port: 8, ..element() }));
    let (millis, seen) = world.wait();
    assert_eq!((millis, said(&seen, old)), (500, vec![]), "it is not answered yet");
    let seen = world.hear(new, &accepted());
    assert_eq!(said(&seen, old).len(), 1);
}

#[test]
fn at_another_registrar_the_old_association_is_of_no_use() {
    let mut world = World::with(Config {
        registrars: (1..=2).map(|last| vec![registrar(last)]).collect(),
        timers: Timers::default(),
        seed: None,
    });
    world.give(Input::Register(element()));
    let old = opened(&world.local(&[1]))[0];
    world.give(Input::Up(old));
    world.hear(old, &accepted());
    let (first, _) = moving(&mut world, old, &[2]);
    let seen = world.give(Input::Down(first));
    let other = opened(&seen)[0];
    world.give(Input::Up(other));
    assert!(world.hear(other, &accepted()).contains(&Seen::Close(old)));
}

#[test]
fn a_keep_alive_over_an_association_that_is_on_its_way_is_answered_by_the_registration_over_it() {
    let (mut world, old, new) = bridged();
    assert_eq!(world.hear(old, &keep_alive(false)), []);
    assert!(matches!(world.hear(new, &keep_alive(false))[..], [Seen::Say(to, _)] if to == new));
}

#[test]
fn until_the_old_association_has_answered_the_new_one_answers_for_the_element() {
    let (mut world, old, new) = returned();
    assert!(matches!(world.hear(new, &keep_alive(false))[..], [Seen::Say(to, _)] if to == new));
    assert!(matches!(world.hear(old, &keep_alive(false))[..], [Seen::Say(to, _)] if to == old));
}

#[test]
fn a_host_that_moves_on_has_the_association_moved_over_which_its_elements_are_registered() {
    let (mut world, old, new) = bridged();
    let seen = world.local(&[3]);
    let carried: Vec<_> = seen.iter().filter(|seen| matches!(seen, Seen::Carry(..))).collect();
    assert_eq!(carried, [&Seen::Carry(new, vec![ip(3)])]);
    world.give(Input::Carried(new));
    let newest = opened(&seen)[0];
    world.give(Input::Up(newest));
    let seen = world.hear(newest, &accepted());
    assert!(seen.contains(&Seen::Close(old)) && !seen.contains(&Seen::Close(new)));
    assert_eq!(registered(&said(&world.wait().1, new)), [[ip(3)]], "and it is home again");
}
