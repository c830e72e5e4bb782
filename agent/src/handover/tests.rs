//! What the planner promises, one test each.

#![expect(clippy::disallowed_methods, reason = "one clock reading is the origin of each test's own time")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::translate::{Pair, Rule};

const PAIR: Pair = Pair { local_port: 7001, peer_port: 7000 };

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn old() -> IpAddr {
    ip("10.1.0.2")
}
fn new() -> IpAddr {
    ip("10.2.0.2")
}
fn third() -> IpAddr {
    ip("10.5.0.2")
}
fn peer() -> IpAddr {
    ip("10.3.0.2")
}
fn moved_peer() -> IpAddr {
    ip("10.4.0.2")
}

/// A planner, its clock, and a kernel that does at once what it is asked for.
struct Host {
    planner: Planner,
    now: Instant,
    serial: u32,
    local: BTreeSet<IpAddr>,
    peers: Vec<(IpAddr, PathState)>,
    rules: BTreeSet<Rule>,
    unacknowledged: bool,
    /// SACKs received, and the gaps that they told of.
    sacks: (u64, u64),
    /// The path that the peer prefers; none: the first.
    primary: Option<IpAddr>,
    actions: Vec<Action>,
}

impl Host {
    fn at(locals: &[IpAddr], binding: Binding) -> Self {
        Self::with(locals, binding, |_| {})
    }

    fn with(locals: &[IpAddr], binding: Binding, change: impl FnOnce(&mut Identity)) -> Self {
        let mut identity = Identity { pair: PAIR, binding, may_mute: false, translate: true };
        change(&mut identity);
        let local: BTreeSet<_> = locals.iter().copied().collect();
        let peers = vec![(peer(), PathState::Active)];
        let facts = Facts {
            local: local.clone(),
            peers: peers.clone(),
            primary: Some(peer()),
            unacknowledged: false,
            sacks: 0,
            gaps: 0,
        };
        let now = Instant::now() + Duration::from_secs(1000);
        let planner = Planner::new(now, identity, facts, Tuning::default());
        let mut host = Self {
            planner,
            now,
            serial: 1,
            local,
            peers,
            rules: BTreeSet::new(),
            unacknowledged: false,
            sacks: (0, 0),
            primary: None,
            actions: Vec::new(),
        };
        host.usable(locals);
        host.settle();
        host.actions.clear();
        host
    }

    fn tell(&mut self, input: Input) {
        self.planner.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(planned) = self.planner.poll_output() {
            if let Action::Rules(rules) = &planned.action {
                self.rules.clone_from(rules);
            }
            self.actions.push(planned.action);
        }
    }

    fn usable(&mut self, addresses: &[IpAddr]) {
        self.tell(Input::Usable(addresses.to_vec()));
    }

    fn facts(&mut self) {
        let facts = Facts {
            local: self.local.clone(),
            peers: self.peers.clone(),
            primary: self.primary.or_else(|| self.peers.first().map(|&(peer, _)| peer)),
            unacknowledged: self.unacknowledged,
            sacks: self.sacks.0,
            gaps: self.sacks.1,
        };
        self.tell(Input::Facts(facts));
    }

