//! The loop: everything that can be read is read, up to a number, other registrars first; what keeps the pool alive is
//! handled at once, and then a few of the questions that wait.

use asap_client::wire;
use sctp_sys::{Received, sockopt};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

use super::{Place, Service};
use crate::driver::bell::Bell;
use crate::driver::command::Command;
use crate::driver::intake::may_wait;
use crate::driver::socket::Role;
use crate::machine::Input;
use crate::query::Query;
use crate::{Association, asap, enrp};

/// What is read from a socket in one round at most. A round is to be short: on a single processor nobody else has a turn
/// meanwhile.
const READS: usize = 64;

/// Questions that are answered in one round at most; and while a socket that many share has more to be read.
const ANSWERS: usize = 64;
const ANSWERS_BEHIND: usize = 16;

/// Questions of one association that are answered together: while answers of one do not leave, so many more may come.
const TOGETHER: usize = 4;

/// While questions come again as soon as they are answered, it is not looked for longer than this whether other sockets can
/// be read, and whether anything else is due.
pub(super) const UNLOOKED: Duration = Duration::from_millis(2);

/// Who sent so many messages one after the other asks alone.
const ALONE: u32 = 8;

/// A socket that cannot be read so often in a row is given up, and the registrar with it.
const FAILURES: u32 = 100;

/// What others in this program want.
struct Wishes {
    queries: mpsc::Receiver<Query>,
    commands: mpsc::Receiver<Command>,
}

impl Service {
    /// Serves until the bell says that it is over.
    ///
    /// # Errors
    /// A socket fails for good.
    pub(in crate::driver) fn run(
        mut self,
        queries: mpsc::Receiver<Query>,
        commands: mpsc::Receiver<Command>,
        bell: &Arc<Bell>,
    ) -> io::Result<()> {
        let waker = Waker::from(Arc::clone(bell));
        let mut wishes = Wishes { queries, commands };
        // Whoever was heard to have nothing rings when there is something.
        let mut all_heard = false;
        self.readable = vec![true; self.sockets.len() + 1];
        self.tell_where_we_are();
        while !bell.is_over() {
            self.now = Instant::now();
            let before = self.read;
            self.read()?;
            if bell.was_rung() || !all_heard {
                all_heard = self.hear(&mut wishes, &mut Context::from_waker(&waker));
            }
            if self.read == before || self.now >= self.wake_by {
                self.now = Instant::now();
                self.wake();
            }
            self.answer_waiting();
            let all_read = !self.readable.contains(&true) && self.own.waiting() == 0;
            let idle = all_heard && self.intake.is_empty() && all_read;
            if !idle {
                self.wait(bell, Some(Duration::ZERO))?;
            } else if self.read == before {
                self.wait(bell, self.idle_for())?;
            } else {
                self.let_others_go_on(bell)?;
            }
        }
        Ok(())
    }

    /// Whoever was answered may ask again at once, and on a busy processor does so now. While somebody sleeps until a socket
    /// can be read, the kernel looks at him with each packet that is acknowledged, once for each association of the
    /// socket: so where several ask, only the processor is left to them.
    fn let_others_go_on(&mut self, bell: &Bell) -> io::Result<()> {
        if let Some(index) = self.asks_alone() {
            while self.converse(index, bell)? {
                self.wait(bell, Some(Duration::ZERO))?;
                if self.readable.contains(&true) {
                    return Ok(());
                }
                self.wake();
            }
        } else {
            std::thread::yield_now();
        }
        if self.now >= self.look_by {
            return self.wait(bell, Some(Duration::ZERO));
        }
        let asap = self.sockets.iter().map(|(role, _)| *role == Role::Asap);
        self.readable.iter_mut().zip(asap).for_each(|(readable, asap)| *readable = asap);
        Ok(())
    }

    /// The socket over which one asks alone, if nobody is heard elsewhere who asks often.
    fn asks_alone(&self) -> Option<usize> {
        let place = self.last_heard.filter(|_| self.in_a_row >= ALONE)?;
        let alone = self.own.is_empty() && self.tcp.is_empty() && self.intake.is_empty();
        (alone && self.role(place) == Role::Asap).then_some(place.socket)
    }

