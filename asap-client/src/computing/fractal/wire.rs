//! rsplib's fractal generator protocol. All numbers are big-endian, real ones IEEE 754.
//!
//! | message | type | behind type, flags and length |
//! |---|---|---|
//! | parameters | 1 | width (4), height (4), most iterations (4), algorithm (4), first corner (8, 8), second corner (8, 8), exponent (8) |
//! | points | 2 | x (4), y (4), how many (4), and as many values (4 each), 324 at most |
//!
//! The points of a message follow one another through the rows. One at x and y of all ones, without values, ends the
//! picture. A cookie is `<FG-TD1>`, the parameters as a message, and x and y of the next point.

use super::super::Unfit;
use super::super::octets::{HEADER, Numbers, message, open};

/// SCTP's payload protocol identifier.
pub const PPID: u32 = 32;

/// The most points of a message.
pub const MOST_POINTS: usize = 324;

/// The most points of a picture, each way.
pub const MOST_SIZE: u32 = 65_536;

/// The most iterations for a point.
pub const MOST_ITERATIONS: u32 = 1_000_000;

/// The largest exponent.
pub const MOST_EXPONENT: u32 = 64;

const PARAMETERS: u8 = 1;
const POINTS: u8 = 2;
const MAGIC: &[u8; 8] = b"<FG-TD1>";

/// What is iterated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// z² - c (1).
    Mandelbrot,
    /// zⁿ - c (2). Only whole exponents from 2 to [`MOST_EXPONENT`], for which all elements compute the same.
    Power(u32),
}

/// Which picture is to be computed: each point from its coordinates, which begin at one corner and end before the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Points in a row, 1 to [`MOST_SIZE`].
    pub width: u32,
    /// Rows, 1 to [`MOST_SIZE`].
    pub height: u32,
    /// Where it is given up for a point, at most [`MOST_ITERATIONS`].
    pub iterations: u32,
    /// What is iterated.
    pub algorithm: Algorithm,
    /// The first point's coordinates.
    pub from: (f64, f64),
    /// Those behind the last column and the last row.
    pub to: (f64, f64),
}

impl Parameters {
    fn read(numbers: &mut Numbers<'_>) -> Result<Self, Unfit> {
        let [width, height, iterations, algorithm] =
            [numbers.u32()?, numbers.u32()?, numbers.u32()?, numbers.u32()?];
        let [from, to] = [(numbers.f64()?, numbers.f64()?), (numbers.f64()?, numbers.f64()?)];
        let exponent = numbers.f64()?;
        let whole = (2..=MOST_EXPONENT).find(|whole| f64::from(*whole) == exponent);
        let algorithm = match (algorithm, whole) {
            (1, _) => Algorithm::Mandelbrot,
            (2, Some(exponent)) => Algorithm::Power(exponent),
            _ => return Err(Unfit::Value("algorithm")),
        };
        let sizes = 1..=MOST_SIZE;
        if !sizes.contains(&width) || !sizes.contains(&height) {
            return Err(Unfit::Value("size"));
        }
        if iterations > MOST_ITERATIONS {
            return Err(Unfit::Value("iterations"));
        }
        if ![from.0, from.1, to.0, to.1].iter().all(|number| number.is_finite()) {
            return Err(Unfit::Value("coordinates"));
        }
        Ok(Self { width, height, iterations, algorithm, from, to })
    }

    fn body(&self) -> Vec<u8> {
        let (algorithm, exponent) = match self.algorithm {
            Algorithm::Mandelbrot => (1, 2),
            Algorithm::Power(exponent) => (2, exponent),
        };
        let whole = [self.width, self.height, self.iterations, algorithm];
        let real = [self.from.0, self.from.1, self.to.0, self.to.1, f64::from(exponent)];
        let whole = whole.into_iter().flat_map(u32::to_be_bytes);
        whole.chain(real.into_iter().flat_map(f64::to_be_bytes)).collect()
    }

    /// How many points the picture has.
    pub fn points(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// A message, either way.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Compute this.
    Parameters(Parameters),
    /// What was computed: for each point after how many iterations it had escaped.
    Points {
        /// The first one's column.
        x: u32,
        /// The first one's row.
        y: u32,
        /// At most [`MOST_POINTS`].
        values: Vec<u32>,
    },
    /// That was all of the picture.
    End,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none, or asks for what is not computed here.
    pub fn decode(octets: &[u8]) -> Result<Self, Unfit> {
        let (type_, _, mut numbers) = open(octets)?;
        match type_ {
            PARAMETERS => {
                let parameters = Parameters::read(&mut numbers)?;
                numbers.end()?;
                Ok(Self::Parameters(parameters))
            }
            POINTS => {
                let [x, y, count] = [numbers.u32()?, numbers.u32()?, numbers.u32()?];
                let count = usize::try_from(count).ok().filter(|count| *count <= MOST_POINTS);
                if count.is_none_or(|count| numbers.0.len() != 4 * count) {
                    return Err(Unfit::Length);
                }
                if (x, y) == (u32::MAX, u32::MAX) && numbers.0.is_empty() {
                    return Ok(Self::End);
                }
                let mut values = Vec::with_capacity(numbers.0.len() / 4);
                while !numbers.0.is_empty() {
                    values.push(numbers.u32()?);
                }
                Ok(Self::Points { x, y, values })
            }
            other => Err(Unfit::Type(other)),
        }
    }

    /// The octets. Of values beyond [`MOST_POINTS`] none is sent.
    pub fn encode(&self) -> Vec<u8> {
        let points = |x: u32, y: u32, values: &[u32]| {
            let values = &values[..values.len().min(MOST_POINTS)];
            let count = u32::try_from(values.len()).unwrap_or_default();
            let numbers = [x, y, count].into_iter().chain(values.iter().copied());
            message(POINTS, 0, &numbers.flat_map(u32::to_be_bytes).collect::<Vec<u8>>())
        };
        match self {
            Self::Parameters(parameters) => message(PARAMETERS, 0, &parameters.body()),
            Self::Points { x, y, values } => points(*x, *y, values),
            Self::End => points(u32::MAX, u32::MAX, &[]),
        }
    }
}

/// How far a picture is: what a cookie says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// The picture.
    pub parameters: Parameters,
    /// The next point's column.
    pub x: u32,
    /// The next point's row; that behind the last once all is computed.
    pub y: u32,
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    /// It is none, or of a picture that is not computed here.
    pub fn decode(octets: &[u8]) -> Result<Self, Unfit> {
        let mut numbers = Numbers(octets);
        if numbers.array()? != *MAGIC {
            return Err(Unfit::Value("cookie"));
        }
        // rsplib writes the length of the header there.
        let [type_, _flags, _, _] = numbers.array()?;
        if type_ != PARAMETERS {
            return Err(Unfit::Type(type_));
        }
        let parameters = Parameters::read(&mut numbers)?;
        let (x, y) = (numbers.u32()?, numbers.u32()?);
        numbers.end()?;
        // A row that is over is the same as the next one's beginning.
        if x > parameters.width || y > parameters.height {
            return Err(Unfit::Value("position"));
        }
        Ok(Self { parameters, x, y })
    }

    /// The octets, the same as rsplib's.
    pub fn encode(&self) -> Vec<u8> {
        let header = [PARAMETERS, 0, 0, u8::try_from(HEADER).unwrap_or_default()];
        let (body, x, y) = (self.parameters.body(), self.x.to_be_bytes(), self.y.to_be_bytes());
        [&MAGIC[..], &header, &body, &x, &y].concat()
    }
}
