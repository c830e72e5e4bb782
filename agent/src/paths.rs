//! Which paths work, found out by asking ([`crate::net::Prober`]): carrier and route are not reachability. A network may
//! swallow everything from its first moment on (a captive portal, a second hop that is down), or begin to at any time,
//! and nothing changes on this host.
//!
//! A machine without I/O. It asks only for as long as somebody wants to know.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::control::ProbeReport;

/// How long an answer is waited for before the next question, while nothing is known.
const IMPATIENT: Duration = Duration::from_millis(400);
/// The same afterwards.
const PATIENT: Duration = Duration::from_secs(1);
/// So many questions in a row that nobody answers, and the path is silent.
const SILENT: u32 = 3;
/// So many answers in a row, and a path that was silent works.
const WORKS: u32 = 3;
/// Paths that are asked at a time, at most.
const PATHS: usize = 256;

/// From an own address to a peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The own address.
    pub local: IpAddr,
    /// The peer's address.
    pub peer: IpAddr,
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing, or not enough.
    Unknown,
    /// It works both ways.
    Answers,
    /// Nobody answers.
    Silent,
}

#[derive(Debug)]
struct State {
    port: u16,
    due: Instant,
    /// A question is under way.
    open: bool,
    unanswered: u32,
    answers: u32,
    reach: Reach,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Paths {
    states: BTreeMap<Path, State>,
    questions: VecDeque<(Path, u16)>,
    counts: ProbeReport,
}

impl Paths {
    /// Questions asked, and those that nobody has answered, since the beginning.
    #[must_use]
    pub const fn counts(&self) -> ProbeReport {
        self.counts
    }

    /// From now on somebody wants to know of these paths, each with a port of the peer's, and of no other.
    pub fn want(&mut self, now: Instant, wanted: &BTreeMap<Path, u16>) {
        self.states.retain(|path, _| wanted.contains_key(path));
        for (&path, &port) in wanted {
            if self.states.len() >= PATHS {
                break;
            }
            self.states.entry(path).or_insert(State {
                port,
                due: now,
                open: false,
                unanswered: 0,
                answers: 0,
                reach: Reach::Unknown,
            });
        }
        self.handle_timeout(now);
    }

    /// An answer has come by this path. Returns whether that changes what is known of it.
    pub fn answered(&mut self, now: Instant, path: Path) -> bool {
        let Some(state) = self.states.get_mut(&path).filter(|state| state.open) else { return false };
        let before = state.reach;
        (state.open, state.unanswered) = (false, 0);
        state.answers += 1;
        if before != Reach::Silent || state.answers >= WORKS {
            state.reach = Reach::Answers;
        }
        state.due = now + if state.reach == Reach::Answers { PATIENT } else { IMPATIENT };
        state.reach != before
    }

    /// Asks where it is time. Returns whether something else is known of a path since then.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for (path, state) in self.states.iter_mut().filter(|(_, state)| state.due <= now) {
            if state.open {
                (state.unanswered, state.answers) = (state.unanswered + 1, 0);
                self.counts.lost += 1;
                if state.unanswered >= SILENT && state.reach != Reach::Silent {
                    state.reach = Reach::Silent;
                    changed = true;
                }
            }
            state.open = true;
            state.due = now + if state.reach == Reach::Silent { PATIENT } else { IMPATIENT };
            self.questions.push_back((*path, state.port));
            self.counts.sent += 1;
        }
        changed
    }

    /// The next question, with the peer's port.
    pub fn poll_output(&mut self) -> Option<(Path, u16)> {
        self.questions.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.states.values().map(|state| state.due).min()
    }

    /// What is known of an own address: it answers if one of its paths to these peers does, and is silent if all are.
    #[must_use]
    pub fn reach(&self, local: IpAddr, peers: impl IntoIterator<Item = IpAddr>) -> Reach {
        let near = peers.into_iter().filter(|peer| peer.is_ipv4() == local.is_ipv4());
        let known: Vec<Reach> = near
            .map(|peer| self.states.get(&Path { local, peer }).map_or(Reach::Unknown, |state| state.reach))
            .collect();
        if known.contains(&Reach::Answers) {
            Reach::Answers
        } else if !known.is_empty() && known.iter().all(|reach| *reach == Reach::Silent) {
            Reach::Silent
        } else {
            Reach::Unknown
        }
    }
}

/// What an association is offered, and what has to be found out for that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// The addresses, in the order of the offer.
    pub offered: Vec<IpAddr>,
    /// The own addresses of which has to be known whether they reach the peer.
    pub wanted: BTreeSet<IpAddr>,
}

/// What an association is offered of the `usable` addresses, the preferred first. `has`: what it has already; `warm`:
/// what it is to have beside the preferred one; `doubted`: its peer has been silent for a while; `reach`: what is known
/// of an own address.
///
/// - One that has nothing usable is offered everything: it has nothing to lose.
/// - One that works is offered an address that it does not have only when that has answered, or nothing answers at all.
/// - An address that it has is taken from it if it is silent and another one answers.
pub fn choose(
    usable: &[IpAddr],
    has: impl Fn(IpAddr) -> bool,
    warm: &BTreeSet<IpAddr>,
    doubted: bool,
    reach: impl Fn(IpAddr) -> Reach,
) -> Choice {
    let inside: Vec<IpAddr> = usable.iter().copied().filter(|&address| has(address)).collect();
    let Some(first) = usable.iter().position(|&address| has(address)) else {
        let mut offered = usable.to_vec();
        offered.sort_by_key(|&address| reach(address) == Reach::Silent);
        return Choice { offered, wanted: BTreeSet::new() };
    };
    let newcomer = |position: usize, address: IpAddr| {
        !has(address)
            && (position < first || warm.contains(&address))
            && inside.iter().any(|own| own.is_ipv4() == address.is_ipv4())
    };
    let newcomers: Vec<IpAddr> =
        usable.iter().enumerate().filter(|(at, it)| newcomer(*at, **it)).map(|(_, it)| *it).collect();
    let silent = inside.iter().any(|&address| reach(address) == Reach::Silent);
    let wanted: BTreeSet<IpAddr> = if usable.len() > 1 && (doubted || silent) {
        usable.iter().copied().collect()
    } else if newcomers.is_empty() {
        BTreeSet::new()
    } else {
        newcomers.iter().chain(&inside).copied().collect()
    };
    let somebody = usable.iter().any(|&address| reach(address) == Reach::Answers);
    let mute = inside.iter().all(|&address| reach(address) == Reach::Silent);
    let offered = usable.iter().copied().filter(|&address| {
        if has(address) {
            reach(address) != Reach::Silent || !somebody
        } else {
            // A peer that answers nobody may be behind something that lets no question through.
            !newcomers.contains(&address) || reach(address) == Reach::Answers || mute && !somebody
        }
    });
    Choice { offered: offered.collect(), wanted }
}

#[cfg(test)]
mod tests;
