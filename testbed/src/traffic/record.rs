//! What client and server write down.

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;

/// One association of the client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssociationRecord {
    /// When each message was sent, by its number.
    pub sent: Vec<Nanos>,
    /// When its echo came first, by its number; shorter than `sent` when the last ones are missing.
    pub echoed: Vec<Option<Nanos>>,
    /// Echoes that came before an earlier one.
    pub out_of_order: u64,
    /// Echoes that came again.
    pub duplicates: u64,
    /// Messages that came back changed, in part, or to the wrong association.
    pub foreign: u64,
    /// It ended before the client ended it.
    pub lost: bool,
    /// A session: how many elements it had to leave.
    #[serde(default)]
    pub left: u64,
    /// The number that should come next.
    #[serde(skip)]
    expected: u64,
}

impl AssociationRecord {
    /// A message goes out; gives its number.
    pub fn send(&mut self, now: Nanos) -> u64 {
        self.sent.push(now);
        self.sent.len() as u64 - 1
    }

    /// The last message could not be sent after all.
    pub fn unsend(&mut self) {
        self.sent.pop();
    }

    /// An echo comes in.
    pub fn echo(&mut self, number: u64, now: Nanos) {
        let Some(index) = usize::try_from(number).ok().filter(|&index| index < self.sent.len()) else {
            self.foreign += 1;
            return;
        };
        if self.echoed.len() <= index {
            self.echoed.resize(index + 1, None);
        }
        if self.echoed[index].is_some() {
            self.duplicates += 1;
            return;
        }
        self.echoed[index] = Some(now);
        if number != self.expected {
            self.out_of_order += 1;
        }
        self.expected = self.expected.max(number + 1);
    }

    /// How many messages have come back.
    pub fn echoes(&self) -> u64 {
        self.echoed.iter().flatten().count() as u64
    }

    /// All that was sent has come back.
    pub fn complete(&self) -> bool {
        self.echoed.len() == self.sent.len() && self.echoed.iter().all(Option::is_some)
    }

    /// When the latest of the messages that came back was sent; 0: none has.
    fn latest(&self) -> Nanos {
        let last = self.echoed.iter().rposition(Option::is_some);
        last.map_or(0, |index| self.sent[index])
    }
}

/// What the client writes at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its associations.
    pub associations: Vec<AssociationRecord>,
}

/// What the server writes at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerRecord {
    /// Associations that clients set up.
    pub accepted: u64,
    /// Messages that it echoed.
    pub echoed: u64,
    /// Associations that ended otherwise than in good order.
    pub lost: u64,
}

/// What the client says on its standard output several times a second, one line of JSON each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Now.
    pub at: Nanos,
    /// Messages sent, over all associations.
    pub sent: u64,
    /// When the latest of the messages that came back was sent, in the association that is furthest behind.
    pub reached: Nanos,
    /// When the latest echo came, over all associations.
    pub heard: Nanos,
    /// Associations lost.
    pub lost: u64,
}

impl ClientRecord {
    /// The progress up to now.
    pub fn progress(&self, now: Nanos) -> Progress {
        let latest_echo = |record: &AssociationRecord| record.echoed.iter().rev().find_map(|&echo| echo);
        Progress {
            at: now,
            sent: self.associations.iter().map(|record| record.sent.len() as u64).sum(),
            reached: self.associations.iter().map(AssociationRecord::latest).min().unwrap_or(0),
            heard: self.associations.iter().filter_map(latest_echo).max().unwrap_or(0),
            lost: self.associations.iter().filter(|record| record.lost).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(echoes: &[u64]) -> AssociationRecord {
        let mut record = AssociationRecord::default();
        for number in 0..5 {
            assert_eq!(record.send(100 + number), number);
        }
        for (index, &number) in echoes.iter().enumerate() {
            record.echo(number, 200 + index as Nanos);
        }
        record
    }

    #[test]
    fn every_echo_once_and_in_order_is_complete() {
        let record = after(&[0, 1, 2, 3, 4]);
        assert!(record.complete());
        assert_eq!((record.out_of_order, record.duplicates, record.foreign), (0, 0, 0));
    }

    #[test]
    fn an_echo_that_comes_again_counts_as_a_duplicate_and_not_as_an_echo() {
        let record = after(&[0, 0, 1]);
        assert_eq!((record.echoes(), record.duplicates, record.out_of_order), (2, 1, 0));
    }

    #[test]
    fn an_overtaking_echo_and_the_overtaken_one_are_out_of_order() {
        let record = after(&[0, 2, 1, 3]);
        assert_eq!((record.echoes(), record.out_of_order), (4, 2));
        assert!(!record.complete());
    }

    #[test]
    fn an_echo_of_what_was_never_sent_is_foreign() {
        assert_eq!(after(&[7]).foreign, 1);
    }

    #[test]
    fn progress_is_that_of_the_association_furthest_behind() {
        let record = ClientRecord { associations: vec![after(&[0, 1, 2]), after(&[0])] };
        let progress = record.progress(300);
        assert_eq!((progress.sent, progress.reached, progress.heard, progress.lost), (10, 100, 202, 0));
    }
}
