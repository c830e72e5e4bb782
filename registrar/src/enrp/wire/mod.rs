//! ENRP's wire format (RFC 5353 §2), over the parameters that it shares with ASAP (RFC 5354).
//!
//! [`decode`] makes a [`Message`] of octets, [`Message::encode`] octets of a message. Unknown messages and parameters
//! are dealt with as the high bits of their types ask; what is to be reported goes into a [`Body::Error`].
//!
//! What is sent is what both kinds of registrar take: rsplib needs the Server Information in every PRESENCE and the
//! ASAP transport in every pool element, where the RFC allows them, so both are always there. Either way of counting
//! the last padding is read. The one thing that has to differ is the unit of the registration life: see [`Profile`].

mod display;
mod message;
mod profile;

use asap_client::wire::ParameterType;
pub use message::{Body, DecodeError, Decoded, Entry, Message, MessageType, UpdateAction, decode};
pub use profile::Profile;

/// SCTP payload protocol identifier of ENRP (RFC 5353 §5.4).
pub const PPID: u32 = 12;

/// The port of ENRP over SCTP, and of its announcements over UDP (RFC 5353 §5.3).
pub const PORT: u16 = 9901;

/// A parameter that nobody knows, to be skipped and reported (RFC 5354 §3): see [`Message::question`].
pub const UNKNOWN_PARAMETER: ParameterType = ParameterType(0xfffe);
