//! What an element says on the control channel.

use std::time::{Duration, Instant};

use super::super::control::{Control, Nonsense};
use super::super::cookie::{Counts, counts};
use super::super::track::{Mark, Reading};
use super::machine::{Here, Kept, User};
use super::{Event, Exchange, Output};
use crate::wire::MessageType;

impl User {
    pub(super) fn control(&mut self, now: Instant, octets: &[u8]) {
        let Some(&Here { link, control: true, .. }) = self.here() else { return };
        let heard = Control::read(octets);
        if let Some(octets) = heard.report {
            self.outputs.push_back(Output::Control { link, octets });
        }
        match heard.control {
            Ok(Control::Cookie(octets)) if octets.len() > self.config.limits.cookie => {
                self.nonsense(Nonsense::LongCookie(octets.len()));
            }
            Ok(Control::Cookie(octets)) => {
                let counts = counts(&octets);
                self.early = None;
                self.keep(octets, counts);
            }
            Ok(Control::CookieEcho(_)) => self.nonsense(Nonsense::WrongSide(MessageType::COOKIE_ECHO)),
            Ok(Control::BusinessCard { handle, elements }) => {
                if self.candidates.prefer(&self.config.handle, &handle, &elements) {
                    self.counters.cards += 1;
                    // RFC 5352 §3.9, BC1. Nobody waits for the answer.
                    if self.candidates.lacks_preferred() && self.due.resolve.is_none() {
                        self.ask(now, Duration::ZERO);
                    }
                } else {
                    self.nonsense(Nonsense::Card);
                }
            }
            Ok(Control::Error(causes)) if Control::is_refusal(&causes) && self.is_restored() => {
                self.afresh(now);
            }
            Ok(Control::Error(causes)) => self.event(Event::Error(causes)),
            Err(nonsense) => self.nonsense(nonsense),
        }
    }

    /// Keeps a cookie in place of the one before (RFC 5352 §3.8), once all messages that it counts have come.
    pub(super) fn keep(&mut self, octets: Vec<u8>, counts: Option<Counts>) {
        let Some(here) = self.here() else { return };
        let too_many_answers = counts.is_some_and(|counts| counts.sent > counts.received);
        if too_many_answers && self.config.exchange.one_answer_each() {
            return self.nonsense(Nonsense::WrongCounts);
        }
        let mark = match counts.map(|counts| here.track.read(counts)) {
            Some(Reading::At(mark)) => mark,
            Some(Reading::Early) => {
                self.early = counts.map(|counts| (octets, counts));
                return;
            }
            Some(Reading::Nonsense) => return self.nonsense(Nonsense::WrongCounts),
            None => self.mark_of_a_stranger(),
        };
        let before = self.cookie.as_ref().map(|kept| kept.mark.covered).unwrap_or_default();
        if mark.covered < before {
            return self.nonsense(Nonsense::WrongCounts);
        }
        self.ledger.cover(mark.covered);
        self.cookie = Some(Kept { octets, counts: counts.unwrap_or_default(), mark });
        self.counters.cookies += 1;
    }

    /// What a cookie covers that does not say it: what has been answered; or, where nothing is, what has been sent.
    fn mark_of_a_stranger(&self) -> Mark {
        let covered = match self.config.exchange {
            Exchange::Covered => self.ledger.sent(),
            _ => self.ledger.answered(),
        };
        Mark { covered, owed: 0 }
    }

    fn is_restored(&self) -> bool {
        self.here().is_some_and(|here| here.echoed)
    }

    /// The element has refused the cookie and knows nothing of the session.
    fn afresh(&mut self, now: Instant) {
        self.counters.afresh += 1;
        (self.cookie, self.early) = (None, None);
        self.ledger.uncover();
        self.event(Event::Afresh);
        let first = self.ledger.first();
        let Some(here) = self.here_mut() else { return };
        here.echoed = false;
        if first == here.track.first() {
            return here.track.refused();
        }
        // What the cookie covered has to be sent before what has been sent here already.
        let (link, id) = (here.link, here.id);
        self.outputs.push_back(Output::Abort(link));
        (self.due.answer, self.due.stranded, self.due.look) = (None, None, None);
        self.reconnect(now, id);
    }
}
