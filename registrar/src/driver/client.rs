//! Asking a running daemon over its control socket.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::command::Drained;
use super::control::{NAME, PATIENCE, Request};
use crate::dump::{Dump, Peers};
use crate::monitor::Happening;

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

/// Has a running daemon hand its elements to other registrars, within `timeout`, and stop.
///
/// # Errors
/// As [`fetch_dump`]; `PermissionDenied`: only root and the registrar's own user may.
pub fn drain(runtime_dir: &Path, timeout: Duration) -> io::Result<Drained> {
    let timeout_ms = timeout.as_millis().try_into().unwrap_or(u64::MAX);
    let stream = ask(runtime_dir, &Request::Drain { timeout_ms })?;
    stream.set_read_timeout(Some(timeout + PATIENCE))?;
    read_answer(stream)
}

/// Everything that happens at a running daemon from now on, until it stops or the reader is too slow.
///
/// # Errors
/// As [`fetch_dump`]; so each item. `PermissionDenied`: too many look on already.
pub fn monitor(runtime_dir: &Path) -> io::Result<impl Iterator<Item = io::Result<Happening>>> {
    let stream = ask(runtime_dir, &Request::Monitor)?;
    stream.set_read_timeout(None)?;
    let lines = BufReader::new(stream).lines();
    Ok(lines.map(|line| interpret(&line?)))
}

fn fetch<T: DeserializeOwned>(runtime_dir: &Path, request: &Request) -> io::Result<T> {
    read_answer(ask(runtime_dir, request)?)
}

fn read_answer<T: DeserializeOwned>(stream: UnixStream) -> io::Result<T> {
    let mut text = String::new();
    BufReader::new(stream).read_to_string(&mut text)?;
    interpret(&text)
}

fn interpret<T: DeserializeOwned>(text: &str) -> io::Result<T> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    // What has begun and could not go on has its reason in the last line.
    let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Refusal>(last) {
        Ok(Refusal { error }) => io::Error::new(io::ErrorKind::PermissionDenied, error),
        Err(_) => error.into(),
    })
}

fn ask(runtime_dir: &Path, request: &Request) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(runtime_dir.join(NAME))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(request)?;
    request.push(b'\n');
    stream.write_all(&request)?;
    Ok(stream)
}
