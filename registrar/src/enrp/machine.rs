//! The machine itself: its state, its associations, and what goes where.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use asap_client::random::{SplitMix64, below};
use asap_client::wire::{Cause, PoolHandle, ServerInformation, Transport, TransportUse};

use super::claims::Claims;
use super::drain::Drain;
use super::peers::{Former, Link, Peer};
use super::reading::Asked;
use super::startup::Startup;
use super::strangers::Strangers;
use super::sync::Session;
use super::wire::{self, Body, Message, MessageType, Profile};
use super::{Change, Counters, Effect, Event, Input, Output, Reason, Settings};
use crate::Association;
use crate::handlespace::{Deadlines, ElementKey, Handlespace};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// The next PRESENCE to everybody.
    Heartbeat,
    /// Peers without an association are to be tried again.
    Connect,
    /// The start-up takes too long.
    Startup,
    /// A peer's silence, answer or takeover.
    Peer(u32),
    /// The next part of a peer's table.
    Resync(u32),
    /// A peer has not asked for the next part of a table.
    Session(u32),
    /// An element that is claimed elsewhere may be announced again.
    Claim(ElementKey),
    /// Elements are to be handed over, or the time for it is over.
    Drain,
    /// A peer has not said how it reads the RFCs.
    Reading(u32),
}

/// The registrar among its peers. See the module's text for what it decides where the RFC does not.
#[derive(Clone, Debug)]
pub struct Enrp {
    pub(super) settings: Settings,
    pub(super) local: Vec<SocketAddr>,
    pub(super) links: BTreeMap<Association, Link>,
    pub(super) peers: BTreeMap<u32, Peer>,
    /// Registrars that were peers, to be looked for.
    pub(super) former: BTreeMap<u32, Former>,
    /// When a peer is asked for its list of registrars.
    pub(super) next_list: Instant,
    /// What is being connected to, and since when.
    pub(super) connecting: BTreeMap<Vec<SocketAddr>, Instant>,
    /// Who was connected to since it announced itself.
    pub(super) strangers: Strangers,
    pub(super) startup: Startup,
    pub(super) sessions: BTreeMap<u32, Session>,
    /// Peers that have been asked how they read the RFCs.
    pub(super) asked: BTreeMap<u32, Asked>,
    pub(super) claims: Claims,
    /// To which peer each of our elements was suggested last.
    pub(super) suggested: BTreeMap<ElementKey, u32>,
    pub(super) drain: Option<Drain>,
    pub(super) timers: Deadlines<Timer>,
    pub(super) random: SplitMix64,
    pub(super) counters: Counters,
    outputs: VecDeque<Output>,
    effects: VecDeque<Effect>,
}

impl Enrp {
    /// A registrar that starts `now`. `seed` spreads its heartbeats and retries in time.
    pub fn new(now: Instant, settings: Settings, seed: u64) -> Self {
        let mut machine = Self {
            settings,
            local: Vec::new(),
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            former: BTreeMap::new(),
            next_list: now,
            connecting: BTreeMap::new(),
            strangers: Strangers::default(),
            startup: Startup::default(),
            sessions: BTreeMap::new(),
            asked: BTreeMap::new(),
            claims: Claims::default(),
            suggested: BTreeMap::new(),
            drain: None,
            timers: Deadlines::default(),
            random: SplitMix64::new(seed),
            counters: Counters::default(),
            outputs: VecDeque::new(),
            effects: VecDeque::new(),
        };
        machine.begin(now);
        machine
    }

    /// What happened so far, in numbers.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Goes on with other settings; the identifier stays, and so do the registrars that are known.
    pub fn reconfigure(&mut self, now: Instant, settings: Settings) {
        let server = self.settings.server;
        self.settings = Settings { server, ..settings };
        self.next_list = self.next_list.min(now + self.settings.list_cycle);
        // All that is waited for is looked at by the new times.
        self.timers.set(Timer::Heartbeat, now);
        self.timers.set(Timer::Connect, now);
        self.peers_reconfigured(now);
    }

