//! How a peer reads the RFCs ([`Profile`]): asked when it is met, where nobody has configured it.
//!
//! A LIST_REQUEST with an unknown parameter is the question. RFC 5354 (§3) has it answered, and the parameter
//! reported; rsplib reports the whole message as invalid instead, with a cause of its own. Whoever says neither in
//! time is taken for one that follows the RFC, until it shows otherwise.
//!
//! A handle table that is asked for meanwhile waits for the answer: rsplib would take lives in seconds for
//! milliseconds, and forget the elements at once.

use std::time::Instant;

use asap_client::wire::Cause;

use super::machine::{Enrp, Timer};
use super::peers::Peer;
use super::wire::{Body, Message, Profile, UNKNOWN_PARAMETER};
use super::{Event, ProfileSource};
use crate::Association;
use crate::handlespace::Handlespace;

/// The cause by which rsplib calls a message invalid.
const RSPLIB_INVALID_MESSAGE: u16 = 0x10;

/// A peer has been asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// It has had the time to answer: nothing waits for that any more.
    is_late: bool,
    /// It has asked for a handle table meanwhile; `own` as in [`Body::HandleTableRequest`].
    table: Option<bool>,
}

impl Enrp {
    /// A peer has come up over an association: which registrars does it know, and how does it read the RFCs?
    pub(super) fn meet(&mut self, now: Instant, id: u32, association: Association, is_new: bool) {
        if self.peers.get(&id).is_none_or(|peer| peer.profile_source != ProfileSource::Assumed) {
            if is_new {
                self.send(association, Body::ListRequest);
            }
            return;
        }
        self.asked.insert(id, Asked::default());
        self.timers.set(Timer::Reading(id), now + self.settings.max_time_no_response);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.list_asked = true;
        }
        self.send_bytes(association, Message::question(self.settings.server, id));
    }

    /// Causes that a peer reports. Says whether they are its answer to the question.
    pub(super) fn read_answer(
        &mut self,
        now: Instant,
        id: u32,
        causes: &[Cause],
        space: &mut Handlespace,
    ) -> bool {
        let reported = UNKNOWN_PARAMETER.0.to_be_bytes();
        let answer = causes.iter().find_map(|cause| match cause.code {
            Cause::UNRECOGNIZED_PARAMETER => cause.data.starts_with(&reported).then_some(Profile::Rfc),
            RSPLIB_INVALID_MESSAGE => Some(Profile::Rsplib),
            _ => None,
        });
        let Some(profile) = answer.filter(|_| self.asked.contains_key(&id)) else { return false };
        self.found_profile(id, profile);
        if profile == Profile::Rsplib {
            // The question was no LIST_REQUEST to it.
            self.tell(id, Body::ListRequest);
        }
        self.timers.clear(Timer::Reading(id));
        let asked = self.asked.remove(&id);
        self.serve_waiting(now, id, asked, space);
        true
    }

    /// The peer has had the time to answer. If it does so later, that counts, too.
    pub(super) fn reading_late(&mut self, now: Instant, id: u32, space: &Handlespace) {
        let late = Asked { is_late: true, table: None };
        let asked = self.asked.get_mut(&id).map(|asked| std::mem::replace(asked, late));
        self.serve_waiting(now, id, asked, space);
    }

    fn serve_waiting(&mut self, now: Instant, id: u32, asked: Option<Asked>, space: &Handlespace) {
        if let Some(Asked { table: Some(own), .. }) = asked {
            self.serve_table(now, id, own, space);
        }
    }

    /// HANDLE_TABLE_REQUEST.
    pub(super) fn table_wanted(&mut self, now: Instant, id: u32, own: bool, space: &Handlespace) {
        let ready = self.startup.is_ready();
        match self.asked.get_mut(&id).filter(|asked| ready && !asked.is_late) {
            Some(asked) => asked.table = Some(own),
            // Also what is refused, since we are not in service.
            None => self.serve_table(now, id, own, space),
        }
    }

    /// What a peer did shows how it reads the RFCs.
    pub(super) fn found_profile(&mut self, id: u32, profile: Profile) {
        let assumed = |peer: &&mut Peer| peer.profile_source == ProfileSource::Assumed;
        let Some(peer) = self.peers.get_mut(&id).filter(assumed) else { return };
        peer.profile_source = ProfileSource::Found;
        if peer.profile == profile {
            return;
        }
        peer.profile = profile;
        // The lives of its elements were read in the wrong unit.
        peer.stale = true;
        self.event(Event::ProfileFound { peer: id, profile });
    }
}
