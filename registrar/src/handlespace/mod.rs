//! The handlespace: which pools there are and which elements they have.
//!
//! Pure data. Every way that a registrar asks for an element has its order: by pool handle and identifier,
//! by the association that owns it, by its home registrar, by the end of its registration, and by its pool's selection
//! policy. Nothing costs more than the logarithm of the size for each element that it returns; where elements of all homes are
//! gone through in order, a comparison for each home besides.

mod ahead;
mod checksum;
mod element;
mod expiry;
mod homes;
mod kept;
mod looks;
mod moment;
mod names;
mod owners;
mod pool;
mod room;
mod slots;

use asap_client::wire::{PoolHandle, Transport};
use std::time::Instant;

pub use ahead::Places;
pub use checksum::ChecksumSum;
pub use element::{Element, Life};
pub use expiry::Deadlines;
use homes::Homes;
use kept::{Kept, Renewed};
use looks::Looks;
use moment::Moment;
use names::Names;
use owners::Owners;
pub use pool::Pool;
pub use room::Bounds;
pub use slots::Place;
use slots::{InSlot, Slots};

use crate::Association;

/// Names one element of one pool, for as long as the pool lives. Small, so that orders can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementKey {
    /// Where its pool is.
    pub(crate) pool: Place,
    /// The element's identifier.
    pub(crate) id: u32,
}

impl ElementKey {
    pub(crate) const MIN: Self = Self { pool: Place { slot: 0, generation: 0 }, id: 0 };
    pub(crate) const MAX: Self = Self { pool: Place { slot: u32::MAX, generation: u32::MAX }, id: u32::MAX };

    fn in_slot(self) -> InSlot {
        InSlot::new(self.pool.slot, self.id)
    }
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
    names: Names,
    owners: Owners,
    homes: Homes,
    /// When each element is looked at whether its registration has ended: not after that, but before it where it
    /// has registered again since. So most that register again leave this as it is.
    looks: Looks<InSlot>,
    elements: usize,
    /// Octets of the handles of all pools.
    handle_octets: usize,
    /// What was written last of an element: the next one is written in its place.
    written: Vec<u8>,
}

impl Handlespace {
    /// The pool of this name.
    pub fn pool(&self, handle: &PoolHandle) -> Option<&Pool> {
        self.pools.get(self.find(handle)?)
    }

    /// The pool of this name, to select from.
    pub fn pool_mut(&mut self, handle: &PoolHandle) -> Option<&mut Pool> {
        self.pools.get_mut(self.find(handle)?)
    }

    /// The place of the pool of this name.
    pub fn find(&self, handle: &PoolHandle) -> Option<Place> {
        self.names.find(handle, &self.pools)
    }

