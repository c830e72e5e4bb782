//! In which order what was read is handled: what keeps the pool alive at once, questions after it.
//!
//! A registration, a keep-alive's answer or anything of ENRP that waited behind ten thousand resolutions would come too
//! late: a live element would be taken for dead. So sockets are read ahead of what can be answered, and resolutions wait
//! here, within bounds. Associations take turns: whoever asks much waits for itself. What exceeds the bounds is
//! dropped, and asked again when the user's timer ends (RFC 5352, T1-ENRPrequest).

use asap_client::wire::MessageType;
use std::collections::VecDeque;

use super::numbered::Numbered;
use crate::Association;

/// What keeping a message costs besides its octets.
const OVERHEAD: usize = 64;

/// Octets that may wait of one association: more than two thousand questions.
const PER_ASSOCIATION: usize = 256 * 1024;

/// Octets that may wait of all together.
const ALL_TOGETHER: usize = 32 << 20;

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
    /// The first one of each association that has any.
    turns: VecDeque<(Association, Vec<u8>)>,
    lines: Numbered<Association, Line>,
    octets: usize,
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + OVERHEAD
}

impl Intake {
    /// A question. `false`: there is no room, it is dropped.
    pub(super) fn push(&mut self, association: Association, bytes: &[u8]) -> bool {
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

    /// The question whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(Association, Vec<u8>)> {
        let (association, bytes) = self.turns.pop_front()?;
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

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The association has gone, and its questions with it, all but the next one: that is dropped when its turn comes.
    pub(super) fn forget(&mut self, association: Association) {
        if let Some(line) = self.lines.get_mut(&association) {
            let behind: usize = line.behind.iter().map(|bytes| cost(bytes)).sum();
            line.behind = VecDeque::new();
            line.octets = line.octets.saturating_sub(behind);
            self.octets = self.octets.saturating_sub(behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Association = Association(1);
    const B: Association = Association(2);

    fn order(intake: &mut Intake) -> Vec<(Association, u8)> {
        std::iter::from_fn(|| intake.pop()).map(|(association, bytes)| (association, bytes[0])).collect()
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
