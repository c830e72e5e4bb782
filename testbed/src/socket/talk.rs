//! Pairs of programs that talk with each other: a client that sends numbered messages, a server that echoes them.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use roam_agent::control::{AssociationReport, AssociationState};
use sctp_sys::diag;

use crate::clock::{self, Nanos};
use crate::netns::Namespace;
use crate::network::Stage;
use crate::network::stage::gap;
use crate::process::Program;
use crate::registrar::Scenery as _;
use crate::result::Agent;
use crate::topology::Host;
use crate::traffic::{ClientRecord, Progress};

/// Longer than anything here takes on a slow emulated machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Until an association is taken for lost that nobody moves. With an agent a move takes a second, but on a machine that
/// others keep busy many times as long.
const SILENCE: Duration = Duration::from_secs(30);

/// Two programs that talk.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// What they are called in messages and logs.
    pub(super) name: &'static str,
    /// The server's host; the client is at the other one.
    pub(super) server_at: Host,
    /// What the server is bound to.
    pub(super) server: Vec<IpAddr>,
    /// What the clients are bound to.
    pub(super) client: Vec<IpAddr>,
    /// Where the server is found.
    pub(super) to: IpAddr,
    /// The server's port.
    pub(super) port: u16,
    /// The first client's port less the server's; the others follow.
    pub(super) first: u16,
    /// So many clients, each with a socket of its own.
    pub(super) count: u16,
    /// Milliseconds from message to message.
    pub(super) interval: u64,
    /// What else the server is told.
    pub(super) server_with: Vec<String>,
    /// What else the clients are told.
    pub(super) client_with: Vec<String>,
}

/// Of a pair, whose ends are started.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) pair: Pair,
    pub(super) client: Program,
    /// None: somebody else goes on with its sockets.
    pub(super) server: Option<Program>,
    json: PathBuf,
}

impl Pair {
    /// One association: a client at A, a server at B, both bound to these addresses.
    pub(super) fn of(name: &'static str, port: u16, client: &[IpAddr], server: &[IpAddr]) -> Self {
        Self {
            name,
            server_at: Host::B,
            server: server.to_vec(),
            client: client.to_vec(),
            to: server[0],
            port,
            first: 1,
            count: 1,
            interval: 50,
            server_with: Vec::new(),
            client_with: Vec::new(),
        }
    }

    /// The other way round: the server is at A, and so many clients at B. `at`: where A is found at first.
    pub(super) fn served_by_a(mut self, count: u16, at: IpAddr) -> Self {
        std::mem::swap(&mut self.server, &mut self.client);
        (self.server_at, self.count, self.to) = (Host::A, count, at);
        self
    }

