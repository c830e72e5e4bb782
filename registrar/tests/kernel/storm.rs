//! A storm of resolutions: what keeps the pool alive goes through it.

use super::world::*;
use asap_client::wire::{self, Message};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use roam_registrar::dump::Dump;
use sctp_sys::{Received, SendInfo, Socket};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Associations that ask without end, each as fast as the kernels take it. One thread makes them all: what is held up is
/// to be held up by what waits at the registrar, not by want of a processor.
const STORMING: usize = 12;
/// Elements, and the associations over which they are registered.
const ELEMENTS: u32 = 24;
const HOSTS: u32 = 4;
/// How often each element is asked while the storm lasts.
const ASKED: usize = 6;

/// A registrar whose elements are asked often, with a peer. Each has longer to answer than an emulated machine that does other
/// things keeps its processes waiting: what is never read is held to be silent even so.
fn config(own: u32) -> String {
    asking_each(own, "1s")
}

fn asking_each(own: u32, interval: &str) -> String {
    let other = 3 - own;
    format!(
        "listen = [\"10.0.0.{own}:3863\"]\nidentifier = {own}\n\
         [asap]\nkeep_alive_interval = \"{interval}\"\nkeep_alive_timeout = \"4s\"\n\
         [enrp]\nlisten = \"10.0.0.{own}:9901\"\nmax_time_last_heard = \"5s\"\nmax_time_no_response = \"4s\"\n\
         [[enrp.peer]]\naddress = \"10.0.0.{other}:9901\"\n"
    )
}

fn info() -> SendInfo {
    SendInfo { ppid: wire::PPID, ..SendInfo::default() }
}

/// Associations that do not wait for anything.
struct Storm {
    sockets: Vec<Socket>,
    /// What was answered.
    answers: AtomicU64,
    over: AtomicBool,
}

impl Storm {
    fn gather(count: usize) -> Self {
        let sockets: Vec<_> = (0..count).map(|_| Client::connect("10.0.0.8").socket).collect();
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        Self { sockets, answers: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    /// Asks, and reads what comes, until it is over. Whoever is dropped ends the test.
    fn rage(&self) {
        let question = resolution("p0", false).encode();
        let mut buffer = Vec::new();
        while !self.over.load(Ordering::SeqCst) {
            for socket in &self.sockets {
                for _ in 0..64 {
                    match socket.send(&info(), &question) {
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => panic!("one that reads is not heard any more: {error}"),
                    }
                }
                self.read(socket, &mut buffer);
            }
        }
    }

    fn read(&self, socket: &Socket, buffer: &mut Vec<u8>) {
        loop {
            match socket.recv(buffer) {
                Ok(Some(Received::Message(_))) => self.answers.fetch_add(1, Ordering::SeqCst),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                other => panic!("one that reads is dropped: {other:?}"),
            };
        }
    }

    fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }
}

/// A host with elements that answers keep-alives, in a thread of its own.
struct Host {
    client: Client,
    answered: AtomicUsize,
}

impl Host {
    fn new(number: u32) -> Self {
        let mut client = Client::connect("10.0.0.5");
        for id in (0..ELEMENTS).filter(|id| id % HOSTS == number) {
            client.register(&format!("p{}", id % 3), id, "10.0.0.5");
        }
        // So that the end is seen.
        let moment = TimeVal::new(0, 100_000);
        setsockopt(&client.socket, sockopt::ReceiveTimeout, &moment).unwrap();
        Self { client, answered: AtomicUsize::new(0) }
    }

    fn answer(&self, storm: &Storm) {
        let mut buffer = Vec::new();
        while !storm.over.load(Ordering::SeqCst) {
            match self.client.socket.recv(&mut buffer) {
                Ok(Some(Received::Message(_))) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                other => panic!("the association of elements that live has ended: {other:?}"),
            }
            match wire::decode(&buffer).unwrap().message {
                Message::EndpointKeepAlive { handle, id: Some(id), .. } => {
                    self.client.say(&Message::EndpointKeepAliveAck { handle, id });
                    self.answered.fetch_add(1, Ordering::SeqCst);
                }
                other => panic!("an element that lives is told {other:?}"),
            }
        }
    }

