//! RSerPool for programs: ASAP (RFC 5352), its parameters (RFC 5354), pool elements, pool users, sessions between them
//! that outlive an element, and the selection policies (RFC 5356) that registrars and pool users share.
//!
//! A server and a client of ten lines each are shown in the module `driver`.
//!
//! Without its default features this crate is wire format, policies and protocol machines alone: no sockets, no clock. The
//! machines share one shape: `handle(now, input)`, `handle_timeout(now)`, `poll_output()`, `poll_timeout()`.

pub mod client;
pub mod computing;
#[cfg(feature = "driver")]
pub mod driver;
pub mod hunt;
pub mod mail;
pub mod policy;
pub mod pool_element;
pub mod pool_user;
pub mod random;
pub mod session;
pub mod timers;
pub mod wire;

pub use timers::{LifeUnit, Timers};
