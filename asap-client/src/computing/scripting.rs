//! rsplib's scripting protocol: a user uploads a work package, an element works on it, and the user downloads what that
//! made. All numbers are big-endian.
//!
//! | message | type | behind type, flags and length |
//! |---|---|---|
//! | not ready | 0 | reason (4), the element's name |
//! | ready | 1 | the element's name |
//! | upload, download | 2, 3 | octets, 16384 at most; none: that was all |
//! | keep-alive | 4 | |
//! | its acknowledgement | 5 | status (4); a user sends none |
//! | status | 6 | an exit status (4): 0 after the upload, and that of the work when it is over |
//! | environment | 7 | SHA-1 of a file that the work needs (20); flag 1: to be uploaded |
//!
//! There are no cookies: with an element that is lost, the user begins again.

use super::Unfit;
use super::octets::{message, open};

/// SCTP's payload protocol identifier.
pub const PPID: u32 = 35;

/// The most octets of a part of an upload or a download.
pub const MOST_OCTETS: usize = 16_384;

/// The most octets of an element's name.
pub const MOST_NAME: usize = 64;

const UPLOAD_NEEDED: u8 = 1;

/// Why an element is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It has as many users as it takes (1).
    FullyLoaded,
    /// It lacks something else (2, and all others).
    OutOfResources,
}

/// A message, either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The element cannot serve.
    NotReady {
        /// Why.
        reason: Reason,
        /// The element's name.
        name: Vec<u8>,
    },
    /// The element serves: it says so first.
    Ready {
        /// The element's name.
        name: Vec<u8>,
    },
    /// A part of the work package, or of the environment behind it; empty behind the last.
    Upload(Vec<u8>),
    /// A part of what was made; empty behind the last.
    Download(Vec<u8>),
    /// Are you there?
    KeepAlive,
    /// I am.
    KeepAliveAck,
    /// The work has begun, or how it has ended.
    Status(u32),
    /// The user: do you have this file? The element: whether it is to be uploaded.
    Environment {
        /// Its SHA-1.
        hash: [u8; 20],
        /// The element has not.
        needed: bool,
    },
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(octets: &[u8]) -> Result<Self, Unfit> {
        let (type_, flags, mut numbers) = open(octets)?;
        let bounded = |octets: &[u8], most: usize| {
            if octets.len() <= most { Ok(octets.to_vec()) } else { Err(Unfit::Length) }
        };
        let message = match type_ {
            0 => {
                let reason = if numbers.u32()? == 1 { Reason::FullyLoaded } else { Reason::OutOfResources };
                return Ok(Self::NotReady { reason, name: bounded(numbers.0, MOST_NAME)? });
            }
            1 => return Ok(Self::Ready { name: bounded(numbers.0, MOST_NAME)? }),
            2 => return Ok(Self::Upload(bounded(numbers.0, MOST_OCTETS)?)),
            3 => return Ok(Self::Download(bounded(numbers.0, MOST_OCTETS)?)),
            4 => Self::KeepAlive,
            5 => {
                if !numbers.0.is_empty() {
                    numbers.u32()?;
                }
                Self::KeepAliveAck
            }
            6 => Self::Status(numbers.u32()?),
            7 => Self::Environment { hash: numbers.array()?, needed: flags & UPLOAD_NEEDED != 0 },
            other => return Err(Unfit::Type(other)),
        };
        numbers.end()?;
        Ok(message)
    }

    /// The octets, as an element sends them. What is longer than it may be is cut off.
    pub fn encode(&self) -> Vec<u8> {
        let bounded = |octets: &[u8], most: usize| octets[..octets.len().min(most)].to_vec();
        match self {
            Self::NotReady { reason, name } => {
                let reason: u32 = if *reason == Reason::FullyLoaded { 1 } else { 2 };
                message(0, 0, &[&reason.to_be_bytes()[..], &bounded(name, MOST_NAME)].concat())
            }
            Self::Ready { name } => message(1, 0, &bounded(name, MOST_NAME)),
            Self::Upload(octets) => message(2, 0, &bounded(octets, MOST_OCTETS)),
            Self::Download(octets) => message(3, 0, &bounded(octets, MOST_OCTETS)),
            Self::KeepAlive => message(4, 0, &[]),
            Self::KeepAliveAck => message(5, 0, &[0; 4]),
            Self::Status(status) => message(6, 0, &status.to_be_bytes()),
            Self::Environment { hash, needed } => message(7, u8::from(*needed), hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_element_that_is_not_ready_says_why() {
        let name = b"one".to_vec();
        for (reason, number) in [(Reason::FullyLoaded, 1), (Reason::OutOfResources, 2)] {
            let message = Message::NotReady { reason, name: name.clone() };
            assert_eq!(message.encode(), [0, 0, 0, 11, 0, 0, 0, number, b'o', b'n', b'e']);
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
        let other = Message::NotReady { reason: Reason::OutOfResources, name };
        assert_eq!(Message::decode(&[0, 0, 0, 11, 0, 0, 0, 9, b'o', b'n', b'e']), Ok(other));
    }

    #[test]
    fn an_environment_is_asked_for_by_its_hash() {
        for (needed, flags) in [(false, 0), (true, 1)] {
            let message = Message::Environment { hash: [0xab; 20], needed };
            assert_eq!(message.encode(), [&[7, flags, 0, 24][..], &[0xab; 20]].concat());
            assert_eq!(Message::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn what_is_longer_than_it_may_be_is_no_message() {
        let long = |type_: u8, most: usize| message(type_, 0, &vec![0; most + 1]);
        for octets in [long(1, MOST_NAME), long(2, MOST_OCTETS), long(3, MOST_OCTETS), long(4, 0), long(6, 4)]
        {
            assert_eq!(Message::decode(&octets), Err(Unfit::Length));
        }
        assert_eq!(Message::decode(&[9, 0, 0, 4]), Err(Unfit::Type(9)));
        assert!(Message::decode(&Message::Upload(vec![1; MOST_OCTETS + 1]).encode()).is_ok());
    }

    proptest! {
        #[test]
        fn what_can_be_read_can_be_read_again(octets in prop::collection::vec(any::<u8>(), 0..60), type_ in 0..9_u8) {
            for octets in [octets.clone(), message(type_, 1, &octets)] {
                if let Ok(read) = Message::decode(&octets) {
                    prop_assert_eq!(Message::decode(&read.encode()), Ok(read));
                }
            }
        }
    }
}
