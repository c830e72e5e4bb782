//! Asks by which addresses associations reach their peers, and offers them what answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use sctp_sys::watch::Sighting;

use super::Daemon;
use crate::associations::{Key, Managed};
use crate::handover::Input;
use crate::paths::{Choice, Path, choose};

impl Daemon {
    /// Tells an association what it may use.
    pub(super) fn offer_to(&mut self, key: Key) {
        let Some(managed) = self.associations.get(&key) else { return };
        let offered = self.choice(managed, Instant::now()).offered;
        for address in &self.offer.usable {
            let (before, now) = (managed.offered.contains(address), offered.contains(address));
            if before != now && managed.kept_out.contains(address) == now {
                self.story.reaches(managed, *address, now);
            }
        }
        let kept_out = self.offer.usable.iter().filter(|it| !offered.contains(it)).copied().collect();
        if let Some(managed) = self.associations.get_mut(&key) {
            managed.offered.clone_from(&offered);
            managed.kept_out = kept_out;
        }
        self.tell(key, self.about());
        self.tell(key, Input::Usable(offered));
    }

    fn choice(&self, managed: &Managed, now: Instant) -> Choice {
        let usable = &self.offer.usable;
        if self.prober.is_none() || self.config.agent.silence.is_zero() {
            return Choice { offered: usable.clone(), ..Choice::default() };
        }
        let facts = managed.planner.facts();
        let reach = |local| self.paths.reach(local, facts.peers.iter().map(|&(peer, _)| peer));
        let doubted = managed.quiet.lasts(now, self.config.agent.silence);
        choose(usable, |address| facts.local.contains(&address), &self.offer.warm, doubted, reach)
    }

    /// Looks of which paths something has to be known, asks, and offers anew what is affected by what is known.
    pub(super) fn tend_paths(&mut self, now: Instant) {
        if self.prober.is_none() {
            return;
        }
        let (mut wanted, mut affected) = (BTreeMap::new(), Vec::new());
        for (key, managed) in self.associations.iter().filter(|(_, managed)| managed.add_ip) {
            let choice = self.choice(managed, now);
            for local in choice.wanted {
                let peers = managed.planner.facts().peers.iter().map(|&(peer, _)| peer);
                let near = peers.filter(|peer| peer.is_ipv4() == local.is_ipv4());
                wanted.extend(near.map(|peer| (Path { local, peer }, managed.peer_port)));
            }
            if choice.offered != managed.offered {
                affected.push(*key);
            }
        }
        self.paths.want(now, &wanted);
        self.ask_paths();
        for key in affected {
            self.offer_to(key);
        }
    }

    /// It may be time to ask again.
    pub(super) fn paths_due(&mut self, now: Instant) {
        if self.paths.poll_timeout().is_some_and(|due| due <= now) {
            if self.paths.handle_timeout(now) {
                self.tend_paths(now);
            }
            self.ask_paths();
        }
    }

    fn ask_paths(&mut self) {
        while let Some((path, port)) = self.paths.poll_output() {
            if let Some(prober) = &self.prober
                && let Err(error) = prober.ask(path.local, SocketAddr::new(path.peer, port))
            {
                tracing::debug!(?path, %error, "a path cannot be asked");
            }
        }
    }

    /// Whether a sighting is an answer to a question of ours.
    pub(super) fn path_answered(&mut self, sighting: &Sighting) -> bool {
        let Some((local, peer)) = self.prober.as_ref().and_then(|prober| prober.answer(sighting)) else {
            return false;
        };
        let now = Instant::now();
        if self.paths.answered(now, Path { local, peer }) {
            self.tend_paths(now);
        }
        true
    }
}
