//! One pool: its elements, what they have in common, and how they are selected.

use asap_client::policy::Selector;
use asap_client::wire::{Policy, PoolHandle, Transport};

use std::time::Instant;

use super::Element;

/// A pool. It is created by its first element and ends with its last.
#[derive(Clone, Debug)]
pub struct Pool {
    handle: PoolHandle,
    /// Apart, so that what every resolution needs lies close together.
    first: Box<First>,
    /// In boxes: the nodes of a tree are not full, and an element is large.
    elements: Selector<Box<Kept>>,
}

/// What a pool's first element decides for the others.
#[derive(Clone, Debug)]
struct First {
    /// All others must have its type.
    policy: Policy,
    /// All others must have its type and use.
    transport: Transport,
}

/// An element, and when it is looked at whether its registration has ended.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) element: Element,
    pub(super) look: Option<Instant>,
    /// When it last answered a keep-alive.
    pub(super) answered: Option<Instant>,
}

/// What came of putting an element into its pool.
pub(super) struct Replaced {
    /// The element that was there.
    pub(super) before: Box<Kept>,
    /// Pool users see a difference.
    pub(super) changed: bool,
}

impl Pool {
    /// A pool for elements like this one, which is still to be put in.
    pub(super) fn for_first(handle: PoolHandle, first: &Element) -> Self {
        Self {
            handle,
            first: Box::new(First { policy: first.policy.clone(), transport: first.user.clone() }),
            // A policy that is not known can only have come from another registrar: it is served as Round Robin.
            elements: Selector::new(&first.policy).unwrap_or_default(),
        }
    }

    /// Its name.
    pub fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// The policy that the first element brought.
    pub fn policy(&self) -> &Policy {
        &self.first.policy
    }

    /// A transport of the pool's type and use.
    pub fn transport(&self) -> &Transport {
        &self.first.transport
    }

    /// The elements in order of their identifiers.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = &Element> {
        self.elements.members().values().map(|kept| &kept.element)
    }

    /// The identifiers from `first` on, in order.
    pub(super) fn ids_from(&self, first: u32) -> impl Iterator<Item = u32> {
        self.elements.members().range(first..).map(|(id, _)| *id)
    }

    /// How many elements it has; never 0.
    #[expect(clippy::len_without_is_empty, reason = "an empty pool does not exist")]
    pub fn len(&self) -> usize {
        self.elements.members().len()
    }

    /// The element with this identifier.
    pub fn element(&self, id: u32) -> Option<&Element> {
        self.elements.members().get(&id).map(|kept| &kept.element)
    }

    /// When the element with this identifier last answered a keep-alive, if it did.
    pub fn answered(&self, id: u32) -> Option<Instant> {
        self.elements.members().get(&id)?.answered
    }

    pub(super) fn kept_mut(&mut self, id: u32) -> Option<&mut Kept> {
        self.elements.get_mut(id).map(Box::as_mut)
    }

    pub(super) fn insert(&mut self, element: Element) -> Option<Replaced> {
        let changed = self.element(element.id).is_some_and(|present| present.differs_for_users(&element));
        let answered = self.answered(element.id);
        let kept = Box::new(Kept { element, look: None, answered });
        let before = self.elements.set(kept.element.id, kept, |kept| &kept.element.policy)?;
        Some(Replaced { before, changed })
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Kept> {
        self.elements.remove(id).map(|kept| *kept)
    }

    /// Selects at most `count` elements for a response, in its order, by the pool's policy; their identifiers, for
    /// [`Self::named`]. `random` gives 64 random bits at each call.
    pub fn select(&mut self, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.elements.select(count, random)
    }

    /// As [`Self::select`], but it is nobody's turn yet: for what was not asked for.
    pub fn peek(&mut self, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.elements.peek(count, random)
    }

    /// The elements with these identifiers.
    pub fn named(&self, ids: &[u32]) -> impl Iterator<Item = &Element> {
        ids.iter().filter_map(|id| self.element(*id))
    }
}
