//! New associations are found by their setup on the wire, long before the host is looked at again.

use std::fs;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use sctp_sys::{Family, Socket, Style};
use serde_json::Value;

use super::adoption::{Program, roam, until};

fn socket(style: Style) -> Socket {
    Socket::new(style, Family::V4).unwrap()
}

#[test]
fn an_association_is_adopted_when_its_setup_is_seen_and_an_accepted_one_when_it_is_accepted() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root: it makes a network namespace");
    let ip = |line: &str| assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success());
    ip("link set lo up");
    ip("link add d0 type dummy");
    ip("link set d0 up");
    ["192.0.2.1/24", "192.0.2.2/24"].iter().for_each(|it| ip(&format!("address add {it} dev d0")));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("agent.toml");
    // Twice as long as anything here is waited for.
    let text =
        format!("[agent]\nruntime_dir = {:?}\npoll = \"60s\"\n", directory.path().display().to_string());
    fs::write(&config, text).unwrap();
    let _daemon = Program::start(&[env!("CARGO_BIN_EXE_roamd"), "--config", &config.display().to_string()]);
    until("the daemon answers", || roam(directory.path(), &["status"]).status.success());
    let ports = || {
        let answer = roam(directory.path(), &["--json", "associations"]);
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let all = answer["associations"].as_array().unwrap();
        let adopted = all.iter().filter(|it| it["state"] != "unmanageable");
        let mut ports: Vec<u64> = adopted.map(|it| it["local_port"].as_u64().unwrap()).collect();
        ports.sort();
        ports
    };

    let listener = socket(Style::OneToOne);
    listener.bind("192.0.2.2:7000".parse().unwrap()).unwrap();
    listener.listen(8).unwrap();
    let client = socket(Style::OneToOne);
    client.bind("192.0.2.1:7001".parse().unwrap()).unwrap();
    client.connect("192.0.2.2:7000".parse().unwrap()).unwrap();
    until("the client's end is adopted", || ports() == [7001]);
    // Until it is accepted it is the listener's, and nothing is said of it.
    let accepted = listener.accept().unwrap();
    until("the server's end is adopted", || ports() == [7000, 7001]);

    // A socket for many: each association by itself.
    let many = socket(Style::OneToMany);
    many.bind("192.0.2.1:7002".parse().unwrap()).unwrap();
    many.listen(8).unwrap();
    for port in [7003, 7004] {
        let one = socket(Style::OneToOne);
        one.bind(([192, 0, 2, 2], port).into()).unwrap();
        one.connect("192.0.2.1:7002".parse().unwrap()).unwrap();
        // It lives on for as long as the test.
        std::mem::forget(one);
    }
    until("all of a socket for many are adopted", || ports()[2..] == [7002, 7002, 7003, 7004]);
    drop((accepted, client));
}
