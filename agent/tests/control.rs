//! The control socket and `roam`, with a daemon's loop that only the tests have.

mod fake;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use fake::{Fake, addresses, association, line, status, text};
use roam_agent::control::{
    AddressReport, AssociationReport, Client, ClientError, Reply, Request, StatusReport, StreamEvent, serve,
};
use roam_agent::decisions::{Decisions, Subject};
use serde_json::Value;
use tokio::sync::mpsc;

#[test]
fn people_get_tables() {
    let fake = Fake::start(true);
    assert_eq!(
        text(&fake.roam("associations").stdout),
        "PID   PROGRAM  PORTS      STATE     FOR   LOCAL     PEER              WHY\n\
         1234  socat    7001-7000  stranded  1.2s  10.1.0.2  10.3.0.2,fd00::3  no usable address\n"
    );
    assert_eq!(
        text(&fake.roam("addresses").stdout),
        "ADDRESS      INTERFACE  USABLE  TABLE  WHY\n\
         10.1.0.2/24  u1         yes     7600   by way of 10.1.0.1\n\
         10.2.0.2/24  u1         no      -      its interface has no carrier\n"
    );
    assert_eq!(
        text(&fake.roam("status").stdout),
        "roamd 0.1.0 (process 7), running for 1h01m\n\
         associations  3 settled, 0 moving, 1 stranded, 0 unmanageable\n\
         addresses     1 of 4 usable, held: 10.1.0.2\n\
         registrar     10.9.0.2:3863\n\
         element       robot-1 (port 7001, 0x00001234): registered at 10.2.0.2\n\
         network       120 changes heard, 0 overruns\n\
         problem       rp_filter is strict on u1; `sysctl -w net.ipv4.conf.u1.rp_filter=2`\n"
    );
    assert_eq!(
        text(&fake.roam("adopt 1234").stdout),
        "process 1234: 2 SCTP sockets looked after from now on\n"
    );
    assert_eq!(
        text(&fake.roam("release 1234").stdout),
        "process 1234: 1 SCTP socket left alone from now on\n"
    );
}

#[test]
fn programs_get_json_that_reads_back_as_what_was_reported() {
    let fake = Fake::start(true);
    let read = |words: &str| fake.roam(words).stdout;
    assert_eq!(serde_json::from_slice::<StatusReport>(&read("status --json")).unwrap(), status());
    let list = |words: &str, name: &str| {
        let mut document: Value = serde_json::from_slice(&read(words)).unwrap();
        document[name].take()
    };
    let associations: Vec<AssociationReport> =
        serde_json::from_value(list("--json associations", "associations")).unwrap();
    assert_eq!(associations, [association()]);
    let reports: Vec<AddressReport> = serde_json::from_value(list("addresses --json", "addresses")).unwrap();
    assert_eq!(reports, addresses());
    let adopted: Value = serde_json::from_slice(&read("adopt 5 --json")).unwrap();
    assert_eq!((&adopted["pid"], &adopted["sockets"]), (&Value::from(5), &Value::from(2)));
}

#[test]
fn the_exit_status_tells_what_went_wrong() {
    let fake = Fake::start(true);
    for (words, code, says) in [
        ("status", 0, ""),
        ("adopt 404", 10, "there is no process 404"),
        ("adopt 13", 1, "CAP_SYS_PTRACE is missing"),
        ("adopt", 2, "<PID>"),
        ("adopt 0", 2, "0 is not in"),
        ("adopt me", 2, "invalid value"),
        ("dance", 2, "unrecognized subcommand"),
    ] {
        let output = fake.roam(words);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}: {errors}");
        assert!(errors.contains(says), "{words}: {errors}");
    }
    let empty = tempfile::tempdir().unwrap();
    let roam = Process::new(env!("CARGO_BIN_EXE_roam"))
        .arg("status")
        .arg("--runtime-dir")
        .arg(empty.path())
        .output();
    let output = roam.unwrap();
    assert_eq!(output.status.code(), Some(8));
    assert!(text(&output.stderr).contains("roamd is not running"), "{}", text(&output.stderr));
}

