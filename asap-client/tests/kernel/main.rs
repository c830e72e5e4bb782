//! The client over the kernel's SCTP: a mobile host in one network namespace, registrars in another, a delay between
//! them. Needs root.

#![expect(clippy::disallowed_methods, reason = "these tests run in real time, and wait on conditions only")]

mod carried;
mod client;
mod cookies;
mod element;
mod mail;
mod many;
mod registrar;
mod rsplib;
mod sessions;
mod world;