    /// Whether each of its elements was asked so often, as a rule.
    fn was_asked(&self, times: usize) -> bool {
        self.answered.load(Ordering::SeqCst) >= times * usize::try_from(ELEMENTS / HOSTS).unwrap()
    }
}

/// All live elements are there, and nobody was dropped who reads.
fn assert_whole(dump: &Dump, dropped: u64) {
    let elements: usize = dump.pools.iter().map(|pool| pool.elements.len()).sum();
    assert_eq!(elements, usize::try_from(ELEMENTS).unwrap(), "{dump}");
    assert_eq!(dump.counters.keep_alives_missed, 0, "{dump}");
    assert_eq!(dump.dropped_not_reading, dropped, "{dump}");
    assert_eq!(dump.counters.owners_lost, 0, "{dump}");
}

/// One that asks and never reads, until it is dropped.
fn deaf(storm: &Storm) {
    let deaf = Client::connect("10.0.0.7");
    deaf.socket.set_nonblocking(true).unwrap();
    let question = resolution("p1", true).encode();
    while !storm.over.load(Ordering::SeqCst) {
        match deaf.socket.send(&info(), &question) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => return,
        }
    }
    panic!("it is still there");
}

#[test]
fn no_live_element_is_lost_in_a_storm_of_resolutions_and_registrations_go_through() {
    let first = World::new(&config(1));
    let second = World::beside(&config(2));
    let hosts: Vec<_> = (0..HOSTS).map(Host::new).collect();
    let mut registering = Client::connect("10.0.0.6");
    let storm = Storm::gather(STORMING);
    second.until(|dump| dump.pools.iter().map(|pool| pool.elements.len()).sum::<usize>() == 24);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let raging = scope.spawn(|| storm.rage());
        let deaf = scope.spawn(|| deaf(&storm));
        let answering: Vec<_> = hosts.iter().map(|host| scope.spawn(|| host.answer(&storm))).collect();
        let (mut rounds, mut slowest) = (0, 0);
        let failed = || raging.is_finished() || answering.iter().any(|thread| thread.is_finished());
        while !(failed() || deaf.is_finished() && hosts.iter().all(|host| host.was_asked(ASKED))) {
            // A resolution may wait for all that was asked before it; this may not.
            let before = storm.answers();
            registering.register("q", 1_000, "10.0.0.6");
            let left = registering.ask(&Message::Deregistration { handle: handle("q"), id: 1_000 });
            assert!(
                matches!(left, Message::DeregistrationResponse { id: 1_000, error: None, .. }),
                "{left:?}"
            );
            slowest = slowest.max(storm.answers() - before);
            // The control socket answers, too.
            first.dump();
            rounds += 1;
        }
        let lasted = start.elapsed();
        storm.over.store(true, Ordering::SeqCst);
        raging.join().unwrap();
        deaf.join().unwrap();
        answering.into_iter().for_each(|thread| thread.join().unwrap());
        eprintln!(
            "{lasted:?}: {} answers, {rounds} registrations and deregistrations, beside each {slowest} answers at most",
            storm.answers()
        );
        assert!(storm.answers() > 1_000, "that was no storm: {}", storm.answers());
        // Of some hundred thousand questions that wait at any moment.
        assert!(
            slowest < 5_000,
            "beside a registration and a deregistration {slowest} resolutions went through"
        );
    });
    assert_whole(&first.dump(), 1);
    let dump = second.dump();
    assert!(dump.peers.iter().all(|peer| peer.connected), "{dump}");
    assert_eq!(dump.enrp.takeovers + first.dump().enrp.takeovers, 0, "{dump}");
}

