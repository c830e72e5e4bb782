//! Rewriting of the IP addresses of SCTP packets at the host's edge.

mod rule;

pub use rule::{Pair, Rule};
