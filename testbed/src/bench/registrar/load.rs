//! The load generator: associations over one-to-one sockets, each with a window of requests. The same for every server.
#![expect(clippy::disallowed_methods, reason = "latencies are measured")]

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use asap_client::wire::{self, Message, MessageType};
use rustix::event::epoll;
use sctp_sys::{Family, Received, SendInfo, Socket, Style, sockopt};

/// How long answers that are still due are waited for when a run is over.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is read of an association before the next one has its turn.
const AT_ONCE: usize = 64;

/// A server that has ended so many associations in a run does not serve.
const RESETS: u64 = 100_000;

/// Associations with one server.
pub(super) struct Load {
    poll: OwnedFd,
    from: SocketAddr,
    server: SocketAddr,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// Keep-alives that were answered.
    pub(super) kept_alive: u64,
    /// Elements that were told that they are not registered any more.
    pub(super) removed: u64,
}

struct Connection {
    /// `None`: the association has ended.
    socket: Option<Socket>,
    /// When the requests were made that are not answered yet.
    due: VecDeque<Instant>,
    /// Those of them for which the socket has no room yet: the last ones.
    unsent: VecDeque<Vec<u8>>,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    pub(super) answers: u64,
    /// Octets of them all.
    pub(super) octets: u64,
    /// Associations that the server ended. Each was set up again, and what was not answered was asked again.
    pub(super) resets: u64,
    /// Requests whose answer did not come within [`PATIENCE`] of the end, or of the last one. Their associations were set
    /// up again.
    pub(super) unanswered: u64,
    pub(super) time: Duration,
    /// In the order of the answers.
    latencies: Vec<Duration>,
}

impl Run {
    /// Takes another one in, as if it had followed at once.
    pub(super) fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.octets += other.octets;
        self.resets += other.resets;
        self.unanswered += other.unanswered;
        self.time += other.time;
        self.latencies.extend(other.latencies);
    }

    pub(super) fn per_second(&self) -> f64 {
        self.answers as f64 / self.time.as_secs_f64()
    }

    /// The time below which so many per cent of the answers came, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Time(Duration),
    /// So many requests are sent, and answered.
    Requests(u64),
}

/// One association from this address.
pub(super) fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Style::OneToOne, Family::of(to))?;
    sockopt::set_nodelay(socket.as_fd(), true)?;
    socket.bind(from)?;
    socket.connect(to)?;
    Ok(socket)
}

