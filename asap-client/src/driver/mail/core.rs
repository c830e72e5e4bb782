//! What a mailbox's calls and its task share: the machine, and the socket's associations.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, Received, SendInfo};
use std::os::fd::AsFd;
use tokio::sync::Notify;

use super::super::{RegistrarClient, ResolveError};
use super::{Config, SendError};
use crate::mail::{Event, Input, Mail, Options, Output, To};
use crate::pool_user::Answer;
use crate::wire::PoolHandle;

/// Messages that are read before something else has a turn.
const AT_ONCE: usize = 64;

/// What an event costs besides its octets.
const OVERHEAD: usize = 64;

/// What comes next for the task.
pub(super) struct Outlook {
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) timeout: Option<Instant>,
    pub(super) broken: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) socket: AsyncSocket,
    core: Mutex<Core>,
    longest: usize,
    /// The task has something to do.
    pub(super) wake: Notify,
    /// Something is there for the program to read.
    pub(super) news: Notify,
    /// There is room for messages that were refused.
    pub(super) room: Notify,
    /// Nothing is under way any more.
    pub(super) settled: Notify,
}

/// What was not delivered over an association that is ending.
#[derive(Debug, Default)]
struct Ending {
    undelivered: Vec<u32>,
    graceful: bool,
    over: bool,
}

#[derive(Debug)]
struct Core {
    machine: Mail,
    links: HashMap<u64, AssocId>,
    assocs: HashMap<AssocId, u64>,
    visitors: u64,
    /// What the kernel has no room for as yet.
    unsent: VecDeque<(u64, SendInfo, Bytes)>,
    endings: BTreeMap<u64, Ending>,
    events: VecDeque<Event>,
    unread: usize,
    unread_limit: usize,
    octets: Vec<u8>,
    wishes: Vec<Output>,
    /// There is room for messages that were refused, and nobody was told.
    room: bool,
    broken: Option<io::ErrorKind>,
    planned: Option<Instant>,
}

impl Shared {
    pub(super) fn new(socket: AsyncSocket, config: &Config) -> Self {
        let core = Core {
            machine: Mail::new(config.mail.clone()),
            links: HashMap::new(),
            assocs: HashMap::new(),
            visitors: Mail::VISITORS,
            unsent: VecDeque::new(),
            endings: BTreeMap::new(),
            events: VecDeque::new(),
            unread: 0,
            unread_limit: config.unread,
            octets: Vec::new(),
            wishes: Vec::new(),
            room: false,
            broken: None,
            planned: None,
        };
        Self {
            socket,
            core: Mutex::new(core),
            longest: config.longest,
            wake: Notify::new(),
            news: Notify::new(),
            room: Notify::new(),
            settled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the machine do something, and does what it wants then.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Mail, Instant) -> T) -> T {
        let mut core = self.lock();
        let done = act(&mut core.machine, Instant::now());
        self.carry_out(core);
        done
    }

    /// Does what the machine wants, as far as that needs no waiting, and tells whoever waits.
    fn carry_out(&self, mut core: MutexGuard<'_, Core>) {
        core.transmit(&self.socket);
        let room = std::mem::take(&mut core.room);
        let sooner = match (core.machine.poll_timeout(), core.planned) {
            (Some(due), Some(planned)) => due < planned,
            (due, _) => due.is_some(),
        };
        let wakes = sooner || !core.wishes.is_empty() || !core.unsent.is_empty();
        let (news, settled) = (!core.events.is_empty(), core.machine.is_settled());
        drop(core);
        if wakes {
            self.wake.notify_one();
        }
        if news {
            self.news.notify_waiters();
        }
        if room {
            self.room.notify_waiters();
        }
        if settled {
            self.settled.notify_waiters();
        }
    }

    pub(super) fn send(
        &self,
        now: Instant,
        to: To,
        octets: Bytes,
        options: Options,
    ) -> Result<u64, SendError> {
        let longest = self.longest;
        if octets.len() > longest {
            return Err(SendError::TooLong { octets: octets.len(), longest });
        }
        Ok(self.with(|machine, _| machine.send(now, to, octets, options))?)
    }

