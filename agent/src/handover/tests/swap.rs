//! Moving by socket options alone.

use super::*;

fn without_nftables(may_mute: bool) -> Host {
    Host::with(&[old()], Binding::Explicit, |identity| {
        identity.translate = false;
        identity.may_mute = may_mute;
    })
}

#[test]
fn only_the_end_that_may_be_mute_swaps() {
    for may_mute in [false, true] {
        let mut host = without_nftables(may_mute);
        host.usable(&[new()]);
        assert_eq!(host.did(&Action::Swap { old: old(), new: new() }), may_mute);
    }
}

#[test]
fn of_two_ends_exactly_one_may_be_mute() {
    for (a, b) in [(7000, 7001), (7000, 7000), (9, 5)] {
        let here = Pair { local_port: a, peer_port: b };
        let there = Pair { local_port: b, peer_port: a };
        assert_ne!(may_mute(here, Some(old()), Some(peer())), may_mute(there, Some(peer()), Some(old())));
    }
}

#[test]
fn where_nothing_can_be_translated_no_rules_are_asked_for_and_none_are_left_to_the_next_daemon() {
    let mut host = without_nftables(true);
    host.usable(&[new()]);
    host.local = BTreeSet::from([new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    assert_eq!(host.planner.state(), State::Settled);
    assert!(!host.actions.iter().any(|action| matches!(action, Action::Rules(_))), "{:?}", host.actions);
    assert_eq!(host.planner.saved().rules, BTreeSet::new());
    let saved = Saved { rules: BTreeSet::from([Rule::NoAbortIn(PAIR)]), ..Saved::default() };
    host.next_daemon(saved);
    assert_eq!(*host.planner.rules(), BTreeSet::new(), "of a daemon that had nftables");
}

#[test]
fn the_next_daemon_asks_what_became_of_a_swap_that_it_did_not_see_answered() {
    let mut host = without_nftables(true);
    host.usable(&[new()]);
    host.local = BTreeSet::from([new()]);
    let saved = host.planner.saved();
    host.next_daemon(saved);
    host.usable(&[new()]);
    assert!(host.did(&Action::SetPeerPrimary(new())), "{:?}", host.actions);
    let serial = host.sent(Change::SetPrimary(new()));
    host.answered(serial, peer());
    assert_eq!(host.planner.state(), State::Settled);
}
