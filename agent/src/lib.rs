//! The mobility agent.

pub mod config;
pub mod handover;
pub mod translate;
