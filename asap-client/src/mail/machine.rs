//! The machine of a mailbox.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::link::{Letter, Link};
use super::pool::{Pool, places};
use super::{Config, Event, Failure, Input, Options, Origin, Output, Refused, To};
use crate::pool_user::Answer;
use crate::random::SplitMix64;
use crate::wire::{Cause, PPID, PoolElement, PoolHandle};

/// Between two questions for a pool that messages wait for.
const AGAIN: Duration = Duration::from_millis(500);

/// Sends and receives messages; see the [module](super).
#[derive(Debug)]
pub struct Mail {
    config: Config,
    random: SplitMix64,
    pools: BTreeMap<PoolHandle, Pool>,
    links: BTreeMap<u64, Link>,
    /// Which association leads to an address.
    places: BTreeMap<SocketAddr, u64>,
    /// Which element is at an address, by the pools in the cache.
    names: BTreeMap<SocketAddr, (PoolHandle, u32)>,
    octets: usize,
    /// A message was refused for lack of room.
    wanted: bool,
    number: u64,
    link: u64,
    copy: u32,
    outputs: VecDeque<Output>,
}

impl Mail {
    /// Associations that others have set up are numbered from here on.
    pub const VISITORS: u64 = 1 << 32;

    /// One that knows nobody as yet.
    pub fn new(config: Config) -> Self {
        Self {
            random: SplitMix64::new(config.seed),
            config,
            pools: BTreeMap::new(),
            links: BTreeMap::new(),
            places: BTreeMap::new(),
            names: BTreeMap::new(),
            octets: 0,
            wanted: false,
            number: 0,
            link: 0,
            copy: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a message (data.send.request, RFC 5352 §6.5): its number, by which [`Event::Failed`] names it.
    ///
    /// # Errors
    /// It cannot be taken; with [`Refused::Full`], not now.
    pub fn send(&mut self, now: Instant, to: To, octets: Bytes, options: Options) -> Result<u64, Refused> {
        if options.ppid == PPID {
            return Err(Refused::Reserved);
        }
        if matches!(to, To::Address(_)) && (options.to_last || options.to_all || options.to_self) {
            return Err(Refused::NoPool);
        }
        let until = now + self.config.patience;
        let letter = Letter { number: self.number + 1, to, octets, options, since: now, until };
        if self.octets > 0 && self.octets + letter.cost() > self.config.room {
            self.wanted = true;
            return Err(Refused::Full);
        }
        self.number += 1;
        self.octets += letter.cost();
        match &letter.to {
            To::Address(address) => {
                let link = self.link_to(now, &[*address], None);
                self.post(now, link, letter);
            }
            To::Pool(handle) | To::Element(handle, _) => {
                let handle = handle.clone();
                self.refresh(now, &handle);
                self.deliver(now, &handle, letter);
            }
        }
        Ok(self.number)
    }

    /// Has a pool in the cache before it is needed (cache.populate.request, §6.3).
    pub fn populate(&mut self, now: Instant, handle: &PoolHandle) {
        self.pool(handle);
        self.refresh(now, handle);
    }

    /// Forgets what is cached of a pool (cache.purge.request, §6.4). What waits for it goes on waiting.
    pub fn purge(&mut self, handle: &PoolHandle) {
        self.names.retain(|_, (pool, _)| pool != handle);
        let Some(pool) = self.pools.get_mut(handle) else { return };
        if pool.waiting.is_empty() && !pool.resolving {
            self.pools.remove(handle);
        } else {
            pool.answered = None;
        }
    }

    /// Who is in a pool, as far as that is cached and fresh (translation.request, §6.9.1, asks for what is not).
    pub fn cached(&self, now: Instant, handle: &PoolHandle) -> Option<&[PoolElement]> {
        let pool = self.pools.get(handle)?;
        self.is_fresh(now, pool).then(|| pool.candidates.elements())
    }

    /// Whether nothing is under way: all is acknowledged, or has come back.
    pub fn is_settled(&self) -> bool {
        self.octets == 0
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Pool(handle, answer) => self.answered(now, &handle, &answer),
            Input::Unanswered(handle) => self.unanswered(now, &handle, Failure::Unresolved),
            Input::Up(link) => self.up(now, link),
            Input::Visitor(link, remote) => self.visitor(now, link, remote),
            Input::Dry(link) => self.dry(link),
            Input::Down { link, undelivered, graceful } => self.down(now, link, &undelivered, graceful),
            Input::Data { link, ppid, octets } => self.data(now, link, ppid, octets),
        }
    }

    /// Does what is due. To be called when [`Self::poll_timeout`] has passed; harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late: Vec<u64> =
            self.links.iter().filter(|(_, link)| !link.up && link.by <= now).map(|(id, _)| *id).collect();
        for link in late {
            self.outputs.push_back(Output::Abort(link));
            // None of them was given to it.
            self.down(now, link, &[], false);
        }
        let idle = self.config.idle;
        let unused = |link: &Link| link.ours && link.up && link.letters.is_empty() && link.used + idle <= now;
        let old: Vec<u64> = self.links.iter().filter(|(_, link)| unused(link)).map(|(id, _)| *id).collect();
        for link in old {
            self.forget(link);
            self.outputs.push_back(Output::Shutdown(link));
        }
        let due = |pool: &Pool| pool.again.is_some_and(|at| at <= now);
        let again: Vec<PoolHandle> =
            self.pools.iter().filter(|(_, pool)| due(pool)).map(|(handle, _)| handle.clone()).collect();
        for handle in again {
            self.resolve(&handle, Duration::ZERO);
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let links = self.links.values().filter_map(|link| match link.up {
            false => Some(link.by),
            true => (link.ours && link.letters.is_empty()).then_some(link.used + self.config.idle),
        });
        links.chain(self.pools.values().filter_map(|pool| pool.again)).min()
    }

    /// What to do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn is_fresh(&self, now: Instant, pool: &Pool) -> bool {
        pool.answered.is_some_and(|at| at + self.config.fresh > now)
    }

