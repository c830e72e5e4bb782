//! The machine itself: its state, its associations, and what goes where.

use asap_client::random::SplitMix64;
use asap_client::wire::{self, Cause, DecodeError, Decoded, Message, PoolHandle};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use super::adoption::{Adoptions, Yielded, remote};
use super::clients::Clients;
use super::event::{Counters, Event, Reason, Why};
use super::former::Formers;
use super::newcomer::Newcomers;
use super::places::Places;
use super::subscribe::Subscriptions;
use super::timers::{Heard, Timer, Timers};
use super::{Input, Output, Settings};
use crate::Association;
use crate::enrp::Change;
use crate::handlespace::{Element, ElementKey, Handlespace, Place};

/// What is known of an association.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The address it came from.
    pub(crate) from: IpAddr,
    /// The peer's port.
    pub(crate) port: u16,
    /// The peer's addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// When the last message came.
    pub(crate) heard: Instant,
    /// It is a TCP connection, which only users have.
    pub(crate) tcp: bool,
}

/// The ASAP service of a registrar. See the module's text for what it decides where the RFC does not.
#[derive(Clone, Debug)]
pub struct Registrar {
    pub(super) settings: Settings,
    pub(super) space: Handlespace,
    pub(super) clients: Clients,
    /// How many of them are TCP connections.
    over_tcp: usize,
    /// The same by where they are.
    pub(super) places: Places,
    pub(super) subscriptions: Subscriptions,
    pub(super) timers: Timers,
    /// The associations that owned an element before and were silent when they were asked.
    pub(super) displaced: Formers,
    /// Other associations that an element was registered over before, of its host, or of one that is said to be.
    pub(super) earlier: Formers,
    pub(super) newcomers: Newcomers,
    /// From where elements were reported since they were heard from.
    pub(super) reporters: BTreeSet<(ElementKey, IpAddr)>,
    pub(super) random: SplitMix64,
    pub(super) counters: Counters,
    /// Pools whose subscribers have to be told.
    pub(super) changed: BTreeSet<PoolHandle>,
    /// Elements that are ours, or are to be, and have no association with us yet.
    pub(super) adoptions: Adoptions,
    /// Elements that are asked whether they are still there, for ENRP.
    pub(super) verifying: BTreeSet<ElementKey>,
    /// Elements that were left to other registrars, by the association over which they had been told that they are ours;
    /// and those of them that were gone there, as they were: if they answer they are ours again.
    pub(super) yielded: BTreeMap<Association, Yielded>,
    /// Elements that were offered to other registrars.
    pub(super) leaving: BTreeSet<ElementKey>,
    changes: VecDeque<Change>,
    outputs: VecDeque<Output>,
    /// What was written last: the next message is written in its place.
    pub(super) written: Vec<u8>,
}

