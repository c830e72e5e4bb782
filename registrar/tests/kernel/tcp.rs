//! Pool users over TCP, elements over SCTP.

use super::world::*;
use asap_client::wire::{self, Cause, Message, Stream};
use roam_registrar::dump::Over;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A pool user over TCP.
struct User {
    socket: TcpStream,
    stream: Stream,
}

impl User {
    fn connect(registrar: &str) -> Self {
        let socket = TcpStream::connect(registrar).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { socket, stream: Stream::new() }
    }

    fn hear(&mut self) -> Message {
        loop {
            if let Some(bytes) = self.stream.message().unwrap() {
                return wire::decode(&bytes).unwrap().message;
            }
            let mut chunk = [0; 4096];
            let count = self.socket.read(&mut chunk).unwrap();
            assert!(count > 0, "it was ended");
            self.stream.push(&chunk[..count]);
        }
    }

    fn ask(&mut self, message: &Message) -> Message {
        self.socket.write_all(&message.encode()).unwrap();
        self.hear()
    }
}

#[test]
fn a_user_over_tcp_finds_what_an_element_registered_over_sctp_and_hears_when_it_leaves() {
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\n");
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    for registrar in [REGISTRAR, "[fd00::1]:3863"] {
        let mut user = User::connect(registrar);
        assert_eq!(places(&user.ask(&resolution("p", true))), [place(1, "10.0.0.2")]);
        world.until(|dump| dump.associations.iter().any(|user| user.over == Over::Tcp));
        element.register("p", 2, "10.0.0.2");
        assert_eq!(places(&user.hear()), [place(1, "10.0.0.2"), place(2, "10.0.0.2")]);
        let gone = Message::Deregistration { handle: handle("p"), id: 2 };
        element.ask(&gone);
        assert_eq!(places(&user.hear()), [place(1, "10.0.0.2")]);
    }
    let mut user = User::connect(REGISTRAR);
    let Message::RegistrationResponse { rejected: true, error: Some(causes), .. } =
        user.ask(&registration("p", 9, "10.0.0.2"))
    else {
        panic!("an element is not served over TCP");
    };
    assert_eq!(causes[0].code, Cause::SECURITY);
    world.until(|dump| dump.associations.len() <= 3);
}

#[test]
fn a_user_over_tcp_has_an_element_asked_that_it_cannot_reach() {
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\nkeep_alive_timeout = \"1s\"\n");
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    let mut user = User::connect(REGISTRAR);
    user.ask(&resolution("p", true));
    let report = Message::EndpointUnreachable { handle: handle("p"), id: 1 };
    user.socket.write_all(&report.encode()).unwrap();
    // It does not read, and so does not answer.
    assert!(places(&user.hear()).is_empty());
    assert_eq!(world.dump().counters.unreachable_reports, 1);
}
