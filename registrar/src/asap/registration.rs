//! Registration and deregistration (RFC 5352, 3.1 and 3.2), the registrar's side.

use asap_client::wire::{Cause, Message, Policy, PoolElement, PoolHandle, Transport, TransportUse, Writer};
use std::net::IpAddr;
use std::time::Instant;

use super::event::{Event, Why};
use super::former::Former;
use super::newcomer::Newcomer;
use super::service::{Client, Registrar};
use super::timers::Timer;
use crate::Association;
use crate::enrp::wire::UpdateAction;
use crate::enrp::{self, Change};
use crate::handlespace::{Element, ElementKey, Inserted, Life, Place};

impl Registrar {
    /// REGISTRATION.
    pub(super) fn register(
        &mut self,
        now: Instant,
        association: Association,
        handle: PoolHandle,
        asked: PoolElement,
    ) {
        let accepted = match self.accept(association, &handle, &asked) {
            Ok(accepted) => accepted,
            Err(cause) => return self.refuse(association, handle, asked.id, cause),
        };
        match self.to_be_asked(association, accepted.before) {
            Some((key, owner)) => {
                // Where it speaks ASAP is said by the association.
                let asked = PoolElement { asap: None, ..asked };
                self.ask_owner(now, key, owner, Newcomer { association, handle, asked });
            }
            None => self.confirm(now, association, handle, asked, accepted),
        }
    }

    /// Takes an element in that was accepted just now, and says so.
    pub(super) fn confirm(
        &mut self,
        now: Instant,
        association: Association,
        handle: PoolHandle,
        asked: PoolElement,
        accepted: Accepted,
    ) {
        let Some(client) = self.clients.get(&association) else { return };
        let id = asked.id;
        let element = Element {
            id,
            home: self.settings.server,
            life: asked.life,
            user: accepted.user.unwrap_or(asked.user),
            policy: asked.policy,
            asap: client.asap_transport(),
            owner: Some(association),
            expires: accepted.life.end(now),
            bad_reports: 0,
        };
        self.admit(now, association, accepted.pool, handle.clone(), element);
        self.counters.registrations += 1;
        let answer = Message::RegistrationResponse { rejected: false, handle, id, error: None };
        self.send(association, &answer);
    }

    /// Refuses a registration.
    pub(super) fn refuse(&mut self, association: Association, handle: PoolHandle, id: u32, cause: Cause) {
        self.counters.registrations_refused += 1;
        self.event(Event::Refused { handle: handle.clone(), id, association, cause: cause.code });
        let error = Some(vec![cause]);
        self.send(association, &Message::RegistrationResponse { rejected: true, handle, id, error });
    }

