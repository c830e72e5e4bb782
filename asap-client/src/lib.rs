//! RSerPool for programs: ASAP (RFC 5352), its parameters (RFC 5354), pool elements and pool users.
//!
//! Without its default features this crate is wire format and protocol machines alone: no sockets, no clock.

pub mod wire;
