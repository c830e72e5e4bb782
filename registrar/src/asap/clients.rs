//! The associations there are, by their numbers.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::service::Client;
use crate::Association;
use crate::numbered::Numbered;

/// What is known of each association: found with each message, gone through in order now and then.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    clients: Numbered<Association, Client>,
    order: BTreeSet<Association>,
}

impl Clients {
    pub(super) fn get(&self, association: &Association) -> Option<&Client> {
        self.clients.get(association)
    }

    pub(super) fn get_mut(&mut self, association: &Association) -> Option<&mut Client> {
        self.clients.get_mut(association)
    }

    pub(super) fn contains_key(&self, association: &Association) -> bool {
        self.clients.contains_key(association)
    }

    pub(super) fn insert(&mut self, association: Association, client: Client) {
        self.clients.insert(association, client);
        self.order.insert(association);
    }

    pub(super) fn remove(&mut self, association: &Association) -> Option<Client> {
        self.order.remove(association);
        self.clients.remove(association)
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// In order of their numbers.
    pub(super) fn keys(&self) -> impl ExactSizeIterator<Item = Association> {
        self.order.iter().copied()
    }

    /// Those after this one, in order of their numbers; `None`: all.
    pub(super) fn after(&self, after: Option<Association>) -> impl Iterator<Item = Association> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.order.range((from, Bound::Unbounded)).copied()
    }
}
