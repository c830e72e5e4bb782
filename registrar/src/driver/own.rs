//! Sockets of one association each.
//!
//! All associations of a one-to-many socket are read in the order in which their messages came, and share its buffers:
//! behind ten thousand questions of one lies what another one says. So whoever sends more than is read at once, and
//! whoever does not take what it is sent, gets a socket of its own. Those are read in turns, a little at a time; and one
//! that has enough waiting here is not read at all, until its own kernel has to wait.

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use sctp_sys::{AssocId, Socket, sockopt};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::reading::Reading;
use crate::numbered::Numbered;

/// What is asked for as the kernel's buffers of one of them: what comes of a client that asks without end, and what one
/// that does not read is sent. The largest message goes into it whole.
const BUFFER: u32 = 128 << 10;

/// Readiness that is taken from the kernel at once.
const EVENTS: usize = 64;

/// Whether one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is read when its turn comes.
    Waits,
    /// There is nothing to be read.
    Empty,
    /// It is not to be read now, whatever there is.
    Held,
}

/// One of them.
#[derive(Debug)]
pub(super) struct One {
    pub(super) socket: Socket,
    pub(super) assoc: AssocId,
    pub(super) reading: Reading,
    turn: Turn,
    /// Whether the kernel is asked to tell of room to send.
    asks: bool,
}

impl One {
    /// There is more to be read of it than was read in its turn.
    pub(super) fn goes_on(&mut self, now: Instant) {
        self.reading.goes_on(now, || sockopt::unread_at_most(self.socket.as_fd()).ok());
    }
}

/// What the kernel told of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) index: usize,
    /// There is room to send.
    pub(super) room: bool,
    /// It has ended, and is not to be read.
    pub(super) ended: bool,
}

/// All of them, by numbers that are never given out twice.
#[derive(Debug)]
pub(super) struct Own {
    watch: OwnedFd,
    sockets: Numbered<usize, One>,
    turns: VecDeque<usize>,
    next: usize,
    most: usize,
    /// Until when those are known to be empty that are not known to have something.
    heard: Instant,
}

impl Own {
    /// None yet; their numbers begin with `first`, and there may be `most`.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new(now: Instant, first: usize, most: usize) -> io::Result<Self> {
        let watch = epoll::create(CreateFlags::CLOEXEC)?;
        let (sockets, turns) = Default::default();
        Ok(Self { watch, sockets, turns, next: first, most, heard: now })
    }

    /// Takes an association out of the socket that it shares with others; its number here. All that there is to be read
    /// of it goes along: what had come until `until` has been read.
    ///
    /// # Errors
    /// The system's, and that there are as many as there may be.
    pub(super) fn take(&mut self, until: Instant, from: &Socket, assoc: AssocId) -> io::Result<usize> {
        if self.sockets.len() >= self.most {
            return Err(io::Error::other("as many associations have sockets of their own as may have one"));
        }
        let socket = from.peel_off(assoc)?;
        socket.set_nonblocking(true)?;
        // Without that it has what it shared before, which harms nobody but this host's memory.
        let _ = sockopt::set_receive_buffer(socket.as_fd(), BUFFER);
        let _ = sockopt::set_send_buffer(socket.as_fd(), BUFFER);
        let index = self.next;
        epoll::add(&self.watch, &socket, EventData::new_u64(index as u64), EventFlags::IN | EventFlags::ET)?;
        self.next += 1;
        self.turns.push_back(index);
        let one = One { socket, assoc, reading: Reading::new(until), turn: Turn::Waits, asks: false };
        self.sockets.insert(index, one);
        Ok(index)
    }

    pub(super) fn get(&self, index: usize) -> Option<&One> {
        self.sockets.get(&index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut One> {
        self.sockets.get_mut(&index)
    }

    /// It is no more.
    pub(super) fn close(&mut self, index: usize) {
        self.sockets.remove(&index);
    }

    /// What is to be waited for: it can be read when the kernel has something to tell of one.
    pub(super) fn watch(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Hears what the kernel tells at some time after this one, and says of which ones; whether that was all.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn hear(&mut self, since: Instant, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.watch, rustix::buffer::spare_capacity(&mut events), Some(&NOW)) {
            Err(rustix::io::Errno::INTR) => return Ok(false),
            other => other?,
        };
        for event in &events {
            let (flags, data) = (event.flags, event.data);
            let Ok(index) = usize::try_from(data.u64()) else { continue };
            let Some(one) = self.sockets.get_mut(&index) else { continue };
            // Whatever is told but room is found out by reading.
            if flags != EventFlags::OUT && one.turn == Turn::Empty {
                one.turn = Turn::Waits;
                self.turns.push_back(index);
            }
            let ended = one.turn == Turn::Held && flags.contains(EventFlags::ERR);
            ready.push(Ready { index, room: flags.contains(EventFlags::OUT), ended });
        }
        let all = events.len() < EVENTS;
        if all {
            self.told_nothing(since);
        }
        Ok(all)
    }

    /// The kernel had nothing to tell at some time after this one.
    pub(super) fn told_nothing(&mut self, since: Instant) {
        self.heard = self.heard.max(since);
    }

    /// Until when all has been read that had come to one of them.
    pub(super) fn read_until(&self, index: usize) -> Option<Instant> {
        let one = self.sockets.get(&index)?;
        let until = one.reading.until();
        Some(if one.turn == Turn::Empty { until.max(self.heard) } else { until })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// How many wait to be read.
    pub(super) fn waiting(&self) -> usize {
        self.turns.len()
    }

    /// The one whose turn it is. It is to be put back, unless it is closed: by [`Self::again`], [`Self::hold`] or
    /// [`Self::empty`].
    pub(super) fn turn(&mut self) -> Option<usize> {
        loop {
            let index = self.turns.pop_front()?;
            if self.sockets.contains_key(&index) {
                return Some(index);
            }
        }
    }

    /// There is more to be read of it.
    pub(super) fn again(&mut self, index: usize) {
        if self.sockets.contains_key(&index) {
            self.turns.push_back(index);
        }
    }

    /// It is not to be read until [`Self::release`].
    pub(super) fn hold(&mut self, index: usize) {
        if let Some(one) = self.sockets.get_mut(&index) {
            one.turn = Turn::Held;
        }
    }

    /// It may be read again.
    pub(super) fn release(&mut self, index: usize) {
        if let Some(one) = self.sockets.get_mut(&index).filter(|one| one.turn == Turn::Held) {
            one.turn = Turn::Waits;
            self.turns.push_back(index);
        }
    }

    /// There was nothing to be read at some time after this one.
    pub(super) fn empty(&mut self, index: usize, since: Instant) {
        if let Some(one) = self.sockets.get_mut(&index) {
            one.turn = Turn::Empty;
            one.reading.was_empty(since);
        }
    }

    /// Whether the kernel is to tell of room to send. If there is some, it tells so at once.
    pub(super) fn ask_for_room(&mut self, index: usize, on: bool) {
        let Some(one) = self.sockets.get_mut(&index).filter(|one| one.asks != on) else { return };
        let room = if on { EventFlags::OUT } else { EventFlags::empty() };
        let flags = EventFlags::IN | EventFlags::ET | room;
        match epoll::modify(&self.watch, &one.socket, EventData::new_u64(index as u64), flags) {
            Ok(()) => one.asks = on,
            Err(error) => tracing::warn!(%error, "room to send cannot be asked for"),
        }
    }
}

const NOW: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
