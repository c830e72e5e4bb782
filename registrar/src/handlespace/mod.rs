//! The handlespace: which pools there are and which elements they have.
//!
//! Pure data. Every way that a registrar asks for an element has its order: by pool handle and identifier,
//! by the association that owns it, by its home registrar, by the end of its registration, and by its pool's selection
//! policy. Nothing costs more than the logarithm of the size for each element that it returns.

mod checksum;
mod element;
mod expiry;
mod index;
mod pool;
mod room;
mod slots;

use asap_client::wire::{PoolHandle, Transport};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

pub use checksum::ChecksumSum;
pub use element::{Element, Life};
pub use expiry::Deadlines;
use index::{Homes, Owners};
pub use pool::Pool;
use pool::{Kept, Replaced};
pub use room::Bounds;
use slots::{Place, Slots};

use crate::Association;

/// Names one element of one pool, for as long as the pool lives. Small, so that orders can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementKey {
    /// Where its pool is.
    pool: Place,
    /// The element's identifier.
    id: u32,
}

impl ElementKey {
    pub(crate) const MIN: Self = Self { pool: Place { slot: 0, generation: 0 }, id: 0 };
    pub(crate) const MAX: Self = Self { pool: Place { slot: u32::MAX, generation: u32::MAX }, id: u32::MAX };
}

/// What an insertion did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The element is new to the pool (and perhaps the pool is new).
    New,
    /// It was there and looks different to pool users now; this is what it was.
    Changed(Box<Element>),
    /// It was there and looks the same to pool users; this is what it was.
    Refreshed(Box<Element>),
}

/// What a removal took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The pool that it was in.
    pub handle: PoolHandle,
    /// The element.
    pub element: Element,
    /// It was the last one: the pool is gone too.
    pub pool_gone: bool,
}

/// The pools and their elements.
#[derive(Clone, Debug, Default)]
pub struct Handlespace {
    pools: Slots,
    /// To find a pool. The hasher is keyed, so that nobody can choose handles that collide; its order is never seen.
    by_handle: HashMap<PoolHandle, Place>,
    /// To go through the pools in order.
    in_order: BTreeMap<PoolHandle, Place>,
    owners: Owners,
    homes: Homes,
    /// When each element is looked at whether its registration has ended: not after that, but before it where it
    /// has registered again since. So most registrations leave this as it is.
    looks: BTreeSet<(Instant, ElementKey)>,
    elements: usize,
    /// Octets of the handles of all pools.
    handle_octets: usize,
}

impl Handlespace {
    /// The pool of this name.
    pub fn pool(&self, handle: &PoolHandle) -> Option<&Pool> {
        self.pools.get(*self.by_handle.get(handle)?)
    }

    /// The pool of this name, to select from.
    pub fn pool_mut(&mut self, handle: &PoolHandle) -> Option<&mut Pool> {
        self.pools.get_mut(*self.by_handle.get(handle)?)
    }

