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
    /// What we do ourselves: the next keep-alives, one for nearly every element.
    own: Deadlines<ElementKey>,
    /// What others have to do by then.
    answers: Deadlines<Key>,
}

impl Timers {
    /// Sets, or moves, a deadline.
    pub(super) fn set(&mut self, (timer, key): Key, at: Instant) {
        match timer {
            Timer::KeepAlive => self.own.set(key, at),
            _ => self.answers.set((timer, key), at),
        }
    }

    /// Sets, or moves, when an element is asked next: up to 17 ms later, together with more, since it has time.
    pub(super) fn ask_roughly(&mut self, key: ElementKey, at: Instant) {
        self.own.set_roughly(key, at);
    }

    /// Takes one away.
    pub(super) fn clear(&mut self, (timer, key): Key) {
        match timer {
            Timer::KeepAlive => self.own.clear(key),
            _ => self.answers.clear((timer, key)),
        };
    }

    /// When it falls due, if it is set.
    pub(super) fn get(&self, (timer, key): Key) -> Option<Instant> {
        match timer {
            Timer::KeepAlive => self.own.get(key),
            _ => self.answers.get((timer, key)),
        }
    }

    /// When to look: not after the nearest deadline, but perhaps before.
    pub(super) fn next(&self) -> Option<Instant> {
        self.own.next().into_iter().chain(self.answers.next()).min()
    }

    /// Takes out one that is due, if all that had come until `heard` has been taken.
    pub(super) fn pop(&mut self, now: Instant, heard: Instant) -> Option<(Instant, Key)> {
        let own = self.own.pop_due_since(now).map(|(at, key)| (at, (Timer::KeepAlive, key)));
        own.or_else(|| self.answers.pop_due_since(now.min(heard)))
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
