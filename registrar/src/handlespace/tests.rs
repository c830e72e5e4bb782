use super::*;
use std::collections::BTreeSet;

impl Handlespace {
    /// Every order says the same.
    pub(crate) fn check(&self) {
        let mut owned = BTreeSet::new();
        let mut count = 0;
        assert_eq!(self.by_handle.len(), self.pools.len());
        for (handle, number) in &self.by_handle {
            let pool = &self.pools[number];
            assert_eq!(pool.handle(), handle);
            assert!(pool.len() > 0, "an empty pool does not exist");
            count += pool.len();
            for element in pool.elements() {
                let key = ElementKey { pool: *number, id: element.id };
                owned.insert((element.owner, key));
                assert_eq!(self.expiry.get(key), element.expires);
                assert_eq!(element.policy.code(), pool.policy().code());
                assert_eq!(element.user.type_(), pool.transport().type_());
                assert_eq!(element.user.use_(), pool.transport().use_());
            }
            let turn: BTreeSet<u32> = pool.in_turn().map(|e| e.id).collect();
            assert_eq!(turn.len(), pool.in_turn().count(), "nobody is named twice");
            assert_eq!(turn.len(), pool.len(), "and nobody is left out");
        }
        assert_eq!(count, self.elements);
        assert_eq!(owned, self.owners.all());
        assert!(self.expiry.consistent());
    }
}
