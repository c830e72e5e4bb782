//! The built-in traffic program: an ordinary SCTP program that knows nothing of Roam and tunes nothing. The
//! client sends numbered messages, the server echoes them. And the same with sessions: the user of a pool sends numbered
//! requests, its elements answer them.
#![expect(clippy::disallowed_methods, reason = "a program that sends at a steady pace")]

mod addresses;
mod client;
mod digest;
mod element;
mod heir;
mod message;
mod record;
mod server;
mod user;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use roam_agent::control::Client;
use sctp_sys::{FUTURE_ASSOC, Family, Socket, Style, sockopt};

pub(crate) use user::elements;

pub use record::{AssociationRecord, ClientRecord, Progress, ServerRecord};

/// Client or server.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Sends numbered messages and counts their echoes, until SIGTERM.
    Client(client::Arguments),
    /// Echoes what it receives, until SIGTERM.
    Server(server::Arguments),
    /// Goes on with the sockets of a server that passes them on, or that started it.
    Heir(heir::Arguments),
    /// Answers the requests of sessions, as an element of the pool, until SIGTERM.
    Element(element::Arguments),
    /// Sends numbered requests in a session with the pool and counts their answers, until SIGTERM.
    User(user::Arguments),
}

/// The pool of elements and users.
const POOL: &str = "SessionPool";

/// The shape of the program's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Shape {
    /// One socket for each association, as with TCP.
    #[default]
    OneToOne,
    /// One socket for all.
    OneToMany,
}

impl Shape {
    const fn style(self) -> Style {
        match self {
            Self::OneToOne => Style::OneToOne,
            Self::OneToMany => Style::OneToMany,
        }
    }
}

/// What client and server have in common.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Own addresses; the wildcard (0.0.0.0 or ::) stands for all, present and future.
    #[arg(long, value_delimiter = ',', required = true)]
    local: Vec<IpAddr>,
    /// Own port; with several sockets, the first one's.
    #[arg(long)]
    port: u16,
    /// One socket for each association, or one for all.
    #[arg(long, value_enum, default_value_t)]
    shape: Shape,
    /// IPv6 sockets that talk to IPv4 alone: each address is mapped (::ffff:0:0/96), the wildcard is ::. So it is without this
    /// where some own address is of IPv6.
    #[arg(long)]
    mapped: bool,
    /// The peer takes SCTP in UDP at this port (RFC 6951); without it, what net.sctp.encap_port says.
    #[arg(long, value_name = "PORT")]
    udp: Option<u16>,
    /// Each socket with associations, or that listens, is handed over to the agent with this runtime directory.
    #[arg(long, value_name = "DIR")]
    hand_over: Option<PathBuf>,
    /// Where the result goes, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Common {
    /// A socket bound to all that `local` says, with this port.
    fn socket(&self, port: u16) -> std::io::Result<Socket> {
        let first = self.address(self.local[0], port);
        let socket = Socket::new(self.shape.style(), Family::of(first))?;
        // As programs do that send small messages in time: gathering them would add pauses of a round trip and more.
        sockopt::set_nodelay(socket.as_fd(), true)?;
        if let Some(port) = self.udp {
            sockopt::set_udp_encapsulation(socket.as_fd(), FUTURE_ASSOC, None, port)?;
        }
        socket.bind(first)?;
        if self.local.len() > 1 {
            let others: Vec<_> = self.local[1..].iter().map(|&address| self.address(address, port)).collect();
            socket.bindx_add(&others)?;
        }
        sockopt::set_events(socket.as_fd(), &[sctp_sys::event::EventType::AssocChange])?;
        Ok(socket)
    }

    /// An address as these sockets take it.
    fn address(&self, address: IpAddr, port: u16) -> SocketAddr {
        let mapped = self.mapped || self.local.iter().any(IpAddr::is_ipv6);
        let address = match address {
            IpAddr::V4(wildcard) if mapped && wildcard.is_unspecified() => Ipv6Addr::UNSPECIFIED.into(),
            IpAddr::V4(address) if mapped => address.to_ipv6_mapped().into(),
            address => address,
        };
        SocketAddr::new(address, port)
    }

    /// Hands a socket over to the agent, if that is wanted. It is the program's as before.
    fn hand_over(&self, socket: &impl AsFd) -> anyhow::Result<()> {
        let Some(directory) = &self.hand_over else { return Ok(()) };
        let report = Client::connect(directory)?.hand_over(&[socket.as_fd()])?;
        anyhow::ensure!(report.sockets == 1, "the agent does not take a socket: {:?}", report.left_out);
        Ok(())
    }
}

/// Runs it.
///
/// # Errors
/// A socket cannot be had, the server is not there, or the result cannot be written.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Client(arguments) => client::run(arguments).await,
            Command::Server(arguments) => server::run(arguments).await,
            Command::Heir(arguments) => heir::run(arguments).await,
            Command::Element(arguments) => element::run(arguments).await,
            Command::User(arguments) => user::run(arguments).await,
        }
    })?;
    // Sockets close in good order, and whoever still waits for one is let go.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM or SIGINT.
pub(crate) async fn terminated() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
