//! What the program's calls and the session's task share: the machine, its association, and what is for the program.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use sctp_sys::Received;
use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::tokio::AsyncSocket;
use tokio::sync::Notify;

use super::SendError;
use super::config::Lost;
use super::link::{Link, Means};
use crate::session::user::{Down, Event, Input, Output, Refused, SendOptions, User};
use crate::wire::{PPID, PoolElement};

/// Messages that are read before others have their turn.
const AT_ONCE: usize = 64;

/// What an event costs besides its octets.
const OVERHEAD: usize = 64;

/// Messages of the control channel that may wait to be sent before the element is not listened to any more.
const ANSWERS: usize = 16;

/// What only the task can do.
#[derive(Debug)]
pub(super) enum Todo {
    Output(Output),
    Decide(Lost),
}

#[derive(Debug)]
pub(super) struct Core {
    machine: User,
    means: Means,
    unread_limit: usize,
    /// The task asks a function of the program what to do about a loss.
    asks: bool,
    link: Option<Link>,
    todo: VecDeque<Todo>,
    lost: Option<Lost>,
    events: VecDeque<Event>,
    unread: usize,
    end: Option<Event>,
    /// When the task will let timers act by itself, and whether it waits for room to send.
    planned: Option<Instant>,
    sending: bool,
    octets: Vec<u8>,
    /// Those who wait for room are to try again.
    has_room: bool,
    gone: bool,
}

/// What the task waits for.
pub(super) struct Outlook {
    pub(super) socket: Option<Arc<AsyncSocket>>,
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) timeout: Option<Instant>,
    pub(super) over: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    /// For the task: there is something to do.
    pub(super) wake: Notify,
    /// For one who receives.
    pub(super) news: Notify,
    /// For all who send.
    pub(super) room: Notify,
    end: Notify,
}

impl Shared {
    pub(super) fn new(machine: User, means: Means, unread_limit: usize, asks: bool) -> Self {
        let core = Core {
            machine,
            means,
            unread_limit,
            asks,
            link: None,
            todo: VecDeque::new(),
            lost: None,
            events: VecDeque::new(),
            unread: 0,
            end: None,
            planned: None,
            sending: false,
            octets: Vec::new(),
            has_room: false,
            gone: false,
        };
        let [wake, news, room, end] = std::array::from_fn(|_| Notify::new());
        Self { core: Mutex::new(core), wake, news, room, end }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the core do something, and tells whom it concerns.
    fn with<T>(&self, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = self.lock();
        let done = act(&mut core);
        core.transmit();
        let told = !core.events.is_empty() || core.end.is_some();
        let (wanted, room) = (core.wants_task(), std::mem::take(&mut core.has_room));
        drop(core);
        if room {
            self.room.notify_waiters();
        }
        if told {
            self.news.notify_one();
        }
        if wanted {
            self.wake.notify_one();
        }
        done
    }

    pub(super) fn ask<T>(&self, question: impl FnOnce(&User) -> T) -> T {
        question(&self.lock().machine)
    }

    pub(super) fn give(&self, input: Input) {
        self.with(|core| core.give(input));
    }

    pub(super) fn send(&self, now: Instant, octets: Bytes, options: SendOptions) -> Result<u64, SendError> {
        self.with(|core| {
            let longest = core.means.longest;
            if octets.len() > longest {
                return Err(SendError::TooLong { octets: octets.len(), longest });
            }
            core.machine.handle(now, Input::Send { octets, options })?;
            Ok(core.machine.taken())
        })
    }

    /// The next event for the program.
    pub(super) fn take(&self) -> Option<Event> {
        let mut core = self.lock();
        let was_full = core.is_full();
        let event = core.events.pop_front().inspect(|event| core.unread -= cost(event));
        let event = event.or_else(|| core.end.clone());
        let (more, has_room) = (!core.events.is_empty() || core.end.is_some(), was_full && !core.is_full());
        drop(core);
        if more {
            self.news.notify_one();
        }
        if has_room {
            self.wake.notify_one();
        }
        event
    }

    /// What the task has to do before it waits.
    pub(super) fn next_todo(&self) -> Option<Todo> {
        self.with(|core| {
            core.transmit();
            if core.link.as_ref().is_some_and(|link| link.line.is_broken()) {
                core.lose(Down::Lost);
                core.transmit();
            }
            core.todo.pop_front()
        })
    }

    pub(super) fn outlook(&self) -> Outlook {
        let mut core = self.lock();
        let full = core.is_full();
        let timeout = core.machine.poll_timeout();
        let writes = core.link.as_ref().is_some_and(|link| !link.line.is_clear());
        (core.planned, core.sending) = (timeout, writes);
        let line = core.link.as_ref().map(|link| &link.line);
        Outlook {
            socket: line.map(|line| Arc::clone(line.socket())),
            reads: !full && line.is_none_or(|line| line.unsent().count() < ANSWERS),
            writes,
            timeout: timeout.filter(|_| !full),
            over: core.machine.is_over() && core.link.is_none(),
        }
    }

    /// Reads what has come.
    pub(super) fn read(&self) {
        self.with(Core::read);
    }

    /// Sends what waits.
    pub(super) fn flush(&self) {
        self.with(|core| core.link.as_mut().map(|link| link.line.flush()));
    }

    /// Lets timers act, once all that has come in time is read.
    pub(super) fn time_out(&self) {
        self.with(|core| {
            core.read();
            core.machine.handle_timeout(Instant::now());
        });
    }

    pub(super) fn open(&self, id: u64, element: &PoolElement) {
        self.with(|core| match Link::open(id, element, &core.means) {
            Ok(link) => core.link = Some(link),
            Err(error) => {
                tracing::debug!(element = element.id, %error, "no association can be set up");
                core.give(Input::Down(id, Down::Lost));
            }
        });
    }

    /// What associations are made from, from now on; none: the host is offline.
    pub(super) fn set_local(&self, local: Vec<IpAddr>) {
        self.with(|core| {
            let online = !local.is_empty();
            // Who begins from all that the host has does so from all that it has then.
            if online && !core.means.local.is_empty() {
                core.means.local = local;
            }
            core.give(Input::Online(online));
        });
    }

    /// Aborts an association, of which the kernel gives back what it has not delivered.
    pub(super) fn abort(&self, id: u64) {
        self.with(|core| {
            if core.link.as_ref().is_some_and(|link| link.id == id) {
                core.lose(Down::Lost);
            }
        });
    }

    /// An association that is to be shut down.
    pub(super) fn release(&self, id: u64) -> Option<Link> {
        let mut core = self.lock();
        core.link.take_if(|link| link.id == id)
    }

    /// The task ends.
    pub(super) fn go(&self) {
        self.lock().gone = true;
        self.end.notify_waiters();
    }

    /// Waits until the task has ended.
    pub(super) async fn gone(&self) {
        let end = self.end.notified();
        let mut end = std::pin::pin!(end);
        end.as_mut().enable();
        if !self.lock().gone {
            end.await;
        }
    }
}

impl Core {
    fn give(&mut self, input: Input) {
        // Only a message of the program can be refused, and that is given elsewhere.
        let _taken: Result<(), Refused> = self.machine.handle(Instant::now(), input);
    }

