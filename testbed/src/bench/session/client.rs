//! The users of both sides.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use asap_client::driver::session::{self, Session};
use asap_client::driver::{Config, RegistrarClient};
use asap_client::session::user::Exchange;
use bytes::Bytes;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{Received, SendInfo};
use tokio::runtime::Runtime;

use super::server::{POOL, socket};
use super::{Load, Run, SIZE, message, used, wants};
use crate::bench::registrar::client;
use crate::clock;

/// The users, with the pool's registrar and the server that has sockets.
pub(super) struct Client {
    runtime: Runtime,
    registrar: RegistrarClient,
    plain: SocketAddr,
    /// By what the server is to do.
    messages: [Bytes; 4],
}

/// One user.
pub(super) enum User {
    /// A program with a socket of its own.
    Plain(AsyncSocket),
    /// A session.
    Session(Session),
}

impl Client {
    /// A client of the pool's registrar.
    pub(super) fn start(registrar: SocketAddr, plain: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (registrar, _) = RegistrarClient::spawn(Config::mobile(vec![vec![registrar]], None));
        registrar.set_local_addresses(vec![client().ip()]);
        drop(entered);
        let messages = [0, 1, 2, 3].map(|wants| message(wants).into());
        Ok(Self { runtime, registrar, plain, messages })
    }

    /// A user with a socket, whose association is up.
    pub(super) fn plain(&self) -> Result<User> {
        self.runtime.block_on(async {
            let socket = socket(client().ip())?;
            socket.connect(self.plain).await?;
            Ok(User::Plain(socket))
        })
    }

    /// A user with a session, which is at the element.
    pub(super) fn session(&self, load: Load, cookies: bool) -> Result<User> {
        let exchange = match (load, cookies) {
            (Load::Stream, false) => Exchange::Stream,
            (Load::Stream, true) => Exchange::Covered,
            (Load::Requests(_), false) => Exchange::Requests,
            (Load::Requests(_), true) => Exchange::Transactions,
        };
        let mut config = session::Config::new(POOL.parse()?, exchange);
        config.local = vec![client().ip()];
        Ok(User::Session(self.runtime.block_on(Session::connect(&self.registrar, config))?))
    }

    /// Exchanges so many messages.
    pub(super) fn exchange(&self, user: &User, load: Load, cookies: bool, count: u64) -> Result<Run> {
        let message = |number| self.messages[usize::from(wants(load, cookies, number, count))].clone();
        let (from, cpu) = (clock::now(), used());
        self.runtime.block_on(async {
            match user {
                User::Plain(socket) => {
                    let send = async |number| {
                        socket.send(&SendInfo::default(), &message(number)).await?;
                        Ok(())
                    };
                    let mut octets = Vec::new();
                    exchange(load, count, send, async || read(socket, &mut octets).await).await
                }
                User::Session(session) => {
                    let send = async |number| {
                        session.send(message(number)).await?;
                        Ok(())
                    };
                    let receive = async || {
                        let message = session.recv().await?;
                        ensure!(message.octets.len() == SIZE, "{} octets came", message.octets.len());
                        Ok(())
                    };
                    exchange(load, count, send, receive).await
                }
            }
        })?;
        let (took, cpu) = ((clock::now() - from) as f64, (used() - cpu) as f64);
        Ok(Run { per_second: count as f64 * 1e9 / took, cpu_us: cpu / 1e3 / count as f64 })
    }
}

/// Sends the messages of a load, and waits for the answers that there are.
async fn exchange(
    load: Load,
    count: u64,
    send: impl AsyncFn(u64) -> Result<()>,
    mut receive: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let window = match load {
        Load::Stream => {
            for number in 1..=count {
                send(number).await?;
            }
            return receive().await;
        }
        Load::Requests(window) => window.min(count),
    };
    for number in 1..=window {
        send(number).await?;
    }
    for number in window + 1..=count {
        receive().await?;
        send(number).await?;
    }
    for _ in 0..window {
        receive().await?;
    }
    Ok(())
}

async fn read(socket: &AsyncSocket, octets: &mut Vec<u8>) -> Result<()> {
    match socket.recv(octets).await?.context("the server has ended the association")? {
        Received::Message(_) => ensure!(octets.len() == SIZE, "{} octets came", octets.len()),
        other => bail!("{other:?} came"),
    }
    Ok(())
}