    /// Takes what happened. `space` is the handlespace of this registrar, the same at every call.
    pub fn handle(&mut self, now: Instant, input: Input, space: &mut Handlespace) {
        match input {
            Input::Local { addresses } => self.local = addresses,
            Input::Up { association, addresses } => self.up(now, association, addresses, space),
            Input::Addresses { association, addresses } => self.moved(association, addresses),
            Input::Down { association } => self.down(now, association),
            Input::Unreachable { remote } => {
                self.connecting.remove(&remote);
            }
            Input::Message { association, ppid, bytes } => {
                self.message(now, association, ppid, &bytes, space);
            }
            Input::Oversized { association } => self.oversized(association),
            Input::Announcement { from, bytes } => self.announcement(now, from, &bytes),
        }
    }

    /// Does what is due. To be called when [`Self::poll_timeout`] has passed; harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant, space: &mut Handlespace) {
        while let Some(due) = self.timers.next()
            && let Some(timer) = self.timers.pop_due(now)
        {
            match timer {
                // Whoever was held up itself, as a paused machine is, cannot say that others were silent.
                Timer::Peer(peer) if now - due > self.settings.max_time_no_response / 2 => {
                    self.peer_overslept(now, peer, space);
                }
                Timer::Heartbeat => self.heartbeat(now, space),
                Timer::Connect => self.connect_missing(now),
                Timer::Startup => self.startup_late(now, space),
                Timer::Peer(peer) => self.peer_late(now, peer, space),
                Timer::Resync(peer) => self.resync_late(now, peer, space),
                Timer::Session(peer) => {
                    self.sessions.remove(&peer);
                }
                Timer::Claim(key) => self.refute(now, key, space),
                Timer::Drain => self.drain_late(now, space),
                Timer::Reading(peer) => self.reading_late(now, peer, space),
            }
        }
    }

    /// Takes what the ASAP service did. What goes to peers of it has to go out before the answer to the element.
    pub fn change(&mut self, now: Instant, change: Change, space: &mut Handlespace) {
        match change {
            Change::Updated(key) => {
                self.announce_update(key, space);
                self.hand_over(now, space);
            }
            Change::Removed { key, handle, element, deregistered } => {
                if deregistered {
                    self.claims.forget(key, &mut self.timers);
                }
                self.removed(now, key, &handle, &element, space);
                self.hand_over(now, space);
            }
            Change::Confirmed(key) => self.confirmed(now, key, space),
            Change::Denied(key) => self.denied(key, space),
        }
    }

    /// What to do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What the ASAP service has to be told next, if anything.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Self::handle_timeout`]; `None` while nothing is due ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn up(
        &mut self,
        now: Instant,
        association: Association,
        addresses: Vec<SocketAddr>,
        space: &Handlespace,
    ) {
        self.connecting.retain(|remote, _| !remote.iter().any(|address| addresses.contains(address)));
        if self.links.len() >= self.settings.limits.associations {
            return self.turn_away(association);
        }
        self.links.insert(association, Link { addresses, peer: None, up: now });
        self.presence(association, true, space);
    }

    /// Refuses an association, and says why.
    fn turn_away(&mut self, association: Association) {
        let body = Body::Error(vec![Cause::bare(Cause::LACK_OF_RESOURCES)]);
        let bytes = Message { sender: self.settings.server, receiver: 0, body }.encode();
        self.outputs.push_back(Output::Send { association, bytes: bytes.into() });
        self.outputs.push_back(Output::Abort { association, reason: Reason::TooMany });
    }

    fn down(&mut self, now: Instant, association: Association) {
        let Some(link) = self.links.remove(&association) else { return };
        if let Some(peer) = link.peer {
            self.link_lost(now, peer, association, &link.addresses);
        }
    }

    /// Ends an association.
    pub(super) fn abort(&mut self, now: Instant, association: Association, reason: Reason) {
        if self.links.contains_key(&association) {
            self.outputs.push_back(Output::Abort { association, reason });
            self.down(now, association);
        }
    }

    fn oversized(&mut self, association: Association) {
        if self.links.contains_key(&association) {
            self.counters.messages += 1;
            self.counters.faults.oversized += 1;
            let what = "more octets than a message can have".to_owned();
            self.event(Event::Malformed { association, what });
        }
    }

    fn message(
        &mut self,
        now: Instant,
        association: Association,
        ppid: u32,
        bytes: &[u8],
        space: &mut Handlespace,
    ) {
        if !self.links.contains_key(&association) {
            return;
        }
        self.counters.messages += 1;
        if ppid != wire::PPID {
            self.counters.faults.wrong_ppid += 1;
            return;
        }
        let decoded = match wire::decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.counters.faults.unreadable(&error.problem);
                self.event(Event::Malformed { association, what: error.to_string() });
                return self.report(association, error.message, error.causes());
            }
        };
        let Message { sender, receiver, body } = decoded.message;
        let own = self.settings.server;
        // rsplib's ERRORs have the two identifiers the wrong way round.
        let peer = self.links.get(&association).and_then(|link| link.peer);
        let (sender, receiver) = match body {
            Body::Error(_) if sender == own && Some(receiver) == peer => (receiver, sender),
            _ => (sender, receiver),
        };
        if sender == 0 || sender == own || (receiver != 0 && receiver != own) {
            self.counters.misdirected += 1;
            return;
        }
        if !self.identify(now, association, sender) {
            self.counters.misdirected += 1;
            return;
        }
        if decoded.padded_lengths {
            self.found_profile(sender, Profile::Rsplib);
        }
        self.counters.faults.unknown_parameters += u64::from(!decoded.reports.is_empty());
        let type_ = bytes.first().map(|type_| MessageType(*type_));
        self.heard(now, sender);
        self.dispatch(now, association, sender, body, space);
        self.report(association, type_, decoded.reports);
    }

    fn dispatch(
        &mut self,
        now: Instant,
        association: Association,
        sender: u32,
        body: Body,
        space: &mut Handlespace,
    ) {
        match body {
            Body::Presence { reply_required, checksum, server } => {
                if let Some(server) = server.filter(|server| server.server == sender) {
                    self.located(sender, &server.transport);
                }
                if reply_required {
                    self.presence(association, false, space);
                }
                self.mentor_seen(now, sender);
                if let Some(checksum) = checksum {
                    self.audit(now, sender, checksum, space);
                }
            }
            Body::HandleTableRequest { own } => self.table_wanted(now, sender, own, space),
            Body::HandleTableResponse { rejected, more, entries } => {
                self.table(now, sender, rejected, more, entries, space);
            }
            Body::HandleUpdate { takeover_suggested, action, handle, element } => {
                self.update(now, sender, takeover_suggested, action, handle, *element, space);
            }
            Body::ListRequest => self.serve_list(sender),
            Body::ListResponse { rejected, servers } => self.list(now, sender, rejected, &servers),
            Body::InitTakeover { target } => self.takeover_wanted(now, sender, target, space),
            Body::InitTakeoverAck { target } => self.takeover_allowed(now, sender, target, space),
            Body::TakeoverServer { target } => self.taken_over(now, sender, target, space),
            Body::Error(causes) if self.read_answer(now, sender, &causes, space) => {}
            Body::Error(causes) => {
                self.counters.errors_received += 1;
                let names: Vec<_> = causes.iter().map(Cause::name).collect();
                let what = format!("reports an error: {}", names.join(", "));
                self.event(Event::Malformed { association, what });
            }
        }
    }

    /// Reports to a sender what was wrong; never in answer to an ERROR.
    fn report(&mut self, association: Association, type_: Option<MessageType>, causes: Vec<Cause>) {
        if causes.is_empty() || type_ == Some(MessageType::ERROR) {
            return;
        }
        self.send(association, Body::Error(causes));
    }

    /// Sends a message over an association.
    pub(super) fn send(&mut self, association: Association, body: Body) {
        let Some(link) = self.links.get(&association) else { return };
        let receiver = link.peer.unwrap_or(0);
        match (&body, self.peers.get_mut(&receiver)) {
            (Body::Error(_), _) => self.counters.errors_sent += 1,
            (Body::ListRequest, Some(peer)) => peer.list_asked = true,
            _ => {}
        }
        let bytes = Message { sender: self.settings.server, receiver, body }.encode();
        self.send_bytes(association, bytes);
    }

    pub(super) fn send_bytes(&mut self, association: Association, bytes: Vec<u8>) {
        // Only a table or an update can be too long, and both are made of what fits.
        if !bytes.is_empty() {
            self.outputs.push_back(Output::Send { association, bytes: bytes.into() });
        }
    }

    /// Sends a message to a peer, if it has an association.
    pub(super) fn tell(&mut self, peer: u32, body: Body) {
        if let Some(association) = self.peers.get(&peer).and_then(|peer| peer.association) {
            self.send(association, body);
        }
    }

    /// Sends a message to every peer that has an association ("announces" it, RFC 5353 §1.1).
    pub(super) fn tell_all(&mut self, body: &Body) {
        let associations: Vec<_> = self.peers.values().filter_map(|peer| peer.association).collect();
        for association in associations {
            self.send(association, body.clone());
        }
    }

    /// Our own PRESENCE. Server Information is always in it: rsplib cannot do without.
    pub(super) fn own_presence(&self, reply_required: bool, space: &Handlespace) -> Body {
        let server = self.settings.server;
        Body::Presence {
            reply_required,
            checksum: Some(space.checksum(server)),
            server: transport(&self.local).map(|transport| ServerInformation { server, transport }),
        }
    }

    pub(super) fn presence(&mut self, association: Association, reply_required: bool, space: &Handlespace) {
        let body = self.own_presence(reply_required, space);
        self.send(association, body);
    }

    pub(super) fn announce(&mut self, space: &Handlespace) {
        let body = self.own_presence(false, space);
        let bytes = Message { sender: self.settings.server, receiver: 0, body }.encode();
        self.outputs.push_back(Output::Announce { bytes: bytes.into() });
    }

    pub(super) fn connect(&mut self, now: Instant, remote: Vec<SocketAddr>) {
        if !remote.is_empty() && !self.connecting.contains_key(&remote) {
            self.connecting.insert(remote.clone(), now);
            self.outputs.push_back(Output::Connect { remote });
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn changed(&mut self, handle: PoolHandle) {
        self.effect(Effect::Changed(handle));
    }

    /// `mean`, give or take up to a `part`th of it.
    pub(super) fn spread(&mut self, mean: Duration, part: u32) -> Duration {
        let off = mean / part.max(1);
        let nanos = u64::try_from(off.as_nanos()).unwrap_or(u64::MAX).saturating_mul(2);
        mean.saturating_sub(off) + Duration::from_nanos(below(self.random.draw(), nanos))
    }
}

/// Addresses of one port as a transport; none without an address.
pub(super) fn transport(addresses: &[SocketAddr]) -> Option<Transport> {
    let port = addresses.first()?.port();
    let addresses = addresses.iter().map(|address| address.ip().to_canonical()).collect();
    Some(Transport::Sctp { port, use_: TransportUse::DataOnly, addresses })
}

/// A transport's addresses, each with the port.
pub(super) fn addresses(transport: &Transport) -> Vec<SocketAddr> {
    let port = transport.port().unwrap_or(wire::PORT);
    transport.addresses().iter().map(|address| SocketAddr::new(address.to_canonical(), port)).collect()
}
