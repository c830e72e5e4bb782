//! How much the handlespace may hold.

use asap_client::wire::PoolHandle;

use super::{Handlespace, Pool};

/// Bounds on the handlespace as a whole. Every one holds for all pools, whoever filled them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Pools.
    pub pools: usize,
    /// Elements of one pool.
    pub elements_per_pool: usize,
    /// Octets of all pool handles together: so a handle may be long, and memory is bounded nevertheless.
    pub handle_octets: usize,
}

impl Handlespace {
    /// Whether one more element of this identifier has room in this pool, which need not be there. An element that is
    /// there has.
    pub fn has_room(&self, handle: &PoolHandle, id: u32, bounds: &Bounds) -> bool {
        let pool = self.pool(handle);
        pool.is_some_and(|pool| pool.element(id).is_some()) || self.has_room_for_new(pool, handle, bounds)
    }

    /// As [`Self::has_room`], for an element that is not there, where the pool was looked for before.
    pub fn has_room_for_new(&self, pool: Option<&Pool>, handle: &PoolHandle, bounds: &Bounds) -> bool {
        match pool {
            Some(pool) => pool.len() < bounds.elements_per_pool,
            None => {
                let octets = self.handle_octets + handle.as_bytes().len();
                self.pool_count() < bounds.pools && octets <= bounds.handle_octets
            }
        }
    }

    /// Octets of all pool handles together.
    pub fn handle_octets(&self) -> usize {
        self.handle_octets
    }
}
