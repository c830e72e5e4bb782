//! One typed function per socket option.
//!
//! All take a borrowed descriptor, so that they serve this crate's [`Socket`](crate::socket::Socket), a
//! descriptor from another library and an adopted duplicate alike. On one-to-one sockets the association
//! is ignored by the kernel, except in [`local_addrs`]. Errors are the system's, unchanged; where a number has a meaning of its own
//! it is said.

mod address;
mod association;
mod auth;
mod data;
mod keys;
mod raw;
mod reliability;
mod socket;
mod streams;

pub use address::*;
pub use association::*;
pub use auth::*;
pub use data::*;
pub use keys::*;
pub(crate) use raw::*;
pub use reliability::*;
pub use socket::*;
pub use streams::*;

/// An association's number at its socket. Real ones are above 2.
pub type AssocId = i32;
/// The endpoint itself: what its future associations will have.
pub const FUTURE_ASSOC: AssocId = 0;
/// All associations that the endpoint has now.
pub const CURRENT_ASSOC: AssocId = 1;
/// The endpoint and all its associations.
pub const ALL_ASSOC: AssocId = 2;