    fn is_full(&self) -> bool {
        self.unread >= self.unread_limit
    }

    /// Is there something that only the task can do, or sooner than it plans?
    fn wants_task(&self) -> bool {
        let waits = !self.sending && self.link.as_ref().is_some_and(|link| !link.line.is_clear());
        let sooner = match (self.machine.poll_timeout(), self.planned) {
            (Some(due), Some(planned)) => due < planned,
            (due, _) => due.is_some(),
        };
        !self.todo.is_empty() || waits || sooner || self.machine.is_over()
    }

    /// Does what can be done without waiting, and leaves the rest to the task.
    fn transmit(&mut self) {
        loop {
            let free = self.link.as_ref().is_none_or(|link| link.line.is_clear());
            let output = if free { self.machine.poll_output() } else { self.machine.poll_urgent() };
            match output {
                None => return,
                Some(Output::Data { link, message }) => {
                    if let Some(present) = self.link.as_mut().filter(|present| present.id == link) {
                        present.send(message);
                    }
                }
                Some(Output::Control { link, octets }) => {
                    if let Some(present) = self.link.as_mut().filter(|present| present.id == link) {
                        present.control(octets);
                    }
                }
                Some(Output::Look(link)) => self.look(link),
                Some(Output::Probe(link)) => {
                    if let Some(present) = self.link.as_ref().filter(|present| present.id == link) {
                        present.line.probe();
                    }
                }
                Some(Output::Event(event)) => self.tell(event),
                Some(output) => self.todo.push_back(Todo::Output(output)),
            }
        }
    }