/// A program that ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn other_users_may_look_but_not_touch() {
    let fake = Fake::start(true);
    // Where the tests were built others may not be able to look.
    let program = fake.path().join("roam");
    std::fs::copy(env!("CARGO_BIN_EXE_roam"), &program).unwrap();
    let as_nobody = |words: &str| {
        let mut command = Process::new(&program);
        command.arg("--runtime-dir").arg(fake.path()).args(words.split_whitespace());
        command.uid(65534).gid(65534).current_dir("/").output().expect("this test needs root")
    };
    assert_eq!(as_nobody("status").status.code(), Some(0));
    let own = Process::new("sleep").arg("600").uid(65534).gid(65534).spawn().expect("this test needs root");
    let own = Ended(own);
    for words in ["adopt", "release"] {
        let output = as_nobody(&format!("{words} {}", own.0.id()));
        assert_eq!(output.status.code(), Some(0), "their own processes: {}", text(&output.stderr));
    }
    for words in ["adopt 1234", "release 1234", "adopt 1", "reload --drop"] {
        let output = as_nobody(words);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("only root"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_monitor_sees_old_and_new_decisions() {
    let fake = Fake::start(true);
    fake.decisions.note(Subject::Daemon, "forgotten", "");
    fake.decisions.note(Subject::Daemon, "old", "because");
    let mut roam = Process::new(env!("CARGO_BIN_EXE_roam"))
        .args(["monitor", "--recent", "1", "--runtime-dir"])
        .arg(fake.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(roam.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.ends_with(" daemon: old (because)"), "{first}");
    let subject = Subject::Address { address: "10.2.0.2".parse().unwrap() };
    fake.decisions.note(subject, "usable", "");
    let second = lines.next().unwrap().unwrap();
    assert!(second.ends_with(" address 10.2.0.2: usable"), "{second}");
    drop(fake);
    assert!(lines.next().is_none(), "it ends with the daemon");
    assert!(roam.wait().unwrap().success());
}

#[test]
fn a_monitor_that_does_not_read_holds_up_nobody() {
    const NOTES: u64 = 20_000;
    let fake = Fake::start(true);
    let mut lazy = fake.raw();
    lazy.get_mut().write_all(b"{\"request\":\"monitor\",\"recent\":1}\n").unwrap();
    fake.decisions.note(Subject::Daemon, "first", "");
    line(&mut lazy);
    let long = "x".repeat(1000);
    for _ in 0..NOTES {
        fake.decisions.note(Subject::Daemon, long.as_str(), "");
    }
    assert!(matches!(fake.client().ask(Request::Status), Ok(Reply::Status(_))));
    // When it reads again it learns how many are missing: with those that it sees they are all.
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < NOTES {
        let event = line(&mut lazy);
        match event["event"]["missed"].as_u64() {
            Some(more) => missed += more,
            None => seen += 1,
        }
    }
    assert_eq!(seen + missed, NOTES);
    assert!(missed > 0, "a daemon that keeps everything for whoever does not read grows without bound");
}

#[test]
fn nonsense_is_answered_and_the_connection_goes_on() {
    let fake = Fake::start(true);
    let mut client = fake.raw();
    for nonsense in [
        "",
        "{}",
        "[1]",
        "{\"request\":\"dance\"}",
        "{\"request\":\"adopt\"}",
        "{\"request\":\"adopt\",\"pid\":\"x\"}",
        "{\"request\":\"handover\"}",
        "\u{0}\u{7f}",
        "{\"id\":-1,\"request\":\"status\"}",
    ] {
        client.get_mut().write_all(format!("{nonsense}\n").as_bytes()).unwrap();
        let answer = line(&mut client);
        assert_eq!(answer["error"]["code"], "invalid", "{nonsense}: {answer}");
    }
    client.get_mut().write_all(b"{\"id\":77,\"request\":\"status\"}\n").unwrap();
    let answer = line(&mut client);
    assert_eq!((&answer["id"], &answer["result"]["status"]["pid"]), (&Value::from(77), &Value::from(7)));
}

#[test]
fn a_request_without_end_is_cut_off() {
    let fake = Fake::start(true);
    let mut hostile = fake.raw();
    let endless = vec![b'{'; 1 << 20];
    let _ = hostile.get_mut().write_all(&endless);
    let answer = line(&mut hostile);
    assert!(answer["error"]["message"].as_str().unwrap().contains("65536 octets"), "{answer}");
    let mut rest = Vec::new();
    let _ = hostile.read_to_end(&mut rest); // closed, perhaps with a reset
    assert!(rest.is_empty());
    assert!(matches!(fake.client().ask(Request::Addresses), Ok(Reply::Addresses(_))));
}

#[test]
fn a_daemon_that_is_busy_says_so_and_no_client_waits_for_ever() {
    let fake = Fake::start(false);
    let mut waiting = fake.raw();
    waiting.get_mut().write_all(b"{\"request\":\"status\"}\n").unwrap();
    // The queue holds one order: the first of these, or the one above.
    let refused = loop {
        let mut next = fake.raw();
        next.get_mut().write_all(b"{\"request\":\"status\"}\n").unwrap();
        next.get_ref().set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut line = String::new();
        if next.read_line(&mut line).is_ok() {
            break serde_json::from_str::<Value>(&line).unwrap();
        }
    };
    assert_eq!(refused["error"]["code"], "busy", "{refused}");
    let answer = line(&mut waiting);
    assert!(answer["error"]["message"].as_str().unwrap().contains("did not answer in 10 s"), "{answer}");
}

#[test]
fn more_connections_than_allowed_are_refused_until_one_closes() {
    let fake = Fake::start(true);
    let mut open: Vec<_> = (0..64).map(|_| fake.client()).collect();
    // The last one is being served when it has been answered.
    open.last_mut().unwrap().ask(Request::Status).unwrap();
    let mut refused = fake.raw();
    assert_eq!(line(&mut refused)["error"]["code"], "busy");
    let refused = fake.roam("status");
    assert!(text(&refused.stderr).contains("too many connections"), "{refused:?}");
    open.pop();
    let served =
        |fake: &Fake| Client::connect(fake.path()).and_then(|mut client| client.ask(Request::Status));
    while let Err(error) = served(&fake) {
        assert!(matches!(error, ClientError::Refused(_) | ClientError::Io(_)), "{error}");
    }
}

#[test]
fn a_descriptor_that_is_no_sctp_socket_is_refused() {
    let fake = Fake::start(true);
    let mut client = fake.raw();
    let file = std::fs::File::open("/dev/null").unwrap();
    let message = b"{\"request\":\"handover\"}";
    sctp_sys::adopt::send_sockets(client.get_ref(), message, &[file.as_fd()]).unwrap();
    let answer = line(&mut client);
    assert!(answer["error"]["message"].as_str().unwrap().contains("no SCTP socket"), "{answer}");
    let mut client = fake.raw();
    sctp_sys::adopt::send_sockets(client.get_ref(), message, &[]).unwrap();
    assert_eq!(line(&mut client)["error"]["code"], "invalid");
}

#[test]
fn a_dead_daemons_socket_is_replaced_and_a_stopped_one_leaves_none() {
    let fake = Fake::start(true);
    let path = fake.path().join("ctl.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        std::fs::rename(&path, directory.path().join("ctl.sock")).unwrap();
        let (commands, _queue) = mpsc::channel(1);
        let control = serve(directory.path(), commands, Decisions::default()).unwrap();
        assert!(directory.path().join("ctl.sock").exists());
        control.stop();
        assert!(!directory.path().join("ctl.sock").exists());
    });
    assert!(matches!(Client::connect(fake.path()), Err(ClientError::NotRunning { .. })));
}

#[test]
fn a_decision_reads_back_from_the_stream() {
    let fake = Fake::start(true);
    let subject = Subject::Association { pid: 7, local_port: 7001, peer_port: Some(7000) };
    let fields = [("address".to_owned(), Value::from("10.2.0.2"))].into();
    fake.decisions.note_with(subject.clone(), "add 10.2.0.2", "usable", fields);
    let mut seen = None;
    fake.client()
        .monitor(10, |event| {
            seen = Some(event);
            false
        })
        .unwrap();
    let Some(StreamEvent::Decision(decision)) = seen else { panic!("no decision") };
    assert_eq!((decision.subject, decision.fields["address"].as_str()), (subject, Some("10.2.0.2")));
}
