//! What was wrong with messages, of either protocol, in numbers.

use asap_client::wire::Problem;
use asap_client::wire::error::Fault;
use serde::{Deserialize, Serialize};

/// One of the numbers of how often something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name.
    pub name: &'static str,
    /// What it counts, in one sentence.
    pub what: &'static str,
    /// Its value.
    pub value: u64,
}

impl Counter {
    pub(crate) fn new(name: &'static str, what: &'static str, value: u64) -> Self {
        Self { name, what, value }
    }
}

/// How often messages were not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// Messages with a payload protocol identifier that is another protocol's; dropped.
    pub wrong_ppid: u64,
    /// Messages whose octets do not hold together; dropped.
    pub malformed: u64,
    /// Messages longer than any can be; dropped.
    pub oversized: u64,
    /// Messages of a type that is not known; reported where the type's high bits ask for it.
    pub unknown_messages: u64,
    /// Messages with parameters of types that are not known; dropped, or read without them, and reported, as the
    /// types' high bits ask.
    pub unknown_parameters: u64,
    /// Messages that lack a parameter, or have one that has no place there; dropped.
    pub misplaced: u64,
    /// Messages with a value that means nothing; dropped and reported.
    pub invalid_values: u64,
}

impl Faults {
    /// A message that could not be read.
    pub(crate) fn unreadable(&mut self, problem: &Problem) {
        *match problem.fault() {
            Fault::Malformed => &mut self.malformed,
            Fault::UnknownMessage => &mut self.unknown_messages,
            Fault::UnknownParameter => &mut self.unknown_parameters,
            Fault::Misplaced => &mut self.misplaced,
            Fault::Invalid => &mut self.invalid_values,
        } += 1;
    }

    /// All of them, each with its name and what it counts.
    pub(crate) fn named(self) -> [Counter; 7] {
        // Taken apart without `..`, so that none is forgotten here.
        let Self {
            wrong_ppid,
            malformed,
            oversized,
            unknown_messages,
            unknown_parameters,
            misplaced,
            invalid_values,
        } = self;
        let counter = Counter::new;
        [
            counter(
                "wrong_ppid",
                "Messages with a payload protocol identifier that is another protocol's; dropped",
                wrong_ppid,
            ),
            counter("malformed", "Messages whose octets do not hold together; dropped", malformed),
            counter("oversized", "Messages longer than any can be; dropped", oversized),
            counter("unknown_messages", "Messages of a type that is not known", unknown_messages),
            counter("unknown_parameters", "Messages with parameters of unknown types", unknown_parameters),
            counter(
                "misplaced",
                "Messages that lack a parameter, or have one that has no place there; dropped",
                misplaced,
            ),
            counter(
                "invalid_values",
                "Messages with a value that means nothing; dropped and reported",
                invalid_values,
            ),
        ]
    }
}
