//! Keeping an association to a home registrar, from whatever addresses the host has at the moment.
//!
//! New addresses mean a new association from exactly those: the registrar takes an element's addresses only if they are
//! addresses of the association (RFC 5352 §2.2.1), and a new association is quicker than moving an old one. The
//! registrar that was home before is tried first, and what is to be said to it is handed over with the connection, so
//! that it travels with the COOKIE-ECHO. The old association is kept until its successor has taken over; the elements'
//! is [carried along](super::carried), and becomes home again.
//!
//! A client has two of these, one for its elements and one for its users: Linux sends one message with the COOKIE-ECHO,
//! not two, and neither registration nor resolution shall wait a round trip for the other.

mod hunting;
mod visiting;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::carried::Carried;
use super::{LinkId, PortId};
use crate::hunt::{self, Hunt};
use crate::timers::{Timers, earliest};

/// What happens to the home association.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// The host's addresses are now these, each once.
    Local(Vec<IpAddr>),
    /// The home does not answer: look for another.
    Hunt,
    /// What [`Output::Carry`] asked for is under way.
    Carried(LinkId),
    /// An association is up.
    Up(LinkId),
    /// An association is lost or could not be set up.
    Down(LinkId),
    /// The peer has begun the association anew.
    Restarted(LinkId),
    /// Somebody has set up an association to us.
    Accepted { link: LinkId, port: PortId, peer: Vec<SocketAddr> },
    /// A response came.
    Heard(LinkId),
    /// A keep-alive to one of our elements came.
    Asked(LinkId),
    /// A registrar claims to be home.
    Adopt(LinkId),
    /// The home asks over a predecessor whether our elements are still there: they are here.
    Replaced(LinkId),
    /// This place of the list is a registrar at these addresses from now on, or at none.
    Listed { place: usize, addresses: Vec<SocketAddr> },
    /// All is registered at the home: predecessors may go.
    Settled,
    /// The home refuses what its [bridge](Home::bridge) had accepted.
    Refused,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Bind {
        port: PortId,
        local: Vec<IpAddr>,
    },
    Unbind(PortId),
    Open {
        link: LinkId,
        port: PortId,
        remote: Vec<SocketAddr>,
    },
    Close(LinkId),
    /// Move this association, and its socket, to these addresses.
    Carry {
        link: LinkId,
        local: Vec<IpAddr>,
    },
    /// This is the home now: say everything to it. It need not be up.
    Home(LinkId),
    /// There is none.
    HomeLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Up,
    /// Somebody else has set it up and has not asked for an element of ours yet, or asks over another by now; by this
    /// time it goes. A registrar that no longer needs an association that it began does not know that it was the one.
    Visiting(Instant),
    /// Replaced; it goes when its successor has taken over, or at this time: a successor that answers nothing is itself
    /// replaced, again and again, and predecessors shall not pile up. None: the successor is not up, or has been home
    /// before and has to show that it still works.
    Retiring(Option<Instant>),
}

impl State {
    /// When it is over by itself.
    fn end(self) -> Option<Instant> {
        match self {
            Self::Retiring(until) => until,
            Self::Visiting(until) => Some(until),
            Self::Connecting | Self::Up => None,
        }
    }
}

#[derive(Debug)]
struct Link {
    port: PortId,
    registrar: Option<usize>,
    state: State,
    /// The peer's addresses, if it has set it up.
    peer: Vec<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct Home {
    timers: Timers,
    registrars: Vec<Vec<SocketAddr>>,
    hunt: Hunt,
    local: Vec<IpAddr>,
    /// The next number for a port or link; the other home's are between.
    next: u64,
    port: Option<PortId>,
    /// What each port is bound to.
    ports: BTreeMap<PortId, Vec<IpAddr>>,
    links: BTreeMap<LinkId, Link>,
    home: Option<LinkId>,
    /// Whether predecessors are carried along.
    carries: bool,
    carried: Carried,
    /// The place in the list of the last home that was up.
    last: Option<usize>,
    outputs: VecDeque<Output>,
}

impl Home {
    pub(super) fn new(
        registrars: Vec<Vec<SocketAddr>>,
        timers: Timers,
        seed: Option<u64>,
        first: u64,
        carries: bool,
    ) -> Self {
        Self {
            hunt: Hunt::new(registrars.len(), timers.clone(), seed),
            timers,
            registrars,
            local: Vec::new(),
            next: first,
            port: None,
            ports: BTreeMap::new(),
            links: BTreeMap::new(),
            home: None,
            carries,
            carried: Carried::default(),
            last: None,
            outputs: VecDeque::new(),
        }
    }

