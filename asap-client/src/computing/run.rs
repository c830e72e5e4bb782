//! One work in its time: when so much of it is done, results are told, and a cookie is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Unfit, Work};

/// How fast an element works, and how often it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Units in a second, for all works together; `None` for as fast as it can.
    pub capacity: Option<u64>,
    /// Units that are done at a stretch where there is no capacity to keep to. 20,000.
    pub stretch: u64,
    /// From one stretch to the next where there is one. 50 ms.
    pub tick: Duration,
    /// The longest time until what was computed is told, and a cookie given: so much is lost with an element. 500 ms.
    pub telling: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            capacity: None,
            stretch: 20_000,
            tick: Duration::from_millis(50),
            telling: Duration::from_millis(500),
        }
    }
}

/// What is to be sent to the user, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A message.
    Message(Vec<u8>),
    /// A state for the next element. All that it includes was sent before.
    Cookie(Vec<u8>),
}

/// A work, and what it is time for.
#[derive(Debug)]
pub struct Run<W> {
    work: W,
    pace: Pace,
    /// Until when units were allotted, and what is left of a unit's time: units times nanoseconds.
    allotted: Instant,
    rest: u128,
    /// Units that were done before they were allotted.
    ahead: u64,
    told: Instant,
    outputs: VecDeque<Output>,
}

/// Nanoseconds of a second.
const SECOND: u128 = 1_000_000_000;

impl<W: Work> Run<W> {
    /// Begins what a user asks for.
    ///
    /// # Errors
    /// It asks for nothing that can be done.
    pub fn begin(now: Instant, pace: Pace, request: &[u8]) -> Result<Self, Unfit> {
        Ok(Self::new(now, pace, W::begin(request)?))
    }

    /// Goes on from another element's cookie.
    ///
    /// # Errors
    /// It is none.
    pub fn resume(now: Instant, pace: Pace, state: &[u8]) -> Result<Self, Unfit> {
        Ok(Self::new(now, pace, W::resume(state)?))
    }

    fn new(now: Instant, pace: Pace, work: W) -> Self {
        let outputs: VecDeque<_> = work.welcome().map(Output::Message).into_iter().collect();
        let mut run = Self { work, pace, allotted: now, rest: 0, ahead: 0, told: now, outputs };
        // Whoever comes next need not be asked.
        run.tell(now);
        run
    }

    /// The user says something meanwhile.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn answer(&mut self, message: &[u8]) -> Result<(), Unfit> {
        let answer = self.work.answer(message)?;
        self.outputs.extend(answer.map(Output::Message));
        Ok(())
    }

    /// Works for the time that is over. `running`: how many works share the element's capacity.
    pub fn handle_timeout(&mut self, now: Instant, running: usize) {
        if self.is_done() {
            return;
        }
        let units = self.allot(now, running);
        let used = self.work.advance(units);
        if self.pace.capacity.is_some() {
            self.ahead += used.saturating_sub(units);
        }
        if self.work.is_done() || now.saturating_duration_since(self.told) >= self.pace.telling {
            self.tell(now);
        } else {
            self.outputs.extend(self.work.results(false).into_iter().map(Output::Message));
        }
    }

    /// The units to be done now.
    fn allot(&mut self, now: Instant, running: usize) -> u64 {
        let Some(capacity) = self.pace.capacity else { return self.pace.stretch };
        let elapsed = now.saturating_duration_since(self.allotted);
        self.allotted = now;
        let shared = SECOND * running.max(1) as u128;
        let earned = elapsed.as_nanos().saturating_mul(capacity.into()).saturating_add(self.rest);
        self.rest = earned % shared;
        let units = u64::try_from(earned / shared).unwrap_or(u64::MAX);
        let due = units.saturating_sub(self.ahead);
        self.ahead = self.ahead.saturating_sub(units);
        due
    }

    /// The element is to be left: all that was computed is told, and a cookie given.
    pub fn leave(&mut self, now: Instant) {
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        self.told = now;
        self.outputs.extend(self.work.results(true).into_iter().map(Output::Message));
        self.outputs.push_back(Output::Cookie(self.work.state()));
    }

    /// Is all done?
    pub fn is_done(&self) -> bool {
        self.work.is_done()
    }

    /// The next thing to be sent.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` once all is done.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_done() {
            return None;
        }
        // Without a capacity to keep to there is nothing to wait for.
        let pause = self.pace.capacity.map_or(Duration::ZERO, |_| self.pace.tick);
        Some(self.allotted + pause)
    }
}

#[cfg(test)]
mod tests;
