//! Two registrars that speak ENRP.

use super::world::*;
use asap_client::wire::{self, Message};
use nix::sys::signal::Signal;
use roam_registrar::dump::{Dump, ElementDump};
use sctp_sys::event::EventType;
use sctp_sys::{AssocId, Family, Received, SendInfo, Socket, Style, sockopt};
use std::os::fd::AsFd;

/// Registrar `own` of two; its identifier is the same number.
fn config(own: u32) -> String {
    let other = 3 - own;
    format!(
        "listen = [\"10.0.0.{own}:3863\"]\nidentifier = {own}\n\
         [enrp]\nlisten = \"10.0.0.{own}:9901\"\n[[enrp.peer]]\naddress = \"10.0.0.{other}:9901\"\n"
    )
}

/// Two registrars of one handlespace; this thread is in their namespace.
fn pair() -> [World; 2] {
    let first = World::new(&config(1));
    let second = World::beside(&config(2));
    [first, second]
}

fn element(dump: &Dump, id: u32) -> Option<&ElementDump> {
    dump.pools.iter().flat_map(|pool| &pool.elements).find(|element| element.id == id)
}

/// An element that is reached by whoever wants to be its home.
struct Element {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Element {
    fn new(address: &str) -> Self {
        let own = format!("{address}:7000").parse().unwrap();
        let socket = Socket::new(Style::OneToMany, Family::of(own)).unwrap();
        sockopt::set_events(socket.as_fd(), &[EventType::AssocChange]).unwrap();
        socket.bind(own).unwrap();
        socket.listen(8).unwrap();
        Self { socket, buffer: Vec::new() }
    }

    fn say(&self, assoc: AssocId, message: &Message) {
        let info = SendInfo { ppid: wire::PPID, assoc, ..SendInfo::default() };
        self.socket.send(&info, &message.encode()).unwrap();
    }

    /// The next message.
    fn hear(&mut self) -> (AssocId, Message) {
        loop {
            if let Some(Received::Message(info)) = self.socket.recv(&mut self.buffer).unwrap() {
                return (info.assoc, wire::decode(&self.buffer).unwrap().message);
            }
        }
    }
}

#[test]
fn what_is_registered_at_one_is_known_at_the_other_and_goes_there_too() {
    let [_first, second] = pair();
    let mut client = Client::connect("10.0.0.5");
    client.register("p", 1, "10.0.0.5");
    second.until(|dump| element(dump, 1).is_some_and(|e| e.home == 1 && e.association.is_none()));
    let mut user = Client::connect_to("10.0.0.6", "10.0.0.2:3863");
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "10.0.0.5")]);
    client.say(&Message::Deregistration { handle: handle("p"), id: 1 });
    second.until(|dump| element(dump, 1).is_none());
}

#[test]
fn a_registrar_that_starts_later_has_what_was_registered_before() {
    let first = World::new(&config(1));
    let mut client = Client::connect("10.0.0.5");
    for id in 1..=200 {
        client.register("p", id, "10.0.0.5");
    }
    let second = World::beside(&config(2));
    second.until(|dump| dump.pools.iter().map(|pool| pool.elements.len()).sum::<usize>() == 200);
    drop(first);
}

#[test]
fn the_elements_of_a_registrar_that_dies_are_taken_over_and_told_so() {
    let [mut first, second] = pair();
    let mut served = Element::new("10.0.0.5");
    let assoc = served.socket.connectx(&[REGISTRAR.parse().unwrap()]).unwrap();
    served.say(assoc, &registration("p", 1, "10.0.0.5"));
    let (_, answer) = served.hear();
    assert_eq!(answer, accepted("p", 1));
    second.until(|dump| element(dump, 1).is_some_and(|e| e.home == 1));

    first.signal(Signal::SIGKILL);
    let (assoc, message) = served.hear();
    let Message::EndpointKeepAlive { home: true, server: 2, handle, id: Some(1) } = message else {
        panic!("{message:?}");
    };
    served.say(assoc, &Message::EndpointKeepAliveAck { handle, id: 1 });
    second.until(|dump| element(dump, 1).is_some_and(|e| e.home == 2 && e.association.is_some()));
}

#[test]
fn the_peers_are_listed_with_what_is_thought_of_them() {
    let [_first, second] = pair();
    let mut client = Client::connect("10.0.0.5");
    client.register("p", 1, "10.0.0.5");
    let dump = second.until(|dump| {
        dump.peers.first().is_some_and(|peer| peer.elements == 1 && peer.checksum_equal == Some(true))
    });
    assert_eq!((dump.peers[0].identifier, dump.peers[0].connected), (1, true));
    assert!(dump.enrp.updates >= 1, "{:?}", dump.enrp);
    let peers = |json: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_roam-registrar"))
            .args(["peers", "--runtime-dir"])
            .arg(second.dir.path().join("run"))
            .args(json)
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = peers(&[]);
    assert!(text.contains("0x00000001  10.0.0.1:9901  active, heard "), "{text}");
    let json: serde_json::Value = serde_json::from_str(&peers(&["--json"])).unwrap();
    assert_eq!((&json["peers"][0]["identifier"], &json["peers"][0]["elements"]), (&1.into(), &1.into()));
}
