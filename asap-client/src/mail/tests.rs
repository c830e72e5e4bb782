//! What a mailbox does, by what it puts out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::wire::{Cause, PPID, Policy, PoolElement, Transport, TransportUse};

const MS: Duration = Duration::from_millis(1);

fn pool() -> PoolHandle {
    PoolHandle::new("mail").unwrap()
}

fn place(id: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(id).unwrap())), 7)
}

fn element(id: u32) -> PoolElement {
    let user =
        Transport::Sctp { port: 7, use_: TransportUse::DataOnly, addresses: vec![place(id).ip()].into() };
    PoolElement { id, home: 1, life: 300, user, policy: Policy::RoundRobin, asap: None }
}

struct World {
    mail: Mail,
    now: Instant,
    failed: Vec<(u64, To, Failure)>,
    received: Vec<(Origin, Bytes)>,
    room: usize,
    seen: Vec<Output>,
}

impl World {
    fn new(config: Config) -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let now = Instant::now();
        let (failed, received, seen) = Default::default();
        Self { mail: Mail::new(config), now, failed, received, room: 0, seen }
    }

    /// With this pool in the cache.
    fn knowing(ids: &[u32]) -> Self {
        let mut world = Self::new(Config::default());
        world.mail.populate(world.now, &pool());
        assert_eq!(world.outputs(), [Output::Resolve(pool(), Config::default().fresh)]);
        world.answer(ids);
        world
    }

    fn give(&mut self, input: Input) {
        self.mail.handle(self.now, input);
    }

    fn answer(&mut self, ids: &[u32]) {
        let elements = ids.iter().map(|id| element(*id)).collect();
        self.give(Input::Pool(pool(), Answer { policy: Policy::RoundRobin, elements, error: None }));
    }

    fn refuse(&mut self, code: u16) {
        let answer =
            Answer { policy: Policy::RoundRobin, elements: vec![], error: Some(vec![Cause::bare(code)]) };
        self.give(Input::Pool(pool(), answer));
    }

    fn send(&mut self, to: To, options: Options) -> u64 {
        self.mail.send(self.now, to, Bytes::from_static(b"hello"), options).unwrap()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.mail.handle_timeout(self.now);
    }

    /// What is to be done, without events.
    fn outputs(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        while let Some(output) = self.mail.poll_output() {
            match output {
                Output::Event(Event::Failed { number, to, why, octets }) => {
                    assert_eq!(&octets[..], b"hello", "it comes back whole");
                    self.failed.push((number, to, why));
                }
                Output::Event(Event::Received { from, octets, .. }) => self.received.push((from, octets)),
                Output::Event(Event::Room) => self.room += 1,
                output => outputs.push(output),
            }
        }
        self.seen.extend(outputs.iter().cloned());
        outputs
    }

    /// Has what was opened come up; where messages went: the element's number, and the link and copy.
    fn deliver(&mut self) -> Vec<(u32, u64, u32)> {
        let mut sent = Vec::new();
        loop {
            let outputs = self.outputs();
            if outputs.is_empty() {
                return sent;
            }
            for output in outputs {
                match output {
                    Output::Open { link, .. } => self.give(Input::Up(link)),
                    Output::Send { link, copy, .. } => sent.push((self.at(link), link, copy)),
                    _ => {}
                }
            }
        }
    }

    /// Which element an association leads to.
    fn at(&self, wanted: u64) -> u32 {
        let opened = self.seen.iter().find_map(|output| match output {
            Output::Open { link, remote } if *link == wanted => Some(remote[0]),
            _ => None,
        });
        let Some(SocketAddr::V4(v4)) = opened else { return 0 };
        u32::from(v4.ip().octets()[3])
    }

    fn down(&mut self, link: u64, undelivered: &[u32]) {
        self.give(Input::Down { link, undelivered: undelivered.to_vec(), graceful: false });
    }
}

fn elements_of(sent: &[(u32, u64, u32)]) -> Vec<u32> {
    sent.iter().map(|(element, ..)| *element).collect()
}

