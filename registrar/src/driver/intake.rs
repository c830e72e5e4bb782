//! In which order what was read is handled: what keeps the pool alive at once, questions after it.
//!
//! A registration, a keep-alive's answer or anything of ENRP that waited behind ten thousand resolutions would come too
//! late: a live element would be taken for dead. So sockets are read ahead of what can be answered, and resolutions wait
//! here, within bounds. Associations take turns: whoever asks much waits for itself. Of whom enough waits nothing more is
//! read, if that can be told apart; else what exceeds the bounds is dropped, and asked again when the user's timer ends
//! (RFC 5352, T1-ENRPrequest).

use asap_client::wire::MessageType;
use std::collections::VecDeque;

use crate::Association;
use crate::numbered::Numbered;

/// What keeping a message costs besides its octets.
const OVERHEAD: usize = 64;

/// Octets that may wait of one association: more than two thousand questions.
const PER_ASSOCIATION: usize = 256 * 1024;

/// Octets that may wait of all together.
const ALL_TOGETHER: usize = 32 << 20;

/// When so many questions of an association wait, or so many octets, there is enough of it. The longest message still
/// finds room.
const ENOUGH: usize = 64;
const ENOUGH_OCTETS: usize = PER_ASSOCIATION - (1 << 16) - 2 * OVERHEAD;
const ENOUGH_TOGETHER: usize = ALL_TOGETHER - (1 << 20);

/// Whether a message of ASAP may wait until the registrar has nothing more urgent to do.
pub(super) fn may_wait(bytes: &[u8]) -> bool {
    bytes.first() == Some(&MessageType::HANDLE_RESOLUTION.0)
}

/// The questions of one association behind its first.
#[derive(Debug, Default)]
struct Line {
    behind: VecDeque<Vec<u8>>,
    octets: usize,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Whose question is the only one that waits, and is in `question`: most rounds of a registrar that has little to do
    /// have no other.
    only: Option<Association>,
    question: Vec<u8>,
    /// The first one of each association that has any.
    turns: VecDeque<(Association, Vec<u8>)>,
    /// As many as those, of associations whose questions are not to be answered now.
    held: Numbered<Association, Vec<u8>>,
    lines: Numbered<Association, Line>,
    octets: usize,
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + OVERHEAD
}

impl Intake {
    /// A question. `false`: there is no room, it is dropped.
    pub(super) fn push(&mut self, association: Association, bytes: &[u8]) -> bool {
        if self.only.is_none() && self.lines.is_empty() {
            self.only = Some(association);
            self.question.clear();
            self.question.extend_from_slice(bytes);
            return true;
        }
        self.line_up();
        self.push_behind(association, bytes)
    }

    /// The only question is the first of many.
    fn line_up(&mut self) {
        if let Some(association) = self.only.take() {
            let question = std::mem::take(&mut self.question);
            self.push_behind(association, &question);
            self.question = question;
        }
    }

    fn push_behind(&mut self, association: Association, bytes: &[u8]) -> bool {
        let cost = cost(bytes);
        let waits = self.lines.get(&association).map_or(0, |line| line.octets);
        if (waits > 0 && waits + cost > PER_ASSOCIATION) || self.octets + cost > ALL_TOGETHER {
            return false;
        }
        self.octets += cost;
        match self.lines.get_mut(&association) {
            Some(line) => {
                line.octets += cost;
                line.behind.push_back(bytes.to_vec());
            }
            None => {
                self.lines.insert(association, Line { behind: VecDeque::new(), octets: cost });
                self.turns.push_back((association, bytes.to_vec()));
            }
        }
        true
    }

    /// How many questions of an association wait.
    pub(super) fn of(&self, association: Association) -> usize {
        let only = usize::from(self.only == Some(association));
        only + self.lines.get(&association).map_or(0, |line| line.behind.len() + 1)
    }

    /// Whether so much waits of an association that no more of it is to be read; where much waits of all, that is little.
    pub(super) fn has_enough(&self, association: Association) -> bool {
        let much = |line: &Line| line.behind.len() + 1 >= ENOUGH || line.octets >= ENOUGH_OCTETS;
        self.lines.get(&association).is_some_and(|line| self.octets >= ENOUGH_TOGETHER || much(line))
    }

