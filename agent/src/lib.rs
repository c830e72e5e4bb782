//! The mobility agent.

pub mod config;
