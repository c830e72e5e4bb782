//! The user's side of a session (RFC 5351 §4.2, RFC 5352 §6): a program talks to a pool handle, and the session is at
//! one element of the pool after another.
//!
//! [`User`] is one session as a machine. Whoever drives it makes associations of its outputs; a *link* is one of them,
//! or the attempt at one. What comes from a link that the machine has left is ignored.

mod channel;
mod machine;
mod seek;
mod watch;

use std::time::Duration;

use bytes::Bytes;

use super::control::Nonsense;
use crate::pool_user::Answer;
use crate::wire::{Cause, PoolElement, PoolHandle};

pub use machine::User;

/// What the program and its service exchange, and with it what is kept for the case that the element is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Messages both ways. One is kept until the transport has it; what the transport gives back is sent again, in order
    /// (RFC 5351 §4.2). What an element had received and not worked on is lost with it.
    Stream,
    /// Messages both ways; one is kept until a cookie covers it. With an element that sends too few cookies the queue
    /// fills up.
    Covered,
    /// Requests, each with one answer, in their order. A request is kept until its answer has come. It is sent again
    /// unless a cookie covers it: then the next element's state owes the answer. Execution may repeat, the program sees
    /// one answer. For services whose answers do not depend on what was asked before.
    Requests,
    /// Requests, each with one answer, in their order, to a service with a state. A request is kept until its answer
    /// has come and a cookie covers it, so that the next element is sent all that is not in the state that it is given.
    /// The service has to give a cookie whenever it has nothing more to do, and at least once every
    /// [`Limits::messages`] requests: otherwise the queue fills up and the session stands still.
    Transactions,
}

impl Exchange {
    /// Does each message have one answer?
    pub fn one_answer_each(self) -> bool {
        matches!(self, Self::Requests | Self::Transactions)
    }
}

/// Bounds of what a session keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages of the program that wait, or are kept. At least 1. 1024.
    pub messages: usize,
    /// Their octets, and the longest message. 4 MiB.
    pub octets: usize,
    /// The longest cookie that is kept. 65527, the most there can be.
    pub cookie: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: 1024, octets: 4 << 20, cookie: super::cookie::MAX }
    }
}

/// How long a session waits for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// For an element to be found and reached, at the beginning and after each loss. Zero: all elements of the pool, as
    /// it is now, are tried once. Zero.
    pub patience: Duration,
    /// For an association to come up. 1 s.
    pub connect: Duration,
    /// For the pool user to say who is in the pool. 15 s.
    pub resolve: Duration,
    /// For the next answer as long as one is missing, in exchanges where each message has one. `None`: for ever.
    pub answer: Option<Duration>,
    /// For a path to work again once none does: a host that moves needs it. Its clock stands still while this host is
    /// known to have no address ([`Input::Online`]). 500 ms.
    pub stranded: Duration,
    /// For anything at all to come from the element's host, be it an acknowledgement: an eighth more at most, where the
    /// kernel does not find out sooner. Its clock stands still as that of [`stranded`](Self::stranded). An element whose
    /// host moves needs it to be longer than the outage. `None`: only the kernel tells, which on a host whose agent sees
    /// to it that no association is given up, for a peer that may only be moving, takes as long as the agent has it
    /// wait. 1.4 s.
    pub silent: Option<Duration>,
    /// The first pause once every element has failed; it doubles up to [`pause_most`](Self::pause_most). 100 ms.
    pub pause: Duration,
    /// The longest such pause. 5 s.
    pub pause_most: Duration,
    /// How old the first resolution may be. 30 s.
    pub fresh: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            patience: Duration::ZERO,
            connect: Duration::from_secs(1),
            resolve: Duration::from_secs(15),
            answer: None,
            stranded: Duration::from_millis(500),
            silent: Some(Duration::from_millis(1400)),
            pause: Duration::from_millis(100),
            pause_most: Duration::from_secs(5),
            fresh: Duration::from_secs(30),
        }
    }
}

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pool.
    pub handle: PoolHandle,
    /// What is exchanged.
    pub exchange: Exchange,
    /// Has the program decide at each loss of an element ([`Event::Decide`]), instead of going on to the next.
    pub ask: bool,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub waits: Waits,
    /// Random, for the randomised policies.
    pub seed: u64,
    /// Sessions that this program has had with the pool before: they take turns in Round Robin.
    pub turn: usize,
    /// For a program that is an element itself: its own pool and elements, told to each element (RFC 5352 §3.9).
    pub card: Option<(PoolHandle, Vec<PoolElement>)>,
}

