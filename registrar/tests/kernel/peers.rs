//! Two registrars that speak ENRP.

use super::world::*;
use asap_client::wire::{self, Message};
use nix::sys::signal::Signal;
use roam_registrar::dump::{Dump, ElementDump};
use sctp_sys::event::EventType;
use sctp_sys::{AssocId, Family, Received, SendInfo, Socket, Style, sockopt};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

/// Registrar `own` of two; its identifier is the same number.
/// Nobody is asked in between whether it lives, however slow this machine is.
fn config(own: u32) -> String {
    let other = 3 - own;
    format!(
        "listen = [\"10.0.0.{own}:3863\"]\nidentifier = {own}\n[asap]\nkeep_alive_interval = \"0s\"\n\
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

/// An element that is reached by whoever wants to be its home, and follows.
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
    assert!(dump.enrp.messages >= 1, "{:?}", dump.enrp);
    let peers = |arguments: &[&str]| {
        let output = second.run(arguments);
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = peers(&["peers"]);
    assert!(text.contains("0x00000001  10.0.0.1:9901  active, heard "), "{text}");
    let json: serde_json::Value = serde_json::from_str(&peers(&["peers", "--json"])).unwrap();
    assert_eq!((&json["peers"][0]["identifier"], &json["peers"][0]["elements"]), (&1.into(), &1.into()));
}

#[test]
fn a_registrar_that_is_drained_hands_over_its_elements_and_stops_and_none_is_ever_unknown_to_the_other() {
    let [mut first, second] = pair();
    let mut served = Element::new("10.0.0.5");
    let old = served.socket.connectx(&[REGISTRAR.parse().unwrap()]).unwrap();
    for id in 1..=20 {
        served.say(old, &registration("p", id, "10.0.0.5"));
        assert_eq!(served.hear().1, accepted("p", id));
    }
    second.until(|dump| dump.pools.first().is_some_and(|pool| pool.elements.len() == 20));

    let drain = first.command(&["drain"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut user = Client::connect_to("10.0.0.6", "10.0.0.2:3863");
    let mut told = 0;
    while told < 20 {
        let (assoc, message) = served.hear();
        match message {
            Message::EndpointKeepAlive { home, server, handle, id: Some(id) } => {
                told += usize::from(home);
                assert_eq!((home, server), (home, if home { 2 } else { 1 }));
                served.say(assoc, &Message::EndpointKeepAliveAck { handle, id });
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(places(&user.ask(&resolution("p", false))).len(), 20, "all are known all the time");
    }
    let output = drain.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told, "handed over all elements, 20 of them; the registrar stops\n");
    assert_eq!(first.child.wait().unwrap().code(), Some(0));
    let dump = second.until(|dump| dump.peers.is_empty());
    assert_eq!(dump.pools[0].elements.len(), 20);
    assert!(dump.pools[0].elements.iter().all(|e| e.home == 2 && e.association.is_some()), "{dump}");
    assert_eq!(dump.enrp.takeovers, 0);
}

#[test]
fn a_registrar_that_is_alone_says_so_when_it_is_to_be_drained_and_goes_on() {
    let world = World::new(&config(1));
    let mut client = Client::connect("10.0.0.5");
    client.register("p", 1, "10.0.0.5");
    let output = world.run(&["drain"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("no other registrar is there"), "{told}");
    world.assert_serves();
    // Nobody but root and its own user may end it in this way.
    let drain = world.command(&["drain"]);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(drain.get_program())
        .args(drain.get_args())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("only root and the registrar's own user"), "{told}");
    client.say(&Message::Deregistration { handle: handle("p"), id: 1 });
    world.until(|dump| dump.pools.is_empty());
    assert_eq!(world.run(&["drain"]).status.code(), Some(0), "nothing is lost with it");
}

#[test]
fn what_no_peer_takes_is_told_when_the_time_is_over_and_taken_over_after_the_stop() {
    let mut first = World::new(&config(1));
    let stubborn = config(2).replace("[enrp]\n", "[enrp]\naccept_takeover_suggestions = false\n");
    let second = World::beside(&stubborn);
    let mut served = Element::new("10.0.0.5");
    let old = served.socket.connectx(&[REGISTRAR.parse().unwrap()]).unwrap();
    served.say(old, &registration("p", 1, "10.0.0.5"));
    assert_eq!(served.hear().1, accepted("p", 1));
    second.until(|dump| element(dump, 1).is_some());
    let output = first.run(&["drain", "--timeout", "1s"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("handed over 0 elements, 1 are left"), "{told}");
    assert_eq!(first.child.wait().unwrap().code(), Some(0));
    loop {
        let (assoc, message) = served.hear();
        let Message::EndpointKeepAlive { handle, id: Some(id), home, .. } = message else {
            panic!("{message:?}")
        };
        if home {
            served.say(assoc, &Message::EndpointKeepAliveAck { handle, id });
            break;
        }
    }
    second.until(|dump| element(dump, 1).is_some_and(|e| e.home == 2 && e.association.is_some()));
}
