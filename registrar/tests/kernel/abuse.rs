//! Clients that do not behave: they harm nobody but themselves.

use super::world::*;
use asap_client::wire::{self, Message};
use std::time::Instant;

const QUIET: &str = "[asap]\nkeep_alive_interval = \"0s\"\n";

/// Octets that look random and are the same each time.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn garbage_of_any_kind_is_survived_while_another_association_is_served() {
    let world = World::new(QUIET);
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    let mut user = Client::connect("10.0.0.5");
    let good = registration("q", 9, "10.0.0.3").encode();
    let garbage = Client::connect("10.0.0.3");
    for round in 0..200 {
        let length = 1 + usize::try_from(round).unwrap() * 7 % 1500;
        garbage.send(wire::PPID, &noise(round, length));
        garbage.send(round, &good);
        garbage.send(wire::PPID, &good[..good.len() - 1 - usize::try_from(round).unwrap() % 20]);
        let mut damaged = good.clone();
        let at = usize::try_from(round).unwrap() % damaged.len();
        damaged[at] ^= 0xff;
        garbage.send(wire::PPID, &damaged);
        garbage.send(wire::PPID, &[0x4f, 0, 0, 4]);
        assert_eq!(places(&user.ask(&resolution("p", false)))[0].0, 1);
    }
    // Who sends so much is read by itself, after the others.
    world.until(|dump| {
        let faults = &dump.counters.faults;
        faults.malformed > 200 && faults.wrong_ppid > 150 && dump.counters.errors_sent > 200
    });
    element.register("p", 1, "10.0.0.2");
}

#[test]
fn a_message_longer_than_asap_has_is_dropped_and_its_association_goes_on() {
    let world = World::new(QUIET);
    let mut long = Client::connect("10.0.0.3");
    long.send(wire::PPID, &noise(1, 90_000));
    long.register("p", 1, "10.0.0.3");
    let dump = world.dump();
    assert_eq!(
        (dump.counters.faults.oversized, dump.counters.faults.malformed, dump.counters.aborted),
        (1, 0, 0),
        "{dump}"
    );
    world.assert_serves();
}

#[test]
fn a_client_that_never_reads_is_dropped_while_others_are_served() {
    let config = format!("{QUIET}[limits]\noutstanding_octets_per_association = 262144\n");
    let world = World::new(&config);
    let mut element = Client::connect("10.0.0.2");
    for id in 0..100 {
        element.register("p", id, "10.0.0.2");
    }
    let mut user = Client::connect("10.0.0.5");
    let deaf = Client::connect("10.0.0.3");
    deaf.socket.set_nonblocking(true).unwrap();
    let ask = resolution("p", true).encode();
    let start = Instant::now();
    let mut asked = 0u32;
    loop {
        let info = sctp_sys::SendInfo { ppid: wire::PPID, ..Default::default() };
        match deaf.socket.send(&info, &ask) {
            Ok(_) => asked += 1,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if asked.is_multiple_of(16) {
            assert_eq!(places(&user.ask(&resolution("p", false))).len(), 100);
        }
        assert!(
            start.elapsed().as_secs() < 60,
            "it is still there after {asked} questions: {}",
            world.dump()
        );
    }
    let dump = world.dump();
    eprintln!("dropped after {asked} questions, {:?}", start.elapsed());
    assert_eq!(dump.dropped_not_reading, 1, "{dump}");
    assert_eq!(dump.associations.len(), 2, "{dump}");
    world.assert_serves();
}

#[test]
fn a_subscriber_that_never_reads_is_dropped_and_the_others_are_pushed_to() {
    let config =
        format!("{QUIET}push_interval = \"0s\"\n[limits]\noutstanding_octets_per_association = 131072\n");
    let world = World::new(&config);
    let mut element = Client::connect("10.0.0.2");
    for id in 0..100 {
        element.register("p", id, "10.0.0.2");
    }
    let deaf = Client::connect("10.0.0.3");
    deaf.say(&resolution("p", true));
    let mut user = Client::connect("10.0.0.5");
    user.ask(&resolution("p", true));
    world.until(|dump| dump.associations.iter().filter(|a| !a.subscriptions.is_empty()).count() == 2);
    for _ in 0..200 {
        element.register("p", 1_000, "10.0.0.2");
        assert_eq!(places(&user.hear()).len(), 101);
        element.ask(&Message::Deregistration { handle: handle("p"), id: 1_000 });
        assert_eq!(places(&user.hear()).len(), 100);
    }
    let dump = world.until(|dump| dump.dropped_not_reading == 1);
    assert_eq!(dump.associations.len(), 2, "{dump}");
}

#[test]
fn many_clients_that_never_read_cannot_use_up_the_kernels_buffer() {
    // Without the right to a large buffer all associations share some 400 KiB.
    let world = World::unprivileged(&format!("{QUIET}unread_timeout = \"1s\"\n"));
    let mut element = Client::connect("10.0.0.2");
    for id in 0..100 {
        element.register("p", id, "10.0.0.2");
    }
    let mut user = Client::connect("10.0.0.5");
    let mut deaf: Vec<_> = (0..20).map(|_| Client::connect("10.0.0.3")).collect();
    let ask = resolution("p", false);
    let mut longest = std::time::Duration::ZERO;
    while !deaf.is_empty() {
        deaf.retain(|client| {
            client.socket.set_nonblocking(true).unwrap();
            let info = sctp_sys::SendInfo { ppid: wire::PPID, ..Default::default() };
            match client.socket.send(&info, &ask.encode()) {
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            }
        });
        let start = Instant::now();
        assert_eq!(places(&user.ask(&ask)).len(), 100);
        longest = longest.max(start.elapsed());
        assert!(longest.as_secs() < 5, "{longest:?}, {} are left", deaf.len());
    }
    let dump = world.dump();
    eprintln!("longest answer {longest:?}");
    assert_eq!((dump.dropped_not_reading, dump.associations.len()), (20, 2), "{dump}");
    world.assert_serves();
}
