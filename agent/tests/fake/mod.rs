//! The control socket with a daemon's loop behind it that only the tests have.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command as Process, Output};
use std::time::Duration;

use roam_agent::control::{
    AddressReport, AdoptReport, AsconfReport, AssociationReport, AssociationState, Binding, BucketReport,
    CauseReport, ChangeReport, Client, Command, ConfigurationReport, CountsReport, DecisionReport,
    ElementReport, ExplainReport, Failure, FailureCode, HandoverReport, HistogramReport, NetworkReport,
    Order, PeerReport, PoolsReport, ProbeReport, RegistrationReport, ReloadReport, Reply, SCHEMA,
    SettingReport, StatusReport, Target, serve,
};
use roam_agent::decisions::{Decision, Decisions, Subject};
use roam_agent::net::Unusable;
use roam_agent::tally::{Kind, Outcome};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

/// A server with a loop behind it, on a thread of its own; gone when dropped.
pub(crate) struct Fake {
    directory: TempDir,
    pub(crate) decisions: Decisions,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Fake {
    /// `answering`: its loop works; else it takes nothing from its queue, which holds one.
    pub(crate) fn start(answering: bool) -> Self {
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

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.path()).unwrap()
    }

    /// A connection with the daemon's first line read.
    pub(crate) fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.path().join("ctl.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = BufReader::new(stream);
        let hello = line(&mut stream);
        assert_eq!(hello["schema"], SCHEMA);
        stream
    }

    pub(crate) fn roam(&self, arguments: &str) -> Output {
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

pub(crate) fn line(stream: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn answer(command: Command) {
    let outcome = match command.order {
        Order::Status => Ok(Reply::Status(Box::new(status()))),
        Order::Associations => Ok(Reply::Associations(vec![association()])),
        Order::Addresses => Ok(Reply::Addresses(addresses())),
        Order::Pools => Ok(Reply::Pools(Box::new(pools()))),
        Order::Explain { target, .. } => explain(target),
        Order::Reload { drop } => reload(drop),
        Order::Configuration => Ok(Reply::Configuration(Box::new(configuration()))),
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

pub(crate) fn status() -> StatusReport {
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
            confirmed_ms: Some(12_000),
            life_ms: 300_000,
            why: String::new(),
        }],
        counts: counts(),
        problems: vec!["rp_filter is strict on u1; `sysctl -w net.ipv4.conf.u1.rp_filter=2`".into()],
        network: NetworkReport { events: 120, ignored: 80, overruns: 0, resyncs: 1, changes: 4, listed: 3 },
        ..StatusReport::default()
    }
}

fn counts() -> CountsReport {
    let handover = |kind, outcome, count| HandoverReport { kind, outcome, count };
    let histogram = |buckets: &[(u64, u64)], count, sum_ms| HistogramReport {
        buckets: buckets.iter().map(|&(le_ms, count)| BucketReport { le_ms, count }).collect(),
        count,
        sum_ms,
    };
    CountsReport {
        handovers: vec![
            handover(Kind::MakeBeforeBreak, Outcome::Moved, 7),
            handover(Kind::Simultaneous, Outcome::Moved, 2),
        ],
        gap: histogram(&[(1_000, 0), (2_500, 2)], 2, 2_481),
        delay: histogram(&[(1_000, 2), (2_500, 2)], 2, 481),
        asconf: AsconfReport {
            accepted: 18,
            refused: vec![CauseReport { cause: 0xa4, count: 1 }],
            unanswered: 0,
        },
        registrations: RegistrationReport { confirmed: 5, refused: 0, unanswered: 1, expired: 0 },
        probes: ProbeReport { sent: 40, lost: 3 },
        decisions: DecisionReport { daemon: 1, address: 12, association: 61, handle: 4 },
    }
}

pub(crate) fn association() -> AssociationReport {
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

pub(crate) fn addresses() -> Vec<AddressReport> {
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

fn element() -> ElementReport {
    status().elements.remove(0)
}

pub(crate) fn pools() -> PoolsReport {
    let peer = |handle: &str, port, addresses: &[&str], known| PeerReport {
        handle: handle.into(),
        port,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        known,
    };
    PoolsReport {
        registrar: Some("10.9.0.2:3863".into()),
        elements: vec![element()],
        peers: vec![
            peer("robot-2", Some(7000), &["10.3.0.2"], true),
            peer("robot-3", None, &[], true),
            peer("robot-4", None, &[], false),
        ],
    }
}

pub(crate) fn decision() -> Decision {
    Decision {
        sequence: 41,
        time_ms: 1_700_000_000_123,
        subject: Subject::Association { pid: 1234, local_port: 7001, peer_port: Some(7000) },
        text: "hold 10.1.0.2 on lo".into(),
        cause: "its last address is gone".into(),
        fields: Default::default(),
    }
}

fn explain(target: Target) -> Result<Reply, Failure> {
    if target == Target::Address([10, 1, 0, 2].into()) {
        let report = ExplainReport {
            target: target.to_string(),
            why: "usable (by way of 10.1.0.1), and used by 1 association".into(),
            addresses: addresses()[..1].to_vec(),
            associations: vec![association()],
            decisions: vec![decision()],
        };
        return Ok(Reply::Explained(Box::new(report)));
    }
    Err(Failure::new(FailureCode::NotFound, format!("{target} is not known")))
}

fn reload(drop: bool) -> Result<Reply, Failure> {
    if !drop {
        let text = "live associations would suffer:\n  left alone: 1234:7001-7000 (/usr/bin/socat)";
        return Err(Failure::new(FailureCode::WouldDrop, text));
    }
    let change =
        |key: &str, old: Option<&str>, new: Option<&str>, origin: Option<&str>, applied| ChangeReport {
            key: key.into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
            origin: origin.map(Into::into),
            applied,
        };
    let changes = vec![
        change("agent.nice", Some("-15"), Some("5"), Some("/etc/roam/agent.toml:3"), false),
        change("agent.poll", Some("\"250ms\""), Some("\"1s\""), Some("/etc/roam/agent.d/x.toml:2"), true),
        change("manage[0].port", Some("7001"), None, None, true),
    ];
    let files = vec!["/etc/roam/agent.toml".into(), "/etc/roam/agent.d/x.toml".into()];
    let dropped = vec![association()];
    Ok(Reply::Reloaded(Box::new(ReloadReport { files, changes, dropped })))
}

pub(crate) fn configuration() -> ConfigurationReport {
    let setting = |key: &str, value: &str, origin: &str| SettingReport {
        key: key.into(),
        value: value.into(),
        origin: origin.into(),
    };
    ConfigurationReport {
        files: vec!["/etc/roam/agent.toml".into()],
        settings: vec![
            setting("agent.offline", "\"1m\"", "/etc/roam/agent.toml:2"),
            setting("agent.poll", "\"250ms\"", "default"),
        ],
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
