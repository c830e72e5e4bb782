//! No usable confirmed address is left.

use super::*;

#[test]
fn an_association_whose_network_stays_is_left_alone() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[old()]);
    host.facts();
    host.settle();
    assert_eq!(host.take(), []);
    assert_eq!(host.planner.state(), State::Settled);
}

#[test]
fn what_the_network_took_away_is_held_before_anything_else() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[]);
    assert_eq!(host.actions.first(), Some(&Action::Hold { address: old(), via: None }));
    assert_eq!(host.planner.state(), State::Stranded);
    assert!(host.rules.contains(&Rule::Guard(PAIR)));
    assert!(host.rules.contains(&Rule::Block { pair: PAIR, source: old() }));
}

#[test]
fn rules_that_the_host_did_not_take_are_given_to_it_again_and_not_at_once() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[]);
    let rules = Action::Rules(host.rules.clone());
    host.take();
    host.tell(Input::Failed(rules.clone()));
    host.usable(&[]);
    assert!(!host.did(&rules));
    host.wait(Tuning::default().retry);
    assert!(host.did(&rules));
    host.take();
    host.wait(Duration::from_secs(1));
    assert!(!host.did(&rules), "once it has taken them");
}

#[test]
fn the_way_out_is_laid_before_a_new_address_is_asked_for_and_the_way_in_opens_after_it() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[]);
    host.take();
    host.usable(&[new()]);
    let actions = host.take();
    let out = Rule::OutSource { pair: PAIR, from: old(), to: new() };
    let laid = position(
        &actions,
        |action| matches!(action, Action::Rules(rules) if rules.contains(&out) && rules.contains(&Rule::Guard(PAIR))),
    );
    let asked = position(&actions, |action| *action == Action::Add(new()));
    let opened = position(
        &actions,
        |action| matches!(action, Action::Rules(rules) if rules.contains(&out) && !rules.contains(&Rule::Guard(PAIR))),
    );
    assert!(laid < asked && asked < opened, "{actions:?}");
}

#[test]
fn a_stranded_association_moves_at_the_first_usable_address_without_waiting() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    assert!(host.did(&Action::Hold { address: old(), via: Some(new()) }));
    assert!(host.did(&Action::Add(new())));
}

#[test]
fn nothing_but_asconf_leaves_before_the_peer_has_answered() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    host.wait(Duration::from_secs(30));
    assert!(host.restricts(peer()));
    host.answered(serial, peer());
    assert!(!host.restricts(peer()));
    assert_eq!(host.planner.state(), State::Changing);
}

#[test]
fn an_answer_that_the_kernel_did_not_accept_is_taken_back() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    assert!(!host.restricts(peer()));
    host.tell(Input::OwnAsconf { serial, changes: vec![(0, Change::Add(new()))] });
    assert!(host.restricts(peer()), "the kernel repeats the ASCONF");
    host.answered(serial, peer());
    assert!(!host.restricts(peer()));
}

#[test]
fn no_abort_gets_in_while_the_peer_may_not_know_the_new_address_and_a_while_after() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[]);
    assert!(host.rules.contains(&Rule::NoAbortIn(PAIR)));
    host.usable(&[new()]);
    assert!(host.rules.contains(&Rule::NoAbortIn(PAIR)));
    let serial = host.add(new());
    host.answered(serial, peer());
    host.delete(old(), peer());
    assert!(host.rules.contains(&Rule::NoAbortIn(PAIR)));
    host.settle();
    assert!(!host.rules.contains(&Rule::NoAbortIn(PAIR)));
}

#[test]
fn an_answer_that_was_missed_is_asked_for_by_another_asconf() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    host.local.insert(new());
    host.facts();
    host.settle();
    assert!(host.did(&Action::SetPeerPrimary(new())));
    let serial = host.sent(Change::SetPrimary(new()));
    host.answered(serial, peer());
    assert!(!host.restricts(peer()));
}

#[test]
fn asconfs_do_not_pile_up_behind_one_that_stays_unanswered() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    for _ in 0..600 {
        host.wait(Duration::from_millis(100));
        host.tell(Input::OwnAsconf { serial, changes: vec![(0, Change::Add(new()))] });
    }
    assert!(!host.did(&Action::SetPeerPrimary(new())));
}

#[test]
fn an_address_that_the_peer_refused_to_forget_still_carries_the_association() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    let serial = host.add(new());
    host.answered(serial, peer());
    let serial = host.sent(Change::Delete(old()));
    host.usable(&[old()]);
    host.tell(Input::OwnAnswer { serial, errors: vec![(0, 0xa2)], from: peer(), to: old() });
    assert!(host.rules.contains(&Rule::OutSource { pair: PAIR, from: new(), to: old() }));
    assert!(!host.restricts(peer()), "the peer knows the address");
}

#[test]
fn an_address_that_the_peer_refused_is_neither_asked_for_again_nor_used() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new(), old()]);
    let serial = host.add(new());
    host.take();
    host.tell(Input::OwnAnswer { serial, errors: vec![(0, 0xa1)], from: peer(), to: old() });
    host.settle();
    assert!(!host.did(&Action::Add(new())));
    host.usable(&[new()]);
    assert_eq!(host.planner.state(), State::Stranded);
}

#[test]
fn an_action_that_failed_is_asked_for_again() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new(), old()]);
    host.take();
    host.tell(Input::Failed(Action::Add(new())));
    assert_eq!(host.take(), [], "not at once");
    host.settle();
    assert!(host.did(&Action::Add(new())));
}

#[test]
fn heartbeats_are_answered_only_after_the_deletion_where_the_peer_has_an_agent() {
    let silent = Rule::NoHeartbeatAckOut(PAIR);
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.tell(Input::Located(vec![peer()]));
    host.usable(&[new()]);
    assert!(host.rules.contains(&silent));
    let serial = host.add(new());
    host.take();
    host.answered(serial, peer());
    assert!(!host.rules.contains(&silent));
    let actions = host.take();
    let deletes = position(&actions, |action| *action == Action::Remove(old()));
    let opens = position(
        &actions,
        |action| matches!(action, Action::Rules(rules) if !rules.contains(&Rule::NoHeartbeatAckOut(PAIR))),
    );
    assert!(deletes < opens, "{actions:?}");

    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[new()]);
    assert!(!host.rules.contains(&silent), "a peer's kernel alone asks once only");
}

#[test]
fn whichever_lost_address_the_kernel_sends_from_the_network_sees_the_new_one() {
    let other = "10.1.0.3".parse().unwrap();
    let mut host = Host::at(&[old(), other], Binding::Explicit);
    host.usable(&[]);
    for source in [old(), other] {
        assert!(host.rules.contains(&Rule::Block { pair: PAIR, source }), "{source}");
    }
    host.usable(&[new()]);
    for from in [old(), other] {
        assert!(host.rules.contains(&Rule::OutSource { pair: PAIR, from, to: new() }), "{from}");
    }
}

#[test]
fn an_address_of_a_family_that_the_peer_does_not_have_is_no_way() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[ip("fd00::2")]);
    host.settle();
    assert_eq!(host.planner.state(), State::Stranded);
    assert!(!host.actions.iter().any(|action| matches!(action, Action::Add(_))));
}
