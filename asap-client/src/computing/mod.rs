//! Pools that compute (draft-dreibholz-rserpool-applic-distcomp): a job is split into parts, each part is had done by an
//! element of a pool, whichever it is, and the results are put together.
//!
//! Everything here is without I/O; the module `driver::computing` puts it on sessions.
//!
//! | | the user's side | the element's side |
//! |---|---|---|
//! | any kind of work | [`Part`] | [`Work`], and [`Run`]: one work in its time |
//! | fractal pictures, as rsplib's | [`fractal::Band`], put together on a [`fractal::Canvas`] | [`fractal::Fractal`] |
//! | jobs of a given size, as rsplib's | [`calculator::Order`] | [`calculator::Calculation`] |
//! | work packages, as rsplib's | | [`scripting`] |
//!
//! Elements may be slow or fast, and vanish at any moment. A part is one session: its request is the only message that
//! the user has to send, and the newest cookie says how far the work is, so that the next element goes on from there. What
//! is done twice is the same both times: results are computed in the same way everywhere.

pub mod calculator;
pub mod fractal;
mod octets;
mod run;
pub mod scripting;

pub use run::{Output, Pace, Run};

use thiserror::Error;

/// Why octets are no message, no request or no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Unfit {
    /// Its length is not what it should be.
    #[error("the length is wrong")]
    Length,
    /// A message of this type is not known, or not expected.
    #[error("a message of type {0}")]
    Type(u8),
    /// This is out of bounds.
    #[error("the {0} cannot be")]
    Value(&'static str),
    /// Two elements have computed something else.
    #[error("two elements do not agree")]
    Contradiction,
}

/// What an element does for a user, piece by piece.
///
/// Work is measured in units of which an element does so many in a second: that is its capacity. Nothing that a user
/// sends may make it panic, or do more at a time than it was allowed to.
pub trait Work: Sized + Send + 'static {
    /// SCTP's payload protocol identifier of all messages.
    const PPID: u32;

    /// The work that a user asks for.
    ///
    /// # Errors
    /// It asks for none.
    fn begin(request: &[u8]) -> Result<Self, Unfit>;

    /// The work that another element had done a part of, from its last cookie.
    ///
    /// # Errors
    /// That is none.
    fn resume(state: &[u8]) -> Result<Self, Unfit>;

    /// What the user is told before anything is done.
    fn welcome(&self) -> Option<Vec<u8>> {
        None
    }

    /// What a user is told whose work is not taken.
    fn refusal(_request: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// The answer to what the user says meanwhile, if there is one.
    ///
    /// # Errors
    /// It makes no sense.
    fn answer(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, Unfit> {
        let _ignored = message;
        Ok(None)
    }

    /// Works on until so many units are used up, or all is done: how many were. The last piece may take more.
    fn advance(&mut self, units: u64) -> u64;

    /// Messages with what has been computed and was not told. `all`: also what does not fill a message, and the end,
    /// once all is done; nothing is left then.
    fn results(&mut self, all: bool) -> Vec<Vec<u8>>;

    /// Is it done?
    fn is_done(&self) -> bool;

    /// From where the next element goes on. For when nothing is left to be told.
    fn state(&self) -> Vec<u8>;
}

/// What a message of an element means for a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// More has to come.
    More,
    /// More has to come, and the element is to be told this.
    Answer(Vec<u8>),
    /// The part is done.
    Done,
    /// The element has ended it, and something is missing: the part is to be asked for again.
    Missing,
    /// The element does not want it: another one may.
    Refused,
}

/// A part of a job, as its user has it done.
pub trait Part: Send + 'static {
    /// SCTP's payload protocol identifier of all messages.
    const PPID: u32;

    /// Asks for what is missing. What comes from then on has to be of elements that were asked this, or given a cookie
    /// of one that was.
    fn request(&mut self) -> Vec<u8>;

    /// Takes what an element says.
    ///
    /// # Errors
    /// It makes no sense: the element is to be left.
    fn take(&mut self, message: &[u8]) -> Result<Taken, Unfit>;

    /// What an element is asked that has said nothing for a while, if it can be.
    fn prod(&self) -> Option<Vec<u8>> {
        None
    }
}
