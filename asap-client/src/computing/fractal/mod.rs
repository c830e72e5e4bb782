//! Fractal pictures, as rsplib's fractal generator computes them.
//!
//! A [`View`] says which part of the plane a picture shows; it is split into [`Band`]s of rows, which are had computed
//! one by one and put together on a [`Canvas`]. A [`Fractal`] is the element's side.

mod canvas;
mod paint;
mod view;
mod wire;

pub use canvas::{Band, Canvas};
pub use paint::Fractal;
pub use view::View;
pub use wire::{
    Algorithm, MOST_EXPONENT, MOST_ITERATIONS, MOST_POINTS, MOST_SIZE, Message, PPID, Parameters, State,
};

#[cfg(test)]
mod tests;
