//! How much memory the handlespace takes, and how fast it is, by its size and by the size of its pools:
//! `cargo run --release -p roam-registrar --example handlespace [ELEMENTS PER-POOL POLICY]`.
//!
//! Memory is what the kernel counts as resident, with the registrar's allocator and all; each case runs in a process of
//! its own. Each element is of an association of its own, has one IPv4 address and a registration life. A resolution is
//! of a pool taken at random, all alike, names three elements and writes the response. `one` asks for pools one by one, `ahead` has the
//! next questions looked up together, as they come out of a registrar's intake. `map` is what a lookup of the same
//! handles costs in a `HashMap` of as many octets as the response has, with a copy of them: less than that nobody can
//! pay. Renewals are of an element taken at random, with another end of its life. Nanoseconds of one processor.

#![expect(clippy::disallowed_methods, reason = "registrations end at some time")]

mod common;

use asap_client::random::SplitMix64;
use asap_client::wire::{MessageType, Policy, PoolHandle, Transport, TransportUse, Writer};
use common::{AHEAD, BATCH, BATCHES, any, handle, identifier, resident, used};
use roam_registrar::Association;
use roam_registrar::handlespace::{Element, Handlespace, Pool};
use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};

/// That of the registrar.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Octets of a response about three elements, with its handle.
const RESPONSE: usize = 152;

struct Case {
    elements: u32,
    per_pool: u32,
    policy: Policy,
    random: SplitMix64,
    start: Instant,
}

impl Case {
    fn pools(&self) -> u32 {
        self.elements.div_ceil(self.per_pool)
    }

    fn element(&self, number: u32, life: Duration) -> (PoolHandle, Element) {
        let transport = |port| Transport::Sctp {
            port,
            use_: TransportUse::DataOnly,
            addresses: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number))].into(),
        };
        let element = Element {
            id: identifier(number),
            home: 1,
            life: 300,
            user: transport(7000),
            policy: self.policy.clone(),
            asap: transport(5000),
            owner: Some(Association(number.into())),
            expires: Some(self.start + life),
            bad_reports: 0,
        };
        (handle(number / self.per_pool), element)
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
        let mut map = HashMap::new();
        for pool in 0..self.pools() {
            map.insert(handle(pool), [0u8; RESPONSE]);
        }
        let (mut one, mut ahead, mut bare, mut renewing) = Default::default();
        for batch in 0..BATCHES {
            let handles = |case: &mut Self| -> Vec<_> {
                let pools = case.pools();
                (0..BATCH).map(|_| handle(any(&mut case.random, pools))).collect()
            };
            let asked = handles(&mut self);
            one += time(|| {
                for handle in &asked {
                    let answer = space.pool_mut(handle).map(|pool| self.answer(pool));
                    black_box(answer);
                }
            });
            let asked = handles(&mut self);
            ahead += time(|| {
                for together in asked.chunks(AHEAD) {
                    let mut places = space.find_all(together.iter());
                    while let Some(place) = places.next(&space) {
                        let answer =
                            place.and_then(|place| space.pool_at_mut(place)).map(|pool| self.answer(pool));
                        black_box(answer);
                    }
                }
            });
            let asked = handles(&mut self);
            bare += time(|| {
                for handle in &asked {
                    black_box(map.get(handle).map(|octets| octets.to_vec()));
                }
            });
            let numbers: Vec<_> = (0..BATCH).map(|_| any(&mut self.random, self.elements)).collect();
            let life = |n: u32| Duration::from_millis(u64::from(self.elements + batch * BATCH + n % 1000));
            let elements: Vec<_> = numbers.into_iter().map(|n| self.element(n, life(n))).collect();
            renewing += time(|| {
                for (handle, element) in elements {
                    black_box(space.insert(handle, element));
                }
            });
        }
        let each = |time: Duration, count: u32| time.as_secs_f64() * 1e9 / f64::from(count);
        println!(
            "{:>9}{:>9}{:>12}{:>13}{:>10.0}{:>10.0}{:>10.0}{:>10.0}{:>10.0}",
            space.len(),
            space.pool_count(),
            format!("{:#x}", self.policy.code()),
            bytes,
            each(registering, self.elements),
            each(one, BATCH * BATCHES),
            each(ahead, BATCH * BATCHES),
            each(bare, BATCH * BATCHES),
            each(renewing, BATCH * BATCHES),
        );
    }

    /// A response about three elements of this pool.
    fn answer(&mut self, pool: &mut Pool) -> Option<Vec<u8>> {
        let selected = pool.select(3, &mut || self.random.draw());
        Writer::message(MessageType::HANDLE_RESOLUTION_RESPONSE.0, 0, |w| pool.emit(&selected, w))
    }
}

/// The processor's time that it takes.
fn time(work: impl FnOnce()) -> Duration {
    let start = used();
    work();
    used() - start
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
    let policy = arguments.get(2).and_then(|name| policy(name)).unwrap_or(Policy::RoundRobin);
    if let (Some(elements), Some(per_pool)) = (number(0), number(1)) {
        return Case { elements, per_pool, policy, random: SplitMix64::new(1), start: Instant::now() }.run();
    }
    println!(
        "{:>9}{:>9}{:>12}{:>13}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "elements", "pools", "policy", "octets each", "register", "one", "ahead", "map", "renew"
    );
    let program = std::env::current_exe().expect("it was started from somewhere");
    for per_pool in [1, 10, 1000, 1_000_000] {
        for elements in [1000, 100_000, 1_000_000] {
            let case = [elements, per_pool.min(elements)].map(|number: u32| number.to_string());
            let done = Command::new(&program).args(case).status().expect("a process for each case");
            assert!(done.success(), "{done}");
        }
    }
}
