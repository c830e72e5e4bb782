#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use std::time::Instant;

use super::*;
use crate::wire::{Message, PoolElement as WireElement, Transport, decode};

mod carried;
mod chaos;

struct World {
    client: Client,
    now: Instant,
}

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn registrar(last: u8) -> SocketAddr {
    SocketAddr::new([10, 9, 0, last].into(), 3863)
}

fn pool() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn peers() -> PoolHandle {
    "PeerPool".parse().unwrap()
}

fn element() -> ElementConfig {
    ElementConfig {
        handle: pool(),
        id: 9,
        port: 7,
        use_: TransportUse::DataOnly,
        policy: Policy::RoundRobin,
        life: Some(Duration::from_secs(300)),
        addresses: None,
    }
}

fn accepted() -> Message {
    Message::RegistrationResponse { rejected: false, handle: pool(), id: 9, error: None }
}

/// What was put out, with messages decoded.
#[derive(Debug, PartialEq)]
enum Seen {
    Bind(PortId, Vec<IpAddr>),
    Unbind(PortId),
    Open(LinkId, PortId, Vec<SocketAddr>),
    Say(LinkId, Message),
    Close(LinkId),
    Carry(LinkId, Vec<IpAddr>),
    Event(Event),
}

impl World {
    fn new(registrars: u8) -> Self {
        let registrars = (1..=registrars).map(|last| vec![registrar(last)]).collect();
        Self::with(Config { registrars, timers: Timers::default(), seed: Some(1) })
    }

    fn with(config: Config) -> Self {
        Self { client: Client::new(config), now: Instant::now() }
    }

    fn give(&mut self, input: Input) -> Vec<Seen> {
        self.client.handle(self.now, input);
        self.seen()
    }

    fn hear(&mut self, link: LinkId, message: &Message) -> Vec<Seen> {
        self.give(Input::Received(link, message.encode()))
    }

    fn seen(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.client.poll_output())
            .map(|output| match output {
                Output::Bind { port, local } => Seen::Bind(port, local),
                Output::Unbind(port) => Seen::Unbind(port),
                Output::Open { link, port, remote } => Seen::Open(link, port, remote),
                Output::Send { link, bytes } => Seen::Say(link, decode(&bytes).unwrap().message),
                Output::Close(link) => Seen::Close(link),
                Output::Carry { link, local } => Seen::Carry(link, local),
                Output::Event(event) => Seen::Event(event),
            })
            .collect()
    }

    fn wait(&mut self) -> (u128, Vec<Seen>) {
        let then = self.client.poll_timeout().expect("a timer runs");
        let millis = (then - self.now).as_millis();
        self.now = then;
        self.client.handle_timeout(then);
        (millis, self.seen())
    }

    /// Moves to these addresses; gives the links opened there and the port.
    fn local(&mut self, last: &[u8]) -> Vec<Seen> {
        self.give(Input::Local(last.iter().map(|last| ip(*last)).collect()))
    }

    /// Registered and subscribed at the one registrar from address 1; the elements' and the users' link.
    fn settled() -> (Self, LinkId, LinkId) {
        let mut world = Self::new(1);
        world.give(Input::Register(element()));
        world.give(Input::Subscribe(peers()));
        let links = opened(&world.local(&[1]));
        world.give(Input::Up(links[0]));
        world.give(Input::Up(links[1]));
        world.hear(links[0], &accepted());
        world.hear(links[1], &push(true, &[1]));
        (world, links[0], links[1])
    }
}

fn opened(seen: &[Seen]) -> Vec<LinkId> {
    seen.iter().filter_map(|seen| if let Seen::Open(link, ..) = seen { Some(*link) } else { None }).collect()
}

fn bound(seen: &[Seen]) -> PortId {
    seen.iter().find_map(|seen| if let Seen::Bind(port, _) = seen { Some(*port) } else { None }).unwrap()
}

fn said(seen: &[Seen], to: LinkId) -> Vec<&Message> {
    seen.iter().filter(|seen| matches!(seen, Seen::Say(link, _) if *link == to)).map(message).collect()
}

