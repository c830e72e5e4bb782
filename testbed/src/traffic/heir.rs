//! Goes on with the sockets of a server: passed on by it through a Unix stream (SCM_RIGHTS), or inherited from it as
//! standard input. Ends when nobody has said anything for long.

use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use sctp_sys::Socket;
use sctp_sys::adopt::{MAX_SOCKETS, recv_sockets, send_sockets};
use sctp_sys::tokio::AsyncSocket;
use tokio::task::LocalSet;

use super::server::{Role, Service, serve};
use super::terminated;

/// The heir's arguments.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Waits here for the sockets.
    #[arg(long, value_name = "SOCKET", required_unless_present = "inherited")]
    at: Option<PathBuf>,
    /// The socket, which carries all associations, is standard input.
    #[arg(long, conflicts_with = "at")]
    inherited: bool,
}

/// A child whose parent was killed has nobody who ends it.
const LONGEST: Duration = Duration::from_secs(90);

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let sockets = match &arguments.at {
        Some(path) => passed_on(path)?,
        None => vec![(Role::Many, Socket::from(std::io::stdin().as_fd().try_clone_to_owned()?))],
    };
    let service = Rc::new(Service::default());
    let tasks = LocalSet::new();
    let served = async {
        for (role, socket) in sockets {
            serve(&service, role, socket)?;
        }
        println!("goes on with {} sockets", service.sockets());
        tokio::select! {
            signal = terminated() => signal?,
            () = tokio::time::sleep(LONGEST) => {}
        }
        anyhow::Ok(())
    };
    tasks.run_until(served).await
}

/// Waits for the sockets that a server passes on.
fn passed_on(path: &Path) -> anyhow::Result<Vec<(Role, Socket)>> {
    let listener = UnixListener::bind(path)?;
    println!("waits");
    let (stream, _) = listener.accept()?;
    let mut sockets = Vec::new();
    while let Some(some) = recv_sockets(&stream)? {
        let roles: Vec<Role> = serde_json::from_slice(&some.message)?;
        ensure!(roles.len() == some.sockets.len(), "each socket has a role");
        sockets.extend(roles.into_iter().zip(some.sockets));
    }
    Ok(sockets)
}

/// Passes sockets on.
pub(super) fn pass_on(path: &Path, sockets: &[(Role, Rc<AsyncSocket>)]) -> anyhow::Result<()> {
    let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
    for some in sockets.chunks(MAX_SOCKETS) {
        let roles: Vec<Role> = some.iter().map(|(role, _)| *role).collect();
        let fds: Vec<_> = some.iter().map(|(_, socket)| socket.as_fd()).collect();
        send_sockets(&stream, &serde_json::to_vec(&roles)?, &fds)?;
    }
    println!("passed on {} sockets", sockets.len());
    Ok(())
}
