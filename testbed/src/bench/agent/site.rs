//! Where the agent is measured: a mobile host A with two access networks, a server at B, and nothing else.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use roam_agent::control::protocol::{Reply, Request};
use roam_agent::control::{Client, StatusReport};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use sctp_sys::Family;

use crate::clock;
use crate::link::Conditions;
use crate::process::Program;
use crate::scenario::beside;
use crate::topology::{B1, Host, Network};

/// The server's port.
pub(super) const PORT: u16 = 7000;
/// Longer than anything here takes on a slow emulated machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The site, until dropped.
pub(super) struct Site {
    pub(super) network: Network,
    directory: tempfile::TempDir,
    pub(super) daemon: Option<Program>,
    servers: Vec<Program>,
}

impl Site {
    /// The network, with B at its first address and A at none.
    pub(super) fn new(rtt_ms: f64) -> Result<Self> {
        crate::capture::keep_timestamping();
        let network = Network::build(Family::V4, &Conditions { rtt_ms, ..Conditions::default() })?;
        for host in Host::ALL {
            network.host(host).enter(|| {
                ["addip_enable", "auth_enable"]
                    .iter()
                    .try_for_each(|name| fs::write(format!("/proc/sys/net/sctp/{name}"), "1"))
            })?;
        }
        network.up(Host::B, &[B1])?;
        let directory = tempfile::Builder::new().prefix("roam-testbed-").tempdir()?;
        Ok(Self { network, directory, daemon: None, servers: Vec::new() })
    }

    /// Acts at a host: sockets that are opened there belong to it.
    pub(super) fn at<T: Send>(
        &self,
        host: Host,
        act: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        self.network.host(host).enter(act)
    }

    /// Where the server is.
    pub(super) fn server(&self) -> SocketAddr {
        SocketAddr::new(B1.address(self.network.family()), PORT)
    }

    /// Starts a program at a host.
    pub(super) fn start(&self, host: Host, name: &str, command: &mut Command) -> io::Result<Program> {
        command.current_dir(self.directory.path()).env("NO_COLOR", "1");
        Program::start(self.network.host(host), name, &self.log(name), command)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    /// The last that a program has said.
    pub(super) fn said(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("; ")
    }

    /// Starts the server of SCTP at B.
    pub(super) fn serve_sctp(&mut self) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["traffic", "server", "--local", &self.server().ip().to_string()]);
        command.args(["--port", &PORT.to_string()]);
        let server = self.start(Host::B, "server", &mut command)?;
        clock::until("a listening server", PATIENCE, || server.output().contains("listening").then_some(()))?;
        self.servers.push(server);
        Ok(())
    }

    /// Serves MPTCP at B, for as long as this process lives: what comes in goes back.
    pub(super) fn serve_mptcp(&self) -> Result<()> {
        let server = self.server();
        let listener: TcpListener = self
            .at(Host::B, || {
                let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
                let kind = SocketType::STREAM;
                let fd = rustix::net::socket_with(family, kind, flags, Some(ipproto::MPTCP))?;
                rustix::net::bind(fd.as_fd(), &server)?;
                rustix::net::listen(fd.as_fd(), 16)?;
                Ok(fd.into())
            })
            .context("a socket of MPTCP")?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Ok(())
    }

    fn runtime(&self) -> PathBuf {
        self.directory.path().join("roamd")
    }

    /// Starts the agent at A. It answers then.
    pub(super) fn start_roamd(&mut self) -> Result<()> {
        let file = self.directory.path().join("agent.toml");
        fs::write(&file, format!("[agent]\nruntime_dir = {:?}\n", self.runtime().display().to_string()))?;
        let mut command = Command::new(beside("roamd")?);
        command.arg("--config").arg(&file);
        self.daemon = Some(self.start(Host::A, "roamd", &mut command)?);
        clock::until("the start of roamd", PATIENCE, || self.status())?;
        Ok(())
    }

    /// The agent's process.
    pub(super) fn roamd(&self) -> Result<&Program> {
        self.daemon.as_ref().context("no agent runs")
    }

    /// A connection with the agent.
    pub(super) fn client(&self) -> Result<Client> {
        Ok(Client::connect(&self.runtime())?)
    }

    pub(super) fn status(&self) -> Option<StatusReport> {
        match self.client().ok()?.ask(Request::Status).ok()? {
            Reply::Status(report) => Some(*report),
            _ => None,
        }
    }

    /// Waits until the agent looks after so many associations, all settled, or none.
    pub(super) fn until_associations(&mut self, count: usize) -> Result<()> {
        let mut last = None;
        let found = clock::until(&format!("{count} settled associations"), PATIENCE, || {
            let status = self.status()?;
            let all = status.settled + status.stranded + status.moving + status.unmanageable;
            last = Some((all, status.settled));
            let there = all == count && status.settled == count;
            if !there {
                // What it answers takes time that it may need for its work. Interrupted: the wait itself sees that, too.
                let _ = clock::pass(Duration::from_millis(count as u64 / 2));
            }
            there.then_some(())
        });
        if let Err(error) = found {
            bail!("{error}: {last:?} of all and settled; roamd said: {}", self.said("roamd"));
        }
        Ok(())
    }
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
