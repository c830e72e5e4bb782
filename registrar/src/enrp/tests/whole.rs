//! What has to hold when everything is right again.

use super::cluster::{Cluster, pool};

impl Cluster {
    /// Every registrar that lives knows exactly the elements that live, each with the home that it has itself, and
    /// agrees with each peer about what it owns.
    pub(super) fn assert_whole(&self, what: &str) {
        let living: Vec<_> = self.nodes.iter().filter_map(|node| node.registrar.as_ref()).collect();
        for registrar in &living {
            let space = registrar.handlespace();
            space.check();
            let me = registrar.enrp().settings().server;
            let known: Vec<_> = space.pools().flat_map(|pool| pool.elements()).collect();
            let wanted: Vec<_> = self.elements.iter().filter(|element| element.is_wanted()).collect();
            for element in &wanted {
                let kept = known.iter().find(|kept| kept.id == element.id);
                let kept =
                    kept.unwrap_or_else(|| panic!("{what}: {:#x} is forgotten at {me:#x}", element.id));
                let home = element.home.map(|(number, _)| self.nodes[number].id);
                assert_eq!(Some(kept.home), home, "{what}: home of {:#x} at {me:#x}", element.id);
                let owner = kept.owner.map(|owner| owner.0);
                let link = element.home.map(|(_, link)| link).filter(|_| kept.home == me);
                assert_eq!(owner, link, "{what}: owner of {:#x} at {me:#x}", element.id);
            }
            for kept in &known {
                let lives = wanted.iter().any(|element| element.id == kept.id);
                assert!(lives, "{what}: {:#x} is dead and still at {me:#x}", kept.id);
            }
            for other in &living {
                let id = other.enrp().settings().server;
                let (ours, theirs) = (space.checksum(id), other.handlespace().checksum(id));
                assert_eq!(ours, theirs, "{what}: {me:#x} and {id:#x} disagree");
            }
            assert_eq!(registrar.enrp().peers().count(), living.len() - 1, "{what}: peers of {me:#x}");
        }
    }

    /// The home that a registrar has in its books for an element.
    pub(super) fn home_of(&self, at: usize, element: usize) -> Option<u32> {
        let space = self.at(at).handlespace();
        Some(space.pool(&pool())?.element(self.elements[element].id)?.home)
    }
}