    /// The question, if it is the only one and is not to be held.
    pub(super) fn take_only(
        &mut self,
        is_held: impl Fn(Association) -> bool,
    ) -> Option<(Association, &[u8])> {
        let association = self.only.take_if(|association| !is_held(*association))?;
        Some((association, &self.question))
    }

    /// The questions whose turn it is: `most` at most, and of each association `each`. Those of associations that are to
    /// be held wait until they are released.
    pub(super) fn batch(
        &mut self,
        most: usize,
        each: usize,
        is_held: impl Fn(Association) -> bool,
    ) -> Vec<(Association, Vec<u8>)> {
        self.line_up();
        let mut batch = Vec::new();
        for _ in 0..each {
            for _ in 0..self.turns.len() {
                if batch.len() >= most {
                    return batch;
                }
                batch.extend(self.pop(&is_held));
            }
        }
        batch
    }

    /// The question whose turn it is, unless it is to be held.
    fn pop(&mut self, is_held: impl Fn(Association) -> bool) -> Option<(Association, Vec<u8>)> {
        let (association, bytes) = self.turns.pop_front()?;
        if is_held(association) {
            self.held.insert(association, bytes);
            return None;
        }
        let cost = cost(&bytes);
        self.octets = self.octets.saturating_sub(cost);
        if let Some(line) = self.lines.get_mut(&association) {
            line.octets = line.octets.saturating_sub(cost);
            match line.behind.pop_front() {
                Some(next) => self.turns.push_back((association, next)),
                None => drop(self.lines.remove(&association)),
            }
        }
        Some((association, bytes))
    }

    /// Whether nothing waits but what is held.
    pub(super) fn is_empty(&self) -> bool {
        self.only.is_none() && self.turns.is_empty()
    }

    /// The questions of an association may be answered again.
    pub(super) fn release(&mut self, association: Association) {
        if let Some(bytes) = self.held.remove(&association) {
            self.turns.push_back((association, bytes));
        }
    }

