//! Sessions of a program over kernel SCTP: see [`crate::session`] for what they are.
//!
//! [`Session::connect`] finds a pool's element, and from then on the program sends and receives as if there were but one
//! server. A task of the session's own reads, fails over and lets timers act while the program does something else. It
//! stands still as long as the program leaves [`Config::unread`] octets unread: then the element has to wait too.

mod config;
mod core;
mod link;
mod task;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use self::core::Shared;
use super::RegistrarClient;
use crate::session::user::{Counters, Decision, End, Event, Input, Refused, SendOptions};

pub use config::{Config, Lost, OnLoss};

/// A message from the element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The number of the message that this is the answer to, as [`Session::send`] gave it; `None` in exchanges without
    /// one answer each.
    pub number: Option<u64>,
    /// SCTP payload protocol identifier.
    pub ppid: u32,
    /// The octets.
    pub octets: Bytes,
}

/// Why a message was not taken: it is too long, or none for this session, or the session is over.
pub type SendError = super::SendError<Refused>;

/// A session with a pool. Dropped, it ends at once; [`Session::close`] ends it in good order.
///
/// All calls take `&self`: put it in an `Arc` to send and receive in different tasks. Every call may be dropped half-way
/// (as `tokio::select!` does): nothing is lost or sent in part.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// Begins a session. Nothing is reached yet; what is sent meanwhile waits. If no element is found,
    /// [`recv`](Self::recv) says why.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn open(registrar: &RegistrarClient, config: Config) -> Self {
        let shared = task::spawn(registrar, config);
        Self { shared }
    }

    /// Begins a session and waits until it is at an element.
    ///
    /// # Errors
    /// There is no element that could be reached, within [`Waits::patience`](crate::session::user::Waits::patience).
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn connect(registrar: &RegistrarClient, config: Config) -> Result<Self, End> {
        let session = Self::open(registrar, config);
        loop {
            match session.next().await {
                Event::At { .. } => return Ok(session),
                Event::Ended(end) => return Err(end),
                _ => {}
            }
        }
    }

    /// Sends a message, in order, to whatever element is the present one; see [`send_with`](Self::send_with).
    ///
    /// # Errors
    /// See there.
    pub async fn send(&self, octets: impl Into<Bytes>) -> Result<u64, SendError> {
        self.send_with(octets, SendOptions::default()).await
    }

    /// Takes a message that is to be sent, once there is room: its number in the session.
    ///
    /// # Errors
    /// The message cannot be taken, now or later.
    pub async fn send_with(&self, octets: impl Into<Bytes>, options: SendOptions) -> Result<u64, SendError> {
        let octets = octets.into();
        let mut was_full = false;
        loop {
            let room = self.shared.room.notified();
            let mut room = std::pin::pin!(room);
            // Most find room at once. Who did not is to hear of it from before the next attempt on.
            if was_full {
                room.as_mut().enable();
            }
            match self.try_send_with(octets.clone(), options) {
                Err(SendError::Refused(Refused::Full)) if was_full => room.await,
                Err(SendError::Refused(Refused::Full)) => was_full = true,
                done => return done,
            }
        }
    }

    /// Takes a message if there is room.
    ///
    /// # Errors
    /// The message cannot be taken; with [`Refused::Full`], not now.
    pub fn try_send_with(&self, octets: impl Into<Bytes>, options: SendOptions) -> Result<u64, SendError> {
        self.shared.send(Instant::now(), octets.into(), options)
    }

    /// The next message of the element. All other events are passed over: for messages that must not go to another
    /// element, and for programs that decide themselves, there is [`next`](Self::next).
    ///
    /// # Errors
    /// The session is over.
    pub async fn recv(&self) -> Result<Message, End> {
        loop {
            match self.next().await {
                Event::Answer { number, ppid, octets } => {
                    return Ok(Message { number: Some(number), ppid, octets });
                }
                Event::Data { ppid, octets } => return Ok(Message { number: None, ppid, octets }),
                Event::Ended(end) => return Err(end),
                event => tracing::debug!(?event, "the session"),
            }
        }
    }

    /// The next of all that happens. After [`Event::Ended`], again and again that.
    pub async fn next(&self) -> Event {
        loop {
            if let Some(event) = self.shared.take() {
                return event;
            }
            self.shared.news.notified().await;
        }
    }

    /// The answer to [`Event::Decide`], which comes where the session was made with
    /// [`ask`](crate::session::user::Config::ask).
    pub fn decide(&self, decision: Decision) {
        self.shared.give(Input::Decision(decision));
    }

    /// Leaves the present element for this one, or for the next. `report`: the registrar is told that it cannot be
    /// reached (RFC 5352 §3.5).
    pub fn leave(&self, to: Option<u32>, report: bool) {
        self.shared.give(Input::Leave { to, report });
    }

    /// The host's usable addresses are now these. None means offline: the element is not left for its silence then, and no
    /// other is looked for. A session with [`Config::local`] makes its associations from these from now on; another one
    /// goes on to make them from all that the host has at the time. The present association stays as it is: moving it is
    /// for the agent of the host, or for [`readdress`](sctp_sys::readdress).
    pub fn set_local_addresses(&self, local: Vec<IpAddr>) {
        self.shared.set_local(local);
    }

    /// Nothing more will be sent: the session ends by itself once all is sent, and answered where each message has an
    /// answer. What comes until then can still be received.
    pub fn finish(&self) {
        self.shared.give(Input::End { graceful: true });
    }

    /// As [`finish`](Self::finish), and waits until the element has got all, or is lost with no other to be had. What still
    /// comes is thrown away. A stream's last messages are the kernel's by then: if the element dies before it has them,
    /// they are lost with it.
    pub async fn close(self) -> End {
        self.finish();
        let end = loop {
            if let Event::Ended(end) = self.next().await {
                break end;
            }
        };
        self.shared.gone().await;
        end
    }

    /// The element where the session is.
    pub fn element(&self) -> Option<u32> {
        self.shared.ask(|machine| machine.element())
    }

    /// Is there a cookie for the next element?
    pub fn has_cookie(&self) -> bool {
        self.shared.ask(|machine| machine.has_cookie())
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.ask(|machine| machine.counters())
    }
}

/// Ends the session at once.
impl Drop for Session {
    fn drop(&mut self) {
        self.shared.give(Input::End { graceful: false });
    }
}
