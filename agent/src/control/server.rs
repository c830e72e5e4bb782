//! Accepts clients, within limits, and stands between them and the daemon's loop.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sctp_sys::socket::Socket;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::SOCKET;
use super::connection::Connection;
use super::pace::Pace;
use super::protocol::{Failure, Reply};
use super::target::Target;
use crate::decisions::Decisions;

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Of those, for one user other than root and the daemon's own.
const CONNECTIONS_PER_USER: usize = 8;

/// What the daemon's loop is asked for. Permission has been checked.
#[derive(Debug)]
pub struct Command {
    /// What to do.
    pub order: Order,
    /// Who asks.
    pub requester: Requester,
    /// Where the answer goes. The client may have gone; then sending fails, which does not matter.
    pub reply: oneshot::Sender<Result<Reply, Failure>>,
}

/// What to do.
#[derive(Debug)]
pub enum Order {
    /// Answer with [`Reply::Status`].
    Status,
    /// Answer with [`Reply::Associations`].
    Associations,
    /// Answer with [`Reply::Addresses`].
    Addresses,
    /// Answer with [`Reply::Pools`].
    Pools,
    /// Answer with [`Reply::Adopted`].
    Adopt {
        /// The process.
        pid: i32,
    },
    /// Answer with [`Reply::Released`].
    Release {
        /// The process.
        pid: i32,
    },
    /// Answer with [`Reply::Explained`].
    Explain {
        /// What.
        target: Target,
        /// How many decisions at most.
        last: usize,
    },
    /// Answer with [`Reply::Reloaded`].
    Reload {
        /// Also if associations are left alone then.
        drop: bool,
    },
    /// Answer with [`Reply::Configuration`].
    Configuration,
    /// Sockets that a program hands over: look after them. Answer with [`Reply::HandedOver`]. They are
    /// duplicates: while one is open, the program's own close sends nothing.
    HandOver {
        /// The sockets, at least one.
        sockets: Vec<Socket>,
    },
}

/// Who asks, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requester {
    /// The process that connected; 0 if the kernel does not tell.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// It is root or of the daemon's own user.
    pub privileged: bool,
}

impl Requester {
    /// The one user whose processes and sockets he may have changed; none: everybody's.
    pub fn only(&self) -> Option<u32> {
        (!self.privileged).then_some(self.uid)
    }
}

/// The running server. Ends, and its socket with it, when dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Ends the server and removes its socket; clients see the end of their connections.
    pub fn stop(self) {}
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the control socket in the runtime directory. The caller holds the journal's lock, so a socket found
/// there is a dead daemon's, and is replaced. Commands go to `commands`; when its queue is full, clients are
/// told so, and nobody waits.
///
/// # Errors
/// The socket cannot be made.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn serve(directory: &Path, commands: mpsc::Sender<Command>, decisions: Decisions) -> io::Result<Control> {
    let path = directory.join(SOCKET);
    let at = |cause: io::Error| io::Error::new(cause.kind(), format!("{}: {cause}", path.display()));
    match std::fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(at(cause)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(at)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).map_err(at)?;
    let server = Server {
        commands,
        decisions,
        all: Arc::new(Semaphore::new(CONNECTIONS)),
        by_user: Arc::default(),
        pace: Arc::default(),
        own_uid: nix::unistd::geteuid().as_raw(),
    };
    let task = tokio::spawn(server.run(listener));
    Ok(Control { path, task })
}

struct Server {
    commands: mpsc::Sender<Command>,
    decisions: Decisions,
    all: Arc<Semaphore>,
    by_user: Arc<Mutex<HashMap<u32, usize>>>,
    pace: Arc<Mutex<Pace>>,
    own_uid: u32,
}

impl Server {
    async fn run(self, listener: UnixListener) {
        // Connections end with this task: they belong to it.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream, &mut connections),
                    Err(cause) => {
                        // Out of descriptors, most likely: nothing to do but to wait for some.
                        tracing::warn!(target: "ctl", %cause, "cannot accept a client");
                        let _ = timeout(Duration::from_millis(100), pending::<()>()).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    fn admit(&self, stream: UnixStream, connections: &mut tokio::task::JoinSet<()>) {
        let Ok(credentials) = stream.peer_cred() else { return };
        let (pid, uid) = (credentials.pid().unwrap_or(0), credentials.uid());
        let requester = Requester { pid, uid, privileged: uid == 0 || uid == self.own_uid };
        let pace = Arc::clone(&self.pace);
        let connection =
            Connection::new(stream, requester, self.commands.clone(), self.decisions.clone(), pace);
        let Some(place) = self.place(requester) else {
            connection.refuse("too many connections; close one");
            return;
        };
        connections.spawn(async move {
            connection.run().await;
            drop(place);
        });
    }

    /// A place among the connections, for root even when others have taken all of theirs.
    fn place(&self, requester: Requester) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        if !requester.privileged {
            if self.all.available_permits() < CONNECTIONS / 4 {
                return None;
            }
            let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_user.entry(requester.uid).or_default();
            if *count >= CONNECTIONS_PER_USER {
                return None;
            }
            *count += 1;
        }
        let counted = (!requester.privileged).then_some(requester.uid);
        Some(Place { _permit: permit, counted, by_user: Arc::clone(&self.by_user) })
    }
}

/// A place among the connections, given back when dropped.
struct Place {
    _permit: tokio::sync::OwnedSemaphorePermit,
    counted: Option<u32>,
    by_user: Arc<Mutex<HashMap<u32, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(uid) = self.counted else { return };
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_user.get_mut(&uid) {
            *count -= 1;
            if *count == 0 {
                by_user.remove(&uid);
            }
        }
    }
}
