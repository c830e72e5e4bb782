//! What one daemon leaves to the next.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use super::Planner;
use crate::handover::families::Families;
use crate::handover::make_before_break::ABORTS_LINGER;
use crate::handover::own::Own;
use crate::handover::types::{Binding, Facts, Identity, Tuning};
use crate::translate::Rule;

/// What of a planner has to outlive its daemon, so that the next one can carry on in the middle of a handover.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Addresses held on lo.
    pub held: BTreeSet<IpAddr>,
    /// Rules installed.
    pub rules: BTreeSet<Rule>,
    /// Own addresses that the peer has accepted. Others that the association has may be on their way.
    pub confirmed: BTreeSet<IpAddr>,
    /// Own addresses whose deletion was asked for.
    pub deleting: BTreeSet<IpAddr>,
    /// Own addresses whose deletion was refused.
    pub kept: BTreeSet<IpAddr>,
    /// Own addresses whose addition was refused.
    pub refused: BTreeSet<IpAddr>,
    /// Own addresses that the association leaves once the one works to which it moves.
    pub leaving: BTreeSet<IpAddr>,
    /// A wildcard socket reacts to address events.
    pub events: bool,
    /// Where the peer answered, if the kernel does not know that address.
    pub peer_at: Option<IpAddr>,
    /// The primary path of a family that the host has lost, and what is primary instead.
    pub led: Option<(IpAddr, IpAddr)>,
}

impl Planner {
    /// A planner that carries on where an earlier daemon stopped. Which of that daemon's last actions were carried
    /// out is not known, so they are asked for again; all of them may be.
    #[must_use]
    pub fn resume(now: Instant, identity: Identity, facts: Facts, tuning: Tuning, saved: Saved) -> Self {
        let mut planner = Self::new(now, identity, facts, tuning);
        let all = planner.facts.local.clone();
        let states = [
            (&all, Own::Adding),
            (&saved.confirmed, Own::Confirmed),
            (&saved.deleting, Own::Deleting(now)),
            (&saved.kept, Own::Kept),
            (&saved.refused, Own::Refused),
        ];
        for (addresses, state) in states {
            for &address in addresses.iter().filter(|address| planner.facts.local.contains(address)) {
                planner.own.set(address, state);
            }
        }
        for &address in saved.deleting.iter().chain(&saved.kept) {
            planner.own.may_have_been_asked_to_go(address);
        }
        // What was sent on its way before, from wherever, may still be answered.
        planner.deaf_to_aborts = Some(now + ABORTS_LINGER);
        planner.held = saved.held;
        planner.leaving = saved.leaving;
        if planner.identity.translate {
            planner.rules = saved.rules;
            planner.rules_shown = false;
        }
        planner.timers = None;
        planner.events = saved.events;
        if planner.identity.binding == Binding::Wildcard && saved.events {
            planner.events_off("what the earlier daemon waited for is not known");
        }
        if let Some(peer) = saved.peer_at {
            planner.rendezvous.prove(peer);
        }
        planner.families = Families::resumed(saved.led, &planner.facts);
        planner
    }

    /// What the next daemon needs to carry on; the default, if it needs nothing.
    #[must_use]
    pub fn saved(&self) -> Saved {
        let those = |wanted: fn(Own) -> bool| {
            self.own.all().filter(|&(_, state)| wanted(state)).map(|(address, _)| address).collect()
        };
        let saved = Saved {
            held: self.held.clone(),
            rules: self.rules.clone(),
            confirmed: those(|state| state == Own::Confirmed),
            deleting: those(|state| matches!(state, Own::Deleting(_))),
            kept: those(|state| state == Own::Kept),
            refused: those(|state| state == Own::Refused),
            leaving: self.leaving.clone(),
            events: self.events,
            peer_at: self.rendezvous.proven(),
            led: self.families.led(),
        };
        // Of a settled association nothing has to be known.
        if (Saved { confirmed: BTreeSet::new(), ..saved.clone() }) == Saved::default()
            && self.own.all().all(|(_, state)| state == Own::Confirmed)
        {
            return Saved::default();
        }
        saved
    }
}
