//! The programs whose associations are at stake: the built-in traffic program, or any other.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use sctp_sys::sockopt::AssocState;
use sctp_sys::{Family, diag};

use super::foreign::{filled, missing, sockets_of, write_input};
use super::plan::Sockets;
use super::{Binding, Input, Line, Programs, Round, Stack, usrsctp};
use crate::clock::{self, Nanos, Waited};
use crate::process::Program;
use crate::topology::{self, A1, A1B, A2, B1, Host, Network, Place};
use crate::traffic::{ClientRecord, Progress, ServerRecord};

/// The server's port.
pub(super) const SERVER_PORT: u16 = 7000;
/// The port of the client's first association.
pub(super) const CLIENT_PORT: u16 = 7001;
/// How long programs may take to set their associations up, on a slow emulated machine.
const START: Duration = Duration::from_secs(60);
/// How long a session waits for a path, and for anything to come from the element's host. By default that is half a second and
/// less than one and a half, which is enough where the processor is a real one; an emulated one that others use, too, takes
/// longer to move an association.
const STRANDED: Duration = Duration::from_secs(5);

/// The addresses that a program at the place is told to bind.
fn local(network: &Network, binding: Binding, first: Place, second: Place) -> Vec<IpAddr> {
    let family = network.family();
    match binding {
        Binding::Explicit => vec![first.address(family)],
        Binding::Several => vec![first.address(family), second.address(family)],
        Binding::Mapped => vec![first.address(Family::V4)],
        Binding::Both => {
            let v6 = if first == A1 { A2 } else { first };
            vec![first.address(Family::V4), v6.address(Family::V6)]
        }
        Binding::Wildcard => vec![match family {
            Family::V4 => IpAddr::from([0; 4]),
            Family::V6 => IpAddr::from([0; 16]),
        }],
    }
}

/// As the programs' command lines have addresses.
pub(super) fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Milliseconds from message to message. An emulated processor that is busy with messages would be measured, not the handover.
const fn interval(associations: u16) -> u64 {
    match associations {
        0 | 1 => 20,
        2..=20 => 100,
        _ => 500,
    }
}

/// The two programs of a round, running.
pub(super) struct Running {
    client: Program,
    server: Program,
    server_is_dead: bool,
    /// Another element of the server's pool.
    spare: Option<Program>,
    directory: PathBuf,
    /// What a foreign client carries over; none: the built-in one.
    foreign: Option<Input>,
    /// How far the client's output has been read.
    read: u64,
    progress: Option<Progress>,
    /// When {out} grew, and to how many octets.
    grew: Vec<(Nanos, u64)>,
    associations: usize,
}

/// What the programs gave in the end.
#[derive(Debug, Default)]
pub(super) struct Yield {
    /// The built-in client's account.
    pub(super) client: Option<ClientRecord>,
    /// The built-in server's account.
    pub(super) server: Option<ServerRecord>,
    /// The server was killed: the session had to leave it.
    pub(super) server_died: bool,
    /// When {out} grew (foreign programs), and to how many octets.
    pub(super) grew: Vec<(Nanos, u64)>,
    /// What went wrong at the end; none: all is well.
    pub(super) wrong: Option<String>,
}

/// How the programs' sockets are told from others, for the daemons.
pub(super) fn sockets(programs: &Programs) -> Result<[Sockets; 2]> {
    Ok(match programs {
        Programs::Traffic(count) => {
            let ports = (CLIENT_PORT..CLIENT_PORT + count).collect();
            [Sockets::Ports(ports), Sockets::Ports(vec![SERVER_PORT])]
        }
        Programs::Session { .. } => {
            // Each association of the user is from another port.
            let own = std::env::current_exe()?.canonicalize()?;
            [Sockets::Executable(own), Sockets::Ports(vec![SERVER_PORT])]
        }
        Programs::Foreign(foreign) => [sockets_of(&foreign.client)?, sockets_of(&foreign.server)?],
    })
}

