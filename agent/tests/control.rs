//! The control socket and `roam`, with a daemon's loop that only the tests have.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as Process, Output, Stdio};
use std::time::Duration;

use roam_agent::control::{
    AddressReport, AdoptReport, AssociationReport, AssociationState, Binding, Client, ClientError, Command,
    ElementReport, Failure, FailureCode, Order, Reply, Request, SCHEMA, StatusReport, StreamEvent, serve,
};
use roam_agent::decisions::{Decisions, Subject};
use roam_agent::net::Unusable;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// A server with a loop behind it, on a thread of its own; gone when dropped.
struct Fake {
    directory: TempDir,
    decisions: Decisions,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Fake {
    /// `answering`: its loop works; else it takes nothing from its queue, which holds one.
    fn start(answering: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let decisions = Decisions::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (path, noted) = (directory.path().to_owned(), decisions.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (commands, mut queue) = mpsc::channel(if answering { 16 } else { 1 });
                let control = serve(&path, commands, noted).unwrap();
                ready.send(()).unwrap();
                let work = async {
                    while let Some(command) = queue.recv().await {
                        answer(command);
                    }
                };
                if answering {
                    tokio::select! { () = work => {}, _ = stopped => {} }
                } else {
                    let _ = stopped.await;
                }
                control.stop();
            });
        });
        is_ready.recv().unwrap();
        Self { directory, decisions, stop: Some(stop), thread: Some(thread) }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn client(&self) -> Client {
        Client::connect(self.path()).unwrap()
    }

    /// A connection with the daemon's first line read.
    fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.path().join("ctl.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = BufReader::new(stream);
        let hello = line(&mut stream);
        assert_eq!(hello["schema"], SCHEMA);
        stream
    }

    fn roam(&self, arguments: &str) -> Output {
        let mut command = Process::new(env!("CARGO_BIN_EXE_roam"));
        command.arg("--runtime-dir").arg(self.path()).args(arguments.split_whitespace()).output().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn line(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn answer(command: Command) {
    let outcome = match command.order {
        Order::Status => Ok(Reply::Status(Box::new(status()))),
        Order::Associations => Ok(Reply::Associations(vec![association()])),
        Order::Addresses => Ok(Reply::Addresses(addresses())),
        Order::Adopt { pid: 404 } => Err(Failure::new(FailureCode::NotFound, "there is no process 404")),
        Order::Adopt { pid: 13 } => {
            Err(Failure::new(FailureCode::Failed, "process 13: CAP_SYS_PTRACE is missing"))
        }
        Order::Adopt { pid } => Ok(Reply::Adopted(AdoptReport { pid, sockets: 2, left_out: vec![] })),
        Order::Release { pid } => Ok(Reply::Released(AdoptReport { pid, sockets: 1, left_out: vec![] })),
        Order::HandOver { sockets } => {
            let (pid, sockets) = (command.requester.pid, sockets.len());
            Ok(Reply::HandedOver(AdoptReport { pid, sockets, left_out: vec![] }))
        }
    };
    let _ = command.reply.send(outcome);
}

fn status() -> StatusReport {
    StatusReport {
        schema: SCHEMA,
        version: "0.1.0".into(),
        pid: 7,
        uptime_ms: 3_661_000,
        settled: 3,
        stranded: 1,
        usable_addresses: 1,
        addresses: 4,
        held: vec!["10.1.0.2".parse().unwrap()],
        registrar: Some("10.9.0.2:3863".into()),
        elements: vec![ElementReport {
            handle: "robot-1".into(),
            id: 0x1234,
            port: 7001,
            registered: true,
            addresses: vec!["10.2.0.2".parse().unwrap()],
            why: String::new(),
        }],
        problems: vec!["rp_filter is strict on u1; `sysctl -w net.ipv4.conf.u1.rp_filter=2`".into()],
        ..StatusReport::default()
    }
}

fn association() -> AssociationReport {
    AssociationReport {
        pid: 1234,
        executable: Some("/usr/bin/socat".into()),
        local_port: 7001,
        peer_port: 7000,
        binding: Some(Binding::Explicit),
        local: vec!["10.1.0.2".parse().unwrap()],
        peer: vec!["10.3.0.2".parse().unwrap(), "fd00::3".parse().unwrap()],
        state: AssociationState::Stranded,
        why: "no usable address".into(),
        add_ip: Some(true),
        in_state_ms: 1234,
        moves: 2,
        last_move_ms: Some(61),
    }
}

fn addresses() -> Vec<AddressReport> {
    let report = |address: &str, reason: Option<Unusable>, table| AddressReport {
        address: address.parse().unwrap(),
        prefix: 24,
        interface: "u1".into(),
        usable: reason.is_none(),
        why: reason.as_ref().map_or("by way of 10.1.0.1".into(), ToString::to_string),
        reason,
        gateway: None,
        table,
    };
    vec![report("10.1.0.2", None, Some(7600)), report("10.2.0.2", Some(Unusable::NoCarrier), None)]
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

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
         network       0 changes heard, 0 overruns\n\
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
    let associations: Vec<AssociationReport> = serde_json::from_slice(&read("--json associations")).unwrap();
    assert_eq!(associations, [association()]);
    let reports: Vec<AddressReport> = serde_json::from_slice(&read("addresses --json")).unwrap();
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
    for words in ["adopt 1234", "release 1234"] {
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
