//! What a user has sent and may have to send again, in order and within bounds.

use std::collections::VecDeque;

use bytes::Bytes;

use super::user::{Exchange, Limits, Outgoing, Refused};

/// The messages of a session that are kept. Each has a *position*: the place it has in the order in which the session's
/// elements are to have received them. Positions have no gaps; a message that is given back to the program leaves its
/// position to the next.
#[derive(Debug)]
pub(super) struct Ledger {
    exchange: Exchange,
    limits: Limits,
    entries: VecDeque<Outgoing>,
    octets: usize,
    /// The position of the first entry, and the place of the next one to be sent.
    first: u64,
    next: usize,
    /// The last position answered, and the last one that the newest cookie covers.
    answered: u64,
    covered: u64,
    /// Messages taken from the program.
    taken: u64,
    refused: bool,
}

impl Ledger {
    pub(super) fn new(exchange: Exchange, limits: Limits) -> Self {
        Self {
            exchange,
            limits,
            entries: VecDeque::new(),
            octets: 0,
            first: 1,
            next: 0,
            answered: 0,
            covered: 0,
            taken: 0,
            refused: false,
        }
    }

    /// How many messages have been taken: the number of the last one.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The position of the first message that is kept, or would be.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The last position answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// The last position sent to the present element.
    pub(super) fn sent(&self) -> u64 {
        self.first + self.next as u64 - 1
    }

    /// Is nothing left to be sent, answered or covered?
    pub(super) fn is_idle(&self) -> bool {
        match self.exchange {
            // Whoever ends a session does not want it continued: there is no use in waiting for a cookie.
            Exchange::Covered => self.next == self.entries.len(),
            Exchange::Transactions => self.last() == self.answered,
            Exchange::Stream | Exchange::Requests => self.entries.is_empty(),
        }
    }

    /// Is an answer missing?
    pub(super) fn awaits_answer(&self) -> bool {
        self.exchange.one_answer_each() && self.last() > self.answered
    }

    fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    fn has_room_for(&self, octets: usize) -> bool {
        self.entries.len() < self.limits.messages && self.octets.saturating_add(octets) <= self.limits.octets
    }

    /// Takes a message from the program.
    pub(super) fn push(&mut self, mut message: Outgoing) -> Result<(), Refused> {
        // A message longer than all the room would never fit.
        if message.octets.len() > self.limits.octets {
            return Err(Refused::TooLong);
        }
        if !self.has_room_for(message.octets.len()) {
            self.refused = true;
            return Err(Refused::Full);
        }
        self.taken += 1;
        message.number = self.taken;
        self.octets += message.octets.len();
        self.entries.push_back(message);
        Ok(())
    }

    /// Is there room again after something was refused? Says so once.
    pub(super) fn has_room_again(&mut self) -> bool {
        let half = self.entries.len() <= self.limits.messages / 2 && self.octets <= self.limits.octets / 2;
        half && std::mem::take(&mut self.refused)
    }

    /// The next message to be sent to the present element.
    pub(super) fn send(&mut self) -> Option<Outgoing> {
        if self.exchange == Exchange::Stream {
            let message = self.entries.pop_front()?;
            self.octets -= message.octets.len();
            return Some(message);
        }
        let message = self.entries.get(self.next)?.clone();
        self.next += 1;
        Some(message)
    }

    /// The transport gives this back.
    pub(super) fn give_back(&mut self, message: Outgoing) {
        if self.exchange == Exchange::Stream {
            let place = self.entries.partition_point(|entry| entry.number < message.number);
            self.octets += message.octets.len();
            self.entries.insert(place, message);
        }
    }

    /// The message at this position is answered: its number, if this had not been so before.
    pub(super) fn answer(&mut self, position: u64) -> Option<u64> {
        if position != self.answered + 1 {
            return None;
        }
        let place = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let number = self.entries.get(place)?.number;
        self.answered = position;
        self.trim();
        Some(number)
    }

    /// The newest cookie covers the session up to this position.
    pub(super) fn cover(&mut self, position: u64) {
        self.covered = position;
        self.trim();
    }

    /// There is no cookie any more.
    pub(super) fn uncover(&mut self) {
        self.covered = self.first - 1;
    }

    fn trim(&mut self) {
        let done = match self.exchange {
            Exchange::Stream => return,
            Exchange::Requests => self.answered,
            Exchange::Covered => self.covered,
            Exchange::Transactions => self.answered.min(self.covered),
        };
        while self.first <= done
            && let Some(message) = self.entries.pop_front()
        {
            self.octets -= message.octets.len();
            self.first += 1;
            self.next = self.next.saturating_sub(1);
        }
    }

    /// The element is lost. What must not go to another one is given back to the program.
    pub(super) fn lost(&mut self) -> Vec<Outgoing> {
        let settled = match self.exchange {
            Exchange::Stream => 0,
            _ => self.answered.max(self.covered),
        };
        let keep = usize::try_from((settled + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        let mut returned = Vec::new();
        if self.entries.iter().skip(keep).any(|entry| !entry.failover) {
            let behind = self.entries.split_off(keep.min(self.entries.len()));
            let (kept, given): (Vec<_>, Vec<_>) = behind.into_iter().partition(|entry| entry.failover);
            self.entries.extend(kept);
            self.octets -= given.iter().map(|entry| entry.octets.len()).sum::<usize>();
            returned = given;
        }
        self.next = 0;
        returned
    }

    /// Where a new element is to be sent from: one that is given the newest cookie, or one that is not. Sending begins
    /// there.
    pub(super) fn resume(&mut self, restored: bool) -> u64 {
        let position = match self.exchange {
            _ if !restored => self.first,
            Exchange::Requests => self.covered.max(self.answered) + 1,
            _ => (self.covered + 1).max(self.first),
        };
        if self.exchange != Exchange::Stream {
            self.next = usize::try_from(position - self.first).unwrap_or(0).min(self.entries.len());
        }
        position
    }

    /// All that is neither answered nor covered, given back to the program.
    pub(super) fn drain(&mut self) -> Vec<Outgoing> {
        let done = match self.exchange {
            Exchange::Transactions => self.answered,
            _ => 0,
        };
        let first = std::mem::replace(&mut self.first, 1);
        let entries = std::mem::take(&mut self.entries);
        (self.octets, self.next) = (0, 0);
        let still = entries.into_iter().zip(first..).filter(|(_, position)| *position > done);
        still.map(|(message, _)| message).collect()
    }
}

/// A message as the program gives it, before it has a number.
pub(super) fn unnumbered(octets: Bytes, options: super::user::SendOptions) -> Outgoing {
    let super::user::SendOptions { ppid, unordered, failover } = options;
    Outgoing { number: 0, octets, ppid, unordered, failover }
}

#[cfg(test)]
mod tests;