    /// Lets time pass, with every timeout that falls due.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.planner.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.planner.handle_timeout(self.now);
            self.drain();
            assert!(self.planner.poll_timeout().is_none_or(|next| next > self.now), "a timeout that spins");
        }
        self.now = end;
    }

    fn settle(&mut self) {
        self.wait(Duration::from_secs(5));
    }

    fn sent(&mut self, change: Change) -> u32 {
        self.serial += 1;
        self.tell(Input::OwnAsconf { serial: self.serial, changes: vec![(0, change)] });
        self.serial
    }

    fn answered(&mut self, serial: u32, from: IpAddr) {
        self.wait(Duration::from_millis(30));
        let to = *self.local.last().expect("an address");
        self.tell(Input::OwnAnswer { serial, errors: Vec::new(), from, to });
    }

    /// The kernel takes an address up and asks the peer.
    fn add(&mut self, address: IpAddr) -> u32 {
        self.local.insert(address);
        self.facts();
        self.sent(Change::Add(address))
    }

    /// The peer forgets an address and says so.
    fn delete(&mut self, address: IpAddr, from: IpAddr) {
        let serial = self.sent(Change::Delete(address));
        self.answered(serial, from);
        self.local.remove(&address);
        self.facts();
    }

    fn did(&self, action: &Action) -> bool {
        self.actions.contains(action)
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn restricts(&self, destination: IpAddr) -> bool {
        self.rules
            .iter()
            .any(|rule| matches!(rule, Rule::Restrict { destination: to, .. } if *to == destination))
    }

    fn redirects(&self, from: IpAddr, to: IpAddr) -> bool {
        self.rules.contains(&Rule::OutDestination { pair: PAIR, from, to })
    }
}

fn position(actions: &[Action], wanted: impl Fn(&Action) -> bool) -> usize {
    actions.iter().position(wanted).unwrap_or_else(|| panic!("missing in {actions:?}"))
}

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
    host.tell(Input::PeerAsconf { from: moved_peer() });
    let answer = Rule::AnswerTo { pair: PAIR, from: peer(), to: moved_peer() };
    let way_in = Rule::InSource { pair: PAIR, from: moved_peer(), to: peer() };
    assert!(host.rules.contains(&answer) && host.rules.contains(&way_in));
    assert!(!host.redirects(peer(), moved_peer()), "answers, and nothing else");
    host.wait(Duration::from_secs(6));
    assert_eq!(host.rules, BTreeSet::new());
    host.tell(Input::PeerAsconf { from: moved_peer() });
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
    host.tell(Input::Failed { action: Action::Add(new()), error: "no".into() });
    assert_eq!(host.take(), [], "not at once");
    host.settle();
    assert!(host.did(&Action::Add(new())));
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
    assert_eq!(host.take(), [Action::Nudge(moved_peer())]);
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
    assert_eq!(host.take(), [Action::Nudge(moved_peer())]);
    host.facts();
    assert_eq!(host.take(), [], "once");
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
    assert!(!host.did(&Action::Nudge(moved_peer())));
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

#[test]
fn a_hole_that_outlasts_every_timer_after_a_move_is_filled() {
    let late = Duration::from_millis(1400);
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.unacknowledged = true;
    host.peers.push((moved_peer(), PathState::Active));
    host.facts();
    host.peers.remove(0);
    host.facts();
    assert_eq!(host.take(), [Action::Nudge(moved_peer())]);
    // Data flows.
    host.sacks = (100, 0);
    host.facts();
    host.wait(late);
    assert_eq!(host.take(), []);
    // Each SACK tells of a hole.
    host.sacks = (200, 100);
    host.facts();
    host.wait(late);
    assert_eq!(host.take(), [Action::Nudge(moved_peer())]);
    // No SACK comes at all.
    host.wait(late);
    assert_eq!(host.take(), [Action::Nudge(moved_peer())]);
    // All has arrived.
    host.unacknowledged = false;
    host.facts();
    host.wait(late);
    assert_eq!(host.take(), []);
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

#[test]
fn only_the_end_that_may_be_mute_swaps() {
    for may_mute in [false, true] {
        let mut host = Host::with(&[old()], Binding::Explicit, |identity| {
            identity.translate = false;
            identity.may_mute = may_mute;
        });
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
fn an_address_of_a_family_that_the_peer_does_not_have_is_no_way() {
    let mut host = Host::at(&[old()], Binding::Explicit);
    host.usable(&[ip("fd00::2")]);
    host.settle();
    assert_eq!(host.planner.state(), State::Stranded);
    assert!(!host.actions.iter().any(|action| matches!(action, Action::Add(_))));
}
