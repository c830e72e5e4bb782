//! A pool element's side of ASAP: staying registered (RFC 5352 §3.1, §3.2, §3.4).
//!
//! The machine knows nothing of associations. Its caller tells it when there is a home registrar, carries its messages
//! there, and looks for another when asked to.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::timers::{Timers, earliest, expired};
use crate::wire::{Cause, Message, Policy, PoolElement as Element, PoolHandle, Transport};

/// What is registered for an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it serves. The addresses have to be among those of the association to the registrar.
    pub transport: Transport,
    /// How it wants to be selected.
    pub policy: Policy,
    /// How long the registration lives unless renewed; `None` is for ever.
    pub life: Option<Duration>,
}

/// What happens to an element.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Be registered like this: at once, or as soon as there is a home and no other registration is in flight. A newer
    /// one replaces it.
    Serve(Registration),
    /// Be registered no more.
    Withdraw,
    /// There is a (new) home registrar; what was in flight to another is void.
    Home,
    /// There is none any more.
    HomeLost,
    /// A message from a registrar. Responses only from the home.
    Message(&'a Message),
}

/// What an element wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the home registrar.
    Send(Message),
    /// Send this where the message just handled came from.
    Answer(Message),
    /// The home does not answer: look for another.
    Hunt,
    /// Tell the user.
    Event(Event),
}

/// What a user may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The registrar has accepted the registration.
    Registered {
        /// What the registrar altered.
        warnings: Vec<Cause>,
    },
    /// The registrar has refused the registration. It is not tried again unchanged at the same home, but for one
    /// reason: that the element lives elsewhere (cause 0x4). That may be this very host, where it was a moment ago.
    Rejected {
        /// Why.
        causes: Vec<Cause>,
    },
    /// MAX-REG-ATTEMPT registrations went unanswered. It is tried again after RETRAN-MAX, or at a new home.
    Unanswered,
    /// The registrar says that the registration's life is over; it is being renewed.
    Expired,
    /// The element is registered no more.
    Withdrawn,
}

/// One pool element.
#[derive(Debug)]
pub struct PoolElement {
    handle: PoolHandle,
    id: u32,
    timers: Timers,
    home: bool,
    wanted: Option<Registration>,
    /// The latest registration sent to this home, whether answered or not.
    sent: Option<Registration>,
    /// What the registrar has accepted.
    confirmed: Option<Registration>,
    /// Some registrar may have a registration of this element.
    exposed: bool,
    /// `wanted` was rejected as it is.
    refused: bool,
    attempts: u32,
    /// How often in a row it was refused since it lives elsewhere.
    contested: u32,
    t2: Option<Instant>,
    t4: Option<Instant>,
    /// After too many attempts.
    pause: Option<Instant>,
    /// A deregistration is still to be done.
    leaving: bool,
    /// A deregistration is on its way.
    left: bool,
    t3: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl PoolElement {
    /// An element of this pool with this identifier, which is to be random and kept.
    pub fn new(handle: PoolHandle, id: u32, timers: Timers) -> Self {
        Self {
            handle,
            id,
            timers,
            home: false,
            wanted: None,
            sent: None,
            confirmed: None,
            exposed: false,
            refused: false,
            attempts: 0,
            contested: 0,
            t2: None,
            t4: None,
            pause: None,
            leaving: false,
            left: false,
            t3: None,
            outputs: VecDeque::new(),
        }
    }

    /// The pool's handle.
    pub fn pool(&self) -> &PoolHandle {
        &self.handle
    }

    /// The element's identifier.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What the registrar has accepted last, unless it is void since.
    pub fn confirmed(&self) -> Option<&Registration> {
        self.confirmed.as_ref()
    }

    /// Is nothing in flight and nothing to be sent?
    pub fn is_settled(&self) -> bool {
        let registered = self.wanted.is_none() || self.refused || self.confirmed == self.wanted;
        registered && self.t2.is_none() && !self.leaving
    }

    /// Has it been withdrawn for good?
    pub fn is_gone(&self) -> bool {
        self.wanted.is_none() && !self.leaving
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Serve(registration) => self.serve(now, registration),
            Input::Withdraw => self.withdraw(now),
            Input::Home => self.new_home(now),
            Input::HomeLost => {
                self.home = false;
                self.forget_home();
            }
            Input::Message(message) => self.message(now, message),
        }
    }

    /// Lets expired timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        let tried_enough = self.attempts >= self.timers.max_reg_attempt;
        if expired(&mut self.t2, now) {
            if tried_enough {
                self.give_up(now);
            } else {
                self.outputs.push_back(Output::Hunt);
            }
        }
        if expired(&mut self.t3, now) {
            if tried_enough {
                self.withdrawn();
            } else {
                self.outputs.push_back(Output::Hunt);
            }
        }
        if expired(&mut self.t4, now) || expired(&mut self.pause, now) {
            self.register(now);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest([self.t2, self.t3, self.t4, self.pause])
    }

