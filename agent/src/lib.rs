//! The mobility agent.

pub mod config;
pub mod control;
pub mod decisions;
pub mod handover;
pub mod journal;
pub mod net;
pub mod routing;
pub mod translate;