    /// Serves one that asks alone: its next message is waited for where it comes, for a moment, which is quicker than to leave
    /// the processor to others and look. It ends when nothing comes, when somebody else is heard, or when something
    /// else has to be looked for; whether it might go on after that look.
    fn converse(&mut self, index: usize, bell: &Bell) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let until = self.look_by.min(self.wake_by);
        let mut goes_on = true;
        while goes_on
            && self.now < until
            && let Some((_, socket)) = self.sockets.get(index)
        {
            let received = socket.recv(&mut buffer);
            self.now = Instant::now();
            let came = self.take(index, received, &buffer)?;
            self.shares.was_empty();
            if !self.intake.is_empty() {
                self.answer_waiting();
            }
            goes_on = came && self.asks_alone() == Some(index) && !bell.is_rung();
        }
        if self.in_a_row == 0 {
            self.drain();
        }
        self.buffer = buffer;
        Ok(goes_on)
    }

    /// How long there is nothing to do of its own accord; `None`: for ever.
    fn idle_for(&self) -> Option<Duration> {
        let machine =
            self.registrar.poll_timeout().map(|at| self.unheard_look.map_or(at, |look| look.max(at)));
        let due = [machine, self.retry, self.next_announcement(), self.deaf_look];
        due.into_iter().flatten().min().map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits until there is something to be read, or for so long.
    fn wait(&mut self, bell: &Bell, limit: Option<Duration>) -> io::Result<()> {
        let before = Instant::now();
        self.look_by = before + UNLOOKED;
        let sockets = self.sockets.iter().map(|(_, socket)| socket.as_fd());
        bell.wait(sockets.chain([self.own.watch()]), &mut self.readable, limit)?;
        for (reading, readable) in self.readings.iter_mut().zip(&self.readable) {
            if !readable {
                reading.was_empty(before);
            }
        }
        if self.readable.last() == Some(&false) {
            self.own.told_nothing(before);
        }
        Ok(())
    }

    /// Reads what is there, within bounds.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        for role in [Role::Enrp, Role::Asap] {
            for index in 0..self.sockets.len() {
                if self.sockets[index].0 == role && self.readable.get(index) == Some(&true) {
                    let all = self.read_one(index, &mut buffer)?;
                    self.drain();
                    self.readable[index] = !all;
                }
            }
        }
        self.read_own(&mut buffer)?;
        self.buffer = buffer;
        Ok(())
    }

    /// Hears what comes from TCP connections and multicast groups, within bounds, and one wish of each kind; whether that
    /// was all.
    fn hear(&mut self, wishes: &mut Wishes, cx: &mut Context<'_>) -> bool {
        let mut all = true;
        if let Poll::Ready(Some(query)) = wishes.queries.poll_recv(cx) {
            self.answer(query);
            all = false;
        }
        if let Poll::Ready(Some(command)) = wishes.commands.poll_recv(cx) {
            self.obey(command);
            self.drain();
            all = false;
        }
        for _ in 0..READS {
            let (event, datagram) = (self.tcp.poll_next(cx), self.announcements.poll_next(cx));
            if event.is_pending() && datagram.is_pending() {
                return all;
            }
            if let Poll::Ready(event) = event {
                self.stream(event);
            }
            if let Poll::Ready(datagram) = datagram {
                self.announced(datagram);
            }
            self.drain();
        }
        false
    }

    /// Whether that was all, as far as can be expected: where few messages come at a time, and as many came as the last time,
    /// it is not looked whether there are more.
    fn read_one(&mut self, index: usize, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let expected = self.readings[index].expected(self.now);
        for count in 0..READS {
            if expected == Some(count) {
                self.shares.was_empty();
                return Ok(true);
            }
            let Some((_, socket)) = self.sockets.get(index) else { return Ok(true) };
            let received = socket.recv_now(buffer);
            if !self.take(index, received, buffer)? {
                self.readings[index].came(count);
                self.readings[index].was_empty(self.now);
                self.shares.was_empty();
                return Ok(true);
            }
        }
        self.readings[index].came(READS);
        let unread = || sockopt::unread_at_most(self.sockets[index].1.as_fd()).ok();
        self.readings[index].goes_on(self.now, unread);
        Ok(false)
    }

    /// Takes what was read from a socket; whether there was anything. One that can be read the next time had something.
    fn take(
        &mut self,
        index: usize,
        received: io::Result<Option<Received>>,
        bytes: &[u8],
    ) -> io::Result<bool> {
        match received {
            Ok(Some(received)) => {
                self.failures = 0;
                self.read += 1;
                self.readings[index].one();
                let from = match &received {
                    Received::Message(info) => Some(Place { socket: index, assoc: info.assoc }),
                    _ => None,
                };
                self.received(index, received, bytes);
                // Whoever alone asks again as soon as it is answered is answered at once. Where there are more, the answers
                // leave when all has been read: the first to be answered would take the processor meanwhile.
                if from.is_none() || from == self.last_heard {
                    self.in_a_row = self.in_a_row.saturating_add(from.is_some().into());
                    self.drain();
                } else {
                    (self.last_heard, self.in_a_row) = (from, 0);
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            // One-to-many sockets have no end: this is an error as any other.
            other => {
                let error = other.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                tracing::warn!(%error, "the SCTP socket could not be read");
                self.failures += 1;
                if self.failures >= FAILURES { Err(error) } else { Ok(true) }
            }
        }
    }

    pub(super) fn received(&mut self, socket: usize, received: Received, bytes: &[u8]) {
        let now = self.now;
        match received {
            Received::Message(info) => {
                let place = Place { socket, assoc: info.assoc };
                if let Some(association) = self.known(now, place) {
                    self.message(now, self.role(place), association, info.ppid, bytes);
                    self.see_to_share(association, place);
                }
            }
            Received::TooLong { info, length } => {
                let place = Place { socket, assoc: info.assoc };
                // It was read to its end and thrown away: what comes after it can be understood.
                if let Some(association) = self.known(now, place) {
                    tracing::debug!(%association, length, "sent more than a message can hold");
                    let input = match self.role(place) {
                        Role::Asap => Input::Asap(asap::Input::Oversized { association }),
                        Role::Enrp => Input::Enrp(enrp::Input::Oversized { association }),
                    };
                    self.registrar.handle(now, input);
                }
            }
            Received::Notification(notification) => self.notification(now, socket, &notification),
        }
    }

    pub(super) fn message(
        &mut self,
        now: Instant,
        role: Role,
        association: Association,
        ppid: u32,
        bytes: &[u8],
    ) {
        match role {
            Role::Asap if ppid == wire::PPID && may_wait(bytes) => {
                if !self.intake.push(association, bytes) {
                    self.unheard += 1;
                    self.log.unheard(now);
                }
            }
            // What an element registers is compared with the peer's addresses as they are at this moment: the kernel tells
            // of a change before it hands over what was sent after it.
            Role::Asap => self.registrar.handle_message(now, association, ppid, bytes),
            Role::Enrp => {
                let input = enrp::Input::Message { association, ppid, bytes: bytes.to_vec() };
                self.registrar.handle(now, Input::Enrp(input));
            }
        }
    }

    /// Answers some of the questions that wait, which are looked up together.
    fn answer_waiting(&mut self) {
        let outstanding = &self.outstanding;
        if let Some((association, question)) = self.intake.take_only(|it| outstanding.waits_for(it)) {
            self.answering = true;
            self.registrar.handle_message(self.now, association, wire::PPID, question);
            self.drain();
            self.answering = false;
            if !self.own.is_empty() {
                self.release(association);
            }
            return;
        }
        let roles = self.sockets.iter().map(|(role, _)| *role);
        let behind = roles.zip(&self.readable).any(|(role, readable)| role == Role::Asap && *readable);
        let mut left = if behind { ANSWERS_BEHIND } else { ANSWERS };
        while left > 0 {
            let outstanding = &self.outstanding;
            let questions = self.intake.batch(left, TOGETHER, |it| outstanding.waits_for(it));
            if questions.is_empty() {
                return;
            }
            left -= questions.len();
            self.answering = true;
            self.registrar.handle_questions(self.now, &questions);
            self.drain();
            self.answering = false;
            if !self.own.is_empty() {
                questions.iter().for_each(|(association, _)| self.release(*association));
            }
        }
    }
}