    fn pool(&mut self, handle: &PoolHandle) -> &mut Pool {
        let random = &mut self.random;
        self.pools.entry(handle.clone()).or_insert_with(|| Pool::new(random.draw()))
    }

    /// Asks for a pool of which nothing is known that is new enough. Meanwhile the old will do.
    fn refresh(&mut self, now: Instant, handle: &PoolHandle) {
        if self.pools.get(handle).is_none_or(|pool| !self.is_fresh(now, pool)) {
            self.resolve(handle, self.config.fresh);
        }
    }

    fn resolve(&mut self, handle: &PoolHandle, fresh: Duration) {
        let pool = self.pool(handle);
        pool.again = None;
        if !std::mem::replace(&mut pool.resolving, true) {
            self.outputs.push_back(Output::Resolve(handle.clone(), fresh));
        }
    }

    fn answered(&mut self, now: Instant, handle: &PoolHandle, answer: &Answer) {
        let Some(pool) = self.pools.get_mut(handle) else { return };
        pool.resolving = false;
        if let Some(causes) = &answer.error {
            let unknown = causes.iter().any(|cause| cause.code == Cause::UNKNOWN_POOL_HANDLE);
            let why = if unknown { Failure::UnknownPool } else { Failure::Unresolved };
            return self.unanswered(now, handle, why);
        }
        pool.answered = Some(now);
        pool.candidates.set(answer);
        // The registrar was told of those that could not be reached, and lists them again: they may be back.
        pool.candidates.forgive();
        self.names.retain(|_, (pool, _)| pool != handle);
        for element in &answer.elements {
            for place in places(element) {
                self.names.insert(place, (handle.clone(), element.id));
            }
        }
        let waiting = self.pools.get_mut(handle).map(|pool| std::mem::take(&mut pool.waiting));
        for letter in waiting.unwrap_or_default() {
            self.deliver(now, handle, letter);
        }
    }

