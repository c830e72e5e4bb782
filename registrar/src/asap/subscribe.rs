//! Who wants to hear of which pool (the S and A bits of RFC 5352, 2.2.5 and 2.2.6).
//!
//! A subscription lives exactly as long as its association. It outlives the pool: the subscriber is told
//! that the pool is gone (cause 0x9, A still set) and hears of it when the pool comes back, which is what
//! happens to the pool of a host that was offline for longer than its registration. That costs a subscriber
//! that does not expect it nothing. There is no message to unsubscribe, and a resolution without S
//! does not do it either: it may come from another user of the same association.
//!
//! A pool that was quiet is told of at its first change; one that goes on changing is told of once in an
//! interval, as it is then. So what subscribers cost grows with time, not with changes, and all of them end with the last state.

use asap_client::wire::PoolHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::Association;

/// Who subscribes to one pool.
#[derive(Clone, Debug, Default)]
struct Subscribers {
    /// For each, how many elements it wants to be told of; `None`: all.
    wanted: BTreeMap<Association, Option<u32>>,
    /// When the next push may be, if there was one.
    next: Option<Instant>,
    /// It is to be at that moment: the pool has changed since the last one.
    waiting: bool,
}

/// All subscriptions.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    by_handle: BTreeMap<PoolHandle, Subscribers>,
    by_association: BTreeMap<Association, BTreeSet<PoolHandle>>,
    total: usize,
    /// Octets of the handles of all pools that are subscribed to.
    octets: usize,
    /// The pushes that wait.
    due: BTreeSet<(Instant, PoolHandle)>,
}

impl Subscriptions {
    /// Subscribes, or changes the number of elements wanted.
    pub(super) fn insert(&mut self, association: Association, handle: PoolHandle, items: Option<u32>) {
        // All subscribers hold the same octets: a handle may be long.
        let handle = match self.by_handle.get_key_value(&handle) {
            Some((kept, _)) => kept.clone(),
            None => {
                self.octets += handle.as_bytes().len();
                handle
            }
        };
        if self.by_association.entry(association).or_default().insert(handle.clone()) {
            self.total += 1;
        }
        self.by_handle.entry(handle).or_default().wanted.insert(association, items);
    }

    /// Ends all subscriptions of an association.
    pub(super) fn remove_all(&mut self, association: Association) {
        for handle in self.by_association.remove(&association).into_iter().flatten() {
            self.total -= 1;
            if let Some(subscribers) = self.by_handle.get_mut(&handle) {
                subscribers.wanted.remove(&association);
                if subscribers.wanted.is_empty() {
                    if let Some(at) = subscribers.next {
                        self.due.remove(&(at, handle.clone()));
                    }
                    self.by_handle.remove(&handle);
                    self.octets -= handle.as_bytes().len();
                }
            }
        }
    }

    /// Whether this association subscribes to this pool.
    pub(super) fn contains(&self, association: Association, handle: &PoolHandle) -> bool {
        self.by_association.get(&association).is_some_and(|handles| handles.contains(handle))
    }

    /// The subscribers of a pool, each with the number of elements it wants; `None`: all.
    pub(super) fn of_pool(&self, handle: &PoolHandle) -> impl Iterator<Item = (Association, Option<u32>)> {
        let subscribers = self.by_handle.get(handle).into_iter().flat_map(|subscribers| &subscribers.wanted);
        subscribers.map(|(association, items)| (*association, *items))
    }

    /// A pool has changed: whether its subscribers are to be told at once. If not, there are none, or it is too soon
    /// after the last time, and [`Self::pop_due`] tells when it is not any more. An `interval` of 0 is never too soon.
    pub(super) fn may_push(&mut self, now: Instant, interval: Duration, handle: &PoolHandle) -> bool {
        let Some(subscribers) = self.by_handle.get_mut(handle) else { return false };
        if let Some(next) = subscribers.next.filter(|next| *next > now) {
            if !subscribers.waiting {
                subscribers.waiting = true;
                self.due.insert((next, handle.clone()));
            }
            return false;
        }
        subscribers.next = now.checked_add(interval);
        true
    }

    /// When the next push that waits is due.
    pub(super) fn next_push(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A pool that has changed, and of which it is time to tell.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<PoolHandle> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        let (_, handle) = self.due.pop_first()?;
        if let Some(subscribers) = self.by_handle.get_mut(&handle) {
            subscribers.waiting = false;
        }
        Some(handle)
    }

    /// The pools that an association subscribes to.
    pub(super) fn of_association(&self, association: Association) -> impl Iterator<Item = &PoolHandle> {
        self.by_association.get(&association).into_iter().flatten()
    }

    /// How many subscriptions an association has.
    pub(super) fn count(&self, association: Association) -> usize {
        self.by_association.get(&association).map_or(0, BTreeSet::len)
    }

    /// The octets of all handles that are subscribed to, with this one.
    pub(super) fn octets_with(&self, handle: &PoolHandle) -> usize {
        let new = !self.by_handle.contains_key(handle);
        self.octets + if new { handle.as_bytes().len() } else { 0 }
    }

    /// How many there are in all.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// Both orders and the count say the same. For tests.
    #[cfg(test)]
    pub(super) fn consistent(&self) -> bool {
        let a: BTreeSet<_> =
            self.by_handle.iter().flat_map(|(h, subs)| subs.wanted.keys().map(move |s| (*s, h))).collect();
        let b: BTreeSet<_> =
            self.by_association.iter().flat_map(|(s, hs)| hs.iter().map(move |h| (*s, h))).collect();
        let waiting = self.by_handle.iter().filter(|(_, subs)| subs.waiting);
        let due: BTreeSet<_> = waiting.filter_map(|(h, subs)| Some((subs.next?, h.clone()))).collect();
        let octets: usize = self.by_handle.keys().map(|handle| handle.as_bytes().len()).sum();
        due == self.due
            && octets == self.octets
            && a == b
            && a.len() == self.total
            && self.by_handle.values().all(|subs| !subs.wanted.is_empty())
    }
}