    /// The home association, up or not.
    pub(super) fn home(&self) -> Option<LinkId> {
        self.home
    }

    /// Is the home up?
    pub(super) fn is_up(&self) -> bool {
        self.home.and_then(|home| self.links.get(&home)).is_some_and(|link| link.state == State::Up)
    }

    /// The place in the list of the registrar that is home, if it is up.
    pub(super) fn registrar(&self) -> Option<usize> {
        self.last.filter(|_| self.is_up())
    }

    /// Are there predecessors that wait for [`Input::Settled`]?
    pub(super) fn has_predecessors(&self) -> bool {
        self.links.values().any(|link| matches!(link.state, State::Retiring(_)))
    }

    /// Whether this is a predecessor whose successor is up, at the same registrar.
    pub(super) fn is_replaced(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        matches!(link.state, State::Retiring(Some(_))) && self.is_at_home(link)
    }

    /// Whether this is a predecessor that will be home again.
    pub(super) fn is_carried(&self, id: LinkId) -> bool {
        self.carried.is(id) && self.links.get(&id).is_some_and(|link| self.is_at_home(link))
    }

    /// Whether a link is to the registrar that is home, and up.
    fn is_at_home(&self, link: &Link) -> bool {
        let home = self.home.and_then(|home| self.links.get(&home));
        home.is_some_and(|home| home.state == State::Up && home.registrar == link.registrar)
    }

    pub(super) fn knows(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// Are these the addresses that it works from?
    pub(super) fn is_at(&self, local: &[IpAddr]) -> bool {
        self.local == local
    }

    /// Is there an association to the registrar of this place, or is one being set up?
    pub(super) fn uses(&self, place: usize) -> bool {
        self.links.values().any(|link| link.registrar == Some(place))
    }

    pub(super) fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    pub(super) fn has_port(&self, port: PortId) -> bool {
        self.ports.contains_key(&port)
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Local(local) => self.set_local(now, local),
            Input::Hunt => self.hunt_beside_home(now),
            Input::Carried(link) => {
                if self.carried.moves(link)
                    && let Some(link) = self.links.get(&link)
                {
                    self.ports.insert(link.port, self.local.clone());
                }
            }
            Input::Up(link) => self.up(now, link),
            Input::Down(link) => self.down(now, link),
            Input::Restarted(link) => {
                if self.home == Some(link) {
                    self.outputs.push_back(Output::Home(link));
                }
            }
            Input::Accepted { link, port, peer } => self.accepted(now, link, port, peer),
            Input::Heard(link) => {
                if self.home == Some(link) && self.hunt.is_running() {
                    self.steer(now, hunt::Input::Stop);
                    // The socket of the hunt is needed no more.
                    self.port = self.links.get(&link).map(|home| home.port);
                }
            }
            Input::Asked(link) => self.asked(now, link),
            Input::Adopt(link) => self.adopt(now, link),
            Input::Replaced(link) => self.close(link),
            Input::Listed { place, addresses } => self.listed(now, place, addresses),
            Input::Settled => self.settled(now),
            Input::Refused => {
                if let Some(bridge) = self.bridge() {
                    self.return_to(now, bridge);
                }
            }
        }
        self.sweep();
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.hunt.handle_timeout(now);
        self.follow_hunt(now);
        self.carried.handle_timeout(now);
        self.release(|_, state| state.end().is_some_and(|end| end <= now));
        self.sweep();
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.links.values().map(|link| link.state.end());
        earliest(ends.chain([self.hunt.poll_timeout(), self.carried.poll_timeout()]))
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 2;
        number
    }

    fn set_local(&mut self, now: Instant, local: Vec<IpAddr>) {
        if local == self.local {
            return;
        }
        self.local = local;
        self.steer(now, hunt::Input::Stop);
        if let Some(home) = self.home.filter(|_| self.carries && self.is_up()) {
            self.carried.leave(home);
        }
        self.leave_home();
        self.port = None;
        let carried = self.carried.start();
        if self.local.is_empty() {
            return;
        }
        // Before the new one is opened: its ASCONF is to be there first.
        if let Some(link) = carried {
            self.outputs.push_back(Output::Carry { link, local: self.local.clone() });
        }
        self.bind();
        self.steer(now, hunt::Input::Start { prefer: self.last, avoid: None });
    }

