//! What goes out: to the kernel as far as there is room, and who takes nothing is dropped.

use asap_client::wire;
use bytes::Bytes;
use sctp_sys::SendInfo;
use sctp_sys::event::EventType;
use sctp_sys::sockopt::{self, Status};
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use super::{Place, RETRY, Service};
use crate::driver::full::LOOKS;
use crate::driver::outstanding::Offer;
use crate::driver::socket::Role;
use crate::{Association, enrp};

/// Associations that are looked at when the buffer is full that they share, and how many of them are taken out at once.
const SUSPECTS: usize = 64;
const TAKEN_OUT: usize = 8;

impl Service {
    pub(super) fn send(&mut self, association: Association, bytes: Bytes) {
        let now = self.now;
        loop {
            let place = self.associations.get(&association).copied();
            if place.is_none() && !self.tcp.has(association) {
                return;
            }
            match self.outstanding.offer(association, &bytes, self.answering) {
                Offer::Send => return self.give(now, association, place, bytes),
                Offer::SendMuch => {
                    self.give(now, association, place, bytes);
                    return self.ask(now, association);
                }
                Offer::Look => {
                    if place.is_some_and(|place| self.is_all_acknowledged(place)) {
                        self.outstanding.dry(association);
                    }
                }
                Offer::Wait => {
                    // What it does not take is not to fill the buffer that it shares.
                    self.tcp.hold(association);
                    if self.set_apart(association) {
                        self.flush(now, association);
                    } else if place.is_some() {
                        self.ask(now, association);
                    }
                    return;
                }
                Offer::GiveUp(slow) => self.drop_slow(now, slow),
            }
        }
    }

    pub(super) fn drop_slow(&mut self, now: Instant, association: Association) {
        let octets = self.outstanding.of(association);
        tracing::warn!(%association, octets, "does not read what is sent to it; dropped");
        self.feed.registrar(
            "dropped",
            &format!("association {association} does not read what is sent to it; dropped"),
        );
        self.dropped += 1;
        self.give_up(now, association);
    }

    /// Sends what is queued for an association, as far as its window goes. If that is all, it is heard again.
    pub(super) fn flush(&mut self, now: Instant, association: Association) {
        while (self.retry.is_none() || self.is_apart(association))
            && let Some(bytes) = self.outstanding.next(association)
        {
            self.give(now, association, self.associations.get(&association).copied(), bytes);
            self.ask(now, association);
            self.tcp.let_go(association);
        }
        if !self.outstanding.waits_for(association) {
            if let Some(place) = self.associations.get(&association) {
                self.own.ask_for_room(place.socket, false);
            }
            self.release(association);
        }
    }

    /// Asks the kernel to tell when all is acknowledged, if so much is there that it has to be known.
    fn ask(&mut self, now: Instant, association: Association) {
        if self.outstanding.ask(now, association) {
            self.tell_when_dry(association, true);
        }
    }

    /// Gives it to the kernel; `place`: where the association is, if it is one of SCTP.
    fn give(&mut self, now: Instant, association: Association, place: Option<Place>, bytes: Bytes) {
        let Some(place) = place else { return self.tcp.send(association, bytes) };
        let Some(socket) = self.socket(place.socket) else { return };
        let ppid = match self.role(place) {
            Role::Asap => wire::PPID,
            Role::Enrp => enrp::wire::PPID,
        };
        let info = SendInfo { ppid, assoc: place.assoc, ..SendInfo::default() };
        match socket.send_now(&info, &bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.outstanding.refused(now, association, bytes);
                if self.is_own(place) {
                    self.own.ask_for_room(place.socket, true);
                    self.deaf_look.get_or_insert(now + self.config.asap.unread_timeout / LOOKS);
                } else {
                    self.make_room(now, place);
                }
            }
            Err(error) => {
                tracing::debug!(%association, %error, "cannot be sent to; dropped");
                self.give_up(now, association);
            }
        }
    }

    /// The buffer is full that associations share.
    fn make_room(&mut self, now: Instant, place: Place) {
        let shares = |association: &Association| {
            self.associations.get(association).is_some_and(|other| other.socket == place.socket)
        };
        let mut taken_out = 0;
        for association in self.outstanding.heaviest(SUSPECTS, shares) {
            if taken_out < TAKEN_OUT && self.has_unacknowledged(association) && self.set_apart(association) {
                taken_out += 1;
            }
        }
        if taken_out > 0 {
            self.retry = Some(now);
            return;
        }
        self.retry = Some(now + RETRY);
        for association in self.outstanding.ask_all(now) {
            self.tell_when_dry(association, true);
        }
        let associations = &self.associations;
        let shares = |association: &Association| associations.contains_key(association);
        if let Some(slow) = self.outstanding.culprit(now, shares) {
            self.drop_slow(now, slow);
        }
    }

    /// Whether the kernel waits for an acknowledgement of an association.
    fn has_unacknowledged(&self, association: Association) -> bool {
        let status = self.associations.get(&association).and_then(|place| self.status(*place));
        status.is_some_and(|status| status.unacked > 0)
    }

    /// Whether the kernel has nothing left of what it was given for the association at a place.
    fn is_all_acknowledged(&self, place: Place) -> bool {
        self.status(place).is_some_and(|status| (status.unacked, status.pending) == (0, 0))
    }

    fn status(&self, place: Place) -> Option<Status> {
        sockopt::status(self.socket(place.socket)?.as_fd(), place.assoc).ok()
    }

    /// Drops those who left a full window as it is for too long.
    pub(super) fn drop_deaf(&mut self, now: Instant) {
        if self.deaf_look.is_none_or(|at| at > now) {
            return;
        }
        let patience = self.config.asap.unread_timeout;
        for association in self.outstanding.full() {
            let own = self.associations.get(&association).and_then(|place| self.own.get(place.socket));
            let octets = own.and_then(|one| sockopt::unacknowledged(one.socket.as_fd()).ok());
            if octets.is_some_and(|octets| self.outstanding.is_deaf(now, association, octets, patience)) {
                self.drop_slow(now, association);
            }
        }
        self.deaf_look = (!self.outstanding.full().is_empty()).then(|| now + patience / LOOKS);
    }

    /// Whether the kernel is to tell when an association has acknowledged all. If it has, it tells so at once.
    pub(super) fn tell_when_dry(&self, association: Association, on: bool) {
        let place = self.associations.get(&association);
        let socket = place.and_then(|place| Some((place, self.socket(place.socket)?)));
        if let Some((place, socket)) = socket
            && let Err(error) = sockopt::set_event(socket.as_fd(), place.assoc, EventType::SenderDry, on)
        {
            // It has ended, and that is told too.
            tracing::debug!(%association, %error, "cannot be asked whether it has acknowledged all");
        }
    }
}
