//! Starting, stopping, and what the daemon tells of itself.

use super::world::*;
use nix::sys::signal::Signal;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// No element is asked whether it lives: those here do not listen all the time.
const QUIET: &str = "[asap]\nkeep_alive_interval = \"0s\"\n";

#[test]
fn it_stops_cleanly_when_it_is_told_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut world = World::new("");
        let mut client = Client::connect("10.0.0.2");
        client.register("p", 1, "10.0.0.2");
        assert_eq!(world.signal(signal).code(), Some(0));
        assert!(client.ended());
        assert!(!world.dir.path().join("run/control.sock").exists());
    }
}

#[test]
fn it_starts_again_after_it_was_killed() {
    let mut world = World::new("");
    let mut client = Client::connect("10.0.0.2");
    client.register("p", 1, "10.0.0.2");
    world.signal(Signal::SIGKILL);
    assert!(client.ended());
    world.restart();
    let mut client = Client::connect("10.0.0.2");
    client.register("p", 1, "10.0.0.2");
}

#[test]
fn it_starts_again_while_a_peer_that_vanished_has_not_acknowledged_the_stop() {
    let mut world = World::new("");
    let mut client = Client::connect("10.0.0.2");
    client.register("p", 1, "10.0.0.2");
    sh("ip addr del 10.0.0.2/24 dev d0");
    assert_eq!(world.signal(Signal::SIGTERM).code(), Some(0));
    world.restart();
    world.assert_serves();
}

#[test]
fn a_port_that_another_one_serves_cannot_be_had() {
    let world = World::new("");
    let output = Command::new(env!("CARGO_BIN_EXE_roam-registrar"))
        .arg("--runtime-dir")
        .arg(world.dir.path().join("other"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("cannot listen on [::]:3863"), "{told}");
}

#[test]
fn a_second_one_with_the_same_runtime_directory_is_refused() {
    let world = World::new("");
    let output = Command::new(env!("CARGO_BIN_EXE_roam-registrar"))
        .args(["--listen", "10.0.0.1:4000", "--runtime-dir"])
        .arg(world.dir.path().join("run"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("another roam-registrar runs there"), "{told}");
    world.dump();
}

#[test]
fn the_dump_tells_pools_elements_owners_life_and_subscriptions() {
    let listen = "listen = [\"10.0.0.1:3863\", \"[fd00::1]:3863\", \"10.0.0.1:4863\"]";
    let world = World::new(&format!("identifier = 17\n{listen}\n{QUIET}"));
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    let mut user = Client::connect_to("10.0.0.5", "10.0.0.1:4863");
    user.ask(&resolution("p", true));
    let dump = world.dump();
    assert_eq!((dump.identifier, dump.listening.len()), (17, 3));
    let kept = &dump.pools[0].elements[0];
    assert_eq!((dump.pools[0].handle.as_str(), kept.id, kept.home, kept.port), ("p", 1, 17, Some(7000)));
    assert!(kept.life_left_ms.is_some_and(|ms| ms > 200_000 && ms <= 300_000));
    let owner = dump.associations.iter().find(|a| Some(a.association) == kept.association).unwrap();
    assert_eq!(owner.addresses, ["10.0.0.2".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(dump.associations.iter().filter(|a| a.subscriptions == ["p"]).count(), 1);
    let text = Command::new(env!("CARGO_BIN_EXE_roam-registrar"))
        .args(["dump", "--runtime-dir"])
        .arg(world.dir.path().join("run"))
        .output()
        .unwrap();
    assert!(text.status.success());
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("0x00000001  sctp 10.0.0.2 port 7000"), "{text}");
}

#[test]
fn what_happens_is_told_to_who_looks_on() {
    let world = World::new("identifier = 17\n");
    let mut monitor = world.command(&["monitor", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines();
    let mut client = Client::connect("10.0.0.2");
    // It may begin to look on at any moment.
    let (sender, first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in &mut lines {
            let happening: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            if happening["event"] == "removed" {
                let _ = sender.send(happening);
            }
        }
    });
    let happening = loop {
        client.register("p", 1, "10.0.0.2");
        client.ask(&asap_client::wire::Message::Deregistration { handle: handle("p"), id: 1 });
        if let Ok(happening) = first.try_recv() {
            break happening;
        }
    };
    assert_eq!(happening["side"], "asap");
    assert_eq!((&happening["pool"], &happening["element"]), (&"p".into(), &1.into()));
    // When the registrar ends, so does it.
    drop(world);
    assert_eq!(monitor.wait().unwrap().code(), Some(1));
    reader.join().unwrap();
}

#[test]
fn a_configuration_that_is_read_again_holds_from_then_on_and_a_bad_one_changes_nothing() {
    let mut world = World::told(&format!("identifier = 17\nlog = \"info\"\n{QUIET}[limits]\nelements = 1\n"));
    let mut client = Client::connect("10.0.0.2");
    client.register("p", 1, "10.0.0.2");
    let refused = |client: &mut Client| {
        let answer = client.ask(&registration("p", 2, "10.0.0.2"));
        matches!(answer, asap_client::wire::Message::RegistrationResponse { rejected: true, .. })
    };
    assert!(refused(&mut client));
    world.reload("identifier = 17\n[limits]\nelements = x\n");
    let said = world.until_said("the configuration is as before");
    assert!(said.contains("registrar.toml:3:12: "), "{said}");
    assert!(refused(&mut client));
    let changed = "identifier = 18\nlisten = [\"10.0.0.1:3863\"]\nlog = \"debug\"\n";
    world.reload(&format!("{changed}{QUIET}[limits]\nelements = 2\n"));
    world.until_said("listen has changed in the configuration; it is as before until the next start");
    world.until_said("identifier has changed");
    world.until_said("the configuration was read again");
    assert!(!refused(&mut client));
    let _other = Client::connect("10.0.0.3");
    world.until_said("association up");
    let dump = world.dump();
    assert_eq!((dump.identifier, dump.pools[0].elements.len(), dump.associations.len()), (17, 2, 2));
}
