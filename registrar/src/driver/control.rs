//! The control socket: one line of JSON asks, one line of JSON answers.
//!
//! | request | answer | who may ask |
//! |---|---|---|
//! | `{"request":"dump"}` | [`crate::dump::Dump`] | everybody: it holds nothing that ASAP and ENRP would not tell |
//! | `{"request":"peers"}` | [`crate::dump::Peers`] | everybody |
//! | `{"request":"monitor"}` | [`crate::monitor::Happening`]s, a line each, until one side goes | everybody |
//! | `{"request":"drain","timeout_ms":60000}` | [`Drained`], when it is over | root, and the registrar's own user |
//!
//! Anything else is answered by `{"error":"..."}`, and so is what the registrar cannot answer in time: where a dump has
//! begun, in a line behind it.

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use super::command::{Command, Drained};
use crate::dump;
use crate::monitor::Feed;
use crate::query::Queries;

/// The socket's name in the runtime directory.
pub(super) const NAME: &str = "control.sock";

/// The longest request.
const REQUEST_LIMIT: u64 = 4096;

/// How long a client may take for its request, and for reading the answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The longest time that a drain may be given.
const LONGEST_DRAIN: Duration = Duration::from_secs(86_400);

/// Clients at a time; others wait.
const CLIENTS: usize = 16;

/// Clients at a time that look on; others are refused.
const MONITORS: usize = 8;

#[derive(Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Request {
    Dump,
    Peers,
    Monitor,
    Drain { timeout_ms: u64 },
}

/// What requests are answered from.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) queries: Queries,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) feed: Feed,
    /// Told when a drain is over and its answer is written.
    pub(super) drained: Arc<Notify>,
    pub(super) monitors: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(queries: Queries, commands: mpsc::Sender<Command>, feed: Feed) -> Self {
        let (drained, monitors) = (Arc::default(), Arc::new(Semaphore::new(MONITORS)));
        Self { queries, commands, feed, drained, monitors }
    }
}

/// The listening socket; it goes with this.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    listener: UnixListener,
}

impl Control {
    /// Makes the runtime directory if need be, and the socket in it.
    ///
    /// # Errors
    /// `AddrInUse`: a daemon answers there. Else the system's.
    pub(super) fn bind(runtime_dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(runtime_dir)?;
        let path = runtime_dir.join(NAME);
        match std::os::unix::net::UnixStream::connect(&path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            // What a daemon that was killed has left.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        Ok(Self { path, listener })
    }

    /// Serves clients for ever.
    pub(super) async fn serve(&self, desk: Desk) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let desk = desk.clone();
                    tokio::spawn(async move {
                        let asked = tokio::time::timeout(PATIENCE, ask_what(stream)).await;
                        if let Ok(Ok((request, stream))) = asked {
                            // Those that take long give their place back.
                            if !matches!(request, Ok(Request::Dump | Request::Peers)) {
                                drop(place);
                            }
                            let _ = answer(request, stream, desk).await;
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a control client could not be taken");
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

type Asked = serde_json::Result<Request>;

/// Reads a request.
async fn ask_what(mut stream: UnixStream) -> io::Result<(Asked, UnixStream)> {
    let mut line = String::new();
    BufReader::new((&mut stream).take(REQUEST_LIMIT)).read_line(&mut line).await?;
    Ok((serde_json::from_str(&line), stream))
}

async fn answer(request: Asked, mut stream: UnixStream, desk: Desk) -> io::Result<()> {
    match request {
        Ok(Request::Dump) => write_dump(&mut stream, desk.queries).await,
        Ok(Request::Peers) => match desk.queries.peers().await {
            Ok(peers) => in_time(write_line(&mut stream, &peers)).await,
            Err(why) => refuse(&mut stream, &why.to_string()).await,
        },
        Ok(Request::Monitor) => monitor(stream, desk).await,
        Ok(Request::Drain { timeout_ms }) => drain(stream, Duration::from_millis(timeout_ms), desk).await,
        Err(error) => refuse(&mut stream, &error.to_string()).await,
    }
}

/// Gives up a client that does not read.
async fn in_time(written: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::time::timeout(PATIENCE, written).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn write_line(stream: &mut UnixStream, answer: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// However long a dump is, each piece has its time. Where it cannot go on, the last line says why.
async fn write_dump(stream: &mut UnixStream, queries: Queries) -> io::Result<()> {
    let mut pieces = std::pin::pin!(dump::json(queries));
    let mut end: &[u8] = b"";
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => in_time(stream.write_all(&piece)).await?,
            Ok(None) => return in_time(stream.write_all(b"\n")).await,
            Err(why) => {
                in_time(stream.write_all(end)).await?;
                return refuse(stream, &why.to_string()).await;
            }
        }
        end = b"\n";
    }
}

async fn refuse(stream: &mut UnixStream, why: &str) -> io::Result<()> {
    in_time(write_line(stream, &serde_json::json!({ "error": why }))).await
}

/// Writes events as they happen, until the client goes, or is too slow for them.
async fn monitor(mut stream: UnixStream, desk: Desk) -> io::Result<()> {
    let Ok(_place) = desk.monitors.try_acquire() else {
        return refuse(&mut stream, "too many clients look on").await;
    };
    let mut events = desk.feed.look_on();
    let (mut read, mut write) = stream.split();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(line) => in_time(write.write_all(line.as_bytes())).await?,
                // It did not keep up, or the registrar stops.
                Err(_) => return Ok(()),
            },
            said = read.read(&mut ignored) => if said? == 0 { return Ok(()) },
        }
    }
}

/// Has the elements handed over, and the registrar stopped after the answer. It goes on when the client goes.
async fn drain(mut stream: UnixStream, patience: Duration, desk: Desk) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    if user != 0 && user != nix::unistd::geteuid().as_raw() {
        return refuse(&mut stream, "only root and the registrar's own user may drain it").await;
    }
    if patience.is_zero() || patience > LONGEST_DRAIN {
        return refuse(&mut stream, "a timeout is above 0 and at most a day").await;
    }
    let (sender, ended) = oneshot::channel();
    desk.commands.send(Command::Drain { patience, answer: sender }).await.map_err(io::Error::other)?;
    let drained = ended.await.map_err(io::Error::other)?;
    let written = in_time(write_line(&mut stream, &drained)).await;
    if !matches!(drained, Drained::Refused { .. }) {
        desk.drained.notify_one();
    }
    written
}

#[cfg(test)]
mod tests;
