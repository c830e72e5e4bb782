//! The handover planner: one machine per association that decides, step by step, how the association follows its
//! host from network to network.
//!
//! It is *level-triggered*: every input ([`Input`]) updates what is known, then the planner
//! compares that with what ought to be and emits the next actions ([`Action`]). Nothing is scripted, so a lost answer,
//! a second move in the middle of the first, or a restart of the daemon needs no special path.
//!
//! | file | what it decides |
//! |---|---|
//! | `planner` | the machine: knowledge, evaluation, timers |
//! | `own` | what is known of each own address (adding, confirmed, deleting), from the wire and the kernel's lists |
//! | `make_before_break` | a usable path remains: one ASCONF step at a time, the last confirmed address is never deleted |
//! | `hold` | no usable path: hold an old address, translate ASCONF alone, add, delete (never mute) |
//! | `swap` | the same by socket options alone, where nftables is missing; mutes this end, so only one end may |
//! | `trial` | whether the kernel sends from an address whose deletion was wanted |
//! | `backlog` | what was sent before a move is sent again at once, and watched until it has arrived |
//! | `rendezvous` | where the peer is: registrar's word (unproven) and the peer's own ASCONF (proof) |
//!
//! No I/O, no clock, no randomness. Times are [`std::time::Instant`]s given by the caller.

mod backlog;
mod families;
mod hold;
mod make_before_break;
mod own;
mod planner;
mod rendezvous;
mod swap;
mod trial;
mod types;

pub use planner::{Planner, Saved};
pub use types::*;

#[cfg(test)]
mod tests;
