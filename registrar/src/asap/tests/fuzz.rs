//! Sequences of messages and other happenings, damaged: the bounds hold and the orders agree after every one.

use super::*;
use crate::fuzz::{Case, Target, cases, fuzz};
use crate::made;
use crate::vectors::vectors;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a piece does: its first octet says what, its second to which association.
const UP: u8 = 0;
const DOWN: u8 = 1;
const MOVE: u8 = 2;
const PASS: u8 = 3;
const OTHER_PPID: u8 = 4;
const TOO_LONG: u8 = 5;
const SAY: u8 = 6;

/// The addresses that an octet stands for; the vectors' are among them.
fn addresses(octets: &[u8]) -> Vec<IpAddr> {
    let all = ["192.0.2.10", "2001:db8::10", "10.0.0.1", "127.0.0.1"];
    let mut found: Vec<IpAddr> =
        octets.iter().take(4).map(|octet| all[usize::from(octet & 3)].parse().unwrap()).collect();
    if found.is_empty() {
        found.push(all[0].parse().unwrap());
    }
    found
}

fn step(world: &mut World, piece: &[u8]) {
    let (what, who, rest) = match piece {
        [] => return,
        [what] => (*what, 0, &[][..]),
        [what, who, rest @ ..] => (*what, *who, rest),
    };
    let association = Association(u64::from(who % 5));
    match what % 12 {
        UP => {
            let addresses = addresses(rest);
            let from = addresses[0];
            world.give(Input::Up { association, from, port: 9, addresses });
        }
        DOWN => world.down(association),
        MOVE => world.give(Input::Addresses { association, addresses: addresses(rest) }),
        PASS => {
            let ms = u64::from(who) * u64::from(who);
            world.pass(Duration::from_millis(ms));
        }
        OTHER_PPID => world.give(Input::Message { association, ppid: who.into(), bytes: rest.to_vec() }),
        TOO_LONG => world.give(Input::Oversized { association }),
        _ => world.bytes(association, rest.to_vec()),
    }
}

/// Which counters moved, and roughly how far.
fn kind(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    for counter in world.registrar.counters().named().iter().filter(|c| c.name != "messages") {
        counter.value.min(2).hash(&mut hasher);
    }
    hasher.finish()
}

fn run(case: &[Vec<u8>]) -> u64 {
    let limits = Limits {
        associations: 4,
        elements: 6,
        pools: 3,
        elements_per_pool: 4,
        elements_per_association: 3,
        subscriptions: 5,
        subscriptions_per_association: 2,
        resolution_items: 4,
        pool_handles_octets: 100,
        ..Limits::default()
    };
    let mut world = World::with(Settings { limits, server: 0xabcd_1234, ..Settings::default() });
    for piece in case {
        step(&mut world, piece);
    }
    // The end of everybody is the end of everything.
    for who in 0..5 {
        world.down(Association(who));
    }
    assert!(world.registrar.handlespace().is_empty());
    kind(&world)
}

/// Each vector as something that is said while the element of the vectors is registered.
fn known() -> Vec<Case> {
    let vectors = vectors();
    let say = |who: u8, octets: &[u8]| [&[SAY, who], octets].concat();
    let registration = say(0, &vectors["ASAP_REGISTRATION"]);
    let begin = [vec![UP, 0, 0, 1], vec![UP, 1, 2], registration];
    let of_asap = vectors.iter().filter(|(name, _)| name.starts_with("ASAP_"));
    let cases = of_asap.flat_map(|(_, octets)| {
        [0, 1].map(|who| [&begin[..], &[say(who, octets), vec![PASS, 90], vec![MOVE, 1, 0]]].concat())
    });
    cases.collect()
}

#[test]
fn fuzz_whatever_clients_do_in_whatever_order_the_bounds_hold() {
    let kept = cases(include_str!("../../../tests/corpus/asap.txt"));
    fuzz(Target {
        name: "the ASAP service",
        corpus: known().into_iter().chain(kept).collect(),
        before: 2,
        made: &|draw| [vec![SAY, u8::try_from(draw(4)).unwrap_or(0)], made::by_client(draw)].concat(),
        rounds: 1500,
        run: &run,
    });
}
