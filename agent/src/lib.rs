//! The mobility agent.
