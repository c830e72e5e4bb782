//! Why the daemon did what it did: the last ten thousand decisions, and whoever wants to hear the next ones.
#![expect(clippy::disallowed_methods, reason = "decisions carry the time of day")]

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast;

use crate::control::DecisionReport;

/// Decisions kept.
pub const CAPACITY: usize = 10_000;
/// How far a listener may fall behind before it misses some.
const BACKLOG: usize = 1024;

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum Subject {
    /// The daemon itself.
    Daemon,
    /// An address of this host.
    Address {
        /// Which.
        address: IpAddr,
    },
    /// An association, or a listening socket.
    Association {
        /// The process that has it.
        pid: i32,
        /// Its own port.
        local_port: u16,
        /// The peer's port; none for a listening socket.
        peer_port: Option<u16>,
    },
    /// A pool element of this host, or a peer's pool handle.
    Handle {
        /// The pool handle.
        handle: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon => f.write_str("daemon"),
            Self::Address { address } => write!(f, "address {address}"),
            Self::Association { pid, local_port, peer_port: Some(peer_port) } => {
                write!(f, "association {pid}:{local_port}-{peer_port}")
            }
            Self::Association { pid, local_port, peer_port: None } => {
                write!(f, "listener {pid}:{local_port}")
            }
            Self::Handle { handle } => write!(f, "handle {handle}"),
        }
    }
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Counts from 1 in a life of the daemon; a gap means that decisions were missed.
    pub sequence: u64,
    /// Milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What was decided or done.
    pub text: String,
    /// What made it so; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// More, for programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
}

/// `TIME SUBJECT: TEXT (CAUSE)`, with the time of day in UTC.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.time_ms / 1000 % 86_400, self.time_ms % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}.{ms:03} {}: {}", self.subject, self.text)?;
        if self.cause.is_empty() { Ok(()) } else { write!(f, " ({})", self.cause) }
    }
}

/// The ring of decisions. Clones are handles on the same.
#[derive(Debug, Clone)]
pub struct Decisions {
    ring: Arc<Mutex<Ring>>,
    news: broadcast::Sender<Arc<Decision>>,
}

#[derive(Debug, Default)]
struct Ring {
    decisions: VecDeque<Arc<Decision>>,
    sequence: u64,
    counts: DecisionReport,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { ring: Arc::default(), news: broadcast::channel(BACKLOG).0 }
    }
}

impl Decisions {
    /// Notes a decision with what caused it.
    pub fn note(&self, subject: Subject, text: impl Into<String>, cause: impl Into<String>) {
        self.note_with(subject, text, cause, BTreeMap::new());
    }

    /// Notes a decision with more for programs to read. Never waits for a listener.
    pub fn note_with(
        &self,
        subject: Subject,
        text: impl Into<String>,
        cause: impl Into<String>,
        fields: BTreeMap<String, Value>,
    ) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let mut ring = self.ring();
        ring.sequence += 1;
        let counts = &mut ring.counts;
        *match &subject {
            Subject::Daemon => &mut counts.daemon,
            Subject::Address { .. } => &mut counts.address,
            Subject::Association { .. } => &mut counts.association,
            Subject::Handle { .. } => &mut counts.handle,
        } += 1;
        let sequence = ring.sequence;
        let decision =
            Decision { sequence, time_ms, subject, text: text.into(), cause: cause.into(), fields };
        tracing::debug!(target: "decision", "{decision}");
        let decision = Arc::new(decision);
        if ring.decisions.len() == CAPACITY {
            ring.decisions.pop_front();
        }
        ring.decisions.push_back(Arc::clone(&decision));
        // Sent under the lock, so that `follow` neither misses one nor sees one twice. Nobody may listen.
        let _ = self.news.send(decision);
    }

    /// How many there were since the beginning.
    pub fn counts(&self) -> DecisionReport {
        self.ring().counts
    }

    /// The last `count` decisions, oldest first.
    pub fn recent(&self, count: usize) -> Vec<Arc<Decision>> {
        last(&self.ring(), count)
    }

    /// The last `count` decisions for which `holds`, oldest first.
    pub fn about(&self, count: usize, holds: impl Fn(&Decision) -> bool) -> Vec<Arc<Decision>> {
        let ring = self.ring();
        let mut found: Vec<_> =
            ring.decisions.iter().rev().filter(|decision| holds(decision)).take(count).cloned().collect();
        found.reverse();
        found
    }

    /// The last `count` decisions and all that follow.
    pub fn follow(&self, count: usize) -> (Vec<Arc<Decision>>, broadcast::Receiver<Arc<Decision>>) {
        let ring = self.ring();
        (last(&ring, count), self.news.subscribe())
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last(ring: &Ring, count: usize) -> Vec<Arc<Decision>> {
    let skipped = ring.decisions.len().saturating_sub(count);
    ring.decisions.iter().skip(skipped).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_last_ones_and_counts_on() {
        let decisions = Decisions::default();
        for n in 0..CAPACITY + 5 {
            decisions.note(Subject::Daemon, n.to_string(), "");
        }
        let all = decisions.recent(usize::MAX);
        assert_eq!((all.len(), all[0].text.as_str(), all[0].sequence), (CAPACITY, "5", 6));
        assert_eq!(decisions.recent(1)[0].sequence, CAPACITY as u64 + 5);
        decisions.note(Subject::Handle { handle: "robot".to_owned() }, "x", "");
        let counts = DecisionReport { daemon: CAPACITY as u64 + 5, handle: 1, ..DecisionReport::default() };
        assert_eq!(decisions.counts(), counts);
    }

    #[test]
    fn a_follower_sees_each_decision_once() {
        let decisions = Decisions::default();
        decisions.note(Subject::Daemon, "before", "");
        let (old, mut new) = decisions.follow(10);
        decisions.note(Subject::Daemon, "after", "");
        assert_eq!(old.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(), ["before"]);
        assert_eq!(new.try_recv().unwrap().text, "after");
        assert!(new.try_recv().is_err());
    }

    #[test]
    fn a_listener_that_does_not_listen_holds_up_nobody() {
        let decisions = Decisions::default();
        let (_, mut lazy) = decisions.follow(0);
        (0..2 * BACKLOG).for_each(|_| decisions.note(Subject::Daemon, "x", ""));
        assert!(matches!(lazy.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
    }

    #[test]
    fn a_decision_is_one_line_for_people_and_survives_json() {
        let subject = Subject::Association { pid: 7, local_port: 7001, peer_port: Some(7000) };
        let fields = [("address".to_owned(), Value::from("10.2.0.2"))].into();
        let (text, cause) = ("add 10.2.0.2".to_owned(), "it is usable".to_owned());
        let decision = Decision { sequence: 1, time_ms: 45_296_789, subject, text, cause, fields };
        assert_eq!(decision.to_string(), "12:34:56.789 association 7:7001-7000: add 10.2.0.2 (it is usable)");
        let json = serde_json::to_string(&decision).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
    }
}
