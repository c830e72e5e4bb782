//! How a cookie's counts and the answers of one association fit into the session.
//!
//! A user numbers what it sends by *positions*: 1 for the session's first message, and on, over all its elements. An
//! element counts what it has received and sent, beginning where the cookie that it was given leaves off. The two differ
//! once an answer has outrun the last cookie: the answered message is not sent again, so that the next element's count
//! falls behind. A track turns one into the other for one association.

use super::cookie::Counts;

/// Where in the session a cookie was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last position that the state includes.
    pub(super) covered: u64,
    /// How many answers to what the state includes had still to be sent.
    pub(super) owed: u64,
}

/// What becomes of a cookie's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// This is where it was made.
    At(Mark),
    /// It counts messages of the element that have not come yet.
    Early,
    /// It counts what was never sent, or less than the one before it.
    Nonsense,
}

/// One association of the session.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// Where the element's counts began, and the mark of that.
    base: Counts,
    start: Mark,
    /// The position of the first message sent here.
    first: u64,
    sent: u64,
    /// Messages that have come from the element.
    came: u64,
}

impl Track {
    /// An element that begins at nothing, and is sent the message at `first` first.
    pub(super) fn fresh(first: u64) -> Self {
        let start = Mark { covered: first - 1, owed: 0 };
        Self { base: Counts::default(), start, first, sent: 0, came: 0 }
    }

    /// An element that is given a cookie with these counts, made at `mark`, and then sent the message at `first`.
    pub(super) fn restored(base: Counts, mark: Mark, first: u64) -> Self {
        Self { base, start: mark, first, sent: 0, came: 0 }
    }

    /// The element has refused its cookie before it sent anything else: it begins at nothing.
    pub(super) fn refused(&mut self) {
        *self = Self { sent: self.sent, ..Self::fresh(self.first) };
    }

    /// Where the message was that was sent first here.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The next message in the order of the session has been sent.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// A message has come from the element.
    pub(super) fn came(&mut self) {
        self.came += 1;
    }

    /// The position whose answer has come last, where each message has one; `None` if nothing was left to be answered.
    ///
    /// The answers that the state owes come first. If the element was not sent some of what had been answered, they
    /// belong to earlier positions than it seems here; but only such as have been answered as well.
    pub(super) fn last_answer(&self) -> Option<u64> {
        let before = self.came.checked_sub(1)?;
        let Mark { covered, owed } = self.start;
        match before.checked_sub(owed) {
            None => Some(covered - owed + 1 + before),
            Some(before) if before < self.sent => Some(self.first + before),
            Some(_) => None,
        }
    }

    /// What a cookie's counts mean.
    pub(super) fn read(&self, counts: Counts) -> Reading {
        let received =
            counts.received.checked_sub(self.base.received).filter(|received| *received <= self.sent);
        let (Some(received), Some(sent)) = (received, counts.sent.checked_sub(self.base.sent)) else {
            return Reading::Nonsense;
        };
        let covered = if received == 0 { self.start.covered } else { self.first + received - 1 };
        let owed = counts.received.saturating_sub(counts.sent);
        match () {
            () if owed > covered => Reading::Nonsense,
            () if sent > self.came => Reading::Early,
            () => Reading::At(Mark { covered, owed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(received: u64, sent: u64) -> Counts {
        Counts { received, sent }
    }

    fn at(covered: u64, owed: u64) -> Reading {
        Reading::At(Mark { covered, owed })
    }

    /// After `sent` messages and `came` answers.
    fn after(mut track: Track, sent: u64, came: u64) -> (Track, Vec<Option<u64>>) {
        (0..sent).for_each(|_| track.sent());
        let answers = (0..came)
            .map(|_| {
                track.came();
                track.last_answer()
            })
            .collect();
        (track, answers)
    }

    #[test]
    fn a_fresh_element_answers_what_it_is_sent() {
        let (track, answers) = after(Track::fresh(4), 2, 3);
        assert_eq!(answers, [Some(4), Some(5), None], "the third answers nothing");
        assert_eq!(track.read(counts(0, 0)), at(3, 0));
        assert_eq!(track.read(counts(2, 1)), at(5, 1));
    }

    #[test]
    fn a_restored_element_first_answers_what_its_state_owes() {
        let mark = Mark { covered: 7, owed: 2 };
        let (track, answers) = after(Track::restored(counts(7, 5), mark, 8), 2, 4);
        assert_eq!(answers, [Some(6), Some(7), Some(8), Some(9)]);
        assert_eq!(track.read(counts(8, 6)), at(8, 2));
        assert_eq!(track.read(counts(7, 5)), at(7, 2));
    }

    #[test]
    fn an_element_that_is_not_sent_again_what_was_answered_counts_less_than_the_user() {
        // The state includes 7; 8 and 9 were answered after it and are not sent again.
        let mark = Mark { covered: 7, owed: 0 };
        let (track, answers) = after(Track::restored(counts(7, 7), mark, 10), 2, 1);
        assert_eq!(answers, [Some(10)]);
        assert_eq!(track.read(counts(8, 8)), at(10, 0));
        assert_eq!(track.read(counts(9, 8)), at(11, 1));
    }

    #[test]
    fn what_a_state_owes_counts_as_the_element_counts() {
        // The state includes 7, whose answer it owes; 8 and 9 were answered meanwhile and are not sent again.
        let mark = Mark { covered: 7, owed: 1 };
        let (track, answers) = after(Track::restored(counts(7, 6), mark, 10), 2, 2);
        assert_eq!(answers, [Some(7), Some(10)]);
        assert_eq!(track.read(counts(8, 7)), at(10, 1), "the answer to 10, and not those to 8 to 10");
    }

    #[test]
    fn a_cookie_that_counts_what_was_never_sent_is_nonsense() {
        let mark = Mark { covered: 7, owed: 0 };
        let (track, _) = after(Track::restored(counts(7, 7), mark, 8), 2, 0);
        assert_eq!(track.read(counts(10, 7)), Reading::Nonsense);
        assert_eq!(track.read(counts(6, 7)), Reading::Nonsense);
        assert_eq!(track.read(counts(7, 6)), Reading::Nonsense);
        assert_eq!(track.read(counts(u64::MAX, u64::MAX)), Reading::Nonsense);
    }

    #[test]
    fn a_cookie_that_counts_answers_still_under_way_is_early() {
        let (mut track, _) = after(Track::fresh(1), 3, 1);
        assert_eq!(track.read(counts(2, 2)), Reading::Early);
        track.came();
        assert_eq!(track.read(counts(2, 2)), at(2, 0));
    }

    #[test]
    fn an_element_that_refused_its_cookie_counts_from_nothing() {
        let mark = Mark { covered: 7, owed: 0 };
        let (mut track, _) = after(Track::restored(counts(7, 7), mark, 8), 2, 0);
        track.refused();
        assert_eq!(track.read(counts(1, 0)), at(8, 1));
        track.came();
        assert_eq!(track.last_answer(), Some(8));
    }
}