    /// Checks a registration; why it is refused.
    pub(super) fn accept(
        &self,
        association: Association,
        handle: &PoolHandle,
        asked: &PoolElement,
    ) -> Result<Accepted, Cause> {
        let client = self.clients.get(&association).ok_or_else(|| Cause::bare(Cause::UNSPECIFIED))?;
        if client.tcp {
            return Err(Cause::bare(Cause::SECURITY));
        }
        let limits = &self.settings.limits;
        if handle.as_bytes().len() > limits.pool_handle_octets {
            return Err(Cause::bare(Cause::LACK_OF_RESOURCES));
        }
        let place = self.space.find(handle);
        let pool = place.and_then(|place| self.space.pool_at(place));
        if let Some(pool) = pool {
            if asked.policy.code() != pool.policy().code() {
                return Err(with_data(Cause::INCONSISTENT_POLICY, tlv(|w| pool.policy().emit(w))));
            }
            if let Some(transport) = pool.transport() {
                if asked.user.type_() != transport.type_() {
                    return Err(with_data(Cause::INCONSISTENT_TRANSPORT, tlv(|w| transport.emit(w))));
                }
                if asked.user.use_() != transport.use_() {
                    return Err(Cause::bare(Cause::INCONSISTENT_CONTROL));
                }
            }
        }
        if matches!(asked.policy, Policy::Unknown { .. }) {
            return Err(Cause::invalid_values(&tlv(|w| asked.policy.emit(w))));
        }
        let Some(life) = Life::from_wire(asked.life) else {
            return Err(Cause::invalid_values(&tlv(|w| asked.emit(w))));
        };
        if asked.user.port() == Some(0) {
            return Err(Cause::invalid_values(&tlv(|w| asked.user.emit(w))));
        }
        let user = match client.confirm(&asked.user, self.settings.allow_loopback) {
            Confirmed::All => None,
            Confirmed::Only(user) => Some(user),
            Confirmed::Nothing => return Err(Cause::invalid_values(&tlv(|w| asked.user.emit(w)))),
        };
        let kept = user.as_ref().unwrap_or(&asked.user);
        if kept.length() > limits.element_octets {
            return Err(Cause::bare(Cause::LACK_OF_RESOURCES));
        }
        let before = pool.and_then(|pool| pool.element(asked.id));
        let known: Option<Known> =
            place.zip(before).map(|(pool, before)| (ElementKey { pool, id: asked.id }, before.owner));
        let has_it = known
            .is_some_and(|(key, owner)| owner == Some(association) || self.newcomers.is(key, association));
        let has = self.space.count_owned_by(association) + self.newcomers.count(association);
        if (!has_it && has >= limits.elements_per_association)
            || (before.is_none_or(|before| before.home != self.settings.server)
                && self.space.count_of_home(self.settings.server) >= limits.elements)
            || (before.is_none() && !self.space.has_room_for_new(pool, handle, &limits.space()))
        {
            return Err(Cause::bare(Cause::LACK_OF_RESOURCES));
        }
        let long = handle.as_bytes().len() + limits.element_octets > ALWAYS_FITS;
        if long && !fits_into_an_update(handle, asked, kept, client.asap_transport()) {
            return Err(Cause::bare(Cause::LACK_OF_RESOURCES));
        }
        Ok(Accepted { pool: place, before: known, life, user })
    }

    /// Whether two associations have no address in common.
    pub(super) fn are_apart(&self, one: Association, other: Association) -> bool {
        match (self.clients.get(&one), self.clients.get(&other)) {
            (Some(one), Some(other)) => !one.addresses.iter().any(|a| other.addresses.contains(a)),
            _ => true,
        }
    }

    /// `pool` is where the element's pool is, if it is there.
    fn admit(
        &mut self,
        now: Instant,
        owner: Association,
        pool: Option<Place>,
        handle: PoolHandle,
        element: Element,
    ) {
        let id = element.id;
        let (key, inserted) = self.space.insert_at(pool, handle.clone(), element);
        self.plan_keep_alive(now, key);
        self.change(Change::Updated(key));
        let (before, changed) = match inserted {
            Inserted::New => {
                self.event(Event::Registered { handle: handle.clone(), id, owner });
                self.has_changed(handle);
                return;
            }
            Inserted::Changed(before) => (before, true),
            Inserted::Refreshed(before) => (before, false),
        };
        self.adoptions.forget(key);
        self.forget_reports(key);
        self.timers.clear((Timer::Adopt, key));
        let from = before.owner.filter(|older| *older != owner);
        match from {
            Some(older) => {
                self.displace(now, key, Former { association: older, element: before }, owner);
                // Whoever waits, waits for the new owner's answer, and for as long as anybody.
                self.timers.clear((Timer::Newcomer, key));
                self.newcomers.release(key);
            }
            None => self.owner_lives(key, owner),
        }
        if changed || from.is_some() {
            self.event(Event::Reregistered { handle: handle.clone(), id, owner, from });
        }
        if changed {
            self.has_changed(handle);
        }
    }

    /// DEREGISTRATION. An unknown element is answered with success.
    pub(super) fn deregister(&mut self, association: Association, handle: PoolHandle, id: u32) {
        let mut error = None;
        if let Some(key) = self.space.key(&handle, id) {
            if self.newcomers.is(key, association) {
                self.take_newcomer(key);
            }
            let may = self.space.get(key).is_some_and(|(_, element)| {
                element.owner == Some(association) || self.shares_address(association, element)
            });
            if may {
                self.remove(key, Why::Deregistered);
            } else {
                self.counters.deregistrations_refused += 1;
                self.event(Event::NotDeregistered { handle: handle.clone(), id, association });
                error = Some(vec![Cause::bare(Cause::SECURITY)]);
            }
        }
        self.send(association, &Message::DeregistrationResponse { handle, id, error });
    }

