//! One client: lines in, lines out, both bounded in length and patience.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv};
use sctp_sys::adopt::HandOverError;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::pace::Pace;
use super::protocol::{Body, Failure, FailureCode, Hello, Numbered, Reply, Request, Response, StreamEvent};
use super::server::{Command, Order, Requester};
use crate::associations::owner;
use crate::decisions::Decisions;

/// The longest request, in octets.
const LINE: u64 = 64 * 1024;
/// The most decisions in one answer.
const DECISIONS: usize = 5_000;
/// How long a client may leave what it is sent unread, and how long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    stream: UnixStream,
    context: Context,
}

struct Context {
    requester: Requester,
    commands: mpsc::Sender<Command>,
    decisions: Decisions,
    pace: Arc<Mutex<Pace>>,
}

impl Connection {
    pub(super) fn new(
        stream: UnixStream,
        requester: Requester,
        commands: mpsc::Sender<Command>,
        decisions: Decisions,
        pace: Arc<Mutex<Pace>>,
    ) -> Self {
        Self { stream, context: Context { requester, commands, decisions, pace } }
    }

    /// Says why there is no place, if the client can take it at once, and closes.
    pub(super) fn refuse(self, why: &str) {
        let mut bytes = line(&Hello::ours());
        let body = Body::Error(Failure::new(FailureCode::Busy, why));
        bytes.extend(line(&Response { id: None, body }));
        let _ = self.stream.try_write(&bytes);
    }

    /// Serves the client until it closes or errs.
    pub(super) async fn run(self) {
        if let Err(cause) = self.serve().await {
            tracing::debug!(target: "ctl", %cause, "a client's connection ended");
        }
    }

    async fn serve(mut self) -> io::Result<()> {
        // Coming again and again counts, too.
        self.context.wait_for_turn().await;
        write(&mut self.stream, &line(&Hello::ours())).await?;
        // Descriptors travel with the first octet of a hand-over, so it must not be read but looked at.
        let first = self.stream.async_io(Interest::READABLE, || {
            let mut octet = [0];
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            let length = recv(self.stream.as_raw_fd(), &mut octet, flags)?;
            Ok((length == 1).then_some(octet[0]))
        });
        match first.await? {
            None => Ok(()),
            Some(b'S') => hand_overs(self.stream, &self.context).await,
            Some(_) => {
                let (read, write) = self.stream.into_split();
                lines(BufReader::new(read), write, &self.context).await
            }
        }
    }
}

async fn hand_overs(mut stream: UnixStream, context: &Context) -> io::Result<()> {
    loop {
        let taken = match sctp_sys::tokio::recv_sockets(&stream).await {
            Ok(None) => return Ok(()),
            Ok(Some(taken)) => taken,
            Err(HandOverError::Io(cause)) => return Err(cause),
            Err(refusal) => {
                let failure = Failure::new(FailureCode::Invalid, refusal.to_string());
                write(&mut stream, &line(&Response { id: None, body: Body::Error(failure) })).await?;
                return Ok(()); // what follows cannot be told apart any more
            }
        };
        context.wait_for_turn().await;
        let (id, outcome) = match serde_json::from_slice(&taken.message) {
            Ok(Numbered { id, request: Request::Handover }) if !taken.sockets.is_empty() => {
                (id, context.ask(Order::HandOver { sockets: taken.sockets }).await)
            }
            Ok(Numbered { id, .. }) => {
                let what = "with a hand-over of sockets comes the request `handover`, and with that a socket";
                (id, Err(Failure::new(FailureCode::Invalid, what)))
            }
            Err(error) => (None, Err(Failure::new(FailureCode::Invalid, error.to_string()))),
        };
        write(&mut stream, &line(&Response { id, body: body(outcome) })).await?;
    }
}

async fn lines(
    mut read: BufReader<OwnedReadHalf>,
    mut out: OwnedWriteHalf,
    context: &Context,
) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        request.clear();
        (&mut read).take(LINE).read_until(b'\n', &mut request).await?;
        if request.is_empty() {
            return Ok(());
        }
        if request.last() != Some(&b'\n') && request.len() as u64 == LINE {
            let failure = Failure::new(FailureCode::Invalid, format!("a request has at most {LINE} octets"));
            return write(&mut out, &line(&Response { id: None, body: Body::Error(failure) })).await;
        }
        context.wait_for_turn().await;
        let (id, outcome) = match serde_json::from_slice(&request) {
            Ok(Numbered { id, request: Request::Monitor { recent } }) => {
                return monitor(&mut read, out, id, recent, &context.decisions).await;
            }
            Ok(Numbered { id, request }) => (id, context.carry_out(request).await),
            Err(error) => (None, Err(Failure::new(FailureCode::Invalid, error.to_string()))),
        };
        write(&mut out, &line(&Response { id, body: body(outcome) })).await?;
    }
}

