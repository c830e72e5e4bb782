//! Which part of the plane a picture shows.

use super::super::Unfit;
use super::wire::{Algorithm, MOST_ITERATIONS, MOST_SIZE, Parameters};

/// Coordinates stay below this; numbers of 53 bits then have a last bit of no more than 2^-49.
const FARTHEST: f64 = 8.0;
const FINEST: i32 = -49;

/// Bits of the distance between two points.
const BITS: i32 = 20;

/// A picture: its points, and how far they are apart.
///
/// All distances and coordinates are multiples of one power of two, and short enough that everything that elements compute
/// of them is exact. So a point has the same coordinates, to the last bit, in whatever way a picture is split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    width: u32,
    height: u32,
    iterations: u32,
    algorithm: Algorithm,
    /// The first point.
    from: (f64, f64),
    /// From point to point; the second coordinate falls from row to row.
    step: f64,
}

impl View {
    /// A picture of this size around a point, whose rows are `extent` long. What that makes of coordinates is rounded a
    /// little.
    ///
    /// # Errors
    /// The size, the iterations, or the algorithm's exponent are beyond what elements compute; or coordinates are farther
    /// than 8 from the middle of the plane, or points closer together than 2^-49.
    pub fn new(
        (width, height): (u32, u32),
        middle: (f64, f64),
        extent: f64,
        iterations: u32,
        algorithm: Algorithm,
    ) -> Result<Self, Unfit> {
        if !(1..=MOST_SIZE).contains(&width) || !(1..=MOST_SIZE).contains(&height) {
            return Err(Unfit::Value("size"));
        }
        if iterations > MOST_ITERATIONS {
            return Err(Unfit::Value("iterations"));
        }
        let step = extent / f64::from(width);
        if !step.is_normal() || step < 0.0 || !middle.0.is_finite() || !middle.1.is_finite() {
            return Err(Unfit::Value("extent"));
        }
        // The exponent of a normal number, as IEEE 754 has it.
        let exponent = i32::try_from(step.to_bits() >> 52).unwrap_or_default() - 1023;
        let unit = 2f64.powi((exponent - BITS).max(FINEST));
        let round = |number: f64| (number / unit).round() * unit;
        let step = round(step);
        let half = |points: u32| f64::from(points / 2) * step;
        let from = (round(middle.0) - half(width), round(middle.1) + half(height));
        let to = (from.0 + f64::from(width) * step, from.1 - f64::from(height) * step);
        let far = [from.0, from.1, to.0, to.1].iter().any(|number| number.abs() > FARTHEST);
        if step == 0.0 || far {
            return Err(Unfit::Value("extent"));
        }
        Ok(Self { width, height, iterations, algorithm, from, step })
    }

    /// Points in a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Where it is given up for a point.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// What an element is asked for these rows.
    pub(super) fn rows(&self, first: u32, rows: u32) -> Parameters {
        let row = |number: u32| self.from.1 - f64::from(number) * self.step;
        Parameters {
            width: self.width,
            height: rows,
            iterations: self.iterations,
            algorithm: self.algorithm,
            from: (self.from.0, row(first)),
            to: (self.from.0 + f64::from(self.width) * self.step, row(first + rows)),
        }
    }
}
