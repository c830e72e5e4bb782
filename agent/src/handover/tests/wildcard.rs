//! Sockets bound to the wildcard address, which only address events move.

use super::*;

#[test]
fn a_wildcard_socket_reacts_to_no_event_while_no_address_is_usable() {
    let mut host = Host::at(&[old()], Binding::Wildcard);
    host.usable(&[]);
    host.settle();
    assert!(!host.actions.iter().any(|action| matches!(action, Action::Add(_) | Action::MakeEvent(_))));
    host.usable(&[new()]);
    assert!(host.did(&Action::Add(new())));
    host.take();
    host.usable(&[]);
    assert!(host.did(&Action::EventsOff));
}

#[test]
fn a_wildcard_socket_gets_an_event_when_the_kernel_made_none() {
    let mut host = Host::at(&[old()], Binding::Wildcard);
    host.usable(&[new()]);
    host.take();
    host.wait(Duration::from_millis(650));
    assert!(host.did(&Action::MakeEvent(new())));
}

#[test]
fn what_comes_in_before_a_wildcard_socket_has_the_address_seems_to_be_for_the_held_one() {
    let mut host = Host::at(&[old()], Binding::Wildcard);
    host.usable(&[new()]);
    let rule = Rule::InDestination { pair: PAIR, from: new(), to: old() };
    assert!(host.rules.contains(&rule));
    host.add(new());
    assert!(!host.rules.contains(&rule));
}

/// A wildcard association that has moved and wants the old address to vanish.
fn arrived_wildcard() -> Host {
    let mut host = Host::at(&[old()], Binding::Wildcard);
    host.tell(Input::Located(vec![peer()]));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    host.settle();
    assert!(host.did(&Action::Remove(old())));
    host.take();
    host
}

#[test]
fn a_deletion_that_waits_for_other_associations_keeps_the_copy_and_hinders_nothing_else() {
    let mut host = arrived_wildcard();
    host.tell(Input::Postponed(old()));
    host.wait(Duration::from_millis(4_900));
    let rules_alone = host.take().iter().all(|action| matches!(action, Action::Rules(_)));
    assert!(rules_alone, "nothing is let go of, and nobody looks");
    assert!(!host.planner.looks());
    host.usable(&[third(), new()]);
    assert!(host.did(&Action::Add(third())), "{:?}", host.actions);
}

#[test]
fn a_deletion_that_waited_is_done_when_all_are_ready_or_asked_for_again() {
    let mut host = arrived_wildcard();
    host.tell(Input::Postponed(old()));
    host.tell(Input::Vanishes(old()));
    assert!(host.planner.looks(), "until the kernel's next tick");
    host.delete(old(), peer());
    host.settle();
    assert!(!host.planner.looks());
    assert_eq!(host.planner.state(), State::Settled);

    let mut host = arrived_wildcard();
    host.tell(Input::Postponed(old()));
    host.settle();
    assert!(host.did(&Action::Remove(old())));
}

#[test]
fn a_deletion_that_waited_is_asked_for_at_once_after_the_next_move() {
    let mut host = arrived_wildcard();
    host.tell(Input::Postponed(old()));
    host.usable(&[]);
    host.usable(&[third()]);
    host.wait(Duration::from_millis(700));
    let serial = host.add(third());
    host.take();
    host.answered(serial, peer());
    host.wait(Duration::from_secs(2));
    assert!(host.did(&Action::Remove(old())), "{:?}", host.actions);
}

#[test]
fn what_vanishes_while_a_wildcard_socket_looks_is_nothing_to_send_from_when_it_comes_back() {
    let mut host = Host::at(&[old(), new()], Binding::Wildcard);
    host.usable(&[third(), old(), new()]);
    assert!(host.planner.looks(), "at the third one, which comes");
    host.usable(&[third(), new()]);
    host.usable(&[]);
    host.take();
    host.usable(&[old()]);
    assert_eq!(host.planner.state(), State::Moving);
    assert!(!host.did(&Action::Remove(new())), "the only one that the kernel still sends from");
}
