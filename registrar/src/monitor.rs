//! What happens, told to whoever looks on, as it happens.
//!
//! Nobody is waited for: the last events are kept for those who read, up to a number, and who is further behind is
//! told no more.

#![expect(clippy::disallowed_methods, reason = "what happens is told with the time of day")]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

use crate::{Association, asap, enrp};

/// Events that are kept for those who look on.
const KEPT: usize = 4096;

/// Among whom something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Among pool elements and pool users.
    Asap,
    /// Among registrars.
    Enrp,
    /// In the registrar itself.
    Registrar,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// Among whom.
    pub side: Side,
    /// What kind of thing, in a word.
    pub event: String,
    /// What, for people.
    pub text: String,
    /// The pool that it is about, as in a dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The element that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<u32>,
    /// The registrar that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registrar: Option<u32>,
    /// The association that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association: Option<Association>,
}

impl fmt::Display for Happening {
    /// The time of day in UTC, and what happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.at_ms / 1000 % 86_400, self.at_ms % 1000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}.{ms:03}  {}", self.text)
    }
}

impl Happening {
    fn new(side: Side, event: &str, text: String) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = since.as_millis().try_into().unwrap_or(u64::MAX);
        let event = event.to_owned();
        Self { at_ms, side, event, text, pool: None, element: None, registrar: None, association: None }
    }

    fn of_asap(event: &asap::Event) -> Self {
        use asap::Event;
        let (name, handle, id, about) = match event {
            Event::Registered { handle, id, owner } => ("registered", Some(handle), Some(*id), Some(*owner)),
            Event::Reregistered { handle, id, owner, .. } => {
                ("reregistered", Some(handle), Some(*id), Some(*owner))
            }
            Event::Refused { handle, id, association, .. } => {
                ("refused", Some(handle), Some(*id), Some(*association))
            }
            Event::NotDeregistered { handle, id, association } => {
                ("not_deregistered", Some(handle), Some(*id), Some(*association))
            }
            Event::Removed { handle, id, .. } => ("removed", Some(handle), Some(*id), None),
            Event::Contested { handle, id, owner, .. } => {
                ("contested", Some(handle), Some(*id), Some(*owner))
            }
            Event::Malformed { association, .. } => ("malformed", None, None, Some(*association)),
        };
        Self {
            pool: handle.map(ToString::to_string),
            element: id,
            association: about,
            ..Self::new(Side::Asap, name, event.to_string())
        }
    }

    fn of_enrp(event: &enrp::Event) -> Self {
        use enrp::Event;
        let (name, registrar) = match event {
            Event::Ready { mentor } => ("ready", *mentor),
            Event::PeerUp { peer } => ("peer_up", Some(*peer)),
            Event::PeerBack { peer } => ("peer_back", Some(*peer)),
            Event::PeerSilent { peer } => ("peer_silent", Some(*peer)),
            Event::PeerDead { peer } => ("peer_dead", Some(*peer)),
            Event::TookOver { target, .. } => ("took_over", Some(*target)),
            Event::TakenOver { target, .. } => ("taken_over", Some(*target)),
            Event::Draining { .. } => ("draining", None),
            Event::Drained { .. } => ("drained", None),
            Event::TakeoverRefused { target, .. } => ("takeover_refused", Some(*target)),
            Event::Resync { peer } => ("resync", Some(*peer)),
            Event::Purged { peer, .. } => ("purged", Some(*peer)),
            Event::Claimed { by, .. } => ("claimed", Some(*by)),
            Event::Conceded { by, .. } => ("conceded", Some(*by)),
            Event::ProfileFound { peer, .. } => ("profile_found", Some(*peer)),
            Event::Impostor { claimed, .. } => ("impostor", Some(*claimed)),
            Event::Malformed { .. } => ("malformed", None),
        };
        let about = match event {
            Event::Claimed { handle, id, .. } | Event::Conceded { handle, id, .. } => Some((handle, *id)),
            _ => None,
        };
        let association = match event {
            Event::Impostor { association, .. } | Event::Malformed { association, .. } => Some(*association),
            _ => None,
        };
        Self {
            pool: about.map(|(handle, _)| handle.to_string()),
            element: about.map(|(_, id)| id),
            registrar,
            association,
            ..Self::new(Side::Enrp, name, event.to_string())
        }
    }
}

/// Where events go. Without anybody who looks on they cost nothing.
#[derive(Clone, Debug)]
pub(crate) struct Feed(broadcast::Sender<Arc<str>>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Feed {
    pub(crate) fn asap(&self, event: &asap::Event) {
        self.tell(|| Happening::of_asap(event));
    }

    pub(crate) fn enrp(&self, event: &enrp::Event) {
        self.tell(|| Happening::of_enrp(event));
    }

    /// Something happened in the registrar itself.
    pub(crate) fn registrar(&self, event: &str, text: &str) {
        self.tell(|| Happening::new(Side::Registrar, event, text.to_owned()));
    }

    fn tell(&self, happening: impl FnOnce() -> Happening) {
        if self.0.receiver_count() > 0
            && let Ok(line) = serde_json::to_string(&happening())
        {
            // Whoever has just gone misses nothing.
            let _ = self.0.send((line + "\n").into());
        }
    }

    /// How many look on.
    #[cfg(test)]
    pub(crate) fn lookers(&self) -> usize {
        self.0.receiver_count()
    }

    /// All events from now on, a line of JSON each.
    pub(crate) fn look_on(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.subscribe()
    }
}