/// Whether the programs themselves speak to a registrar.
pub(super) fn need_registrar(programs: &Programs) -> bool {
    let names = |line: &Line| line.command.contains("{registrar}");
    match programs {
        Programs::Traffic(_) => false,
        Programs::Session { .. } => true,
        Programs::Foreign(foreign) => names(&foreign.client) || names(&foreign.server),
    }
}

impl Running {
    /// Starts the server, waits until it listens, starts the client and waits until its associations are up.
    pub(super) fn start(
        network: &Network,
        programs: &Programs,
        round: &Round,
        directory: &Path,
        patience: Duration,
    ) -> Result<Self> {
        let server_local = local(network, round.server, B1, B1);
        let client_local = local(network, round.client, A1, A1B);
        let peer = B1.address(network.family());
        let (mut server, mut client, associations) = match programs {
            Programs::Traffic(count) => {
                let own = std::env::current_exe()?;
                let traffic = |role: &str, binding: Binding, local: &[IpAddr], port: u16| {
                    let mut command = Command::new(&own);
                    let json = directory.join(format!("{role}.json"));
                    command.args(["traffic", role, "--local", &listed(local), "--port", &port.to_string()]);
                    if matches!(binding, Binding::Mapped | Binding::Both) {
                        command.arg("--mapped");
                    }
                    command.arg("--json").arg(json);
                    command
                };
                let server = match round.server_stack {
                    Stack::Kernel => traffic("server", round.server, &server_local, SERVER_PORT),
                    Stack::Usrsctp => {
                        usrsctp::ready(network)?;
                        usrsctp::command(&server_local, SERVER_PORT)?
                    }
                };
                let mut client = traffic("client", round.client, &client_local, CLIENT_PORT);
                client.args(["--peer", &peer.to_string(), "--peer-port", &SERVER_PORT.to_string()]);
                client.args(["--interval", &interval(*count).to_string()]);
                client.args(["--count", &count.to_string(), "--patience", &patience.as_secs().to_string()]);
                (server, client, usize::from(*count))
            }
            Programs::Session { count, answer } => {
                let server = element(server_local[0], 1)?;
                let mut client = Command::new(std::env::current_exe()?);
                client.args(["traffic", "user", "--registrar", &registrar(peer).to_string()]);
                client.args(["--local", &listed(&client_local), "--count", &count.to_string()]);
                client.args(["--interval", &interval(*count).to_string()]);
                client.args(["--patience", &patience.as_secs().to_string()]);
                for wait in ["--stranded", "--silent"] {
                    client.args([wait, &STRANDED.as_millis().to_string()]);
                }
                client.args(answer.map(|answer| format!("--answer={}", answer.as_millis())));
                client.arg("--json").arg(directory.join("client.json"));
                (server, client, usize::from(*count))
            }
            Programs::Foreign(foreign) => {
                write_input(&directory.join("in"), foreign.input)?;
                let shell = |line: &Line, local: &[IpAddr]| {
                    let mut command = Command::new("sh");
                    command
                        .arg("-c")
                        .arg(filled(&line.command, local, peer, directory))
                        .current_dir(directory);
                    command
                };
                (shell(&foreign.server, &server_local), shell(&foreign.client, &client_local), 1)
            }
        };
        let log = |name: &str| directory.join(format!("{name}.log"));
        let mut server = Program::start(network.host(Host::B), "the server", &log("server"), &mut server)?;
        clock::until("a listening server", START, || {
            if let Some(status) = server.ended() {
                return Some(Err(anyhow::anyhow!("the server ended at once: {status}\n{}", server.output())));
            }
            if round.server_stack == Stack::Usrsctp {
                return usrsctp::listens(&server).then_some(Ok(()));
            }
            let snapshot = network.host(Host::B).enter(diag::snapshot_by_sock_diag).ok()?;
            let listens =
                |endpoint: &diag::EndpointEntry| endpoint.listening && endpoint.local_port == SERVER_PORT;
            snapshot.endpoints.iter().any(listens).then_some(Ok(()))
        })??;
        let mut client = Program::start(network.host(Host::A), "the client", &log("client"), &mut client)?;
        clock::until("associations", START, || {
            if let Some(status) = client.ended() {
                return Some(Err(anyhow::anyhow!("the client ended at once: {status}\n{}", client.output())));
            }
            let snapshot = network.host(Host::A).enter(diag::snapshot_by_sock_diag).ok()?;
            let up = |entry: &&diag::AssociationEntry| {
                entry.state == AssocState::Established && entry.peer_port == SERVER_PORT
            };
            (snapshot.associations.iter().filter(up).count() >= associations).then_some(Ok(()))
        })??;
        Ok(Self {
            client,
            server,
            directory: directory.to_owned(),
            server_is_dead: false,
            spare: None,
            foreign: match programs {
                Programs::Traffic(_) | Programs::Session { .. } => None,
                Programs::Foreign(foreign) => Some(foreign.input),
            },
            read: 0,
            progress: None,
            grew: Vec::new(),
            associations,
        })
    }

