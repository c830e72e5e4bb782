//! Pools that compute (draft-dreibholz-rserpool-applic-distcomp), in virtual time: jobs for many elements that are
//! unequal, and come and go. It compares the policies by which the registrar chooses who computes what; the pool is the
//! registrar's own handlespace, with its own policies.
//!
//! | file | what it models |
//! |---|---|
//! | `contender` | a policy, and what an element tells of itself by it |
//! | `capacities` | how fast the elements are |
//! | `element` | an element: its jobs share its capacity |
//! | `world` | jobs arrive, elements join, leave and die |
//! | `curves` | the results as a page |
//! | `command` | `roam-testbed compute` |
//!
//! Jobs come at random moments and are of random sizes (exponentially distributed, both), as many as make the pool busy to
//! a given part. A job is offered to an element that the registrar chooses; one that computes as many as it may refuses
//! it, and it is offered again after a pause. An element shares its capacity evenly among its jobs, and, if its policy is
//! an adaptive one, registers again with its new load whenever that changes, which takes a while to get there. A job's
//! state comes to its user as a cookie each time so much of it is done; if its element dies, it goes on elsewhere from the
//! last cookie, once that is noticed; what was done since is lost. An element that leaves sends a last cookie.
//!
//! Everything follows from the seed.

mod capacities;
pub mod command;
mod contender;
mod curves;
mod element;
#[cfg(test)]
mod tests;
mod world;

pub use capacities::Capacities;
pub use contender::Contender;

use super::{MS, SECOND, Time};

/// What is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// How many elements there are.
    pub elements: usize,
    /// How fast they are.
    pub capacities: Capacities,
    /// Who is chosen.
    pub policy: Contender,
    /// The part of the pool's capacity that the jobs need; below 1.
    pub demand: f64,
    /// What an element of mean speed needs for a job of mean size that it computes alone.
    pub job: Time,
    /// How many jobs an element of mean speed computes at a time; faster ones more.
    pub at_a_time: u32,
    /// How many jobs there are.
    pub jobs: usize,
    /// The mean time that an element is there, and the one that it is away; none: it stays.
    pub churn: Option<(Time, Time)>,
    /// One in so many elements that go dies, without a last cookie; 0: none.
    pub deaths: u64,
    /// How much of a mean job is done from cookie to cookie.
    pub cookie: f64,
    /// From one host to another.
    pub way: Time,
    /// Until the death of an element is noticed.
    pub notice: Time,
    /// Until a job that was refused is offered again.
    pub pause: Time,
}

impl Shape {
    /// A pool like those of the papers on RSerPool's policies: jobs of ten seconds, ten at a time, nobody goes.
    #[must_use]
    pub fn new(elements: usize, capacities: Capacities, policy: Contender, demand: f64) -> Self {
        Self {
            elements,
            capacities,
            policy,
            demand,
            job: 10 * SECOND,
            at_a_time: 10,
            jobs: elements * 100,
            churn: None,
            deaths: 2,
            cookie: 0.1,
            way: 10 * MS,
            notice: SECOND,
            pause: 200 * MS,
        }
    }
}

/// What came of it. The first tenth of the jobs only fills the pool, and is not counted in the means.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// Jobs that were done.
    pub done: usize,
    /// How often a job was refused.
    pub refused: u64,
    /// How often a job lost its element.
    pub interrupted: u64,
    /// The part of the capacity of the elements present that did something, lost or not.
    pub utilisation: f64,
    /// The mean time from a job's arrival to its first element, in seconds.
    pub waiting: f64,
    /// The mean time from a job's arrival to its end, in seconds.
    pub handling: f64,
    /// What all jobs took, in what they would have taken alone at elements of mean speed.
    pub slowdown: f64,
    /// The part of all that was computed that had to be computed again.
    pub lost: f64,
}

/// Plays what a seed stands for.
#[must_use]
pub fn run(seed: u64, shape: &Shape) -> Seen {
    world::World::new(seed, shape).play()
}
