//! One pool: its elements, what they have in common, and whose turn it is.

use asap_client::wire::{Policy, PoolHandle, Transport};
use std::collections::BTreeMap;
use std::ops::Bound;

use super::Element;

/// A pool. It is created by its first element and ends with its last.
#[derive(Clone, Debug)]
pub struct Pool {
    handle: PoolHandle,
    /// The first element's policy: all others must have its type.
    policy: Policy,
    /// The first element's transport: all others must have its type and use.
    transport: Transport,
    elements: BTreeMap<u32, Element>,
    /// Round Robin: the circular list, in order of the identifiers, starts here next time.
    head: u32,
}

impl Pool {
    pub(super) fn new(handle: PoolHandle, first: Element) -> Self {
        Self {
            handle,
            policy: first.policy.clone(),
            transport: first.user.clone(),
            head: first.id,
            elements: BTreeMap::from([(first.id, first)]),
        }
    }

    /// Its name.
    pub fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// The policy that the first element brought.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A transport of the pool's type and use.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The elements in order of their identifiers.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = &Element> {
        self.elements.values()
    }

    /// How many elements it has; never 0.
    #[expect(clippy::len_without_is_empty, reason = "an empty pool does not exist")]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// The element with this identifier.
    pub fn element(&self, id: u32) -> Option<&Element> {
        self.elements.get(&id)
    }

    pub(super) fn element_mut(&mut self, id: u32) -> Option<&mut Element> {
        self.elements.get_mut(&id)
    }

    pub(super) fn insert(&mut self, element: Element) -> Option<Element> {
        self.elements.insert(element.id, element)
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Element> {
        self.elements.remove(&id)
    }

    /// The circular list once round, from the head.
    pub fn in_turn(&self) -> impl Iterator<Item = &Element> {
        let later = self.elements.range(self.head..);
        later.chain(self.elements.range(..self.head)).map(|(_, element)| element)
    }

    /// Moves the head on by one element (RFC 5356, 4.1).
    pub fn advance(&mut self) {
        let Some(current) = self.in_turn().next().map(|e| e.id) else { return };
        let after = self.elements.range((Bound::Excluded(current), Bound::Unbounded)).next();
        self.head = after.or_else(|| self.elements.first_key_value()).map_or(0, |(id, _)| *id);
    }
}