    fn shares_address(&self, association: Association, element: &Element) -> bool {
        let Some(client) = self.clients.get(&association).filter(|client| !client.tcp) else { return false };
        element.asap.addresses().iter().any(|address| client.addresses.contains(address))
    }
}

/// An element that is there, and the association that owns it.
pub(super) type Known = (ElementKey, Option<Association>);

/// What was found out about a registration that is not to be refused.
pub(super) struct Accepted {
    /// Where the pool is, if it is there.
    pool: Option<Place>,
    /// The element, if it is there.
    pub(super) before: Option<Known>,
    life: Life,
    /// What is kept instead of the user transport that it asked for.
    user: Option<Transport>,
}

/// What is left of a transport when only that is kept of it which the association has.
enum Confirmed {
    /// All, as it is.
    All,
    /// This.
    Only(Transport),
    Nothing,
}

/// The most addresses that are kept of where an element speaks ASAP.
const ADDRESSES: usize = 64;

impl Client {
    /// Where an element that registers over this association is heard from.
    pub(super) fn asap_transport(&self) -> Transport {
        let addresses = self.addresses.get(..ADDRESSES).unwrap_or(&self.addresses);
        Transport::Sctp { port: self.port, use_: TransportUse::DataOnly, addresses: addresses.into() }
    }

    /// What of a transport is the association's: those of its addresses that the association has and that others can
    /// use. Loopback addresses are kept if `allow_loopback` is set or the association came from one
    /// and there is no other; link-local ones say nothing without a link.
    fn confirm(&self, transport: &Transport, allow_loopback: bool) -> Confirmed {
        let plain = |address: &IpAddr| {
            self.addresses.contains(address) && !is_link_local(address) && !address.is_loopback()
        };
        match transport {
            Transport::Opaque(_) => return Confirmed::All,
            // As nearly all say it. Those of the association are canonical.
            _ if matches!(transport.addresses(), [one] if plain(one)) => return Confirmed::All,
            _ => {}
        }
        let mut own: Vec<IpAddr> = Vec::with_capacity(1);
        for address in transport.addresses().iter().map(IpAddr::to_canonical) {
            if self.addresses.contains(&address) && !is_link_local(&address) && !own.contains(&address) {
                own.push(address);
            }
        }
        let elsewhere = own.iter().any(|address| !address.is_loopback());
        own.retain(|a| !a.is_loopback() || allow_loopback || (self.from.is_loopback() && !elsewhere));
        match transport {
            _ if own.is_empty() => Confirmed::Nothing,
            Transport::Sctp { port, use_, .. } => {
                Confirmed::Only(Transport::Sctp { port: *port, use_: *use_, addresses: own.into() })
            }
            _ => Confirmed::All,
        }
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// A handle and a transport that together are no longer than this fit into every message.
const ALWAYS_FITS: usize = 63_488;

/// Whether peers can be told of the element: with its pool's handle and all that is known of it, in one message.
fn fits_into_an_update(handle: &PoolHandle, asked: &PoolElement, user: &Transport, asap: Transport) -> bool {
    let element = PoolElement { user: user.clone(), asap: Some(asap), ..asked.clone() };
    let update = enrp::wire::Body::HandleUpdate {
        takeover_suggested: false,
        action: UpdateAction::Add,
        handle: handle.clone(),
        element: Box::new(element),
    };
    !enrp::wire::Message { sender: 0, receiver: 0, body: update }.encode().is_empty()
}

fn with_data(code: u16, data: Vec<u8>) -> Cause {
    Cause { code, data }
}

/// The octets of one parameter, without the padding behind it.
fn tlv(emit: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    emit(&mut writer);
    let mut bytes = writer.finish().unwrap_or_default();
    if let Some([high, low]) = bytes.get(2..4) {
        bytes.truncate(u16::from_be_bytes([*high, *low]).into());
    }
    bytes
}
