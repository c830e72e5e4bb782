//! What has to hold once nothing goes wrong any more, among hosts that reach each other.

use std::collections::{BTreeMap, HashMap};

use super::network::Host;
use super::station::SERVICE;
use super::world::World;

/// What a registrar knows of an element that all have to agree on.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    home: usize,
    station: usize,
}

impl World {
    /// The registrars of a group that run.
    pub(super) fn living(&self, group: u8) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| self.nodes[*node].machine.is_some() && self.net.group(*node) == group)
            .collect()
    }

    /// Whether a host's program runs, in a network, in this group.
    fn is_there(&self, host: Host, group: u8) -> bool {
        let runs = self.station_at(host).is_some_and(|station| self.stations[station].machine.is_some());
        runs && self.net.place(host).is_some() && self.net.group(host) == group
    }

    /// Every registrar of a group knows exactly the elements that live there, each as it is and with the home that it
    /// has itself; they agree with each other on what each of them owns; every pool user knows what they know.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn is_whole(&self, group: u8) -> Result<Vec<u32>, String> {
        let living = self.living(group);
        let mut expected: HashMap<usize, Expected> = HashMap::new();
        let mut agreed = vec![0; self.facts.len()];
        for (number, fact) in self.facts.iter().enumerate() {
            if !fact.wanted || !self.is_there(fact.host, group) {
                continue;
            }
            let Some(station) = self.station_at(fact.host) else { continue };
            let home = self.stations[station].home.filter(|home| living.contains(home));
            let home = home.ok_or_else(|| format!("station {station} has no home that lives"))?;
            agreed[number] = self.id_of(home);
            expected.insert(number, Expected { home, station });
        }
        for node in &living {
            self.node_agrees(*node, &living, &expected, &agreed)?;
        }
        for station in 0..self.stations.len() {
            if self.is_there(self.host(station), group) {
                self.station_agrees(station, &expected)?;
            }
        }
        Ok(agreed)
    }

    fn node_agrees(
        &self,
        node: usize,
        living: &[usize],
        expected: &HashMap<usize, Expected>,
        agreed: &[u32],
    ) -> Result<(), String> {
        let Some(machine) = &self.nodes[node].machine else { return Ok(()) };
        let own = self.id_of(node);
        if !machine.enrp().is_ready() {
            return Err(format!("registrar {node} ({own:#x}) is not in service"));
        }
        let space = machine.handlespace();
        let mut found = 0;
        for pool in space.pools() {
            for kept in pool.elements() {
                let id = kept.id;
                let number = self.numbers.get(&id).copied();
                let Some((number, Expected { home, station })) =
                    number.and_then(|number| Some((number, expected.get(&number)?)))
                else {
                    return Err(format!("registrar {node} ({own:#x}) has element {id:#x}, which is gone"));
                };
                found += 1;
                let fact = &self.facts[number];
                let wrong =
                    |what: String| Err(format!("element {id:#x} at registrar {node} ({own:#x}): {what}"));
                if kept.home != agreed[number] {
                    return wrong(format!("home {:#x}, not {:#x}", kept.home, agreed[number]));
                }
                let here = self.addresses(fact.host);
                if kept.user.addresses() != here
                    || kept.user.port() != Some(SERVICE)
                    || kept.policy != fact.policy
                {
                    return wrong(format!(
                        "{:?} {:?}, not {here:?} {:?}",
                        kept.user, kept.policy, fact.policy
                    ));
                }
                if *pool.handle() != self.pools[fact.pool] {
                    return wrong(format!("in pool {}", pool.handle()));
                }
                let owned = kept.owner.is_some_and(|owner| {
                    self.net.is_whole(owner.0) && self.stations[*station].names.contains_key(&owner.0)
                });
                if owned != (*home == node) || kept.owner.is_some() != owned {
                    return wrong(format!("owner {:?}", kept.owner));
                }
            }
        }
        if found != expected.len() {
            let missing = expected.keys().map(|number| &self.facts[*number]).find(|fact| {
                space.pool(&self.pools[fact.pool]).and_then(|pool| pool.element(fact.id)).is_none()
            });
            return Err(format!("registrar {node} ({own:#x}) has forgotten {missing:x?}"));
        }
        for other in living {
            let id = self.id_of(*other);
            let theirs =
                self.nodes[*other].machine.as_ref().map(|machine| machine.handlespace().checksum(id));
            if Some(space.checksum(id)) != theirs {
                return Err(format!("registrars {node} and {other} disagree on the checksum of {id:#x}"));
            }
        }
        let peers: Vec<u32> = machine.enrp().peers().map(|peer| peer.id).collect();
        let mut ids: Vec<u32> =
            living.iter().filter(|other| **other != node).map(|other| self.id_of(*other)).collect();
        ids.sort_unstable();
        if peers != ids {
            return Err(format!("registrar {node} ({own:#x}) has peers {peers:x?}, not {ids:x?}"));
        }
        Ok(())
    }

    /// Whether a station's users know the pools that they subscribe to, whoever reaches whom.
    pub(super) fn knows_all(&self, station: usize) -> Result<(), String> {
        let facts = self.facts.iter().enumerate().filter(|(_, fact)| fact.wanted);
        let expected = facts.map(|(number, _)| (number, Expected { home: 0, station })).collect();
        self.station_agrees(station, &expected)
    }

    fn station_agrees(&self, station: usize, expected: &HashMap<usize, Expected>) -> Result<(), String> {
        let it = &self.stations[station];
        let Some(machine) = &it.machine else { return Ok(()) };
        for pool in &it.subscribed {
            let handle = &self.pools[*pool];
            let Some((_, answer)) = machine.cached(handle) else {
                return Err(format!("station {station} does not know anything of pool {handle}"));
            };
            let mut known: BTreeMap<u32, _> =
                answer.elements.iter().map(|element| (element.id, element)).collect();
            for number in expected.keys().filter(|number| self.facts[**number].pool == *pool) {
                let fact = &self.facts[*number];
                let as_it_is = known.remove(&fact.id).is_some_and(|element| {
                    element.policy == fact.policy && element.user.addresses() == self.addresses(fact.host)
                });
                if !as_it_is {
                    return Err(format!("station {station} does not know element {:#x} as it is", fact.id));
                }
            }
            if let Some(id) = known.keys().next() {
                return Err(format!("station {station} believes in element {id:#x}, which is gone"));
            }
        }
        let (links, ports) = (self.net.open_at(self.host(station)), it.ports.len());
        // One for its elements and one for its users; and each may keep a port for when it looks for another home.
        // Registrars that are not listed have theirs with its elements while they think that they are home.
        let asked = self.nodes.len() - it.listed.len();
        if links > 2 + asked || ports > 4 || it.links.len() > 2 + asked {
            return Err(format!("station {station} has {links} associations and {ports} ports"));
        }
        Ok(())
    }
}