    /// The places of the pools of these names, to be asked one after the other by [`Self::pool_at_mut`]. Where there are
    /// too many pools for the processor's cache, this is several times as fast as one question at a time: what is needed
    /// of all of them is asked for at once, their elements a few questions before their turn.
    pub fn find_all<'a>(&self, handles: impl IntoIterator<Item = &'a PoolHandle>) -> Places {
        let handles: Vec<_> = handles.into_iter().collect();
        Places::new(self.names.find_all(&handles, &self.pools), self)
    }

    /// The pool at a place, if it is still there.
    pub fn pool_at(&self, place: Place) -> Option<&Pool> {
        self.pools.get(place)
    }

    /// The pool at a place, if it is still there, to select from.
    pub fn pool_at_mut(&mut self, place: Place) -> Option<&mut Pool> {
        self.pools.get_mut(place)
    }

    /// All pools in order of their handles.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.homes.pools(None).filter_map(|(_, slot)| Some(self.pools.in_slot(slot)?.1))
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
        let pool = self.find(handle)?;
        self.pools.get(pool)?.element(id)?;
        Some(ElementKey { pool, id })
    }

    /// The element of this key with its pool, if it is still there.
    pub fn get(&self, key: ElementKey) -> Option<(&Pool, &Element)> {
        let pool = self.pools.get(key.pool)?;
        Some((pool, pool.element(key.id)?))
    }

    /// The keys of the elements that an association owns, in no order.
    pub fn owned_by(&self, owner: Association) -> impl Iterator<Item = ElementKey> {
        self.owners.of(owner).filter_map(|element| self.key_in_slot(element))
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
        self.of_home_after(home, None)
    }

    fn of_home_after(
        &self,
        home: u32,
        after: Option<(&PoolHandle, u32)>,
    ) -> impl Iterator<Item = ElementKey> {
        self.homes.after(home, after).flat_map(|(part, first)| {
            let pool = self.pools.in_slot(part.slot());
            pool.into_iter().flat_map(move |(place, pool)| {
                let whole = part.is_whole().then(|| pool.ids_from(first));
                let ids = whole.into_iter().flatten().chain(part.ids(first));
                ids.map(move |id| ElementKey { pool: place, id })
            })
        })
    }

    fn key_in_slot(&self, element: InSlot) -> Option<ElementKey> {
        self.pools.in_slot(element.slot()).map(|(pool, _)| ElementKey { pool, id: element.id() })
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
            Some(home) => self.of_home_after(home, after).take(limit).collect(),
            None => self.all_after(after).take(limit).collect(),
        }
    }

    /// As [`Self::page`], of one pool: from the first identifier above `after` on.
    pub fn page_of_pool(&self, handle: &PoolHandle, after: Option<u32>, limit: usize) -> Vec<ElementKey> {
        let place = self.find(handle);
        let first = after.map_or(Some(0), |id| id.checked_add(1));
        let found = place.and_then(|place| Some((place, self.pools.get(place)?, first?)));
        let keys = found.into_iter().flat_map(|(place, pool, first)| {
            pool.ids_from(first).map(move |id| ElementKey { pool: place, id })
        });
        keys.take(limit).collect()
    }

    fn all_after(&self, after: Option<(&PoolHandle, u32)>) -> impl Iterator<Item = ElementKey> {
        let pools = self.homes.pools(after.map(|(handle, _)| handle));
        pools.flat_map(move |(handle, slot)| {
            // The identifier to start from, in the pool of `after` itself; `None`: there is none above.
            let first = match after {
                Some((after, id)) if after == handle => id.checked_add(1),
                _ => Some(0),
            };
            let pool = self.pools.in_slot(slot).zip(first);
            pool.into_iter().flat_map(|((place, pool), first)| {
                pool.ids_from(first).map(move |id| ElementKey { pool: place, id })
            })
        })
    }

    /// Puts an element into its pool, making the pool if need be, and takes over the one of the same identifier.
    ///
    /// Whether it fits the pool is for the caller to check before.
    pub fn insert(&mut self, handle: PoolHandle, element: Element) -> (ElementKey, Inserted) {
        let place = self.find(&handle);
        self.insert_at(place, handle, element)
    }

    /// As [`Self::insert`], where the pool was looked for just before; `None`: it is not there.
    pub fn insert_at(
        &mut self,
        place: Option<Place>,
        handle: PoolHandle,
        element: Element,
    ) -> (ElementKey, Inserted) {
        let (id, home, owner) = (element.id, element.home, element.owner);
        let pool = place.unwrap_or_else(|| {
            self.handle_octets += handle.as_bytes().len();
            let place = self.pools.insert(Pool::for_first(handle.clone(), &element));
            self.names.insert(&handle, place.slot);
            place
        });
        let key = ElementKey { pool, id };
        let Some(pool) = self.pools.get_mut(pool) else { return (key, Inserted::New) };
        let (buffer, expires) = (&mut self.written, self.looks.moment(element.expires));
        let Some(kept) = pool.renew(id, &element.policy) else {
            let owned_at = self.owners.insert(owner, key.in_slot());
            pool.insert(id, Kept::new(element, expires, owned_at, buffer));
            self.looks.change(key.in_slot(), Moment::NEVER, expires);
            self.elements += 1;
            let others = || pool.ids_from(0).filter(|other| *other != id);
            self.homes.insert(home, pool.handle(), key.in_slot(), others);
            return (key, Inserted::New);
        };
        let Renewed { before, changed, looks } = kept.renew(element, expires, buffer);
        self.looks.change(key.in_slot(), looks.0, looks.1);
        if before.home != home {
            // The new one first: every pool is in the order of a home at every moment.
            self.homes.insert(home, pool.handle(), key.in_slot(), || pool.ids_from(0));
            self.homes.remove(before.home, pool.handle(), key.in_slot(), false);
        }
        if before.owner != owner {
            self.change_owner(key, before.owner, owner);
        }
        self.tidy_looks();
        (key, if changed { Inserted::Changed(before) } else { Inserted::Refreshed(before) })
    }

    /// Takes an element out; its pool goes with its last one.
    pub fn remove(&mut self, key: ElementKey) -> Option<Removed> {
        let pool = self.pools.get_mut(key.pool)?;
        let kept = pool.remove(key.id)?;
        let (look, owned_at, element) = (kept.look(), kept.owned_at(), kept.into_element());
        let handle = pool.handle().clone();
        let pool_gone = pool.len() == 0;
        if pool_gone {
            self.names.remove(&handle, key.pool.slot);
            self.pools.remove(key.pool);
            self.handle_octets -= handle.as_bytes().len();
        }
        self.elements -= 1;
        self.disown(element.owner, owned_at);
        self.homes.remove(element.home, &handle, key.in_slot(), pool_gone);
        self.looks.change(key.in_slot(), look, Moment::NEVER);
        self.tidy_looks();
        Some(Removed { handle, element, pool_gone })
    }

    /// An element has another home registrar from now on. `owner` is the association over which it is registered
    /// here; `None`: it is registered at that other registrar.
    pub fn set_home(&mut self, key: ElementKey, home: u32, owner: Option<Association>) {
        let Some(pool) = self.pools.get_mut(key.pool) else { return };
        let Some(kept) = pool.kept_mut(key.id) else { return };
        let (old_home, old_owner) = kept.set_home(home, owner, &mut self.written);
        if old_home != home {
            self.homes.insert(home, pool.handle(), key.in_slot(), || pool.ids_from(0));
            self.homes.remove(old_home, pool.handle(), key.in_slot(), false);
        }
        self.change_owner(key, old_owner, owner);
    }

    fn change_owner(&mut self, key: ElementKey, from: Option<Association>, to: Option<Association>) {
        if from.is_some() {
            let at = self.kept_mut(key).map_or(0, |kept| kept.owned_at());
            self.disown(from, at);
        }
        let at = self.owners.insert(to, key.in_slot());
        if let Some(kept) = self.kept_mut(key) {
            kept.set_owned_at(at);
        }
    }

    /// Takes the element at a place out of those of an association.
    fn disown(&mut self, owner: Option<Association>, at: u32) {
        let moved = self.owners.remove(owner, at).and_then(|moved| self.key_in_slot(moved));
        if let Some(kept) = moved.and_then(|moved| self.kept_mut(moved)) {
            kept.set_owned_at(at);
        }
    }

    /// Replaces where an element was heard from.
    pub fn set_asap(&mut self, key: ElementKey, asap: Transport) {
        if let Some(kept) = self.kept_mut(key) {
            kept.untold().asap = asap;
        }
    }

    /// Sets the number of reports that an element cannot be reached.
    pub fn set_bad_reports(&mut self, key: ElementKey, count: u32) {
        if let Some(kept) = self.kept_mut(key) {
            kept.untold().bad_reports = count;
        }
    }

    /// An element has answered a keep-alive.
    pub fn set_answered(&mut self, key: ElementKey, now: Instant) {
        if let Some(kept) = self.kept_mut(key) {
            kept.set_answered(now);
        }
    }

    /// An element is ours since it has answered us, not since it has registered here. That holds until it registers.
    pub fn set_adopted(&mut self, key: ElementKey) {
        if let Some(kept) = self.kept_mut(key) {
            kept.set_adopted();
        }
    }

    /// Whether an element has answered us and has not registered here.
    pub fn is_adopted(&self, key: ElementKey) -> bool {
        self.kept(key).is_some_and(Kept::is_adopted)
    }

    fn kept(&self, key: ElementKey) -> Option<&Kept> {
        self.pools.get(key.pool)?.kept(key.id)
    }

    fn kept_mut(&mut self, key: ElementKey) -> Option<&mut Kept> {
        self.pools.get_mut(key.pool)?.kept_mut(key.id)
    }

    /// When to call [`Self::pop_expired`]: not after the end of the next registration, but perhaps before.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.looks.next()
    }

    /// An element whose registration has ended. It is still there: remove it.
    pub fn pop_expired(&mut self, now: Instant) -> Option<ElementKey> {
        while let Some((element, at)) = self.looks.pop(now) {
            let taken = |key: &ElementKey| self.kept(*key).is_some_and(|kept| kept.look() == at);
            let Some(key) = self.key_in_slot(element).filter(taken) else {
                self.looks.was_stale();
                continue;
            };
            let expires = self.kept(key).and_then(|kept| kept.element().expires);
            let later = self.looks.moment(expires.filter(|at| *at > now));
            if let Some(kept) = self.kept_mut(key) {
                kept.set_look(later);
            }
            self.looks.change(element, Moment::NEVER, later);
            if later == Moment::NEVER {
                return Some(key);
            }
        }
        None
    }

    /// Where elements go or end earlier than they did, what is left of them in the order of time is thrown away now and then.
    fn tidy_looks(&mut self) {
        if self.looks.is_untidy() {
            let pools = &self.pools;
            self.looks.tidy(|element, at| {
                let kept = pools.in_slot(element.slot()).and_then(|(_, pool)| pool.kept(element.id()));
                kept.is_some_and(|kept| kept.look() == at)
            });
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
