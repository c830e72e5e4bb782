//! The control socket: one line of JSON asks, one line of JSON answers.
//!
//! `{"request":"dump"}` is answered by a [`crate::dump::Dump`], `{"request":"peers"}` by [`crate::dump::Peers`],
//! anything else by `{"error":"..."}`. Everybody on the host may ask: the answers hold nothing that ASAP and ENRP would
//! not tell.

use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::dump::{self, Dump, Peers};
use crate::query::Queries;

/// The socket's name in the runtime directory.
const NAME: &str = "control.sock";

/// The longest request.
const REQUEST_LIMIT: u64 = 4096;

/// How long a client may take for its request, and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients at a time; others wait.
const CLIENTS: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Dump,
    Peers,
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

    /// Serves clients for ever; what they ask goes to `queries`.
    pub(super) async fn serve(&self, queries: Queries) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let queries = queries.clone();
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, queries)).await;
                        drop(place);
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

async fn answer(stream: UnixStream, queries: Queries) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(REQUEST_LIMIT)).read_line(&mut line).await?;
    match serde_json::from_str(&line) {
        Ok(Request::Dump) => {
            let mut pieces = std::pin::pin!(dump::json(queries));
            while let Some(piece) = pieces.try_next().await? {
                write.write_all(&piece).await?;
            }
        }
        Ok(Request::Peers) => write.write_all(&serde_json::to_vec(&queries.peers().await?)?).await?,
        Err(error) => {
            let answer = serde_json::json!({ "error": error.to_string() });
            write.write_all(&serde_json::to_vec(&answer)?).await?;
        }
    }
    write.write_all(b"\n").await
}

/// Asks a running daemon for its dump.
///
/// # Errors
/// `NotFound` or `ConnectionRefused`: no daemon runs there. Else the system's, or `InvalidData`.
pub fn fetch_dump(runtime_dir: &Path) -> io::Result<Dump> {
    fetch(runtime_dir, &Request::Dump)
}

/// Asks a running daemon for the other registrars that it knows.
///
/// # Errors
/// As [`fetch_dump`].
pub fn fetch_peers(runtime_dir: &Path) -> io::Result<Peers> {
    fetch(runtime_dir, &Request::Peers)
}

fn fetch<T: DeserializeOwned>(runtime_dir: &Path, request: &Request) -> io::Result<T> {
    serde_json::from_reader(io::BufReader::new(ask(runtime_dir, request)?)).map_err(Into::into)
}

fn ask(runtime_dir: &Path, request: &Request) -> io::Result<std::os::unix::net::UnixStream> {
    let mut stream = std::os::unix::net::UnixStream::connect(runtime_dir.join(NAME))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(request)?;
    request.push(b'\n');
    stream.write_all(&request)?;
    Ok(stream)
}
