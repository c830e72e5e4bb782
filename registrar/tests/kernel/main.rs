//! The registrar over the kernel's SCTP, each test in a network namespace of its own. Needs root.

#![expect(clippy::disallowed_methods, reason = "these tests run in real time, and wait on conditions only")]

mod abuse;
mod lifecycle;
mod moving;
mod multicast;
mod peers;
mod rsplib;
mod service;
mod storm;
mod tcp;
mod world;
