//! Where a scenario of registrars is played: hosts on one switch, each in a namespace of its own and with one address.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Scenery;
use crate::link::{Conditions, batch};
use crate::netns::Namespace;
use crate::process::Program;

use crate::result::Agent;
use crate::scenario::Story;

/// The last lines of a log that are shown when a scenario has failed.
const LINES: usize = 60;

/// The stage, until dropped.
#[derive(Debug)]
pub struct Stage {
    switch: Namespace,
    hosts: BTreeMap<u8, Namespace>,
    directory: tempfile::TempDir,
    logs: Vec<PathBuf>,
    story: Story,
}

/// The address of a host.
pub(crate) fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

impl Scenery for Stage {
    fn build(_: Agent, tell: bool) -> Result<Self> {
        let switch = Namespace::create("switch").context("the switch")?;
        let lines = ["link add br0 type bridge", "link set br0 up", "link set lo up"].map(str::to_owned);
        batch(&switch, "ip", &lines).context("the switch")?;
        let directory = tempfile::Builder::new().prefix("roam-testbed-").tempdir()?;
        let (hosts, logs) = (BTreeMap::new(), Vec::new());
        Ok(Self { switch, hosts, directory, logs, story: Story::new(tell) })
    }

    fn story(&self) -> &Story {
        &self.story
    }

    fn print_logs(&self, why: &str) {
        last_lines(&self.logs, why);
    }
}

impl Stage {
    /// Where programs may have files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Notes what happens.
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.story.note("-", "testbed", what.into());
        self.story.tell();
    }

    /// Makes sure that a host is there.
    pub(crate) fn add_host(&mut self, number: u8) -> io::Result<()> {
        if self.hosts.contains_key(&number) {
            return Ok(());
        }
        let host = Namespace::create(&format!("host{number}"))?;
        let port = format!("p{number}");
        let lines = [
            format!("link add {port} type veth peer name e0 netns {}", host.name()),
            format!("link set {port} master br0 up"),
        ];
        batch(&self.switch, "ip", &lines)?;
        let lines = [
            "link set lo up".to_owned(),
            format!("addr add {}/24 dev e0", address(number)),
            "link set e0 up".to_owned(),
            "route add default dev e0".to_owned(),
        ];
        batch(&host, "ip", &lines)?;
        host.enter(|| {
            ["addip_enable", "auth_enable"]
                .iter()
                .try_for_each(|name| fs::write(format!("/proc/sys/net/sctp/{name}"), "1"))
        })?;
        self.hosts.insert(number, host);
        Ok(())
    }

    /// Cuts a host off, or connects it again: its link at the switch.
    pub(crate) fn link(&self, number: u8, up: bool) -> io::Result<()> {
        let state = if up { "up" } else { "down" };
        batch(&self.switch, "ip", &[format!("link set p{number} {state}")])
    }

    /// Has a host's packets take half of this round trip each way, from and to all others.
    pub(crate) fn delay(&mut self, number: u8, rtt_ms: f64) -> Result<()> {
        self.add_host(number)?;
        let conditions = Conditions { rtt_ms, ..Conditions::default() };
        batch(&self.switch, "tc", &[conditions.command(&format!("p{number}"))])?;
        Ok(batch(self.host(number)?, "tc", &[conditions.command("e0")])?)
    }

    /// A host's namespace.
    pub(crate) fn host(&self, number: u8) -> Result<&Namespace> {
        self.hosts.get(&number).with_context(|| format!("host {number} is not there"))
    }

    /// Starts a program at a host; its output goes into a file of this name.
    pub(crate) fn start(&mut self, host: u8, name: &str, command: &mut Command) -> Result<Program> {
        self.add_host(host)?;
        let log = self.directory().join(format!("{name}.log"));
        if !self.logs.contains(&log) {
            self.logs.push(log.clone());
        }
        command.current_dir(self.directory()).env("NO_COLOR", "1");
        Ok(Program::start(self.host(host)?, name, &log, command)?)
    }
}

/// Tells why a round has failed, and the last lines of these logs.
pub(crate) fn last_lines(logs: &[PathBuf], why: &str) {
    println!("  failed: {why}");
    for log in logs {
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        println!("  --- {}", log.file_name().unwrap_or_default().to_string_lossy());
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            println!("  {line}");
        }
    }
}