fn message(seen: &Seen) -> &Message {
    if let Seen::Say(_, message) = seen { message } else { panic!("{seen:?}") }
}

/// The addresses registered by these messages.
fn registered(messages: &[&Message]) -> Vec<Vec<IpAddr>> {
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Registration { element, .. } => Some(element.user.addresses().to_vec()),
            _ => None,
        })
        .collect()
}

fn push(subscribed: bool, last: &[u8]) -> Message {
    let elements = last.iter().map(|last| WireElement {
        id: u32::from(*last),
        home: 1,
        life: 300,
        user: Transport::Sctp { port: 7, use_: TransportUse::DataOnly, addresses: vec![ip(*last)] },
        policy: Policy::RoundRobin,
        asap: None,
    });
    Message::HandleResolutionResponse {
        subscribed,
        handle: peers(),
        policy: Some(Policy::RoundRobin),
        elements: elements.collect(),
        error: None,
    }
}

#[test]
fn a_registrar_that_announces_itself_becomes_home_and_is_tried_no_more_once_it_is_silent() {
    let mut world = World::new(0);
    world.give(Input::Register(element()));
    world.give(Input::Local(vec![ip(1)]));
    assert_eq!(world.client.poll_timeout(), None, "nobody to be asked");
    let heard = || Input::Announced { server: 7, addresses: vec![registrar(1)] };
    let opened = |seen: &[Seen]| {
        seen.iter().find_map(|seen| match seen {
            Seen::Open(link, _, remote) => Some((*link, remote.clone())),
            _ => None,
        })
    };
    let (link, remote) = opened(&world.give(heard())).expect("it is asked at once");
    assert_eq!(remote, [registrar(1)]);
    assert_eq!(opened(&world.give(heard())), None);
    world.give(Input::Up(link));
    assert!(world.client.is_home_up());
    assert!(opened(&world.give(Input::Down(link))).is_some(), "it is looked for again");
    let end = world.now + Timers::default().t7_outdate * 3;
    let mut last = world.now;
    while let Some(at) = world.client.poll_timeout().filter(|at| *at <= end) {
        world.now = at;
        world.client.handle_timeout(at);
        let seen = world.seen();
        if let Some((link, _)) = opened(&seen) {
            last = at;
            world.give(Input::Down(link));
        }
    }
    assert!(last < end - Timers::default().t7_outdate, "for T7 only");
    assert!(opened(&world.give(heard())).is_some(), "until it is heard again");
}

#[test]
fn registration_and_resolution_each_travel_with_the_setting_up_of_an_association() {
    let mut world = World::new(1);
    assert_eq!(world.give(Input::Register(element())), []);
    assert_eq!(world.give(Input::Subscribe(peers())), []);
    let seen = world.local(&[1]);
    let [
        Seen::Bind(port, local),
        Seen::Open(pe, from, remote),
        first,
        Seen::Bind(..),
        Seen::Open(pu, ..),
        second,
    ] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((local, from, remote), (&vec![ip(1)], port, &vec![registrar(1)]));
    assert_eq!(registered(&said(&seen, *pe)), [[ip(1)]]);
    assert!(matches!(said(&seen, *pu)[..], [Message::HandleResolution { subscribe: true, .. }]));
    assert_eq!((message(first), message(second)), (said(&seen, *pe)[0], said(&seen, *pu)[0]));
    assert_eq!(world.give(Input::Up(*pe)), [Seen::Event(Event::Home { registrar: vec![registrar(1)] })]);
    assert_eq!(world.give(Input::Up(*pu)), [], "the same registrar");
}

#[test]
fn what_is_not_needed_is_not_set_up() {
    let mut world = World::new(1);
    assert_eq!(world.local(&[1]), []);
    assert_eq!(opened(&world.give(Input::Subscribe(peers()))).len(), 1);
    let seen = world.give(Input::Register(element()));
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(1)]]);
    let mut world = World::new(1);
    world.local(&[1]);
    let link = opened(&world.give(Input::Subscribe(peers())))[0];
    assert!(
        world.give(Input::Up(link)).contains(&Seen::Event(Event::Home { registrar: vec![registrar(1)] }))
    );
}

