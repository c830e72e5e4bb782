//! A picture's parts, and putting them together.

use super::super::{Part, Taken, Unfit};
use super::view::View;
use super::wire::{Message, PPID};

/// Some rows of a picture, which one element after another computes.
#[derive(Clone, Debug)]
pub struct Band {
    view: View,
    first: u32,
    rows: u32,
    values: Vec<Option<u32>>,
    known: usize,
    /// The rows that are asked for now: the first of them in this band, and how many.
    asked: (u32, u32),
    repeated: u64,
}

impl Band {
    fn new(view: View, first: u32, rows: u32) -> Self {
        let mut band =
            Self { view, first, rows, values: Vec::new(), known: 0, asked: (0, rows), repeated: 0 };
        band.values = vec![None; band.place(rows, 0)];
        band
    }

    /// Where a point is; less than 2^32, as [`Canvas::new`] sees to.
    fn place(&self, row: u32, x: u32) -> usize {
        row as usize * self.view.width() as usize + x as usize
    }

    /// Its first row in the picture.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// Points that are there.
    pub fn known(&self) -> usize {
        self.known
    }

    /// Points that came again: two elements have computed them.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The rows that are not whole: the first of them, and how many there are up to the last.
    fn missing(&self) -> Option<(u32, u32)> {
        let width = self.view.width();
        let row = |place: usize| u32::try_from(place / width as usize).unwrap_or_default();
        let first = row(self.values.iter().position(Option::is_none)?);
        let last = row(self.values.iter().rposition(Option::is_none)?);
        Some((first, last + 1 - first))
    }

    fn points(&mut self, x: u32, y: u32, values: &[u32]) -> Result<(), Unfit> {
        let (first, rows) = self.asked;
        if values.is_empty() {
            return Ok(());
        }
        if x >= self.view.width() || y >= rows {
            return Err(Unfit::Value("position"));
        }
        let (begin, end) = (self.place(first + y, x), self.place(first + rows, 0));
        let places = begin..begin + values.len();
        let room = self.values[..end].get_mut(places).ok_or(Unfit::Value("position"))?;
        for (known, value) in room.iter_mut().zip(values) {
            match known {
                Some(before) if before == value => self.repeated += 1,
                Some(_) => return Err(Unfit::Contradiction),
                None => {
                    *known = Some(*value);
                    self.known += 1;
                }
            }
        }
        Ok(())
    }
}

impl Part for Band {
    const PPID: u32 = PPID;

    fn request(&mut self) -> Vec<u8> {
        self.asked = self.missing().unwrap_or((0, self.rows));
        let (first, rows) = self.asked;
        Message::Parameters(self.view.rows(self.first + first, rows)).encode()
    }

    fn take(&mut self, message: &[u8]) -> Result<Taken, Unfit> {
        match Message::decode(message)? {
            Message::Points { x, y, values } => self.points(x, y, &values).map(|()| Taken::More),
            // An element of rsplib's gives cookies of points that it has not told yet.
            Message::End if self.known < self.values.len() => Ok(Taken::Missing),
            Message::End => Ok(Taken::Done),
            Message::Parameters(_) => Err(Unfit::Value("answer")),
        }
    }
}

/// A whole picture, put together of bands.
#[derive(Clone, Debug)]
pub struct Canvas {
    view: View,
    values: Vec<Option<u32>>,
}

impl Canvas {
    /// The most points of a picture: 2^24, of 8 octets each.
    pub const MOST: u64 = 1 << 24;

    /// A picture of which nothing is there.
    ///
    /// # Errors
    /// It has more than [`Self::MOST`] points.
    pub fn new(view: View) -> Result<Self, Unfit> {
        let points = view.rows(0, view.height()).points();
        if points > Self::MOST {
            return Err(Unfit::Value("size"));
        }
        Ok(Self { view, values: vec![None; usize::try_from(points).unwrap_or_default()] })
    }

    /// Its bands, of so many rows each.
    pub fn bands(&self, rows: u32) -> Vec<Band> {
        let height = self.view.height();
        let rows = rows.clamp(1, height);
        let firsts = (0..height).step_by(rows as usize);
        firsts.map(|first| Band::new(self.view, first, rows.min(height - first))).collect()
    }

    /// Takes a band in, as far as it is there.
    pub fn put(&mut self, band: &Band) {
        let begin = band.place(band.first, 0);
        if let Some(room) = self.values.get_mut(begin..begin + band.values.len())
            && band.view == self.view
        {
            room.copy_from_slice(&band.values);
        }
    }

    /// After how many iterations each point has escaped, row by row; `None` while one is missing.
    pub fn values(&self) -> Option<Vec<u32>> {
        self.values.iter().copied().collect()
    }

    /// Red, green and blue of all points, row by row; black are those that did not escape, and those that are missing.
    pub fn colours(&self) -> Vec<u8> {
        let most = self.view.iterations();
        self.values.iter().flat_map(|value| colour(value.filter(|value| *value < most))).collect()
    }
}

/// A colour for a number of iterations: three waves of different length.
fn colour(value: Option<u32>) -> [u8; 3] {
    let Some(value) = value else { return [0; 3] };
    let wave = |length: u32| {
        let at = value % (2 * length);
        let height = if at < length { at } else { 2 * length - at };
        u8::try_from(40 + height * 215 / length).unwrap_or(u8::MAX)
    };
    [wave(11), wave(17), wave(29)]
}
