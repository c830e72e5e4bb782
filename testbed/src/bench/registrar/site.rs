//! The servers of the bench, on one host: ours, rsplib's, and one that only echoes.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use sctp_sys::sockopt::{self, SackInfo};
use sctp_sys::{FUTURE_ASSOC, Family, Received, SendInfo, Socket, Style};

use super::load;
use crate::clock;
use crate::netns::Namespace;
use crate::process::Program;
use crate::scenario::beside;

const ASAP: u16 = 3863;
const ENRP: u16 = 9901;
const HTTP: u16 = 8080;
/// The buffers of the echo server: those that the registrar asks for.
const BUFFER: usize = 8 << 20;
/// Longer than any server needs to start.
const START: Duration = Duration::from_secs(30);

/// A host with ten addresses, 10.0.0.1 to 10.0.0.10, and a directory for what its programs write.
pub(in crate::bench) struct Site {
    namespace: Namespace,
    directory: tempfile::TempDir,
}

/// An address of the host.
fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// Where clients and elements are.
pub(in crate::bench) fn client() -> SocketAddr {
    SocketAddr::new(address(10), 0)
}

impl Site {
    pub(in crate::bench) fn new() -> Result<Self> {
        let namespace = Namespace::create("bench")?;
        let directory = tempfile::tempdir()?;
        namespace.enter(|| {
            ip(&["link", "set", "lo", "up"])?;
            ip(&["link", "add", "d0", "type", "dummy"])?;
            ip(&["link", "set", "d0", "up"])?;
            (1..=10).try_for_each(|last| ip(&["addr", "add", &format!("{}/24", address(last)), "dev", "d0"]))
        })?;
        let site = Self { namespace, directory };
        ["addip_enable", "auth_enable"].iter().try_for_each(|name| site.sysctl(name, "1"))?;
        Ok(site)
    }

    /// Sets `net.sctp.name` of the host. Sockets take most of them over when they are made.
    pub(in crate::bench) fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let file = format!("/proc/sys/net/sctp/{name}");
        self.enter(|| fs::write(&file, value).with_context(|| file.clone()))
    }

    /// From now on its packets are no longer than this, in octets.
    pub(in crate::bench) fn mtu(&self, mtu: &str) -> Result<()> {
        self.enter(|| Ok(ip(&["link", "set", "lo", "mtu", mtu])?))
    }

    /// Runs `act` on that host.
    pub(in crate::bench) fn enter<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespace.enter(|| Ok(act()))?
    }

    /// Ours at the address with this last number. `asap` is what its configuration says in the section of that name.
    pub(in crate::bench) fn ours(&self, last: u8, asap: &str, peer: Option<&Server>) -> Result<Server> {
        let own = address(last);
        let peer =
            peer.map_or_else(String::new, |peer| format!("[[enrp.peer]]\naddress = \"{}\"\n", peer.enrp()));
        let text = format!(
            "listen = [\"{own}:{ASAP}\"]\n[asap]\n{asap}\n[limits]\nelements = 1000000\n\
             elements_per_association = 1000000\n[http]\nlisten = \"{own}:{HTTP}\"\n\
             [enrp]\nlisten = \"{own}:{ENRP}\"\n{peer}"
        );
        let file = self.directory.path().join(format!("{last}.toml"));
        fs::write(&file, text)?;
        let mut command = Command::new(beside("roam-registrar")?);
        command.args(["--log", "warn"]).arg("--config").arg(file);
        command.arg("--runtime-dir").arg(self.directory.path().join(last.to_string()));
        self.start("roam-registrar", own, &mut command)
    }

    /// rsplib's. Keep-alives go out every `interval` and are waited for as long as `timeout`.
    pub(in crate::bench) fn rsplib(&self, last: u8, interval: Duration, timeout: Duration) -> Result<Server> {
        let own = address(last);
        let mut command = Command::new("rspregistrar");
        command.args([
            "-loglevel=1",
            "-logcolor=off",
            "-asapannounce=off",
            "-enrpannounce=off",
            "-disable-ipv6",
        ]);
        command.arg("-mentordiscoverytimeout=100");
        command.arg(format!("-identifier={last}")).arg(format!("-asap={own}:{ASAP}"));
        command.arg(format!("-enrp={own}:{ENRP}"));
        command.arg(format!("-endpointkeepalivetransmissioninterval={}", interval.as_millis()));
        command.arg(format!("-endpointkeepalivetimeoutinterval={}", timeout.as_millis()));
        self.start("rspregistrar", own, &mut command)
    }

    /// One that sends back what it gets.
    pub(in crate::bench) fn echo(&self, last: u8) -> Result<Server> {
        let own = address(last);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("echo").arg(SocketAddr::new(own, ASAP).to_string());
        self.start("echo", own, &mut command)
    }

    fn start(&self, name: &str, own: IpAddr, command: &mut Command) -> Result<Server> {
        let log = self.directory.path().join(format!("{name}-{own}.log"));
        let mut program = Program::start(&self.namespace, name, &log, command)?;
        let asap = SocketAddr::new(own, ASAP);
        self.enter(|| {
            clock::until(&format!("the start of {name}"), START, || {
                if let Some(status) = program.ended() {
                    return Some(Err(anyhow::anyhow!(
                        "{name} ended at once: {status}\n{}",
                        program.output()
                    )));
                }
                load::connect(client(), asap).ok().map(|_| Ok(()))
            })?
        })?;
        Ok(Server { program, own })
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let status = Command::new("ip").args(arguments).status()?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| io::Error::other(format!("ip {}: {status}", arguments.join(" "))))
}

