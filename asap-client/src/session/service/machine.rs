//! The machine of an element's sessions.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::super::control::{Control, Nonsense};
use super::super::cookie::{self, Bound, Cookie, Counts, Refusal, SessionId};
use super::super::key::Unique;
use super::super::window::Window;
use super::served::Served;
use super::{Config, Cookies, Counters, Event, Input, Left, Output, Refused, Restored};
use crate::wire::{MessageType, PPID, PoolElement};

/// The sessions of one element.
#[derive(Debug)]
pub struct Service {
    config: Config,
    links: BTreeMap<u64, Served>,
    /// Where each session is that has begun.
    by_session: BTreeMap<SessionId, u64>,
    window: Window,
    unique: Unique,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Service {
    /// A service without sessions as yet.
    pub fn new(config: Config) -> Self {
        Self {
            links: BTreeMap::new(),
            by_session: BTreeMap::new(),
            window: Window::new(config.freshness.clone()),
            unique: Unique::new(config.unique),
            counters: Counters::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Associations, with those where no session has begun yet.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Is there no association?
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sessions whose cookies are remembered, so that no old one is used again.
    pub fn remembered(&self) -> usize {
        self.window.len()
    }

    /// Takes an input in.
    ///
    /// # Errors
    /// Only for what the service itself does: [`Input::Send`], [`Input::Cookie`], [`Input::End`].
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<(), Refused> {
        match input {
            Input::Accepted { link, user } => self.accepted(link, user),
            Input::Down(link) => self.forget(link, Left::Down),
            Input::Restarted(link) => self.restarted(link),
            Input::Data { link, ppid, octets } => self.data(link, ppid, octets),
            Input::Control { link, octets } => self.control(now, link, &octets),
            Input::Send { link, ppid, octets, unordered } => {
                if ppid == PPID {
                    return Err(Refused::ControlPpid);
                }
                let served = self.links.get_mut(&link).ok_or(Refused::Unknown)?;
                served.counts.sent += 1;
                self.outputs.push_back(Output::Data { link, ppid, octets, unordered });
            }
            Input::Cookie { link, state, includes } => self.cookie(now, link, state, includes)?,
            Input::Card(elements) => self.new_card(elements),
            Input::Keys(ring) => self.config.cookies = Cookies::Sealed(ring),
            Input::Clock(wall) => self.config.clock = (now, wall),
            Input::End { link, graceful } => {
                if !self.links.contains_key(&link) {
                    return Err(Refused::Unknown);
                }
                let last = if graceful { Output::Shutdown(link) } else { Output::Abort(link) };
                self.outputs.push_back(last);
                self.forget(link, Left::Done);
            }
        }
        Ok(())
    }

    /// Lets expired timers act: there are none.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due: never. What is too old is forgotten when something new
    /// comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn nonsense(&mut self, link: u64, what: Nonsense) {
        self.counters.nonsense += 1;
        self.event(Event::Nonsense { link, what });
    }

    fn say(&mut self, link: u64, control: Control) {
        self.outputs.push_back(Output::Control { link, octets: control.encode() });
    }

    fn accepted(&mut self, link: u64, user: Vec<u8>) {
        if self.links.len() >= self.config.sessions {
            self.counters.turned_away += 1;
            return self.outputs.push_back(Output::Abort(link));
        }
        let session = SessionId(self.unique.draw());
        self.links.insert(link, Served::new(user, session));
        if self.config.control && !self.config.card.is_empty() {
            self.say(link, self.card());
        }
        if self.config.greets {
            self.begin(link, None);
        }
    }

    fn card(&self) -> Control {
        Control::BusinessCard { handle: self.config.handle.clone(), elements: self.config.card.clone() }
    }

    fn new_card(&mut self, elements: Vec<PoolElement>) {
        self.config.card = elements;
        if self.config.control && !self.config.card.is_empty() {
            let links: Vec<u64> = self.links.keys().copied().collect();
            for link in links {
                self.say(link, self.card());
            }
        }
    }

    /// The user's next session begins over the same association.
    fn restarted(&mut self, link: u64) {
        let Some(user) = self.links.get(&link).map(|served| served.user.clone()) else { return };
        self.forget(link, Left::Restarted);
        self.accepted(link, user);
    }

    fn forget(&mut self, link: u64, why: Left) {
        let Some(served) = self.links.remove(&link) else { return };
        if served.begun {
            self.by_session.remove(&served.session);
            self.event(Event::Ended { link, why });
        }
    }

    fn begin(&mut self, link: u64, restored: Option<Restored>) {
        let Some(served) = self.links.get_mut(&link).filter(|served| !served.begun) else { return };
        served.begun = true;
        let session = served.session;
        self.counters.started += 1;
        self.counters.restored += u64::from(restored.is_some());
        let before = self.by_session.insert(session, link);
        if let Some(before) = before {
            self.links.remove(&before);
            self.outputs.push_back(Output::Abort(before));
            self.event(Event::Ended { link: before, why: Left::Continued });
        }
        self.event(Event::Started { link, session, restored });
    }

    fn data(&mut self, link: u64, ppid: u32, octets: Bytes) {
        self.begin(link, None);
        let Some(served) = self.links.get_mut(&link) else { return };
        let number = served.came();
        self.event(Event::Data { link, number, ppid, octets });
    }

    fn control(&mut self, now: Instant, link: u64, octets: &[u8]) {
        if !self.config.control || !self.links.contains_key(&link) {
            return;
        }
        let heard = Control::read(octets);
        if let Some(octets) = heard.report {
            self.outputs.push_back(Output::Control { link, octets });
        }
        match heard.control {
            Ok(Control::CookieEcho(octets)) => self.echo(now, link, octets),
            Ok(Control::BusinessCard { elements, .. }) if elements.is_empty() => {
                self.nonsense(link, Nonsense::Card);
            }
            Ok(Control::BusinessCard { handle, elements }) => {
                self.event(Event::Card { link, handle, elements });
            }
            Ok(Control::Cookie(_)) => self.nonsense(link, Nonsense::WrongSide(MessageType::COOKIE)),
            Ok(Control::Error(_)) => {}
            Err(nonsense) => self.nonsense(link, nonsense),
        }
    }

    /// Milliseconds since 1970.
    fn wall(&self, now: Instant) -> u64 {
        let (then, wall) = self.config.clock;
        let wall = wall + now.saturating_duration_since(then);
        u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
    }

    fn echo(&mut self, now: Instant, link: u64, octets: Vec<u8>) {
        let Some(served) = self.links.get(&link) else { return };
        if served.begun {
            return self.refuse(link, Refusal::Late);
        }
        if octets.len() > self.config.cookie {
            self.refuse(link, Refusal::TooLong);
            return self.begin(link, None);
        }
        let Cookies::Sealed(ring) = &self.config.cookies else {
            let restored = Restored { state: octets, counts: Counts::default(), issuer: None };
            return self.begin(link, Some(restored));
        };
        let bound = Bound { handle: &self.config.handle, user: &served.user };
        let opened = cookie::open(ring, bound, &octets).and_then(|cookie| {
            let wall = self.wall(now);
            self.window.admit(now, wall, &cookie).map(|()| cookie)
        });
        match opened {
            Ok(cookie) => self.restore(now, link, cookie),
            Err(why) => {
                self.refuse(link, why);
                self.begin(link, None);
            }
        }
    }

    fn refuse(&mut self, link: u64, why: Refusal) {
        *self.counters.refused.entry(why).or_default() += 1;
        self.event(Event::Refused { link, why });
        if why != Refusal::Late {
            self.say(link, Control::refusal());
        }
    }

    fn restore(&mut self, now: Instant, link: u64, cookie: Cookie) {
        let Some(served) = self.links.get_mut(&link) else { return };
        let Cookie { session, sequence, counts, issuer, state, .. } = cookie;
        (served.session, served.sequence, served.counts) = (session, sequence, counts);
        let restored = Restored { state: state.clone(), counts, issuer: Some(issuer) };
        self.begin(link, Some(restored));
        // The one that was used is good for a moment only. The next has the same size and cannot be refused.
        let _same_size = self.cookie(now, link, state, None);
    }

    fn cookie(
        &mut self,
        now: Instant,
        link: u64,
        state: Vec<u8>,
        includes: Option<u64>,
    ) -> Result<(), Refused> {
        let issued = self.wall(now);
        let served = self.links.get_mut(&link).ok_or(Refused::Unknown)?;
        if !self.config.control {
            return Err(Refused::NoControl);
        }
        let most = self.config.cookie.min(cookie::MAX);
        let octets = match &self.config.cookies {
            Cookies::Plain if state.len() > most => {
                return Err(Refused::TooLong { size: state.len(), most });
            }
            Cookies::Plain => state,
            Cookies::Sealed(ring) => {
                let received = includes.unwrap_or(served.counts.received);
                if received > served.counts.received {
                    return Err(Refused::NotCome(received));
                }
                let bound = Bound { handle: &self.config.handle, user: &served.user };
                let size = cookie::size(bound, &state);
                if size > most {
                    return Err(Refused::TooLong { size, most });
                }
                let counts = Counts { received, sent: served.counts.sent };
                let (session, sequence) = (served.session, served.sequence + 1);
                let cookie = Cookie { session, sequence, issued, issuer: self.config.id, counts, state };
                let sealed = cookie::seal(ring, bound, &cookie, self.unique.draw());
                served.sequence = sequence;
                sealed.ok_or(Refused::TooLong { size, most })?
            }
        };
        self.counters.cookies += 1;
        self.say(link, Control::Cookie(octets));
        Ok(())
    }
}
