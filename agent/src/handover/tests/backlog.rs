//! What was sent before a move.

use super::*;

fn nudge(left: bool) -> Action {
    Action::Nudge { peer: moved_peer(), left }
}

#[test]
fn the_backlog_is_sent_at_once_when_the_peer_has_left_its_old_address() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Active));
    host.facts();
    assert_eq!(host.take(), []);
    host.peers.remove(0);
    host.facts();
    assert_eq!(host.take(), [nudge(false)]);
}

#[test]
fn the_backlog_is_sent_at_once_when_the_peer_prefers_its_new_address() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Active));
    host.facts();
    assert_eq!(host.take(), []);
    host.primary = Some(moved_peer());
    host.facts();
    assert_eq!(host.take(), [nudge(false)]);
    host.facts();
    assert_eq!(host.take(), [], "once");
}

#[test]
fn a_peer_that_asks_for_its_new_address_from_there_has_left_the_old_one() {
    for arrives in [false, true] {
        let mut host = Host::at(&[old()], Binding::Explicit);
        host.unacknowledged = true;
        host.peers.push((moved_peer(), PathState::Active));
        host.facts();
        let from = if arrives { moved_peer() } else { peer() };
        host.tell(Input::PeerAsconf { from, arrives });
        host.primary = Some(moved_peer());
        host.facts();
        assert_eq!(host.take(), [nudge(arrives)]);
    }
}

#[test]
fn a_path_that_is_not_confirmed_gets_no_backlog() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Unconfirmed));
    host.primary = Some(moved_peer());
    host.facts();
    assert_eq!(host.take(), []);
}

#[test]
fn a_new_address_of_the_peer_is_confirmed_soon_and_asked_about_ever_more_seldom() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Unconfirmed));
    host.facts();
    host.wait(Duration::from_millis(100));
    let asked = |host: &mut Host| {
        host.take().iter().filter(|action| **action == Action::Heartbeat(moved_peer())).count()
    };
    assert!((3..=5).contains(&asked(&mut host)), "the first are 20 ms apart");
    host.wait(Duration::from_secs(10));
    assert!((5..=30).contains(&asked(&mut host)));
    host.wait(Duration::from_secs(10));
    assert_eq!(asked(&mut host), 0, "then it is left to the kernel");
}

#[test]
fn the_backlog_of_a_path_that_is_about_to_be_confirmed_is_left_to_the_kernel() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Unconfirmed));
    host.facts();
    host.peers.remove(0);
    host.facts();
    assert!(!host.did(&nudge(false)));
}

#[test]
fn a_hole_that_outlasts_every_timer_after_a_move_is_filled() {
    let late = Duration::from_millis(1400);
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Active));
    host.facts();
    host.peers.remove(0);
    host.facts();
    assert_eq!(host.take(), [nudge(false)]);
    // Data flows.
    host.sacks = (100, 0);
    host.facts();
    host.wait(late);
    assert_eq!(host.take(), []);
    // Each SACK tells of a hole.
    host.sacks = (200, 100);
    host.facts();
    host.wait(late);
    assert_eq!(host.take(), [nudge(true)]);
    // No SACK comes at all.
    host.wait(late);
    assert_eq!(host.take(), [nudge(true)]);
    // All has arrived.
    host.unacknowledged = false;
    host.facts();
    host.wait(late);
    assert_eq!(host.take(), []);
}
