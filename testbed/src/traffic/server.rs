//! The server: echoes every message in the association that it came in.
//!
//! At SIGUSR1 it passes all its sockets on to a program that waits for them, and ends; at SIGUSR2 a child of its goes on
//! with its socket, and it holds the socket on without ever looking at it again.

use std::cell::RefCell;
use std::future::pending;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;

use anyhow::{Context, ensure};
use clap::Args;
use sctp_sys::Style;
use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{Received, SendInfo};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use super::record::ServerRecord;
use super::{Common, heir, terminated};

/// The server's arguments.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Of a socket for all, each association gets one of its own.
    #[arg(long)]
    peel_off: bool,
    /// Where the program waits that the sockets are passed on to.
    #[arg(long, value_name = "SOCKET")]
    heir: Option<PathBuf>,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Role {
    /// It accepts associations.
    Listener,
    /// It carries all associations.
    Many,
    /// It carries one.
    One,
}

/// The server's sockets, and what it writes down.
#[derive(Default)]
pub(super) struct Service {
    sockets: RefCell<Vec<(Role, Rc<AsyncSocket>)>>,
    record: RefCell<ServerRecord>,
    peel_off: bool,
    common: Option<Common>,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let socket = arguments.common.socket(arguments.common.port).context("the server's socket")?;
    socket.listen(512)?;
    let role = match arguments.common.shape.style() {
        Style::OneToMany => Role::Many,
        Style::OneToOne => Role::Listener,
    };
    let common = Some(arguments.common.clone());
    let service = Rc::new(Service { common, peel_off: arguments.peel_off, ..Service::default() });
    let (mut pass, mut fork) = (signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?);
    let tasks = LocalSet::new();
    let served = async {
        serve(&service, role, socket)?;
        println!("listening");
        anyhow::Ok(tokio::select! {
            signal = terminated() => signal.map(|()| End::Asked)?,
            _ = pass.recv() => End::PassedOn,
            _ = fork.recv() => End::Forked,
        })
    };
    let end = tasks.run_until(served).await?;
    // From here on nobody reads from the sockets.
    drop(tasks);
    match end {
        End::Asked => {}
        End::PassedOn => {
            let heir = arguments.heir.as_ref().context("nobody waits for the sockets")?;
            heir::pass_on(heir, &service.sockets.take())?;
            return Ok(());
        }
        End::Forked => {
            service.beget()?;
            return pending().await;
        }
    }
    if let Some(file) = &arguments.common.json {
        std::fs::write(file, serde_json::to_vec(&*service.record.borrow())?)?;
    }
    Ok(())
}

enum End {
    Asked,
    PassedOn,
    Forked,
}

/// Serves at a socket from now on, in a task of the present set.
pub(super) fn serve(service: &Rc<Service>, role: Role, socket: sctp_sys::Socket) -> anyhow::Result<()> {
    if let Some(common) = &service.common {
        common.hand_over(&socket)?;
    }
    let socket = Rc::new(AsyncSocket::new(socket)?);
    service.sockets.borrow_mut().push((role, Rc::clone(&socket)));
    let service = Rc::clone(service);
    tokio::task::spawn_local(async move {
        match role {
            Role::Listener => accept(&service, &socket).await,
            Role::Many | Role::One => {
                service.echo(&socket, role == Role::One).await;
                service.sockets.borrow_mut().retain(|(_, one)| !Rc::ptr_eq(one, &socket));
            }
        }
    });
    Ok(())
}

async fn accept(service: &Rc<Service>, socket: &AsyncSocket) {
    loop {
        let Ok((accepted, _)) = socket.accept().await else { continue };
        if let Err(error) = sctp_sys::sockopt::set_nodelay(accepted.as_fd(), true) {
            eprintln!("an accepted socket: {error}");
            continue;
        }
        service.record.borrow_mut().accepted += 1;
        if let Err(error) = serve(service, Role::One, accepted.into_inner()) {
            eprintln!("an accepted socket: {error:#}");
        }
    }
}

impl Service {
    /// How many sockets there are.
    pub(super) fn sockets(&self) -> usize {
        self.sockets.borrow().len()
    }

    /// Starts a child that inherits the socket.
    fn beget(&self) -> anyhow::Result<()> {
        let [(role, socket)] = &self.sockets.borrow()[..] else {
            anyhow::bail!("a child takes one socket");
        };
        ensure!(*role == Role::Many, "the socket of a child has to carry all associations");
        let stdin = Stdio::from(socket.as_fd().try_clone_to_owned()?);
        let own = std::env::current_exe()?;
        std::process::Command::new(own).args(["traffic", "heir", "--inherited"]).stdin(stdin).spawn()?;
        Ok(())
    }

    /// Until the socket's association ends, or the socket itself.
    async fn echo(self: &Rc<Self>, socket: &AsyncSocket, one: bool) {
        let mut buffer = Vec::new();
        let mut reported = false;
        loop {
            match socket.recv(&mut buffer).await {
                Ok(Some(Received::Message(info))) => {
                    let answer = SendInfo {
                        stream: info.stream,
                        ppid: info.ppid,
                        assoc: if one { 0 } else { info.assoc },
                        ..SendInfo::default()
                    };
                    if socket.send(&answer, &buffer).await.is_ok() {
                        self.record.borrow_mut().echoed += 1;
                    }
                }
                Ok(Some(Received::Notification(Notification::AssocChange { state, assoc, .. }))) => {
                    match state {
                        AssocChange::CommUp if !one => {
                            self.record.borrow_mut().accepted += 1;
                            let peeled = || serve(self, Role::One, socket.get_ref().peel_off(assoc)?);
                            if self.peel_off
                                && let Err(error) = peeled()
                            {
                                eprintln!("a peeled-off socket: {error:#}");
                            }
                        }
                        AssocChange::CommLost => {
                            reported = true;
                            self.record.borrow_mut().lost += 1;
                        }
                        AssocChange::ShutdownComplete if one => return,
                        _ => {}
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) if one => return,
                Err(_) if one => {
                    self.record.borrow_mut().lost += u64::from(!reported);
                    return;
                }
                // The error of one association of many has its notification.
                Ok(None) | Err(_) => {}
            }
        }
    }
}