    /// What the program is told next.
    pub(super) fn take(&self) -> io::Result<Option<Event>> {
        let mut core = self.lock();
        let was_full = core.is_full();
        let event = core.events.pop_front();
        core.unread -= event.as_ref().map_or(0, cost);
        let (reads_again, broken) = (was_full && !core.is_full(), core.broken);
        drop(core);
        if reads_again {
            self.wake.notify_one();
        }
        match (event, broken) {
            (None, Some(kind)) => Err(kind.into()),
            (event, _) => Ok(event),
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        let core = self.lock();
        core.machine.is_settled() || core.broken.is_some()
    }

    /// The pools that are to be resolved; the registrar is told of elements that cannot be reached.
    pub(super) fn wishes(&self, registrar: &RegistrarClient) -> Vec<(PoolHandle, Duration)> {
        let wishes = std::mem::take(&mut self.lock().wishes);
        let mut pools = Vec::new();
        for wish in wishes {
            match wish {
                Output::Resolve(handle, fresh) => pools.push((handle, fresh)),
                Output::Unreachable(handle, id) => registrar.unreachable(handle, id),
                _ => {}
            }
        }
        pools
    }

    pub(super) fn resolved(&self, handle: PoolHandle, answer: Result<Answer, ResolveError>) {
        let input = match answer {
            Ok(answer) => Input::Pool(handle, answer),
            Err(_) => Input::Unanswered(handle),
        };
        self.with(|machine, now| machine.handle(now, input));
    }

    pub(super) fn outlook(&self) -> Outlook {
        let mut core = self.lock();
        core.planned = core.machine.poll_timeout();
        Outlook {
            reads: !core.is_full(),
            writes: !core.unsent.is_empty(),
            timeout: core.planned,
            broken: core.broken.is_some(),
        }
    }

    pub(super) fn time_out(&self) {
        self.read();
        self.with(|machine, now| machine.handle_timeout(now));
    }

    pub(super) fn flush(&self) {
        let mut core = self.lock();
        core.flush(&self.socket);
        self.carry_out(core);
    }

    /// Reads what has come.
    pub(super) fn read(&self) {
        let mut core = self.lock();
        for _ in 0..AT_ONCE {
            if core.is_full() {
                break;
            }
            let mut octets = std::mem::take(&mut core.octets);
            let received = self.socket.try_recv(&mut octets);
            let goes_on = match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                received => core.received(&self.socket, received, &octets),
            };
            core.octets = octets;
            if !goes_on {
                core.ended();
                break;
            }
        }
        self.carry_out(core);
    }
}

impl Core {
    fn is_full(&self) -> bool {
        self.unread >= self.unread_limit
    }

    fn give(&mut self, input: Input) {
        self.machine.handle(Instant::now(), input);
    }