    /// There is nobody to send to, for now.
    fn unanswered(&mut self, now: Instant, handle: &PoolHandle, why: Failure) {
        let Some(pool) = self.pools.get_mut(handle) else { return };
        pool.resolving = false;
        let (waits, over): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut pool.waiting).into_iter().partition(|letter| letter.until > now);
        if !waits.is_empty() {
            pool.again = Some(now + AGAIN);
        }
        pool.waiting = waits;
        for letter in over {
            self.fail(letter, why);
        }
    }

    /// Gives a message to an element of its pool, or has it wait.
    fn deliver(&mut self, now: Instant, handle: &PoolHandle, letter: Letter) {
        let pool = self.pool(handle);
        if pool.answered.is_none() {
            return pool.waiting.push_back(letter);
        }
        if letter.options.to_all {
            return self.deliver_copies(now, handle, letter);
        }
        let asked = match &letter.to {
            To::Element(_, id) => Some(*id),
            _ => pool.last.filter(|_| letter.options.to_last),
        };
        let strict = matches!(letter.to, To::Element(..)) && !letter.options.failover;
        let asked = asked
            .and_then(|id| pool.candidates.get(id))
            .filter(|it| strict || pool.candidates.is_good(it.id));
        let chosen = match asked.cloned() {
            None if strict => None,
            None => pool.candidates.choose(),
            asked => asked,
        };
        match chosen {
            Some(element) => {
                pool.last = Some(element.id);
                self.give(now, handle, &element, letter);
            }
            None => self.nobody(now, handle, letter),
        }
    }

    /// There is no element for a message. If nobody was asked since it came, the registrar may know another one.
    fn nobody(&mut self, now: Instant, handle: &PoolHandle, letter: Letter) {
        let pool = self.pool(handle);
        let old = pool.answered.is_none_or(|at| at < letter.since);
        if old || letter.until > now {
            pool.waiting.push_back(letter);
            if old {
                self.resolve(handle, Duration::ZERO);
            } else {
                pool.again.get_or_insert(now + AGAIN);
            }
        } else {
            self.fail(letter, Failure::NoElement);
        }
    }

    /// A copy to each.
    fn deliver_copies(&mut self, now: Instant, handle: &PoolHandle, letter: Letter) {
        let own = self.config.own.as_ref().filter(|(pool, _)| pool == handle && !letter.options.to_self);
        let own = own.map(|(_, id)| *id);
        let pool = self.pool(handle);
        let others = pool.candidates.elements().iter().filter(|element| Some(element.id) != own);
        let others: Vec<PoolElement> = others.cloned().collect();
        if others.is_empty() {
            return self.nobody(now, handle, letter);
        }
        self.octets -= letter.cost();
        for element in others {
            let to = To::Element(handle.clone(), element.id);
            // Each goes to this element or to none: another one has a copy of its own.
            let options = Options { failover: false, to_all: false, ..letter.options };
            let copy = Letter { to, options, ..letter.clone() };
            self.octets += copy.cost();
            self.give(now, handle, &element, copy);
        }
    }

    fn give(&mut self, now: Instant, handle: &PoolHandle, element: &PoolElement, letter: Letter) {
        let link = self.link_to(now, &places(element), Some((handle.clone(), element.id)));
        self.post(now, link, letter);
    }

    /// The association with one of these addresses, which is set up if there is none.
    fn link_to(&mut self, now: Instant, remote: &[SocketAddr], element: Option<(PoolHandle, u32)>) -> u64 {
        if let Some(link) = remote.iter().find_map(|place| self.places.get(place)).copied() {
            if let Some(known) = self.links.get_mut(&link) {
                known.element = element.or(known.element.take());
            }
            return link;
        }
        self.link += 1;
        let link = self.link;
        let by = now + self.config.reach;
        self.enter(
            link,
            Link {
                remote: remote.to_vec(),
                up: false,
                ours: true,
                by,
                used: now,
                element,
                letters: BTreeMap::new(),
            },
        );
        self.outputs.push_back(Output::Open { link, remote: remote.to_vec() });
        link
    }

    fn enter(&mut self, id: u64, link: Link) {
        for place in &link.remote {
            self.places.insert(*place, id);
        }
        self.links.insert(id, link);
    }

    /// Sends a message over an association, once that is up.
    fn post(&mut self, now: Instant, id: u64, letter: Letter) {
        let Some(link) = self.links.get_mut(&id) else { return self.fail(letter, Failure::Lost) };
        // Numbers come again after 2^32; one that is under way for so long is not met.
        self.copy = self.copy.wrapping_add(1);
        link.used = now;
        if link.up {
            self.outputs.push_back(send(id, self.copy, &letter));
        }
        link.letters.insert(self.copy, letter);
    }

    fn up(&mut self, now: Instant, id: u64) {
        let Some(link) = self.links.get_mut(&id) else { return self.outputs.push_back(Output::Abort(id)) };
        (link.up, link.used) = (true, now);
        self.outputs.extend(link.letters.iter().map(|(copy, letter)| send(id, *copy, letter)));
        if let Some((handle, element)) = &link.element
            && let Some(pool) = self.pools.get_mut(handle)
        {
            pool.candidates.reached(*element);
        }
    }

    fn visitor(&mut self, now: Instant, id: u64, remote: Vec<SocketAddr>) {
        let visitors = self.links.range(Self::VISITORS..).count();
        if visitors >= self.config.visitors || remote.is_empty() {
            return self.outputs.push_back(Output::Abort(id));
        }
        self.enter(
            id,
            Link {
                remote,
                up: true,
                ours: false,
                by: now,
                used: now,
                element: None,
                letters: BTreeMap::new(),
            },
        );
    }

    fn dry(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.up) else { return };
        let done: usize = std::mem::take(&mut link.letters).values().map(Letter::cost).sum();
        self.freed(done);
    }

    fn freed(&mut self, octets: usize) {
        self.octets -= octets;
        if octets > 0 && std::mem::take(&mut self.wanted) {
            self.outputs.push_back(Output::Event(Event::Room));
        }
    }

    fn forget(&mut self, id: u64) -> Option<Link> {
        let link = self.links.remove(&id)?;
        for place in &link.remote {
            if self.places.get(place) == Some(&id) {
                self.places.remove(place);
            }
        }
        Some(link)
    }

    fn down(&mut self, now: Instant, id: u64, undelivered: &[u32], graceful: bool) {
        let Some(mut link) = self.forget(id) else { return };
        // What was never given to the association was not delivered either.
        let lost: Vec<Letter> = match link.up {
            true => undelivered.iter().filter_map(|copy| link.letters.remove(copy)).collect(),
            false => std::mem::take(&mut link.letters).into_values().collect(),
        };
        self.freed(link.letters.values().map(Letter::cost).sum());
        if let Some((handle, element)) = &link.element
            && let Some(pool) = self.pools.get_mut(handle)
        {
            let known = pool.candidates.get(*element).is_some();
            // Until the registrar lists it again. Who is reached and then lost again and again is not tried for ever.
            pool.candidates.fail(*element);
            if known && !graceful {
                self.outputs.push_back(Output::Unreachable(handle.clone(), *element));
            }
        }
        for letter in lost {
            let handle = match &letter.to {
                To::Pool(handle) | To::Element(handle, _) if letter.options.failover => handle.clone(),
                _ => {
                    self.fail(letter, Failure::Lost);
                    continue;
                }
            };
            self.deliver(now, &handle, letter);
        }
    }

    fn fail(&mut self, letter: Letter, why: Failure) {
        let cost = letter.cost();
        let Letter { number, to, octets, .. } = letter;
        self.outputs.push_back(Output::Event(Event::Failed { number, to, octets, why }));
        self.freed(cost);
    }

    fn data(&mut self, now: Instant, id: u64, ppid: u32, octets: Bytes) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.used = now;
        // A control channel is for sessions: here nobody has asked for one.
        let Some(address) = link.remote.first().copied().filter(|_| ppid != PPID) else { return };
        let named = link.remote.iter().find_map(|place| self.names.get(place));
        let element = named.or(link.element.as_ref()).cloned();
        let from = Origin { element, address };
        self.outputs.push_back(Output::Event(Event::Received { from, ppid, octets }));
    }
}

fn send(link: u64, copy: u32, letter: &Letter) -> Output {
    let Options { ppid, unordered, .. } = letter.options;
    Output::Send { link, copy, ppid, unordered, octets: letter.octets.clone() }
}