    /// All pools in order of their handles.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.in_order.values().filter_map(|place| self.pools.get(*place))
    }

    /// How many elements there are in all pools.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether there is no pool.
    pub fn is_empty(&self) -> bool {
        self.pool_count() == 0
    }

    /// How many pools there are.
    pub fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// The key of an element that is there.
    pub fn key(&self, handle: &PoolHandle, id: u32) -> Option<ElementKey> {
        let pool = *self.by_handle.get(handle)?;
        self.pools.get(pool)?.element(id)?;
        Some(ElementKey { pool, id })
    }

    /// The element of this key with its pool, if it is still there.
    pub fn get(&self, key: ElementKey) -> Option<(&Pool, &Element)> {
        let pool = self.pools.get(key.pool)?;
        Some((pool, pool.element(key.id)?))
    }

    /// The keys of the elements that an association owns.
    pub fn owned_by(&self, owner: Association) -> impl Iterator<Item = ElementKey> {
        self.owners.of(owner)
    }

    /// How many elements an association owns.
    pub fn count_owned_by(&self, owner: Association) -> usize {
        self.owners.count(owner)
    }

    /// The registrars that are home to an element here, in order of their identifiers.
    pub fn homes(&self) -> impl Iterator<Item = u32> {
        self.homes.homes()
    }

    /// The elements of a home registrar, in order of their pools' handles and their identifiers.
    pub fn of_home(&self, home: u32) -> impl Iterator<Item = ElementKey> {
        self.homes.after(home, None)
    }

    /// How many elements a home registrar has.
    pub fn count_of_home(&self, home: u32) -> usize {
        self.homes.count(home)
    }

    /// The PE checksum of a home registrar's elements (RFC 5353, 3.6.2); 0xffff if it has none.
    pub fn checksum(&self, home: u32) -> u16 {
        self.homes.checksum(home)
    }

    /// At most `limit` elements, of one home registrar or of all, in order of their pools' handles and their
    /// identifiers, from the first one that comes after the handle and identifier in `after`. That one need not be
    /// there any more: so a table can be read page by page while it changes, and what stays is read exactly once.
    pub fn page(
        &self,
        home: Option<u32>,
        after: Option<(&PoolHandle, u32)>,
        limit: usize,
    ) -> Vec<ElementKey> {
        match home {
            Some(home) => self.homes.after(home, after).take(limit).collect(),
            None => self.all_after(after).take(limit).collect(),
        }
    }

    /// As [`Self::page`], of one pool: from the first identifier above `after` on.
    pub fn page_of_pool(&self, handle: &PoolHandle, after: Option<u32>, limit: usize) -> Vec<ElementKey> {
        let place = self.by_handle.get(handle).copied();
        let first = after.map_or(Some(0), |id| id.checked_add(1));
        let found = place.and_then(|place| Some((place, self.pools.get(place)?, first?)));
        let keys = found.into_iter().flat_map(|(place, pool, first)| {
            pool.ids_from(first).map(move |id| ElementKey { pool: place, id })
        });
        keys.take(limit).collect()
    }

    fn all_after(&self, after: Option<(&PoolHandle, u32)>) -> impl Iterator<Item = ElementKey> {
        let pools = match after {
            Some((handle, _)) => self.in_order.range(handle..),
            None => self.in_order.range::<PoolHandle, _>(..),
        };
        pools.flat_map(move |(handle, place)| {
            // The identifier to start from, in the pool of `after` itself; `None`: there is none above.
            let first = match after {
                Some((after, id)) if after == handle => id.checked_add(1),
                _ => Some(0),
            };
            let pool = self.pools.get(*place).zip(first);
            let ids = pool.into_iter().flat_map(|(pool, first)| pool.ids_from(first));
            ids.map(|id| ElementKey { pool: *place, id })
        })
    }

    /// Puts an element into its pool, making the pool if need be, and takes over the one of the same identifier.
    ///
    /// Whether it fits the pool is for the caller to check before.
    pub fn insert(&mut self, handle: PoolHandle, element: Element) -> (ElementKey, Inserted) {
        let (id, home, owner, expires) = (element.id, element.home, element.owner, element.expires);
        let place = match self.by_handle.get(&handle) {
            Some(place) => *place,
            None => {
                self.handle_octets += handle.as_bytes().len();
                let place = self.pools.insert(Pool::for_first(handle.clone(), &element));
                self.in_order.insert(handle.clone(), place);
                self.by_handle.insert(handle, place);
                place
            }
        };
        let key = ElementKey { pool: place, id };
        let Some(pool) = self.pools.get_mut(place) else { return (key, Inserted::New) };
        let replaced = pool.insert(element);
        let handle = pool.handle();
        let before = replaced.as_ref().map(|replaced| &replaced.before.element);
        if before.is_none() {
            self.elements += 1;
        }
        let (old_home, old_owner) = (before.map(|b| b.home), before.map(|b| b.owner));
        if old_home != Some(home) {
            if let Some(old) = old_home {
                self.homes.remove(old, handle, key);
            }
            self.homes.insert(home, handle, key);
        }
        if old_owner != Some(owner) {
            self.owners.remove(old_owner.flatten(), key);
            self.owners.insert(owner, key);
        }
        let old_look = replaced.as_ref().and_then(|replaced| replaced.before.look);
        let look = if old_look.is_some() && old_look <= expires { old_look } else { expires };
        if look != old_look {
            self.looks.extend(look.map(|at| (at, key)));
            if let Some(at) = old_look {
                self.looks.remove(&(at, key));
            }
        }
        if let Some(kept) = pool.kept_mut(id) {
            kept.look = look;
        }
        let done = match replaced {
            None => Inserted::New,
            Some(Replaced { before, changed: true }) => Inserted::Changed(Box::new(before.element)),
            Some(Replaced { before, changed: false }) => Inserted::Refreshed(Box::new(before.element)),
        };
        (key, done)
    }

    /// Takes an element out; its pool goes with its last one.
    pub fn remove(&mut self, key: ElementKey) -> Option<Removed> {
        let pool = self.pools.get_mut(key.pool)?;
        let Kept { element, look, .. } = pool.remove(key.id)?;
        let handle = pool.handle().clone();
        let pool_gone = pool.len() == 0;
        if pool_gone {
            self.pools.remove(key.pool);
            self.by_handle.remove(&handle);
            self.in_order.remove(&handle);
            self.handle_octets -= handle.as_bytes().len();
        }
        self.elements -= 1;
        self.owners.remove(element.owner, key);
        self.homes.remove(element.home, &handle, key);
        if let Some(at) = look {
            self.looks.remove(&(at, key));
        }
        Some(Removed { handle, element, pool_gone })
    }

    /// An element has another home registrar from now on. `owner` is the association over which it is registered
    /// here; `None`: it is registered at that other registrar.
    pub fn set_home(&mut self, key: ElementKey, home: u32, owner: Option<Association>) {
        let Some(pool) = self.pools.get_mut(key.pool) else { return };
        let Some(Kept { element, .. }) = pool.kept_mut(key.id) else { return };
        let old_home = std::mem::replace(&mut element.home, home);
        let old_owner = std::mem::replace(&mut element.owner, owner);
        if old_home != home {
            self.homes.remove(old_home, pool.handle(), key);
            self.homes.insert(home, pool.handle(), key);
        }
        self.owners.remove(old_owner, key);
        self.owners.insert(owner, key);
    }

    /// Replaces where an element was heard from.
    pub fn set_asap(&mut self, key: ElementKey, asap: Transport) {
        if let Some(element) = self.element_mut(key) {
            element.asap = asap;
        }
    }

    /// Sets the number of reports that an element cannot be reached.
    pub fn set_bad_reports(&mut self, key: ElementKey, count: u32) {
        if let Some(element) = self.element_mut(key) {
            element.bad_reports = count;
        }
    }

    /// An element has answered a keep-alive.
    pub fn set_answered(&mut self, key: ElementKey, now: Instant) {
        if let Some(kept) = self.pools.get_mut(key.pool).and_then(|pool| pool.kept_mut(key.id)) {
            kept.answered = Some(now);
        }
    }

    fn element_mut(&mut self, key: ElementKey) -> Option<&mut Element> {
        Some(&mut self.pools.get_mut(key.pool)?.kept_mut(key.id)?.element)
    }

    /// When to call [`Self::pop_expired`]: not after the end of the next registration, but perhaps before.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.looks.first().map(|(at, _)| *at)
    }

    /// An element whose registration has ended. It is still there: remove it.
    pub fn pop_expired(&mut self, now: Instant) -> Option<ElementKey> {
        while let Some((at, key)) = self.looks.first().copied()
            && at <= now
        {
            self.looks.pop_first();
            let Some(kept) = self.pools.get_mut(key.pool).and_then(|pool| pool.kept_mut(key.id)) else {
                continue;
            };
            kept.look = kept.element.expires.filter(|at| *at > now);
            match kept.look {
                Some(at) => self.looks.insert((at, key)),
                None => return Some(key),
            };
        }
        None
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
