//! The list of peers: who is there, over which association, and whether it lives (RFC 5353 §3.4).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use asap_client::random::below;
use asap_client::wire::{Cause, Transport};

use super::machine::{Enrp, Timer, addresses};
use super::sync::Resync;
use super::wire::{self, Body, Profile};
use super::{Event, ProfileSource, Reason};
use crate::Association;
use crate::handlespace::Handlespace;

/// How long the driver may take to say that something cannot be reached.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long an association may be there without a message.
const NAMELESS_LIMIT: Duration = Duration::from_secs(10);

/// How long a registrar that is gone is looked for, and how often.
const FORMER_MEMORY: Duration = Duration::from_secs(3600);
const FORMER_PAUSE: Duration = Duration::from_secs(5);

/// The most addresses that are kept of a peer.
pub(super) const ADDRESSES: usize = 16;

/// An association.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// The peer's addresses.
    pub(super) addresses: Vec<SocketAddr>,
    /// For which registrar it speaks: the first that it named.
    pub(super) peer: Option<u32>,
    /// Since when it is up.
    pub(super) up: Instant,
}

/// A registrar that was a peer. After a partition both sides have given each other up: without a third that both
/// know beforehand, they would never meet again.
#[derive(Clone, Debug)]
pub(super) struct Former {
    addresses: Vec<SocketAddr>,
    gone: Instant,
    tried: Instant,
}

/// What is thought of a peer (RFC 5353 §3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It lives.
    Active,
    /// It was silent and has been asked. The candidate, if any, waits for our leave to take it over.
    Probing { candidate: Option<u32> },
    /// We want to take it over, and these have still to agree.
    Initiating { waiting: BTreeSet<u32>, attempts: u32, rivals: BTreeSet<u32> },
    /// Another registrar takes it over.
    Yielded { to: u32 },
}

/// A registrar that is known.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) association: Option<Association>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) state: State,
    pub(super) heard: Option<Instant>,
    pub(super) checksum: Option<u16>,
    pub(super) profile: Profile,
    pub(super) profile_source: ProfileSource,
    pub(super) resync: Option<Resync>,
    pub(super) next_resync: Option<Instant>,
    pub(super) resync_spacing: Duration,
    /// Updates were dropped or lost, or its elements are known second-hand: they have to be asked for. The checksum does
    /// not tell, for it covers which elements there are, not what they are like.
    pub(super) stale: bool,
    /// Updates that it may still send in the second that began at the moment.
    pub(super) budget: (Instant, u32),
    pub(super) next_challenge: Option<Instant>,
    /// It was asked which registrars it knows, and has not answered.
    pub(super) list_asked: bool,
}

impl Peer {
    pub(super) fn is_active(&self) -> bool {
        self.state == State::Active
    }
}

impl Enrp {
    /// The configured profiles, and the times after which peers are asked, are others now.
    pub(super) fn peers_reconfigured(&mut self, now: Instant) {
        let contacts = &self.settings.peers;
        for (id, peer) in &mut self.peers {
            let contact = contacts.iter().find(|contact| overlap(&contact.addresses, &peer.addresses));
            match contact.and_then(|contact| contact.profile) {
                Some(profile) => (peer.profile, peer.profile_source) = (profile, ProfileSource::Configured),
                None if peer.profile_source == ProfileSource::Configured => {
                    peer.profile_source = ProfileSource::Assumed;
                }
                None => {}
            }
            if peer.is_active() {
                self.timers.set(Timer::Peer(*id), now);
            }
        }
    }

    /// Adds a peer, in the state of one that has been asked; says whether there is room.
    pub(super) fn add_peer(&mut self, now: Instant, id: u32, addresses: Vec<SocketAddr>) -> bool {
        if id == 0 || id == self.settings.server || self.peers.contains_key(&id) {
            return false;
        }
        if self.peers.len() >= self.settings.limits.peers {
            return false;
        }
        let peer = Peer {
            association: None,
            addresses,
            state: State::Probing { candidate: None },
            heard: None,
            checksum: None,
            profile: Profile::default(),
            profile_source: ProfileSource::default(),
            resync: None,
            next_resync: None,
            resync_spacing: self.settings.resync_spacing,
            stale: false,
            budget: (now, self.settings.limits.updates_per_second),
            next_challenge: None,
            list_asked: false,
        };
        self.peers.insert(id, peer);
        let patience = self.settings.max_time_last_heard + self.settings.max_time_no_response;
        self.timers.set(Timer::Peer(id), now + patience);
        true
    }