    fn look(&mut self, link: u64) {
        let present = self.link.as_ref().filter(|present| present.id == link);
        // Of an association that has ended nothing can be said but that.
        if let Some((packets, unacknowledged)) = present.and_then(|present| present.line.look().ok()) {
            self.give(Input::Looked { link, packets, unacknowledged });
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Room => {
                self.has_room = true;
                return;
            }
            Event::Lost { id, why, cookie } => self.lost = Some(Lost { id, why, cookie }),
            Event::Decide if self.asks => {
                self.todo.extend(self.lost.take().map(Todo::Decide));
                return;
            }
            Event::Ended(_) => {
                (self.end, self.has_room) = (Some(event), true);
                return;
            }
            _ => {}
        }
        self.unread += cost(&event);
        self.events.push_back(event);
    }

    fn read(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(link) = self.link.as_ref().filter(|_| !self.is_full()) else { return };
            let socket = Arc::clone(link.line.socket());
            let mut octets = std::mem::take(&mut self.octets);
            let received = socket.try_recv(&mut octets);
            let goes_on = match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                received => {
                    self.received(received, &octets);
                    true
                }
            };
            self.octets = octets;
            self.transmit();
            if !goes_on {
                return;
            }
        }
    }

    fn received(&mut self, received: io::Result<Option<Received>>, octets: &[u8]) {
        let Some(id) = self.link.as_ref().map(|link| link.id) else { return };
        match received {
            Ok(Some(Received::Message(info))) => self.message(id, info.ppid, octets),
            Ok(Some(Received::Notification(notification))) => self.notified(id, notification),
            Ok(Some(Received::TooLong { length, .. })) => {
                tracing::debug!(length, "a message that is too long: the element is left");
                self.lose(Down::Lost);
            }
            // A notification that is none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Ok(None) | Err(_) => self.lose(Down::Lost),
        }
    }

    fn message(&mut self, link: u64, ppid: u32, octets: &[u8]) {
        let octets = Bytes::copy_from_slice(octets);
        self.give(match ppid {
            PPID => Input::Control { link, octets },
            ppid => Input::Data { link, ppid, octets },
        });
    }

    fn notified(&mut self, id: u64, notification: Notification) {
        match notification {
            Notification::AssocChange { state: AssocChange::CommUp, .. } => self.give(Input::Up(id)),
            Notification::AssocChange { state: AssocChange::Restart, .. } => self.give(Input::Restarted(id)),
            Notification::AssocChange { state, .. } => {
                if let Some(how) = ended(state) {
                    self.lose(how);
                }
            }
            Notification::Shutdown { .. } => self.lose(Down::Shutdown),
            Notification::PeerAddrChange { .. } => {
                if let Some(works) = self.link.as_ref().and_then(|link| link.line.is_reachable()) {
                    self.give(Input::Reachable(id, works));
                }
            }
            Notification::SendFailed { message, .. } => self.give_back(id, message.context),
            _ => {}
        }
    }

    fn give_back(&mut self, id: u64, context: u32) {
        if let Some(message) = self.link.as_mut().and_then(|link| link.given_back(context)) {
            self.give(Input::Undelivered(id, message));
        }
    }

    /// The association is lost, or not wanted any more: what came before is taken in, and what the kernel has not
    /// delivered. The kernel puts all of it into the socket's queue while it aborts.
    fn lose(&mut self, mut how: Down) {
        let Some(link) = &self.link else { return };
        let id = link.id;
        let socket = Arc::clone(link.line.socket());
        link.line.abort();
        let mut octets = Vec::new();
        loop {
            match socket.get_ref().recv(&mut octets) {
                Ok(Some(Received::Message(info))) => self.message(id, info.ppid, &octets),
                Ok(Some(Received::Notification(Notification::SendFailed { message, .. }))) => {
                    self.give_back(id, message.context);
                }
                Ok(Some(Received::Notification(Notification::Shutdown { .. }))) => how = Down::Shutdown,
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(None) | Err(_) => break,
            }
        }
        for message in self.link.as_mut().map(Link::unsent).unwrap_or_default() {
            self.give(Input::Undelivered(id, message));
        }
        self.link = None;
        self.give(Input::Down(id, how));
    }
}

fn ended(state: AssocChange) -> Option<Down> {
    match state {
        AssocChange::CommLost | AssocChange::CantStart => Some(Down::Lost),
        AssocChange::ShutdownComplete => Some(Down::Shutdown),
        AssocChange::CommUp | AssocChange::Restart | AssocChange::Other(_) => None,
    }
}

/// What an unread event costs.
fn cost(event: &Event) -> usize {
    OVERHEAD
        + match event {
            Event::Answer { octets, .. } | Event::Data { octets, .. } => octets.len(),
            Event::Returned(message) => message.octets.len(),
            _ => 0,
        }
}
