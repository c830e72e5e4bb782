//! The sockets, the clock and the control socket around the machine.
//!
//! One thread owns the machine and all SCTP sockets; everything else has its tasks in tokio's. Nothing waits for a client: what it does not take is queued within
//! bounds, and beyond them the client is dropped; what it asks waits while there is something more urgent.

#![expect(clippy::disallowed_methods, reason = "this module is the machine's clock")]

mod bell;
mod client;
mod command;
mod control;
mod full;
mod intake;
mod log;
mod multicast;
mod notify;
mod outstanding;
mod own;
mod reading;
mod serve;
mod socket;
mod tcp;

use sctp_sys::Socket;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

pub use client::{drain, fetch_dump, fetch_peers, monitor};
pub use command::{Drained, Reloader};

use crate::config::Config;
use crate::http::Http;
use crate::monitor::Feed;
use crate::query::Queries;
use command::Command;
use control::{Control, Desk};
use multicast::Groups;
use serve::{Others, Running, Service};
use socket::Role;
use tcp::Listeners;

/// Why the registrar cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The kernel has no SCTP.
    #[error(
        "this kernel offers no SCTP ({0}): load the module with `modprobe sctp`; where it is kept from loading, \
         see /etc/modprobe.d; on Debian's cloud kernels install linux-image-amd64"
    )]
    NoSctp(#[source] io::Error),
    /// A socket cannot be made or set.
    #[error("the SCTP socket could not be set up: {0}")]
    Socket(#[source] io::Error),
    /// An address cannot be had.
    #[error("cannot listen on {}: {error}", list(.addresses))]
    Bind {
        /// What was to be bound.
        addresses: Vec<SocketAddr>,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// An address for HTTP cannot be had.
    #[error("cannot serve HTTP on {address}: {error}")]
    Http {
        /// What was to be bound.
        address: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// No group of a protocol can be joined.
    #[error(
        "cannot announce to {group}: {error}; name the interfaces in [multicast], or have a route to the group"
    )]
    Multicast {
        /// The last that was tried.
        group: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket in {}: {error}{}", .dir.display(), hint(.error))]
    Control {
        /// The runtime directory.
        dir: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another roam-registrar runs there: give one of them --runtime-dir",
        io::ErrorKind::PermissionDenied => "; run as a user who may write there, or give --runtime-dir",
        _ => "",
    }
}

/// A registrar that listens, not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Config,
    sockets: Vec<(Role, Socket)>,
    control: Control,
    http: Http,
    others: Others,
    listening: Vec<SocketAddr>,
    commands: (mpsc::Sender<Command>, mpsc::Receiver<Command>),
}

impl Server {
    /// Opens all sockets. From here on associations can be set up.
    ///
    /// # Errors
    /// The kernel has no SCTP, an address cannot be had, or the runtime directory cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let sockets = socket::open(&config)?;
        let others = Others { streams: Listeners::bind(&config)?, groups: Groups::open(&config)? };
        let control = Control::bind(&config.runtime_dir)
            .map_err(|error| StartError::Control { dir: config.runtime_dir.clone(), error })?;
        let http =
            Http::bind(&config.http).map_err(|(address, error)| StartError::Http { address, error })?;
        let mut listening = config.listen.clone();
        listening.sort_unstable();
        Ok(Self { config, sockets, control, http, others, listening, commands: mpsc::channel(1) })
    }

    /// Where it listens over SCTP.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Where it listens over TCP.
    pub fn listening_tcp(&self) -> Vec<SocketAddr> {
        self.others.streams.addresses()
    }

    /// Where another configuration can be given to it while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader(self.commands.0.clone())
    }

    /// Serves until `stop` is ready, or a drain is over. Then the sockets are closed, which ends all associations in
    /// good order: elements look for another registrar, and peers, which see the association end, take over at once
    /// those that are ours still. Nobody is told that an element is gone.
    ///
    /// # Errors
    /// A socket fails for good.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let (queries, asked) = Queries::channel();
        let names = self.listening.iter().map(ToString::to_string).collect();
        let feed = Feed::default();
        let (commands, commanded) = self.commands;
        let desk = Desk::new(queries.clone(), commands, feed.clone());
        let drained = Arc::clone(&desk.drained);
        let hosts = self.http.hosts();
        let service = Service::new(self.config, self.sockets, self.others, names, random(), feed, hosts)?;
        let mut service = Running::start(service, asked, commanded)?;
        notify::ready();
        let failed = tokio::select! {
            ended = service.ended() => Some(ended),
            () = self.control.serve(desk) => None,
            () = self.http.serve(queries) => None,
            () = drained.notified() => None,
            () = stop => None,
        };
        notify::stopping();
        match failed {
            Some(why) => why,
            None => service.end().await,
        }
    }
}

/// 64 random bits: the hasher's keys come from the system's generator.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
