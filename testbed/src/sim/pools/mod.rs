//! Pools in a simulation: registrars, pool elements and pool users, each the real machine, under one virtual clock,
//! with everything going wrong that can: loss, delay, partitions, crashes, restarts with the same identifier or a new
//! one, programs that stand still, clocks that go wrong, hosts that move.
//!
//! | file | what it holds |
//! |---|---|
//! | `shape` | how large a run is, and what it came to |
//! | `clock`, `timeline`, `place` | a host's own clock; what is to happen; where hosts are |
//! | `network` | associations as SCTP shows them to its users |
//! | `reach` | what is the case with hosts, and who reaches whom by that |
//! | `mischief` | networks that do what SCTP never does, and registrars with a defect, to show that it is noticed |
//! | `world` | all of it, and the passing of time |
//! | `node`, `station` | what a registrar's driver does, and a client's |
//! | `beginning`, `scenario`, `rest` | what happens, drawn from a seed; and how it calms down |
//! | `watch` | what has to hold at every step |
//! | `whole` | what has to hold once nothing goes wrong any more |
//! | `crowd` | ten thousand subscribers of a pool that does not rest |
//! | `command` | many runs, and one alone |
//!
//! Everything follows from the seed: `cargo testbed simulate --seed SEED` plays a run again and tells all that happens.

mod beginning;
mod clock;
pub mod command;
pub mod crowd;
mod mischief;
mod network;
mod node;
mod place;
mod reach;
mod rest;
mod scenario;
mod shape;
mod station;
#[cfg(test)]
mod tests;
pub(super) mod timeline;
mod watch;
mod whole;
mod world;

pub use mischief::Trick;
pub use shape::{Acquaintance, Seen, Shape};

/// Plays what a seed stands for.
///
/// # Errors
/// What was wrong.
pub fn run(seed: u64, shape: &Shape) -> Result<Seen, String> {
    simulate(seed, shape, false).0
}

/// Plays what a seed stands for and tells all that happens.
pub fn replay(seed: u64, shape: &Shape) -> (Result<Seen, String>, Vec<String>) {
    simulate(seed, shape, true)
}

fn simulate(seed: u64, shape: &Shape, trace: bool) -> (Result<Seen, String>, Vec<String>) {
    let mut world = beginning::world(seed, shape, trace);
    let seen = world.play(shape);
    let result = world.wrong.take().map_or(Ok(seen), Err);
    (result, world.trace.unwrap_or_default())
}
