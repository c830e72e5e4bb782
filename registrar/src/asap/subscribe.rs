//! Who wants to hear of which pool (the S and A bits of RFC 5352, 2.2.5 and 2.2.6).
//!
//! A subscription lives exactly as long as its association. It outlives the pool: the subscriber is told
//! that the pool is gone (cause 0x9, A still set) and hears of it when the pool comes back, which is what
//! happens to the pool of a host that was offline for longer than its registration. That costs a subscriber
//! that does not expect it nothing. There is no message to unsubscribe, and a resolution without S
//! does not do it either: it may come from another user of the same association.

use asap_client::wire::PoolHandle;
use std::collections::{BTreeMap, BTreeSet};

use crate::Association;

/// All subscriptions.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    /// For each subscriber, how many elements it wants to be told of; `None`: all.
    by_handle: BTreeMap<PoolHandle, BTreeMap<Association, Option<u32>>>,
    by_association: BTreeMap<Association, BTreeSet<PoolHandle>>,
    total: usize,
}

impl Subscriptions {
    /// Subscribes, or changes the number of elements wanted.
    pub(super) fn insert(&mut self, association: Association, handle: PoolHandle, items: Option<u32>) {
        if self.by_association.entry(association).or_default().insert(handle.clone()) {
            self.total += 1;
        }
        self.by_handle.entry(handle).or_default().insert(association, items);
    }

    /// Ends all subscriptions of an association.
    pub(super) fn remove_all(&mut self, association: Association) {
        for handle in self.by_association.remove(&association).into_iter().flatten() {
            self.total -= 1;
            if let Some(subscribers) = self.by_handle.get_mut(&handle) {
                subscribers.remove(&association);
                if subscribers.is_empty() {
                    self.by_handle.remove(&handle);
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
        self.by_handle.get(handle).into_iter().flatten().map(|(association, items)| (*association, *items))
    }

    /// The pools that an association subscribes to.
    pub(super) fn of_association(&self, association: Association) -> impl Iterator<Item = &PoolHandle> {
        self.by_association.get(&association).into_iter().flatten()
    }

    /// How many subscriptions an association has.
    pub(super) fn count(&self, association: Association) -> usize {
        self.by_association.get(&association).map_or(0, BTreeSet::len)
    }

    /// How many there are in all.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// Both orders and the count say the same. For tests.
    #[cfg(test)]
    pub(super) fn consistent(&self) -> bool {
        let a: BTreeSet<_> =
            self.by_handle.iter().flat_map(|(h, subs)| subs.keys().map(move |s| (*s, h))).collect();
        let b: BTreeSet<_> =
            self.by_association.iter().flat_map(|(s, hs)| hs.iter().map(move |h| (*s, h))).collect();
        a == b && a.len() == self.total && self.by_handle.values().all(|subs| !subs.is_empty())
    }
}
