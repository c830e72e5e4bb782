//! The agent on a kernel with SCTP, each test in a network namespace of its own. Needs root.

mod adoption;
mod arrival;
mod families;
mod gaps;
mod hand_over;
mod operation;
mod preference;
mod service;
mod table;
mod tick;
mod translation;
