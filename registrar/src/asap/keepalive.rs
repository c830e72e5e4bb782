//! Whether elements are still there: keep-alives (RFC 5352, 3.4), reports (3.5), displaced owners.

use asap_client::random::SplitMix64;
use asap_client::wire::{Message, PoolHandle};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::event::{Event, Reason, Why};
use super::former::Former;
use super::service::{Client, Registrar};
use super::timers::{Heard, Timer};
use crate::Association;
use crate::enrp::Change;
use crate::handlespace::{Element, ElementKey, Inserted, Life};

/// The first of all addresses in their order.
const LOWEST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Of keep-alives that come no more often, several are sent together.
const HAS_TIME: Duration = Duration::from_secs(1);

/// `mean` give or take up to half of it.
fn around(mean: Duration, random: &mut SplitMix64) -> Duration {
    let part = u32::try_from(random.draw() >> 48).unwrap_or(0); // 0 to 65535
    mean / 2 + (mean / 65_536).saturating_mul(part)
}

impl Registrar {
    /// Plans the next periodic keep-alive to an element that was just heard from.
    pub(super) fn plan_keep_alive(&mut self, now: Instant, key: ElementKey) {
        self.timers.clear((Timer::Answer, key));
        if let Some(mean) = self.settings.keep_alive_interval {
            let elements = u32::try_from(self.space.count_of_home(self.settings.server)).unwrap_or(u32::MAX);
            let all = Duration::from_secs(1) * elements / self.settings.keep_alives_per_second.max(1);
            let mean = mean.max(all);
            let at = now + around(mean, &mut self.random);
            if mean >= HAS_TIME {
                self.timers.ask_roughly(key, at);
            } else {
                self.timers.set((Timer::KeepAlive, key), at);
            }
        }
    }

    /// Plans all periodic keep-alives anew; answers that are waited for stay so.
    pub(super) fn plan_keep_alives_anew(&mut self, now: Instant) {
        let own: Vec<_> = self.space.of_home(self.settings.server).collect();
        for key in own {
            let here = self.space.get(key).is_some_and(|(_, element)| element.owner.is_some());
            if here && self.timers.get((Timer::Answer, key)).is_none() {
                self.timers.clear((Timer::KeepAlive, key));
                self.plan_keep_alive(now, key);
            }
        }
    }

    /// Does what is due, but for answers that may have come and not been taken yet.
    pub(super) fn timers(&mut self, now: Instant, heard: &Heard<'_>) {
        let mut unheard = Vec::new();
        while let Some((due, (timer, key))) = self.timers.pop(now, heard.together) {
            if self.awaited(timer, key).is_some_and(|association| heard.from(association) < due) {
                unheard.push((due, (timer, key)));
            } else {
                self.timer(now, due, timer, key);
            }
        }
        for (due, (timer, key)) in unheard {
            if self.awaited(timer, key).is_some() && self.timers.get((timer, key)).is_none() {
                self.timers.set((timer, key), due);
            }
        }
    }

    /// From whom an answer is due.
    fn awaited(&self, timer: Timer, key: ElementKey) -> Option<Association> {
        match timer {
            Timer::KeepAlive => None,
            Timer::Answer | Timer::Newcomer | Timer::Verify => self.space.get(key)?.1.owner,
            Timer::Probe => self.displaced.of(key),
            Timer::Adopt => self.adoptions.told(key),
        }
    }

    /// What was due at `due` is done.
    fn timer(&mut self, now: Instant, due: Instant, timer: Timer, key: ElementKey) {
        match timer {
            Timer::KeepAlive => self.ask(now, key),
            // Whoever was held up itself, as a paused machine is, cannot say that others were silent.
            Timer::Answer if now - due > self.settings.keep_alive_timeout / 2 => self.ask(now, key),
            Timer::Answer => self.remove(key, Why::NoAnswer),
            Timer::Probe => {
                let Some(Former { association: older, .. }) = self.displaced.remove(key) else { return };
                if self.owns_nothing(older) {
                    self.abort(now, older, Reason::Displaced);
                }
            }
            Timer::Newcomer => self.let_in(now, key),
            Timer::Adopt => self.adoption_late(now, key),
            Timer::Verify => {
                if self.verifying.remove(&key) {
                    self.change(Change::Denied(key));
                }
            }
        }
    }

    fn owns_nothing(&self, association: Association) -> bool {
        self.clients.contains_key(&association) && self.space.count_owned_by(association) == 0
    }

    /// Sends a keep-alive to an element and waits for the answer; while one is waited for, nothing more is sent, and it is
    /// not put off.
    fn ask(&mut self, now: Instant, key: ElementKey) {
        let Some((pool, element)) = self.space.get(key) else { return };
        // One that is registered elsewhere is watched there.
        let Some(owner) = element.owner else { return };
        let (handle, id) = (pool.handle().clone(), element.id);
        self.timers.clear((Timer::KeepAlive, key));
        if self.timers.get((Timer::Answer, key)).is_none() {
            self.timers.set((Timer::Answer, key), now + self.settings.keep_alive_timeout);
            self.send_keep_alive(owner, handle, id, false);
        }
    }

