//! Where a scenario of networks is played: two mobile hosts, a router and the registrar's host; the agent at A, and a
//! client there that has an association with the server at B.

use std::fs;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use roam_agent::control::protocol::{Reply, Request};
use roam_agent::control::{AddressReport, AssociationReport, AssociationState, Client, StatusReport};
use sctp_sys::Family;

use crate::capture::{self, Capture};
use crate::clock::{self, Nanos, Waited, ms_between};
use crate::link::{Conditions, batch};
use crate::netns::Namespace;
use crate::process::Program;
use crate::registrar::{Scenery, last_lines};
use crate::result::Agent;
use crate::scenario::{Story, beside, leftovers};
use crate::topology::{A1, B1, Host, Network};
use crate::traffic::{AssociationRecord, ClientRecord, Progress};

/// Longer than anything here takes on a slow emulated machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The ports of server and client.
pub(crate) const SERVER_PORT: u16 = 7000;
pub(crate) const CLIENT_PORT: u16 = 7001;
/// Milliseconds from message to message.
const INTERVAL: u64 = 20;

/// The stage, until dropped.
#[derive(Debug)]
pub struct Stage {
    pub(crate) network: Network,
    /// Who looks after the associations: where it is not ours, none of ours is started.
    pub(crate) agent: Agent,
    directory: tempfile::TempDir,
    /// The runtime directory of the agent at A.
    runtime: PathBuf,
    logs: Vec<PathBuf>,
    story: Story,
    _capture: Capture,
    daemon: Option<Program>,
    client: Option<Program>,
    server: Option<Program>,
    others: Vec<Program>,
}

impl Scenery for Stage {
    fn build(agent: Agent, tell: bool) -> Result<Self> {
        let stage = Self::around(Namespace::create("A")?, agent, tell)?;
        let settings: &[&str] = match agent {
            Agent::AutoAsconf => &["addip_enable", "auth_enable", "default_auto_asconf"],
            Agent::Roam | Agent::None => &["addip_enable", "auth_enable"],
        };
        for host in Host::ALL {
            stage.network.host(host).enter(|| {
                settings.iter().try_for_each(|name| fs::write(format!("/proc/sys/net/sctp/{name}"), "1"))
            })?;
        }
        Ok(stage)
    }

    fn story(&self) -> &Story {
        &self.story
    }

    fn print_logs(&self, why: &str) {
        if let Some(reports) = self.associations() {
            for it in reports {
                println!("  association {} local {:?} peer {:?} {}", it.state, it.local, it.peer, it.why);
            }
        }
        for it in self.addresses().into_iter().flatten() {
            println!("  address {} {} usable {}: {}", it.address, it.interface, it.usable, it.why);
        }
        last_lines(&self.logs, why);
    }
}

impl Stage {
    /// Builds it around a host A that is there; whether programs' sockets have Add-IP is not decided yet.
    pub(crate) fn around(a: Namespace, agent: Agent, tell: bool) -> Result<Self> {
        let conditions = Conditions { rtt_ms: 20.0, ..Conditions::default() };
        let network = Network::around(a, Family::V4, &conditions).context("building the network")?;
        let story = Story::new(tell);
        let capture = Capture::start(&network, &story).context("watching the wire")?;
        network.up(Host::B, &[B1])?;
        let directory = tempfile::Builder::new().prefix("roam-testbed-").tempdir()?;
        Ok(Self {
            network,
            agent,
            runtime: directory.path().join("roamd"),
            directory,
            logs: Vec::new(),
            story,
            _capture: capture,
            daemon: None,
            client: None,
            server: None,
            others: Vec::new(),
        })
    }

    /// The agent at A is one that was started by somebody else, with this runtime directory.
    pub(crate) fn has_daemon_of(&mut self, runtime: &Path) {
        self.runtime = runtime.to_owned();
        capture::follow(self.runtime(), Host::A, &self.story);
    }

