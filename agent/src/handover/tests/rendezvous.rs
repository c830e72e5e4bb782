//! Where the peer is.

use super::*;

#[test]
fn a_registrars_word_alone_never_opens_the_way_for_data() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![moved_peer()]));
    host.usable(&[new()]);
    assert!(host.redirects(peer(), moved_peer()));
    let serial = host.add(new());
    host.answered(serial, moved_peer());
    host.wait(Duration::from_secs(30));
    assert!(host.restricts(peer()), "an answer that nobody has authenticated");
    assert!(
        host.did(&Action::SetPeerPrimary(new())),
        "the kernel is asked to show that it accepted the answer"
    );
    host.sent(Change::SetPrimary(new()));
    assert!(!host.restricts(peer()), "the kernel went on to its next ASCONF: it has accepted the answer");
    assert!(host.redirects(peer(), moved_peer()));
}

#[test]
fn the_known_address_gets_its_turn_when_the_registrars_does_not_answer() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![moved_peer()]));
    host.usable(&[new()]);
    host.add(new());
    let mut tried = [0, 0];
    for _ in 0..40 {
        host.wait(Duration::from_millis(50));
        tried[usize::from(host.redirects(peer(), moved_peer()))] += 1;
    }
    assert!(tried[0] > 5 && tried[1] > 5, "{tried:?}");
}

#[test]
fn a_registrar_that_names_another_address_every_moment_does_not_keep_the_known_one_from_its_turns() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    host.add(new());
    let (mut turns, mut longest, mut turn) = (0, 0, 0);
    for lie in 0..=255 {
        host.tell(Input::Located(vec![IpAddr::from([203, 0, 113, lie])]));
        host.wait(Duration::from_millis(20));
        let redirected = host
            .rules
            .iter()
            .any(|rule| matches!(rule, Rule::OutDestination { from, .. } if *from == peer()));
        turn = if redirected { 0 } else { turn + 1 };
        turns += u32::from(turn == 1);
        longest = longest.max(turn);
    }
    assert!(
        turns >= 5 && longest >= 8,
        "{turns} turns in five seconds, the longest of {longest} times 20 ms"
    );
}

#[test]
fn a_registrar_that_names_very_many_addresses_does_not_keep_the_known_one_from_its_turns() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located((0..=255).map(|last| IpAddr::from([203, 0, 113, last])).collect()));
    host.usable(&[new()]);
    host.add(new());
    let (mut turns, mut tried, mut known) = (0, BTreeSet::new(), false);
    for _ in 0..200 {
        host.wait(Duration::from_millis(50));
        let to = host.rules.iter().find_map(|rule| match rule {
            Rule::OutDestination { from, to, .. } if *from == peer() => Some(*to),
            _ => None,
        });
        tried.extend(to);
        turns += u32::from(to.is_none() && !known);
        known = to.is_none();
    }
    assert!(turns >= 4 && tried.len() >= 15, "{turns} turns in ten seconds, beside {} others", tried.len());
    assert!(host.rules.len() < 100, "{} rules", host.rules.len());
}

#[test]
fn what_comes_from_an_address_tried_is_let_in_after_its_turn() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![moved_peer()]));
    host.usable(&[new()]);
    host.add(new());
    for _ in 0..40 {
        host.wait(Duration::from_millis(50));
        assert!(host.rules.contains(&Rule::InSource { pair: PAIR, from: moved_peer(), to: peer() }));
    }
}

#[test]
fn a_peer_that_adds_its_address_by_asconf_is_believed() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    host.add(new());
    host.peers.push((moved_peer(), PathState::Unconfirmed));
    host.facts();
    assert!(host.redirects(peer(), moved_peer()));
    assert!(!host.restricts(peer()));
}

#[test]
fn answers_go_where_the_peers_last_asconf_came_from() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::PeerAsconf { from: moved_peer(), arrives: false });
    let answer = Rule::AnswerTo { pair: PAIR, from: peer(), to: moved_peer() };
    let way_in = Rule::InSource { pair: PAIR, from: moved_peer(), to: peer() };
    assert!(host.rules.contains(&answer) && host.rules.contains(&way_in));
    assert!(!host.redirects(peer(), moved_peer()), "answers, and nothing else");
    host.wait(Duration::from_secs(6));
    assert_eq!(host.rules, BTreeSet::new());
    host.tell(Input::PeerAsconf { from: moved_peer(), arrives: false });
    host.peers.push((moved_peer(), PathState::Unconfirmed));
    host.facts();
    assert_eq!(host.rules, BTreeSet::from([Rule::NoAbortIn(PAIR)]), "the kernel knows the address itself");
}

#[test]
fn what_is_sent_on_to_a_moved_peer_ends_when_the_kernel_knows_where_it_is() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![moved_peer()]));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, moved_peer());
    host.sent(Change::SetPrimary(new()));
    assert!(host.redirects(peer(), moved_peer()));
    host.peers.push((moved_peer(), PathState::Unconfirmed));
    host.facts();
    assert!(host.redirects(peer(), moved_peer()), "not confirmed yet");
    host.peers[1].1 = PathState::Active;
    host.facts();
    assert!(!host.redirects(peer(), moved_peer()));
}

#[test]
fn what_is_sent_on_to_a_moved_peer_ends_when_it_never_says_so_itself() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![moved_peer()]));
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, moved_peer());
    host.sent(Change::SetPrimary(new()));
    host.wait(Duration::from_secs(10));
    assert!(!host.redirects(peer(), moved_peer()));
}
