//! The mobility agent.

pub mod associations;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod debug_report;
pub mod decisions;
pub mod doctor;
pub mod handover;
pub mod journal;
pub mod locate;
pub mod log;
pub mod metrics;
pub mod net;
pub mod paths;
pub mod preference;
pub mod routing;
pub mod show;
pub mod tally;
pub mod top;
pub mod translate;
pub mod wait;
