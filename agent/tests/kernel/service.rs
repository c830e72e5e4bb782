//! The daemon as a service: what it tells its manager.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the manager is told next, that begins so; what comes before is returned, too.
fn told(manager: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut octets = [0; 256];
    loop {
        let length = manager.recv(&mut octets).unwrap_or_else(|error| panic!("{wanted}: {error}; {all:?}"));
        all.push(String::from_utf8_lossy(&octets[..length]).into_owned());
        if all.last().is_some_and(|last| last.starts_with(wanted)) {
            return all;
        }
    }
}

#[test]
fn the_manager_is_told_when_it_is_ready_that_it_lives_that_it_reloads_and_that_it_stops() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root: it makes a network namespace");
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, "").unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_roamd"))
        .arg("--config")
        .arg(&file)
        .arg("--runtime-dir")
        .arg(directory.path().join("run"))
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "400000")
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(daemon.id().cast_signed());
    assert_eq!(told(&manager, "READY=1").len(), 1, "first of all");
    for _ in 0..3 {
        assert_eq!(told(&manager, "WATCHDOG=1").len(), 1);
    }
    kill(pid, Signal::SIGHUP).unwrap();
    let reloading = told(&manager, "RELOADING=1").pop().unwrap();
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    told(&manager, "READY=1");
    // Whoever stands still is not alive.
    kill(pid, Signal::SIGSTOP).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut octets = [0; 256];
    let late = std::iter::from_fn(|| manager.recv(&mut octets).ok()).count();
    assert!(late <= 1, "told {late} times by a daemon that stands still");
    kill(pid, Signal::SIGCONT).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    told(&manager, "WATCHDOG=1");
    kill(pid, Signal::SIGTERM).unwrap();
    told(&manager, "STOPPING=1");
    assert!(daemon.wait().unwrap().success());
}
