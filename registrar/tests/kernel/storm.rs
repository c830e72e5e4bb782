//! A storm of resolutions: what keeps the pool alive goes first.

use super::world::*;
use asap_client::wire;
use sctp_sys::{Received, SendInfo};

/// Clients that ask without waiting for answers, and read what comes.
struct Storm {
    clients: Vec<Client>,
    question: Vec<u8>,
}

impl Storm {
    fn new(count: usize) -> Self {
        let clients: Vec<_> = (0..count).map(|_| Client::connect("10.0.0.3")).collect();
        for client in &clients {
            client.socket.set_nonblocking(true).unwrap();
        }
        Self { clients, question: resolution("p", false).encode() }
    }

    /// Each asks as often as the kernel lets it, and reads all answers. How many there were.
    fn blow(&mut self) -> usize {
        let info = SendInfo { ppid: wire::PPID, ..SendInfo::default() };
        let mut answers = 0;
        for client in &mut self.clients {
            for _ in 0..64 {
                if client.socket.send(&info, &self.question).is_err() {
                    break;
                }
            }
            while let Ok(Some(Received::Message(_))) = client.socket.recv(&mut client.buffer) {
                answers += 1;
            }
        }
        answers
    }
}

#[test]
fn a_storm_of_resolutions_costs_no_live_element_and_registrations_go_through() {
    let world = World::new("[asap]\nkeep_alive_interval = \"200ms\"\nkeep_alive_timeout = \"1s\"\n");
    let mut element = Client::connect("10.0.0.2");
    for id in 0..10 {
        element.register("p", id, "10.0.0.2");
    }
    let mut storm = Storm::new(16);
    let mut answers = 0;
    let mut registered = 10;
    // The storm is many times what the registrar can answer; keep-alives are answered while it hears the registrations.
    let dump = loop {
        for _ in 0..4 {
            answers += storm.blow();
        }
        element.register("q", registered, "10.0.0.2");
        registered += 1;
        let dump = world.dump();
        assert_eq!(dump.counters.keep_alives_missed, 0, "{dump}");
        if registered >= 50 && dump.counters.keep_alives_answered >= 500 {
            break dump;
        }
    };
    assert!(answers > 0 && dump.counters.resolutions > 0, "{dump}");
    let elements: usize = dump.pools.iter().map(|pool| pool.elements.len()).sum();
    assert_eq!(elements, usize::try_from(registered).unwrap(), "{dump}");
}
