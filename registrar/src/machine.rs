//! The registrar as a whole: the ASAP service and ENRP around one handlespace.

use std::time::{Duration, Instant};

use crate::handlespace::Handlespace;
use crate::{Association, asap, enrp};

/// What happened, on either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Among pool elements and pool users.
    Asap(asap::Input),
    /// Among registrars.
    Enrp(enrp::Input),
}

/// What to do, on either side; in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Towards pool elements and pool users.
    Asap(asap::Output),
    /// Towards registrars.
    Enrp(enrp::Output),
}

/// A registrar: [`asap::Registrar`], which keeps the handlespace, and [`enrp::Enrp`], which borrows it.
///
/// What one of them does there the other is told before anything goes out, and what goes to registrars goes out first:
/// so peers know of an element before it is told that it is registered (RFC 5353 §3.3).
#[derive(Clone, Debug)]
pub struct Registrar {
    asap: asap::Registrar,
    enrp: enrp::Enrp,
}

impl Registrar {
    /// A registrar that starts `now`. `seed` spreads what it does in time. Both settings name the same identifier.
    pub fn new(now: Instant, asap: asap::Settings, enrp: enrp::Settings, seed: u64) -> Self {
        debug_assert_eq!(asap.server, enrp.server, "one registrar has one identifier");
        Self { asap: asap::Registrar::new(asap, seed), enrp: enrp::Enrp::new(now, enrp, !seed) }
    }

    /// The ASAP service.
    pub fn asap(&self) -> &asap::Registrar {
        &self.asap
    }

    /// The registrar among its peers.
    pub fn enrp(&self) -> &enrp::Enrp {
        &self.enrp
    }

    /// The pools.
    pub fn handlespace(&self) -> &Handlespace {
        self.asap.handlespace()
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Asap(input) => self.asap.handle(now, input),
            Input::Enrp(input) => self.enrp.handle(now, input, self.asap.handlespace_mut()),
        }
        self.settle(now);
    }

    /// Takes a message of a pool element or user without keeping it. See [`asap::Registrar::handle_message`].
    pub fn handle_message(&mut self, now: Instant, association: Association, ppid: u32, bytes: &[u8]) {
        self.asap.handle_message(now, association, ppid, bytes);
        self.settle(now);
    }

    /// Takes messages of pool users that waited together. See [`asap::Registrar::handle_questions`].
    pub fn handle_questions(&mut self, now: Instant, questions: &[(Association, Vec<u8>)]) {
        self.asap.handle_questions(now, questions);
        self.settle(now);
    }

    /// Does what is due. To be called when [`Self::poll_timeout`] has passed; harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout_having_heard(now, &asap::Heard::everything(now));
    }

    /// As [`Self::handle_timeout`], where what had come by `now` may not all have been taken yet: until it is, nobody is
    /// held to be silent.
    pub fn handle_timeout_having_heard(&mut self, now: Instant, heard: &asap::Heard<'_>) {
        self.asap.handle_timeout_having_heard(now, heard);
        self.settle(now);
        self.enrp.handle_timeout(now, self.asap.handlespace_mut());
        self.settle(now);
    }

    /// Begins to hand the elements to other registrars, for `patience` at most, before this one is stopped. The end is
    /// told by [`enrp::Event::Drained`]. Everything else goes on; elements that register meanwhile are handed over too.
    ///
    /// # Errors
    /// There are elements, and no other registrar that lives. Nothing has changed then.
    pub fn drain(&mut self, now: Instant, patience: Duration) -> Result<(), enrp::NoPeer> {
        self.enrp.drain(now, patience, self.asap.handlespace())?;
        self.settle(now);
        Ok(())
    }

    /// Goes on with other settings; its identifier stays.
    pub fn reconfigure(&mut self, now: Instant, asap: asap::Settings, enrp: enrp::Settings) {
        self.asap.reconfigure(now, asap);
        self.enrp.reconfigure(now, enrp);
        self.settle(now);
    }

    /// What to do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        let enrp = self.enrp.poll_output().map(Output::Enrp);
        enrp.or_else(|| self.asap.poll_output().map(Output::Asap))
    }

    /// When to call [`Self::handle_timeout`]; `None` while nothing is due ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asap.poll_timeout().into_iter().chain(self.enrp.poll_timeout()).min()
    }

    /// Tells each side what the other did, until there is nothing more to tell.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(change) = self.asap.poll_change() {
                self.enrp.change(now, change, self.asap.handlespace_mut());
            } else if let Some(effect) = self.enrp.poll_effect() {
                self.asap.effect(now, effect);
            } else {
                return;
            }
        }
    }
}
