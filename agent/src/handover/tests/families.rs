//! Associations between hosts with addresses of both families.

use super::*;

fn own6() -> IpAddr {
    ip("fd00:1::2")
}

fn peer6() -> IpAddr {
    ip("fd00:3::2")
}

fn send_to(peer: IpAddr, alone: bool) -> Action {
    Action::SendTo { peer, alone }
}

/// Both ends have an address of each family, and data goes over IPv6.
fn both() -> Host {
    let mut host = Host::at(&[own6(), old()], Binding::Explicit);
    host.peers = vec![(peer6(), PathState::Active), (peer(), PathState::Active)];
    host.facts();
    host.settle();
    host.take();
    host
}

/// IPv6 is gone, and data goes over IPv4.
fn led() -> Host {
    let mut host = both();
    host.usable(&[old()]);
    host.peers = vec![(peer6(), PathState::Inactive), (peer(), PathState::Active)];
    host.primary = Some(peer());
    host.facts();
    host.take();
    host
}

#[test]
fn when_a_family_goes_own_data_and_the_peers_go_over_the_other_at_once() {
    let mut host = both();
    host.usable(&[old()]);
    let actions = host.take();
    let led = position(&actions, |action| *action == send_to(peer(), true));
    let asked = position(&actions, |action| *action == Action::SetPeerPrimary(old()));
    assert!(led < asked, "the ASCONF has to leave over the family that is left, too");
    host.primary = Some(peer());
    host.facts();
    host.wait(Duration::from_millis(400));
    assert!(!host.did(&send_to(peer(), true)), "once");
}

#[test]
fn while_an_address_of_its_family_is_left_the_primary_path_stays() {
    let mut host = both();
    host.usable(&[own6()]);
    host.wait(Duration::from_secs(2));
    assert!(!host.take().iter().any(|action| matches!(action, Action::SendTo { .. })));
}

#[test]
fn a_path_that_is_not_known_to_work_is_asked_before_data_goes_there() {
    for state in [PathState::Unconfirmed, PathState::Inactive] {
        let mut host = both();
        host.peers = vec![(peer6(), PathState::Active), (peer(), state)];
        host.facts();
        host.settle();
        host.take();
        host.usable(&[old()]);
        let actions = host.take();
        assert!(actions.contains(&Action::Heartbeat(peer())), "{state:?}: {actions:?}");
        assert!(!actions.contains(&send_to(peer(), true)), "{state:?}");
        host.peers = vec![(peer6(), PathState::Active), (peer(), PathState::Active)];
        host.facts();
        assert!(host.did(&send_to(peer(), true)), "{state:?}");
    }
}

#[test]
fn a_path_that_never_answers_is_asked_ever_more_seldom() {
    let mut host = both();
    host.peers = vec![(peer6(), PathState::Active), (peer(), PathState::Inactive)];
    host.facts();
    host.take();
    host.usable(&[old()]);
    let asked =
        |host: &mut Host| host.take().iter().filter(|action| **action == Action::Heartbeat(peer())).count();
    host.wait(Duration::from_secs(1));
    assert!((4..=6).contains(&asked(&mut host)), "soon");
    host.wait(Duration::from_secs(60));
    assert!((5..=15).contains(&asked(&mut host)));
}

#[test]
fn a_primary_path_that_could_not_be_changed_is_tried_again() {
    let mut host = both();
    host.usable(&[old()]);
    host.take();
    host.tell(Input::Failed(send_to(peer(), true)));
    host.wait(Duration::from_millis(300));
    assert!(host.did(&send_to(peer(), true)));
}

#[test]
fn the_primary_path_is_what_it_was_when_its_family_is_back_and_answers() {
    let mut host = led();
    host.usable(&[own6(), old()]);
    assert!(host.did(&Action::Heartbeat(peer6())), "it was given up");
    assert!(!host.did(&send_to(peer6(), false)));
    host.peers = vec![(peer6(), PathState::Active), (peer(), PathState::Active)];
    host.facts();
    assert!(host.did(&send_to(peer6(), false)));
    host.take();
    host.primary = Some(peer6());
    host.facts();
    host.settle();
    assert!(!host.take().iter().any(|action| matches!(action, Action::SendTo { .. })), "once");
}

#[test]
fn the_next_daemon_puts_the_primary_path_back() {
    let mut host = led();
    host.next_daemon(host.planner.saved());
    host.usable(&[own6(), old()]);
    host.peers[0].1 = PathState::Active;
    host.facts();
    assert!(host.did(&send_to(peer6(), false)));
}

#[test]
fn the_next_daemon_leads_away_what_the_earlier_one_only_meant_to() {
    let mut host = both();
    host.usable(&[old()]);
    assert!(host.did(&send_to(peer(), true)));
    host.next_daemon(host.planner.saved());
    host.usable(&[old()]);
    host.wait(Duration::from_millis(100));
    assert!(host.did(&send_to(peer(), true)));
}

#[test]
fn a_primary_path_that_somebody_else_has_chosen_meanwhile_stays() {
    let mut host = led();
    host.peers.push((moved_peer(), PathState::Active));
    host.primary = Some(moved_peer());
    host.facts();
    host.usable(&[own6(), old()]);
    host.peers[0].1 = PathState::Active;
    host.facts();
    host.settle();
    assert!(!host.take().iter().any(|action| matches!(action, Action::SendTo { .. })));
}

#[test]
fn of_a_primary_path_that_the_peer_has_left_nothing_is_put_back() {
    let mut host = led();
    host.peers.remove(0);
    host.facts();
    host.usable(&[own6(), old()]);
    host.settle();
    assert!(!host.take().iter().any(|action| matches!(action, Action::SendTo { .. })));
}

#[test]
fn paths_of_the_other_family_are_confirmed_before_they_are_needed() {
    let mut host = both();
    host.peers = vec![(peer6(), PathState::Active), (peer(), PathState::Unconfirmed)];
    host.facts();
    let asked =
        |host: &mut Host| host.take().iter().filter(|action| **action == Action::Heartbeat(peer())).count();
    assert_eq!(asked(&mut host), 1, "at once");
    host.wait(Duration::from_secs(60));
    assert!((3..=8).contains(&asked(&mut host)), "ever more seldom");
    host.wait(Duration::from_secs(60));
    assert_eq!(asked(&mut host), 0, "then it is left to the kernel");
}

#[test]
fn no_path_is_asked_of_whose_family_the_host_has_nothing() {
    let mut host = Host::at(&[own6()], Binding::Explicit);
    host.peers = vec![(peer6(), PathState::Active), (peer(), PathState::Unconfirmed)];
    host.facts();
    // As every address of a peer that is new, it is asked for a while.
    host.settle();
    host.take();
    host.wait(Duration::from_secs(60));
    assert!(!host.did(&Action::Heartbeat(peer())));
}

#[test]
fn while_a_family_is_gone_nothing_asks_for_its_paths() {
    let mut host = led();
    host.unacknowledged = true;
    host.facts();
    host.wait(Duration::from_secs(10));
    assert!(!host.did(&Action::Heartbeat(peer6())));
}