    /// The process of the program at a host.
    pub(super) fn pid(&self, host: Host) -> i32 {
        match host {
            Host::A => self.client.pid(),
            Host::B => self.server.pid(),
        }
    }

    pub(super) const fn associations(&self) -> usize {
        self.associations
    }

    /// How many of them the client's host has at least, and the server's.
    pub(super) const fn at_hosts(&self) -> [usize; 2] {
        [self.associations, if self.server_is_dead { 0 } else { self.associations }]
    }

    /// Starts another element at the registrar's host; it is registered then.
    pub(super) fn start_spare(&mut self, network: &Network) -> Result<()> {
        let mut command = element(topology::registrar_address(network.family()), 2)?;
        let log = self.directory.join("spare.log");
        let mut spare = Program::start(network.registrar(), "the spare element", &log, &mut command)?;
        clock::until("the spare element's registration", START, || {
            if let Some(status) = spare.ended() {
                return Some(Err(anyhow::anyhow!("the spare element ended: {status}\n{}", spare.output())));
            }
            spare.output().contains("registered at").then_some(Ok(()))
        })??;
        self.spare = Some(spare);
        Ok(())
    }

    /// Kills the server with SIGKILL.
    pub(super) fn kill_server(&mut self) {
        self.server.kill();
        self.server_is_dead = true;
    }

    /// Looks how far the programs have come. To be called often.
    pub(super) fn look(&mut self) -> Option<Progress> {
        if self.foreign.is_none() {
            self.look_at_client();
        } else if let Ok(out) = fs::metadata(self.directory.join("out"))
            && out.len() > self.grew.last().map_or(0, |(_, size)| *size)
        {
            self.grew.push((clock::now(), out.len()));
        }
        self.progress
    }

    /// The client's last whole line.
    fn look_at_client(&mut self) {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = fs::File::open(self.client.log())?;
            file.seek(SeekFrom::Start(self.read))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else { return };
        self.read += end as u64 + 1;
        let last =
            bytes[..end].rsplit(|&byte| byte == b'\n').find_map(|line| serde_json::from_slice(line).ok());
        self.progress = last.or(self.progress);
    }

    /// Whether something sent after `since` has come back, or arrived, in every association.
    pub(super) fn reached(&mut self, since: Nanos) -> bool {
        let progress = self.look();
        match self.foreign {
            None => progress.is_some_and(|progress| progress.reached > since),
            // It does not say how far it is, or is through and has nothing left to send.
            Some(Input::Unknown) => true,
            Some(_) => self.heard() > since || self.client.ended().is_some(),
        }
    }

    /// When something was last heard.
    pub(super) fn heard(&self) -> Nanos {
        match self.foreign {
            None => self.progress.map_or(0, |progress| progress.heard),
            Some(_) => self.grew.last().map_or(0, |(at, _)| *at),
        }
    }

