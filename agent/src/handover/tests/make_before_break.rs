//! A usable confirmed address remains, and how a move ends.

use super::*;

#[test]
fn an_address_of_the_other_family_is_not_left_when_one_comes() {
    for (new, leaves) in [(new(), true), (ip("fd00:2::2"), false)] {
        let mut host = Host::at(&[old()], Binding::Explicit);
        host.peers.push((ip("fd00:3::2"), PathState::Active));
        host.facts();
        host.usable(&[new, old()]);
        let serial = host.add(new);
        host.answered(serial, peer());
        host.settle();
        assert!(host.did(&Action::SetPeerPrimary(new)), "{:?}", host.actions);
        assert_eq!(host.did(&Action::Remove(old())), leaves, "{new}: {:?}", host.actions);
    }
}

#[test]
fn an_address_of_the_other_family_is_added_although_it_is_not_the_newest() {
    let other_family = ip("fd00:2::2");
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[old(), other_family]);
    host.settle();
    assert!(!host.did(&Action::Add(other_family)), "of which the peer has none");
    host.peers.push((ip("fd00:3::2"), PathState::Unconfirmed));
    host.facts();
    let serial = host.add(other_family);
    host.answered(serial, peer());
    host.settle();
    assert!(!host.did(&Action::SetPeerPrimary(other_family)), "{:?}", host.actions);
    assert!(!host.did(&Action::Remove(old())), "{:?}", host.actions);
    assert_eq!(host.planner.state(), State::Settled);
}

#[test]
fn nothing_but_asconf_leaves_for_a_family_of_which_the_peer_knows_no_address_of_ours() {
    let (ours, theirs) = (ip("fd00:2::2"), ip("fd00:3::2"));
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.peers.push((theirs, PathState::Unconfirmed));
    host.facts();
    let rule = Rule::RestrictTo { pair: PAIR, destination: theirs };
    assert_eq!(host.rules, BTreeSet::from([rule]), "also at rest");
    host.usable(&[ours, old()]);
    let serial = host.add(ours);
    assert_eq!(host.rules, BTreeSet::from([Rule::NoAbortIn(PAIR)]), "the peer may have it, or not");
    host.answered(serial, peer());
    host.settle();
    assert!(host.rules.is_empty(), "the peer has it: {:?}", host.rules);
    host.usable(&[old()]);
    host.delete(ours, peer());
    host.settle();
    assert!(host.rules.contains(&rule), "and has it no more");
}

#[test]
fn the_old_address_is_deleted_at_once_after_a_move_and_let_go_when_the_peer_has_forgotten_it() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![peer()]));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    assert!(host.did(&Action::Remove(old())));
    assert!(!host.did(&Action::Release(old())));
    host.delete(old(), peer());
    assert!(host.did(&Action::Release(old())));
    host.settle();
    assert_eq!(host.planner.state(), State::Settled);
    assert_eq!(host.rules, BTreeSet::new());
}

#[test]
fn a_peer_that_no_registrar_knows_gets_the_time_to_confirm_the_new_address() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    assert!(host.did(&Action::SetPeerPrimary(new())));
    assert!(!host.did(&Action::Remove(old())), "not at once");
    host.settle();
    assert!(host.did(&Action::Remove(old())));
}

#[test]
fn the_last_confirmed_address_is_never_deleted() {
    let mut host = Host::at(&[old(), third()], Binding::Explicit);
    host.usable(&[]);
    host.settle();
    host.usable(&[new()]);
    host.add(new());
    host.wait(Duration::from_secs(60));
    assert!(!host.actions.iter().any(|action| matches!(action, Action::Remove(_))), "{:?}", host.actions);
}

#[test]
fn a_vanished_address_gets_a_grace_while_another_works() {
    let mut host = Host::at(&[old(), new()], Binding::Explicit);
    host.usable(&[new()]);
    host.wait(Duration::from_millis(300));
    assert!(!host.did(&Action::Remove(old())));
    host.usable(&[new(), old()]);
    host.settle();
    assert!(!host.did(&Action::Remove(old())));
    host.usable(&[new()]);
    host.settle();
    assert!(host.did(&Action::Remove(old())));
}

#[test]
fn an_address_whose_link_is_dead_is_deleted_at_once_while_another_works() {
    let mut host = Host::at(&[old(), new()], Binding::Explicit);
    let dead = BTreeSet::from([old()]);
    host.tell(Input::About { warm: BTreeSet::new(), cold: BTreeSet::new(), dead });
    host.usable(&[new()]);
    assert_eq!(
        host.take().first(),
        Some(&Action::Remove(old())),
        "nothing that is sent from there comes before"
    );
    host.delete(old(), peer());
    host.settle();
    assert_eq!(host.planner.state(), State::Settled);
    assert!(host.did(&Action::SetPeerPrimary(new())), "{:?}", host.actions);
}

