//! What the planner promises, one test each; here the world that they share.

#![expect(clippy::disallowed_methods, reason = "one clock reading is the origin of each test's own time")]

mod backlog;
mod backups;
mod daemon;
mod families;
mod hold;
mod make_before_break;
mod rendezvous;
mod swap;
mod wildcard;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::translate::{Pair, Rule};

const PAIR: Pair = Pair { local_port: 7001, peer_port: 7000 };

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn old() -> IpAddr {
    ip("10.1.0.2")
}
fn new() -> IpAddr {
    ip("10.2.0.2")
}
fn third() -> IpAddr {
    ip("10.5.0.2")
}
fn peer() -> IpAddr {
    ip("10.3.0.2")
}
fn moved_peer() -> IpAddr {
    ip("10.4.0.2")
}

/// A planner, its clock, and a kernel that does at once what it is asked for.
struct Host {
    planner: Planner,
    now: Instant,
    serial: u32,
    local: BTreeSet<IpAddr>,
    peers: Vec<(IpAddr, PathState)>,
    rules: BTreeSet<Rule>,
    unacknowledged: bool,
    /// SACKs received, and the gaps that they told of.
    sacks: (u64, u64),
    /// The path that the peer prefers; none: the first.
    primary: Option<IpAddr>,
    actions: Vec<Action>,
}

impl Host {
    fn at(locals: &[IpAddr], binding: Binding) -> Self {
        Self::with(locals, binding, |_| {})
    }

    fn with(locals: &[IpAddr], binding: Binding, change: impl FnOnce(&mut Identity)) -> Self {
        let mut identity = Identity { pair: PAIR, binding, may_mute: false, translate: true };
        change(&mut identity);
        let local: BTreeSet<_> = locals.iter().copied().collect();
        let peers = vec![(peer(), PathState::Active)];
        let facts = Facts {
            local: local.clone(),
            peers: peers.clone(),
            primary: Some(peer()),
            unacknowledged: false,
            sacks: 0,
            gaps: 0,
        };
        let now = Instant::now() + Duration::from_secs(1000);
        let planner = Planner::new(now, identity, facts, Tuning::default());
        let mut host = Self {
            planner,
            now,
            serial: 1,
            local,
            peers,
            rules: BTreeSet::new(),
            unacknowledged: false,
            sacks: (0, 0),
            primary: None,
            actions: Vec::new(),
        };
        host.usable(locals);
        host.settle();
        host.actions.clear();
        host
    }

    /// The daemon ends, and the next one carries on with what it has left and what the kernel lists now.
    fn next_daemon(&mut self, saved: Saved) {
        let facts = Facts { local: self.local.clone(), ..self.planner.facts().clone() };
        let identity = self.planner.identity().clone();
        self.planner = Planner::resume(self.now, identity, facts, Tuning::default(), saved);
        self.take();
    }

    fn tell(&mut self, input: Input) {
        self.planner.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(planned) = self.planner.poll_output() {
            if let Action::Rules(rules) = &planned.action {
                self.rules.clone_from(rules);
            }
            self.actions.push(planned.action);
        }
    }

    fn usable(&mut self, addresses: &[IpAddr]) {
        self.tell(Input::Usable(addresses.to_vec()));
    }

    fn facts(&mut self) {
        let facts = Facts {
            local: self.local.clone(),
            peers: self.peers.clone(),
            primary: self.primary.or_else(|| self.peers.first().map(|&(peer, _)| peer)),
            unacknowledged: self.unacknowledged,
            sacks: self.sacks.0,
            gaps: self.sacks.1,
        };
        self.tell(Input::Facts(facts));
    }

    /// Lets time pass, with every timeout that falls due.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.planner.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.planner.handle_timeout(self.now);
            self.drain();
            assert!(self.planner.poll_timeout().is_none_or(|next| next > self.now), "a timeout that spins");
        }
        self.now = end;
    }

    fn settle(&mut self) {
        self.wait(Duration::from_secs(5));
    }

    fn sent(&mut self, change: Change) -> u32 {
        self.serial += 1;
        self.tell(Input::OwnAsconf { serial: self.serial, changes: vec![(0, change)] });
        self.serial
    }

    fn answered(&mut self, serial: u32, from: IpAddr) {
        self.wait(Duration::from_millis(30));
        let to = *self.local.last().expect("an address");
        self.tell(Input::OwnAnswer { serial, errors: Vec::new(), from, to });
    }

    /// The kernel takes an address up and asks the peer.
    fn add(&mut self, address: IpAddr) -> u32 {
        self.local.insert(address);
        self.facts();
        self.sent(Change::Add(address))
    }

    /// The peer forgets an address and says so.
    fn delete(&mut self, address: IpAddr, from: IpAddr) {
        let serial = self.sent(Change::Delete(address));
        self.answered(serial, from);
        self.local.remove(&address);
        self.facts();
    }

    fn did(&self, action: &Action) -> bool {
        self.actions.contains(action)
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn restricts(&self, destination: IpAddr) -> bool {
        self.rules
            .iter()
            .any(|rule| matches!(rule, Rule::Restrict { destination: to, .. } if *to == destination))
    }

    fn redirects(&self, from: IpAddr, to: IpAddr) -> bool {
        self.rules.contains(&Rule::OutDestination { pair: PAIR, from, to })
    }
}

fn position(actions: &[Action], wanted: impl Fn(&Action) -> bool) -> usize {
    actions.iter().position(wanted).unwrap_or_else(|| panic!("missing in {actions:?}"))
}
