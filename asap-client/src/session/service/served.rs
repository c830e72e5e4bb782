//! One session at an element.

use super::super::cookie::{Counts, SessionId};

/// A user's session, or an association where none has begun yet.
#[derive(Debug)]
pub(super) struct Served {
    /// What is known of the user.
    pub(super) user: Vec<u8>,
    pub(super) session: SessionId,
    pub(super) begun: bool,
    /// How far it has come.
    pub(super) counts: Counts,
    /// The number of the last cookie.
    pub(super) sequence: u64,
}

impl Served {
    /// An association of this user; its session gets this name unless a cookie gives it another.
    pub(super) fn new(user: Vec<u8>, session: SessionId) -> Self {
        Self { user, session, begun: false, counts: Counts::default(), sequence: 0 }
    }

    /// A message came from the user: its number.
    pub(super) fn came(&mut self) -> u64 {
        self.counts.received += 1;
        self.counts.received
    }
}