    /// These words for the server.
    pub(super) fn server_with(mut self, words: &[&str]) -> Self {
        self.server_with.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// These words for the clients.
    pub(super) fn client_with(mut self, words: &[&str]) -> Self {
        self.client_with.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// These words for both.
    pub(super) fn both_with(self, words: &[&str]) -> Self {
        self.server_with(words).client_with(words)
    }

    /// Starts both, on their hosts.
    pub(super) fn start(self, stage: &mut Stage) -> Result<Talk> {
        self.start_in(stage, None, &[])
    }

    /// As [`start`](Self::start). `at_a`: in this namespace in place of A's own. `wrapped`: what stands in place of this
    /// program in the command line of the one at A, as `setpriv`, its options and this program.
    pub(super) fn start_in(
        self,
        stage: &mut Stage,
        at_a: Option<&Namespace>,
        wrapped: &[String],
    ) -> Result<Talk> {
        let server = self.serve(stage, at_a, wrapped)?;
        let talk = self.start_clients(stage, at_a, wrapped)?;
        Ok(Talk { server: Some(server), ..talk })
    }

    /// Starts the server alone, and waits until it listens.
    pub(super) fn serve(
        &self,
        stage: &mut Stage,
        at_a: Option<&Namespace>,
        wrapped: &[String],
    ) -> Result<Program> {
        let words = ["--local", &list(&self.server), "--port", &self.port.to_string()].map(str::to_owned);
        let mut command = self.command(stage, self.server_at, "server", wrapped)?;
        command.args(words).args(&self.server_with);
        let mut server = self.run(stage, self.server_at, at_a, "server", &mut command)?;
        clock::until(&format!("{}: a listening server", self.name), PATIENCE, || {
            if let Some(status) = server.ended() {
                let said = server.output();
                return Some(Err(anyhow::anyhow!("{}: the server ended: {status} {said}", self.name)));
            }
            server.output().contains("listening").then_some(Ok(()))
        })??;
        Ok(server)
    }

    /// Starts the clients alone, of a server that is there.
    pub(super) fn start_clients(
        self,
        stage: &mut Stage,
        at_a: Option<&Namespace>,
        wrapped: &[String],
    ) -> Result<Talk> {
        let json = stage.path(&format!("{}.json", self.file()));
        let host = if self.server_at == Host::A { Host::B } else { Host::A };
        let mut command = self.command(stage, host, "client", wrapped)?;
        command.args(["--local", &list(&self.client), "--port", &(self.port + self.first).to_string()]);
        command.args(["--peer", &self.to.to_string(), "--peer-port", &self.port.to_string()]);
        command.args(["--count", &self.count.to_string(), "--interval", &self.interval.to_string()]);
        command.args(["--patience", "50"]).args(&self.client_with).arg("--json").arg(&json);
        let client = self.run(stage, host, at_a, "client", &mut command)?;
        Ok(Talk { pair: self, client, server: None, json })
    }

    fn file(&self) -> String {
        self.name.replace([' ', ','], "-")
    }

    fn command(&self, stage: &Stage, host: Host, what: &str, wrapped: &[String]) -> Result<Command> {
        let mut command = match wrapped {
            [program, words @ ..] if host == Host::A => {
                let mut command = Command::new(program);
                command.args(words);
                command
            }
            _ => Command::new(std::env::current_exe()?),
        };
        command.args(["traffic", what]).current_dir(stage.path(""));
        Ok(command)
    }

    fn run(
        &self,
        stage: &mut Stage,
        host: Host,
        at_a: Option<&Namespace>,
        what: &str,
        command: &mut Command,
    ) -> Result<Program> {
        let log = stage.log(&format!("{}-{what}", self.file()));
        let place = at_a.filter(|_| host == Host::A).unwrap_or(stage.network.host(host));
        Ok(Program::start(place, self.name, &log, command)?)
    }
}

fn list(all: &[IpAddr]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Talk {
    fn progress(&self) -> Option<Progress> {
        let output = self.client.output();
        output.lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    /// Whether something sent after `since` has come back in each association.
    fn reached(&mut self, since: Nanos) -> Result<bool> {
        let name = self.pair.name;
        if let Some(status) = self.client.ended() {
            bail!("{name}: the client ended by itself: {status} {}", self.client.output());
        }
        if let Some(status) = self.server.as_mut().and_then(Program::ended) {
            bail!("{name}: the server ended by itself: {status}");
        }
        let Some(progress) = self.progress() else { return Ok(false) };
        ensure!(progress.lost == 0, "{name}: {} associations are lost", progress.lost);
        Ok(progress.reached > since)
    }

    /// The port pairs of its associations, the server's first.
    fn ports(&self) -> impl Iterator<Item = (u16, u16)> {
        let Pair { port, first, count, .. } = self.pair;
        (first..first + count).map(move |index| (port, port + index))
    }
}

/// Waits until all associations are up.
pub(super) fn until_all_up(stage: &mut Stage, talks: &mut [Talk]) -> Result<()> {
    until_flow(stage, talks, PATIENCE)
}

/// Waits until something that is sent from now on has come back in every association.
pub(super) fn until_all_flow(stage: &mut Stage, talks: &mut [Talk]) -> Result<()> {
    until_flow(stage, talks, SILENCE)
}

fn until_flow(stage: &mut Stage, talks: &mut [Talk], limit: Duration) -> Result<()> {
    let (since, mut waiting) = (clock::now(), Vec::new());
    let flows = clock::until("messages to come back", limit, || {
        waiting.clear();
        for talk in talks.iter_mut() {
            match talk.reached(since) {
                Ok(true) => {}
                Ok(false) => waiting.push(talk.pair.name),
                Err(error) => return Some(Err(error)),
            }
        }
        let _ = clock::pass(Duration::from_millis(20));
        waiting.is_empty().then_some(Ok(()))
    });
    stage.story().tell();
    match flows {
        Err(clock::Waited::TooLong { .. }) => bail!("nothing comes back: {}", waiting.join(", ")),
        Err(other) => Err(other.into()),
        Ok(result) => result,
    }
}

/// Waits until A's sockets that listen at these ports are bound to this address and no other.
pub(super) fn until_a_listens(stage: &Stage, ports: &[u16], at: IpAddr, limit: Duration) -> Result<()> {
    clock::until(&format!("listeners at {at}, ports {ports:?}"), limit, || {
        let all = stage.network.host(Host::A).enter(diag::listening).ok()?;
        let there = |port: &u16| all.iter().any(|it| it.local_port == *port && it.local == [at]);
        ports.iter().all(there).then_some(())
    })?;
    Ok(())
}

/// Waits until B's kernel knows every association's other end at these addresses and no other.
pub(super) fn until_b_sees(stage: &mut Stage, talks: &[Talk], wanted: &[IpAddr]) -> Result<()> {
    let mut elsewhere = String::new();
    let seen = clock::until("every association to be at its new address", PATIENCE, || {
        let Ok(snapshot) = stage.network.host(Host::B).enter(diag::snapshot) else { return None };
        elsewhere.clear();
        for talk in talks {
            for (server, client) in talk.ports() {
                let (here, there) =
                    if talk.pair.server_at == Host::B { (server, client) } else { (client, server) };
                let is_it = |it: &&diag::AssociationEntry| it.local_port == here && it.peer_port == there;
                let at = snapshot.associations.iter().find(is_it).map(|it| {
                    let mut at = it.peer.clone();
                    at.sort();
                    at
                });
                if at.as_deref() != Some(wanted) {
                    elsewhere = format!("{} {here}-{there} is at {at:?}", talk.pair.name);
                }
            }
        }
        let _ = clock::pass(Duration::from_millis(20));
        elsewhere.is_empty().then_some(())
    });
    stage.story().tell();
    seen.with_context(|| format!("{elsewhere}, not at {wanted:?}"))
}

/// Waits until the agent looks after all associations, and has nothing left to do.
pub(super) fn until_settled(stage: &mut Stage, talks: &[Talk], local: &[IpAddr]) -> Result<()> {
    if stage.agent != Agent::Roam {
        return Ok(());
    }
    let mut not_yet = String::new();
    let settled = stage.until("settled associations", |stage| {
        let reports = stage.associations()?;
        not_yet.clear();
        for talk in talks {
            for (server, client) in talk.ports() {
                let (own, peer) =
                    if talk.pair.server_at == Host::A { (server, client) } else { (client, server) };
                let of_it = |it: &&AssociationReport| it.local_port == own && it.peer_port == peer;
                let found: Vec<_> = reports.iter().filter(of_it).collect();
                let good = found.iter().any(|it| {
                    it.state == AssociationState::Settled && local.iter().all(|one| it.local.contains(one))
                });
                if !good {
                    not_yet = format!("{} {own}-{peer}: {found:?}", talk.pair.name);
                }
            }
        }
        not_yet.is_empty().then_some(())
    });
    settled.with_context(|| not_yet)
}

/// Has all clients end: all that they sent has come back, once and in order. Gives the longest silence after `from` in
/// any association, in milliseconds.
pub(super) fn finish(talks: Vec<Talk>, from: Nanos) -> Result<f64> {
    let mut talks = talks;
    for talk in &mut talks {
        talk.client.signal(Signal::SIGTERM);
    }
    let mut longest = 0.0_f64;
    for talk in &mut talks {
        let name = talk.pair.name;
        let status = talk.client.wait(PATIENCE).with_context(|| format!("{name}: the client"))?;
        ensure!(status.success(), "{name}: the client ended with {status}: {}", talk.client.output());
        let json = fs::read(&talk.json).with_context(|| format!("{name}: the client left no account"))?;
        let record: ClientRecord = serde_json::from_slice(&json)?;
        ensure!(record.associations.len() == usize::from(talk.pair.count), "{name}: not all associations");
        for (index, it) in record.associations.iter().enumerate() {
            ensure!(
                !it.lost && it.complete() && it.out_of_order + it.duplicates + it.foreign == 0,
                "{name}, association {index}: {} of {} messages came back, {} out of order, {} twice, {} wrongly; lost: {}",
                it.echoes(),
                it.sent.len(),
                it.out_of_order,
                it.duplicates,
                it.foreign,
                it.lost
            );
            longest = longest.max(gap(it, from));
        }
        if let Some(server) = &mut talk.server {
            server.stop(Duration::from_secs(5));
        }
    }
    Ok(longest)
}