/// A server that runs.
pub(in crate::bench) struct Server {
    program: Program,
    own: IpAddr,
}

impl Server {
    pub(in crate::bench) fn name(&self) -> &str {
        self.program.name()
    }

    pub(in crate::bench) fn asap(&self) -> SocketAddr {
        SocketAddr::new(self.own, ASAP)
    }

    fn enrp(&self) -> SocketAddr {
        SocketAddr::new(self.own, ENRP)
    }

    /// The processor's time that its threads have used, in user and kernel.
    pub(in crate::bench) fn cpu(&self) -> Result<Duration> {
        self.program.cpu().context("the server has ended")
    }

    /// Octets of it that are in memory.
    pub(in crate::bench) fn resident(&self) -> Result<u64> {
        self.program.resident().context("the server has ended")
    }

    /// How many elements ours knows, from its metrics; to be called on the host.
    pub(in crate::bench) fn elements(&self) -> Result<u64> {
        use std::io::{Read, Write};
        let address = SocketAddr::new(self.own, HTTP);
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_read_timeout(Some(START))?;
        // It answers only who asks for it by an address or a name of its own.
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text.lines().find_map(|line| line.strip_prefix("roam_registrar_elements "));
        value
            .and_then(|value| value.trim().parse().ok())
            .context("no metric says how many elements there are")
    }

    /// Ends it at once.
    pub(in crate::bench) fn kill(mut self) {
        self.program.kill();
    }
}

/// Sends back what it gets, on a one-to-many socket set as the registrar's, until it is killed.
///
/// # Errors
/// The socket cannot be had.
pub fn echo(address: SocketAddr) -> Result<()> {
    let socket = Socket::new(Style::OneToMany, Family::of(address))?;
    sockopt::set_nodelay(socket.as_fd(), true)?;
    sockopt::set_sack_info(socket.as_fd(), FUTURE_ASSOC, SackInfo { delay: 20, frequency: 2 })?;
    setsockopt(&socket, RcvBufForce, &BUFFER)?;
    setsockopt(&socket, SndBufForce, &BUFFER)?;
    socket.bind(address)?;
    socket.listen(1024)?;
    let mut buffer = Vec::new();
    loop {
        // An association that ends in disorder is no concern of the others.
        let Ok(Some(Received::Message(info))) = socket.recv(&mut buffer) else { continue };
        let info = SendInfo { ppid: info.ppid, assoc: info.assoc, ..SendInfo::default() };
        // Whoever has gone needs no answer.
        let _ = socket.send(&info, &buffer);
    }
}