#[test]
fn with_several_unknown_registrars_only_the_first_to_connect_is_spoken_to() {
    let mut world = World::new(3);
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    let links = opened(&seen);
    assert_eq!(links.len(), 3);
    assert!(links.iter().all(|link| said(&seen, *link).is_empty()));
    let seen = world.give(Input::Up(links[1]));
    assert_eq!(registered(&said(&seen, links[1])), [[ip(1)]]);
    assert!(seen.contains(&Seen::Close(links[0])) && seen.contains(&Seen::Close(links[2])));
}

#[test]
fn new_addresses_open_a_new_association_at_once_from_them_to_the_registrar_that_was_home() {
    let mut world = World::new(3);
    world.give(Input::Register(element()));
    let links = opened(&world.local(&[1]));
    world.give(Input::Up(links[1]));
    world.hear(links[1], &accepted());
    let seen = world.local(&[2]);
    assert!(seen.contains(&Seen::Event(Event::HomeLost)));
    let links_now = opened(&seen);
    assert_eq!(links_now.len(), 1, "the others join only after the head start");
    assert_eq!(registered(&said(&seen, links_now[0])), [[ip(2)]]);
    assert_eq!(world.wait().0, 1000);
}

#[test]
fn without_a_seed_the_first_of_the_list_is_spoken_to_at_once() {
    let registrars = (1..=3).map(|last| vec![registrar(last)]).collect();
    let mut world = World::with(Config { registrars, timers: Timers::default(), seed: None });
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    assert!(matches!(&seen[1], Seen::Open(_, _, remote) if *remote == [registrar(1)]));
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(1)]]);
    let seen = world.give(Input::Down(opened(&seen)[0]));
    let order: Vec<_> =
        seen.iter().filter_map(|s| if let Seen::Open(_, _, r) = s { Some(r[0]) } else { None }).collect();
    assert_eq!(order, [registrar(2), registrar(3)]);
}

#[test]
fn the_old_association_is_ended_only_when_the_new_one_has_taken_over() {
    let (mut world, old, _) = World::settled();
    let seen = world.local(&[1, 2]);
    let new = opened(&seen)[0];
    assert!(!seen.contains(&Seen::Close(old)));
    assert!(!world.give(Input::Up(new)).contains(&Seen::Close(old)));
    let seen = world.hear(new, &accepted());
    assert!(seen.contains(&Seen::Close(old)));
    assert!(seen.iter().any(|seen| matches!(seen, Seen::Unbind(_))), "its socket goes with it");
}

#[test]
fn an_old_association_is_not_kept_for_ever_for_an_answer_that_does_not_come() {
    let (mut world, old, _) = World::settled();
    let new = opened(&world.local(&[2]))[0];
    world.give(Input::Up(new));
    let (mut waited, mut seen) = (0, Vec::new());
    while !seen.contains(&Seen::Close(old)) {
        let (millis, more) = world.wait();
        waited += millis;
        seen = more;
    }
    assert_eq!(waited, 10_000);
    assert!(seen.contains(&Seen::Close(old)));
}

#[test]
fn responses_on_an_association_that_is_no_longer_home_do_not_count() {
    let (mut world, old_pe, old_pu) = World::settled();
    for new in opened(&world.local(&[2])) {
        world.give(Input::Up(new));
    }
    assert_eq!(world.hear(old_pe, &accepted()), []);
    assert_eq!(world.hear(old_pu, &push(true, &[3])), []);
}

#[test]
fn the_same_addresses_again_in_any_order_change_nothing() {
    let (mut world, ..) = World::settled();
    let seen = world.local(&[2, 1]);
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(2), ip(1)]], "but the first order is kept");
    assert_eq!(world.local(&[1, 2, 1]), []);
}

#[test]
fn offline_all_rests_and_the_next_address_brings_everything_back() {
    let (mut world, old, _) = World::settled();
    let seen = world.local(&[]);
    assert_eq!(seen, [Seen::Event(Event::Offline), Seen::Event(Event::HomeLost)]);
    assert_eq!(world.client.poll_timeout(), None);
    assert_eq!(world.give(Input::Down(old)).len(), 1, "its port is given up");
    assert_eq!(world.client.poll_timeout(), None);
    let seen = world.local(&[1]);
    let links = opened(&seen);
    assert_eq!((said(&seen, links[0]).len(), said(&seen, links[1]).len()), (1, 1));
}