impl Registrar {
    /// A registrar without pools. `seed` spreads its keep-alives in time, and users over elements.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            space: Handlespace::default(),
            clients: Clients::default(),
            over_tcp: 0,
            places: Places::default(),
            subscriptions: Subscriptions::default(),
            timers: Timers::default(),
            displaced: Formers::default(),
            earlier: Formers::default(),
            newcomers: Newcomers::default(),
            reporters: BTreeSet::new(),
            random: SplitMix64::new(seed),
            counters: Counters::default(),
            changed: BTreeSet::new(),
            adoptions: Adoptions::default(),
            verifying: BTreeSet::new(),
            yielded: BTreeMap::new(),
            leaving: BTreeSet::new(),
            changes: VecDeque::new(),
            outputs: VecDeque::new(),
            written: Vec::new(),
        }
    }

    /// The pools.
    pub fn handlespace(&self) -> &Handlespace {
        &self.space
    }

    /// The pools, for ENRP, which tells by [`crate::enrp::Effect`]s what it did there.
    pub(crate) fn handlespace_mut(&mut self) -> &mut Handlespace {
        &mut self.space
    }

    /// What happened so far, in numbers.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The associations there are.
    pub fn associations(&self) -> impl ExactSizeIterator<Item = Association> {
        self.clients.keys()
    }

    /// The associations after this one, in order of their numbers; `None`: all.
    pub fn associations_after(&self, after: Option<Association>) -> impl Iterator<Item = Association> {
        self.clients.after(after)
    }

    /// How many of the associations are TCP connections, which only users have.
    pub fn over_tcp(&self) -> usize {
        self.over_tcp
    }

    /// How many subscriptions there are in all.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    pub(crate) fn client(&self, association: Association) -> Option<&Client> {
        self.clients.get(&association)
    }

    /// The pools that an association subscribes to.
    pub fn subscriptions_of(&self, association: Association) -> impl Iterator<Item = &PoolHandle> {
        self.subscriptions.of_association(association)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Goes on with other settings; the identifier stays. Limits are for what comes from now on: nothing that is there
    /// is taken away.
    pub fn reconfigure(&mut self, now: Instant, settings: Settings) {
        let server = self.settings.server;
        let before = std::mem::replace(&mut self.settings, Settings { server, ..settings });
        if before.keep_alive_interval != self.settings.keep_alive_interval {
            self.plan_keep_alives_anew(now);
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Up { association, from, port, addresses } => {
                self.up(now, association, Client { from, port, addresses, heard: now, tcp: false });
            }
            Input::Connected { association, from } => {
                let (from, port) = (from.ip().to_canonical(), from.port());
                let client = Client { from, port, addresses: vec![from], heard: now, tcp: true };
                self.up(now, association, client);
            }
            Input::Addresses { association, addresses } => self.addresses(now, association, addresses),
            Input::Down { association } => self.down(now, association),
            Input::Message { association, ppid, bytes } => self.message(now, association, ppid, &bytes),
            Input::Oversized { association } => self.oversized(now, association),
            Input::Garbled { association, bytes } => self.garbled(association, &bytes),
        }
        self.register_freed(now);
        self.push(now);
    }

    /// Does what is due. To be called when [`Self::poll_timeout`] has passed; harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout_having_heard(now, &Heard::everything(now));
    }

    /// As [`Self::handle_timeout`], where what had come by `now` may not all have been taken yet: until it is, nobody is
    /// held to be silent.
    pub fn handle_timeout_having_heard(&mut self, now: Instant, heard: &Heard<'_>) {
        // Whoever prolongs a life in time may have to wait until that is read.
        while let Some(key) = self.space.pop_expired(now.min(heard.together)) {
            self.remove(key, Why::Expired);
        }
        self.timers(now, heard);
        self.adopt_waiting(now);
        self.register_freed(now);
        self.push(now);
    }

    /// What to do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`]; `None` while nothing is due ever. It stays in the past while an
    /// answer is due that may have come and not been taken yet.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let asap = [self.adoptions.poll_timeout(), self.subscriptions.next_push()];
        let due = [self.space.next_expiry(), self.timers.next()].into_iter().chain(asap);
        due.flatten().min()
    }

    /// What ENRP has to be told, if anything. It goes before the outputs: peers hear of a registration before the
    /// element is answered.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    pub(super) fn change(&mut self, change: Change) {
        self.changes.push_back(change);
    }

    fn up(&mut self, now: Instant, association: Association, client: Client) {
        if self.clients.contains_key(&association) {
            self.down(now, association);
        }
        if self.clients.len() >= self.settings.limits.associations {
            let Some(idle) = self.longest_idle() else {
                self.counters.aborted += 1;
                self.outputs.push_back(Output::Abort { association, reason: Reason::TooMany });
                return;
            };
            self.abort(now, idle, Reason::PlaceNeeded);
        }
        self.places.add(association, client.port, &client.addresses);
        self.over_tcp += usize::from(client.tcp);
        self.clients.insert(association, Client { heard: now, ..client });
        self.greet(now, association);
    }

    /// The association that was silent longest of those that hold nothing.
    fn longest_idle(&self) -> Option<Association> {
        self.longest_idle_of(self.clients.keys())
    }

    /// As [`Self::longest_idle`], of these alone.
    pub(crate) fn longest_idle_of(&self, of: impl Iterator<Item = Association>) -> Option<Association> {
        let idle = of.filter(|association| self.holds_nothing(*association));
        idle.filter_map(|a| Some((self.clients.get(&a)?.heard, a))).min().map(|(_, association)| association)
    }

    /// Whether an association has neither elements nor subscriptions.
    pub(crate) fn holds_nothing(&self, association: Association) -> bool {
        self.space.count_owned_by(association) == 0
            && self.newcomers.count(association) == 0
            && self.subscriptions.count(association) == 0
    }

    fn addresses(&mut self, now: Instant, association: Association, addresses: Vec<IpAddr>) {
        let Some(client) = self.clients.get_mut(&association) else { return };
        // The driver asks often; the elements need to be told only of changes.
        if client.addresses == addresses {
            return;
        }
        self.places.remove(association, client.port, &client.addresses);
        self.places.add(association, client.port, &addresses);
        client.addresses = addresses;
        let asap = client.asap_transport();
        for key in self.owned_in_order(association) {
            self.space.set_asap(key, asap.clone());
        }
        self.look_at_newcomers(now, association);
    }

    /// The elements of an association, in an order that does not depend on how they came.
    fn owned_in_order(&self, association: Association) -> Vec<ElementKey> {
        let mut owned: Vec<_> = self.space.owned_by(association).collect();
        owned.sort_unstable();
        owned
    }

    fn down(&mut self, now: Instant, association: Association) {
        let Some(client) = self.clients.remove(&association) else { return };
        self.places.remove(association, client.port, &client.addresses);
        self.over_tcp -= usize::from(client.tcp);
        self.subscriptions.remove_all(association);
        self.forget_newcomer(association);
        self.yielded.remove(&association);
        for key in self.owned_in_order(association) {
            // Whoever waits for it has it without that it seems gone for a moment.
            self.let_in(now, key);
            if self.space.get(key).is_some_and(|(_, element)| element.owner == Some(association))
                && !self.has_left(key)
                && !self.goes_back(now, key, association)
            {
                self.remove(key, Why::OwnerLost);
            }
        }
        self.earlier.ended(association);
        for key in self.displaced.ended(association) {
            self.timers.clear((Timer::Probe, key));
        }
    }

    pub(super) fn abort(&mut self, now: Instant, association: Association, reason: Reason) {
        self.down(now, association);
        self.counters.aborted += 1;
        self.outputs.push_back(Output::Abort { association, reason });
    }

    /// What is too long for a message is no message. Where it ends is known: what comes after it is understood.
    fn oversized(&mut self, now: Instant, association: Association) {
        let Some(client) = self.clients.get_mut(&association) else { return };
        client.heard = now;
        self.counters.messages += 1;
        self.counters.faults.oversized += 1;
        self.event(Event::Malformed { association, what: "more octets than a message can have".to_owned() });
    }

    fn message(&mut self, now: Instant, association: Association, ppid: u32, bytes: &[u8]) {
        if !self.hear(now, association) {
            return;
        }
        if ppid != wire::PPID {
            self.counters.faults.wrong_ppid += 1;
            return;
        }
        match wire::decode(bytes) {
            Ok(decoded) => self.decoded(now, association, decoded, None, bytes),
            Err(error) => self.malformed(association, &error),
        }
    }

    /// A message came from an association; whether that is still there.
    fn hear(&mut self, now: Instant, association: Association) -> bool {
        let Some(client) = self.clients.get_mut(&association) else { return false };
        client.heard = now;
        self.counters.messages += 1;
        true
    }

    /// `place` is where the pool that is asked for was found, if it was looked for before.
    fn decoded(
        &mut self,
        now: Instant,
        association: Association,
        decoded: Decoded,
        place: Option<Place>,
        bytes: &[u8],
    ) {
        self.dispatch(now, association, decoded.message, place);
        self.counters.faults.unknown_parameters += u64::from(!decoded.reports.is_empty());
        // A report never answers an Error; those that were met in one are dropped.
        if !decoded.reports.is_empty() && bytes.first() != Some(&wire::MessageType::ERROR.0) {
            self.error(association, decoded.reports);
        }
    }

    /// Takes a message, as [`Input::Message`] does, from where it was read.
    pub fn handle_message(&mut self, now: Instant, association: Association, ppid: u32, bytes: &[u8]) {
        self.message(now, association, ppid, bytes);
        self.register_freed(now);
        self.push(now);
    }

    /// Takes messages of pool users that waited together, as [`Input::Message`] takes each. What resolutions ask for is
    /// looked up for all of them at once ([`Handlespace::find_all`]).
    pub fn handle_questions(&mut self, now: Instant, questions: &[(Association, Vec<u8>)]) {
        let decoded: Vec<_> = questions.iter().map(|(_, bytes)| wire::decode(bytes)).collect();
        let asked = |decoded: &Result<Decoded, _>| match decoded {
            Ok(Decoded { message: Message::HandleResolution { handle, .. }, .. }) => Some(handle.clone()),
            _ => None,
        };
        let handles: Vec<_> = decoded.iter().map(asked).collect();
        let mut places = self.space.find_all(handles.iter().flatten());
        for (((association, bytes), decoded), asked) in questions.iter().zip(decoded).zip(&handles) {
            let place = asked.as_ref().and_then(|_| places.next(&self.space)).flatten();
            if self.hear(now, *association) {
                match decoded {
                    Ok(decoded) => self.decoded(now, *association, decoded, place, bytes),
                    Err(error) => self.malformed(*association, &error),
                }
            }
        }
        self.register_freed(now);
        self.push(now);
    }

    fn dispatch(&mut self, now: Instant, association: Association, message: Message, place: Option<Place>) {
        match message {
            Message::Registration { handle, element } => self.register(now, association, handle, element),
            Message::Deregistration { handle, id } => self.deregister(association, handle, id),
            Message::HandleResolution { subscribe, handle, items } => {
                let place = place.or_else(|| self.space.find(&handle));
                self.resolve(association, handle, place, items, subscribe);
            }
            Message::EndpointKeepAliveAck { handle, id } => self.answered(now, association, &handle, id),
            Message::EndpointUnreachable { handle, id } => self.unreachable(now, association, &handle, id),
            Message::Error(causes) => {
                self.counters.errors_received += 1;
                let names: Vec<_> = causes.iter().map(Cause::name).collect();
                let what = format!("reports an error: {}", names.join(", "));
                self.event(Event::Malformed { association, what });
            }
            other => {
                self.counters.unexpected += 1;
                let what = format!("sent a {}, which no registrar takes", other.type_());
                self.event(Event::Malformed { association, what });
            }
        }
    }

    fn malformed(&mut self, association: Association, error: &DecodeError) {
        self.counters.faults.unreadable(&error.problem);
        self.event(Event::Malformed { association, what: error.to_string() });
        if let Some(answer) = error.report() {
            self.counters.errors_sent += 1;
            self.send(association, &answer);
        }
    }

    fn garbled(&mut self, association: Association, bytes: &[u8]) {
        self.counters.faults.malformed += 1;
        let what = "its stream cannot be read on: a message shorter than its header".to_owned();
        self.event(Event::Malformed { association, what });
        if bytes.first() != Some(&wire::MessageType::ERROR.0) {
            self.error(association, vec![Cause::unrecognized_message(bytes)]);
        }
    }

    pub(super) fn error(&mut self, association: Association, causes: Vec<Cause>) {
        self.counters.errors_sent += 1;
        self.send(association, &Message::Error(causes));
    }

    /// Takes an element out, and tells it where it cannot know.
    pub(super) fn remove(&mut self, key: ElementKey, why: Why) {
        self.forget_reports(key);
        let Some(removed) = self.space.remove(key) else { return };
        for timer in Timer::ALL {
            self.timers.clear((timer, key));
        }
        self.displaced.remove(key);
        self.earlier.remove(key);
        self.newcomers.release(key);
        self.adoptions.forget(key);
        self.verifying.remove(&key);
        self.leaving.remove(&key);
        let element = Box::new(removed.element.clone());
        let deregistered = why == Why::Deregistered;
        self.change(Change::Removed { key, handle: removed.handle.clone(), element, deregistered });
        let (handle, id) = (removed.handle, removed.element.id);
        match why {
            Why::Deregistered => self.counters.deregistrations += 1,
            Why::Expired => self.counters.expired += 1,
            Why::OwnerLost => self.counters.owners_lost += 1,
            Why::NoAnswer => self.counters.keep_alives_missed += 1,
            Why::Reported => self.counters.reported += 1,
        }
        if matches!(why, Why::Expired | Why::NoAnswer | Why::Reported) {
            self.tell_gone(&handle, &removed.element);
        }
        self.has_changed(handle.clone());
        self.event(Event::Removed { handle, id, why });
    }

    /// Tells an element that it is not registered any more, if there is an association with it.
    pub(super) fn tell_gone(&mut self, handle: &PoolHandle, element: &Element) {
        let to = element.owner.or_else(|| self.places.at(&remote(&element.asap)));
        if let Some(to) = to {
            let message =
                Message::DeregistrationResponse { handle: handle.clone(), id: element.id, error: None };
            self.send(to, &message);
        }
    }

    pub(super) fn send(&mut self, association: Association, message: &Message) {
        message.encode_into(&mut self.written);
        self.send_bytes(association, Bytes::copy_from_slice(&self.written));
    }

    pub(super) fn send_bytes(&mut self, association: Association, bytes: Bytes) {
        // Nothing that came as a message is too long to go out as one; only that would give no octets.
        if !bytes.is_empty() && self.clients.contains_key(&association) {
            self.outputs.push_back(Output::Send { association, bytes });
        }
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
