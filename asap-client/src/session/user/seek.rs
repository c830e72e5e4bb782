//! Finding the next element.

use std::time::{Duration, Instant};

use super::machine::{State, User};
use super::{End, Output};
use crate::pool_user::Answer;
use crate::wire::{Cause, TransportUse};

impl User {
    /// From now on, an element has to be reached within [`Waits::patience`](super::Waits::patience).
    pub(super) fn be_patient(&mut self, now: Instant) {
        let patience = self.config.waits.patience;
        self.due.patience = (!patience.is_zero()).then(|| now + patience);
    }

    pub(super) fn ask(&mut self, now: Instant, fresh: Duration) {
        self.due.resolve = Some(now + self.config.waits.resolve);
        self.asked |= fresh.is_zero();
        self.outputs.push_back(Output::Resolve { handle: self.config.handle.clone(), fresh });
    }

    /// On to the next element after one was lost: among those that are known, and at the same time the pool is asked for
    /// anew (RFC 5352 §3.3, C3).
    pub(super) fn go_on(&mut self, now: Instant) {
        self.be_patient(now);
        self.why = End::NoElement;
        self.ask(now, Duration::ZERO);
        self.seek(now);
    }

    /// Whether the host has an address has changed.
    pub(super) fn online(&mut self, now: Instant, online: bool) {
        if online != self.offline {
            return;
        }
        self.offline = !online;
        self.strand(now);
        self.heard(now);
        self.await_answer(now, true);
        if online && matches!(self.state, State::Resolving | State::Pausing) {
            // What failed while the host lost its address says nothing of the elements.
            self.candidates.forgive();
            self.asked = false;
            self.seek(now);
        }
    }

    fn seek(&mut self, now: Instant) {
        if self.offline {
            self.due.pause = None;
            self.state = State::Resolving;
        } else if let Some(element) = self.candidates.choose() {
            self.links += 1;
            let (link, id) = (self.links, element.id);
            self.due.pause = None;
            self.due.connect = Some(now + self.config.waits.connect);
            let control = element.user.use_() == TransportUse::DataPlusControl;
            self.state = State::Connecting { link, id, control };
            self.outputs.push_back(Output::Open { link, element });
        } else if self.due.resolve.is_some() {
            self.state = State::Resolving;
        } else if !self.asked {
            self.state = State::Resolving;
            self.ask(now, Duration::ZERO);
        } else if self.config.waits.patience.is_zero() {
            self.end(self.why);
        } else {
            self.state = State::Pausing;
            self.due.pause = Some(now + self.pause);
            self.pause = (self.pause * 2).min(self.config.waits.pause_most);
        }
    }

    /// Tries this element again, over another association.
    pub(super) fn reconnect(&mut self, now: Instant, id: u32) {
        self.be_patient(now);
        (self.asked, self.why) = (false, End::NoElement);
        self.candidates.want(id);
        self.seek(now);
    }

    pub(super) fn pool(&mut self, now: Instant, answer: &Answer) {
        self.due.resolve = None;
        let unknown = |causes: &Vec<Cause>| causes.iter().any(|it| it.code == Cause::UNKNOWN_POOL_HANDLE);
        self.candidates.set(answer);
        self.why = match &answer.error {
            Some(causes) if unknown(causes) => End::UnknownPool,
            _ if answer.elements.is_empty() => End::EmptyPool,
            _ => End::NoElement,
        };
        match self.state {
            State::Resolving => self.seek(now),
            State::Pausing if self.candidates.has_more() => self.seek(now),
            // It was tried for want of another one.
            State::Connecting { link, id, .. }
                if !self.candidates.is_good(id) && self.candidates.has_more() =>
            {
                self.outputs.push_back(Output::Abort(link));
                self.due.connect = None;
                self.seek(now);
            }
            _ => {}
        }
    }

    pub(super) fn unanswered(&mut self, now: Instant) {
        self.due.resolve = None;
        if matches!(self.state, State::Resolving) {
            self.why = End::NoRegistrar;
            // Nobody says who is there now: what is known is all there is.
            self.asked = true;
            if !self.config.waits.patience.is_zero() {
                self.candidates.forgive();
            }
            self.seek(now);
        }
    }

    /// The attempt at an element has failed.
    pub(super) fn unconnected(&mut self, now: Instant, gone: bool) {
        let State::Connecting { link, id, .. } = self.state else { return };
        if !gone {
            self.outputs.push_back(Output::Abort(link));
        }
        self.due.connect = None;
        self.counters.failures += 1;
        self.report(id);
        self.candidates.fail(id);
        self.why = End::NoElement;
        self.seek(now);
    }

    /// The pause is over: all elements are tried again, and the pool is asked for anew.
    pub(super) fn again(&mut self, now: Instant) {
        if matches!(self.state, State::Pausing) {
            self.candidates.forgive();
            self.ask(now, Duration::ZERO);
            self.seek(now);
        }
    }
}
