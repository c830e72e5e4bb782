//! Daemons that end and start.

use super::*;

#[test]
fn the_next_daemon_carries_on_in_the_middle_of_a_move() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    let saved = host.planner.saved();
    assert_eq!(saved.held, BTreeSet::from([old()]));
    let facts = host.planner.facts().clone();
    let identity = host.planner.identity().clone();
    host.planner = Planner::resume(host.now, identity, facts, Tuning::default(), saved);
    host.take();
    host.usable(&[new()]);
    assert!(host.restricts(peer()), "the peer has not answered the next daemon either");
    assert!(host.did(&Action::Hold { address: old(), via: Some(new()) }));
    host.tell(Input::Located(vec![peer()]));
    host.tell(Input::OwnAsconf { serial, changes: vec![(0, Change::Add(new()))] });
    host.answered(serial, peer());
    assert!(host.did(&Action::Remove(old())));
}

/// A daemon ends when it has just decided that the peer shall forget the address that it came from; the next one finds
/// the host back there, asks the peer to prefer that address, and hears that it does. `since`: how many more ASCONFs have
/// left meanwhile.
fn back_before_the_deletion(binding: Binding, since: u32) -> Host {
    let mut host = Host::at(&[old()], binding);
    host.usable(&[new()]);
    host.tell(Input::Located(vec![peer()]));
    let serial = host.add(new());
    host.answered(serial, peer());
    let saved = host.planner.saved();
    assert!(saved.deleting.contains(&old()) && saved.confirmed.contains(&new()), "{saved:?}");
    let (facts, identity) = (host.planner.facts().clone(), host.planner.identity().clone());
    host.planner = Planner::resume(host.now, identity, facts, Tuning::default(), saved);
    host.take();
    host.usable(&[old()]);
    host.wait(Duration::from_secs(3));
    assert!(host.did(&Action::SetPeerPrimary(old())), "{:?}", host.actions);
    host.serial += since;
    let serial = host.sent(Change::SetPrimary(old()));
    host.answered(serial, peer());
    host
}

#[test]
fn a_deletion_that_a_daemon_only_wanted_has_not_happened_if_no_asconf_left_meanwhile() {
    for binding in [Binding::Explicit, Binding::Wildcard] {
        let host = back_before_the_deletion(binding, 0);
        assert!(!matches!(host.planner.state(), State::Moving), "{binding:?}: {:?}", host.planner.state());
    }
}

#[test]
fn a_deletion_that_a_daemon_wanted_may_have_happened_if_nobody_saw_what_left_meanwhile() {
    for binding in [Binding::Explicit, Binding::Wildcard] {
        let host = back_before_the_deletion(binding, 1);
        assert_eq!(host.planner.state(), State::Moving, "{binding:?}");
    }
}

#[test]
fn the_next_daemon_asks_for_an_address_that_is_being_added_though_another_is_preferred() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[third(), old()]);
    let saved = Saved { confirmed: BTreeSet::from([old(), new()]), ..Saved::default() };
    let facts = Facts { local: BTreeSet::from([old(), new(), third()]), ..host.planner.facts().clone() };
    let identity = host.planner.identity().clone();
    host.planner = Planner::resume(host.now, identity, facts, Tuning::default(), saved);
    host.actions.clear();
    host.usable(&[new(), third(), old()]);
    host.settle();
    host.drain();
    assert!(host.did(&Action::SetPeerPrimary(third())), "{:?}", host.actions);
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