impl Config {
    /// With the defaults of [`Limits`] and [`Waits`], not asking.
    pub fn new(handle: PoolHandle, exchange: Exchange) -> Self {
        let (limits, waits) = (Limits::default(), Waits::default());
        Self { handle, exchange, ask: false, limits, waits, seed: 0, turn: 0, card: None }
    }
}

/// Options of one message (RFC 5352 §6.5.5).
///
/// ASAP_SEND_TO_LAST is what a session always does; ASAP_SEND_TO_ALL is not for sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendOptions {
    /// SCTP payload protocol identifier; any but ASAP's 11. 0.
    pub ppid: u32,
    /// ASAP_SCTP_UNORDER; only in an [`Exchange::Stream`]. No.
    pub unordered: bool,
    /// ASAP_SEND_FAILOVER: to be sent to another element if need be. Without it (ASAP_SEND_NO_FAILOVER), it is given
    /// back to the program. Yes.
    pub failover: bool,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { ppid: 0, unordered: false, failover: true }
    }
}

/// A message of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its number: 1 for the first that the session has taken, and on.
    pub number: u64,
    /// The octets.
    pub octets: Bytes,
    /// SCTP payload protocol identifier.
    pub ppid: u32,
    /// Whether it may overtake.
    pub unordered: bool,
    /// Whether it may go to another element.
    pub failover: bool,
}

/// Why a message was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full: wait for [`Event::Room`].
    #[error("as many messages as the session keeps are waiting")]
    Full,
    /// The message is longer than the queue.
    #[error("the message is longer than what the session keeps")]
    TooLong,
    /// Data must not have ASAP's PPID (RFC 5352 §3.8).
    #[error("PPID 11 is the control channel's")]
    ControlPpid,
    /// Where order counts, nothing may overtake.
    #[error("only a stream has unordered messages")]
    Unordered,
    /// The session is over, or is being ended.
    #[error("the session is over")]
    Over,
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Down {
    /// It could not be set up, was aborted, or failed.
    Lost,
    /// The element has shut it down.
    Shutdown,
}

/// Why an element was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Loss {
    /// The association was aborted or failed.
    #[error("the association is lost")]
    Lost,
    /// The element shut it down.
    #[error("the element has shut the association down")]
    Shutdown,
    /// The element's end was begun anew: it knows nothing of the session any more.
    #[error("the element has begun the association anew")]
    Restarted,
    /// No path worked for [`Waits::stranded`].
    #[error("no path works")]
    Stranded,
    /// Nothing at all came for [`Waits::silent`].
    #[error("the element's host is silent")]
    Silent,
    /// No answer came for [`Waits::answer`].
    #[error("the element does not answer")]
    Unanswered,
    /// The program wanted it.
    #[error("the program left the element")]
    Left,
}

impl Loss {
    /// Is this for the registrar to know (RFC 5352 §3.5)?
    pub(super) fn is_reported(self) -> bool {
        matches!(self, Self::Lost | Self::Stranded | Self::Silent | Self::Unanswered)
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum End {
    /// The program ended it.
    #[error("ended by the program")]
    Done,
    /// The program did not want another element.
    #[error("given up by the program")]
    GivenUp,
    /// There is no such pool.
    #[error("the pool is not known")]
    UnknownPool,
    /// Nobody is in it.
    #[error("the pool is empty")]
    EmptyPool,
    /// None of its elements could be reached.
    #[error("no element of the pool could be reached")]
    NoElement,
    /// No registrar said who is in it.
    #[error("no registrar has answered")]
    NoRegistrar,
}

/// What the program wants done about the loss of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// On to the next.
    Continue,
    /// On to this one, if it is in the pool and has not failed; else to the next.
    ToElement(u32),
    /// End the session.
    GiveUp,
}

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// The program sends a message.
    Send {
        /// Its octets.
        octets: Bytes,
        /// How.
        options: SendOptions,
    },
    /// Who is in the pool: the answer to [`Output::Resolve`], or news.
    Pool(Answer),
    /// [`Output::Resolve`] went unanswered.
    Unanswered,
    /// An association is up.
    Up(u64),
    /// An association could not be set up, or is no more. All that the transport gives back has to come before.
    Down(u64, Down),
    /// The peer has begun an association anew (SCTP_RESTART).
    Restarted(u64),
    /// Whether any path of an association works.
    Reachable(u64, bool),
    /// What [`Output::Look`] has found.
    Looked {
        /// The association.
        link: u64,
        /// How many packets have come over it so far.
        packets: u64,
        /// Whether the peer has still to acknowledge something.
        unacknowledged: bool,
    },
    /// Whether this host has an address, as it does until this is said. While it has none, the element is not held to
    /// blame for its silence, and no other one is looked for.
    Online(bool),
    /// The transport could not deliver this and gives it back.
    Undelivered(u64, Outgoing),
    /// A message of the element came.
    Data {
        /// Over this association.
        link: u64,
        /// Its PPID, any but 11.
        ppid: u32,
        /// Its octets.
        octets: Bytes,
    },
    /// A message with PPID 11 came.
    Control {
        /// Over this association.
        link: u64,
        /// Its octets.
        octets: Bytes,
    },
    /// The answer to [`Event::Decide`].
    Decision(Decision),
    /// The program wants another element: this one, or the next.
    Leave {
        /// Which.
        to: Option<u32>,
        /// Whether the registrar is to be told that the present one cannot be reached.
        report: bool,
    },
    /// The program ends the session: once all is sent, and answered where each message has an answer; or at once.
    End {
        /// Not at once.
        graceful: bool,
    },
}