    fn transmit(&mut self, socket: &AsyncSocket) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Open { link, remote } => match socket.get_ref().connectx(&remote) {
                    Ok(assoc) => {
                        self.links.insert(link, assoc);
                        self.assocs.insert(assoc, link);
                    }
                    Err(error) => {
                        tracing::debug!(?remote, %error, "no association can be set up");
                        self.give(Input::Down { link, undelivered: Vec::new(), graceful: false });
                    }
                },
                Output::Send { link, copy, ppid, unordered, octets } => {
                    let Some(assoc) = self.links.get(&link) else { continue };
                    let info = SendInfo { ppid, context: copy, assoc: *assoc, ..SendInfo::default() };
                    let info = if unordered { info.unordered() } else { info };
                    self.unsent.push_back((link, info, octets));
                }
                Output::Shutdown(link) => {
                    if let Some(assoc) = self.forget(link) {
                        let _gone = socket.get_ref().shutdown_assoc(assoc);
                    }
                }
                Output::Abort(link) => {
                    if let Some(assoc) = self.forget(link) {
                        let _gone = socket.get_ref().abort(assoc);
                    }
                }
                Output::Event(Event::Room) => self.room = true,
                Output::Event(event) => {
                    self.unread += cost(&event);
                    self.events.push_back(event);
                }
                wish @ (Output::Resolve(..) | Output::Unreachable(..)) => self.wishes.push(wish),
            }
        }
        self.flush(socket);
    }

    fn forget(&mut self, link: u64) -> Option<AssocId> {
        let assoc = self.links.remove(&link)?;
        self.assocs.remove(&assoc);
        self.unsent.retain(|(to, ..)| *to != link);
        self.endings.remove(&link);
        Some(assoc)
    }

    fn flush(&mut self, socket: &AsyncSocket) {
        while let Some((link, info, octets)) = self.unsent.front() {
            match socket.try_send(info, octets) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) => {}
                // The association is ending, and says so itself.
                Err(error) => {
                    tracing::debug!(%error, "a message cannot be sent");
                    self.endings.entry(*link).or_default().undelivered.push(info.context);
                }
            }
            self.unsent.pop_front();
        }
    }

    /// Whether reading can go on.
    fn received(
        &mut self,
        socket: &AsyncSocket,
        received: io::Result<Option<Received>>,
        octets: &[u8],
    ) -> bool {
        // What an ended association has not delivered comes right behind its end.
        if !matches!(received, Ok(Some(Received::Notification(Notification::SendFailed { .. })))) {
            self.ended();
        }
        match received {
            Ok(Some(Received::Message(info))) => {
                if let Some(link) = self.assocs.get(&info.assoc).copied() {
                    let octets = Bytes::copy_from_slice(octets);
                    self.give(Input::Data { link, ppid: info.ppid, octets });
                    self.transmit(socket);
                }
            }
            Ok(Some(Received::Notification(notification))) => self.notified(socket, &notification),
            Ok(Some(Received::TooLong { length, .. })) => {
                tracing::debug!(length, "a message that is too long")
            }
            // A notification that is none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Ok(None) => self.broken = Some(io::ErrorKind::UnexpectedEof),
            Err(error) => self.broken = Some(error.kind()),
        }
        self.broken.is_none()
    }

    fn notified(&mut self, socket: &AsyncSocket, notification: &Notification) {
        match notification {
            Notification::AssocChange { state, assoc, .. } => self.changed(socket, *assoc, *state),
            Notification::Shutdown { assoc } => {
                if let Some(link) = self.assocs.get(assoc) {
                    self.endings.entry(*link).or_default().graceful = true;
                }
            }
            Notification::SendFailed { message, assoc, .. } => {
                if let Some(link) = self.assocs.get(assoc) {
                    self.endings.entry(*link).or_default().undelivered.push(message.context);
                }
            }
            Notification::SenderDry { assoc } => {
                // More may have been sent since the kernel said so.
                let dry = sockopt::status(socket.as_fd(), *assoc).is_ok_and(|status| status.unacked == 0);
                if let Some(link) = self.assocs.get(assoc).copied().filter(|_| dry)
                    && !self.unsent.iter().any(|(to, ..)| *to == link)
                    && !self.endings.contains_key(&link)
                {
                    self.give(Input::Dry(link));
                }
            }
            _ => {}
        }
    }

    fn changed(&mut self, socket: &AsyncSocket, assoc: AssocId, state: AssocChange) {
        let known = self.assocs.get(&assoc).copied();
        match (state, known) {
            (AssocChange::CommUp, Some(link)) => self.give(Input::Up(link)),
            (AssocChange::CommUp, None) => self.visitor(socket, assoc),
            // Perhaps another program by now. What the one before has not acknowledged, it has not got.
            (AssocChange::Restart, Some(link)) => {
                self.endings.entry(link).or_default().over = true;
                self.ended();
                self.visitor(socket, assoc);
            }
            (AssocChange::CommLost | AssocChange::ShutdownComplete | AssocChange::CantStart, Some(link)) => {
                self.endings.entry(link).or_default().over = true;
            }
            _ => {}
        }
        self.transmit(socket);
    }

    fn visitor(&mut self, socket: &AsyncSocket, assoc: AssocId) {
        // It may have gone already.
        let Ok(peers) = socket.get_ref().peer_addrs(assoc) else { return };
        let canonical =
            |peer: &std::net::SocketAddr| std::net::SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let link = self.visitors;
        self.visitors += 1;
        self.links.insert(link, assoc);
        self.assocs.insert(assoc, link);
        self.give(Input::Visitor(link, peers.iter().map(canonical).collect()));
    }

    /// All that the kernel gives back of associations that have ended has been read: the machine is told.
    fn ended(&mut self) {
        let over: Vec<u64> =
            self.endings.iter().filter(|(_, ending)| ending.over).map(|(link, _)| *link).collect();
        for link in over {
            let Ending { mut undelivered, graceful, .. } = self.endings.remove(&link).unwrap_or_default();
            // What the kernel has not even got.
            undelivered
                .extend(self.unsent.iter().filter(|(to, ..)| *to == link).map(|(_, info, _)| info.context));
            self.forget(link);
            self.give(Input::Down { link, undelivered, graceful });
        }
    }
}

fn cost(event: &Event) -> usize {
    OVERHEAD
        + match event {
            Event::Received { octets, .. } | Event::Failed { octets, .. } => octets.len(),
            Event::Room => 0,
        }
}