    /// Forgets a peer and what is under way with it. Its elements stay.
    pub(super) fn drop_peer(&mut self, now: Instant, id: u32) {
        if let Some(peer) = self.peers.remove(&id)
            && peer.heard.is_some()
            && !peer.addresses.is_empty()
            && self.former.len() < self.settings.limits.peers
        {
            self.former.insert(id, Former { addresses: peer.addresses, gone: now, tried: now });
        }
        self.sessions.remove(&id);
        self.asked.remove(&id);
        self.suggested.retain(|_, to| *to != id);
        for timer in [Timer::Peer(id), Timer::Resync(id), Timer::Session(id), Timer::Reading(id)] {
            self.timers.clear(timer);
        }
        let its: Vec<_> =
            self.links.iter().filter(|(_, link)| link.peer == Some(id)).map(|(a, _)| *a).collect();
        for association in its {
            self.abort(now, association, Reason::Dead);
        }
        self.awaited_no_more(now, id);
    }

    /// Whether an association may speak for a registrar. The first that it names is the one; a registrar that speaks
    /// over a living association elsewhere is not taken from it.
    pub(super) fn identify(&mut self, now: Instant, association: Association, sender: u32) -> bool {
        let Some(link) = self.links.get(&association) else { return false };
        if link.peer == Some(sender) {
            return true;
        }
        let (bound, addresses) = (link.peer, link.addresses.clone());
        let elsewhere = self.peers.get(&sender).is_some_and(|peer| {
            let fresh = peer.heard.is_some_and(|at| now - at <= self.settings.max_time_last_heard);
            let other = peer.association.and_then(|other| self.links.get(&other));
            fresh && other.is_some_and(|other| !overlap(&other.addresses, &addresses))
        });
        if bound.is_some() || elsewhere {
            self.event(Event::Impostor { association, claimed: sender });
            self.abort(now, association, Reason::Identity);
            return false;
        }
        let known = self.peers.contains_key(&sender);
        if !known && !self.add_peer(now, sender, addresses.clone()) {
            self.send(association, Body::Error(vec![Cause::bare(Cause::LACK_OF_RESOURCES)]));
            self.abort(now, association, Reason::TooMany);
            return false;
        }
        if let Some(link) = self.links.get_mut(&association) {
            link.peer = Some(sender);
        }
        let configured = self.settings.peers.iter().find(|contact| overlap(&contact.addresses, &addresses));
        let profile = configured.and_then(|contact| contact.profile);
        if let Some(peer) = self.peers.get_mut(&sender) {
            peer.association = Some(association);
            peer.addresses = addresses;
            if let Some(profile) = profile {
                (peer.profile, peer.profile_source) = (profile, ProfileSource::Configured);
            }
        }
        self.former.remove(&sender);
        if !known {
            self.event(Event::PeerUp { peer: sender });
        }
        self.meet(now, sender, association, !known);
        true
    }

    /// A message came from a peer: it lives, whatever was thought of it.
    pub(super) fn heard(&mut self, now: Instant, id: u32) {
        let patience = self.settings.max_time_last_heard;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let first = peer.heard.is_none();
        peer.heard = Some(now);
        if !peer.is_active() {
            // Whoever was merely asked has answered: slower heartbeats than ours are nothing to talk of.
            let believed_dead = !matches!(peer.state, State::Probing { .. });
            peer.state = State::Active;
            self.timers.set(Timer::Peer(id), now + patience);
            if believed_dead && !first {
                self.event(Event::PeerBack { peer: id });
            }
        }
    }

