//! Associations that have sockets of their own: who gets one, when it is read, and when it is heard again.

use sctp_sys::Socket;
use std::io;
use std::time::{Duration, Instant};

use super::{Place, RETRY, Service};
use crate::driver::own::Ready;
use crate::driver::socket::Role;
use crate::{Association, asap};

/// So many questions of an association may wait that shares its socket with others.
const TOGETHER: usize = 16;

/// What is read of one in its turn, and of all in a round, at most.
const IN_TURN: usize = 8;
const IN_ROUND: usize = 64;

/// After one could not be had, as when there is no descriptor left.
const PAUSE: Duration = Duration::from_secs(1);

impl Service {
    /// A socket by its number.
    pub(super) fn socket(&self, index: usize) -> Option<&Socket> {
        match self.sockets.get(index) {
            Some((_, socket)) => Some(socket),
            None => self.own.get(index).map(|one| &one.socket),
        }
    }

    /// Whether no other association is at this place's socket.
    pub(super) fn is_own(&self, place: Place) -> bool {
        place.socket >= self.sockets.len()
    }

    pub(super) fn is_apart(&self, association: Association) -> bool {
        self.associations.get(&association).is_some_and(|place| self.is_own(*place))
    }

    /// Gives an association of elements or users a socket of its own; whether it has just got one.
    pub(super) fn set_apart(&mut self, association: Association) -> bool {
        let Some(place) = self.associations.get(&association).copied() else { return false };
        let Some((Role::Asap, socket)) = self.sockets.get(place.socket) else { return false };
        if self.apart_again.is_some_and(|at| at > self.now) {
            return false;
        }
        let until = self.readings.get(place.socket).map_or(self.now, |reading| reading.until());
        match self.own.take(until, socket, place.assoc) {
            Ok(own) => {
                tracing::debug!(%association, "has a socket of its own from now on");
                let apart = Place { socket: own, ..place };
                self.last_known = None;
                self.places.remove(&place);
                self.places.insert(apart, association);
                self.associations.insert(association, apart);
                self.outstanding.own(association);
                true
            }
            Err(error) => {
                tracing::warn!(%association, %error, "cannot be read by itself");
                self.apart_again = Some(self.now + PAUSE);
                false
            }
        }
    }

    /// A message of an association was read from a socket that it may share: whether it keeps others waiting is seen to.
    pub(super) fn see_to_share(&mut self, association: Association, place: Place) {
        if !self.is_own(place)
            && self.role(place) == Role::Asap
            && (self.shares.is_much(association) || self.intake.of(association) > TOGETHER)
        {
            self.set_apart(association);
        }
    }

    /// Whether nothing more is to be read of an association now: enough waits here, or it does not take its answers.
    fn is_held(&self, association: Association) -> bool {
        self.outstanding.waits_for(association) || self.intake.has_enough(association)
    }

    /// What an association was held for may be over.
    pub(super) fn release(&mut self, association: Association) {
        if self.outstanding.waits_for(association) {
            return;
        }
        self.intake.release(association);
        if let Some(place) = self.associations.get(&association)
            && !self.intake.has_enough(association)
        {
            self.own.release(place.socket);
        }
    }

    /// Reads those with something to be read in turns, within bounds.
    pub(super) fn read_own(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if self.readable.last() == Some(&true) {
            let mut ready: Vec<Ready> = Vec::new();
            let all = self.own.hear(self.now, &mut ready)?;
            if let Some(readable) = self.readable.last_mut() {
                *readable = !all;
            }
            for Ready { index, room, ended } in ready {
                if ended {
                    self.end_own(index);
                } else if room {
                    self.has_room(index);
                }
            }
        }
        let (mut left, turns) = (IN_ROUND, self.own.waiting());
        for _ in 0..turns {
            if left == 0 {
                return Ok(());
            }
            let Some(index) = self.own.turn() else { return Ok(()) };
            left -= self.read_in_turn(index, left.min(IN_TURN), buffer);
        }
        Ok(())
    }

    /// How much was read.
    fn read_in_turn(&mut self, index: usize, most: usize, buffer: &mut Vec<u8>) -> usize {
        for read in 0..most {
            // It may have been closed meanwhile.
            let Some(one) = self.own.get_mut(index) else { return read };
            let place = Place { socket: index, assoc: one.assoc };
            if self.places.get(&place).is_some_and(|association| self.is_held(*association)) {
                self.own.hold(index);
                return read;
            }
            let Some(one) = self.own.get_mut(index) else { return read };
            match one.socket.recv(buffer) {
                Ok(Some(received)) => {
                    one.reading.one();
                    self.received(index, received, buffer);
                    self.drain();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.own.empty(index, self.now);
                    return read;
                }
                // What cannot be parsed is passed over; all else is its end.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(None) | Err(_) => {
                    self.end_own(index);
                    return read;
                }
            }
        }
        let now = self.now;
        if let Some(one) = self.own.get_mut(index) {
            one.goes_on(now);
        }
        self.own.again(index);
        most
    }

    /// One has ended.
    fn end_own(&mut self, index: usize) {
        if let Some(one) = self.own.get(index) {
            let place = Place { socket: index, assoc: one.assoc };
            self.gone(self.now, place);
            self.own.close(index);
            self.drain();
        }
    }

    /// One can be sent to again.
    fn has_room(&mut self, index: usize) {
        let Some(one) = self.own.get(index) else { return };
        let place = Place { socket: index, assoc: one.assoc };
        if let Some(association) = self.places.get(&place).copied() {
            self.outstanding.room(association);
            self.flush(self.now, association);
        }
    }

    /// Until when all has been read of the sockets that elements share.
    fn heard_together(&self) -> Instant {
        let shared = self.sockets.iter().zip(&self.readings).filter(|((role, _), _)| *role == Role::Asap);
        shared.map(|(_, reading)| reading.until()).min().unwrap_or(self.now)
    }

    /// Has the machine do what is due. Nobody is held to be silent of whom not all has been read.
    pub(super) fn time_out(&mut self, now: Instant) {
        let together = self.heard_together();
        let (associations, own) = (&self.associations, &self.own);
        let alone = |association| own.read_until(associations.get(&association)?.socket);
        self.registrar.handle_timeout_having_heard(now, &asap::Heard { together, alone: &alone });
        // What is still due is somebody's answer who is not read now.
        let still = self.registrar.poll_timeout().is_some_and(|at| at <= together);
        self.unheard_look = still.then(|| now + RETRY);
    }
}
