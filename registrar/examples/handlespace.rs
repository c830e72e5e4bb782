//! How much memory the handlespace takes, and how fast it is, by its size:
//! `cargo run --release -p roam-registrar --example handlespace [ELEMENTS PER-POOL POLICY]`.
//!
//! Memory is what the kernel counts as resident, allocator and all. Each element is of an association of its own, has
//! one IPv4 address and a registration life. Resolutions name three elements of a pool taken at random, renewals are
//! of an element taken at random, with another end of its life; messages are neither read nor written. Rates are for each
//! second of one processor.

#![expect(clippy::disallowed_methods, reason = "registrations end at some time")]

use asap_client::random::{SplitMix64, below};
use asap_client::wire::{Policy, PoolHandle, Transport, TransportUse};
use nix::time::{ClockId, clock_gettime};
use roam_registrar::Association;
use roam_registrar::handlespace::{Element, Handlespace};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Operations that are made ready together, so that what makes them ready is not measured.
const BATCH: u32 = 1000;
const BATCHES: u32 = 500;

struct Case {
    elements: u32,
    per_pool: u32,
    policy: Policy,
    random: SplitMix64,
    start: Instant,
}

impl Case {
    fn handle(&self, pool: u32) -> PoolHandle {
        PoolHandle::new(format!("pool {pool:08}")).expect("it is short")
    }

    fn pools(&self) -> u32 {
        self.elements.div_ceil(self.per_pool)
    }

    fn element(&self, number: u32, life: Duration) -> (PoolHandle, Element) {
        let transport = |port| Transport::Sctp {
            port,
            use_: TransportUse::DataOnly,
            addresses: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number))],
        };
        let element = Element {
            id: number.wrapping_mul(0x9e37_79b1), // each another
            home: 1,
            life: 300,
            user: transport(7000),
            policy: self.policy.clone(),
            asap: transport(5000),
            owner: Some(Association(number.into())),
            expires: Some(self.start + life),
            bad_reports: 0,
        };
        (self.handle(number / self.per_pool), element)
    }

    fn any(&mut self, bound: u32) -> u32 {
        u32::try_from(below(self.random.draw(), bound.into())).unwrap_or(0)
    }

    fn run(mut self) {
        let before = resident();
        let mut space = Handlespace::default();
        let mut order: Vec<u32> = (0..self.elements).collect();
        self.random.shuffle(&mut order);
        let made_ready = resident();
        let mut registering = Duration::ZERO;
        for numbers in order.chunks(1000) {
            let elements: Vec<_> =
                numbers.iter().map(|n| self.element(*n, Duration::from_millis((*n).into()))).collect();
            let start = used();
            for (handle, element) in elements {
                space.insert(handle, element);
            }
            registering += used() - start;
        }
        let bytes = resident().saturating_sub(made_ready.max(before)) / u64::from(self.elements);
        let (mut resolving, mut renewing) = (Duration::ZERO, Duration::ZERO);
        for batch in 0..BATCHES {
            let handles: Vec<_> = (0..BATCH).map(|_| self.any(self.pools())).collect();
            let handles: Vec<_> = handles.into_iter().map(|pool| self.handle(pool)).collect();
            let start = used();
            for handle in &handles {
                if let Some(pool) = space.pool_mut(handle) {
                    let selected = pool.select(3, &mut || self.random.draw());
                    black_box(pool.named(&selected).filter_map(|element| element.user.port()).max());
                }
            }
            resolving += used() - start;
            let numbers: Vec<_> = (0..BATCH).map(|_| self.any(self.elements)).collect();
            let life = |n: u32| Duration::from_millis(u64::from(self.elements + batch * BATCH + n % 1000));
            let elements: Vec<_> = numbers.into_iter().map(|n| self.element(n, life(n))).collect();
            let start = used();
            for (handle, element) in elements {
                black_box(space.insert(handle, element));
            }
            renewing += used() - start;
        }
        let rate = |count: u32, time: Duration| f64::from(count) / time.as_secs_f64() / 1e6;
        println!(
            "{:>9}{:>9}{:>12}{:>14}{:>14.2}{:>14.2}{:>14.2}",
            space.len(),
            space.pool_count(),
            format!("{:#x}", self.policy.code()),
            bytes,
            rate(self.elements, registering),
            rate(BATCH * BATCHES, resolving),
            rate(BATCH * BATCHES, renewing),
        );
    }
}

/// The processor's time that this program has used: what else runs on the machine does not count.
fn used() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every Linux has this clock");
    time.into()
}

/// Octets of this process that are in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// One of the policies that cost most, by its name.
fn policy(name: &str) -> Option<Policy> {
    Some(match name {
        "rr" => Policy::RoundRobin,
        "wrr" => Policy::WeightedRoundRobin { weight: 7 },
        "rand" => Policy::Random,
        "wrand" => Policy::WeightedRandom { weight: 7 },
        "lu" => Policy::LeastUsed { load: 1 << 30 },
        "lud" => Policy::LeastUsedDegradation { load: 1 << 30, degradation: 1 << 20 },
        "rplud" => Policy::RandomizedPriorityLeastUsedDegradation { load: 1 << 20, degradation: 1 },
        _ => return None,
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u32>().ok()).filter(|n| *n > 0);
    let named = arguments.get(2).and_then(|name| policy(name));
    println!(
        "{:>9}{:>9}{:>12}{:>14}{:>14}{:>14}{:>14}",
        "elements", "pools", "policy", "octets each", "register M/s", "resolve M/s", "renew M/s"
    );
    let cases = match (number(0), number(1)) {
        (Some(elements), Some(per_pool)) => vec![(elements, per_pool)],
        _ => vec![(1000, 10), (100_000, 10), (1_000_000, 10), (100_000, 1), (100_000, 100_000)],
    };
    for (elements, per_pool) in cases {
        let policy = named.clone().unwrap_or(Policy::RoundRobin);
        Case { elements, per_pool, policy, random: SplitMix64::new(1), start: Instant::now() }.run();
    }
}
