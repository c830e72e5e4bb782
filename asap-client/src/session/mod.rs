//! Sessions that outlive the element that serves them (RFC 5351 §4.2, RFC 5352 §3.8, §3.9, §6).
//!
//! A program talks to a pool handle. Its session is at one element of the pool, over an association that carries the
//! data and, with PPID 11, ASAP's control channel. When the element is lost, the session goes on at the next: the newest
//! [`cookie`] that the element gave is echoed there first, what may be missing is sent again, and the program sees one
//! answer for each request, in order.
//!
//! Two machines without I/O: [`user::User`] is one session of a program, [`service::Service`] all sessions of an
//! element. [`candidates`] is of use by itself, for programs that use the library only to find and report servers.
//!
//! # How far a session has come
//! Nothing is added to the program's messages. Both sides count them, and a cookie of this library says how many the
//! service's state includes ([`cookie::Counts`]): the user sends the next element what comes behind, and knows which of
//! its answers it has already. So the answers have to keep the requests' order, and all messages but those marked as
//! unordered travel on one stream. A service with a state
//! ([`Exchange::Transactions`](user::Exchange::Transactions)) gives a cookie whenever enough has happened; the requests
//! since the last one are executed again by the next element.
//!
//! # Sessions and sockets
//! A session is an association: the control channel names no session (RFC 5352 §6), so that there cannot be two over one.
//! All users of an element begin at the one socket that it listens at; each association is branched off from there
//! (RFC 6458 §9.2), so that a user who is slow holds up nobody else, and a host that moves can move each by itself. Each
//! session of a user has a socket, and so a port, of its own: between two endpoints SCTP allows one association only (RFC 9260
//! §2.3), so two sessions with the same element from one socket cannot be. Whoever wants to speak to many elements through one
//! socket, without sessions, has [`mail`](crate::mail).
//!
//! # What a cookie protects
//! It is sealed under a key that the pool's elements share, so that users can neither read nor make one. It is good for
//! its pool and, where the service knows who its user is, for this user; for a limited time; and at an element that has
//! seen a newer one of the session not at all ([`window`](Freshness)). Where the service does not know its users,
//! whoever copies a cookie from the wire can go on with the session at an element that has not seen it yet: protect the
//! associations (SCTP-AUTH does not encrypt) if that matters.

pub mod candidates;
pub mod control;
pub mod cookie;
mod key;
mod ledger;
pub mod service;
mod track;
pub mod user;
mod window;

pub use candidates::Candidates;
pub use key::KeyRing;
pub use service::Service;
pub use user::User;
pub use window::Freshness;
