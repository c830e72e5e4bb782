//! What has to hold at every step. Only what a step has touched is looked at; everything is looked at now and then.
//!
//! - **An owner is real**: who owns an element in a registrar's books is an association that it was told of and has
//!   not lost, with the element's host at its other end, and the registrar is then the element's home.
//! - **Nobody rises from the dead**: an element that is no more, and that no registrar has had for a while, does not
//!   appear again.
//! - **Nobody is forgotten**: a registrar does not take out an element that lives, with which it has an association,
//!   and between whom and it nothing was wrong for a while.
//! - **Quiet is quiet**: soon after the last that went wrong all agree, and then nothing changes any more.
//! - **Sums are right**: a registrar's checksum is that of the elements in its books; and once nothing changes any more,
//!   that is what its peers are told.

use std::collections::BTreeMap;

use roam_registrar::asap::Why;
use roam_registrar::enrp::wire::{Body, MessageType, decode};
use roam_registrar::handlespace::ChecksumSum;

use super::super::{MS, SECOND, Time};
use super::network::{Host, LOSS};
use super::world::World;

/// The longest that a program stands still.
pub(super) const LONGEST_STALL: Time = 8 * SECOND;

/// How long a message may be under way: it waits for a stalled program, or for lost packets.
const UNDER_WAY: Time = LONGEST_STALL + 2 * LOSS;

/// How long after trouble with a host its elements may still be lost by it: a keep-alive was under way, and its answer.
const AFTERMATH: Time = 10 * SECOND + UNDER_WAY;

/// How often all of a registrar's books are looked at, in steps: not more often than there are elements, so that large
/// books cost each step no more than small ones.
const STEPS: u64 = 2_000;

/// What is known of who knows whom.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// For each registrar, the elements in its books: a bit for each.
    known: Vec<Vec<u64>>,
    /// How many registrars know each element, and since when none does.
    holders: Vec<(u16, Time)>,
    /// When something was last wrong with each host, and with all of them.
    trouble: Vec<Time>,
    pub(super) everywhere: Time,
    /// In quiet: the home of each element, 0 for none. Nothing may change.
    agreed: Option<Vec<u32>>,
    /// What has changed all the same.
    stirred: Option<String>,
    steps: u64,
    /// How often something was looked at.
    pub(super) looks: u64,
}

impl Watch {
    pub(super) fn new(registrars: usize, hosts: usize) -> Self {
        Self { known: vec![Vec::new(); registrars], trouble: vec![0; hosts], ..Self::default() }
    }

    pub(super) fn add_element(&mut self) {
        self.holders.push((0, 0));
    }

    fn knows(&self, node: usize, number: usize) -> bool {
        self.known[node].get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Says whether it was another before, and whether nobody knew the element, and since when.
    fn set(&mut self, now: Time, node: usize, number: usize, knows: bool) {
        let words = &mut self.known[node];
        if words.len() <= number / 64 {
            words.resize(number / 64 + 1, 0);
        }
        words[number / 64] ^= 1 << (number % 64);
        let (count, since) = &mut self.holders[number];
        if knows {
            *count += 1;
        } else {
            *count -= 1;
            *since = now;
        }
    }
}

impl World {
    /// Something is wrong with a host at the moment.
    pub(super) fn trouble(&mut self, host: Host) {
        self.watch.trouble[host] = self.net.now;
    }

    /// Since when nothing is wrong with two hosts.
    fn calm_since(&self, one: Host, other: Host) -> Time {
        let stalled = |host| self.net.stalled_until(host);
        let trouble = |host: Host| self.watch.trouble[host].max(stalled(host));
        let lossy = if self.net.loss > 0 { self.net.now } else { self.watch.everywhere };
        trouble(one).max(trouble(other)).max(lossy)
    }

    /// A registrar has nothing in its memory any more.
    pub(super) fn forget_node(&mut self, node: usize) {
        self.nodes[node].links.clear();
        let now = self.net.now;
        for number in 0..self.facts.len() {
            if self.watch.knows(node, number) {
                self.watch.set(now, node, number, false);
            }
        }
    }

    /// A step may have touched this element in the books of a registrar.
    pub(super) fn look(&mut self, node: usize, id: u32) {
        let Some(number) = self.numbers.get(&id).copied() else {
            return self
                .violation(|| format!("registrar {node} has heard of element {id:#x}, which never was"));
        };
        self.watch.looks += 1;
        let (now, own) = (self.net.now, self.id_of(node));
        let fact = &self.facts[number];
        let Some(machine) = &self.nodes[node].machine else { return };
        let kept = machine.handlespace().pool(&self.pools[fact.pool]).and_then(|pool| pool.element(id));
        let kept = kept.map(|kept| (kept.home, kept.owner));
        let (wanted, since, host) = (fact.wanted, fact.since, fact.host);
        if kept.is_some() != self.watch.knows(node, number) {
            let (holders, absent) = self.watch.holders[number];
            if kept.is_some() && !wanted && holders == 0 && now.saturating_sub(since.max(absent)) > UNDER_WAY
            {
                self.violation(|| {
                    format!("element {id:#x} is gone, no registrar has had it for long, and registrar {node} has it")
                });
            }
            self.watch.set(now, node, number, kept.is_some());
        }
        if let Some((home, Some(owner))) = kept {
            let at = self.nodes[node].links.get(&owner.0).copied();
            if home != own || at != Some(host) {
                self.violation(|| {
                    format!(
                        "registrar {node} ({own:#x}) has element {id:#x} of home {home:#x} owned by association \
                         {owner}, whose other end is {at:?}, not {host}"
                    )
                });
            }
        }
        if let Some(agreed) = &self.watch.agreed {
            let home = agreed[number];
            if self.net.group(node) == self.net.group(host) && kept.map_or(0, |(home, _)| home) != home {
                let what = format!(
                    "all agreed that {home:#x} is home of element {id:#x}, and registrar {node} has {kept:?}"
                );
                self.note(|| what.clone());
                self.watch.stirred.get_or_insert(what);
            }
        }
    }