    fn serve(&mut self, now: Instant, registration: Registration) {
        if self.leaving {
            (self.leaving, self.t3) = (false, None);
        }
        if self.wanted.as_ref() == Some(&registration) {
            return;
        }
        self.wanted = Some(registration);
        (self.refused, self.attempts, self.contested, self.pause) = (false, 0, 0, None);
        if self.t2.is_none() && self.confirmed != self.wanted {
            self.register(now);
        }
    }

    fn withdraw(&mut self, now: Instant) {
        if self.wanted.take().is_none() {
            return;
        }
        (self.t2, self.t4, self.pause) = (None, None, None);
        (self.attempts, self.refused) = (0, false);
        if !self.exposed {
            return self.outputs.push_back(Output::Event(Event::Withdrawn));
        }
        (self.leaving, self.confirmed) = (true, None);
        self.deregister(now);
    }

    fn new_home(&mut self, now: Instant) {
        self.forget_home();
        self.home = true;
        (self.refused, self.contested) = (false, 0);
        if self.wanted.is_some() {
            self.register(now);
        } else if self.leaving {
            self.deregister(now);
        }
    }

    /// What was in flight will not be answered.
    fn forget_home(&mut self) {
        (self.t2, self.t3, self.pause, self.t4) = (None, None, None, None);
        self.left = false;
        if self.sent.take() != self.confirmed {
            self.confirmed = None;
        }
    }

    fn register(&mut self, now: Instant) {
        let Some(registration) = self.wanted.clone().filter(|_| self.home) else { return };
        self.attempts += 1;
        let element = Element {
            id: self.id,
            home: 0,
            life: self.timers.life_unit.encode(registration.life),
            user: registration.transport.clone(),
            policy: registration.policy.clone(),
            asap: None,
        };
        let message = Message::Registration { handle: self.handle.clone(), element };
        self.outputs.push_back(Output::Send(message));
        (self.sent, self.exposed) = (Some(registration), true);
        self.t2 = Some(now + self.timers.t2_registration);
        (self.t4, self.pause) = (None, None);
    }

    fn give_up(&mut self, now: Instant) {
        self.attempts = 0;
        self.pause = Some(now + self.timers.retran_max);
        self.outputs.push_back(Output::Event(Event::Unanswered));
    }

    fn deregister(&mut self, now: Instant) {
        if self.home {
            self.attempts += 1;
            self.left = true;
            self.t3 = Some(now + self.timers.t3_deregistration);
            let message = Message::Deregistration { handle: self.handle.clone(), id: self.id };
            self.outputs.push_back(Output::Send(message));
        }
    }

    fn withdrawn(&mut self) {
        (self.leaving, self.t3) = (false, None);
        (self.sent, self.confirmed, self.exposed) = (None, None, false);
        self.outputs.push_back(Output::Event(Event::Withdrawn));
    }

    fn message(&mut self, now: Instant, message: &Message) {
        match message {
            Message::RegistrationResponse { rejected, handle, id, error } if self.is_me(handle, *id) => {
                self.response(now, *rejected, error.clone().unwrap_or_default());
            }
            Message::DeregistrationResponse { handle, id, .. } if self.is_me(handle, *id) => {
                self.deregistered(now);
            }
            Message::EndpointKeepAlive { handle, id, .. }
                if self.wanted.is_some() && self.is_me(handle, id.unwrap_or(self.id)) =>
            {
                let ack = Message::EndpointKeepAliveAck { handle: self.handle.clone(), id: self.id };
                self.outputs.push_back(Output::Answer(ack));
            }
            _ => {}
        }
    }

    fn is_me(&self, handle: &PoolHandle, id: u32) -> bool {
        *handle == self.handle && id == self.id
    }

    fn response(&mut self, now: Instant, rejected: bool, causes: Vec<Cause>) {
        // A late response to what was sent before is as good as a prompt one.
        let Some(sent) = self.sent.clone().filter(|_| self.home && self.wanted.is_some()) else { return };
        (self.t2, self.pause, self.attempts) = (None, None, 0);
        if rejected {
            (self.confirmed, self.t4) = (None, None);
            self.refused = self.wanted.as_ref() == Some(&sent);
            if causes.iter().any(|cause| cause.code == Cause::NON_UNIQUE_PE_IDENTIFIER) {
                let pause = self.timers.retry.saturating_mul(1 << self.contested.min(16));
                self.pause = Some(now + pause.min(self.timers.retran_max));
                self.contested += 1;
            }
            self.outputs.push_back(Output::Event(Event::Rejected { causes }));
        } else {
            self.contested = 0;
            self.t4 = Some(now + self.timers.t4(sent.life));
            self.confirmed = Some(sent.clone());
            self.outputs.push_back(Output::Event(Event::Registered { warnings: causes }));
        }
        if self.wanted.as_ref() != Some(&sent) {
            self.register(now);
        }
    }

    fn deregistered(&mut self, now: Instant) {
        let asked_for = std::mem::take(&mut self.left);
        if self.leaving {
            self.withdrawn();
        } else if !asked_for && self.confirmed.is_some() && self.wanted.is_some() {
            self.confirmed = None;
            self.outputs.push_back(Output::Event(Event::Expired));
            if self.t2.is_none() {
                self.register(now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