    /// `home` is the H bit: we are the element's home now.
    pub(super) fn send_keep_alive(
        &mut self,
        association: Association,
        handle: PoolHandle,
        id: u32,
        home: bool,
    ) {
        self.counters.keep_alives += 1;
        let server = self.settings.server;
        self.send(association, &Message::EndpointKeepAlive { home, server, handle, id: Some(id) });
    }

    /// The element moved from one association to another. If those have no address in common, the older one was
    /// asked, and did not answer in time: it may still do so before it is taken for dead. Else it is the same host's.
    pub(super) fn displace(&mut self, now: Instant, key: ElementKey, former: Former, owner: Association) {
        self.displaced.remove(key);
        self.earlier.remove(key);
        self.timers.clear((Timer::Probe, key));
        if !self.clients.contains_key(&former.association) {
            return;
        }
        if self.are_apart(former.association, owner) {
            self.displaced.insert(key, former);
            self.timers.set((Timer::Probe, key), now + self.settings.keep_alive_timeout);
        } else {
            self.earlier.insert(key, former);
        }
    }

    /// The association of an element has ended: if the one that it was registered over before is still there, it is what
    /// it was registered as over that, and asked there. What comes over two associations may come in any order; the
    /// registration that came last may be the one that was sent first, and then its host takes the element for registered
    /// over the other, and as it said there.
    pub(super) fn goes_back(&mut self, now: Instant, key: ElementKey, ended: Association) -> bool {
        let Some(Former { association: earlier, element }) = self.earlier.remove(key) else { return false };
        let Some(asap) = self.clients.get(&earlier).map(Client::asap_transport) else { return false };
        let Some((pool, _)) = self.space.get(key) else { return false };
        let (handle, id) = (pool.handle().clone(), element.id);
        let has = self.space.count_owned_by(earlier) + self.newcomers.count(earlier);
        if has >= self.settings.limits.elements_per_association {
            // If it registers again it is told why it cannot be.
            self.send(earlier, &Message::DeregistrationResponse { handle, id, error: None });
            return false;
        }
        let (home, owner) = (self.settings.server, Some(earlier));
        let expires = Life::from_wire(element.life).and_then(|life| life.end(now));
        let element = Element { home, owner, asap, expires, ..*element };
        if let (_, Inserted::Changed(_)) = self.space.insert(handle.clone(), element) {
            self.has_changed(handle.clone());
        }
        // Reports since then were of where it no longer is; those before, its registration there has answered.
        self.forget_reports(key);
        self.timers.clear((Timer::Answer, key));
        self.ask(now, key);
        self.change(Change::Updated(key));
        self.event(Event::Reregistered { handle, id, owner: earlier, from: Some(ended) });
        true
    }

    /// ENDPOINT_KEEP_ALIVE_ACK.
    pub(super) fn answered(&mut self, now: Instant, association: Association, handle: &PoolHandle, id: u32) {
        let Some(key) = self.space.key(handle, id) else {
            if !self.comes_back(now, association, handle, id) {
                self.counters.unexpected += 1;
            }
            return;
        };
        if self.adopted(now, association, key) {
            return;
        }
        let owner = self.space.get(key).and_then(|(_, element)| element.owner);
        if owner == Some(association) {
            self.counters.keep_alives_answered += 1;
            self.owner_lives(key, association);
            if self.verifying.remove(&key) {
                self.timers.clear((Timer::Verify, key));
                self.change(Change::Confirmed(key));
            }
            self.forget_reports(key);
            self.space.set_answered(key, now);
            self.plan_keep_alive(now, key);
        } else if let Some(owner) = owner
            && self.displaced.of(key) == Some(association)
        {
            // Too late, but it lives; if the other one ends, it is asked again.
            if let Some(former) = self.displaced.remove(key) {
                self.earlier.insert(key, former);
            }
            self.timers.clear((Timer::Probe, key));
            self.counters.contested += 1;
            self.event(Event::Contested { handle: handle.clone(), id, owner, other: association });
        } else {
            self.counters.unexpected += 1;
        }
    }

    /// ENDPOINT_UNREACHABLE: asks the element at once, and counts those who say so until it answers (MAX-BAD-PE-REPORT):
    /// each host once, or a single one could have any element removed before it can have answered. An element that is
    /// registered elsewhere is for its home registrar to ask and to remove.
    pub(super) fn unreachable(
        &mut self,
        now: Instant,
        association: Association,
        handle: &PoolHandle,
        id: u32,
    ) {
        self.counters.unreachable_reports += 1;
        let Some(from) = self.clients.get(&association).map(|client| client.from) else { return };
        let Some(key) = self.space.key(handle, id) else { return };
        let Some((_, element)) = self.space.get(key) else { return };
        if element.owner.is_none() {
            return;
        }
        let reports = element.bad_reports.saturating_add(1);
        if self.reporters.insert((key, from)) {
            if reports > self.settings.max_bad_pe_report {
                return self.remove(key, Why::Reported);
            }
            self.space.set_bad_reports(key, reports);
        }
        self.ask(now, key);
    }

    /// The element was heard from, or is gone: who reported it counts no more.
    pub(super) fn forget_reports(&mut self, key: ElementKey) {
        self.space.set_bad_reports(key, 0);
        while let Some(next) =
            self.reporters.range((key, LOWEST)..).next().copied().filter(|(of, _)| *of == key)
        {
            self.reporters.remove(&next);
        }
    }
}
