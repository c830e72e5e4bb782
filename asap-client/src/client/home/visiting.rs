//! Associations that registrars have set up to us: to become our home, or because elements of ours are theirs by their
//! books, as after a takeover, whether we follow them or not.
//!
//! A registrar asks over the association by which it has an element, and takes the element for gone when that ends: one
//! that is asked over stays. But it sets up another where it knows the element at another of our ports, and does not say
//! which it still needs. So the older of two goes when nothing has been asked over it for a while, and else none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Home, Link, Output, State};
use crate::client::{LinkId, PortId};

/// Associations that others may have set up to us at a time.
const MOST: usize = 16;

/// How many times [`Timers::retire`](crate::Timers::retire) an association that has a younger one beside it stays when
/// nothing is asked over it: for longer than registrars wait between two keep-alives.
const SILENT: u32 = 2;

impl Home {
    /// Somebody has set up an association to us.
    pub(super) fn accepted(&mut self, now: Instant, id: LinkId, port: PortId, peer: Vec<SocketAddr>) {
        let theirs = self.links.keys().filter(|link| matches!(link, LinkId::Theirs(_))).count();
        if theirs >= MOST {
            return self.outputs.push_back(Output::Close(id));
        }
        let is_peer = |listed: &SocketAddr| peer.iter().any(|address| address.ip() == listed.ip());
        let registrar = self.registrars.iter().position(|listed| listed.iter().any(is_peer));
        let state = State::Visiting(now + self.timers.retire);
        self.links.insert(id, Link { port, registrar, state, peer });
    }

    /// An element of ours is asked for.
    pub(super) fn asked(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if let State::Visiting(_) = link.state {
            link.state = State::Up;
        }
        let peer = std::mem::take(&mut link.peer);
        let silent = now + self.silence();
        // Of all that this one has set up the last over which it asks stays, whatever happens.
        let is_its = |link: &Link| link.state == State::Up && link.peer.iter().any(|at| peer.contains(at));
        let younger = self.links.iter().any(|(other, link)| *other > id && is_its(link));
        for (other, link) in &mut self.links {
            if *other < id && Some(*other) != self.home && is_its(link) {
                link.state = State::Visiting(silent);
            }
        }
        let is_home = self.home == Some(id);
        if let Some(link) = self.links.get_mut(&id) {
            link.peer = peer;
            if younger && !is_home && link.state == State::Up {
                link.state = State::Visiting(silent);
            }
        }
    }

    fn silence(&self) -> Duration {
        self.timers.retire.saturating_mul(SILENT)
    }

    /// Only a registrar of the list may make itself our home.
    pub(super) fn adopt(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (registrar, current) = (link.registrar, self.ports.get(&link.port) == Some(&self.local));
        let is_open = matches!(link.state, State::Up | State::Visiting(_));
        if self.home != Some(id) && registrar.is_some() && current && is_open {
            self.steer(now, crate::hunt::Input::Stop);
            if let Some(link) = self.links.get_mut(&id) {
                link.state = State::Up;
            }
            self.settle_at(now, id, registrar);
        }
    }
}
