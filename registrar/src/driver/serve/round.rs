//! The loop: everything that can be read is read, up to a number; what keeps the pool alive is handled at once, and then a
//! few of the questions that wait.

use asap_client::wire;
use futures::FutureExt;
use sctp_sys::Received;
use sctp_sys::tokio::AsyncSocket;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

use super::{Place, Service};
use crate::driver::command::Command;
use crate::driver::intake::may_wait;
use crate::driver::socket::Role;
use crate::machine::Input;
use crate::query::Query;
use crate::{Association, asap, enrp};

/// What is read from a socket in one round at most.
const READS: usize = 256;

/// Questions that are answered in one round at most.
const ANSWERS: usize = 64;

/// A socket that cannot be read so often in a row is given up, and the registrar with it.
const FAILURES: u32 = 100;

impl Service {
    /// Serves for ever.
    pub(in crate::driver) async fn run(
        mut self,
        mut queries: mpsc::Receiver<Query>,
        mut commands: mpsc::Receiver<Command>,
    ) -> io::Result<()> {
        self.tell_where_we_are();
        loop {
            let all_read = self.read()? & self.read_others();
            self.wake();
            self.answer_waiting();
            if all_read && self.intake.is_empty() {
                let announcement = self.next_announcement();
                let wake =
                    self.registrar.poll_timeout().into_iter().chain(self.retry).chain(announcement).min();
                tokio::select! {
                    readable = readable(&self.sockets) => readable?,
                    event = self.tcp.next() => self.stream(event),
                    datagram = self.announcements.next() => self.announced(datagram),
                    () = until(wake) => {}
                    Some(query) = queries.recv() => self.answer(query),
                    Some(command) = commands.recv() => self.obey(command),
                }
                self.drain();
            } else {
                if let Ok(query) = queries.try_recv() {
                    self.answer(query);
                }
                if let Ok(command) = commands.try_recv() {
                    self.obey(command);
                    self.drain();
                }
                // Others in this thread have their turn: the control socket, HTTP, signals.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads what is there, within bounds; whether that was all.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut all = true;
        for index in 0..self.sockets.len() {
            all &= self.read_one(index, &mut buffer)?;
        }
        self.buffer = buffer;
        Ok(all)
    }

    /// As [`Self::read`], from TCP connections and multicast groups.
    fn read_others(&mut self) -> bool {
        for _ in 0..READS {
            let event = self.tcp.next().now_or_never();
            let datagram = self.announcements.next().now_or_never();
            if event.is_none() && datagram.is_none() {
                return true;
            }
            event.into_iter().for_each(|event| self.stream(event));
            datagram.into_iter().for_each(|datagram| self.announced(datagram));
            self.drain();
        }
        false
    }

    fn read_one(&mut self, index: usize, buffer: &mut Vec<u8>) -> io::Result<bool> {
        for _ in 0..READS {
            let Some((_, socket)) = self.sockets.get(index) else { return Ok(true) };
            // While questions wait nobody waits for the reactor, and it need not know.
            let received = if self.intake.is_empty() {
                socket.recv(buffer).now_or_never().unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
            } else {
                socket.get_ref().recv(buffer)
            };
            match received {
                Ok(Some(received)) => {
                    self.failures = 0;
                    self.received(index, received, buffer);
                    self.drain();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // One-to-many sockets have no end: this is an error as any other.
                other => {
                    let error = other.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                    tracing::warn!(%error, "the SCTP socket could not be read");
                    self.failures += 1;
                    if self.failures >= FAILURES {
                        return Err(error);
                    }
                }
            }
        }
        Ok(false)
    }

    fn received(&mut self, socket: usize, received: Received, bytes: &[u8]) {
        let now = Instant::now();
        match received {
            Received::Message(info) => {
                let place = Place { socket, assoc: info.assoc };
                if let Some(association) = self.known(now, place) {
                    self.message(now, self.role(place), association, info.ppid, bytes);
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
        let input = match role {
            Role::Asap if ppid == wire::PPID && may_wait(bytes) => {
                if !self.intake.push(association, bytes) {
                    self.log.unheard(now);
                }
                return;
            }
            // What an element registers is compared with the peer's addresses as they are at this moment: the kernel tells
            // of a change before it hands over what was sent after it.
            Role::Asap => Input::Asap(asap::Input::Message { association, ppid, bytes: bytes.to_vec() }),
            Role::Enrp => Input::Enrp(enrp::Input::Message { association, ppid, bytes: bytes.to_vec() }),
        };
        self.registrar.handle(now, input);
    }

    /// Answers some of the questions that wait, which are looked up together.
    fn answer_waiting(&mut self) {
        let questions: Vec<_> = std::iter::from_fn(|| self.intake.pop()).take(ANSWERS).collect();
        if !questions.is_empty() {
            self.registrar.handle_questions(Instant::now(), &questions);
            self.drain();
        }
    }
}

/// Waits until one of the sockets can be read.
async fn readable(sockets: &[(Role, Arc<AsyncSocket>)]) -> io::Result<()> {
    if sockets.is_empty() {
        return std::future::pending().await;
    }
    let any = sockets.iter().map(|(_, socket)| Box::pin(socket.readable()));
    futures::future::select_all(any).await.0
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
