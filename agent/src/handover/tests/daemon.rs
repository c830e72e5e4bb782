//! Daemons that end and start.

use super::*;

#[test]
fn the_next_daemon_carries_on_in_the_middle_of_a_move() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    let saved = host.planner.saved();
    assert_eq!(saved.held, BTreeSet::from([old()]));
    host.next_daemon(saved);
    host.usable(&[new()]);
    assert!(host.restricts(peer()), "the peer has not answered the next daemon either");
    assert!(host.did(&Action::Hold { address: old(), via: Some(new()) }));
    host.tell(Input::Located(vec![peer()]));
    host.tell(Input::OwnAsconf { serial, changes: vec![(0, Change::Add(new()))] });
    host.answered(serial, peer());
    assert!(host.did(&Action::Remove(old())));
}

/// A daemon ends when it has just decided that the peer shall forget the address that it came from. The next one finds
/// the host back there, asks the peer to prefer that address, hears that it does, and tries whether the kernel sends from
/// there.
fn back_before_the_deletion(binding: Binding) -> Host {
    let mut host = Host::at(&[old()], binding);
    host.usable(&[new()]);
    host.tell(Input::Located(vec![peer()]));
    let serial = host.add(new());
    host.answered(serial, peer());
    let saved = host.planner.saved();
    assert!(saved.deleting.contains(&old()) && saved.confirmed.contains(&new()), "{saved:?}");
    host.next_daemon(saved);
    host.usable(&[old()]);
    host.wait(Duration::from_secs(3));
    assert!(host.did(&Action::SetPeerPrimary(old())), "{:?}", host.actions);
    assert!(!host.rules.contains(&stopped()), "its answer may still come");
    let serial = host.sent(Change::SetPrimary(old()));
    host.answered(serial, peer());
    assert_eq!(host.planner.state(), State::Moving, "{binding:?}");
    host.take();
    until_tried(&mut host);
    host
}

fn stopped() -> Rule {
    Rule::Block { pair: PAIR, source: new() }
}

fn until_tried(host: &mut Host) {
    let begin = host.now;
    while !host.rules.contains(&stopped()) {
        host.wait(Duration::from_millis(10));
        assert!(host.now < begin + Duration::from_secs(60), "no trial");
    }
    let asks = position(&host.actions, |it| *it == Action::SetPeerPrimary(old()));
    let stops =
        position(&host.actions, |it| matches!(it, Action::Rules(rules) if rules.contains(&stopped())));
    assert!(stops < asks, "it would prove nothing: {:?}", host.actions);
}

#[test]
fn an_address_from_which_the_kernel_sends_was_never_deleted_whatever_the_last_daemon_was_about_to_do() {
    for binding in [Binding::Explicit, Binding::Wildcard] {
        let mut host = back_before_the_deletion(binding);
        host.sent(Change::SetPrimary(old()));
        assert_ne!(host.planner.state(), State::Moving, "{binding:?}");
        assert!(!host.rules.contains(&stopped()));
    }
}

#[test]
fn an_address_from_which_nothing_leaves_is_not_relied_upon_and_tried_ever_more_rarely() {
    for binding in [Binding::Explicit, Binding::Wildcard] {
        let mut host = back_before_the_deletion(binding);
        host.wait(Duration::from_millis(200));
        assert!(!host.rules.contains(&stopped()), "what the peer is sent waits no longer than that");
        // What was asked leaves now, translated.
        let serial = host.sent(Change::SetPrimary(old()));
        host.answered(serial, peer());
        assert_eq!(host.planner.state(), State::Moving, "{binding:?}");
        host.take();
        host.wait(Duration::from_secs(3600));
        let tries = host.actions.iter().filter(|it| **it == Action::SetPeerPrimary(old())).count();
        assert!((60..200).contains(&tries), "{binding:?}: {tries} trials in an hour");
    }
}

#[test]
fn the_next_daemon_asks_for_an_address_that_is_being_added_though_another_is_preferred() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[third(), old()]);
    let saved = Saved { confirmed: BTreeSet::from([old(), new()]), ..Saved::default() };
    host.local = BTreeSet::from([old(), new(), third()]);
    host.next_daemon(saved);
    host.usable(&[new(), third(), old()]);
    host.settle();
    host.drain();
    assert!(host.did(&Action::SetPeerPrimary(third())), "{:?}", host.actions);
}

#[test]
fn the_next_daemon_leaves_the_network_that_the_association_was_about_to_leave() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new(), old()]);
    host.add(new());
    let saved = host.planner.saved();
    host.next_daemon(saved);
    host.usable(&[new(), old()]);
    let serial = host.sent(Change::SetPrimary(new()));
    host.answered(serial, peer());
    host.settle();
    assert!(host.did(&Action::Remove(old())), "{:?}", host.actions);
}

#[test]
fn of_addresses_that_are_gone_nothing_is_remembered() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    let (mut at, mut after_few) = (old(), 0);
    for number in 2..100 {
        let next = ip(&format!("10.2.0.{number}"));
        host.usable(&[next]);
        let serial = host.add(next);
        host.answered(serial, peer());
        host.delete(std::mem::replace(&mut at, next), peer());
        host.settle();
        if number == 10 {
            after_few = host.planner.remembers();
        }
    }
    let after_many = host.planner.remembers();
    assert!(after_many <= after_few, "{after_few} things after few moves, {after_many} after many");
}

#[test]
fn release_takes_back_everything_that_was_added_to_the_host() {
    let mut host = Host::at(&[old()], Binding::Wildcard);
    host.usable(&[new()]);
    host.take();
    host.planner.release();
    host.drain();
    assert_eq!(host.rules, BTreeSet::new());
    assert!(host.did(&Action::Release(old())));
    assert!(host.did(&Action::EventsOff));
    assert!(host.did(&Action::Timers(Timers::Calm)));
    assert_eq!(host.planner.poll_timeout(), None);
}
