//! Computing a picture, point by point.

use super::super::{Unfit, Work};
use super::wire::{Algorithm, MOST_POINTS, Message, PPID, Parameters, State};

/// The square of the distance from where on a point has escaped: rsplib's.
const ESCAPED: f64 = 2.0;

/// A picture that is being computed. A unit is an iteration.
///
/// Only additions and multiplications are used, in one order: the same everywhere to the last bit, and the same that
/// rsplib's elements compute, as long as they are compiled without fused operations.
#[derive(Clone, Debug)]
pub struct Fractal {
    state: State,
    step: (f64, f64),
    /// Points that have not been told, behind this one.
    begin: (u32, u32),
    values: Vec<u32>,
    messages: Vec<Vec<u8>>,
    ended: bool,
}

impl Fractal {
    fn new(mut state: State) -> Self {
        let Parameters { width, height, from, to, .. } = state.parameters;
        if state.x == width {
            (state.x, state.y) = (0, state.y.saturating_add(1).min(height));
        }
        let step = ((to.0 - from.0) / f64::from(width), (to.1 - from.1) / f64::from(height));
        let begin = (state.x, state.y);
        Self { state, step, begin, values: Vec::new(), messages: Vec::new(), ended: false }
    }

    fn is_computed(&self) -> bool {
        self.state.y >= self.state.parameters.height
    }

    fn next(&mut self) -> u32 {
        let Parameters { width, iterations, algorithm, from, .. } = self.state.parameters;
        let c =
            (from.0 + f64::from(self.state.x) * self.step.0, from.1 + f64::from(self.state.y) * self.step.1);
        let value = match algorithm {
            Algorithm::Mandelbrot => {
                escape(c, iterations, |z| (z.0 * z.0 - z.1 * z.1, z.0 * z.1 + z.1 * z.0))
            }
            Algorithm::Power(exponent) => escape(c, iterations, |z| power(z, exponent)),
        };
        self.state.x += 1;
        if self.state.x == width {
            (self.state.x, self.state.y) = (0, self.state.y + 1);
        }
        value
    }

    fn pack(&mut self) {
        if !self.values.is_empty() {
            let (x, y) = self.begin;
            let values = std::mem::take(&mut self.values);
            self.messages.push(Message::Points { x, y, values }.encode());
        }
    }
}

/// After how many iterations a point has escaped; `most` if it has not.
fn escape(c: (f64, f64), most: u32, mut next: impl FnMut((f64, f64)) -> (f64, f64)) -> u32 {
    let mut z = (0.0, 0.0);
    for count in 0..most {
        let (re, im) = next(z);
        z = (re - c.0, im - c.1);
        if z.0 * z.0 + z.1 * z.1 >= ESCAPED {
            return count;
        }
    }
    most
}

fn power(z: (f64, f64), exponent: u32) -> (f64, f64) {
    (1..exponent).fold(z, |p, _| (p.0 * z.0 - p.1 * z.1, p.0 * z.1 + p.1 * z.0))
}

impl Work for Fractal {
    const PPID: u32 = PPID;

    fn begin(request: &[u8]) -> Result<Self, Unfit> {
        match Message::decode(request)? {
            Message::Parameters(parameters) => Ok(Self::new(State { parameters, x: 0, y: 0 })),
            Message::Points { .. } | Message::End => Err(Unfit::Value("request")),
        }
    }

    fn resume(state: &[u8]) -> Result<Self, Unfit> {
        State::decode(state).map(Self::new)
    }

    fn advance(&mut self, units: u64) -> u64 {
        let mut used = 0;
        while used < units && !self.is_computed() {
            if self.values.is_empty() {
                self.begin = (self.state.x, self.state.y);
            }
            let value = self.next();
            // A point that escapes at once is work, too.
            used += u64::from(value) + 1;
            self.values.push(value);
            if self.values.len() == MOST_POINTS {
                self.pack();
            }
        }
        used
    }

    fn results(&mut self, all: bool) -> Vec<Vec<u8>> {
        if all {
            self.pack();
        }
        let mut messages = std::mem::take(&mut self.messages);
        if all && self.is_computed() && !self.ended {
            self.ended = true;
            messages.push(Message::End.encode());
        }
        messages
    }

    fn is_done(&self) -> bool {
        self.is_computed()
    }

    fn state(&self) -> Vec<u8> {
        self.state.encode()
    }
}
