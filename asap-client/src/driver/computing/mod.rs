//! Pools that compute, over sessions: see [`crate::computing`] for what they are.
//!
//! [`compute`] has a job's parts done, several at a time, whatever becomes of the elements. [`serve`] is an element: it
//! registers its load as it changes, and when its host is wanted back, it leaves in good order: what it has done so far goes
//! on elsewhere, and nothing is done twice.
//!
//! The examples `fractal-server`, `fractal-client`, `calculator-server` and `calculator-client` are made of the two.

mod crew;
mod element;

pub use crew::{Crew, Failed, Told, compute};
pub use element::{Done, Element, serve};
