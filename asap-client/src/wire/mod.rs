//! ASAP's wire format (RFC 5352 §2.2) and the parameters common to ASAP and ENRP (RFC 5354), both ways.
//!
//! [`decode`] makes a [`Message`] of octets, [`Message::encode`] octets of a message. Other protocols over the same
//! parameters (ENRP) are built from [`tlv`] and each parameter's `parse` and `emit`.

mod addresses;
pub mod cause;
pub mod code;
mod display;
pub mod element;
pub mod error;
pub mod handle;
mod message;
pub mod policy;
mod stream;
pub mod tlv;
pub mod transport;

pub use addresses::Addresses;
pub use cause::Cause;
pub use code::{MessageType, ParameterType, WhenUnknown};
pub use element::{PoolElement, PoolElementRef, ServerInformation};
pub use error::{DecodeError, Problem};
pub use handle::{BadHandle, PoolHandle};
pub use message::{Decoded, Message, decode};
pub use policy::Policy;
pub use stream::Stream;
pub use tlv::{Context, Header, Parameter, Reader, Writer};
pub use transport::{Transport, TransportUse};

/// SCTP payload protocol identifier of ASAP (RFC 5352 §8.3).
pub const PPID: u32 = 11;

/// The port of ASAP over SCTP, TCP and UDP (RFC 5352 §8.2).
pub const PORT: u16 = 3863;
