//! `roam debug-report`: everything that helps to understand what went wrong on a host, in one document.
//!
//! It holds what the daemon says and what the host's own tools show. Left out is what may be secret: environments and
//! command lines of programs, their data, and everything of users. Programs are named by their paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::control::Client;
use crate::control::protocol::{Reply, Request};
use crate::doctor::{diagnose, look};

/// Decisions that are put in.
const DECISIONS: usize = 2_000;
/// Octets kept of each command's output and of each file, from its end.
const OUTPUT: usize = 1 << 20;

/// What the host's own tools show. All of them only look.
const COMMANDS: [&str; 14] = [
    "uname -a",
    "ip -details address",
    "ip -details link",
    "ip rule",
    "ip -6 rule",
    "ip route show table all",
    "ip -6 route show table all",
    "ip neigh",
    "nft list ruleset",
    "ss --sctp -ainpO",
    "sysctl -e net.sctp net.ipv4.conf net.netfilter.nf_conntrack_count",
    "lsmod",
    "systemctl status --no-pager --lines=0 roamd",
    "journalctl --no-pager --unit roamd --lines 2000",
];

/// Files that are put in as they are.
const FILES: [&str; 8] = [
    "/etc/os-release",
    "/proc/version",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/net/sctp/assocs",
    "/proc/net/sctp/eps",
    "/proc/net/sctp/snmp",
    "/proc/net/unix",
];

/// The report.
#[derive(Debug, Serialize)]
pub struct DebugReport {
    /// The version of `roam` that made it.
    pub version: String,
    /// What the daemon says: `status`, `associations`, `addresses`, `pools`, `configuration`, `decisions`; or, if it did
    /// not answer, `error`.
    pub daemon: Map<String, Value>,
    /// What `roam doctor` says.
    pub doctor: Value,
    /// The output of each command, also of those that failed.
    pub commands: Map<String, Value>,
    /// The content of each file.
    pub files: Map<String, Value>,
}

/// Gathers everything. Takes some seconds; nothing that fails ends it.
pub fn gather(directory: &Path, config: Option<PathBuf>) -> DebugReport {
    let commands = COMMANDS.iter().map(|line| ((*line).to_owned(), run(line).into())).collect();
    let read = |path: &&str| {
        let text = std::fs::read(path).map_or_else(|error| format!("({error})"), |bytes| tail(&bytes));
        ((*path).to_owned(), text.into())
    };
    DebugReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        daemon: daemon(directory),
        doctor: serde_json::to_value(diagnose(&look(directory, config))).unwrap_or_default(),
        commands,
        files: FILES.iter().map(read).collect(),
    }
}

fn daemon(directory: &Path) -> Map<String, Value> {
    let mut said = Map::new();
    let questions = [
        ("status", Request::Status),
        ("associations", Request::Associations),
        ("addresses", Request::Addresses),
        ("pools", Request::Pools),
        ("configuration", Request::Configuration),
        ("decisions", Request::Decisions { last: DECISIONS }),
    ];
    let mut client = match Client::connect(directory) {
        Ok(client) => client,
        Err(error) => {
            said.insert("error".to_owned(), error.to_string().into());
            return said;
        }
    };
    for (name, request) in questions {
        let answer = match client.ask(request) {
            Ok(Reply::Status(report)) => serde_json::to_value(report),
            Ok(Reply::Associations(reports)) => serde_json::to_value(reports),
            Ok(Reply::Addresses(reports)) => serde_json::to_value(reports),
            Ok(Reply::Pools(report)) => serde_json::to_value(report),
            Ok(Reply::Configuration(report)) => serde_json::to_value(report),
            Ok(Reply::Decisions(decisions)) => serde_json::to_value(decisions),
            Ok(_) => continue,
            Err(error) => Ok(format!("({error})").into()),
        };
        said.insert(name.to_owned(), answer.unwrap_or_default());
    }
    said
}

fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let Some(program) = words.next() else { return String::new() };
    // A tool that hangs does not keep the report from being made.
    let output = Command::new("timeout").arg("10").arg(program).args(words).env_clear().envs(path()).output();
    match output {
        Ok(output) => {
            let mut text = tail(&output.stdout);
            if !output.status.success() {
                text += &format!("({}: {})\n", output.status, tail(&output.stderr).trim());
            }
            text
        }
        Err(error) => format!("({error})"),
    }
}

fn path() -> Option<(&'static str, String)> {
    Some(("PATH", std::env::var("PATH").ok()?))
}

fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(OUTPUT);
    let text = String::from_utf8_lossy(&bytes[start..]).into_owned();
    if start > 0 { format!("(the last {OUTPUT} octets)\n{text}") } else { text }
}