/// What a session wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask the pool user who is in the pool; an answer no older than this will do.
    Resolve {
        /// The pool.
        handle: PoolHandle,
        /// How old.
        fresh: Duration,
    },
    /// Tell a registrar that this element cannot be reached (RFC 5352 §3.5).
    Unreachable {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
    },
    /// Set up an association.
    Open {
        /// Its name from now on.
        link: u64,
        /// To this element.
        element: PoolElement,
    },
    /// Send this message with PPID 11 over an association that is up, in order with the data.
    Control {
        /// The association.
        link: u64,
        /// The message.
        octets: Vec<u8>,
    },
    /// Send this message of the program.
    Data {
        /// The association.
        link: u64,
        /// The message.
        message: Outgoing,
    },
    /// See what has come over an association so far: [`Input::Looked`].
    Look(u64),
    /// Send something over an association that the peer answers by itself: a HEARTBEAT (RFC 9260 §8.3).
    Probe(u64),
    /// Abort an association, or the attempt at it. Nothing from it is wanted any more.
    Abort(u64),
    /// Shut an association down once all is delivered. Nothing from it is wanted any more.
    Shutdown(u64),
    /// Tell the program.
    Event(Event),
}

/// What a program may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session is at this element now.
    At {
        /// The element.
        id: u32,
        /// Whether it was given a cookie.
        restored: bool,
    },
    /// The session has left an element.
    Lost {
        /// The element.
        id: u32,
        /// Why.
        why: Loss,
        /// Whether there is a cookie for the next one.
        cookie: bool,
    },
    /// What now? Nothing more is done until [`Input::Decision`]. Comes behind [`Self::Lost`].
    Decide,
    /// The answer to a message.
    Answer {
        /// The message's number.
        number: u64,
        /// PPID.
        ppid: u32,
        /// Octets.
        octets: Bytes,
    },
    /// A message of the element, in exchanges without one answer each.
    Data {
        /// PPID.
        ppid: u32,
        /// Octets.
        octets: Bytes,
    },
    /// The element has refused the cookie: it knows nothing of the session, which starts afresh there. All that is still
    /// kept is sent to it.
    Afresh,
    /// A message is given back: it must not be sent to another element, or the session is over.
    Returned(Outgoing),
    /// There is room again for messages.
    Room,
    /// The element did not understand something on the control channel.
    Error(Vec<Cause>),
    /// The element sent what makes no sense. It is ignored.
    Nonsense(Nonsense),
    /// The session is over; nothing more comes.
    Ended(End),
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Elements that the session was at.
    pub elements: u64,
    /// Elements lost.
    pub losses: u64,
    /// Associations that could not be set up.
    pub failures: u64,
    /// Reports to the registrar.
    pub reports: u64,
    /// Messages sent a second time or more.
    pub resent: u64,
    /// Answers to what had been answered.
    pub repeated: u64,
    /// Cookies kept.
    pub cookies: u64,
    /// Cookies echoed.
    pub echoes: u64,
    /// Echoes that were refused.
    pub afresh: u64,
    /// Business cards obeyed.
    pub cards: u64,
    /// What made no sense.
    pub nonsense: u64,
}

#[cfg(test)]
mod tests;
