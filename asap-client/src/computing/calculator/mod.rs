//! Jobs of a given size, as rsplib's CalcApp has them: an element completes so many calculations in a second, and shares
//! them among its jobs. What is calculated is nothing; what is seen is how a pool copes.

mod wire;

pub use wire::{Message, PPID, State, Word};

use super::{Part, Taken, Unfit, Work};

/// A job at an element. A unit is a calculation.
#[derive(Clone, Debug)]
pub struct Calculation {
    state: State,
    told: bool,
}

impl Work for Calculation {
    const PPID: u32 = PPID;

    fn begin(request: &[u8]) -> Result<Self, Unfit> {
        match Message::decode(request)? {
            Message { word: Word::Request, state } => {
                Ok(Self { state: State { completed: 0, ..state }, told: false })
            }
            _ => Err(Unfit::Value("request")),
        }
    }

    fn resume(state: &[u8]) -> Result<Self, Unfit> {
        Ok(Self { state: State::decode(state)?, told: false })
    }

    fn welcome(&self) -> Option<Vec<u8>> {
        Some(Message::about(Word::Accept, self.state.job).encode())
    }

    fn refusal(request: &[u8]) -> Option<Vec<u8>> {
        // It is a request, or a cookie.
        let asked = Message::decode(request).map(|message| message.state).or_else(|_| State::decode(request));
        Some(Message::about(Word::Reject, asked.ok()?.job).encode())
    }

    fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, Unfit> {
        let Message { word, state } = Message::decode(message)?;
        if state.job != self.state.job {
            return Err(Unfit::Value("job"));
        }
        match word {
            Word::KeepAlive => Ok(Some(Message::about(Word::KeepAliveAck, state.job).encode())),
            Word::KeepAliveAck => Ok(None),
            _ => Err(Unfit::Value("message")),
        }
    }

    fn advance(&mut self, units: u64) -> u64 {
        let used = units.min(self.state.size - self.state.completed);
        self.state.completed += used;
        used
    }

    fn results(&mut self, all: bool) -> Vec<Vec<u8>> {
        if !all || self.told || !self.is_done() {
            return Vec::new();
        }
        self.told = true;
        vec![Message { word: Word::Complete, state: self.state }.encode()]
    }

    fn is_done(&self) -> bool {
        self.state.completed == self.state.size
    }

    fn state(&self) -> Vec<u8> {
        self.state.encode()
    }
}

/// A job that its user has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    job: u32,
    size: u64,
    accepted: u32,
    done: bool,
}

impl Order {
    /// Jobs that have so many calculations together, numbered from 1, in so many parts; less if there are not as many
    /// calculations.
    pub fn split(size: u64, parts: u32) -> Vec<Self> {
        let parts = u64::from(parts.max(1)).min(size.max(1));
        let order = |number: u64| {
            let upto = |count: u64| u128::from(size) * u128::from(count) / u128::from(parts);
            let size = u64::try_from(upto(number) - upto(number - 1)).unwrap_or_default();
            Self { job: u32::try_from(number).unwrap_or_default(), size, accepted: 0, done: false }
        };
        (1..=parts).map(order).collect()
    }

    /// Its number.
    pub fn job(&self) -> u32 {
        self.job
    }

    /// How many calculations it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How often an element has accepted it.
    pub fn accepted(&self) -> u32 {
        self.accepted
    }

    /// Is it done?
    pub fn is_done(&self) -> bool {
        self.done
    }
}

impl Part for Order {
    const PPID: u32 = PPID;

    fn request(&mut self) -> Vec<u8> {
        let state = State { job: self.job, size: self.size, completed: 0 };
        Message { word: Word::Request, state }.encode()
    }

    fn take(&mut self, message: &[u8]) -> Result<Taken, Unfit> {
        let Message { word, state } = Message::decode(message)?;
        if state.job != self.job {
            return Err(Unfit::Value("job"));
        }
        match word {
            Word::Accept => {
                self.accepted += 1;
                Ok(Taken::More)
            }
            Word::KeepAlive => Ok(Taken::Answer(Message::about(Word::KeepAliveAck, self.job).encode())),
            Word::KeepAliveAck => Ok(Taken::More),
            Word::Complete if (state.size, state.completed) == (self.size, self.size) => {
                self.done = true;
                Ok(Taken::Done)
            }
            Word::Complete => Err(Unfit::Value("completed")),
            Word::Reject | Word::Abort => Ok(Taken::Refused),
            Word::Request => Err(Unfit::Value("message")),
        }
    }

    fn prod(&self) -> Option<Vec<u8>> {
        Some(Message::about(Word::KeepAlive, self.job).encode())
    }
}

#[cfg(test)]
mod tests;