    fn bind(&mut self) {
        let port = PortId(self.number());
        self.port = Some(port);
        self.ports.insert(port, self.local.clone());
        self.outputs.push_back(Output::Bind { port, local: self.local.clone() });
    }

    /// The home becomes a predecessor, or, if it never was up, goes.
    fn leave_home(&mut self) {
        let was_up = self.is_up();
        let Some(home) = self.home.take() else { return };
        match self.links.get_mut(&home) {
            Some(link) if was_up => link.state = State::Retiring(None),
            _ => self.close(home),
        }
        self.outputs.push_back(Output::HomeLost);
    }

    fn close(&mut self, link: LinkId) {
        self.carried.forget(link);
        if self.links.remove(&link).is_some() {
            self.outputs.push_back(Output::Close(link));
        }
    }

    fn up(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.state == State::Connecting) else {
            return;
        };
        link.state = State::Up;
        let registrar = link.registrar;
        if let Some(registrar) = registrar {
            self.steer(now, hunt::Input::Connected(registrar));
        }
        self.settle_at(now, id, registrar);
    }

    fn settle_at(&mut self, now: Instant, id: LinkId, registrar: Option<usize>) {
        if self.home != Some(id) {
            self.leave_home();
            self.home = Some(id);
            self.outputs.push_back(Output::Home(id));
        }
        self.last = registrar;
        for link in self.links.values_mut() {
            if let State::Retiring(until @ None) = &mut link.state {
                *until = Some(now + self.timers.retire);
            }
        }
    }

    /// All is registered at the home: predecessors go, but for one that is to be home again.
    fn settled(&mut self, now: Instant) {
        let carried = self.links.keys().copied().find(|id| self.is_carried(*id));
        self.release(|id, state| matches!(state, State::Retiring(_)) && carried != Some(id));
        let ready = self.carried.settled(now, self.timers.carry);
        let Some(id) = carried.filter(|_| ready) else { return };
        let bridge = self.home;
        self.carried.forget(id);
        self.return_to(now, id);
        // What it has registered counts until this one has answered.
        if let Some(bridge) = bridge.and_then(|bridge| self.links.get_mut(&bridge)) {
            bridge.state = State::Retiring(None);
        }
    }

    /// Makes a predecessor home again.
    fn return_to(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.state = State::Up;
        let (registrar, port) = (link.registrar, link.port);
        self.settle_at(now, id, registrar);
        self.port = Some(port);
    }

    /// Over which all is registered, while the home, which was carried along, has to show that it still works.
    pub(super) fn bridge(&self) -> Option<LinkId> {
        let waits = self.links.iter().find(|(_, link)| link.state == State::Retiring(None));
        waits.map(|(id, _)| *id).filter(|_| self.is_up())
    }

    fn down(&mut self, now: Instant, id: LinkId) {
        self.carried.forget(id);
        let Some(link) = self.links.remove(&id) else { return };
        if self.home == Some(id) {
            self.home = None;
            self.outputs.push_back(Output::HomeLost);
        }
        match (link.state, link.registrar) {
            (State::Connecting, Some(registrar)) => self.steer(now, hunt::Input::Failed(registrar)),
            (State::Up, avoid) if self.home.is_none() && !self.local.is_empty() => {
                self.steer(now, hunt::Input::Start { prefer: None, avoid });
            }
            _ => {}
        }
    }

    /// Closes those associations of whose state this holds.
    fn release(&mut self, over: impl Fn(LinkId, State) -> bool) {
        let old: Vec<_> =
            self.links.iter().filter(|(id, link)| over(**id, link.state)).map(|(id, _)| *id).collect();
        for link in old {
            self.close(link);
        }
    }

    /// Gives up ports that no association uses any more.
    fn sweep(&mut self) {
        let used =
            |port: &PortId| self.port == Some(*port) || self.links.values().any(|link| link.port == *port);
        let unused: Vec<_> = self.ports.keys().filter(|port| !used(port)).copied().collect();
        for port in unused {
            self.ports.remove(&port);
            self.outputs.push_back(Output::Unbind(port));
        }
    }
}