    /// A registrar hears what another announces.
    pub(super) fn announced(&mut self, node: usize, bytes: &[u8]) {
        if self.watch.agreed.is_none() || bytes.first() != Some(&MessageType::PRESENCE.0) {
            return;
        }
        let Ok(decoded) = decode(bytes) else { return };
        let Body::Presence { checksum: Some(announced), .. } = decoded.message.body else { return };
        let sender = decoded.message.sender;
        let Some(other) = (0..self.nodes.len()).find(|other| self.id_of(*other) == sender) else { return };
        let Some(machine) = &self.nodes[other].machine else { return };
        let sum = machine.handlespace().checksum(sender);
        if announced != sum {
            let what = format!(
                "registrar {node} hears checksum {announced:#06x} of {sender:#x}, whose books have {sum:#06x}"
            );
            self.note(|| what.clone());
            self.watch.stirred.get_or_insert(what);
        }
    }

    /// A registrar has taken an element out.
    pub(super) fn removed(&mut self, node: usize, id: u32, why: Why) {
        let Some(number) = self.numbers.get(&id).copied() else { return };
        let (wanted, since, host) =
            (self.facts[number].wanted, self.facts[number].since, self.facts[number].host);
        let Some(station) = self.station_at(host) else { return };
        let calm = self.calm_since(node, host).max(since);
        let lives = wanted && self.stations[station].machine.is_some() && self.net.place(host).is_some();
        let in_reach = self.net.group(node) == self.net.group(host);
        let is_home = self.stations[station].home == Some(node);
        let own_doing = matches!(why, Why::Deregistered | Why::OwnerLost);
        if lives && in_reach && is_home && !own_doing && self.net.now.saturating_sub(calm) > AFTERMATH {
            self.violation(|| {
                format!("registrar {node} takes out element {id:#x}, which lives there: {why}")
            });
        }
    }

    /// A registration was refused: nothing here gives reason to.
    pub(super) fn rejected(&mut self, station: usize, id: u32, why: &str) {
        self.violation(|| format!("element {id:#x} of station {station} is refused: {why}"));
    }

    /// From now on nothing may change: each element has the home on which all agree.
    pub(super) fn freeze(&mut self, agreed: Option<Vec<u32>>) {
        (self.watch.agreed, self.watch.stirred) = (agreed, None);
    }

    /// What has changed since all agreed.
    pub(super) fn stirred(&self) -> Option<&str> {
        self.watch.stirred.as_deref()
    }

    /// Looks at everything in one registrar's books, now and then.
    pub(super) fn sample(&mut self) {
        self.watch.steps += 1;
        let pause = STEPS.max(self.facts.len() as u64);
        if self.watch.steps.is_multiple_of(pause) {
            let node = usize::try_from(self.watch.steps / pause).unwrap_or(0) % self.nodes.len();
            self.scan(node, true);
        }
    }

    /// Looks at everything in a registrar's books. What has changed unnoticed, and was not to (`strict`), is wrong.
    pub(super) fn scan(&mut self, node: usize, strict: bool) {
        let Some(machine) = &self.nodes[node].machine else { return };
        let space = machine.handlespace();
        let mut sums: BTreeMap<u32, ChecksumSum> = BTreeMap::new();
        let mut bits = vec![0_u64; self.facts.len().div_ceil(64)];
        let (mut count, mut stranger) = (0, None);
        for pool in space.pools() {
            for element in pool.elements() {
                count += 1;
                sums.entry(element.home).or_default().add(ChecksumSum::of(pool.handle(), element.id));
                match self.numbers.get(&element.id) {
                    Some(number) => bits[number / 64] |= 1 << (number % 64),
                    None => stranger = Some(element.id),
                }
            }
        }
        let announced: BTreeMap<u32, u16> = space.homes().map(|home| (home, space.checksum(home))).collect();
        let made: BTreeMap<u32, u16> = sums.into_iter().map(|(home, sum)| (home, sum.fold())).collect();
        let length = space.len();
        if announced != made || count != length || stranger.is_some() {
            self.violation(|| {
                format!(
                    "the books of registrar {node} are not in order: {count} elements, says {length}; checksums \
                     {made:x?}, says {announced:x?}; strange element {stranger:x?}"
                )
            });
        }
        let mut different = Vec::new();
        for (place, word) in bits.iter().enumerate() {
            let mut change = word ^ self.watch.known[node].get(place).copied().unwrap_or(0);
            while change != 0 {
                different.push(place * 64 + change.trailing_zeros() as usize);
                change &= change - 1;
            }
        }
        for number in different {
            let id = self.facts[number].id;
            if strict {
                self.violation(|| {
                    format!("registrar {node} has changed its mind on element {id:#x} in silence")
                });
            }
            self.look(node, id);
        }
    }
}

/// How often it is looked whether all is whole.
pub(super) const GLANCE: Time = 500 * MS;
