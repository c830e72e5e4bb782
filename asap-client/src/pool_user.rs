//! A pool user's side of ASAP: who is in which pool (RFC 5352 §3.3).
//!
//! One machine for all pools of a host, over one home registrar. Pools are asked for once, or subscribed to with the S
//! bit; a registrar that grants it (A bit) sends a new response whenever the pool changes. Where it does not, the pool
//! is asked for again, with growing pauses, as long as it is unknown or somebody [urges](Input::Urge).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::timers::{Timers, earliest, expired};
use crate::wire::{Cause, Message, Policy, PoolElement, PoolHandle};

/// What happens to a pool user.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Keep me informed about this pool.
    Subscribe(PoolHandle),
    /// No more.
    Unsubscribe(PoolHandle),
    /// Who is in this pool? An answer no older than `fresh` will do.
    Resolve {
        /// The pool.
        handle: PoolHandle,
        /// How old a kept answer may be; zero for a new one.
        fresh: Duration,
    },
    /// Somebody is waiting for this subscribed pool to change, or no more: ask again and again where the registrar
    /// does not tell.
    Urge {
        /// The pool.
        handle: PoolHandle,
        /// Whether somebody waits.
        on: bool,
    },
    /// There is a (new) home registrar.
    Home,
    /// There is none any more.
    HomeLost,
    /// A message from the home registrar.
    Message(&'a Message),
}

/// What a pool user wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the home registrar.
    Send(Message),
    /// The home does not answer: look for another.
    Hunt,
    /// Tell the user.
    Event(Event),
}

/// What a user wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A subscribed pool has changed, or the answer to a resolution.
    Pool {
        /// The pool.
        handle: PoolHandle,
        /// Who is in it.
        answer: Answer,
    },
    /// A resolution and its repetitions went unanswered.
    Unanswered {
        /// The pool.
        handle: PoolHandle,
    },
}

/// What the registrar said about a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The pool's selection policy; Round Robin if the registrar named none.
    pub policy: Policy,
    /// Its elements, in the registrar's order.
    pub elements: Vec<PoolElement>,
    /// Why there are none, if that is an error: cause 0x9 for an unknown pool.
    pub error: Option<Vec<Cause>>,
}

impl Answer {
    /// The same elements and policy, in whatever order?
    fn says_the_same_as(&self, other: &Self) -> bool {
        let sorted = |answer: &Self| {
            let mut elements = answer.elements.clone();
            elements.sort_by_key(|element| element.id);
            elements
        };
        (&self.policy, &self.error) == (&other.policy, &other.error) && sorted(self) == sorted(other)
    }
}

#[derive(Debug)]
struct Pool {
    /// A subscription is wanted, and whether the registrar has granted it.
    wanted: bool,
    granted: bool,
    /// Somebody waits for one answer.
    once: bool,
    urged: bool,
    t1: Option<Instant>,
    requests: u32,
    poll: Option<Instant>,
    poll_span: Duration,
    last: Option<(Instant, Answer)>,
}

impl Pool {
    fn forget_home(&mut self, timers: &Timers) {
        self.granted = false;
        (self.t1, self.poll, self.requests) = (None, None, 0);
        self.poll_span = timers.poll;
    }
}

/// The pools of a host's users.
#[derive(Debug)]
pub struct PoolUser {
    timers: Timers,
    home: bool,
    pools: BTreeMap<PoolHandle, Pool>,
    outputs: VecDeque<Output>,
}

impl PoolUser {
    /// A user of no pool as yet.
    pub fn new(timers: Timers) -> Self {
        Self { timers, home: false, pools: BTreeMap::new(), outputs: VecDeque::new() }
    }

    /// The last answer about a pool and when it came.
    pub fn cached(&self, handle: &PoolHandle) -> Option<(Instant, &Answer)> {
        self.pools.get(handle)?.last.as_ref().map(|(at, answer)| (*at, answer))
    }

    /// Is any pool subscribed to or being asked for?
    pub fn is_active(&self) -> bool {
        self.pools.values().any(|pool| pool.wanted || pool.once)
    }

    /// Is the registrar going to tell of changes of this pool?
    pub fn is_subscribed(&self, handle: &PoolHandle) -> bool {
        self.pools.get(handle).is_some_and(|pool| pool.granted)
    }