#[test]
fn a_pool_that_changed_while_away_is_told_once_back() {
    let (mut world, ..) = World::settled();
    let new = opened(&world.local(&[2]))[1];
    world.give(Input::Up(new));
    assert!(!world.hear(new, &push(true, &[1])).iter().any(|seen| matches!(seen, Seen::Event(_))), "no news");
    let seen = world.hear(new, &push(true, &[2]));
    assert!(matches!(&seen[..], [Seen::Event(Event::Pool { .. })]));
}

#[test]
fn when_the_association_is_lost_another_registrar_is_tried_before_the_same() {
    let mut world = World::with(Config {
        registrars: (1..=2).map(|last| vec![registrar(last)]).collect(),
        timers: Timers { at_once: 1, ..Timers::default() },
        seed: Some(1),
    });
    world.give(Input::Register(element()));
    let first = world.local(&[1]);
    let link = opened(&first)[0];
    world.give(Input::Up(link));
    let seen = world.give(Input::Down(link));
    assert!(seen.contains(&Seen::Event(Event::HomeLost)));
    let (Seen::Open(_, _, before), Seen::Open(_, _, now)) = (&first[1], &seen[0]) else { panic!("{seen:?}") };
    assert_ne!(before, now);
}

#[test]
fn a_single_registrar_that_refuses_is_tried_again_with_pauses_and_registered_at_when_it_is_back() {
    let mut world = World::new(1);
    world.give(Input::Register(element()));
    let mut link = opened(&world.local(&[1]))[0];
    for pause in [1000, 2000, 4000] {
        assert_eq!(world.give(Input::Down(link)), []);
        let (millis, seen) = world.wait();
        assert_eq!(millis, pause);
        link = opened(&seen)[0];
        assert_eq!(registered(&said(&seen, link)), [[ip(1)]]);
    }
    world.give(Input::Up(link));
    assert!(matches!(world.hear(link, &accepted())[..], [Seen::Event(Event::Registered { .. })]));
}

#[test]
fn a_home_that_does_not_answer_is_hunted_for_from_another_port_and_then_left() {
    let mut world = World::new(1);
    world.give(Input::Register(element()));
    let link = opened(&world.local(&[1]))[0];
    world.give(Input::Up(link));
    let (millis, seen) = world.wait();
    assert_eq!(millis, 30_000);
    bound(&seen);
    let second = opened(&seen)[0];
    assert_eq!(said(&seen, second), Vec::<&Message>::new());
    let seen = world.give(Input::Up(second));
    assert_eq!(registered(&said(&seen, second)), [[ip(1)]]);
}

#[test]
fn a_home_that_answers_after_all_stays_home() {
    let mut world = World::new(2);
    world.give(Input::Register(element()));
    let links = opened(&world.local(&[1]));
    world.give(Input::Up(links[0]));
    let (_, seen) = world.wait();
    let hunted = opened(&seen);
    let seen = world.hear(links[0], &accepted());
    assert!(hunted.iter().all(|link| seen.contains(&Seen::Close(*link))));
    assert_eq!(world.give(Input::Up(hunted[0])), [], "it has been given up");
}

#[test]
fn a_registrar_that_begins_the_association_anew_is_told_everything_again() {
    let (mut world, pe, pu) = World::settled();
    assert_eq!(registered(&said(&world.give(Input::Restarted(pe)), pe)), [[ip(1)]]);
    assert!(matches!(said(&world.give(Input::Restarted(pu)), pu)[..], [Message::HandleResolution { .. }]));
}

