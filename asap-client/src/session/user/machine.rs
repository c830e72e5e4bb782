//! The session's machine: what happens at an element. [`seek`](super::seek) finds it, [`channel`](super::channel) is
//! what is said on the control channel.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::super::candidates::Candidates;
use super::super::control::{Control, Nonsense};
use super::super::cookie::Counts;
use super::super::ledger::{Ledger, unnumbered};
use super::super::track::{Mark, Track};
use super::watch::Watch;
use super::{
    Config, Counters, Decision, Down, End, Event, Exchange, Input, Loss, Outgoing, Output, Refused,
    SendOptions,
};
use crate::timers::{earliest, expired};
use crate::wire::PPID;

/// The newest cookie.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) octets: Vec<u8>,
    pub(super) counts: Counts,
    pub(super) mark: Mark,
}

/// The element where the session is.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) link: u64,
    pub(super) id: u32,
    /// It speaks ASAP on the association.
    pub(super) control: bool,
    /// It was given a cookie, and has not refused it.
    pub(super) echoed: bool,
    pub(super) track: Track,
}

#[derive(Debug)]
pub(super) enum State {
    /// Waiting for who is in the pool.
    Resolving,
    /// Every element has failed; waiting for another attempt.
    Pausing,
    Connecting {
        link: u64,
        id: u32,
        control: bool,
    },
    At(Here),
    Deciding,
    Over,
}

/// Timers.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) patience: Option<Instant>,
    pub(super) connect: Option<Instant>,
    pub(super) resolve: Option<Instant>,
    pub(super) answer: Option<Instant>,
    pub(super) stranded: Option<Instant>,
    pub(super) look: Option<Instant>,
    pub(super) pause: Option<Instant>,
}

/// One session of a program with a pool.
#[derive(Debug)]
pub struct User {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) candidates: Candidates,
    pub(super) ledger: Ledger,
    pub(super) cookie: Option<Kept>,
    /// A cookie that counts messages that have still to come.
    pub(super) early: Option<(Vec<u8>, Counts)>,
    pub(super) links: u64,
    /// A link that was left, as long as the transport may give something back from it.
    draining: Option<u64>,
    /// The last message sent for the first time.
    newest: u64,
    /// No path of the present link works.
    pub(super) pathless: bool,
    pub(super) watch: Watch,
    /// The host has no address: that is no element's fault.
    pub(super) offline: bool,
    /// Elements that the registrar was told of, since they were last reached.
    pub(super) reported: BTreeSet<u32>,
    pub(super) due: Due,
    pub(super) pause: Duration,
    /// The pool was asked for anew since the last element was lost.
    pub(super) asked: bool,
    /// Why no element is left.
    pub(super) why: End,
    ending: bool,
    pub(super) counters: Counters,
    pub(super) outputs: VecDeque<Output>,
}

