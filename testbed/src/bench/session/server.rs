//! The servers of both sides, in a thread of their own: one with sockets, one with sessions.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use asap_client::client::Event;
use asap_client::driver::service::{self, Service, Session};
use asap_client::driver::{Config, Events, RegistrarClient, Tuning};
use asap_client::session::KeyRing;
use asap_client::session::service::Cookies;
use asap_client::wire::Policy;
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{Family, Received, SendInfo, Socket, Style};

use super::{ANSWER, COOKIE};

/// The pool.
pub(super) const POOL: &str = "BenchPool";
/// The pool's key, no secret.
const KEY: &[u8; 32] = b"of the bench's pool, no secret!!";
/// The state that the service gives: what a small one has.
const STATE: [u8; 64] = [7; 64];
/// Longer than a registration takes.
const REGISTRATION: Duration = Duration::from_secs(30);
/// The send buffer that sessions ask for.
const BUFFER: u32 = 1 << 17;

/// Both servers, until it is dropped.
pub(super) struct Server {
    plain: SocketAddr,
    /// Dropped, it ends the thread.
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Server {
    /// Starts them; the element is registered then.
    pub(super) fn start(own: IpAddr, registrar: SocketAddr) -> Result<Self> {
        let (ready, started) = mpsc::channel();
        let (end, ended) = tokio::sync::oneshot::channel();
        thread::Builder::new().name("server".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error.into()))),
            };
            runtime.block_on(async {
                tokio::select! {
                    served = serve(own, registrar, &ready) => drop(ready.send(served)),
                    _ = ended => {}
                }
            });
        })?;
        let plain = started.recv_timeout(REGISTRATION).context("the servers did not start")??;
        Ok(Self { plain, _end: end })
    }

    /// Where the one with sockets listens.
    pub(super) fn plain(&self) -> SocketAddr {
        self.plain
    }
}

/// A socket as sessions have it.
pub(super) fn socket(own: IpAddr) -> Result<AsyncSocket> {
    let own = SocketAddr::new(own, 0);
    let socket = Socket::new(Style::OneToOne, Family::of(own))?;
    Tuning::session().apply(socket.as_fd())?;
    sockopt::set_send_buffer(socket.as_fd(), BUFFER)?;
    socket.bind(own)?;
    Ok(AsyncSocket::new(socket)?)
}

async fn serve(
    own: IpAddr,
    registrar: SocketAddr,
    ready: &mpsc::Sender<Result<SocketAddr>>,
) -> Result<SocketAddr> {
    let listening = socket(own)?;
    listening.get_ref().listen(16)?;
    let plain = *listening.get_ref().local_addrs(sctp_sys::FUTURE_ASSOC)?.first().context("no address")?;
    let (registrar, mut events) = RegistrarClient::spawn(Config::mobile(vec![vec![registrar]], None));
    registrar.set_local_addresses(vec![own]);
    let config = service::Config::new(POOL.parse()?, Cookies::Sealed(KeyRing::new(1, KEY)));
    let mut service = Service::bind(&[SocketAddr::new(own, 0)], config)?;
    service.join(&registrar, Policy::RoundRobin, None);
    registered(&mut events).await?;
    ready.send(Ok(plain))?;
    loop {
        tokio::select! {
            accepted = listening.accept() => drop(tokio::spawn(answer(accepted?.0))),
            session = service.accept() => drop(tokio::spawn(attend(session.context("the service has ended")?))),
        }
    }
}

async fn registered(events: &mut Events) -> Result<()> {
    loop {
        match events.next().await.context("the client of the registrar has ended")? {
            Event::Registered { .. } => return Ok(()),
            event => tracing::debug!(?event, "not registered yet"),
        }
    }
}

/// Serves one user with a socket.
async fn answer(socket: AsyncSocket) {
    let mut octets = Vec::new();
    loop {
        match socket.recv(&mut octets).await {
            Ok(Some(Received::Message(info))) if octets.first().is_some_and(|wants| wants & ANSWER != 0) => {
                let info = SendInfo { ppid: info.ppid, ..SendInfo::default() };
                if socket.send(&info, &octets).await.is_err() {
                    return;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// Serves one session.
async fn attend(session: Session) {
    while let Some(message) = session.recv().await {
        let wants = message.octets.first().copied().unwrap_or_default();
        if wants & ANSWER != 0 && session.send_with(message.octets, message.ppid, false).await.is_err() {
            return;
        }
        if wants & COOKIE != 0 && session.cookie(STATE, None).await.is_err() {
            return;
        }
    }
}
