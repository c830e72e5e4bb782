//! The daemon as a service: what it tells its manager.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
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

/// The fields of an entry in journald's own protocol: `NAME=value`, or the name, a length in 8 octets and so many of value.
fn fields(mut entry: &[u8]) -> BTreeMap<String, String> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut found = BTreeMap::new();
    while let Some(end) = entry.iter().position(|octet| [b'\n', b'='].contains(octet)) {
        let name = text(&entry[..end]);
        let (value, rest) = if entry[end] == b'=' {
            let length = entry[end..].iter().position(|octet| *octet == b'\n').unwrap();
            (&entry[end + 1..end + length], end + length + 1)
        } else {
            let length = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap()) as usize;
            (&entry[end + 9..end + 9 + length], end + 9 + length + 1)
        };
        found.insert(name, text(value));
        entry = &entry[rest..];
    }
    found
}

#[test]
fn decisions_are_in_the_journal_with_fields_of_their_own() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("this test needs root");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    // For this thread and its children alone.
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    std::fs::create_dir_all("/run/systemd/journal").unwrap();
    let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let ip = |line: &str| assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success());
    ["link set lo up", "link add d0 type dummy", "link set d0 up"].into_iter().for_each(ip);
    let directory = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let of = log.metadata().unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_roamd"))
        .arg("--runtime-dir")
        .arg(directory.path().join("run"))
        .env("JOURNAL_STREAM", format!("{}:{}", of.dev(), of.ino()))
        .stderr(log)
        .spawn()
        .unwrap();
    let mut octets = vec![0; 1 << 16];
    let mut next = |wanted: &dyn Fn(&BTreeMap<String, String>) -> bool| loop {
        let length = journal.recv(&mut octets).expect("an entry");
        let entry = fields(&octets[..length]);
        if wanted(&entry) {
            return entry;
        }
    };
    // Whoever begins to log first sends an empty entry, to see whether there is a journal.
    next(&|entry| entry.get("MESSAGE").is_some_and(|message| message == "ready"));
    ip("address add 192.0.2.1/24 dev d0");
    let entry = next(&|entry| entry.get("ROAM_ADDRESS").is_some_and(|address| address == "192.0.2.1"));
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "roamd");
    assert_eq!(entry["MESSAGE"], entry["ROAM_DECISION"], "{entry:?}");
    kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    // Whoever has the journal needs no text.
    assert_eq!(std::fs::read_to_string(directory.path().join("log")).unwrap(), "");
}
