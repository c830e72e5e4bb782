//! What this crate says of the kernel, shown on the kernel: SCTP in the kernel, root, iproute2 and
//! `RUST_TEST_THREADS=1` are needed (`cargo testbed check` runs this in its guest).
//!
//! Each test has a network namespace of its own. Without SCTP or without the rights every test fails.

mod addresses;
mod adoption;
mod asynchronous;
mod common;
mod host;
mod notifications;
mod options;
mod probing;
mod sessions;
mod transfer;
mod watching;
