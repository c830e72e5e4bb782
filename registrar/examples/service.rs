//! How fast the ASAP service is without sockets, by the number of elements: messages in, messages out.
//! `cargo run --release -p roam-registrar --example service [ELEMENTS PER-POOL]`.
//!
//! Each element is registered over an association of its own, with one IPv4 address, for Round Robin. Resolutions ask for
//! three elements of a pool taken at random, renewals are of an element taken at random; keep-alives are planned as by
//! default. Reading the request and writing the answer are counted in. Rates are for each second of one processor.

#![expect(clippy::disallowed_methods, reason = "registrations end at some time")]

mod common;

use asap_client::random::SplitMix64;
use asap_client::wire::{self, Message, Policy, PoolElement, Transport, TransportUse};
use common::{AHEAD, BATCH, BATCHES, any, handle, identifier, resident, used};
use roam_registrar::Association;
use roam_registrar::asap::{Input, Limits, Output, Registrar, Settings};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

struct Case {
    elements: u32,
    per_pool: u32,
    registrar: Registrar,
    random: SplitMix64,
    now: Instant,
}

fn address(element: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 | element).into()
}

fn association(element: u32) -> Association {
    Association(1 + u64::from(element))
}

impl Case {
    fn new(elements: u32, per_pool: u32) -> Self {
        let many = usize::MAX;
        let limits = Limits {
            associations: many,
            elements: many,
            elements_per_association: many,
            ..Limits::default()
        };
        let registrar = Registrar::new(Settings { server: 1, limits, ..Settings::default() }, 1);
        Self { elements, per_pool, registrar, random: SplitMix64::new(1), now: Instant::now() }
    }

    fn registration(&self, number: u32) -> (Association, Vec<u8>) {
        let user = Transport::Sctp {
            port: 7000,
            use_: TransportUse::DataOnly,
            addresses: vec![address(number)].into(),
        };
        let id = identifier(number);
        let element = PoolElement { id, home: 0, life: 300, user, policy: Policy::RoundRobin, asap: None };
        let message = Message::Registration { handle: handle(number / self.per_pool), element };
        (association(number), message.encode())
    }

    /// Handles questions, as many together as the driver takes; the processor's time that it took.
    fn resolve_all(&mut self, messages: &[(Association, Vec<u8>)]) -> Duration {
        let start = used();
        let mut answers = 0;
        for together in messages.chunks(AHEAD) {
            self.registrar.handle_questions(self.now, together);
            while let Some(output) = self.registrar.poll_output() {
                answers += usize::from(matches!(black_box(output), Output::Send { .. }));
            }
        }
        let time = used() - start;
        assert_eq!(answers, messages.len(), "every question has one answer");
        time
    }

    /// Handles messages; the processor's time that it took.
    fn handle_all(&mut self, messages: Vec<(Association, Vec<u8>)>) -> Duration {
        let start = used();
        let mut answers = 0;
        let count = messages.len();
        for (association, bytes) in messages {
            self.registrar.handle(self.now, Input::Message { association, ppid: wire::PPID, bytes });
            while let Some(change) = self.registrar.poll_change() {
                black_box(change);
            }
            while let Some(output) = self.registrar.poll_output() {
                answers += usize::from(matches!(black_box(output), Output::Send { .. }));
            }
        }
        let time = used() - start;
        assert_eq!(answers, count, "every message has one answer");
        time
    }

    fn run(mut self) {
        for number in 0..self.elements {
            let (from, addresses) = (address(number), vec![address(number)]);
            let association = association(number);
            self.registrar.handle(self.now, Input::Up { association, from, port: 5000, addresses });
        }
        let before = resident();
        let mut order: Vec<u32> = (0..self.elements).collect();
        self.random.shuffle(&mut order);
        let mut registering = Duration::ZERO;
        for numbers in order.chunks(1000) {
            let messages = numbers.iter().map(|number| self.registration(*number)).collect();
            registering += self.handle_all(messages);
        }
        let bytes = resident().saturating_sub(before) / u64::from(self.elements);
        let (mut resolving, mut renewing) = (Duration::ZERO, Duration::ZERO);
        let user = association(0);
        for _ in 0..BATCHES {
            let pools: Vec<_> =
                (0..BATCH).map(|_| any(&mut self.random, self.elements.div_ceil(self.per_pool))).collect();
            let ask =
                |pool| Message::HandleResolution { subscribe: false, handle: handle(pool), items: Some(3) };
            let messages: Vec<_> = pools.into_iter().map(|pool| (user, ask(pool).encode())).collect();
            resolving += self.resolve_all(&messages);
            let numbers: Vec<_> = (0..BATCH).map(|_| any(&mut self.random, self.elements)).collect();
            let messages = numbers.into_iter().map(|number| self.registration(number)).collect();
            self.now += Duration::from_millis(1);
            renewing += self.handle_all(messages);
        }
        let rate = |count: u32, time: Duration| f64::from(count) / time.as_secs_f64() / 1e6;
        println!(
            "{:>9}{:>9}{:>14}{:>14.2}{:>14.2}{:>14.2}",
            self.registrar.handlespace().len(),
            self.registrar.handlespace().pool_count(),
            bytes,
            rate(self.elements, registering),
            rate(BATCH * BATCHES, resolving),
            rate(BATCH * BATCHES, renewing),
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u32>().ok()).filter(|n| *n > 0);
    println!(
        "{:>9}{:>9}{:>14}{:>14}{:>14}{:>14}",
        "elements", "pools", "octets each", "register M/s", "resolve M/s", "renew M/s"
    );
    let cases = match (number(0), number(1)) {
        (Some(elements), Some(per_pool)) => vec![(elements, per_pool)],
        _ => vec![(1000, 10), (100_000, 10), (1_000_000, 10)],
    };
    for (elements, per_pool) in cases {
        Case::new(elements, per_pool).run();
    }
}
