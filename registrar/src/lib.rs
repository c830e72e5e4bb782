//! An RSerPool registrar (ENRP server, RFC 5351 to 5354) as a library; the program `roam-registrar` is thin.
//!
//! - [`handlespace`]: which pools there are and which elements they have. Pure data.
//! - [`asap`]: the service for pool elements and pool users, as a machine without I/O, clock or random numbers:
//!   [`asap::Registrar`].
//! - [`announce`]: telling by multicast where ASAP is served.
//! - [`enrp`]: what registrars tell each other (RFC 5353).
//! - [`faults`]: what is counted of messages of both protocols that are not as they should be.
//! - [`machine`]: both around one handlespace, [`machine::Registrar`].
//! - [`driver`]: the sockets, the clock and the control socket around that machine.
//! - [`config`]: the configuration file, every value with its bounds.
//! - [`cli`]: the command line, and the man pages.
//! - `http`: the same to look at in a browser, for metrics and for health checks.
//! - [`monitor`]: what happens, as it happens.
//! - [`dump`]: everything the registrar knows, for people and for programs.

pub mod announce;
pub mod asap;
pub mod cli;
pub mod config;
pub mod driver;
pub mod dump;
pub mod enrp;
pub mod faults;
pub mod handlespace;
mod http;
mod listen;
pub mod machine;
pub mod monitor;
mod numbered;
mod query;

#[cfg(test)]
#[path = "../../asap-client/tests/common/fuzz.rs"]
mod fuzz;
#[cfg(test)]
mod made;
#[cfg(test)]
#[path = "../../asap-client/tests/common/vectors.rs"]
mod vectors;

use serde::{Deserialize, Serialize};
use std::fmt;

/// An SCTP association (or another kind of connection) of the ASAP service, as its driver numbers it.
/// A number is never used for two associations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Association(pub u64);

impl fmt::Display for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
