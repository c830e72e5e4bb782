//! What elements are waited for, and until when.
//!
//! A deadline for somebody's answer comes only when all has been taken that had come by then: whoever is behind in reading
//! cannot say that others were silent. Everything else comes at its time.

use std::time::Instant;

use crate::Association;
use crate::handlespace::{Deadlines, ElementKey};

/// What an element is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// The next keep-alive to it is due.
    KeepAlive,
    /// Its answer is due.
    Answer,
    /// The answer of the association that owned it before, and was silent, is due.
    Probe,
    /// The answer of its owner is due, since it is registered from elsewhere.
    Newcomer,
    /// The answer of an element that is to become ours is due.
    Adopt,
    /// ENRP wants to know whether the element answers.
    Verify,
}

impl Timer {
    pub(super) const ALL: [Self; 6] =
        [Self::KeepAlive, Self::Answer, Self::Probe, Self::Newcomer, Self::Adopt, Self::Verify];
}

/// Until when all has been taken that had come from associations.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it has a function")]
pub struct Heard<'a> {
    /// From those that are read together.
    pub together: Instant,
    /// From one that is read by itself; `None`: it is read with the others.
    pub alone: &'a dyn Fn(Association) -> Option<Instant>,
}

impl Heard<'_> {
    /// All that had come until then, from everybody.
    pub fn everything(until: Instant) -> Self {
        Self { together: until, alone: &|_| None }
    }

    /// From this association.
    pub(super) fn from(&self, association: Association) -> Instant {
        (self.alone)(association).unwrap_or(self.together)
    }
}

type Key = (Timer, ElementKey);

/// All that is waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// What we do ourselves.
    own: Deadlines<Key>,
    /// What others have to do by then.
    answers: Deadlines<Key>,
}

impl Timers {
    fn of(&mut self, timer: Timer) -> &mut Deadlines<Key> {
        match timer {
            Timer::KeepAlive => &mut self.own,
            Timer::Answer | Timer::Probe | Timer::Newcomer | Timer::Adopt | Timer::Verify => {
                &mut self.answers
            }
        }
    }

    /// Sets, or moves, a deadline.
    pub(super) fn set(&mut self, key: Key, at: Instant) {
        self.of(key.0).set(key, at);
    }

    /// Takes one away.
    pub(super) fn clear(&mut self, key: Key) {
        self.of(key.0).clear(key);
    }

    /// When it falls due, if it is set.
    pub(super) fn get(&self, key: Key) -> Option<Instant> {
        self.own.get(key).or_else(|| self.answers.get(key))
    }

    /// When to look: not after the nearest deadline, but perhaps before.
    pub(super) fn next(&self) -> Option<Instant> {
        self.own.next().into_iter().chain(self.answers.next()).min()
    }

    /// Takes out one that is due, if all that had come until `heard` has been taken.
    pub(super) fn pop(&mut self, now: Instant, heard: Instant) -> Option<(Instant, Key)> {
        self.own.pop_due_since(now).or_else(|| self.answers.pop_due_since(now.min(heard)))
    }

    /// The orders say the same. For tests.
    #[cfg(test)]
    pub(super) fn consistent(&self) -> bool {
        self.own.consistent() && self.answers.consistent()
    }

    /// How many there are. For tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.answers.len()
    }
}