#[test]
fn registrars_of_a_family_that_the_host_does_not_have_are_passed_over() {
    let six: SocketAddr = "[2001:db8::1]:3863".parse().unwrap();
    let registrars = vec![vec![six], vec![registrar(1), six]];
    let mut world = World::with(Config { registrars, timers: Timers::default(), seed: Some(1) });
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    let [Seen::Bind(..), Seen::Open(_, _, remote)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(remote, &[registrar(1)]);
}

#[test]
fn an_element_that_serves_at_some_addresses_is_registered_with_those_the_host_has() {
    let mut world = World::new(1);
    world.give(Input::Register(ElementConfig { addresses: Some(vec![ip(2), ip(3)]), ..element() }));
    let seen = world.local(&[1, 2]);
    let link = opened(&seen)[0];
    assert_eq!(registered(&said(&seen, link)), [[ip(2)]]);
    world.give(Input::Up(link));
    world.hear(link, &accepted());
    let seen = world.local(&[1]);
    let link = opened(&seen)[0];
    assert!(matches!(said(&seen, link)[..], [Message::Deregistration { .. }]));
    world.give(Input::Up(link));
    world.hear(link, &Message::DeregistrationResponse { handle: pool(), id: 9, error: None });
    let seen = world.local(&[1, 3]);
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(3)]]);
}

#[test]
fn an_element_changed_while_registered_is_registered_anew_over_the_same_association() {
    let (mut world, link, _) = World::settled();
    let seen = world.give(Input::Register(ElementConfig { port: 8, ..element() }));
    assert_eq!(said(&seen, link).len(), 1);
}

#[test]
fn deregistered_elements_are_forgotten() {
    let (mut world, link, _) = World::settled();
    let seen = world.give(Input::DeregisterAll);
    assert!(matches!(said(&seen, link)[..], [Message::Deregistration { .. }]));
    assert!(!world.client.is_withdrawn());
    let seen = world.hear(link, &Message::DeregistrationResponse { handle: pool(), id: 9, error: None });
    assert_eq!(seen, [Seen::Event(Event::Withdrawn { handle: pool(), id: 9 })]);
    assert!(world.client.is_withdrawn());
}

#[test]
fn an_element_that_is_leaving_does_not_come_back_when_the_host_moves() {
    let (mut world, home, _) = World::settled();
    let seen = world.give(Input::Deregister { handle: pool(), id: 9 });
    assert!(matches!(said(&seen, home)[..], [Message::Deregistration { .. }]));
    let seen = world.local(&[2]);
    let link = opened(&seen)[0];
    let mut all = said(&seen, link).into_iter().cloned().collect::<Vec<_>>();
    all.extend(said(&world.give(Input::Up(link)), link).into_iter().cloned());
    assert!(matches!(all[..], [Message::Deregistration { .. }]), "{all:?}");
    world.hear(link, &Message::DeregistrationResponse { handle: pool(), id: 9, error: None });
    assert!(world.client.is_withdrawn());
}

#[test]
fn an_element_that_never_was_registered_is_forgotten_at_once() {
    let mut world = World::new(1);
    world.give(Input::Register(element()));
    let seen = world.give(Input::Deregister { handle: pool(), id: 9 });
    assert_eq!(seen, [Seen::Event(Event::Withdrawn { handle: pool(), id: 9 })]);
    assert!(world.client.is_withdrawn());
}

fn keep_alive(home: bool) -> Message {
    Message::EndpointKeepAlive { home, server: 2, handle: pool(), id: None }
}

#[test]
fn a_keep_alive_is_answered_where_it_came_from() {
    let (mut world, home, _) = World::settled();
    assert!(matches!(world.hear(home, &keep_alive(false))[..], [Seen::Say(to, _)] if to == home));
    let other = LinkId::Theirs(1);
    world.give(Input::Accepted { link: other, port: PortId(1), peer: vec![registrar(7)] });
    assert!(matches!(world.hear(other, &keep_alive(false))[..], [Seen::Say(to, _)] if to == other));
}

#[test]
fn a_home_that_asks_where_an_element_was_is_told_that_it_is_there_no_more() {
    let (mut world, old, _) = World::settled();
    let new = opened(&world.local(&[2]))[0];
    assert!(
        matches!(world.hear(old, &keep_alive(false))[..], [Seen::Say(to, _)] if to == old),
        "it still is"
    );
    world.give(Input::Up(new));
    assert_eq!(world.hear(old, &keep_alive(false))[0], Seen::Close(old));
    assert!(matches!(world.hear(new, &keep_alive(false))[..], [Seen::Say(to, _)] if to == new));
}

