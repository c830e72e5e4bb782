//! The home association that was left when the host's addresses changed, and is itself moved to the new ones.
//!
//! The first word from the new addresses goes over a new association: a registration travels with its COOKIE-ECHO, while
//! the kernel holds back the data of an association that has lost its only address until an ASCONF has been accepted
//! whole, which is the second one (at a round trip of 100 ms a registration arrived after 160 to 170 ms over a new
//! association, and after 263 to 295 over the old one). But the first ASCONF arrives a round trip before that
//! registration, and tells the registrar that both associations are one host's: it need not ask over the old one whether
//! the element is still there.
//!
//! Once everything is registered, and the ASCONFs have had time to be answered, everything is registered over the old
//! association, and when that has been answered the new one is ended. So registrations are never under way over two
//! associations, and none ends that the registrar may take for an element's. An old association that does not answer
//! is left as any home that does not.
//!
//! What is moved is the association over which the registrar has the elements, for it is that one's address that the
//! registrar compares. So a host that moves on before the old association is home again has the newer one moved, and the
//! older goes.
//!
//! Not everything can be moved (`sctp_sys::readdress::follow`): Linux takes leave of an address that is gone before another
//! is accepted only where it is the association's only one, and of the same family as the new one. A host that loses
//! several at once, or changes the family, is let in when the registrar has asked over the old association and waited
//! (300 ms by default), as any host without Add-IP.

use std::time::{Duration, Instant};

use super::LinkId;
use crate::timers::expired;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Nothing has been done about it.
    #[default]
    Left,
    /// It is being moved.
    Moving,
    /// The same, and everything is registered over its successor.
    Resting,
    /// It has had its time.
    Ready,
}

/// The association, if there is one.
#[derive(Debug, Default)]
pub(super) struct Carried {
    link: Option<LinkId>,
    step: Step,
    rest: Option<Instant>,
}

impl Carried {
    /// This was the home.
    pub(super) fn leave(&mut self, link: LinkId) {
        *self = Self { link: Some(link), ..Self::default() };
    }

    /// The addresses have changed: it is to be moved. Whatever was under way is void.
    pub(super) fn start(&mut self) -> Option<LinkId> {
        (self.step, self.rest) = (Step::Left, None);
        self.link
    }

    /// It is being moved. Returns whether it is the one.
    pub(super) fn moves(&mut self, link: LinkId) -> bool {
        let is_it = self.link == Some(link);
        if is_it && self.step == Step::Left {
            self.step = Step::Moving;
        }
        is_it
    }

    /// Whether this may become home again.
    pub(super) fn is(&self, link: LinkId) -> bool {
        self.link == Some(link) && self.step != Step::Left
    }

    /// Everything is registered over its successor. Returns whether it is its turn now.
    pub(super) fn settled(&mut self, now: Instant, rest: Duration) -> bool {
        if self.step == Step::Moving {
            (self.step, self.rest) = (Step::Resting, Some(now + rest));
        }
        self.step == Step::Ready
    }

    /// It is gone, or home.
    pub(super) fn forget(&mut self, link: LinkId) {
        if self.link == Some(link) {
            *self = Self::default();
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if expired(&mut self.rest, now) {
            self.step = Step::Ready;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.rest
    }
}
