//! What happens in a round, from all who see it: noted with its time, told when nothing is in a hurry.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{self, Nanos, ms_between};

/// What has happened, with its time.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at: Nanos,
    /// `A`, `B`, `G` or `-`.
    pub(crate) host: &'static str,
    /// See [`Happening`](crate::result::Happening).
    pub(crate) kind: &'static str,
    pub(crate) what: String,
}

/// The events of one round. Clones share them.
#[derive(Debug, Clone)]
pub struct Story {
    begin: Nanos,
    aloud: bool,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    told: usize,
}

impl Story {
    pub(crate) fn new(aloud: bool) -> Self {
        Self { begin: clock::now(), aloud, inner: Arc::default() }
    }

    pub(crate) fn note(&self, host: &'static str, kind: &'static str, what: String) {
        self.note_at(clock::now(), host, kind, what);
    }

    pub(crate) fn note_at(&self, at: Nanos, host: &'static str, kind: &'static str, what: String) {
        self.inner().events.push(Event { at, host, kind, what });
    }

    /// Tells what has not yet been told. Output to a console can take milliseconds, so this is called only
    /// when no handover is under way.
    pub(crate) fn tell(&self) {
        let mut inner = self.inner();
        let all = inner.events.len();
        let from = std::mem::replace(&mut inner.told, all);
        if !self.aloud {
            return;
        }
        let mut fresh = inner.events[from..].to_vec();
        drop(inner);
        fresh.sort_by_key(|event| event.at);
        for event in fresh {
            let at = ms_between(self.begin, event.at) / 1000.0;
            println!("  {at:8.3} s  {} {:7} {}", event.host, event.kind, event.what.trim_end());
        }
    }

    /// All events in order of time.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = self.inner().events.clone();
        events.sort_by_key(|event| event.at);
        events
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
