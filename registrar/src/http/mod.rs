//! The registrar over HTTP, to look at: a page, server-sent events, metrics, health and the dump.
//!
//! Nothing can be changed here, and nothing here is waited for by the service loop: all that is shown is asked of it
//! in small questions ([`Queries`]). Clients are bounded in number, in what they may send and in the time that they
//! may take for it and for reading.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the driver of its connections and has a clock"
)]

mod events;
mod host;
mod metrics;
mod page;
mod patient;
mod rates;
mod route;
mod view;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::config;
use crate::listen::listen;
use crate::query::Queries;
use events::Views;
use patient::Patient;
use rates::Rates;

/// The longest head of a request, in octets; also what is buffered of an answer.
const HEAD_LIMIT: usize = 8192;

/// What is asked for as the kernel's buffer for what a client has not read: it counts for every connection.
const SEND_BUFFER: usize = 256 << 10;

/// How long the peer of a connection may be silent when something was sent to it.
const USER_TIMEOUT_MS: u32 = 30_000;

/// After a connection could not be taken, as when there is no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// For a request's head.
    head: Duration,
    /// For reading what is ready for them.
    write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(5), write: Duration::from_secs(10) }
    }
}

/// The listening sockets, not yet served.
#[derive(Debug)]
pub(crate) struct Http {
    listeners: Vec<TcpListener>,
    connections: usize,
    /// The names under which it may be asked for.
    hosts: watch::Sender<Vec<String>>,
    patience: Patience,
    started: SystemTime,
}

/// What all connections share.
struct Site {
    queries: Queries,
    /// Changes once a second.
    rates: watch::Receiver<Rates>,
    views: Arc<Views>,
    hosts: watch::Receiver<Vec<String>>,
    /// Places for clients of the event stream: they stay, and must not take every connection there may be.
    streams: Arc<Semaphore>,
    started: SystemTime,
}

impl Http {
    /// Listens on every configured address; on none is allowed.
    ///
    /// # Errors
    /// The first address that cannot be had, with the system's error.
    pub(crate) fn bind(config: &config::Http) -> Result<Self, (SocketAddr, io::Error)> {
        let listen = |address: &SocketAddr| listen(*address, SEND_BUFFER).map_err(|error| (*address, error));
        Ok(Self {
            listeners: config.listen.iter().map(listen).collect::<Result<_, _>>()?,
            connections: config.connections,
            hosts: watch::Sender::new(config.hosts.clone()),
            patience: Patience::default(),
            started: SystemTime::now(),
        })
    }

    /// Where to say under which names it may be asked for from now on.
    pub(crate) fn hosts(&self) -> watch::Sender<Vec<String>> {
        self.hosts.clone()
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, queries: Queries) {
        if self.listeners.is_empty() {
            return std::future::pending().await;
        }
        let (sender, rates) = watch::channel(Rates::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(rates::sample(queries.clone(), sender));
        let streams = Arc::new(Semaphore::new(self.connections.div_ceil(2)));
        let views = Arc::new(Views::new(queries.clone(), rates.clone()));
        let hosts = self.hosts.subscribe();
        let site = Arc::new(Site { queries, rates, views, hosts, streams, started: self.started });
        let places = Arc::new(Semaphore::new(self.connections));
        for listener in self.listeners {
            if let Ok(address) = listener.local_addr() {
                tracing::info!("serving HTTP on {address}");
            }
            tasks.spawn(accept(listener, Arc::clone(&places), Arc::clone(&site), self.patience));
        }
        // They only end all together, when this is dropped.
        while tasks.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, places: Arc<Semaphore>, site: Arc<Site>, patience: Patience) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let site = Arc::clone(&site);
                connections.spawn(async move {
                    serve(stream, site, patience).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, one request: so what a client may hold is bounded by the time for its head and by its reading.
async fn serve(stream: TcpStream, site: Arc<Site>, patience: Patience) {
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS);
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_LIMIT)
        .keep_alive(false)
        .serve_connection(
            TokioIo::new(Patient::new(stream, patience.write)),
            service_fn(move |request| route::respond(Arc::clone(&site), request)),
        );
    if let Err(error) = connection.await {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests;
