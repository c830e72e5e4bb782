//! Handle tables: given to those who ask, asked for at start-up and when an audit finds a difference
//! (RFC 5353 §3.2.3, §3.6).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use asap_client::wire::tlv::MAX_LENGTH;
use asap_client::wire::{PoolElement, PoolHandle, ServerInformation, Writer};

use super::machine::{Enrp, Timer, transport};
use super::wire::{Body, Entry, Profile};
use super::{Event, claims::Source};
use crate::handlespace::{ChecksumSum, ElementKey, Handlespace};

/// What rsplib puts into one table response.
const RSPLIB_ELEMENTS: usize = 128;
const RSPLIB_OCTETS: usize = 1400;

/// Header and identifiers of a message.
const HEADER: usize = 12;

/// The longest time between two resynchronisations that bring no agreement. What kept them from it may be over by then,
/// and nobody else looks for it: so long is the difference seen at most.
const LONGEST_SPACING: Duration = Duration::from_secs(10);

/// A peer's place in the table that it is given. It is named by the last element sent, so that the table may change
/// meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Session {
    own: bool,
    after: (PoolHandle, u32),
}

/// A peer's elements are being asked for.
#[derive(Clone, Debug)]
pub(super) struct Resync {
    /// What it owned by our books and has not named yet.
    pub(super) marks: BTreeSet<ElementKey>,
    /// When everything had come. A checksum some time later tells whether what is still marked may go.
    pub(super) complete: Option<Instant>,
}

impl Enrp {
    /// LIST_REQUEST.
    pub(super) fn serve_list(&mut self, sender: u32) {
        let rejected = !self.is_ready();
        let mut servers = Vec::new();
        if !rejected {
            let own = transport(&self.local);
            servers
                .extend(own.map(|transport| ServerInformation { server: self.settings.server, transport }));
            let active = self.peers.iter().filter(|(id, peer)| peer.is_active() && **id != sender);
            servers.extend(active.filter_map(|(id, peer)| {
                Some(ServerInformation { server: *id, transport: transport(&peer.addresses)? })
            }));
        }
        self.tell(sender, Body::ListResponse { rejected, servers });
    }

    /// HANDLE_TABLE_REQUEST: the next part, from where the last one ended.
    pub(super) fn serve_table(&mut self, now: Instant, sender: u32, own: bool, space: &Handlespace) {
        let known = self.sessions.remove(&sender).filter(|session| session.own == own);
        self.timers.clear(Timer::Session(sender));
        let full = self.sessions.len() >= self.settings.limits.table_sessions;
        if !self.is_ready() || (known.is_none() && full) {
            let body = Body::HandleTableResponse { rejected: true, more: false, entries: Vec::new() };
            return self.tell(sender, body);
        }
        let profile = self.peers.get(&sender).map(|peer| peer.profile).unwrap_or_default();
        let limits = &self.settings.limits;
        let (count, octets) = match profile {
            Profile::Rfc => (limits.table_elements, limits.table_octets),
            Profile::Rsplib => (RSPLIB_ELEMENTS, RSPLIB_OCTETS),
        };
        let home = own.then_some(self.settings.server);
        let after = known.as_ref().map(|session| (&session.after.0, session.after.1));
        let keys = space.page(home, after, count + 1);
        let (entries, taken) = fit(space, &keys, profile, count, octets);
        let more = taken < keys.len();
        let last = taken.checked_sub(1).and_then(|last| space.get(*keys.get(last)?));
        if more && let Some((pool, element)) = last {
            let after = (pool.handle().clone(), element.id);
            self.sessions.insert(sender, Session { own, after });
            self.timers.set(Timer::Session(sender), now + self.settings.table_session);
        } else {
            self.counters.tables_served += 1;
        }
        self.tell(sender, Body::HandleTableResponse { rejected: false, more, entries });
    }

    /// HANDLE_TABLE_RESPONSE. What was not asked for is ignored.
    pub(super) fn table(
        &mut self,
        now: Instant,
        sender: u32,
        rejected: bool,
        more: bool,
        entries: Vec<Entry>,
        space: &mut Handlespace,
    ) {
        let empty = entries.is_empty();
        if self.is_mentor_table(sender) {
            self.take(now, sender, entries, true, space);
            return self.mentor_table(now, sender, rejected, more, empty, space);
        }
        let Some(peer) = self.peers.get(&sender) else { return };
        if peer.resync.as_ref().is_none_or(|resync| resync.complete.is_some()) {
            self.counters.unexpected += 1;
            return;
        }
        if rejected || (more && empty) {
            return self.resync_failed(now, sender);
        }
        self.take(now, sender, entries, false, space);
        if more {
            self.timers.set(Timer::Resync(sender), now + self.settings.max_time_no_response);
            return self.tell(sender, Body::HandleTableRequest { own: true });
        }
        self.timers.set(Timer::Resync(sender), now + self.settings.max_time_no_response);
        if let Some(peer) = self.peers.get_mut(&sender) {
            peer.stale = false;
            if let Some(resync) = &mut peer.resync {
                resync.complete = Some(now);
            }
        }
    }

    fn take(
        &mut self,
        now: Instant,
        sender: u32,
        entries: Vec<Entry>,
        second_hand: bool,
        space: &mut Handlespace,
    ) {
        for Entry { handle, elements } in entries {
            for element in elements {
                if second_hand && element.home != sender {
                    self.fill_gap(sender, &handle, element, space);
                } else {
                    self.claim(now, sender, &handle, element, Source::Table, space);
                }
            }
        }
    }