    /// Whether the client has no association left, or is gone.
    pub(super) fn over(&mut self) -> bool {
        let lost = self.progress.is_some_and(|progress| progress.lost as usize >= self.associations);
        lost || self.client.ended().is_some()
    }

    /// Has the client end (a foreign one ends by itself), then the server, and gives their accounts. `waits`:
    /// whether what is missing may still come.
    pub(super) fn finish(mut self, patience: Duration, waits: bool) -> Result<Yield> {
        if let Some(input) = self.foreign {
            return self.finish_foreign(input, if waits { patience } else { Duration::ZERO });
        }
        self.client.signal(Signal::SIGTERM);
        if !waits && self.client.wait(Duration::from_secs(1)).is_err() {
            // A second one ends its waiting for missing echoes.
            self.client.signal(Signal::SIGTERM);
        }
        // The client itself knows when nothing more is to come.
        let status = self.client.wait(patience.saturating_mul(3) + Duration::from_secs(60))?;
        self.server.signal(Signal::SIGTERM);
        let server_status = self.server.wait(Duration::from_secs(30))?;
        let mut given = Yield { server_died: self.server_is_dead, ..Yield::default() };
        for (status, program) in [(status, &self.client), (server_status, &self.server)] {
            let is_killed = given.server_died && program.pid() == self.server.pid();
            if !status.success() && !is_killed {
                let text = program.output();
                let last = text.lines().rfind(|line| !line.starts_with('{')).unwrap_or_default();
                given.wrong = Some(format!("{} ended with {status}: {last}", program.name()));
            }
        }
        given.client = read_json(&self.directory.join("client.json"));
        given.server = read_json(&self.directory.join("server.json"));
        Ok(given)
    }

    fn finish_foreign(mut self, input: Input, patience: Duration) -> Result<Yield> {
        let mut wrong = None;
        let mut since = clock::now();
        let ended = loop {
            let looked = clock::until("", Duration::from_millis(100), || {
                self.look();
                self.client.ended()
            });
            match looked {
                Ok(status) => break Some(status),
                Err(Waited::Interrupted) => return Err(Waited::Interrupted.into()),
                Err(Waited::TooLong { .. }) => {}
            }
            since = since.max(self.heard());
            if clock::ms_between(since, clock::now()) > patience.as_millis() as f64 {
                break None;
            }
        };
        match ended {
            None => wrong = Some("the client did not come to its end".to_owned()),
            Some(status) if !status.success() => {
                wrong = Some(format!("the client ended with {status}: {}", last_line(&self.client)));
            }
            Some(_) => {}
        }
        // A server that serves one client ends by itself, when all has arrived; another one is asked to.
        let serves_on = matches!(input, Input::Lines(_));
        let rest =
            clock::until("", if wrong.is_some() || serves_on { Duration::ZERO } else { patience }, || {
                self.look();
                self.server.ended()
            });
        if rest.is_err() {
            self.server.stop(Duration::from_secs(5));
        }
        self.look();
        if wrong.is_none() {
            wrong = missing(input, &self.directory)?;
        }
        Ok(Yield { grew: self.grew, wrong, ..Yield::default() })
    }
}

fn last_line(program: &Program) -> String {
    program.output().lines().next_back().unwrap_or_default().to_owned()
}

fn read_json<T: serde::de::DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// An element of a session's pool.
fn element(local: IpAddr, id: u32) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["traffic", "element", "--registrar", &registrar(local).to_string()]);
    command.args(["--local", &local.to_string(), "--port", &SERVER_PORT.to_string()]);
    command.args(["--id", &id.to_string()]);
    Ok(command)
}

/// The registrar, for programs of the same address family.
pub(super) fn registrar(like: IpAddr) -> SocketAddr {
    let family = if like.is_ipv4() { Family::V4 } else { Family::V6 };
    SocketAddr::new(topology::registrar_address(family), asap_client::wire::PORT)
}