#[test]
fn a_second_network_is_added_preferred_and_then_the_first_is_left() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new(), old()]);
    assert_eq!(host.take(), [Action::Add(new())]);
    let serial = host.add(new());
    assert!(!host.did(&Action::Remove(old())));
    host.answered(serial, peer());
    host.settle();
    let actions = host.take();
    let preferred = position(&actions, |action| *action == Action::SetPeerPrimary(new()));
    let left = position(&actions, |action| *action == Action::Remove(old()));
    assert!(preferred < left);
}

#[test]
fn a_source_is_held_that_the_kernel_may_still_use_when_another_is_being_deleted() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![peer()]));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    assert!(host.did(&Action::Remove(old())));
    host.take();
    host.usable(&[]);
    assert!(host.did(&Action::Hold { address: new(), via: None }), "{:?}", host.actions);
}

#[test]
fn a_peer_that_its_registrar_misses_while_it_is_away_has_an_agent_all_the_same() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![peer()]));
    host.tell(Input::Located(Vec::new()));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    assert!(host.did(&Action::Remove(old())), "without any grace");
}

#[test]
fn what_comes_to_an_address_that_is_back_while_it_is_being_deleted_finds_the_association() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![peer()]));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    host.usable(&[old(), new()]);
    let rule = Rule::InDestination { pair: PAIR, from: old(), to: new() };
    assert!(host.rules.contains(&rule));
    host.delete(old(), peer());
    assert!(host.rules.contains(&rule), "until the association has it again");
    host.add(old());
    assert!(!host.rules.contains(&rule));
}

/// How often a deletion is asked for that is always refused: in the first minute, and in the second.
fn refused_for_two_minutes(host: &mut Host, address: IpAddr) -> [usize; 2] {
    let mut asked = [0, 0];
    let begin = host.now;
    while host.now < begin + Duration::from_secs(120) {
        host.wait(Duration::from_millis(50));
        let late = usize::from(host.now >= begin + Duration::from_secs(60));
        for action in host.take() {
            if action == Action::Remove(address) {
                asked[late] += 1;
                let serial = host.sent(Change::Delete(address));
                host.tell(Input::OwnAnswer { serial, errors: vec![(0, 0x05)], from: peer(), to: new() });
            }
        }
    }
    asked
}

#[test]
fn a_deletion_that_is_refused_for_ever_is_asked_for_ever_more_rarely() {
    let mut host = Host::at(&[old(), new()], Binding::Explicit);
    host.usable(&[new()]);
    let asked = refused_for_two_minutes(&mut host, old());
    assert!((8..25).contains(&asked[0]), "{asked:?}");
    assert!((1..4).contains(&asked[1]), "{asked:?}");
}

#[test]
fn an_address_that_is_never_deleted_over_the_other_family_is_not_held_for_ever() {
    let other_family = ip("fd00:2::2");
    let mut host = Host::at(&[old(), other_family], Binding::Explicit);
    host.peers.push((ip("fd00:3::2"), PathState::Active));
    host.facts();
    host.usable(&[]);
    assert!(host.actions.iter().any(|it| matches!(it, Action::Hold { address, .. } if *address == old())));
    host.usable(&[other_family]);
    host.settle();
    refused_for_two_minutes(&mut host, old());
    assert_eq!(host.planner.state(), State::Settled);
    assert!(host.planner.facts().local.contains(&old()), "it is the association's all the same");
}

#[test]
fn a_deletion_that_could_be_asked_for_over_the_other_family_alone_is_soon_asked_for_rarely() {
    let other_family = ip("fd00:2::2");
    let mut host = Host::at(&[old(), other_family], Binding::Explicit);
    host.usable(&[other_family]);
    let asked = refused_for_two_minutes(&mut host, old());
    assert!((3..12).contains(&asked[0]), "{asked:?}");
    assert!((1..4).contains(&asked[1]), "{asked:?}");
}

#[test]
fn a_peer_that_knows_one_address_only_is_not_asked_to_prefer_it_when_it_is_back() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[]);
    host.usable(&[old()]);
    host.settle();
    assert!(!host.did(&Action::SetPeerPrimary(old())), "{:?}", host.actions);
    assert_eq!(host.planner.state(), State::Settled);
}