/// Sends decisions until the client closes or stops reading.
async fn monitor(
    read: &mut BufReader<OwnedReadHalf>,
    mut out: OwnedWriteHalf,
    id: Option<u64>,
    recent: usize,
    decisions: &Decisions,
) -> io::Result<()> {
    let event = |event| line(&Response { id, body: Body::Event(event) });
    let (old, mut new) = decisions.follow(recent);
    for decision in old {
        write(&mut out, &event(StreamEvent::Decision((*decision).clone()))).await?;
    }
    let mut ignored = [0; 256];
    loop {
        tokio::select! {
            next = new.recv() => match next {
                Ok(decision) => {
                    write(&mut out, &event(StreamEvent::Decision((*decision).clone()))).await?;
                }
                Err(RecvError::Lagged(missed)) => {
                    write(&mut out, &event(StreamEvent::Missed(missed))).await?;
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            read = read.read(&mut ignored) => if read? == 0 { return Ok(()) },
        }
    }
}

impl Context {
    async fn carry_out(&self, request: Request) -> Result<Reply, Failure> {
        if let Request::Decisions { last } = request {
            let decisions = self.decisions.recent(last.min(DECISIONS));
            return Ok(Reply::Decisions(decisions.iter().map(|decision| (**decision).clone()).collect()));
        }
        let order = match request {
            Request::Status => Order::Status,
            Request::Associations => Order::Associations,
            Request::Addresses => Order::Addresses,
            Request::Pools => Order::Pools,
            Request::Explain { target, last } => Order::Explain { target, last },
            Request::Reload { drop } => self.privileged(Order::Reload { drop })?,
            Request::Configuration => Order::Configuration,
            Request::Adopt { pid } => self.own(pid, Order::Adopt { pid })?,
            Request::Release { pid } => self.own(pid, Order::Release { pid })?,
            Request::Monitor { .. } | Request::Handover | Request::Decisions { .. } => {
                let what = "`handover` comes as the message of a hand-over of sockets, `monitor` alone";
                return Err(Failure::new(FailureCode::Invalid, what));
            }
        };
        self.ask(order).await
    }

    /// Waits until the user's requests are few enough.
    #[expect(clippy::disallowed_methods, reason = "connections own their clock")]
    async fn wait_for_turn(&self) {
        if let Some(uid) = self.requester.only() {
            let wait = self.pace.lock().unwrap_or_else(PoisonError::into_inner).ask(uid, Instant::now());
            if !wait.is_zero() {
                let _ = timeout(wait, std::future::pending::<()>()).await;
            }
        }
    }

    /// Of their own processes users may ask for it, too. The daemon then touches only the user's own sockets there.
    fn own(&self, pid: i32, order: Order) -> Result<Order, Failure> {
        match self.requester.only() {
            Some(uid) if owner(pid) == Some(uid) => Ok(order),
            _ => self.privileged(order),
        }
    }

    fn privileged(&self, order: Order) -> Result<Order, Failure> {
        if self.requester.privileged {
            return Ok(order);
        }
        let what = "only root and the daemon's own user may ask for this; others only of their own processes, or hand sockets over";
        Err(Failure::new(FailureCode::NotPermitted, what))
    }

    /// Puts an order to the daemon's loop, which never waits for us.
    async fn ask(&self, order: Order) -> Result<Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        let command = Command { order, requester: self.requester, reply };
        match self.commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Failure::new(FailureCode::Busy, "the daemon has too many requests; try again"));
            }
            Err(TrySendError::Closed(_)) => {
                return Err(Failure::new(FailureCode::Failed, "the daemon is stopping"));
            }
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::new(FailureCode::Failed, "the daemon is stopping")),
            Err(_) => Err(Failure::new(FailureCode::Busy, "the daemon did not answer in 10 s")),
        }
    }
}

fn body(outcome: Result<Reply, Failure>) -> Body {
    match outcome {
        Ok(reply) => Body::Result(reply),
        Err(failure) => Body::Error(failure),
    }
}

fn line(message: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

async fn write(out: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> io::Result<()> {
    match timeout(PATIENCE, out.write_all(bytes)).await {
        Ok(written) => written,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read")),
    }
}
