//! Which of the usable addresses associations are to be at: by the roles and costs of their interfaces, by their age,
//! and not those that come and go.
//!
//! A machine without I/O: it is shown each view, and says in which order the addresses are to be used.
//!
//! - *Roles and costs*: primary interfaces before backups, among these the lower cost.
//! - *Age*: of equal ones the newest, since that is where the host is going; those that came together by metric. One that
//!   is better than those which are in use has to last for a while before it is returned to.
//! - *Flaps*: each loss of an address is a penalty that halves with time (as RFC 2439 has it for routes). Above a bound
//!   the address is used last, until its penalty has fallen below another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::config::{Agent, Role, Standby, Standing};
use crate::net::{LocalAddress, Unusable, View};

/// For one loss.
const PENALTY: f64 = 1000.0;
/// Above this an address is used last.
const SUPPRESS: f64 = 4000.0;
/// Below this it is again used as others are.
const REUSE: f64 = 1500.0;
/// No penalty is higher, so that none lasts for long.
const CEILING: f64 = 8000.0;

/// The usable addresses in the order in which they are to be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// All of them, the preferred first.
    pub usable: Vec<IpAddr>,
    /// Backups that are to be in associations beside the preferred one.
    pub warm: BTreeSet<IpAddr>,
    /// Backups that are to be in associations only while the preferred one is among them.
    pub cold: BTreeSet<IpAddr>,
    /// Addresses that were usable and are not because their link is dead.
    pub dead: BTreeSet<IpAddr>,
}

/// What is known of an address that is, or was, usable.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// When it became usable, and in which view; none: it is not.
    arrived: Option<(Instant, u64)>,
    penalty: f64,
    /// When the penalty was that.
    at: Instant,
    suppressed: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Preference {
    return_after: Duration,
    half_life: Duration,
    known: BTreeMap<IpAddr, Known>,
    /// How many views brought new addresses.
    arrivals: u64,
    wake: Option<Instant>,
}

/// What has become of an address that comes and goes. [`std::fmt::Display`] gives the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It comes and goes, and is used last from now on.
    Suppressed,
    /// It has been there for long enough.
    Reused,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Suppressed => "comes and goes: it is used last until it stays",
            Self::Reused => "stays: it is used as others are",
        })
    }
}

impl Preference {
    /// With the waiting times of the configuration.
    #[must_use]
    pub fn new(agent: &Agent) -> Self {
        Self {
            return_after: agent.return_after,
            half_life: agent.flap_half_life,
            known: BTreeMap::new(),
            arrivals: 0,
            wake: None,
        }
    }

    /// Takes in a view, or the passing of time; tells what has become of addresses that come and go.
    pub fn see(&mut self, now: Instant, view: &View) -> Vec<(IpAddr, Verdict)> {
        let usable: BTreeSet<IpAddr> = view.usable().map(|local| local.address).collect();
        let mut told = Vec::new();
        for (&address, known) in &mut self.known {
            known.decay(now, self.half_life);
            if known.arrived.is_some() && !usable.contains(&address) {
                known.arrived = None;
                if !self.half_life.is_zero() {
                    known.penalty = (known.penalty + PENALTY).min(CEILING);
                }
            }
            if !known.suppressed && known.penalty > SUPPRESS {
                known.suppressed = true;
                told.push((address, Verdict::Suppressed));
            } else if known.suppressed && known.penalty < REUSE {
                known.suppressed = false;
                told.push((address, Verdict::Reused));
            }
        }
        let mut news = false;
        for address in usable {
            let fresh = Known { arrived: None, penalty: 0.0, at: now, suppressed: false };
            let known = self.known.entry(address).or_insert(fresh);
            if known.arrived.is_none() {
                known.arrived = Some((now, self.arrivals + 1));
                news = true;
            }
        }
        self.arrivals += u64::from(news);
        let there: BTreeSet<IpAddr> = view.addresses.iter().map(|local| local.address).collect();
        self.known.retain(|address, known| known.penalty > 1.0 || there.contains(address));
        told
    }

    /// The order as of now.
    pub fn offer(&mut self, now: Instant, view: &View) -> Offer {
        let locals: Vec<&LocalAddress> = view.usable().collect();
        let waits: BTreeSet<IpAddr> = locals
            .iter()
            .filter(|local| self.waits(now, local, &locals))
            .map(|local| local.address)
            .collect();
        let mut ranked: Vec<_> = locals
            .iter()
            .map(|local| {
                let known = self.known.get(&local.address);
                let suppressed = known.is_some_and(|known| known.suppressed);
                let arrival = known.and_then(|known| known.arrived).map_or(0, |(_, view)| view);
                let backup = local.standing.role == Role::Backup;
                let newest = std::cmp::Reverse(arrival);
                let last = suppressed || waits.contains(&local.address);
                ((last, backup, local.standing.cost, newest, local.metric), *local)
            })
            .collect();
        ranked.sort_by_key(|(rank, local)| (*rank, local.address));
        self.wake = self.next_change(now, &waits);
        let backups = |standby| {
            let of = ranked.iter().filter(move |(_, local)| {
                local.standing.role == Role::Backup && local.standing.standby == standby
            });
            of.map(|(_, local)| local.address).collect()
        };
        // Those that no association can have are no news.
        let dead = |local: &&LocalAddress| {
            matches!(local.verdict, Err(Unusable::LinkDown | Unusable::NoCarrier))
                && self.known.contains_key(&local.address)
        };
        Offer {
            dead: view.addresses.iter().filter(dead).map(|local| local.address).collect(),
            warm: backups(Standby::Warm),
            cold: backups(Standby::Cold),
            usable: ranked.iter().map(|(_, local)| local.address).collect(),
        }
    }

    /// When the order may change although nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether an address is better than another that is in use, and too young to be returned to.
    fn waits(&self, now: Instant, local: &LocalAddress, all: &[&LocalAddress]) -> bool {
        let since = |address| self.known.get(&address).and_then(|known| known.arrived).map(|(at, _)| at);
        let Some(arrived) = since(local.address) else { return false };
        let rank = |standing: Standing| (standing.role, standing.cost);
        let worse = |other: &&&LocalAddress| {
            rank(other.standing) > rank(local.standing)
                && other.address.is_ipv4() == local.address.is_ipv4()
                && since(other.address).is_some_and(|at| at < arrived)
        };
        now < arrived + self.return_after && all.iter().any(|other| worse(&other))
    }

    fn next_change(&self, now: Instant, waits: &BTreeSet<IpAddr>) -> Option<Instant> {
        let returns = waits.iter().filter_map(|address| {
            let (arrived, _) = self.known.get(address)?.arrived?;
            Some(arrived + self.return_after)
        });
        let reused = self.known.values().filter(|known| known.suppressed).map(|known| {
            let halves = (known.penalty / REUSE).log2().max(0.0);
            // A little later than computed, so that it is below the bound then.
            known.at + self.half_life.mul_f64(halves) + Duration::from_millis(1)
        });
        returns.chain(reused).min().map(|at| at.max(now + Duration::from_millis(1)))
    }
}

impl Known {
    fn decay(&mut self, now: Instant, half_life: Duration) {
        let passed = now.duration_since(self.at).as_secs_f64();
        if !half_life.is_zero() {
            self.penalty *= 0.5f64.powf(passed / half_life.as_secs_f64());
        }
        self.at = now;
    }
}

#[cfg(test)]
mod tests;