    /// The association has gone, and its questions with it, all but the next one: that is dropped when its turn comes.
    pub(super) fn forget(&mut self, association: Association) {
        if let Some(line) = self.lines.get_mut(&association) {
            let behind: usize = line.behind.iter().map(|bytes| cost(bytes)).sum();
            line.behind = VecDeque::new();
            line.octets = line.octets.saturating_sub(behind);
            self.octets = self.octets.saturating_sub(behind);
        }
        self.release(association);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Association = Association(1);
    const B: Association = Association(2);

    fn order(intake: &mut Intake) -> Vec<(Association, u8)> {
        intake
            .batch(1_000, 1_000, |_| false)
            .into_iter()
            .map(|(association, bytes)| (association, bytes[0]))
            .collect()
    }

    #[test]
    fn only_questions_may_wait() {
        use asap_client::wire::{Message, PoolHandle};
        let handle = PoolHandle::new("p").unwrap();
        let resolution = Message::HandleResolution { subscribe: true, handle: handle.clone(), items: None };
        assert!(may_wait(&resolution.encode()));
        assert!(!may_wait(&Message::EndpointKeepAliveAck { handle, id: 1 }.encode()));
        assert!(!may_wait(&[]));
    }

    #[test]
    fn associations_take_turns_and_each_keeps_its_order() {
        let mut intake = Intake::default();
        for (association, number) in [(A, 1), (A, 2), (A, 3), (B, 4), (B, 5)] {
            assert!(intake.push(association, &[number]));
        }
        assert_eq!(order(&mut intake), [(A, 1), (B, 4), (A, 2), (B, 5), (A, 3)]);
        assert!(intake.is_empty() && intake.lines.is_empty());
        assert_eq!(intake.octets, 0);
    }

    #[test]
    fn a_question_that_waits_alone_is_taken_where_it_lies_and_keeps_its_turn_if_others_come() {
        let mut intake = Intake::default();
        assert!(intake.push(A, &[1]));
        assert!(!intake.is_empty() && intake.of(A) == 1);
        assert_eq!(intake.take_only(|it| it == A), None, "it is held");
        assert_eq!(intake.take_only(|_| false), Some((A, &[1][..])));
        assert_eq!((intake.is_empty(), intake.of(A), intake.take_only(|_| false)), (true, 0, None));
        for (association, number) in [(A, 2), (B, 3), (A, 4)] {
            assert!(intake.push(association, &[number]));
        }
        assert_eq!((intake.of(A), intake.take_only(|_| false)), (2, None));
        assert_eq!(order(&mut intake), [(A, 2), (B, 3), (A, 4)]);
    }

    #[test]
    fn no_association_has_more_than_its_share_of_a_batch() {
        let mut intake = Intake::default();
        for (association, number) in [(A, 1), (A, 2), (A, 3), (B, 4)] {
            assert!(intake.push(association, &[number]));
        }
        let numbers = |batch: Vec<(_, Vec<u8>)>| batch.into_iter().map(|(_, q)| q[0]).collect::<Vec<_>>();
        assert_eq!(numbers(intake.batch(64, 2, |_| false)), [1, 4, 2]);
        assert_eq!(numbers(intake.batch(64, 2, |_| false)), [3]);
        assert!(intake.push(A, &[5]) && intake.push(B, &[6]));
        assert_eq!(numbers(intake.batch(1, 2, |_| false)), [5]);
    }

    #[test]
    fn who_is_held_is_not_answered_until_it_is_released_and_keeps_its_order() {
        let mut intake = Intake::default();
        for (association, number) in [(A, 1), (A, 2), (B, 3)] {
            assert!(intake.push(association, &[number]));
        }
        assert_eq!(intake.batch(64, 4, |it| it == A), [(B, vec![3])]);
        assert!(intake.is_empty(), "nothing is to be done");
        assert!(intake.push(A, &[4]));
        assert_eq!(intake.batch(64, 4, |_| false), []);
        assert_eq!(intake.of(A), 3);
        intake.release(A);
        assert_eq!(order(&mut intake), [(A, 1), (A, 2), (A, 4)]);
        assert_eq!((intake.octets, intake.of(A)), (0, 0));
        intake.push(A, &[5]);
        intake.batch(64, 4, |_| true);
        intake.forget(A);
        assert_eq!(order(&mut intake), [(A, 5)]);
    }

    #[test]
    fn of_whom_enough_waits_the_longest_message_finds_room_all_the_same() {
        for length in [1, 24, 1_000, 65_535] {
            let mut intake = Intake::default();
            for length in std::iter::repeat_n(length, ENOUGH).chain([65_535]) {
                if !intake.has_enough(A) {
                    assert!(intake.push(A, &vec![0; length]));
                }
            }
            assert!((2..=ENOUGH).contains(&intake.of(A)) && !intake.has_enough(B));
        }
        let mut intake = Intake::default();
        let full = (10..).map(Association).find(|association| {
            assert!(intake.push(*association, &[0; 65_535]));
            intake.has_enough(*association)
        });
        assert!(intake.of(full.unwrap()) == 1 && !intake.has_enough(A) && intake.push(A, &[0; 65_535]));
    }

    #[test]
    fn whoever_asks_too_much_has_its_questions_dropped_and_the_others_are_heard() {
        let mut intake = Intake::default();
        let taken = (0..100_000).filter(|_| intake.push(A, &[0; 64])).count();
        assert_eq!(taken, PER_ASSOCIATION / 128);
        assert!(intake.push(B, &[0; 64]));
        for number in 0..1_000_000 {
            intake.push(Association(number), &[0; 64]);
        }
        assert!(intake.octets <= ALL_TOGETHER);
        assert!(!intake.push(Association(u64::MAX), &[0; 64]));
    }

    #[test]
    fn the_largest_message_finds_room() {
        assert!(Intake::default().push(A, &[0; 65_536]));
    }

    #[test]
    fn who_has_gone_leaves_one_question_at_most() {
        let mut intake = Intake::default();
        for number in 0..100 {
            intake.push(A, &[number]);
        }
        intake.push(B, &[7]);
        intake.forget(A);
        assert_eq!(order(&mut intake), [(A, 0), (B, 7)]);
        assert_eq!(intake.octets, 0);
    }
}
