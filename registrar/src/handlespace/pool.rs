//! One pool: its elements, what they have in common, and how they are selected.

use asap_client::policy::Selector;
use asap_client::wire::{Policy, PoolHandle, Transport, Writer};
use std::time::Instant;

use super::Element;
use super::kept::Kept;

/// A pool. It is created by its first element and ends with its last.
#[derive(Clone, Debug)]
#[repr(C)] // The handle in front, which is compared first.
pub struct Pool {
    handle: PoolHandle,
    /// What the first element brought. `None` is Round Robin, for which a box would only be a detour.
    policy: Option<Box<Policy>>,
    elements: Selector<Kept>,
}

impl Pool {
    /// A pool for elements like this one, which is still to be put in.
    pub(super) fn for_first(handle: PoolHandle, first: &Element) -> Self {
        let policy = &first.policy;
        Self {
            handle,
            policy: (*policy != Policy::RoundRobin).then(|| Box::new(policy.clone())),
            // A policy that is not known can only have come from another registrar: it is served as Round Robin.
            elements: Selector::new(policy).unwrap_or_default(),
        }
    }

    /// Its name.
    pub fn handle(&self) -> &PoolHandle {
        &self.handle
    }

    /// The policy that the first element brought; all others have its type.
    pub fn policy(&self) -> &Policy {
        self.policy.as_deref().unwrap_or(&Policy::RoundRobin)
    }

    /// A transport of the pool's type and use, which all its elements have.
    pub fn transport(&self) -> Option<&Transport> {
        self.elements.members().any().map(|kept| &kept.element().user)
    }

    /// Whether an element of this policy and transport may be in the pool: they have its types, and the same use.
    pub fn takes(&self, policy: &Policy, user: &Transport) -> bool {
        let same = |other: &Transport| (other.type_(), other.use_()) == (user.type_(), user.use_());
        self.policy().code() == policy.code() && self.transport().is_none_or(same)
    }

    /// The elements in order of their identifiers.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.elements.members().range(0).map(|(_, kept)| kept.element())
    }

    /// The identifiers from `first` on, in order.
    pub(super) fn ids_from(&self, first: u32) -> impl Iterator<Item = u32> {
        self.elements.members().range(first).map(|(id, _)| id)
    }

    /// How many elements it has; never 0.
    #[expect(clippy::len_without_is_empty, reason = "an empty pool does not exist")]
    pub fn len(&self) -> usize {
        self.elements.members().len()
    }

    /// The element with this identifier.
    pub fn element(&self, id: u32) -> Option<&Element> {
        self.kept(id).map(Kept::element)
    }

    /// When the element with this identifier last answered a keep-alive, if it did.
    pub fn answered(&self, id: u32) -> Option<Instant> {
        self.kept(id)?.answered()
    }

    pub(super) fn kept(&self, id: u32) -> Option<&Kept> {
        self.elements.members().get(id)
    }

    pub(super) fn kept_mut(&mut self, id: u32) -> Option<&mut Kept> {
        self.elements.get_mut(id)
    }

    /// Puts an element in that is not there.
    pub(super) fn insert(&mut self, id: u32, kept: Kept) {
        let policy = kept.element().policy.clone();
        self.elements.set(id, kept, &policy);
    }

    /// What is kept of the element with this identifier, which has registered again with this policy: the rest of what is
    /// new is still to be put in. `None`: it is not there.
    pub(super) fn renew(&mut self, id: u32, policy: &Policy) -> Option<&mut Kept> {
        self.elements.renew(id, policy)
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Kept> {
        self.elements.remove(id)
    }

    /// Selects at most `count` elements for a response, in its order, by the pool's policy; their identifiers, for
    /// [`Self::named`] and [`Self::emit`]. `random` gives 64 random bits at each call.
    pub fn select(&mut self, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.elements.select(count, random)
    }

    /// As [`Self::select`], but it is nobody's turn yet: for what was not asked for.
    pub fn peek(&mut self, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.elements.peek(count, random)
    }

    /// The elements with these identifiers.
    pub fn named<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = &'a Element> {
        self.elements.named(ids).map(|(_, kept)| kept.element())
    }

    /// Writes what a response says of the pool and of the elements with these identifiers: as many as fit. The policy
    /// is always there: rsplib's pool users cannot do without it.
    pub fn emit(&self, ids: &[u32], writer: &mut Writer) {
        self.handle.emit(writer);
        self.policy().emit(writer);
        writer.list(self.elements.named(ids), |(id, kept), w| kept.emit(id, w));
    }

    /// Asks the processor's cache for the elements that are next, without waiting for them.
    pub(super) fn prefetch(&self) {
        for kept in self.elements.next(3) {
            kept.prefetch();
        }
    }
}
