//! When nothing goes wrong any more: how long it takes until all is whole, and that it stays so.

use std::collections::BTreeSet;

use super::super::{SECOND, Time};
use super::shape::{Acquaintance, Shape};
use super::watch::GLANCE;
use super::world::World;

/// Within this time of the last that goes wrong, everything is whole.
const QUIET: Time = 40 * SECOND;

/// How long it is watched that nothing changes any more.
pub(super) const PROOF: Time = 10 * SECOND;

impl World {
    /// Nothing goes wrong any more, though the network may be in parts. Everything is whole soon, and stays so.
    pub(super) fn rest(&mut self, shape: &Shape, proof: Time) -> Time {
        self.net.loss = 0;
        self.watch.everywhere = self.now();
        let hosts = 0..self.nodes.len() + self.stations.len();
        let stalled = hosts.map(|host| self.net.stalled_until(host)).max().unwrap_or(0);
        let begin = stalled.max(self.now());
        self.note(|| "nothing goes wrong any more".to_owned());
        self.pass(begin - self.now());
        let groups = self.groups_to_agree(shape);
        let quiet = self.quiet();
        let every = if shape.elements > 1000 { 5 * SECOND } else { GLANCE };
        loop {
            let whole = self.are_whole(&groups);
            let took = self.now() - begin;
            let wrong = match whole {
                Ok(agreed) => {
                    self.note(|| format!("all is whole after {:.1} s", took as f64 / 1e6));
                    if proof == 0 || groups != [0] {
                        return took;
                    }
                    match self.stays(agreed, proof) {
                        Some(what) => format!("not for long: {what}"),
                        None => return took,
                    }
                }
                Err(what) => {
                    self.pass(every);
                    what
                }
            };
            if self.now() - begin > quiet + proof {
                let quiet = quiet / SECOND;
                self.violation(|| format!("not whole {quiet} s after the last that went wrong: {wrong}"));
            }
            if self.wrong.is_some() {
                return 0;
            }
        }
    }

    /// How long it may take until all is whole. Registrars of very many elements ask each of them less often: one that is
    /// gone is known by then, if all of them are one registrar's.
    fn quiet(&self) -> Time {
        let in_a_second = u64::from(self.nodes[0].asap.keep_alives_per_second);
        QUIET + self.facts.len() as u64 * SECOND / in_a_second * 3 / 2
    }

    /// The homes on which all of each of these groups agree.
    fn are_whole(&self, groups: &[u8]) -> Result<Vec<u32>, String> {
        let mut agreed = vec![0; self.facts.len()];
        for group in groups {
            let homes = self.is_whole(*group)?;
            agreed.iter_mut().zip(homes).for_each(|(all, home)| *all |= home);
        }
        Ok(agreed)
    }

    /// Nothing changes any more; if it does, what. All that is said is what it takes to know that all is well.
    fn stays(&mut self, agreed: Vec<u32>, proof: Time) -> Option<String> {
        self.freeze(Some(agreed));
        let (begin, sent) = (self.now(), self.net.sent);
        while self.now() - begin < proof && self.wrong.is_none() && self.stirred().is_none() {
            self.pass(GLANCE.min(begin + proof - self.now()));
        }
        let stirred = self.stirred().map(str::to_owned);
        self.freeze(None);
        if stirred.is_some() || self.wrong.is_some() {
            return stirred;
        }
        self.is_calm(self.net.sent - sent, proof);
        self.is_whole(0).err()
    }

    /// What was sent is what it takes to know that all is well, and no more.
    fn is_calm(&mut self, sent: u64, time: Time) {
        let (registrars, elements) = (self.living(0).len() as u64, self.facts.len() as u64);
        let seconds = time / SECOND;
        let heartbeats = 3 * registrars * registrars * seconds;
        // A keep-alive and its answer; a renewal, its answer, and what peers are told of it.
        let alive = elements * (2 * seconds + (2 + registrars) * (seconds / 5 + 1));
        let polls = self.stations.len() as u64 * 10 * seconds;
        let most = heartbeats + alive + polls;
        if sent > most {
            self.violation(|| format!("{sent} messages in {seconds} s of quiet, more than {most}"));
        }
    }

    /// The groups in which all can find each other: those with a registrar, that know of each other.
    fn groups_to_agree(&self, shape: &Shape) -> Vec<u8> {
        let groups: BTreeSet<u8> =
            (0..self.nodes.len() + self.stations.len()).map(|host| self.net.group(host)).collect();
        let find_each_other = |group: &u8| {
            let living = self.living(*group);
            match shape.acquaintance {
                _ if shape.some_listed => living.contains(&0),
                Acquaintance::First => living.len() == 1 || living.contains(&0),
                _ => !living.is_empty(),
            }
        };
        groups.into_iter().filter(find_each_other).collect()
    }
}