    /// A peer's checksum: do our books agree with its own (RFC 5353 §3.6)?
    pub(super) fn audit(&mut self, now: Instant, id: u32, checksum: u16, space: &mut Handlespace) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.checksum = Some(checksum);
        // What has just moved to another home is missing there, and the word of that home may still be on its way.
        let patience = self.settings.max_time_no_response;
        let settled = |resync: &mut Resync| resync.complete.is_some_and(|at| now - at >= patience);
        if let Some(resync) = peer.resync.take_if(settled) {
            self.settle(now, id, checksum, resync, space);
        }
        let ours = space.checksum(id);
        let ready = self.is_ready();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if ours == checksum {
            self.claims.withdraw_all(id);
            if !peer.stale {
                peer.resync_spacing = self.settings.resync_spacing;
                return;
            }
        }
        self.counters.checksum_mismatches += u64::from(ours != checksum);
        let allowed = peer.next_resync.is_none_or(|at| at <= now);
        if !ready || !allowed || peer.resync.is_some() || peer.association.is_none() {
            return;
        }
        peer.next_resync = Some(now + peer.resync_spacing);
        let longest = LONGEST_SPACING.max(self.settings.resync_spacing);
        peer.resync_spacing = (peer.resync_spacing * 2).min(longest);
        peer.resync = Some(Resync { marks: space.of_home(id).collect(), complete: None });
        self.counters.resyncs += 1;
        self.event(Event::Resync { peer: id });
        self.timers.set(Timer::Resync(id), now + self.settings.max_time_no_response);
        self.tell(id, Body::HandleTableRequest { own: true });
    }

    /// Removes what a peer has not named, if what is left is what it owns by its own word.
    fn settle(&mut self, now: Instant, id: u32, checksum: u16, resync: Resync, space: &mut Handlespace) {
        let mut named = ChecksumSum::default();
        for key in space.of_home(id).filter(|key| !resync.marks.contains(key)) {
            if let Some((pool, element)) = space.get(key) {
                named.add(ChecksumSum::of(pool.handle(), element.id));
            }
        }
        if named.fold() != checksum {
            return;
        }
        let mut purged = 0;
        for key in resync.marks {
            if space.get(key).is_some_and(|(_, element)| element.home == id) {
                self.let_go(now, key, space);
                purged += 1;
            }
        }
        if purged > 0 {
            self.counters.purged += u64::try_from(purged).unwrap_or(0);
            self.event(Event::Purged { peer: id, elements: purged });
        }
    }

    /// The table has not come in time; or it has, and it is time for the checksum of this very moment.
    pub(super) fn resync_late(&mut self, now: Instant, id: u32, space: &Handlespace) {
        let complete = |resync: &Resync| resync.complete.is_some();
        if !self.peers.get(&id).and_then(|peer| peer.resync.as_ref()).is_some_and(complete) {
            return self.resync_failed(now, id);
        }
        let body = self.own_presence(true, space);
        self.tell(id, body);
    }

    /// The table did not come. Nothing is removed; the next difference asks again.
    pub(super) fn resync_failed(&mut self, _now: Instant, id: u32) {
        self.timers.clear(Timer::Resync(id));
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.resync = None;
        }
    }

    /// A peer named an element, or it went: it is not missing from its table.
    pub(super) fn unmark(&mut self, home: u32, key: ElementKey) {
        if let Some(resync) = self.peers.get_mut(&home).and_then(|peer| peer.resync.as_mut()) {
            resync.marks.remove(&key);
        }
    }
}

/// As many elements as a response has room for, by their pools; and how many that are.
fn fit(
    space: &Handlespace,
    keys: &[ElementKey],
    profile: Profile,
    count: usize,
    octets: usize,
) -> (Vec<Entry>, usize) {
    let (mut entries, mut taken, mut length): (Vec<Entry>, usize, usize) = (Vec::new(), 0, HEADER);
    for key in keys.iter().take(count) {
        let Some((pool, element)) = space.get(*key) else { continue };
        let element = to_wire(element, profile);
        let same = entries.last().is_some_and(|entry| entry.handle == *pool.handle());
        let its = size(|w| element.emit(w));
        let handle = (4 + pool.handle().as_bytes().len()).next_multiple_of(4);
        // One that no message can hold is left out, and holds up no others.
        if HEADER + handle + its > MAX_LENGTH {
            taken += 1;
            continue;
        }
        length += if same { its } else { handle + its };
        // One is always taken, or the table would never end.
        if length > octets && taken > 0 {
            break;
        }
        taken += 1;
        match entries.last_mut().filter(|_| same) {
            Some(entry) => entry.elements.push(element),
            None => entries.push(Entry { handle: pool.handle().clone(), elements: vec![element] }),
        }
    }
    (entries, taken)
}

fn size(emit: impl FnOnce(&mut Writer)) -> usize {
    let mut writer = Writer::new();
    emit(&mut writer);
    writer.finish().map_or(usize::MAX / 4, |bytes| bytes.len())
}

/// An element as a registrar is told of it: complete, with its home and its ASAP transport (RFC 5353 §3.3.1).
pub(super) fn to_wire(element: &crate::handlespace::Element, profile: Profile) -> PoolElement {
    PoolElement {
        life: profile.life_to_wire(element.life),
        asap: Some(element.asap.clone()),
        ..element.to_wire()
    }
}
