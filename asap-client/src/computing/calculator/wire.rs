//! rsplib's CalcApp protocol: jobs of a given size. All messages have 24 octets: type, flags and length, the job's
//! number (4), its size (8), and how much of it is done (8), all big-endian. A cookie has the last three alone.

use super::super::Unfit;
use super::super::octets::{Numbers, message, open};

/// SCTP's payload protocol identifier.
pub const PPID: u32 = 34;

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// The user: compute this.
    Request,
    /// The element: I do.
    Accept,
    /// The element: I do not.
    Reject,
    /// The element: I do it no more.
    Abort,
    /// The element: it is done.
    Complete,
    /// Either: are you there?
    KeepAlive,
    /// I am.
    KeepAliveAck,
}

impl Word {
    const ALL: [Self; 7] = [
        Self::Request,
        Self::Accept,
        Self::Reject,
        Self::Abort,
        Self::Complete,
        Self::KeepAlive,
        Self::KeepAliveAck,
    ];

    /// Types count from 1.
    fn of(type_: u8) -> Option<Self> {
        Self::ALL.get(usize::from(type_).checked_sub(1)?).copied()
    }

    fn type_(self) -> u8 {
        (1..).zip(Self::ALL).find(|(_, word)| *word == self).map_or(0, |(type_, _)| type_)
    }
}

/// A job, and how far it is: what messages and cookies tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The job's number, the user's own.
    pub job: u32,
    /// How many calculations it has.
    pub size: u64,
    /// How many are done.
    pub completed: u64,
}

impl State {
    fn body(&self) -> Vec<u8> {
        [&self.job.to_be_bytes()[..], &self.size.to_be_bytes(), &self.completed.to_be_bytes()].concat()
    }

    fn read(mut numbers: Numbers<'_>) -> Result<Self, Unfit> {
        let (job, size, completed) = (numbers.u32()?, numbers.u64()?, numbers.u64()?);
        numbers.end()?;
        Ok(Self { job, size, completed })
    }

    /// Reads a cookie.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(octets: &[u8]) -> Result<Self, Unfit> {
        let state = Self::read(Numbers(octets))?;
        if state.completed > state.size { Err(Unfit::Value("completed")) } else { Ok(state) }
    }

    /// The octets of a cookie.
    pub fn encode(&self) -> Vec<u8> {
        self.body()
    }
}

/// A message, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// What it says.
    pub word: Word,
    /// Of which job. The sizes are 0 where they are not needed.
    pub state: State,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(octets: &[u8]) -> Result<Self, Unfit> {
        let (type_, _, numbers) = open(octets)?;
        Ok(Self { word: Word::of(type_).ok_or(Unfit::Type(type_))?, state: State::read(numbers)? })
    }

    /// The octets.
    pub fn encode(&self) -> Vec<u8> {
        message(self.word.type_(), 0, &self.state.body())
    }

    /// A message that tells of a job's number alone.
    pub fn about(word: Word, job: u32) -> Self {
        Self { word, state: State { job, ..State::default() } }
    }
}