    /// Where a peer says that it speaks ENRP, for when its association is lost. Only what its association confirms is
    /// believed, so that nobody can have us connect to third parties.
    pub(super) fn located(&mut self, id: u32, transport: &Transport) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(link) = peer.association.and_then(|association| self.links.get(&association)) else {
            return;
        };
        let ips: Vec<IpAddr> = link.addresses.iter().map(SocketAddr::ip).collect();
        let mut confirmed = addresses(transport);
        confirmed.retain(|address| ips.contains(&address.ip()));
        confirmed.truncate(ADDRESSES);
        if !confirmed.is_empty() {
            peer.addresses = confirmed;
        }
    }

    /// PRESENCE to everybody, every PEER-HEARTBEAT-CYCLE.
    pub(super) fn heartbeat(&mut self, now: Instant, space: &Handlespace) {
        let body = self.own_presence(false, space);
        self.tell_all(&body);
        if self.settings.multicast {
            self.announce(space);
        }
        self.claims.age(now);
        if self.next_list <= now {
            self.ask_somebody(now);
        }
        let cycle = self.settings.peer_heartbeat_cycle;
        let next = now + self.spread(cycle, 8);
        self.timers.set(Timer::Heartbeat, next);
    }

    /// Asks any of the peers which registrars it knows.
    fn ask_somebody(&mut self, now: Instant) {
        let cycle = self.settings.list_cycle;
        self.next_list = now + self.spread(cycle, 2);
        let active: Vec<_> = self.peers.iter().filter(|(_, p)| p.is_active()).map(|(id, _)| *id).collect();
        let place = below(self.random.draw(), active.len() as u64);
        if let Some(peer) = usize::try_from(place).ok().and_then(|place| active.get(place)) {
            self.tell(*peer, Body::ListRequest);
        }
    }

    /// A PRESENCE from the multicast group. It is no proof of anything: who sent it is connected to.
    pub(super) fn announcement(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Ok(decoded) = wire::decode(bytes) else { return };
        let sender = decoded.message.sender;
        let Body::Presence { server, .. } = decoded.message.body else { return };
        let connected = self.links.values().any(|link| link.addresses.contains(&from));
        if !self.settings.multicast || sender == 0 || sender == self.settings.server || connected {
            return;
        }
        if self.connecting.len() >= self.settings.limits.peers {
            return;
        }
        // rsplib names its port here too; the address is the one that the datagram came from.
        let port = server.and_then(|server| server.transport.port()).unwrap_or(from.port());
        let remote = SocketAddr::new(from.ip(), port);
        let is_known = self.local.contains(&remote)
            || self.links.values().any(|link| link.addresses.contains(&remote))
            || self.connecting.keys().any(|connecting| connecting.contains(&remote));
        if !is_known && self.strangers.may_connect(now, remote) {
            self.connect(now, vec![remote]);
        }
    }

    /// Connects to every registrar that ought to be there and is not.
    pub(super) fn connect_missing(&mut self, now: Instant) {
        self.connecting.retain(|_, since| now - *since < CONNECT_LIMIT);
        let nameless: Vec<_> = self.links.iter().filter(|(_, link)| link.peer.is_none()).collect();
        let nameless: Vec<_> = nameless
            .into_iter()
            .filter(|(_, link)| now - link.up >= NAMELESS_LIMIT)
            .map(|(a, _)| *a)
            .collect();
        for association in nameless {
            self.abort(now, association, Reason::Nameless);
        }
        let contacts = self.settings.peers.iter().map(|contact| &contact.addresses);
        let peers = self.peers.values().filter(|peer| peer.association.is_none()).map(|peer| &peer.addresses);
        self.former.retain(|_, former| now - former.gone < FORMER_MEMORY);
        let mut former = Vec::new();
        for one in self.former.values_mut().filter(|former| now - former.tried >= FORMER_PAUSE) {
            one.tried = now;
            former.push(one.addresses.clone());
        }
        let wanted: Vec<Vec<SocketAddr>> = contacts
            .chain(peers)
            .chain(&former)
            .filter(|wanted| !self.links.values().any(|link| overlap(&link.addresses, wanted)))
            .filter(|wanted| !self.connecting.keys().any(|remote| overlap(remote, wanted)))
            .filter(|wanted| !overlap(&self.local, wanted))
            .cloned()
            .collect();
        for remote in wanted {
            self.connect(now, remote);
        }
        let pause = self.settings.reconnect;
        let next = now + self.spread(pause, 4);
        self.timers.set(Timer::Connect, next);
    }

    /// A peer's association is gone: perhaps the peer is, too.
    pub(super) fn link_lost(&mut self, now: Instant, id: u32, lost: Association, addresses: &[SocketAddr]) {
        let other = self.links.iter().find(|(_, link)| link.peer == Some(id)).map(|(other, _)| *other);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.association != Some(lost) {
            return;
        }
        peer.association = other;
        peer.resync = None;
        // What was on its way is lost.
        peer.stale = true;
        let addresses = if peer.addresses.is_empty() { addresses.to_vec() } else { peer.addresses.clone() };
        let was_active = peer.is_active();
        if was_active && other.is_none() {
            peer.state = State::Probing { candidate: None };
            let patience = self.settings.max_time_no_response;
            self.timers.set(Timer::Peer(id), now + patience);
        }
        self.sessions.remove(&id);
        self.timers.clear(Timer::Session(id));
        self.timers.clear(Timer::Resync(id));
        if was_active && other.is_none() {
            self.event(Event::PeerSilent { peer: id });
            self.connect(now, addresses);
        }
        self.mentor_lost(now, id);
    }

    /// A peer's timer has run out.
    pub(super) fn peer_late(&mut self, now: Instant, id: u32, space: &mut Handlespace) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.state.clone() {
            State::Active => {
                let silent_since = peer.heard.unwrap_or(now);
                let due = silent_since + self.settings.max_time_last_heard;
                if due > now {
                    return self.timers.set(Timer::Peer(id), due);
                }
                self.probe(now, id, None, space);
            }
            State::Probing { candidate: Some(candidate) } => {
                self.event(Event::PeerDead { peer: id });
                self.yield_to(now, id, candidate);
            }
            State::Probing { candidate: None } => {
                self.event(Event::PeerDead { peer: id });
                self.initiate(now, id, space);
            }
            State::Initiating { .. } => self.missing_acknowledgements(now, id, space),
            State::Yielded { .. } => self.initiate(now, id, space),
        }
    }

    /// A peer's timer has run out, and we look much later: an answer may be there and not read yet. Asks once more.
    pub(super) fn peer_overslept(&mut self, now: Instant, id: u32, space: &mut Handlespace) {
        match self.peers.get(&id).map(|peer| &peer.state) {
            Some(State::Probing { candidate }) => self.probe(now, id, *candidate, space),
            _ => self.peer_late(now, id, space),
        }
    }

    /// Asks a peer whether it lives.
    pub(super) fn probe(&mut self, now: Instant, id: u32, candidate: Option<u32>, space: &Handlespace) {
        let patience = self.settings.max_time_no_response;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.state = State::Probing { candidate };
        let (association, addresses) = (peer.association, peer.addresses.clone());
        self.timers.set(Timer::Peer(id), now + patience);
        self.event(Event::PeerSilent { peer: id });
        match association {
            Some(association) => self.presence(association, true, space),
            None => self.connect(now, addresses),
        }
    }

    /// The addresses of a peer's association are these now: it moves.
    pub(super) fn moved(&mut self, association: Association, addresses: Vec<SocketAddr>) {
        let Some(link) = self.links.get_mut(&association) else { return };
        link.addresses.clone_from(&addresses);
        if let Some(peer) = link.peer.and_then(|peer| self.peers.get_mut(&peer))
            && peer.association == Some(association)
        {
            peer.addresses = addresses;
        }
    }
}

/// Whether two lists have an address and port in common.
pub(super) fn overlap(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    one.iter().any(|address| other.contains(address))
}