#[test]
fn who_asks_one_question_after_the_other_keeps_nobody_waiting_who_is_heard_elsewhere() {
    // Nobody answers keep-alives here.
    let first = World::new(&asking_each(1, "0s"));
    let mut element = Client::connect("10.0.0.2");
    element.register("p0", 1, "10.0.0.2");
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = Client::connect("10.0.0.8");
            while !over.load(Ordering::SeqCst) {
                let answer = client.ask(&resolution("p0", false));
                assert!(
                    matches!(answer, Message::HandleResolutionResponse { error: None, .. }),
                    "{answer:?}"
                );
                asked.fetch_add(1, Ordering::SeqCst);
            }
        });
        // Another registrar, over the socket of ENRP; and the control socket, each time that it is asked.
        let second = World::beside(&asking_each(2, "0s"));
        let synchronised =
            |dump: &Dump| dump.pools.len() == 1 && dump.peers.iter().any(|peer| peer.connected);
        second.until(synchronised);
        first.until(synchronised);
        let others = asked.load(Ordering::SeqCst);
        while !asking.is_finished() && asked.load(Ordering::SeqCst) < others + 1_000 {
            first.dump();
        }
        over.store(true, Ordering::SeqCst);
        asking.join().unwrap();
    });
}

#[test]
fn every_question_of_a_flood_is_answered_and_who_asks_has_to_wait() {
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\n");
    let mut element = Client::connect("10.0.0.2");
    for id in 0..20 {
        element.register("p0", id, "10.0.0.2");
    }
    let flood = Storm::gather(1);
    let (socket, question) = (&flood.sockets[0], resolution("p0", false).encode());
    let (mut buffer, mut waited) = (Vec::new(), false);
    let mut asked = 0;
    let start = Instant::now();
    while asked < 10_000 {
        match socket.send(&info(), &question) {
            Ok(_) => asked += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                waited = true;
                flood.read(socket, &mut buffer);
            }
            Err(error) => panic!("{error} after {asked} questions"),
        }
    }
    assert!(waited, "all were taken at once");
    while flood.answers() < asked {
        flood.read(socket, &mut buffer);
        assert!(start.elapsed().as_secs() < 60, "{} answers: {}", flood.answers(), world.dump());
    }
    eprintln!("{asked} answers in {:?}", start.elapsed());
    let dump = world.dump();
    assert_eq!((dump.dropped_resolutions, dump.dropped_not_reading), (0, 0), "{dump}");
}

const IMPATIENT: &str = "[asap]\nkeep_alive_interval = \"0s\"\nunread_timeout = \"2s\"\n";

#[test]
fn who_reads_slowly_is_waited_for_and_who_reads_nothing_is_dropped() {
    drops_the_deaf_alone(&World::new(IMPATIENT));
}

#[test]
fn the_same_holds_where_the_kernel_gives_each_association_a_send_buffer_of_its_own() {
    drops_the_deaf_alone(&World::with_send_buffers(IMPATIENT));
}

fn drops_the_deaf_alone(world: &World) {
    let mut element = Client::connect("10.0.0.2");
    for id in 0..100 {
        element.register("p1", id, "10.0.0.2");
    }
    let slow = Storm::gather(1);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (socket, question) = (&slow.sockets[0], resolution("p1", false).encode());
            let mut buffer = Vec::new();
            while !slow.over.load(Ordering::SeqCst) {
                // It asks as much as it can, and reads a little now and then.
                while socket.send(&info(), &question).is_ok() {}
                for _ in 0..4 {
                    match socket.recv(&mut buffer) {
                        Ok(Some(Received::Message(_))) => _ = slow.answers.fetch_add(1, Ordering::SeqCst),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        other => panic!("it is dropped after {} answers: {other:?}", slow.answers()),
                    }
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        // The second one begins when the first has been dropped: the slow one is as it was for twice as long.
        for _ in 0..2 {
            deaf(&slow);
        }
        slow.over.store(true, Ordering::SeqCst);
        reading.join().unwrap();
    });
    let dump = world.dump();
    assert_eq!((dump.dropped_not_reading, dump.associations.len()), (2, 2), "{dump}");
    assert!(dump.associations.iter().any(|it| it.outstanding_octets > 0), "it never had to wait: {dump}");
}
