//! Elements by the association that owns them.

use super::slots::InSlot;
use crate::Association;
use crate::numbered::Numbered;

/// The elements of one owner. Nearly all have one, for which a list would cost more than the element.
#[derive(Clone, Debug)]
enum Owned {
    One(InSlot),
    /// In no order. Every element knows its place here, so that it is taken out without a search.
    More(Vec<InSlot>),
}

impl Owned {
    fn elements(&self) -> &[InSlot] {
        match self {
            Self::One(element) => std::slice::from_ref(element),
            Self::More(elements) => elements,
        }
    }
}

/// Elements by owner. Those that are registered at another registrar are not in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners(Numbered<Association, Owned>);

impl Owners {
    /// Takes in an element that no owner has; its place among those of its owner.
    pub(super) fn insert(&mut self, owner: Option<Association>, element: InSlot) -> u32 {
        let Some(owner) = owner else { return 0 };
        let Some(owned) = self.0.get_mut(&owner) else {
            self.0.insert(owner, Owned::One(element));
            return 0;
        };
        match owned {
            Owned::One(one) => {
                *owned = Owned::More(vec![*one, element]);
                1
            }
            Owned::More(elements) => {
                elements.push(element);
                // Memory ends long before the numbers do.
                u32::try_from(elements.len() - 1).unwrap_or(u32::MAX)
            }
        }
    }

    /// Takes out the element at a place among those of its owner. Another one that is to know that it has this place
    /// from now on is given back.
    pub(super) fn remove(&mut self, owner: Option<Association>, at: u32) -> Option<InSlot> {
        let owner = owner?;
        let owned = self.0.get_mut(&owner)?;
        let Owned::More(elements) = owned else {
            self.0.remove(&owner);
            return None;
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if at >= elements.len() {
            return None;
        }
        elements.swap_remove(at);
        let moved = elements.get(at).copied();
        match elements[..] {
            [last] => *owned = Owned::One(last),
            _ if elements.len() < elements.capacity() / 4 => elements.shrink_to(elements.len() * 2),
            _ => {}
        }
        moved
    }

    /// In no order.
    pub(super) fn of(&self, owner: Association) -> impl Iterator<Item = InSlot> {
        self.0.get(&owner).map_or(&[][..], Owned::elements).iter().copied()
    }

    pub(super) fn count(&self, owner: Association) -> usize {
        self.0.get(&owner).map_or(0, |owned| owned.elements().len())
    }

    /// All of them, each with its place. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> std::collections::BTreeSet<(Association, InSlot, u32)> {
        assert!(self.0.values().all(|owned| !matches!(owned, Owned::More(keys) if keys.len() < 2)));
        let of = |owner: &Association| {
            self.of(*owner).zip(0..).map(|(element, at)| (*owner, element, at)).collect()
        };
        self.0.keys().flat_map(|owner| -> Vec<_> { of(owner) }).collect()
    }
}
