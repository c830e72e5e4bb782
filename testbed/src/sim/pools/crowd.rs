//! Ten thousand subscribers of one pool that changes a thousand times a second.

use asap_client::wire::Policy;

use super::super::{MS, SECOND, Time};
use super::beginning::world;
use super::mischief::Trick;
use super::shape::{Acquaintance, Shape};

/// How large the crowd is, and how restless the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Pool users, each at a host of its own.
    pub subscribers: usize,
    /// Of these, how many take a fifth of a second to read one message.
    pub slow: usize,
    /// Elements of the pool.
    pub elements: usize,
    /// Changes of the pool in a second.
    pub changes: u64,
    /// How long it goes on changing, in seconds.
    pub seconds: u64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self { subscribers: 10_000, slow: 10, elements: 20, changes: 1_000, seconds: 1 }
    }
}

/// How the crowd was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Changes that the registrar was told.
    pub changes: u64,
    /// Pushes that it sent for them.
    pub pushes: u64,
    /// How often the least and the most informed subscriber was told of a change, of those that read at once.
    pub told: (u64, u64),
    /// How long after the last change all that read at once knew it, in microseconds.
    pub late: Time,
    /// How long after it those that do not knew it.
    pub slowest: Time,
}

/// Plays it.
///
/// # Errors
/// Who was not served, or what it cost too much.
pub fn serve(seed: u64, crowd: &Crowd) -> Result<Served, String> {
    let shape = Shape {
        registrars: 1,
        elements: crowd.elements,
        elements_per_host: 1,
        pools: 1,
        users: crowd.subscribers,
        steps: 0,
        ramp: 5 * SECOND,
        acquaintance: Acquaintance::All,
        some_listed: false,
        trick: Trick::None,
    };
    let mut world = world(seed, &shape, false);
    world.net.delay = MS;
    let interval = Time::try_from(world.nodes[0].asap.push_interval.as_micros()).unwrap_or(Time::MAX);
    for fact in &mut world.facts {
        (fact.policy, fact.life) = (Policy::LeastUsed { load: 0 }, None);
    }
    for station in 0..crowd.elements {
        world.stations[station].subscribed.clear();
    }
    world.begin_all(&shape);
    world.pass(5 * SECOND);
    world.is_whole(0)?;
    let first = crowd.elements;
    let quick = first..first + crowd.subscribers - crowd.slow;
    for station in quick.end..first + crowd.subscribers {
        let host = world.host(station);
        world.net.slow_down(host, 200 * MS);
    }
    let counters = |world: &super::world::World| {
        let machine = world.nodes[0].machine.as_ref();
        machine.map(|machine| *machine.asap().counters()).unwrap_or_default()
    };
    let before = counters(&world);
    let told: Vec<u64> = quick.clone().map(|station| world.stations[station].told).collect();
    for change in 0..crowd.changes * crowd.seconds {
        let number = usize::try_from(change).unwrap_or(0) % crowd.elements;
        world.facts[number].policy = Policy::LeastUsed { load: u32::try_from(change + 1).unwrap_or(0) };
        let input = world.register(number);
        world.give_station(number, input);
        world.pass(SECOND / crowd.changes);
    }
    let end = world.now();
    // The last push may be an interval away; a change goes there and back, and from there.
    let patience = interval + 10 * world.net.delay + 10 * MS;
    let late = loop {
        match quick.clone().try_for_each(|station| world.knows_all(station)) {
            Ok(()) => break world.now() - end,
            Err(what) if world.now() - end > patience => return Err(what),
            Err(_) => world.pass(MS),
        }
    };
    let slow = quick.end..first + crowd.subscribers;
    if !slow.is_empty() && slow.clone().all(|station| world.knows_all(station).is_ok()) {
        return Err("those that read slowly were as quick as the others".to_owned());
    }
    let after = counters(&world);
    let told: Vec<u64> =
        quick.zip(told).map(|(station, before)| world.stations[station].told - before).collect();
    let rounds = crowd.seconds * SECOND / interval + 2;
    let changes = after.registrations - before.registrations;
    let pushes = after.pushes - before.pushes;
    let told = (told.iter().copied().min().unwrap_or(0), told.iter().copied().max().unwrap_or(0));
    if changes < crowd.changes * crowd.seconds * 9 / 10 {
        return Err(format!("only {changes} changes came to the registrar"));
    }
    if pushes > rounds * crowd.subscribers as u64 {
        return Err(format!("{pushes} pushes for {changes} changes, more than one in an interval"));
    }
    if told.0 < rounds / 2 {
        return Err(format!("somebody was told {} times only in {rounds} intervals", told.0));
    }
    // What waits for them is read at their own pace.
    let most = (rounds + 5) * 200 * MS;
    while let Err(what) = world.is_whole(0) {
        if world.now() - end > most {
            return Err(what);
        }
        world.pass(100 * MS);
    }
    let slowest = world.now() - end;
    world.wrong.take().map_or(Ok(Served { changes, pushes, told, late, slowest }), Err)
}
