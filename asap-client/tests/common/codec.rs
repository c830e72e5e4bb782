//! What holds of the codecs of both protocols, for all messages and for all octets.

use std::fmt::{Debug, Display};
use std::hash::{DefaultHasher, Hash, Hasher};

use asap_client::wire::Cause;
use asap_client::wire::error::{DecodeError, Fault};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A protocol with its codec.
pub(crate) trait Protocol {
    /// Its messages.
    type Message: Debug + Display + PartialEq;

    /// A message, what is to be reported of it, and whether its lengths count the last padding; else what is to be
    /// reported of the octets.
    fn decode(octets: &[u8]) -> Result<(Self::Message, Vec<Cause>, bool), Refusal>;

    /// The number of a message's type.
    fn type_(message: &Self::Message) -> u8;

    fn encode(message: &Self::Message) -> Vec<u8>;
}

/// Why octets are no message.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The number of the type, where there were octets enough to have one.
    type_: Option<u8>,
    fault: Fault,
    causes: Vec<Cause>,
}

impl Refusal {
    pub(crate) fn new<T: Display>(error: &DecodeError<T>, number: impl Fn(&T) -> u8) -> Self {
        assert!(!error.to_string().is_empty());
        Self {
            type_: error.message.as_ref().map(number),
            fault: error.problem.fault(),
            causes: error.causes(),
        }
    }
}

/// For fuzzing: octets are harmless, and of this kind. What counts is which message came of it, or where it went wrong.
pub(crate) fn kind<P: Protocol>(octets: &[u8]) -> u64 {
    octets_are_harmless::<P>(octets);
    let mut hasher = DefaultHasher::new();
    match P::decode(octets) {
        Ok((message, reports, padded)) => (P::type_(&message), reports.len(), padded).hash(&mut hasher),
        // Of the types that are not known, what their high bits ask for is enough.
        Err(refusal) => (refusal.type_.map(|type_| type_ & 0xcf), refusal.fault).hash(&mut hasher),
    }
    hasher.finish()
}

/// What is no message is refused without harm, and a report of it is not much longer than it is; what is one says the
/// same when it is written again, in no more octets.
pub(crate) fn octets_are_harmless<P: Protocol>(octets: &[u8]) {
    match P::decode(octets) {
        Ok((message, ..)) => {
            let again = P::encode(&message);
            assert!(again.len() <= octets.len().next_multiple_of(4), "it grew: {message}");
            assert_eq!(P::decode(&again).unwrap().0, message);
        }
        Err(Refusal { causes, .. }) => {
            let told: usize = causes.iter().map(|cause| cause.data.len()).sum();
            assert!(told <= 2 * octets.len(), "{causes:?}");
        }
    }
}

/// Every message survives the wire.
pub(crate) fn messages_survive<P: Protocol>(messages: impl Strategy<Value = P::Message>) {
    for_all(messages, |message| {
        let octets = P::encode(&message);
        assert!(octets.len().is_multiple_of(4));
        let (read, reports, padded) = P::decode(&octets).unwrap();
        assert_eq!(read, message);
        assert_eq!((reports, padded), (vec![], false));
    });
}

/// Messages with some octets changed, and cut short.
pub(crate) fn damage_is_harmless<P: Protocol>(messages: impl Strategy<Value = P::Message>) {
    use prop::sample::Index;
    let changes = prop::collection::vec(any::<(Index, u8)>(), 1..6);
    for_all((messages, changes, any::<Index>()), |(message, changes, cut)| {
        let mut octets = P::encode(&message);
        for (place, value) in changes {
            let place = place.index(octets.len());
            octets[place] = value;
        }
        octets.truncate(cut.index(octets.len() + 1));
        octets_are_harmless::<P>(&octets);
    });
}

/// Octets of any kind behind a header whose length is right, of all types up to this one.
pub(crate) fn noise_is_harmless<P: Protocol>(last: u8) {
    for_all((0..=last, any::<u8>(), prop::collection::vec(any::<u8>(), 0..=200)), |(type_, flags, noise)| {
        let length = u16::try_from(noise.len() + 4).unwrap().to_be_bytes();
        octets_are_harmless::<P>(&[&[type_, flags, length[0], length[1]], &noise[..]].concat());
    });
}

fn for_all<S: Strategy>(values: S, holds: impl Fn(S::Value)) {
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let all = TestRunner::new(config).run(&values, |value| {
        holds(value);
        Ok(())
    });
    all.unwrap_or_else(|error| panic!("{error}"));
}