    /// Notes what happens.
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.story.note("-", "testbed", what.into());
        self.story.tell();
    }

    /// Runs lines of `ip` at host A.
    pub(crate) fn ip<Line: AsRef<str>>(&self, lines: impl IntoIterator<Item = Line>) -> Result<()> {
        ip_at(self.network.host(Host::A), lines)
    }

    /// Runs lines of `ip` at the router.
    pub(crate) fn router<Line: AsRef<str>>(&self, lines: impl IntoIterator<Item = Line>) -> Result<()> {
        ip_at(self.network.router(), lines)
    }

    /// Runs a shell command in a namespace; it has to succeed. Gives its output.
    pub(crate) fn shell(&self, at: &Namespace, line: &str) -> Result<String> {
        let output = at.enter(|| Command::new("sh").args(["-c", line]).output())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "`{line}`: {said}{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(said)
    }

    /// Starts the agent at A with these lines of `[agent]`, and tables beside it. It answers then. Nothing happens where
    /// the associations are not ours to look after.
    pub(crate) fn start_daemon(&mut self, agent: &str, tables: &str) -> Result<()> {
        let file = self.configure(agent, tables)?;
        let mut command = Command::new(beside("roamd")?);
        command.arg("--config").arg(&file);
        self.start_daemon_as(&mut command)
    }

    /// Starts an agent at B, until the end of the round.
    pub(crate) fn start_daemon_at_peer(&mut self) -> Result<()> {
        let runtime = self.path("roamd-b");
        let file = self.path("roamd-b.toml");
        fs::write(&file, format!("[agent]\nruntime_dir = {:?}\n", runtime.display().to_string()))?;
        let mut command = Command::new(beside("roamd")?);
        command.arg("--config").arg(&file);
        let program = self.start(Host::B, "roamd-b", &mut command)?;
        self.others.push(program);
        self.until("the start of roamd at B", |_| Client::connect(&runtime).ok().map(|_| ()))?;
        capture::follow(runtime, Host::B, &self.story);
        Ok(())
    }

    /// Writes the configuration of the agent at A.
    pub(crate) fn configure(&self, agent: &str, tables: &str) -> Result<PathBuf> {
        let file = self.directory.path().join("roamd.toml");
        let runtime = self.runtime().display().to_string();
        fs::write(&file, format!("[agent]\nruntime_dir = {runtime:?}\n{agent}\n{tables}\n"))?;
        Ok(file)
    }

    /// As [`start_daemon`](Self::start_daemon), by this command.
    pub(crate) fn start_daemon_as(&mut self, command: &mut Command) -> Result<()> {
        if self.agent != Agent::Roam {
            return Ok(());
        }
        let program = self.start(Host::A, "roamd", command)?;
        self.daemon = Some(program);
        self.until("the start of roamd", |stage| stage.status().map(|_| ()))?;
        capture::follow(self.runtime(), Host::A, &self.story);
        Ok(())
    }

    /// Ends the agent at A in good order; nothing of it may be left there.
    pub(crate) fn stop_daemon(&mut self) -> Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.stop(Duration::from_secs(10));
        }
        let left = leftovers::of(self.network.host(Host::A))?;
        ensure!(left.is_empty(), "the agent has left something on its host: {left:?}");
        Ok(())
    }

    /// The agent's runtime directory.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.runtime.clone()
    }

    /// A file or directory of the round.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// From now on the router swallows what comes or goes by these interfaces of its, and by no other.
    pub(crate) fn swallow(&self, interfaces: &[&str]) -> Result<()> {
        let mut line = "nft 'add table inet hole; delete table inet hole; add table inet hole; \
                        add chain inet hole forward { type filter hook forward priority 0; }"
            .to_owned();
        for interface in interfaces {
            line += &format!("; add rule inet hole forward iifname {interface} drop");
            line += &format!("; add rule inet hole forward oifname {interface} drop");
        }
        self.shell(self.network.router(), &(line + "'")).map(|_| ())
    }

    /// The agent's process.
    pub(crate) fn daemon(&mut self) -> Result<&mut Program> {
        self.daemon.as_mut().context("no agent runs")
    }

    /// Starts a program at a mobile host.
    pub(crate) fn start(&mut self, host: Host, name: &str, command: &mut Command) -> Result<Program> {
        let log = self.log(name);
        command.current_dir(self.directory.path()).env("NO_COLOR", "1");
        Ok(Program::start(self.network.host(host), name, &log, command)?)
    }

    /// Where a program of the round logs to. It is shown if the round fails.
    pub(crate) fn log(&mut self, name: &str) -> PathBuf {
        let log = self.directory.path().join(format!("{name}.log"));
        if !self.logs.contains(&log) {
            self.logs.push(log.clone());
        }
        log
    }

    /// Starts a program at the registrar's host, until the end of the round.
    pub(crate) fn start_at_registrar(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = self.log(name);
        command.current_dir(self.directory.path()).env("NO_COLOR", "1");
        self.others.push(Program::start(self.network.registrar(), name, &log, command)?);
        Ok(())
    }

    /// Starts server and client; the association is up, and the agent looks after it, if there is one.
    pub(crate) fn talk(&mut self) -> Result<()> {
        self.talk_between(&[A1.address(Family::V4)], &[B1.address(Family::V4)])
    }

    /// As [`talk`](Self::talk), with sockets bound to these addresses.
    pub(crate) fn talk_between(&mut self, local: &[IpAddr], peer: &[IpAddr]) -> Result<()> {
        self.talk_with(local, peer, &[])
    }

    /// As [`talk_between`](Self::talk_between), with a client that is told more.
    pub(crate) fn talk_with(&mut self, local: &[IpAddr], peer: &[IpAddr], more: &[&str]) -> Result<()> {
        let own = std::env::current_exe()?;
        let list = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(&own);
        command.args(["traffic", "server", "--local", &list(peer), "--port", &SERVER_PORT.to_string()]);
        self.server = Some(self.start(Host::B, "server", &mut command)?);
        self.until("a listening server", |stage| {
            let endpoints =
                stage.network.host(Host::B).enter(sctp_sys::diag::snapshot_by_sock_diag).ok()?.endpoints;
            endpoints.iter().any(|it| it.listening && it.local_port == SERVER_PORT).then_some(())
        })?;
        let mut command = Command::new(&own);
        command.args(["traffic", "client", "--local", &list(local), "--port", &CLIENT_PORT.to_string()]);
        command.args(["--peer", &peer[0].to_string(), "--peer-port", &SERVER_PORT.to_string()]);
        command.args(["--interval", &INTERVAL.to_string(), "--patience", "20"]).args(more);
        command.arg("--json").arg(self.directory.path().join("client.json"));
        self.client = Some(self.start(Host::A, "client", &mut command)?);
        if self.status().is_some() {
            self.until_settled()?;
        }
        self.until_flows()?;
        self.note("the association is up");
        Ok(())
    }

    /// Waits until the agent has nothing left to do for the association.
    pub(crate) fn until_settled(&mut self) -> Result<AssociationReport> {
        self.until("a settled association", |stage| {
            stage.association().filter(|it| it.state == AssociationState::Settled)
        })
    }

    /// Waits until a message that is sent from now on has come back.
    pub(crate) fn until_flows(&mut self) -> Result<()> {
        let since = clock::now();
        self.until("a message to come back", |stage| (stage.progress()?.reached > since).then_some(()))
    }

    /// Waits until nothing is under way for the association.
    pub(crate) fn until_settled_or_stranded(&mut self) -> Result<()> {
        self.until("an association that is at rest", |stage| {
            let state = stage.association()?.state;
            matches!(state, AssociationState::Settled | AssociationState::Stranded).then_some(())
        })
    }

    /// Waits until the association has exactly these own addresses and is settled.
    pub(crate) fn until_at(&mut self, wanted: &[&str]) -> Result<()> {
        let wanted: std::collections::BTreeSet<IpAddr> =
            wanted.iter().map(|one| one.parse()).collect::<Result<_, _>>()?;
        self.until(&format!("the association to be at {wanted:?}"), |stage| {
            let it = stage.association()?;
            let local: std::collections::BTreeSet<IpAddr> = it.local.iter().copied().collect();
            (local == wanted && it.state == AssociationState::Settled).then_some(())
        })
    }

    /// Waits until the agent says of an address what fits.
    pub(crate) fn until_address(
        &mut self,
        address: &str,
        what: &str,
        fits: impl Fn(&AddressReport) -> bool,
    ) -> Result<()> {
        let wanted: IpAddr = address.parse()?;
        self.until(&format!("{address} to be {what}"), |stage| {
            stage.addresses()?.iter().any(|it| it.address == wanted && fits(it)).then_some(())
        })
    }

    /// Waits until the agent knows of an address no more.
    pub(crate) fn until_unlisted(&mut self, address: &str) -> Result<()> {
        let gone: IpAddr = address.parse()?;
        self.until(&format!("the end of {address}"), |stage| {
            stage.addresses()?.iter().all(|it| it.address != gone || it.interface == "lo").then_some(())
        })
    }

    /// Waits until an address is usable.
    pub(crate) fn until_usable(&mut self, address: &str) -> Result<()> {
        self.until_address(address, "usable", |it| it.usable)
    }

    /// Waits until an address is not usable, and the sentence that says why has these words.
    pub(crate) fn until_unusable(&mut self, address: &str, why: &str) -> Result<()> {
        self.until_address(address, &format!("unusable: {why}"), |it| !it.usable && it.why.contains(why))
    }

    /// Looks again and again until `condition` gives something.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let found = clock::until(what, PATIENCE, || {
            if let Err(error) = self.check() {
                return Some(Err(error));
            }
            let found = condition(self);
            if found.is_none() {
                // Interrupted: the wait itself sees that, too.
                let _ = clock::pass(Duration::from_millis(10));
            }
            found.map(Ok)
        });
        self.story.tell();
        found?
    }

    /// Whether all programs still run, and the association lives.
    fn check(&mut self) -> Result<()> {
        for program in [&mut self.daemon, &mut self.server, &mut self.client].into_iter().flatten() {
            if let Some(status) = program.ended() {
                bail!("{} ended by itself: {status}", program.name());
            }
        }
        if self.progress().is_some_and(|progress| progress.lost > 0) {
            bail!("the association is lost");
        }
        Ok(())
    }

    fn progress(&self) -> Option<Progress> {
        let output = self.client.as_ref()?.output();
        output.lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    fn ask(&self, request: Request) -> Option<Reply> {
        Client::connect(&self.runtime()).ok()?.ask(request).ok()
    }

    /// What the agent says of itself.
    pub(crate) fn status(&self) -> Option<StatusReport> {
        match self.ask(Request::Status)? {
            Reply::Status(report) => Some(*report),
            _ => None,
        }
    }

    /// What the agent says of the host's addresses.
    pub(crate) fn addresses(&self) -> Option<Vec<AddressReport>> {
        match self.ask(Request::Addresses)? {
            Reply::Addresses(reports) => Some(reports),
            _ => None,
        }
    }

    /// What the agent says of all associations.
    pub(crate) fn associations(&self) -> Option<Vec<AssociationReport>> {
        match self.ask(Request::Associations)? {
            Reply::Associations(reports) => Some(reports),
            _ => None,
        }
    }

    /// What the agent says of the client's association.
    pub(crate) fn association(&self) -> Option<AssociationReport> {
        self.associations()?.into_iter().find(|it| it.local_port == CLIENT_PORT)
    }

    /// What of this kind ("wire", "agent") host A has been seen to do or heard to say since then.
    pub(crate) fn told(&self, kind: &str, since: Nanos) -> Vec<String> {
        let events = self.story.events().into_iter();
        events.filter(|it| it.at >= since && it.kind == kind && it.host == "A").map(|it| it.what).collect()
    }

    /// The ASCONFs that A has sent since then.
    pub(crate) fn asconfs(&self, since: Nanos) -> Vec<String> {
        self.told("wire", since).into_iter().filter(|what| what.starts_with("ASCONF ")).collect()
    }

    /// The answers to A's ASCONFs that B has sent since then.
    pub(super) fn answers(&self, since: Nanos) -> Vec<String> {
        let events = self.story.events().into_iter();
        let answers = events.filter(|it| it.at >= since && it.kind == "wire" && it.host == "B");
        answers.map(|it| it.what).filter(|what| what.starts_with("ASCONF-ACK ")).collect()
    }

    /// What `roam metrics` prints.
    pub(super) fn metrics(&self) -> Result<String> {
        let mut command = Command::new(beside("roam")?);
        let output = command.arg("--runtime-dir").arg(self.runtime()).arg("metrics").output()?;
        ensure!(output.status.success(), "roam metrics: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Has the client end; all that it sent has come back, once and in order.
    pub(crate) fn finish(&mut self) -> Result<AssociationRecord> {
        let mut client = self.client.take().context("no client runs")?;
        client.signal(Signal::SIGTERM);
        let status = match client.wait(PATIENCE) {
            Err(Waited::TooLong { .. }) => bail!("the client does not come to its end"),
            other => other?,
        };
        ensure!(status.success(), "the client ended with {status}: {}", client.output());
        let json =
            fs::read(self.directory.path().join("client.json")).context("the client left no account")?;
        let mut record: ClientRecord = serde_json::from_slice(&json)?;
        let record = record.associations.pop().context("the client had no association")?;
        let AssociationRecord { lost, out_of_order, duplicates, foreign, .. } = record;
        if lost || !record.complete() || out_of_order + duplicates + foreign > 0 {
            bail!(
                "{} of {} messages came back, {out_of_order} out of order, {duplicates} twice, {foreign} wrongly; \
                 lost: {lost}",
                record.echoes(),
                record.sent.len()
            );
        }
        if let Some(mut server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
        Ok(record)
    }
}

/// The longest time without an echo after `from`, in milliseconds.
pub(crate) fn gap(record: &AssociationRecord, from: Nanos) -> f64 {
    gap_in(record, from..Nanos::MAX)
}

/// As [`gap`], of those that began before an end.
pub(super) fn gap_in(record: &AssociationRecord, time: Range<Nanos>) -> f64 {
    let arrivals: Vec<Nanos> = record.echoed.iter().flatten().copied().collect();
    let pairs = arrivals.windows(2).filter(|pair| pair[1] > time.start && pair[0] < time.end);
    pairs.map(|pair| ms_between(pair[0].max(time.start), pair[1])).fold(0.0, f64::max)
}

fn ip_at<Line: AsRef<str>>(at: &Namespace, lines: impl IntoIterator<Item = Line>) -> Result<()> {
    let lines: Vec<String> = lines.into_iter().map(|line| line.as_ref().to_owned()).collect();
    batch(at, "ip", &lines).with_context(|| lines.first().cloned().unwrap_or_default())
}
