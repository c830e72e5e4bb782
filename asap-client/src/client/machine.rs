//! The client's machine: the home associations, the elements and the user, put together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::announced::Announced;
use super::home::{self, Home};
use super::{Config, ElementConfig, Event, Input, LinkId, Output};
use crate::pool_element::{self, PoolElement, Registration};
use crate::pool_user::{self, Answer, PoolUser};
use crate::timers::{Timers, earliest};
use crate::wire::{Message, PoolHandle, Transport, decode};

type ElementId = (PoolHandle, u32);

#[derive(Debug)]
struct Element {
    config: ElementConfig,
    machine: PoolElement,
    /// It is to be forgotten once it is registered no more.
    leaving: bool,
}

impl Element {
    /// What is to be registered on a host of these addresses, if anything.
    fn registration(&self, local: &[IpAddr]) -> Option<Registration> {
        let ElementConfig { port, use_, policy, life, addresses, .. } = &self.config;
        let serves = |own: &&IpAddr| addresses.as_ref().is_none_or(|addresses| addresses.contains(own));
        let addresses: Vec<IpAddr> = local.iter().filter(serves).copied().collect();
        (!addresses.is_empty()).then(|| Registration {
            transport: Transport::Sctp { port: *port, use_: *use_, addresses: addresses.into() },
            policy: policy.clone(),
            life: *life,
        })
    }
}

/// A host's RSerPool client.
#[derive(Debug)]
pub struct Client {
    timers: Timers,
    /// Those that are configured, then those that have announced themselves.
    registrars: Vec<Vec<SocketAddr>>,
    configured: usize,
    announced: Announced,
    local: Vec<IpAddr>,
    /// The elements' home.
    pe: Home,
    /// The users' home.
    pu: Home,
    /// The registrar that was last said to be home.
    told: Option<usize>,
    elements: BTreeMap<ElementId, Element>,
    user: PoolUser,
    outputs: VecDeque<Output>,
}

impl Client {
    /// A client without addresses, elements or pools as yet.
    pub fn new(config: Config) -> Self {
        let Config { registrars, timers, seed } = config;
        Self {
            pe: Home::new(registrars.clone(), timers.clone(), seed, 1, true),
            pu: Home::new(registrars.clone(), timers.clone(), seed, 2, false),
            configured: registrars.len(),
            announced: Announced::default(),
            registrars,
            local: Vec::new(),
            told: None,
            elements: BTreeMap::new(),
            user: PoolUser::new(timers.clone()),
            timers,
            outputs: VecDeque::new(),
        }
    }

    /// Is the elements' association to their home registrar up?
    pub fn is_home_up(&self) -> bool {
        self.pe.is_up()
    }

    /// The last answer about a pool and when it came.
    pub fn cached(&self, handle: &PoolHandle) -> Option<(Instant, &Answer)> {
        self.user.cached(handle)
    }