impl User {
    /// A session that looks for its first element.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut user = Self {
            state: State::Resolving,
            candidates: Candidates::new(config.seed, config.turn),
            ledger: Ledger::new(config.exchange, config.limits.clone()),
            cookie: None,
            early: None,
            links: 0,
            draining: None,
            newest: 0,
            pathless: false,
            watch: Watch::default(),
            offline: false,
            reported: BTreeSet::new(),
            due: Due::default(),
            pause: config.waits.pause,
            asked: false,
            why: End::NoRegistrar,
            ending: false,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            config,
        };
        user.be_patient(now);
        user.ask(now, user.config.waits.fresh);
        user
    }

    /// How many messages have been taken; the number of the last one.
    pub fn taken(&self) -> u64 {
        self.ledger.taken()
    }

    /// The element where the session is.
    pub fn element(&self) -> Option<u32> {
        self.here().map(|here| here.id)
    }

    /// Is it over?
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Is there a cookie for the next element?
    pub fn has_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes an input in.
    ///
    /// # Errors
    /// Only for [`Input::Send`]: the message was not taken.
    pub fn handle(&mut self, now: Instant, input: Input) -> Result<(), Refused> {
        match input {
            Input::Send { octets, options } => self.take(unnumbered(octets, options), options)?,
            Input::Pool(answer) => self.pool(now, &answer),
            Input::Unanswered => self.unanswered(now),
            Input::Up(link) => self.up(now, link),
            Input::Down(link, down) => self.down(now, link, down),
            Input::Restarted(link) if self.is_at(link) => self.leave(now, Loss::Restarted, false),
            Input::Reachable(link, reachable) if self.is_at(link) => {
                self.pathless = !reachable;
                self.strand(now);
            }
            Input::Online(online) => self.online(now, online),
            Input::Undelivered(link, message) => self.undelivered(link, message),
            Input::Looked { link, packets, unacknowledged } if self.is_at(link) => {
                self.looked(now, packets, unacknowledged);
            }
            Input::Data { link, ppid, octets } if self.is_at(link) => {
                self.heard(now);
                self.data(now, ppid, octets);
            }
            Input::Control { link, octets } if self.is_at(link) => {
                self.heard(now);
                self.control(now, &octets);
            }
            Input::Restarted(_)
            | Input::Reachable(..)
            | Input::Looked { .. }
            | Input::Data { .. }
            | Input::Control { .. } => {}
            Input::Decision(decision) => self.decided(now, decision),
            Input::Leave { to, report } => {
                if let Some(id) = to {
                    self.candidates.want(id);
                }
                if let (Some(here), true) = (self.here(), report) {
                    self.report(here.id);
                }
                if self.here().is_some() {
                    self.leave(now, Loss::Left, false);
                }
            }
            Input::End { graceful: true } => self.ending = true,
            Input::End { graceful: false } => self.end(End::Done),
        }
        self.settle(now);
        Ok(())
    }

    /// Lets expired timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        if expired(&mut self.due.patience, now) {
            self.end(self.why);
        }
        if expired(&mut self.due.stranded, now) {
            self.leave(now, Loss::Stranded, false);
        }
        if expired(&mut self.due.answer, now) {
            self.leave(now, Loss::Unanswered, false);
        }
        if expired(&mut self.due.look, now) {
            self.look(now);
        }
        if expired(&mut self.due.connect, now) {
            self.unconnected(now, false);
        }
        if expired(&mut self.due.resolve, now) {
            self.unanswered(now);
        }
        if expired(&mut self.due.pause, now) {
            self.again(now);
        }
        self.settle(now);
    }

    /// The next thing to do. What the program sends comes out only when it is asked for here: who cannot send at the
    /// moment should ask for [what else there is](Self::poll_urgent).
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if let Some(message) = self.next_message() {
            return Some(message);
        }
        self.poll_urgent()
    }

    /// The next thing to do that is no message of the program: for who cannot send at the moment.
    pub fn poll_urgent(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.finish();
        }
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Due { patience, connect, resolve, answer, stranded, look, pause } = self.due;
        earliest([patience, connect, resolve, answer, stranded, look, pause])
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn nonsense(&mut self, nonsense: Nonsense) {
        self.counters.nonsense += 1;
        self.event(Event::Nonsense(nonsense));
    }

    pub(super) fn here(&self) -> Option<&Here> {
        match &self.state {
            State::At(here) => Some(here),
            _ => None,
        }
    }

    pub(super) fn here_mut(&mut self) -> Option<&mut Here> {
        match &mut self.state {
            State::At(here) => Some(here),
            _ => None,
        }
    }

    fn is_at(&self, link: u64) -> bool {
        self.here().is_some_and(|here| here.link == link)
    }

    /// Tells the registrar of an element that cannot be reached, once.
    pub(super) fn report(&mut self, id: u32) {
        if self.reported.insert(id) {
            self.counters.reports += 1;
            self.outputs.push_back(Output::Unreachable { handle: self.config.handle.clone(), id });
        }
    }

    fn take(&mut self, message: Outgoing, options: SendOptions) -> Result<(), Refused> {
        if self.ending || self.is_over() {
            return Err(Refused::Over);
        }
        if options.ppid == PPID {
            return Err(Refused::ControlPpid);
        }
        if options.unordered && self.config.exchange != Exchange::Stream {
            return Err(Refused::Unordered);
        }
        self.ledger.push(message)
    }

    fn undelivered(&mut self, link: u64, message: Outgoing) {
        if self.is_at(link) || (self.draining == Some(link) && message.failover && !self.is_over()) {
            self.ledger.give_back(message);
        } else if self.draining == Some(link) {
            self.event(Event::Returned(message));
        }
    }

    fn next_message(&mut self) -> Option<Output> {
        // What is given back goes first.
        if self.draining.is_some() {
            return None;
        }
        let State::At(here) = &mut self.state else { return None };
        let message = self.ledger.send()?;
        here.track.sent();
        let link = here.link;
        if message.number <= self.newest {
            self.counters.resent += 1;
        }
        self.newest = self.newest.max(message.number);
        // What a stream has sent is not kept.
        self.tell_of_room();
        Some(Output::Data { link, message })
    }

    fn up(&mut self, now: Instant, link: u64) {
        let State::Connecting { link: awaited, id, control } = self.state else { return };
        if awaited != link {
            return;
        }
        (self.due.connect, self.due.patience, self.pause) = (None, None, self.config.waits.pause);
        self.pathless = false;
        self.reported.remove(&id);
        self.candidates.reached(id);
        self.counters.elements += 1;
        let cookie = self.cookie.as_ref().filter(|_| control);
        let first = self.ledger.resume(cookie.is_some());
        let track = match cookie {
            Some(kept) => Track::restored(kept.counts, kept.mark, first),
            None => Track::fresh(first),
        };
        let echoed = cookie.is_some();
        // The echo goes before everything else (RFC 5352 §3.8).
        if let Some(kept) = cookie {
            let octets = Control::CookieEcho(kept.octets.clone()).encode();
            self.outputs.push_back(Output::Control { link, octets });
            self.counters.echoes += 1;
        }
        if let Some((handle, elements)) = self.config.card.clone().filter(|_| control) {
            let octets = Control::BusinessCard { handle, elements }.encode();
            self.outputs.push_back(Output::Control { link, octets });
        }
        self.state = State::At(Here { link, id, control, echoed, track });
        self.event(Event::At { id, restored: echoed });
        self.await_answer(now, true);
        self.watch = Watch::default();
        self.heard(now);
    }

    fn down(&mut self, now: Instant, link: u64, down: Down) {
        match self.state {
            State::Connecting { link: awaited, .. } if awaited == link => self.unconnected(now, true),
            State::At(Here { link: present, .. }) if present == link => {
                let why = if down == Down::Lost { Loss::Lost } else { Loss::Shutdown };
                self.leave(now, why, true);
            }
            _ if self.draining == Some(link) => self.draining = None,
            _ => {}
        }
    }

    /// Leaves the element.
    pub(super) fn leave(&mut self, now: Instant, why: Loss, gone: bool) {
        let Some(&Here { link, id, .. }) = self.here() else { return };
        if !gone {
            self.outputs.push_back(Output::Abort(link));
            // Over a link that waits for what another one gives back, nothing was sent.
            if self.config.exchange == Exchange::Stream {
                self.draining.get_or_insert(link);
            }
        }
        (self.due.answer, self.due.stranded, self.due.look) = (None, None, None);
        self.early = None;
        self.counters.losses += 1;
        if why.is_reported() {
            self.report(id);
        }
        if why != Loss::Restarted {
            self.candidates.lose(id);
        }
        self.event(Event::Lost { id, why, cookie: self.cookie.is_some() });
        for message in self.ledger.lost() {
            self.event(Event::Returned(message));
        }
        self.asked = false;
        if self.config.ask {
            self.state = State::Deciding;
            return self.event(Event::Decide);
        }
        self.go_on(now);
    }

    fn decided(&mut self, now: Instant, decision: Decision) {
        if !matches!(self.state, State::Deciding) {
            return;
        }
        match decision {
            Decision::Continue => {}
            Decision::ToElement(id) => self.candidates.want(id),
            Decision::GiveUp => return self.end(End::GivenUp),
        }
        self.go_on(now);
    }

    fn data(&mut self, now: Instant, ppid: u32, octets: bytes::Bytes) {
        let one_each = self.config.exchange.one_answer_each();
        let Some(here) = self.here_mut() else { return };
        here.track.came();
        if one_each {
            match here.track.last_answer() {
                None => self.nonsense(Nonsense::Unasked),
                Some(position) => match self.ledger.answer(position) {
                    Some(number) => {
                        self.event(Event::Answer { number, ppid, octets });
                        self.await_answer(now, true);
                    }
                    None => self.counters.repeated += 1,
                },
            }
        } else {
            self.event(Event::Data { ppid, octets });
        }
        if let Some((octets, counts)) = self.early.take() {
            self.keep(octets, Some(counts));
        }
    }

    fn settle(&mut self, now: Instant) {
        self.await_answer(now, false);
        self.tell_of_room();
    }

    fn tell_of_room(&mut self) {
        if self.ledger.has_room_again() && !self.is_over() {
            self.event(Event::Room);
        }
    }

    /// Ends a session that is to end, once nothing is left to be done.
    fn finish(&mut self) {
        if !self.ending || self.is_over() || !self.ledger.is_idle() {
            return;
        }
        self.end_with(End::Done, Output::Shutdown);
    }

    /// Ends the session at once.
    pub(super) fn end(&mut self, why: End) {
        self.end_with(why, Output::Abort);
    }

    /// Nothing of the session stays, whatever it was doing.
    fn end_with(&mut self, why: End, last: fn(u64) -> Output) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return,
            State::Connecting { link, .. } => self.outputs.push_back(Output::Abort(link)),
            State::At(Here { link, .. }) => self.outputs.push_back(last(link)),
            State::Resolving | State::Pausing | State::Deciding => {}
        }
        self.due = Due::default();
        (self.cookie, self.early) = (None, None);
        for message in self.ledger.drain() {
            self.event(Event::Returned(message));
        }
        self.event(Event::Ended(why));
    }
}
