//! One daemon for a network namespace: two would move the same associations.
//!
//! The daemon listens at a name in the abstract namespace of Unix sockets, which belongs to the network namespace and is
//! free again however the daemon ends. Whoever finds it taken asks the kernel who has it. Any user can take such a name, so
//! only a holder with the rights to be a daemon counts: others cannot keep one from starting.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::StartError;
use crate::associations::effective_capabilities;

const NAME: &[u8] = b"roamd";
/// How long the one who has the name is asked for.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one visitor to the next: nobody has a reason to come often.
const PAUSE: Duration = Duration::from_millis(10);

/// The name is ours as long as this is.
#[derive(Debug)]
pub(super) struct Alone {
    _task: Option<Task>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Alone {
    /// Takes the name.
    ///
    /// # Errors
    /// [`StartError::Another`]: a daemon of root's, or of the same user's, has it.
    pub(super) async fn take() -> Result<Self, StartError> {
        let name = SocketAddr::from_abstract_name(NAME)?;
        match std::os::unix::net::UnixListener::bind_addr(&name) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                let task = tokio::spawn(serve(UnixListener::from_std(listener)?));
                Ok(Self { _task: Some(Task(task)) })
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => match holder(&name).await {
                Ok((pid, uid)) if may_be_a_daemon(pid, uid) => Err(StartError::Another { pid }),
                Ok((pid, uid)) => {
                    tracing::warn!(
                        "process {pid} of user {uid} has the name by which roamd finds that another one runs; going on without it"
                    );
                    Ok(Self { _task: None })
                }
                Err(error) => {
                    tracing::warn!(%error, "whether another roamd runs cannot be told; going on");
                    Ok(Self { _task: None })
                }
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a process has what a daemon has and other users cannot get: root's or our own user, or the right to administrate
/// the network, in our own user namespace (in one of their own, users have every right).
fn may_be_a_daemon(pid: i32, uid: u32) -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/user")).ok();
    let same_namespace =
        || namespace(&pid.to_string()).is_some_and(|theirs| namespace("self") == Some(theirs));
    uid == 0
        || uid == nix::unistd::geteuid().as_raw()
        || effective_capabilities(pid).is_some_and(|bits| bits >> CAP_NET_ADMIN & 1 == 1) && same_namespace()
}

/// Process and user of whoever listens at the name, as the kernel says.
async fn holder(name: &SocketAddr) -> io::Result<(i32, u32)> {
    let asked = async {
        let name = name.clone();
        // The connection is made while it waits in the queue; a full queue is waited for.
        let stream = tokio::task::spawn_blocking(move || std::os::unix::net::UnixStream::connect_addr(&name))
            .await??;
        stream.set_nonblocking(true)?;
        let credentials = UnixStream::from_std(stream)?.peer_cred()?;
        Ok((credentials.pid().unwrap_or_default(), credentials.uid()))
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Lets visitors go again.
async fn serve(listener: UnixListener) {
    loop {
        let _ = listener.accept().await;
        let _ = timeout(PAUSE, std::future::pending::<()>()).await;
    }
}
