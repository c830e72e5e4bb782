//! Whole messages out of the pieces that `recvmsg` hands over.
//!
//! The kernel delivers a message in pieces when the reader's buffer is short, when its own is (partial
//! delivery, RFC 6458, 8.1.21), or when messages interleave (RFC 8260). A piece belongs to the message
//! that is open for its association, stream and orderedness. What is held is bounded: a message above the
//! limit is read to its end and reported instead of delivered.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::event::{AssocChange, Notification};
use crate::sockopt::AssocId;

/// What came with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageInfo {
    /// Stream.
    pub stream: u16,
    /// Payload protocol identifier in host order.
    pub ppid: u32,
    /// Stream sequence number.
    pub ssn: u16,
    /// Transmission sequence number of the message's first part.
    pub tsn: u32,
    /// The association.
    pub assoc: AssocId,
    /// The peer's address that its first part came from.
    pub from: SocketAddr,
    /// Whether it was sent unordered.
    pub unordered: bool,
    /// The socket's context for received messages.
    pub context: u32,
}

/// One piece of `recvmsg`, its bytes aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) info: MessageInfo,
    pub(crate) notification: bool,
    /// MSG_EOR: the message ends here.
    pub(crate) end: bool,
}

/// What is whole now. The bytes are in the caller's buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Message(MessageInfo),
    TooLong { info: MessageInfo, length: u64 },
    Notification,
}

/// How much all open messages together may hold, in multiples of the limit for one.
const OPEN_LIMITS: usize = 8;
/// What keeping an open message costs besides its bytes, roughly.
const OVERHEAD: usize = 128;

#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
struct Key {
    assoc: AssocId,
    stream: u16,
    unordered: bool,
}

#[derive(Debug)]
struct Open {
    info: MessageInfo,
    bytes: Vec<u8>,
    /// Octets seen, those thrown away included.
    length: u64,
    too_long: bool,
}

/// The messages that have begun and not ended.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    open: HashMap<Key, Open>,
    notification: Vec<u8>,
    held: usize,
}

impl Inbox {
    /// Takes a piece. If it makes something whole, its bytes are in `buf` then; else `buf` is to be reused.
    pub(crate) fn take(&mut self, piece: &Piece, buf: &mut Vec<u8>, limit: usize) -> Option<Whole> {
        if piece.notification {
            self.take_notification(piece.end, buf, limit)
        } else {
            self.take_data(piece, buf, limit)
        }
    }

    fn take_notification(&mut self, end: bool, buf: &mut Vec<u8>, limit: usize) -> Option<Whole> {
        // A notification holds at most a message that this host sent itself; the limit bounds it all the same.
        let room = limit.max(1 << 16).saturating_sub(self.notification.len());
        if !end || !self.notification.is_empty() {
            self.notification.extend_from_slice(&buf[..buf.len().min(room)]);
            if !end {
                return None;
            }
            *buf = std::mem::take(&mut self.notification);
        }
        Some(Whole::Notification)
    }

    fn take_data(&mut self, piece: &Piece, buf: &mut Vec<u8>, limit: usize) -> Option<Whole> {
        let info = piece.info;
        let key = Key { assoc: info.assoc, stream: info.stream, unordered: info.unordered };
        // A message that was given up by the kernel may leave its beginning here: another number shows it.
        if self.open.get(&key).is_some_and(|open| !info.unordered && open.info.ssn != info.ssn) {
            self.close(key);
        }
        if piece.end && buf.len() <= limit && !self.open.contains_key(&key) {
            return Some(Whole::Message(info));
        }
        let open = self.open.entry(key).or_insert_with(|| {
            self.held += OVERHEAD;
            Open { info, bytes: Vec::new(), length: 0, too_long: false }
        });
        open.length += buf.len() as u64;
        open.too_long |= open.length > limit as u64
            || self.held + buf.len() > limit.saturating_mul(OPEN_LIMITS).saturating_add(OVERHEAD);
        if open.too_long {
            self.held -= open.bytes.len();
            open.bytes = Vec::new();
        } else {
            self.held += buf.len();
            open.bytes.extend_from_slice(buf);
        }
        if !piece.end {
            return None;
        }
        let open = self.close(key)?;
        *buf = open.bytes;
        Some(if open.too_long {
            Whole::TooLong { info: open.info, length: open.length }
        } else {
            Whole::Message(open.info)
        })
    }

    /// Forgets what a notification says will not be completed.
    pub(crate) fn note(&mut self, notification: &Notification) {
        match *notification {
            Notification::AssocChange { state, assoc, .. }
                if !matches!(state, AssocChange::CommUp | AssocChange::Other(_)) =>
            {
                self.close_all(|key, _| key.assoc == assoc);
            }
            Notification::PartialDelivery { indication: 0, assoc, stream, sequence } => {
                let meant = |key: &Key, open: &Open| {
                    key.assoc == assoc
                        && u32::from(key.stream) == stream
                        && u32::from(open.info.ssn) == sequence
                };
                if self.open.iter().any(|(key, open)| meant(key, open)) {
                    self.close_all(meant);
                } else if self.open.keys().filter(|key| key.assoc == assoc).count() == 1 {
                    // Without interleaving the kernel names stream 0 always, and has one message open at most.
                    self.close_all(|key, _| key.assoc == assoc);
                }
            }
            _ => {}
        }
    }

    /// What has begun of an association, for the socket that reads it from now on.
    pub(crate) fn split_off(&mut self, assoc: AssocId) -> Self {
        let mut other = Self::default();
        let keys: Vec<Key> = self.open.keys().filter(|key| key.assoc == assoc).copied().collect();
        for key in keys {
            if let Some(open) = self.close(key) {
                other.held += open.bytes.len() + OVERHEAD;
                other.open.insert(key, open);
            }
        }
        other
    }

    fn close_all(&mut self, which: impl Fn(&Key, &Open) -> bool) {
        let keys: Vec<Key> =
            self.open.iter().filter(|(key, open)| which(key, open)).map(|(key, _)| *key).collect();
        for key in keys {
            self.close(key);
        }
    }

    fn close(&mut self, key: Key) -> Option<Open> {
        let open = self.open.remove(&key)?;
        self.held -= open.bytes.len() + OVERHEAD;
        Some(open)
    }
}

#[cfg(test)]
mod tests;
