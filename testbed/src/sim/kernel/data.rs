//! Messages: sent once, retransmitted until acknowledged, delivered in order.

use std::net::IpAddr;

use super::{Chunk, Kernel, Sent, Standing, Time};

/// Messages that fit a packet.
const PER_PACKET: usize = 6;
/// Messages in flight at most.
const WINDOW: usize = 60;

impl Kernel {
    /// The program sends a message.
    pub fn send(&mut self, now: Time, message: u32) {
        self.waiting.push_back(message);
        self.flush(now);
    }

    /// How many messages the program's peer has not acknowledged.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.waiting.len() + self.unacknowledged.len()
    }

    /// Sends what may be sent: nothing while mute; retransmissions first (`sctp_outq_flush`).
    pub(super) fn flush(&mut self, now: Time) {
        if self.mute || self.dead.is_some() {
            return;
        }
        while self.retransmit_some(now) {}
        while self.unacknowledged.len() < WINDOW {
            let Some(message) = self.waiting.pop_front() else { break };
            let tsn = self.next_tsn;
            self.next_tsn += 1;
            let to = self.active;
            self.unacknowledged.insert(tsn, Sent { message, path: Some(to), missed: 0 });
            self.start_t3(now, to);
            self.transmit(to, vec![Chunk::Data { tsn, message }]);
        }
    }

    /// Sends one packet of what is marked for retransmission on the path for retransmissions
    /// (`sctp_outq_flush_rtx`). Returns whether there was any.
    fn retransmit_some(&mut self, now: Time) -> bool {
        if self.mute {
            return false;
        }
        let to = self.retransmit_path;
        let mut chunks = Vec::new();
        let marked = self.unacknowledged.iter_mut().filter(|(_, sent)| sent.path.is_none());
        for (&tsn, sent) in marked.take(PER_PACKET) {
            sent.path = Some(to);
            sent.missed = 0;
            chunks.push(Chunk::Data { tsn, message: sent.message });
        }
        if chunks.is_empty() {
            return false;
        }
        self.start_t3(now, to);
        self.transmit(to, chunks);
        true
    }

    /// What was sent on the path is marked, and one packet of it sent again (`sctp_retransmit`).
    fn retransmit(&mut self, now: Time, address: IpAddr) {
        if self.retransmit_path == address {
            self.next_retransmit_path();
        }
        for sent in self.unacknowledged.values_mut().filter(|sent| sent.path == Some(address)) {
            sent.path = None;
        }
        self.retransmit_some(now);
    }

    /// The retransmission timer of a path has run out (`sctp_sf_do_6_3_3_rtx`).
    pub(super) fn expire_t3(&mut self, now: Time, address: IpAddr) {
        if self.unacknowledged.values().any(|sent| sent.path == Some(address) || sent.path.is_none()) {
            self.strike(now, address, false);
            self.retransmit(now, address);
            self.start_t3(now, address);
        }
    }

    /// `sctp_transport_immediate_rtx`.
    pub(super) fn retransmit_now(&mut self, now: Time, address: IpAddr) {
        if let Some(path) = self.path(address) {
            path.t3 = None;
        }
        self.retransmit(now, address);
        self.start_t3(now, address);
    }

    /// A message came in on a path (`sctp_eat_data`).
    pub(super) fn data(&mut self, tsn: u32, message: u32) {
        if tsn > self.received {
            self.received_beyond.entry(tsn).or_insert(message);
        }
        while let Some(message) = self.received_beyond.remove(&(self.received + 1)) {
            self.received += 1;
            self.delivered += 1;
            if message != self.delivered {
                self.wrong = Some(format!("message {message} came as number {}", self.delivered));
            }
        }
    }

    /// An acknowledgement goes where data came from last (`sctp_make_sack`).
    pub(super) fn acknowledge(&mut self) {
        let gaps = self.received_beyond.keys().copied().take(64).collect();
        let sack = Chunk::Sack { cumulative: self.received, gaps };
        let to = self.last_data_from;
        self.kept_back.retain(|(chunk, _)| !matches!(chunk, Chunk::Sack { .. }));
        self.control(sack, to);
    }

    /// An acknowledgement came in (`sctp_outq_sack`, `sctp_check_transmitted`). What three of them miss is sent again
    /// without waiting for a timer (`sctp_mark_missing`).
    pub(super) fn acknowledged(&mut self, now: Time, from: IpAddr, cumulative: u32, gaps: &[u32]) {
        self.sacks += 1;
        self.gaps += gaps.len() as u64;
        let mut answered: Vec<IpAddr> = Vec::new();
        let mut highest = 0;
        self.unacknowledged.retain(|tsn, sent| {
            let done = *tsn <= cumulative || gaps.contains(tsn);
            if done {
                highest = *tsn;
                answered.extend(sent.path.filter(|path| !answered.contains(path)));
            }
            !done
        });
        for sent in self.unacknowledged.range_mut(..highest).map(|(_, sent)| sent) {
            sent.missed += 1;
            if sent.missed == 3 {
                sent.path = None;
            }
        }
        for &address in &answered {
            let left = self.unacknowledged.values().any(|sent| sent.path == Some(address));
            let same = address == from;
            let Some(path) = self.path(address) else { continue };
            path.errors = 0;
            path.t3 = left.then_some(now + path.rto);
            let comes_up = matches!(path.standing, Standing::Inactive | Standing::Unconfirmed) && same;
            if comes_up {
                self.path_answers(now, address);
            }
        }
        self.flush(now);
    }
}