#[test]
fn each_message_to_a_pool_is_given_to_the_element_that_the_policy_selects_for_it() {
    let mut world = World::knowing(&[1, 2, 3]);
    for _ in 0..4 {
        world.send(To::Pool(pool()), Options::default());
    }
    let mut went = elements_of(&world.deliver());
    went.sort_unstable();
    assert_eq!(went, [1, 1, 2, 3]);
    world.send(To::Pool(pool()), Options { to_last: true, ..Options::default() });
    assert_eq!(elements_of(&world.deliver()), [1], "to the last");
    world.send(To::Element(pool(), 3), Options::default());
    assert_eq!(elements_of(&world.deliver()), [3], "to the one that is named");
    let opened = world.seen.iter().filter(|output| matches!(output, Output::Open { .. })).count();
    assert_eq!(opened, 3, "one association with each");
}

#[test]
fn a_message_to_a_pool_that_is_not_cached_waits_for_the_registrar() {
    let mut world = World::new(Config::default());
    world.send(To::Pool(pool()), Options::default());
    world.send(To::Pool(pool()), Options::default());
    assert_eq!(world.outputs(), [Output::Resolve(pool(), Config::default().fresh)]);
    world.answer(&[1, 2]);
    let mut went = elements_of(&world.deliver());
    went.sort_unstable();
    assert_eq!(went, [1, 2]);
    assert_eq!(world.mail.cached(world.now, &pool()).map(<[_]>::len), Some(2));
    world.mail.purge(&pool());
    assert!(world.mail.cached(world.now, &pool()).is_none());
    world.mail.populate(world.now, &pool());
    assert_eq!(world.outputs(), [Output::Resolve(pool(), Config::default().fresh)]);
    world.answer(&[1]);
    world.pass(Config::default().fresh);
    world.send(To::Pool(pool()), Options::default());
    let outputs = world.outputs();
    assert!(outputs.contains(&Output::Resolve(pool(), Config::default().fresh)), "it is stale: {outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::Send { .. })), "and will do meanwhile");
}

#[test]
fn what_an_element_has_not_acknowledged_goes_to_the_next_one_and_the_registrar_is_told_once() {
    let mut world = World::knowing(&[1, 2]);
    for _ in 0..4 {
        world.send(To::Element(pool(), 1), Options::default());
    }
    let sent = world.deliver();
    let link = sent[0].1;
    // The first two had arrived.
    world.down(link, &[sent[2].2, sent[3].2]);
    assert_eq!(elements_of(&world.deliver()), [2, 2]);
    let told = world.seen.iter().filter(|output| **output == Output::Unreachable(pool(), 1)).count();
    assert_eq!((told, world.failed.len()), (1, 0));
}

#[test]
fn a_message_that_is_not_to_fail_over_comes_back_and_so_does_one_to_an_address() {
    let mut world = World::knowing(&[1, 2]);
    let stay = Options { failover: false, ..Options::default() };
    let numbers = [
        world.send(To::Element(pool(), 1), stay),
        world.send(To::Pool(pool()), Options { to_last: true, ..stay }),
        world.send(To::Address(place(1)), Options::default()),
    ];
    let sent = world.deliver();
    assert_eq!(elements_of(&sent), [1, 1, 1], "over one association");
    world.down(sent[0].1, &sent.iter().map(|(.., copy)| *copy).collect::<Vec<_>>());
    assert!(world.deliver().is_empty());
    let tos = [To::Element(pool(), 1), To::Pool(pool()), To::Address(place(1))];
    let expected = numbers.into_iter().zip(tos).map(|(number, to)| (number, to, Failure::Lost));
    assert_eq!(world.failed, expected.collect::<Vec<_>>());
}

#[test]
fn an_address_is_reached_without_any_registrar() {
    let mut world = World::new(Config::default());
    world.send(To::Address(place(9)), Options::default());
    assert_eq!(elements_of(&world.deliver()), [9]);
    assert!(!world.seen.iter().any(|output| matches!(output, Output::Resolve(..))));
}

#[test]
fn a_message_to_all_goes_to_each_but_oneself_and_each_copy_comes_back_by_itself() {
    let config = Config { own: Some((pool(), 2)), ..Config::default() };
    let mut world = World::new(config);
    let all = Options { to_all: true, ..Options::default() };
    let number = world.send(To::Pool(pool()), all);
    world.outputs();
    world.answer(&[1, 2, 3]);
    let sent = world.deliver();
    assert_eq!(elements_of(&sent), [1, 3]);
    world.down(sent[1].1, &[sent[1].2]);
    assert!(world.deliver().is_empty(), "the others have theirs");
    assert_eq!(world.failed, [(number, To::Element(pool(), 3), Failure::Lost)]);
    world.send(To::Pool(pool()), Options { to_self: true, ..all });
    assert_eq!(elements_of(&world.deliver()), [1, 2, 3]);
}

#[test]
fn without_patience_it_comes_back_at_once_that_nobody_is_there() {
    for (code, why) in [
        (Some(Cause::UNKNOWN_POOL_HANDLE), Failure::UnknownPool),
        (Some(Cause::LACK_OF_RESOURCES), Failure::Unresolved),
        (None, Failure::NoElement),
    ] {
        let mut world = World::new(Config::default());
        let number = world.send(To::Pool(pool()), Options::default());
        world.outputs();
        match code {
            Some(code) => world.refuse(code),
            None => world.answer(&[]),
        }
        world.outputs();
        assert_eq!(world.failed, [(number, To::Pool(pool()), why)]);
        assert_eq!(world.mail.poll_timeout(), None, "nothing goes on");
    }
    let mut world = World::new(Config::default());
    world.send(To::Element(pool(), 1), Options::default());
    world.outputs();
    world.give(Input::Unanswered(pool()));
    world.outputs();
    assert_eq!(world.failed[0].2, Failure::Unresolved);
}

#[test]
fn with_patience_the_pool_is_asked_for_again_until_somebody_is_there_or_the_time_is_over() {
    let mut world = World::new(Config { patience: Duration::from_secs(2), ..Config::default() });
    world.send(To::Pool(pool()), Options::default());
    world.outputs();
    world.refuse(Cause::UNKNOWN_POOL_HANDLE);
    assert!(world.outputs().is_empty());
    world.pass(500 * MS);
    assert_eq!(world.outputs(), [Output::Resolve(pool(), Duration::ZERO)]);
    world.answer(&[]);
    world.pass(500 * MS);
    assert_eq!(world.outputs(), [Output::Resolve(pool(), Duration::ZERO)]);
    world.answer(&[5]);
    assert_eq!(elements_of(&world.deliver()), [5]);
    let late = world.send(To::Pool(PoolHandle::new("none").unwrap()), Options::default());
    for _ in 0..10 {
        world.outputs();
        world.give(Input::Unanswered(PoolHandle::new("none").unwrap()));
        world.pass(500 * MS);
    }
    world.outputs();
    assert_eq!(world.failed.len(), 1);
    assert_eq!((world.failed[0].0, world.failed[0].2), (late, Failure::Unresolved));
}

#[test]
fn an_element_that_cannot_be_reached_in_time_is_passed_over_and_who_takes_messages_and_dies_is_not_tried_for_ever()
 {
    let mut world = World::knowing(&[1, 2]);
    world.pass(MS);
    let number = world.send(To::Element(pool(), 1), Options::default());
    let Some(Output::Open { link, .. }) = world.outputs().pop() else { panic!("it is connected to") };
    world.pass(Config::default().reach);
    let outputs = world.outputs();
    assert!(outputs.contains(&Output::Abort(link)) && outputs.contains(&Output::Unreachable(pool(), 1)));
    // The other one accepts, and dies of it; so does everybody, as often as the registrar lists them.
    let mut tries = 0;
    loop {
        let opened = world.seen.iter().rev().find_map(|output| match output {
            Output::Open { link, .. } => Some(*link),
            _ => None,
        });
        world.give(Input::Up(opened.unwrap()));
        let sent = world.deliver();
        let Some((_, link, copy)) = sent.last().copied() else { break };
        world.down(link, &[copy]);
        if world.outputs().contains(&Output::Resolve(pool(), Duration::ZERO)) {
            world.answer(&[1, 2]);
        }
        tries += 1;
        assert!(tries < 10, "it goes on for ever");
    }
    assert!(tries >= 2);
    assert_eq!(world.failed, [(number, To::Element(pool(), 1), Failure::NoElement)]);
}

#[test]
fn what_comes_is_given_with_the_element_where_it_is_known_and_can_be_answered() {
    let mut world = World::knowing(&[1]);
    let visitor: SocketAddr = "10.0.0.77:4711".parse().unwrap();
    for (link, from) in [(Mail::VISITORS, visitor), (Mail::VISITORS + 1, place(1))] {
        world.give(Input::Visitor(link, vec![from]));
        world.give(Input::Data { link, ppid: 5, octets: Bytes::from_static(b"hi") });
        world.give(Input::Data { link, ppid: PPID, octets: Bytes::from_static(b"no session") });
    }
    assert!(world.outputs().is_empty());
    let names: Vec<_> = world.received.iter().map(|(from, _)| (from.element.clone(), from.address)).collect();
    assert_eq!(names, [(None, visitor), (Some((pool(), 1)), place(1))]);
    // An answer goes over the association that is there.
    world.send(To::Address(visitor), Options { unordered: true, ppid: 9, ..Options::default() });
    world.send(To::Pool(pool()), Options::default());
    let links: Vec<_> = world
        .outputs()
        .into_iter()
        .map(|output| match output {
            Output::Send { link, ppid, unordered, .. } => (link - Mail::VISITORS, ppid, unordered),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(links, [(0, 9, true), (1, 0, false)]);
}

#[test]
fn no_more_is_under_way_than_there_is_room_for_and_who_was_refused_is_told_when_there_is() {
    let mut world = World::new(Config { room: 3 * (5 + 64), ..Config::default() });
    let to = To::Address(place(1));
    for _ in 0..3 {
        world.send(to.clone(), Options::default());
    }
    let more = |world: &mut World| world.mail.send(world.now, to.clone(), Bytes::new(), Options::default());
    assert_eq!(more(&mut world), Err(Refused::Full));
    let sent = world.deliver();
    assert_eq!(world.room, 0);
    world.give(Input::Dry(sent[0].1));
    world.outputs();
    assert_eq!(world.room, 1);
    assert!(more(&mut world).is_ok());
    // What is longer than all the room is taken when nothing else is under way.
    let mut world = World::new(Config { room: 1, ..Config::default() });
    world.send(to.clone(), Options::default());
    assert_eq!(more(&mut world), Err(Refused::Full));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let mut world = World::knowing(&[1]);
    let mut send = |to, options| world.mail.send(world.now, to, Bytes::new(), options);
    assert_eq!(send(To::Pool(pool()), Options { ppid: PPID, ..Options::default() }), Err(Refused::Reserved));
    for options in [
        Options { to_all: true, ..Options::default() },
        Options { to_last: true, ..Options::default() },
        Options { to_self: true, ..Options::default() },
    ] {
        assert_eq!(send(To::Address(place(1)), options), Err(Refused::NoPool));
    }
}

#[test]
fn associations_that_nobody_uses_are_shut_down_and_strangers_are_let_in_up_to_a_bound() {
    let mut world = World::new(Config { visitors: 2, ..Config::default() });
    world.send(To::Address(place(1)), Options::default());
    let sent = world.deliver();
    world.pass(Config::default().idle);
    assert!(world.outputs().is_empty(), "something is under way");
    world.give(Input::Dry(sent[0].1));
    assert_eq!(world.mail.poll_timeout(), Some(world.now));
    world.pass(Duration::ZERO);
    assert_eq!(world.outputs(), [Output::Shutdown(sent[0].1)]);
    assert_eq!(world.mail.poll_timeout(), None);
    for number in 0..3 {
        world.give(Input::Visitor(Mail::VISITORS + number, vec![place(10 + u32::try_from(number).unwrap())]));
    }
    assert_eq!(world.outputs(), [Output::Abort(Mail::VISITORS + 2)]);
}
