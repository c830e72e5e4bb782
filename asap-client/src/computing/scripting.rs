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

/// What an element is to do for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Say this.
    Say(Message),
    /// Work on this package, with this environment if there is one; then [`Desk::finish`].
    Work {
        /// The package.
        package: Vec<u8>,
        /// What it needs besides.
        environment: Option<Vec<u8>>,
    },
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Uploading,
    Working,
    Over,
}

/// A user's work package at an element: it is taken, worked on, and what that made is given. Environments are not kept for
/// others.
#[derive(Debug)]
pub struct Desk {
    most: usize,
    state: State,
    package: Vec<u8>,
    environment: Vec<u8>,
    /// An environment is needed, and it is what is uploaded now.
    needs: bool,
    packed: bool,
}

impl Desk {
    /// A user has come, who is to hear that the element is [`Message::Ready`]. `most`: octets of package and environment
    /// together.
    pub fn new(most: usize) -> Self {
        let (state, package, environment) = Default::default();
        Self { most, state, package, environment, needs: false, packed: false }
    }

    /// Takes what the user says.
    ///
    /// # Errors
    /// It makes no sense, or is too much: the user is to be left.
    pub fn take(&mut self, message: Message) -> Result<Option<Step>, Unfit> {
        match (&self.state, message) {
            (_, Message::KeepAlive) => Ok(Some(Step::Say(Message::KeepAliveAck))),
            (_, Message::KeepAliveAck) => Ok(None),
            (State::Uploading, Message::Environment { hash, .. }) => {
                self.needs = true;
                Ok(Some(Step::Say(Message::Environment { hash, needed: true })))
            }
            (State::Uploading, Message::Upload(octets)) if octets.is_empty() => Ok(self.packed()),
            (State::Uploading, Message::Upload(octets)) => {
                if self.package.len() + self.environment.len() + octets.len() > self.most {
                    return Err(Unfit::Value("size"));
                }
                if self.packed { &mut self.environment } else { &mut self.package }.extend(octets);
                Ok(None)
            }
            _ => Err(Unfit::Value("message")),
        }
    }

    fn packed(&mut self) -> Option<Step> {
        if self.needs && !self.packed {
            self.packed = true;
            return None;
        }
        self.state = State::Working;
        let (package, environment) =
            (std::mem::take(&mut self.package), std::mem::take(&mut self.environment));
        Some(Step::Work { package, environment: self.needs.then_some(environment) })
    }

    /// The work is over, with this exit status, and has made this: what is to be said. Before the work begins, the user is
    /// to hear [`Message::Status`] of 0.
    pub fn finish(&mut self, status: u32, made: &[u8]) -> Vec<Message> {
        self.state = State::Over;
        let parts = made.chunks(MOST_OCTETS).map(|part| Message::Download(part.to_vec()));
        let end = Message::Download(Vec::new());
        [Message::Status(status)].into_iter().chain(parts).chain([end]).collect()
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

    fn upload(octets: &[u8]) -> Message {
        Message::Upload(octets.to_vec())
    }

    #[test]
    fn a_package_is_taken_worked_on_and_what_it_made_is_given() {
        let mut desk = Desk::new(100);
        assert_eq!(desk.take(upload(&[1, 2])), Ok(None));
        assert_eq!(desk.take(upload(&[3])), Ok(None));
        let work = Step::Work { package: vec![1, 2, 3], environment: None };
        assert_eq!(desk.take(upload(&[])), Ok(Some(work)));
        assert_eq!(desk.take(Message::KeepAlive), Ok(Some(Step::Say(Message::KeepAliveAck))));
        assert_eq!(desk.take(upload(&[4])), Err(Unfit::Value("message")), "it is being worked on");
        let made = vec![7; MOST_OCTETS + 1];
        let [Message::Status(3), Message::Download(one), Message::Download(two), Message::Download(end)] =
            &desk.finish(3, &made)[..]
        else {
            panic!("status, two parts, and the end")
        };
        assert_eq!((one.len(), two.len(), end.len()), (MOST_OCTETS, 1, 0));
    }

    #[test]
    fn an_environment_comes_behind_the_package() {
        let mut desk = Desk::new(100);
        let wanted = |needed| Message::Environment { hash: [9; 20], needed };
        assert_eq!(desk.take(wanted(false)), Ok(Some(Step::Say(wanted(true)))));
        assert_eq!(desk.take(upload(&[1])), Ok(None));
        assert_eq!(desk.take(upload(&[])), Ok(None));
        assert_eq!(desk.take(upload(&[2])), Ok(None));
        let work = Step::Work { package: vec![1], environment: Some(vec![2]) };
        assert_eq!(desk.take(upload(&[])), Ok(Some(work)));
    }

    #[test]
    fn more_than_there_is_room_for_is_not_taken() {
        let mut desk = Desk::new(3);
        assert_eq!(desk.take(upload(&[1, 2])), Ok(None));
        assert_eq!(desk.take(upload(&[1, 2])), Err(Unfit::Value("size")));
        assert_eq!(Desk::new(3).take(Message::Status(0)), Err(Unfit::Value("message")));
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
