//! The other end of the control socket, as `roam` uses it: plain blocking calls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sctp_sys::adopt::{HandOverError, MAX_SOCKETS, send_sockets};

use super::SOCKET;
use super::protocol::{
    AdoptReport, Body, Failure, Hello, Numbered, Reply, Request, Response, SCHEMA, StreamEvent,
};

/// The longest answer taken, in octets: a host with ten thousand associations fits.
const ANSWER: u64 = 16 << 20;
/// A little more than the daemon's own patience.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    hello: Hello,
}

/// The daemon cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("roamd is not running ({}: {cause}); `systemctl start roamd` or `roamd` starts it", .path.display())]
    NotRunning {
        /// The control socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The connection broke.
    #[error("the connection to roamd: {0}")]
    Io(#[from] io::Error),
    /// The answer was not understood.
    #[error("roamd answered what this version does not understand: {0}; are both of the same version?")]
    Protocol(String),
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl Client {
    /// Connects to the daemon whose runtime directory this is.
    ///
    /// # Errors
    /// No daemon runs there, or it speaks another schema.
    pub fn connect(directory: &Path) -> Result<Self, ClientError> {
        let path = directory.join(SOCKET);
        let stream = UnixStream::connect(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { path, cause }
            }
            _ => ClientError::Io(io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))),
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        let hello: Hello = read(&mut stream)?;
        if hello.schema != SCHEMA {
            let (theirs, version) = (hello.schema, &hello.version);
            return Err(ClientError::Protocol(format!("schema {theirs} of roamd {version}, not {SCHEMA}")));
        }
        Ok(Self { stream, hello })
    }

    /// What the daemon said first.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The daemon refused, or the connection broke.
    pub fn ask(&mut self, request: Request) -> Result<Reply, ClientError> {
        self.send(request)?;
        match read::<Response>(&mut self.stream)?.body {
            Body::Result(reply) => Ok(reply),
            Body::Error(failure) => Err(failure.into()),
            Body::Event(_) => Err(ClientError::Protocol("an event where an answer was due".to_owned())),
        }
    }

    /// Hands SCTP sockets of this process over: the daemon looks after them from now on, also without the right to take
    /// them by itself. They stay the program's as they are; but while the daemon has them, the last close here sends
    /// nothing, so that an association has to be shut down by name (shutdown(2)), or it ends with this process.
    /// Afterwards the connection takes nothing but further hand-overs.
    ///
    /// # Errors
    /// The daemon refused, or the connection broke. Sockets that it did not take are told in the report.
    pub fn hand_over(&mut self, sockets: &[BorrowedFd<'_>]) -> Result<AdoptReport, ClientError> {
        let message = serde_json::to_vec(&Numbered { id: Some(1), request: Request::Handover })
            .map_err(io::Error::from)?;
        let mut all = AdoptReport { pid: 0, sockets: 0, left_out: Vec::new() };
        for some in sockets.chunks(MAX_SOCKETS) {
            send_sockets(self.stream.get_ref(), &message, some).map_err(|error| match error {
                HandOverError::Io(cause) => cause,
                other => io::Error::other(other),
            })?;
            match read::<Response>(&mut self.stream)?.body {
                Body::Result(Reply::HandedOver(report)) => {
                    all.pid = report.pid;
                    all.sockets += report.sockets;
                    all.left_out.extend(report.left_out);
                }
                Body::Error(failure) => return Err(failure.into()),
                _ => return Err(ClientError::Protocol("another answer than to a hand-over".to_owned())),
            }
        }
        Ok(all)
    }

    /// Follows the daemon's decisions; `recent` old ones first. `each` says whether to go on.
    ///
    /// # Errors
    /// The connection broke; it also ends, without an error, when the daemon stops.
    pub fn monitor(
        mut self,
        recent: usize,
        mut each: impl FnMut(StreamEvent) -> bool,
    ) -> Result<(), ClientError> {
        self.send(Request::Monitor { recent })?;
        self.stream.get_ref().set_read_timeout(None)?;
        loop {
            match read::<Response>(&mut self.stream) {
                Ok(Response { body: Body::Event(event), .. }) => {
                    if !each(event) {
                        return Ok(());
                    }
                }
                Ok(Response { body: Body::Error(failure), .. }) => return Err(failure.into()),
                Ok(_) => return Err(ClientError::Protocol("an answer where an event was due".to_owned())),
                Err(ClientError::Io(cause)) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    fn send(&mut self, request: Request) -> Result<(), ClientError> {
        let mut bytes = serde_json::to_vec(&Numbered { id: Some(1), request }).map_err(io::Error::from)?;
        bytes.push(b'\n');
        match self.stream.get_mut().write_all(&bytes) {
            // The daemon has closed already: what it said before, as that there is no place, is the answer.
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(stream: &mut BufReader<UnixStream>) -> Result<T, ClientError> {
    let mut line = Vec::new();
    stream.take(ANSWER).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_slice(&line).map_err(|error| ClientError::Protocol(error.to_string()))
}