/// One association that does not block, and is told of by its number.
fn watched(poll: &OwnedFd, number: usize, from: SocketAddr, to: SocketAddr) -> Result<Socket> {
    let socket = connect(from, to).with_context(|| format!("association {number} with {to}"))?;
    socket.set_nonblocking(true)?;
    epoll::add(poll, &socket, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
    Ok(socket)
}

impl Load {
    /// Sets up so many associations.
    pub(super) fn connect(from: SocketAddr, to: SocketAddr, count: usize) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for number in 0..count {
            let socket = watched(&poll, number, from, to)?;
            connections.push(Connection {
                socket: Some(socket),
                due: VecDeque::new(),
                unsent: VecDeque::new(),
            });
        }
        Ok(Self { poll, from, server: to, connections, buffer: Vec::new(), kept_alive: 0, removed: 0 })
    }

    /// How many associations there are still.
    pub(super) fn associations(&self) -> usize {
        self.connections.iter().filter(|connection| connection.socket.is_some()).count()
    }

    /// Keeps `window` requests under way in every association. `ask` makes the next one (of an association) and
    /// `check` looks at an answer.
    pub(super) fn run(
        &mut self,
        until: Until,
        window: usize,
        ask: &mut dyn FnMut(usize, &mut Vec<u8>),
        check: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<Run> {
        let mut run = Run::default();
        let mut request = Vec::new();
        let begun = Instant::now();
        let (end, most) = match until {
            Until::Time(time) => (Some(begun + time), u64::MAX),
            Until::Requests(count) => (None, count),
        };
        let mut sent = 0;
        for _ in 0..window {
            for (number, connection) in self.connections.iter_mut().enumerate() {
                if sent < most {
                    sent += 1;
                    ask(number, &mut request);
                    connection.send(Instant::now(), &request)?;
                }
            }
        }
        let mut events = Vec::with_capacity(256);
        let mut last = begun;
        while self.connections.iter().any(|connection| !connection.due.is_empty()) {
            self.wait(&mut events, PATIENCE)?;
            let late = end.is_some_and(|end| Instant::now() > end + PATIENCE);
            if events.is_empty() || late {
                run.unanswered = self.give_up()?;
                break;
            }
            for number in events.drain(..) {
                // No more than what was asked before: who is answered at once is not to ask again and again while the
                // answers of others wait here.
                for _ in 0..window {
                    let Some(connection) = self.connections.get_mut(number) else { break };
                    let Some(kind) = connection.read(&mut self.buffer)? else { break };
                    let now = Instant::now();
                    match kind {
                        // rsplib's does so when the kernel has no room for an answer. A user begins anew.
                        Kind::Ended(why) => {
                            run.resets += 1;
                            if run.resets > RESETS {
                                bail!("{} ends one association after the other: {why}", self.server);
                            }
                            connection.socket = Some(watched(&self.poll, number, self.from, self.server)?);
                            connection.unsent.clear();
                            for asked in std::mem::take(&mut connection.due) {
                                ask(number, &mut request);
                                connection.send(asked, &request)?;
                            }
                        }
                        Kind::KeepAlive => self.kept_alive += 1,
                        Kind::Removed => self.removed += 1,
                        Kind::Answer => {
                            let Some(asked) = connection.due.pop_front() else {
                                bail!("{} answers what was not asked", self.server);
                            };
                            check(&self.buffer)?;
                            connection.flush()?;
                            if end.is_none_or(|end| now <= end) {
                                run.answers += 1;
                                run.octets += self.buffer.len() as u64;
                                run.latencies.push(now - asked);
                                last = now;
                            }
                            if sent < most && end.is_none_or(|end| now < end) {
                                sent += 1;
                                ask(number, &mut request);
                                connection.send(now, &request)?;
                            }
                        }
                    }
                }
            }
        }
        run.time = end.map_or(last, |end| end) - begun;
        Ok(run)
    }

    /// Sets up anew each association with which an answer is due; how many answers that were.
    fn give_up(&mut self) -> Result<u64> {
        let mut unanswered = 0;
        for (number, connection) in self.connections.iter_mut().enumerate() {
            unanswered += connection.due.len() as u64;
            connection.unsent.clear();
            if !std::mem::take(&mut connection.due).is_empty() {
                connection.socket = Some(watched(&self.poll, number, self.from, self.server)?);
            }
        }
        Ok(unanswered)
    }

    /// Answers keep-alives for so long.
    pub(super) fn keep_alive(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut events = Vec::with_capacity(256);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.wait(&mut events, left)?;
            for number in events.drain(..) {
                // What comes meanwhile waits for the next round, so that nobody is starved.
                for _ in 0..AT_ONCE {
                    let Some(connection) = self.connections.get_mut(number) else { break };
                    match connection.read(&mut self.buffer)? {
                        None => break,
                        Some(Kind::KeepAlive) => self.kept_alive += 1,
                        Some(Kind::Removed | Kind::Answer) => self.removed += 1,
                        Some(Kind::Ended(_)) => connection.socket = None,
                    }
                }
            }
        }
    }

    /// Answers keep-alives until it is over.
    pub(super) fn keep_alive_until(&mut self, over: &AtomicBool) -> Result<()> {
        while !over.load(Ordering::SeqCst) {
            self.keep_alive(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// The numbers of the associations that can be read.
    fn wait(&self, ready: &mut Vec<usize>, limit: Duration) -> Result<()> {
        let limit = rustix::event::Timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let mut events = Vec::with_capacity(256);
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }
}

/// What was read.
enum Kind {
    Answer,
    /// An element is told that it is not registered any more; nothing here asks for that.
    Removed,
    /// It is answered.
    KeepAlive,
    Ended(io::Error),
}

impl Connection {
    fn send(&mut self, now: Instant, request: &[u8]) -> Result<()> {
        self.due.push_back(now);
        if !self.unsent.is_empty() || !self.try_send(request)? {
            self.unsent.push_back(request.to_vec());
        }
        Ok(())
    }

    /// Sends what had no room before. What is read made it.
    fn flush(&mut self) -> Result<()> {
        while let Some(request) = self.unsent.pop_front() {
            if !self.try_send(&request)? {
                self.unsent.push_front(request);
                break;
            }
        }
        Ok(())
    }

    /// Whether there was room for it.
    fn try_send(&self, request: &[u8]) -> Result<bool> {
        let Some(socket) = &self.socket else { bail!("an association was ended by the server") };
        match socket.send(&SendInfo { ppid: wire::PPID, ..SendInfo::default() }, request) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            // That it has ended is read, too.
            _ => Ok(true),
        }
    }

    /// The next message, if there is one; a keep-alive is answered.
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Kind>> {
        let Some(socket) = &self.socket else { return Ok(None) };
        match socket.recv(buffer) {
            Ok(Some(Received::Message(_))) => {}
            Ok(Some(_)) => bail!("the server sent something that is no message"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Ok(None) => return Ok(Some(Kind::Ended(io::ErrorKind::UnexpectedEof.into()))),
            Err(error) => return Ok(Some(Kind::Ended(error))),
        }
        match buffer.first() {
            Some(kind) if *kind == MessageType::ENDPOINT_KEEP_ALIVE.0 => {}
            Some(kind) if *kind == MessageType::DEREGISTRATION_RESPONSE.0 => return Ok(Some(Kind::Removed)),
            _ => return Ok(Some(Kind::Answer)),
        }
        if let Message::EndpointKeepAlive { handle, id: Some(id), .. } = wire::decode(buffer)?.message {
            let answer = Message::EndpointKeepAliveAck { handle, id }.encode();
            match socket.send(&SendInfo { ppid: wire::PPID, ..SendInfo::default() }, &answer) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Ok(Some(Kind::Ended(error)));
                }
                _ => {}
            }
        }
        Ok(Some(Kind::KeepAlive))
    }
}

/// Looks whether an answer is a REGISTRATION_RESPONSE that accepts.
pub(super) fn accepted(answer: &[u8]) -> Result<()> {
    ensure!(
        matches!(answer, [kind, flags, ..] if *kind == MessageType::REGISTRATION_RESPONSE.0 && flags & 1 == 0),
        "a registration was refused: {answer:02x?}"
    );
    Ok(())
}

/// Looks whether an answer is a HANDLE_RESOLUTION_RESPONSE, every so often whether it names so many elements.
pub(super) fn resolved(count: usize) -> impl FnMut(&[u8]) -> Result<()> {
    let mut seen = 0u32;
    move |answer| {
        seen = seen.wrapping_add(1);
        if seen % 64 != 1 {
            let kind = answer.first().copied();
            ensure!(kind == Some(MessageType::HANDLE_RESOLUTION_RESPONSE.0), "no answer: {answer:02x?}");
            return Ok(());
        }
        let named = elements(answer)?;
        ensure!(named == count, "{named} elements were named, not {count}");
        Ok(())
    }
}

/// How many elements a response names.
pub(super) fn elements(answer: &[u8]) -> Result<usize> {
    match wire::decode(answer)?.message {
        Message::HandleResolutionResponse { elements, .. } => Ok(elements.len()),
        other => bail!("no answer to a resolution: {other:?}"),
    }
}
