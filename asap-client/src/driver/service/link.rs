//! One user's association.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{Received, SendInfo};
use tokio::sync::Notify;

use super::super::line::Line;
use super::core::Shared;
use crate::session::service::{Event, Input, Left, Refused};
use crate::wire::PPID;

/// Messages that may wait to be sent before the user is not listened to any more: the control channel's answers.
const ANSWERS: usize = 16;

#[derive(Debug)]
pub(super) struct Link {
    id: u64,
    socket: Arc<AsyncSocket>,
    /// `None` once it is being shut down.
    line: Mutex<Option<Line>>,
    /// Held while a message is read and taken in, so that they keep their order.
    reading: Mutex<Vec<u8>>,
    inbox: Mutex<Inbox>,
    /// Something is in the inbox that the reader has not put there itself, or the link is of no use any more.
    news: Notify,
}

#[derive(Debug, Default)]
struct Inbox {
    events: VecDeque<Event>,
    left: Option<Left>,
    over: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new(id: u64, line: Line) -> Self {
        let socket = Arc::clone(line.socket());
        let (reading, inbox) = Default::default();
        Self { id, socket, line: Mutex::new(Some(line)), reading, inbox, news: Notify::new() }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn left(&self) -> Option<Left> {
        lock(&self.inbox).left
    }

    pub(super) fn push(&self, info: SendInfo, octets: Bytes) {
        if let Some(line) = &mut *lock(&self.line) {
            line.push(info, octets);
        }
    }

    pub(super) fn tell(&self, event: Event) {
        let mut inbox = lock(&self.inbox);
        match event {
            Event::Ended { why, .. } => (inbox.left, inbox.over) = (Some(why), true),
            event => inbox.events.push_back(event),
        }
        drop(inbox);
        self.news.notify_one();
    }

    pub(super) fn abort(&self) {
        if let Some(line) = lock(&self.line).take() {
            line.abort();
        }
        self.close();
    }

    pub(super) fn shut_down(&self) {
        if let Some(line) = lock(&self.line).take() {
            tokio::spawn(line.shut_down());
        }
        self.close();
    }

    fn close(&self) {
        lock(&self.inbox).over = true;
        self.news.notify_one();
    }

    /// Sends what there is room for. Whether nothing waits; an error once nothing can be sent any more.
    pub(super) fn flush(&self) -> Result<bool, Refused> {
        match &mut *lock(&self.line) {
            Some(line) => {
                let clear = line.flush();
                if line.is_broken() { Err(Refused::Unknown) } else { Ok(clear) }
            }
            None => Err(Refused::Unknown),
        }
    }

    /// Waits until nothing waits to be sent.
    pub(super) async fn clear(&self, shared: &Shared) -> Result<(), Refused> {
        loop {
            match self.flush() {
                Ok(true) => return Ok(()),
                // Errors come with sending.
                Ok(false) => drop(self.socket.writable().await),
                Err(error) => {
                    shared.lost(self.id);
                    return Err(error);
                }
            }
        }
    }

    /// The next event; `None` once there are none any more.
    pub(super) async fn next(&self, shared: &Shared) -> Option<Event> {
        loop {
            {
                let mut inbox = lock(&self.inbox);
                if let Some(event) = inbox.events.pop_front() {
                    return Some(event);
                }
                if inbox.over {
                    return None;
                }
            }
            let clear = self.flush().unwrap_or(true);
            let listens =
                clear || lock(&self.line).as_ref().is_none_or(|line| line.unsent().count() < ANSWERS);
            if listens && self.read(shared) {
                continue;
            }
            tokio::select! {
                // Errors come with reading.
                _ = self.socket.readable(), if listens => {}
                _ = self.socket.writable(), if !clear => {}
                () = self.news.notified() => {}
            }
        }
    }

    /// Reads one message if there is one.
    fn read(&self, shared: &Shared) -> bool {
        let mut octets = lock(&self.reading);
        let link = self.id;
        match self.socket.try_recv(&mut octets) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Ok(Some(Received::Message(info))) => {
                let octets = Bytes::copy_from_slice(&octets);
                shared.give(match info.ppid {
                    PPID => Input::Control { link, octets },
                    ppid => Input::Data { link, ppid, octets },
                });
            }
            Ok(Some(Received::Notification(notification))) if !is_end(&notification) => {}
            // A notification that is none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            // A message that is too long, too: its user is left.
            Ok(_) | Err(_) => shared.lost(link),
        }
        true
    }
}

/// A user who begins its association anew knows nothing of what was before: it may do so over another one.
fn is_end(notification: &Notification) -> bool {
    match notification {
        Notification::AssocChange { state, .. } => *state != AssocChange::CommUp,
        Notification::Shutdown { .. } => true,
        _ => false,
    }
}
