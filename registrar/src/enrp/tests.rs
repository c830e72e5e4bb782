//! Registrars among each other, on one virtual clock and a network that does what it is told.

mod agreement;
mod bad_input;
mod cluster;
mod drain;
mod element;
mod fuzz;
mod hostile;
mod network;
mod reading;
mod rules;
mod startup;
mod stranger;
mod takeover;
mod whole;
