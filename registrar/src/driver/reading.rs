//! Until when all that had come to a socket has been read.
//!
//! A socket that is read to its end has nothing older than that. One that is never empty, as more comes all the time, is
//! looked at: whoever has read as many messages as there were at that moment has read all that had come by then.

use std::time::{Duration, Instant};

use crate::Association;
use crate::numbered::Numbered;

/// So many messages at a time are few: a look that finds nothing costs about as much as reading one of them.
const FEW: usize = 4;

/// A socket is read to its end at least so often.
const TO_THE_END: Duration = Duration::from_millis(2);

/// What is known of one socket.
#[derive(Debug)]
pub(super) struct Reading {
    until: Instant,
    /// How many messages there were when it was last read to its end.
    came: usize,
    /// A moment, and how many messages have still to be read of what had come by then, at most.
    look: Option<(Instant, u64)>,
}

impl Reading {
    /// Of a socket to which nothing had come by then.
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now, came: 0, look: None }
    }

    /// Until when all has been read.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// So many messages were there.
    pub(super) fn came(&mut self, count: usize) {
        self.came = count;
    }

    /// After how many messages there is no need to look for more; `None`: it is to be read to its end.
    pub(super) fn expected(&self, now: Instant) -> Option<usize> {
        let lately = now < self.until + TO_THE_END;
        (lately && (1..=FEW).contains(&self.came)).then_some(self.came)
    }

    /// Nothing was there at some time after this one.
    pub(super) fn was_empty(&mut self, since: Instant) {
        self.until = self.until.max(since);
        self.look = None;
    }

    /// A message was read.
    pub(super) fn one(&mut self) {
        if let Some((at, left)) = &mut self.look {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.until = self.until.max(*at);
                self.look = None;
            }
        }
    }

    /// There is more than was read at once: how many messages there are is to be told, unless that is known.
    pub(super) fn goes_on(&mut self, now: Instant, unread: impl FnOnce() -> Option<u64>) {
        if self.look.is_none() {
            self.look = unread().map(|unread| (now, unread.max(1)));
        }
    }
}

/// How many messages in a row are looked at for whose they are.
const ROW: u32 = 1024;

/// Whose so many of them are sends more than others.
const MUCH: u32 = 64;

/// Who sends much of what is read from sockets that are not empty.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Whose the first ones of the row are: nobody can have sent much yet, so they are not counted before there are more.
    first: Vec<Association>,
    counts: Numbered<Association, u32>,
    row: u32,
}

impl Shares {
    /// A message of an association was read; whether it sends much.
    pub(super) fn is_much(&mut self, association: Association) -> bool {
        if self.row >= ROW {
            self.was_empty();
        }
        self.row += 1;
        self.first.push(association);
        self.row > MUCH && self.first.drain(..).fold(false, |_, one| count(&mut self.counts, one) > MUCH)
    }

    /// All was read at once: nobody sends too much.
    pub(super) fn was_empty(&mut self) {
        self.first.clear();
        if self.row > MUCH {
            self.counts.clear();
        }
        self.row = 0;
    }
}

fn count(counts: &mut Numbered<Association, u32>, association: Association) -> u32 {
    let count = counts.entry(association).or_default();
    *count += 1;
    *count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn all_is_read_that_had_come_when_as_many_are_read_as_there_were() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut reading = Reading::new(at(0));
        reading.one();
        reading.goes_on(at(1), || Some(3));
        reading.goes_on(at(2), || panic!("that is known"));
        for _ in 0..3 {
            assert_eq!(reading.until(), at(0));
            reading.one();
        }
        assert_eq!(reading.until(), at(1));
        reading.goes_on(at(3), || Some(3));
        reading.was_empty(at(4));
        assert_eq!(reading.until(), at(4));
        reading.goes_on(at(5), || None);
        reading.one();
        assert_eq!(reading.until(), at(4), "nobody knows");
    }

    #[test]
    fn where_few_came_no_more_are_looked_for_but_now_and_then() {
        let start = Instant::now();
        let mut reading = Reading::new(start);
        assert_eq!(reading.expected(start), None, "it has not been read");
        for (came, expected) in [(1, Some(1)), (FEW, Some(FEW)), (FEW + 1, None), (0, None)] {
            reading.came(came);
            reading.was_empty(start);
            assert_eq!(reading.expected(start + TO_THE_END / 2), expected);
            assert_eq!(reading.expected(start + TO_THE_END), None);
        }
    }

    #[test]
    fn who_sends_a_sixteenth_of_what_does_not_end_sends_much_and_many_alike_do_not() {
        let mut shares = Shares::default();
        for _ in 0..10 {
            for number in 0..100 {
                assert!(!shares.is_much(Association(number)), "all send the same");
            }
        }
        for _ in 0..10 {
            shares.was_empty();
            for _ in 0..MUCH {
                assert!(!shares.is_much(Association(7)), "all was read each time");
            }
        }
        assert!(shares.is_much(Association(7)));
        assert!(!shares.is_much(Association(8)));
    }
}
