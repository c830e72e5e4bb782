//! The host has other addresses, or none.

use super::*;

#[test]
fn new_addresses_open_a_new_association_at_once_from_them_to_the_registrar_that_was_home() {
    let mut world = World::new(3);
    world.give(Input::Register(element()));
    let links = opened(&world.local(&[1]));
    world.give(Input::Up(links[1]));
    world.hear(links[1], &accepted());
    let seen = world.local(&[2]);
    assert!(seen.contains(&Seen::Event(Event::HomeLost)));
    let links_now = opened(&seen);
    assert_eq!(links_now.len(), 1, "the others join only after the head start");
    assert_eq!(registered(&said(&seen, links_now[0])), [[ip(2)]]);
    assert_eq!(world.wait().0, 1000);
}

#[test]
fn the_old_association_is_ended_only_when_the_new_one_has_taken_over() {
    let (mut world, old, _) = World::settled();
    let seen = world.local(&[1, 2]);
    let new = opened(&seen)[0];
    assert!(!seen.contains(&Seen::Close(old)));
    assert!(!world.give(Input::Up(new)).contains(&Seen::Close(old)));
    let seen = world.hear(new, &accepted());
    assert!(seen.contains(&Seen::Close(old)));
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Unbind(_))), "its socket goes with it");
}

#[test]
fn an_old_association_is_not_kept_for_ever_for_an_answer_that_does_not_come() {
    let (mut world, old, _) = World::settled();
    let new = opened(&world.local(&[2]))[0];
    world.give(Input::Up(new));
    let (mut waited, mut seen) = (0, Vec::new());
    while !seen.contains(&Seen::Close(old)) {
        let (millis, more) = world.wait();
        waited += millis;
        seen = more;
    }
    assert_eq!(waited, 10_000);
    assert!(seen.contains(&Seen::Close(old)));
}

#[test]
fn responses_on_an_association_that_is_no_longer_home_do_not_count() {
    let (mut world, old_pe, old_pu) = World::settled();
    for new in opened(&world.local(&[2])) {
        world.give(Input::Up(new));
    }
    assert_eq!(world.hear(old_pe, &accepted()), []);
    assert_eq!(world.hear(old_pu, &push(true, &[3])), []);
}

#[test]
fn the_same_addresses_again_in_any_order_change_nothing() {
    let (mut world, ..) = World::settled();
    let seen = world.local(&[2, 1]);
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(2), ip(1)]], "but the first order is kept");
    assert_eq!(world.local(&[1, 2, 1]), []);
}

#[test]
fn offline_all_rests_and_the_next_address_brings_everything_back() {
    let (mut world, old, _) = World::settled();
    let seen = world.local(&[]);
    assert_eq!(seen, [Seen::Event(Event::Offline), Seen::Event(Event::HomeLost)]);
    assert_eq!(world.client.poll_timeout(), None);
    assert_eq!(world.give(Input::Down(old)).len(), 1, "its port is given up");
    assert_eq!(world.client.poll_timeout(), None);
    let seen = world.local(&[1]);
    let links = opened(&seen);
    assert_eq!((said(&seen, links[0]).len(), said(&seen, links[1]).len()), (1, 1));
}

#[test]
fn a_pool_that_changed_while_away_is_told_once_back() {
    let (mut world, ..) = World::settled();
    let new = opened(&world.local(&[2]))[1];
    world.give(Input::Up(new));
    assert!(!world.hear(new, &push(true, &[1])).iter().any(|seen| matches!(seen, Seen::Event(_))), "no news");
    let seen = world.hear(new, &push(true, &[2]));
    assert!(matches!(&seen[..], [Seen::Event(Event::Pool { .. })]));
}

#[test]
fn an_element_that_is_leaving_does_not_come_back_when_the_host_moves() {
    let (mut world, home, _) = World::settled();
    let seen = world.give(Input::Deregister { handle: pool(), id: 9 });
    assert!(matches!(said(&seen, home)[..], [Message::Deregistration { .. }]));
    let seen = world.local(&[2]);
    let link = opened(&seen)[0];
    let mut all = said(&seen, link).into_iter().cloned().collect::<Vec<_>>();
    all.extend(said(&world.give(Input::Up(link)), link).into_iter().cloned());
    assert!(matches!(all[..], [Message::Deregistration { .. }]), "{all:?}");
    world.hear(link, &Message::DeregistrationResponse { handle: pool(), id: 9, error: None });
    assert!(world.client.is_withdrawn());
}

#[test]
fn a_home_that_asks_where_an_element_was_is_told_that_it_is_there_no_more() {
    let (mut world, old, _) = World::settled();
    let new = opened(&world.local(&[2]))[0];
    assert!(
        matches!(world.hear(old, &keep_alive(false))[..], [Seen::Say(to, _)] if to == old),
        "it still is"
    );
    world.give(Input::Up(new));
    assert_eq!(world.hear(old, &keep_alive(false))[0], Seen::Close(old));
    assert!(matches!(world.hear(new, &keep_alive(false))[..], [Seen::Say(to, _)] if to == new));
}
