//! The handlespace: which pools there are and which elements they have.
//!
//! Pure data. Every way that a registrar asks for an element has its order: by pool handle and identifier,
//! by the association that owns it, by the end of its registration. All grow with the logarithm of the size.

mod element;
mod expiry;
mod index;
mod pool;

use asap_client::wire::{PoolHandle, Transport};
use std::collections::BTreeMap;
use std::time::Instant;

pub use element::{Element, Life};
pub use expiry::Deadlines;
use index::Owners;
pub use pool::Pool;

use crate::Association;

/// Names one element of one pool, for as long as the pool lives. Small, so that orders can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElementKey {
    /// The pool's number in this handlespace; never used twice.
    pool: u64,
    /// The element's identifier.
    id: u32,
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
    pools: BTreeMap<u64, Pool>,
    by_handle: BTreeMap<PoolHandle, u64>,
    owners: Owners,
    expiry: Deadlines<ElementKey>,
    elements: usize,
    next_pool: u64,
}

impl Handlespace {
    /// The pool of this name.
    pub fn pool(&self, handle: &PoolHandle) -> Option<&Pool> {
        self.pools.get(self.by_handle.get(handle)?)
    }

    /// The pool of this name, to advance its turn.
    pub fn pool_mut(&mut self, handle: &PoolHandle) -> Option<&mut Pool> {
        self.pools.get_mut(self.by_handle.get(handle)?)
    }

    /// All pools in order of their handles.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.by_handle.values().filter_map(|number| self.pools.get(number))
    }

    /// How many elements there are in all pools.
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether there is no pool.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// How many pools there are.
    pub fn pool_count(&self) -> usize {
        self.pools.len()
    }

    /// The key of an element that is there.
    pub fn key(&self, handle: &PoolHandle, id: u32) -> Option<ElementKey> {
        let pool = *self.by_handle.get(handle)?;
        self.pools.get(&pool)?.element(id)?;
        Some(ElementKey { pool, id })
    }

    /// The element of this key with its pool, if it is still there.
    pub fn get(&self, key: ElementKey) -> Option<(&Pool, &Element)> {
        let pool = self.pools.get(&key.pool)?;
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

    /// Puts an element into its pool, making the pool if need be, and takes over the one of the same identifier.
    ///
    /// Whether it fits the pool is for the caller to check before.
    pub fn insert(&mut self, handle: PoolHandle, element: Element) -> (ElementKey, Inserted) {
        let (id, owner, expires) = (element.id, element.owner, element.expires);
        let (pool, before) = match self.by_handle.get(&handle) {
            Some(number) => {
                let before = self.pools.get_mut(number).and_then(|pool| pool.insert(element.clone()));
                (*number, before)
            }
            None => {
                let number = self.next_pool;
                self.next_pool += 1;
                self.by_handle.insert(handle.clone(), number);
                self.pools.insert(number, Pool::new(handle, element.clone()));
                (number, None)
            }
        };
        let key = ElementKey { pool, id };
        if let Some(before) = &before {
            self.owners.remove(before.owner, key);
        } else {
            self.elements += 1;
        }
        self.owners.insert(owner, key);
        match expires {
            Some(at) => self.expiry.set(key, at),
            None => {
                self.expiry.clear(key);
            }
        }
        let done = match before {
            None => Inserted::New,
            Some(before) if before.differs_for_users(&element) => Inserted::Changed(Box::new(before)),
            Some(before) => Inserted::Refreshed(Box::new(before)),
        };
        (key, done)
    }

    /// Takes an element out; its pool goes with its last one.
    pub fn remove(&mut self, key: ElementKey) -> Option<Removed> {
        let pool = self.pools.get_mut(&key.pool)?;
        let element = pool.remove(key.id)?;
        let handle = pool.handle().clone();
        let pool_gone = pool.len() == 0;
        if pool_gone {
            self.pools.remove(&key.pool);
            self.by_handle.remove(&handle);
        }
        self.elements -= 1;
        self.owners.remove(element.owner, key);
        self.expiry.clear(key);
        Some(Removed { handle, element, pool_gone })
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

    fn element_mut(&mut self, key: ElementKey) -> Option<&mut Element> {
        self.pools.get_mut(&key.pool)?.element_mut(key.id)
    }

    /// When the next registration ends.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.expiry.next()
    }

    /// An element whose registration has ended. It is still there: remove it.
    pub fn pop_expired(&mut self, now: Instant) -> Option<ElementKey> {
        self.expiry.pop_due(now)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