#[test]
fn a_listed_registrar_that_takes_over_becomes_home_and_hears_everything() {
    let mut world = World::new(2);
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    let (port, links) = (bound(&seen), opened(&seen));
    world.give(Input::Up(links[0]));
    world.hear(links[0], &accepted());
    let Seen::Open(_, _, home) = &seen[1] else { panic!("{seen:?}") };
    let other = if home[0] == registrar(1) { registrar(2) } else { registrar(1) };
    let theirs = LinkId::Theirs(1);
    assert_eq!(world.give(Input::Accepted { link: theirs, port, peer: vec![other] }), []);
    let seen = world.hear(theirs, &keep_alive(true));
    assert!(matches!(
        said(&seen, theirs)[..],
        [Message::EndpointKeepAliveAck { .. }, Message::Registration { .. }]
    ));
    assert!(seen.contains(&Seen::Event(Event::Home { registrar: vec![other] })));
    assert!(world.hear(theirs, &accepted()).contains(&Seen::Close(links[0])));
}

#[test]
fn a_stranger_that_claims_to_be_home_is_not_believed() {
    let (mut world, home, _) = World::settled();
    let theirs = LinkId::Theirs(1);
    world.give(Input::Accepted { link: theirs, port: PortId(1), peer: vec![registrar(66)] });
    assert!(matches!(world.hear(theirs, &keep_alive(true))[..], [Seen::Say(..)]));
    assert_eq!(said(&world.give(Input::Register(ElementConfig { port: 8, ..element() })), home).len(), 1);
}

#[test]
fn an_association_over_which_a_registrar_asks_nothing_is_ended_after_a_while() {
    let (mut world, ..) = World::settled();
    let [idle, used] = [1, 2].map(LinkId::Theirs);
    for link in [idle, used] {
        world.give(Input::Accepted { link, port: PortId(1), peer: vec![registrar(7)] });
    }
    world.hear(used, &keep_alive(false));
    let (millis, seen) = world.wait();
    assert_eq!((millis, &seen[..]), (10_000, &[Seen::Close(idle)][..]));
    assert!(matches!(world.hear(used, &keep_alive(false))[..], [Seen::Say(to, _)] if to == used));
}

#[test]
fn strangers_cannot_pile_up_associations() {
    let (mut world, ..) = World::settled();
    let accept = |n| Input::Accepted { link: LinkId::Theirs(n), port: PortId(1), peer: vec![registrar(66)] };
    for n in 0..16 {
        assert_eq!(world.give(accept(n)), []);
    }
    assert_eq!(world.give(accept(16)), [Seen::Close(LinkId::Theirs(16))]);
}

#[test]
fn nonsense_is_reported_to_its_sender_only_where_the_rules_ask_for_it() {
    let (mut world, link, _) = World::settled();
    let seen = world.give(Input::Received(link, vec![0x4f, 0, 0, 4]));
    let error = Message::Error(vec![Cause::unrecognized_message(&[0x4f, 0, 0, 4])]);
    assert_eq!(seen[0], Seen::Say(link, error));
    let seen = world.give(Input::Received(link, vec![0x0f, 0, 0, 4]));
    assert!(matches!(&seen[..], [Seen::Event(Event::Nonsense { .. })]));
    assert_eq!(world.give(Input::Received(LinkId::Ours(99), vec![0x4f, 0, 0, 4])), []);
}

#[test]
fn an_unreachable_element_is_reported_to_the_users_registrar() {
    let (mut world, _, pu) = World::settled();
    let seen = world.give(Input::Unreachable { handle: peers(), id: 3 });
    assert_eq!(seen, [Seen::Say(pu, Message::EndpointUnreachable { handle: peers(), id: 3 })]);
}

#[test]
fn a_registrar_is_home_as_long_as_it_is_that_of_elements_or_users() {
    let (mut world, pe, pu) = World::settled();
    assert!(!world.give(Input::Down(pu)).contains(&Seen::Event(Event::HomeLost)));
    assert!(world.give(Input::Down(pe)).contains(&Seen::Event(Event::HomeLost)));
}