    /// Have all requests been answered?
    pub fn is_settled(&self) -> bool {
        self.pools.values().all(|pool| pool.t1.is_none())
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Subscribe(handle) => {
                let pool = self.pool(handle.clone());
                if !std::mem::replace(&mut pool.wanted, true) {
                    self.ask(now, &handle);
                }
            }
            Input::Unsubscribe(handle) => {
                if let Some(pool) = self.pools.get_mut(&handle) {
                    (pool.wanted, pool.urged) = (false, false);
                    if !pool.once {
                        self.pools.remove(&handle);
                    }
                }
            }
            Input::Resolve { handle, fresh } => self.resolve(now, handle, fresh),
            Input::Urge { handle, on } => {
                let first = self.timers.poll;
                if let Some(pool) = self.pools.get_mut(&handle)
                    && std::mem::replace(&mut pool.urged, on) != on
                    && on
                    && !pool.granted
                {
                    pool.poll_span = first;
                    if pool.t1.is_none() {
                        self.ask(now, &handle);
                    }
                }
            }
            Input::Home => {
                self.home = true;
                self.forget_home();
                for handle in self.handles(|pool| pool.wanted || pool.once) {
                    self.ask(now, &handle);
                }
            }
            Input::HomeLost => {
                self.home = false;
                self.forget_home();
            }
            Input::Message(Message::HandleResolutionResponse {
                subscribed,
                handle,
                policy,
                elements,
                error,
            }) => {
                let answer = Answer {
                    policy: policy.clone().unwrap_or(Policy::RoundRobin),
                    elements: elements.clone(),
                    error: error.clone(),
                };
                self.answered(now, handle, *subscribed, answer);
            }
            Input::Message(_) => {}
        }
    }

    /// Lets expired timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        for handle in self.handles(|pool| earliest([pool.t1, pool.poll]).is_some_and(|at| at <= now)) {
            let Some(pool) = self.pools.get_mut(&handle) else { continue };
            if expired(&mut pool.poll, now) {
                self.ask(now, &handle);
            } else if expired(&mut pool.t1, now) {
                if pool.requests <= self.timers.max_request_retransmit {
                    self.outputs.push_back(Output::Hunt);
                    self.ask(now, &handle);
                } else {
                    (pool.requests, pool.once) = (0, false);
                    pool.poll = pool.wanted.then_some(now + self.timers.retran_max);
                    self.outputs.push_back(Output::Event(Event::Unanswered { handle }));
                }
            }
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.pools.values().flat_map(|pool| [pool.t1, pool.poll]))
    }

    fn pool(&mut self, handle: PoolHandle) -> &mut Pool {
        let poll_span = self.timers.poll;
        self.pools.entry(handle).or_insert_with(|| Pool {
            wanted: false,
            granted: false,
            once: false,
            urged: false,
            t1: None,
            requests: 0,
            poll: None,
            poll_span,
            last: None,
        })
    }

    fn handles(&self, which: impl Fn(&Pool) -> bool) -> Vec<PoolHandle> {
        self.pools.iter().filter(|(_, pool)| which(pool)).map(|(handle, _)| handle.clone()).collect()
    }

    fn forget_home(&mut self) {
        for pool in self.pools.values_mut() {
            pool.forget_home(&self.timers);
        }
    }

    fn resolve(&mut self, now: Instant, handle: PoolHandle, fresh: Duration) {
        let pool = self.pool(handle.clone());
        if let Some((at, answer)) = &pool.last
            && !fresh.is_zero()
            && now.saturating_duration_since(*at) <= fresh
        {
            let answer = answer.clone();
            self.outputs.push_back(Output::Event(Event::Pool { handle, answer }));
            return;
        }
        pool.once = true;
        if pool.t1.is_none() {
            self.ask(now, &handle);
        }
    }

    fn ask(&mut self, now: Instant, handle: &PoolHandle) {
        let Some(pool) = self.pools.get_mut(handle).filter(|_| self.home) else { return };
        pool.requests += 1;
        pool.t1 = Some(now + self.timers.t1_request);
        pool.poll = None;
        let message = Message::HandleResolution {
            subscribe: pool.wanted,
            handle: handle.clone(),
            items: Some(u32::MAX),
        };
        self.outputs.push_back(Output::Send(message));
    }

    fn answered(&mut self, now: Instant, handle: &PoolHandle, granted: bool, answer: Answer) {
        let Some(pool) = self.pools.get_mut(handle).filter(|_| self.home) else { return };
        let news = pool.last.as_ref().is_none_or(|(_, last)| !last.says_the_same_as(&answer));
        let tell = std::mem::take(&mut pool.once) || (pool.wanted && news);
        (pool.t1, pool.poll, pool.requests) = (None, None, 0);
        pool.granted = granted && pool.wanted;
        if news {
            pool.poll_span = self.timers.poll;
        }
        if pool.wanted && !pool.granted && (answer.error.is_some() || pool.urged) {
            pool.poll = Some(now + pool.poll_span);
            pool.poll_span = (pool.poll_span * 2).min(self.timers.poll_most);
        }
        pool.last = Some((now, answer.clone()));
        if tell {
            self.outputs.push_back(Output::Event(Event::Pool { handle: handle.clone(), answer }));
        }
    }
}

#[cfg(test)]
mod tests;