    /// Has every element been taken out of its pool?
    pub fn is_withdrawn(&self) -> bool {
        self.elements.is_empty()
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Local(local) => self.local(now, local),
            Input::Register(config) => self.register(now, config),
            Input::Deregister { handle, id } => {
                self.deregister(now, &(handle, id));
            }
            Input::DeregisterAll => {
                let ids: Vec<ElementId> = self.elements.keys().cloned().collect();
                for id in ids {
                    self.deregister(now, &id);
                }
            }
            Input::Subscribe(handle) => self.user.handle(now, pool_user::Input::Subscribe(handle)),
            Input::Unsubscribe(handle) => self.user.handle(now, pool_user::Input::Unsubscribe(handle)),
            Input::Urge { handle, on } => self.user.handle(now, pool_user::Input::Urge { handle, on }),
            Input::Resolve { handle, fresh } => {
                self.user.handle(now, pool_user::Input::Resolve { handle, fresh });
            }
            Input::Unreachable { handle, id } => {
                let link = self.pu.home().or(self.pe.home());
                self.send(link, &Message::EndpointUnreachable { handle, id });
            }
            Input::Announced { server, addresses } => self.heard(now, server, addresses),
            Input::Carried(link) => self.owner(link).handle(now, home::Input::Carried(link)),
            Input::Up(link) => self.owner(link).handle(now, home::Input::Up(link)),
            Input::Down(link) => self.owner(link).handle(now, home::Input::Down(link)),
            Input::Restarted(link) => self.owner(link).handle(now, home::Input::Restarted(link)),
            Input::Accepted { link, port, peer } => {
                let home = if self.pe.has_port(port) { &mut self.pe } else { &mut self.pu };
                home.handle(now, home::Input::Accepted { link, port, peer });
            }
            Input::Received(link, bytes) => self.received(now, link, &bytes),
        }
        self.pump(now);
    }

    /// Lets expired timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(place) = self.announced.expired(now) {
            self.list(now, self.configured + place, Vec::new());
        }
        self.pe.handle_timeout(now);
        self.pu.handle_timeout(now);
        for element in self.elements.values_mut() {
            element.machine.handle_timeout(now);
        }
        self.user.handle_timeout(now);
        self.pump(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let elements = self.elements.values().map(|element| element.machine.poll_timeout());
        let homes = [self.pe.poll_timeout(), self.pu.poll_timeout()];
        earliest(elements.chain(homes).chain([self.user.poll_timeout(), self.announced.poll_timeout()]))
    }

    fn heard(&mut self, now: Instant, server: u32, addresses: Vec<SocketAddr>) {
        let configured = self.registrars[..self.configured].iter();
        if configured.flatten().any(|listed| addresses.contains(listed)) {
            return;
        }
        let used = |place| [&self.pe, &self.pu].iter().any(|home| home.uses(self.configured + place));
        if let Some((place, addresses)) =
            self.announced.heard(now, self.timers.t7_outdate, server, addresses, used)
        {
            let place = self.configured + place;
            match self.registrars.get_mut(place) {
                Some(listed) => listed.clone_from(&addresses),
                None => self.registrars.push(addresses.clone()),
            }
            self.list(now, place, addresses);
        }
    }

    /// Has both homes look for a registrar at these addresses, or no more.
    fn list(&mut self, now: Instant, place: usize, addresses: Vec<SocketAddr>) {
        for home in [&mut self.pe, &mut self.pu] {
            home.handle(now, home::Input::Listed { place, addresses: addresses.clone() });
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn send(&mut self, link: Option<LinkId>, message: &Message) {
        if let Some(link) = link {
            self.outputs.push_back(Output::Send { link, bytes: message.encode() });
        }
    }

    /// The home that a link is, or was, of.
    fn owner(&mut self, link: LinkId) -> &mut Home {
        if self.pe.knows(link) { &mut self.pe } else { &mut self.pu }
    }

    fn local(&mut self, now: Instant, local: Vec<IpAddr>) {
        let set = |addresses: &[IpAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
        if set(&local) == set(&self.local) {
            return;
        }
        let mut seen = BTreeSet::new();
        self.local = local;
        self.local.retain(|address| seen.insert(*address));
        if self.local.is_empty() {
            self.event(Event::Offline);
        }
        // Nothing of what follows is for the old home.
        for element in self.elements.values_mut() {
            element.machine.handle(now, pool_element::Input::HomeLost);
            if !element.leaving {
                serve(now, element, &self.local);
            }
        }
        self.user.handle(now, pool_user::Input::HomeLost);
        self.go_home(now);
    }

    /// Has a home wherever one is needed.
    fn go_home(&mut self, now: Instant) {
        let needs = [!self.elements.is_empty(), self.user.is_active()];
        for (home, needed) in [&mut self.pe, &mut self.pu].into_iter().zip(needs) {
            if needed {
                home.handle(now, home::Input::Local(self.local.clone()));
            } else if !home.is_at(&self.local) {
                home.handle(now, home::Input::Local(Vec::new()));
                home.handle(now, home::Input::Settled);
            }
        }
    }

    fn register(&mut self, now: Instant, config: ElementConfig) {
        let id = (config.handle.clone(), config.id);
        if let Some(element) = self.elements.get_mut(&id) {
            (element.config, element.leaving) = (config, false);
        } else {
            let mut machine = PoolElement::new(config.handle.clone(), config.id, self.timers.clone());
            if self.pe.home().is_some() {
                machine.handle(now, pool_element::Input::Home);
            }
            self.elements.insert(id.clone(), Element { config, machine, leaving: false });
        }
        if let Some(element) = self.elements.get_mut(&id) {
            serve(now, element, &self.local);
        }
    }

    fn deregister(&mut self, now: Instant, id: &ElementId) {
        let Some(element) = self.elements.get_mut(id) else { return };
        element.leaving = true;
        if element.machine.is_gone() {
            self.element_event(id, pool_element::Event::Withdrawn);
        } else {
            element.machine.handle(now, pool_element::Input::Withdraw);
        }
    }

    /// Passes on what the parts want, until none wants anything.
    fn pump(&mut self, now: Instant) {
        self.go_home(now);
        loop {
            while let Some(output) = self.pe.poll_output() {
                self.follow_pe(now, output);
            }
            while let Some(output) = self.pu.poll_output() {
                self.follow_pu(now, output);
            }
            if self.follow_elements() {
                self.pe.handle(now, home::Input::Hunt);
                continue;
            }
            if self.follow_user() {
                self.pu.handle(now, home::Input::Hunt);
                continue;
            }
            let settled =
                [self.elements.values().all(|element| element.machine.is_settled()), self.user.is_settled()];
            for (home, settled) in [&mut self.pe, &mut self.pu].into_iter().zip(settled) {
                if settled && home.is_up() && home.has_predecessors() {
                    home.handle(now, home::Input::Settled);
                }
            }
            if !self.pe.has_outputs() && !self.pu.has_outputs() {
                break;
            }
        }
        let registrar = self.pe.registrar().or(self.pu.registrar());
        if registrar != self.told {
            self.told = registrar;
            self.event(match registrar {
                Some(listed) => Event::Home { registrar: self.registrars[listed].clone() },
                None => Event::HomeLost,
            });
        }
    }

    fn follow_pe(&mut self, now: Instant, output: home::Output) {
        let input = match output {
            home::Output::Home(_) => pool_element::Input::Home,
            home::Output::HomeLost => pool_element::Input::HomeLost,
            other => return self.follow_home(other),
        };
        for element in self.elements.values_mut() {
            element.machine.handle(now, input.clone());
        }
        // What is sent is for the home of this moment.
        if self.follow_elements() {
            self.pe.handle(now, home::Input::Hunt);
        }
    }

    fn follow_pu(&mut self, now: Instant, output: home::Output) {
        let input = match output {
            home::Output::Home(_) => pool_user::Input::Home,
            home::Output::HomeLost => pool_user::Input::HomeLost,
            other => return self.follow_home(other),
        };
        self.user.handle(now, input);
        if self.follow_user() {
            self.pu.handle(now, home::Input::Hunt);
        }
    }

    fn follow_home(&mut self, output: home::Output) {
        self.outputs.push_back(match output {
            home::Output::Bind { port, local } => Output::Bind { port, local },
            home::Output::Unbind(port) => Output::Unbind(port),
            home::Output::Open { link, port, remote } => Output::Open { link, port, remote },
            home::Output::Close(link) => Output::Close(link),
            home::Output::Carry { link, local } => Output::Carry { link, local },
            home::Output::Home(_) | home::Output::HomeLost => return,
        });
    }

    /// Does any element want another home?
    fn follow_elements(&mut self) -> bool {
        let mut hunt = false;
        let ids: Vec<ElementId> = self.elements.keys().cloned().collect();
        for id in ids {
            while let Some(output) =
                self.elements.get_mut(&id).and_then(|element| element.machine.poll_output())
            {
                match output {
                    pool_element::Output::Send(message) | pool_element::Output::Answer(message) => {
                        self.send(self.pe.home(), &message);
                    }
                    pool_element::Output::Hunt => hunt = true,
                    pool_element::Output::Event(event) => self.element_event(&id, event),
                }
            }
            if self.elements.get(&id).is_some_and(|element| element.leaving && element.machine.is_gone()) {
                self.elements.remove(&id);
            }
        }
        hunt
    }

    fn element_event(&mut self, (handle, id): &ElementId, event: pool_element::Event) {
        use pool_element::Event as From;
        let (handle, id) = (handle.clone(), *id);
        let event = match event {
            From::Registered { warnings } => {
                let element = self.elements.get(&(handle.clone(), id));
                let confirmed = element.and_then(|element| element.machine.confirmed());
                let addresses = confirmed.map(|it| it.transport.addresses().to_vec()).unwrap_or_default();
                Event::Registered { handle, id, addresses, warnings }
            }
            From::Rejected { causes } => Event::Rejected { handle, id, causes },
            From::Unanswered => Event::Unregistered { handle, id },
            From::Expired => Event::Expired { handle, id },
            From::Withdrawn => Event::Withdrawn { handle, id },
        };
        self.event(event);
    }

    /// Does the user want another home?
    fn follow_user(&mut self) -> bool {
        let mut hunt = false;
        while let Some(output) = self.user.poll_output() {
            match output {
                pool_user::Output::Send(message) => self.send(self.pu.home(), &message),
                pool_user::Output::Hunt => hunt = true,
                pool_user::Output::Event(pool_user::Event::Pool { handle, answer }) => {
                    self.event(Event::Pool { handle, answer });
                }
                pool_user::Output::Event(pool_user::Event::Unanswered { handle }) => {
                    self.event(Event::Unanswered { handle });
                }
            }
        }
        hunt
    }

    fn received(&mut self, now: Instant, link: LinkId, bytes: &[u8]) {
        if !self.pe.knows(link) && !self.pu.knows(link) {
            return;
        }
        let decoded = match decode(bytes) {
            Ok(decoded) => decoded,
            Err(error) => {
                if let Some(report) = error.report() {
                    self.send(Some(link), &report);
                }
                return self.event(Event::Nonsense { why: error.to_string() });
            }
        };
        if !decoded.reports.is_empty() {
            self.send(Some(link), &Message::Error(decoded.reports));
        }
        match &decoded.message {
            Message::EndpointKeepAlive { home, .. } => self.keep_alive(now, link, *home, &decoded.message),
            Message::RegistrationResponse { rejected: true, .. }
                if self.pe.home() == Some(link) && self.pe.bridge().is_some() =>
            {
                self.pe.handle(now, home::Input::Refused);
            }
            Message::RegistrationResponse { handle, id, .. }
            | Message::DeregistrationResponse { handle, id, .. }
                if self.pe.home() == Some(link) =>
            {
                self.pe.handle(now, home::Input::Heard(link));
                if let Some(element) = self.elements.get_mut(&(handle.clone(), *id)) {
                    element.machine.handle(now, pool_element::Input::Message(&decoded.message));
                }
            }
            Message::HandleResolutionResponse { .. } if self.pu.home() == Some(link) => {
                self.pu.handle(now, home::Input::Heard(link));
                self.user.handle(now, pool_user::Input::Message(&decoded.message));
            }
            Message::Error(causes) => self.event(Event::Error(causes.clone())),
            _ => {}
        }
    }

    /// Answers where the question came from, whoever asks; adopts a new home if one of our elements is meant.
    fn keep_alive(&mut self, now: Instant, link: LinkId, home: bool, message: &Message) {
        let mut ours = false;
        let mut answers = Vec::new();
        for element in self.elements.values_mut() {
            element.machine.handle(now, pool_element::Input::Message(message));
            while let Some(output) = element.machine.poll_output() {
                if let pool_element::Output::Answer(answer) = output {
                    ours = true;
                    answers.push(answer);
                }
            }
        }
        // It has been registered over another association, and will soon be over this one, which is answer enough.
        if ours && !home && self.pe.is_carried(link) {
            return;
        }
        // We registered at this registrar from where we are now, and it wonders whether we are still where we were:
        // the end of that association tells it that we are not.
        if ours && !home && self.pe.is_replaced(link) {
            return self.pe.handle(now, home::Input::Replaced(link));
        }
        for answer in &answers {
            self.send(Some(link), answer);
        }
        if ours {
            self.owner(link).handle(now, home::Input::Asked(link));
        }
        if ours && home {
            self.pe.handle(now, home::Input::Adopt(link));
        }
    }
}

fn serve(now: Instant, element: &mut Element, local: &[IpAddr]) {
    match element.registration(local) {
        Some(registration) => element.machine.handle(now, pool_element::Input::Serve(registration)),
        // Offline: what is registered stays so until there are addresses again.
        None if local.is_empty() => {}
        None => element.machine.handle(now, pool_element::Input::Withdraw),
    }
}
