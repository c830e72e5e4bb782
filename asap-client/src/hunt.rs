//! Finding a home registrar in a list (RFC 5352 §3.6), which may grow.
//!
//! Registrars are numbers here, indices into the caller's list; what a connection is, the caller knows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::random::SplitMix64;
use crate::timers::{Timers, earliest, expired};

/// What happens to a hunt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Find a home. A running hunt goes on as it is.
    Start {
        /// Try this one alone for [`Timers::head_start`].
        prefer: Option<usize>,
        /// Try this one last.
        avoid: Option<usize>,
    },
    /// A connection is up: the hunt is over.
    Connected(usize),
    /// A connection could not be set up.
    Failed(usize),
    /// This one has been heard of; it is behind all others in the list, or was in it before. A running hunt tries it next.
    Found(usize),
    /// No home is wanted any more.
    Stop,
}

/// What a hunt wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Set up a connection to this one.
    Connect(usize),
    /// Give up the connection that is being set up to this one.
    Abandon(usize),
}

/// The server hunt.
#[derive(Debug)]
pub struct Hunt {
    timers: Timers,
    registrars: usize,
    random: Option<SplitMix64>,
    running: bool,
    /// Still to be tried in this round.
    order: VecDeque<usize>,
    trying: Vec<usize>,
    head_start: Option<Instant>,
    t5: Option<Instant>,
    t5_span: Duration,
    pause: Option<Instant>,
    pause_span: Duration,
    outputs: VecDeque<Output>,
}

impl Hunt {
    /// A hunt over a list of so many registrars. `seed` decides the order in which they are tried; without it, it is the
    /// list's, and the first is preferred unless another is.
    pub fn new(registrars: usize, timers: Timers, seed: Option<u64>) -> Self {
        Self {
            registrars,
            random: seed.map(SplitMix64::new),
            running: false,
            order: VecDeque::new(),
            trying: Vec::new(),
            head_start: None,
            t5: None,
            t5_span: timers.t5_hunt,
            pause: None,
            pause_span: timers.retry,
            outputs: VecDeque::new(),
            timers,
        }
    }

    /// Is a home being looked for?
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Is there but one registrar that could become home now, because no other is being tried?
    pub fn is_alone(&self) -> bool {
        self.registrars == 1 || self.head_start.is_some()
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Start { prefer, avoid } => {
                if !self.running && self.registrars > 0 {
                    self.running = true;
                    self.t5_span = self.timers.t5_hunt;
                    self.pause_span = self.timers.retry;
                    let first = (0..self.registrars).find(|first| Some(*first) != avoid);
                    let prefer = prefer.or(first.filter(|_| self.random.is_none()));
                    self.round(now, prefer, avoid);
                }
            }
            Input::Connected(registrar) => {
                if self.forget(registrar) {
                    self.stop();
                }
            }
            Input::Failed(registrar) => {
                if self.forget(registrar) {
                    self.head_start = None;
                    self.fill(now);
                }
            }
            Input::Found(registrar) => {
                self.registrars = self.registrars.max(registrar + 1);
                if self.running && !self.trying.contains(&registrar) {
                    self.order.retain(|other| *other != registrar);
                    self.order.push_front(registrar);
                    if self.pause.take().is_some() {
                        self.t5 = Some(now + self.t5_span);
                    }
                    if self.head_start.is_none() {
                        self.fill(now);
                    }
                }
            }
            Input::Stop => self.stop(),
        }
    }

    /// Lets expired timers act.
    pub fn handle_timeout(&mut self, now: Instant) {
        if expired(&mut self.head_start, now) {
            self.fill(now);
        }
        if expired(&mut self.pause, now) {
            self.round(now, None, None);
        }
        if expired(&mut self.t5, now) {
            self.t5_span = (self.t5_span * 2).min(self.timers.retran_max);
            self.head_start = None;
            self.outputs.extend(self.trying.drain(..).map(Output::Abandon));
            if self.order.is_empty() {
                self.round(now, None, None);
            } else {
                self.t5 = Some(now + self.t5_span);
                self.fill(now);
            }
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest([self.head_start, self.t5, self.pause])
    }

    /// Begins to try the whole list.
    fn round(&mut self, now: Instant, prefer: Option<usize>, avoid: Option<usize>) {
        let mut order: Vec<usize> = (0..self.registrars).collect();
        if let Some(random) = &mut self.random {
            random.shuffle(&mut order);
        }
        order.sort_by_key(|registrar| match registrar {
            this if Some(*this) == prefer => 0,
            this if Some(*this) == avoid => 2,
            _ => 1,
        });
        self.order = order.into();
        self.t5 = Some(now + self.t5_span);
        if prefer.is_some() && self.registrars > 1 {
            self.head_start = Some(now + self.timers.head_start);
            self.connect_next();
        } else {
            self.fill(now);
        }
    }

    fn fill(&mut self, now: Instant) {
        while self.trying.len() < self.timers.at_once.clamp(1, 3) && self.connect_next() {}
        if self.trying.is_empty() {
            self.t5 = None;
            self.pause = Some(now + self.pause_span);
            self.pause_span = (self.pause_span * 2).min(self.timers.retry_most);
        }
    }

    fn connect_next(&mut self) -> bool {
        let Some(next) = self.order.pop_front() else { return false };
        self.trying.push(next);
        self.outputs.push_back(Output::Connect(next));
        true
    }

    fn forget(&mut self, registrar: usize) -> bool {
        let before = self.trying.len();
        self.trying.retain(|tried| *tried != registrar);
        self.trying.len() < before
    }

    fn stop(&mut self) {
        self.running = false;
        self.outputs.extend(self.trying.drain(..).map(Output::Abandon));
        self.order.clear();
        (self.head_start, self.t5, self.pause) = (None, None, None);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]
mod tests {
    use super::*;

    struct World {
        hunt: Hunt,
        now: Instant,
        start: Instant,
    }

    impl World {
        fn new(registrars: usize) -> Self {
            let now = Instant::now();
            Self { hunt: Hunt::new(registrars, Timers::default(), Some(1)), now, start: now }
        }

        fn give(&mut self, input: Input) -> Vec<Output> {
            self.hunt.handle(self.now, input);
            self.outputs()
        }

        fn outputs(&mut self) -> Vec<Output> {
            std::iter::from_fn(|| self.hunt.poll_output()).collect()
        }

        /// Jumps to the next timeout; says when that was, in milliseconds, and what it brought.
        fn wait(&mut self) -> (u128, Vec<Output>) {
            self.now = self.hunt.poll_timeout().expect("a timer runs");
            self.hunt.handle_timeout(self.now);
            ((self.now - self.start).as_millis(), self.outputs())
        }
    }

    const START: Input = Input::Start { prefer: None, avoid: None };

    fn connects(outputs: &[Output]) -> Vec<usize> {
        outputs.iter().filter_map(|o| if let Output::Connect(r) = o { Some(*r) } else { None }).collect()
    }

    #[test]
    fn no_more_than_three_registrars_are_tried_at_once() {
        let mut world = World::new(5);
        assert_eq!(connects(&world.give(START)).len(), 3);
    }

    #[test]
    fn one_that_fails_is_followed_by_another() {
        let mut world = World::new(4);
        let first = connects(&world.give(START));
        let next = connects(&world.give(Input::Failed(first[1])));
        assert_eq!(next.len(), 1);
        assert!(!first.contains(&next[0]));
        assert_eq!(world.give(Input::Failed(first[1])), [], "it has failed already");
    }

    #[test]
    fn the_first_that_connects_ends_the_hunt_and_the_others_are_given_up() {
        let mut world = World::new(3);
        let tried = connects(&world.give(START));
        let outputs = world.give(Input::Connected(tried[1]));
        assert_eq!(outputs, [Output::Abandon(tried[0]), Output::Abandon(tried[2])]);
        assert!(!world.hunt.is_running());
        assert_eq!(world.hunt.poll_timeout(), None);
    }

    #[test]
    fn t5_doubles_up_to_retran_max_and_moves_on_to_others_first() {
        let mut world = World::new(4);
        let first = connects(&world.give(START));
        let (at, outputs) = world.wait();
        assert_eq!(at, 10_000);
        assert_eq!(outputs[..3], [0, 1, 2].map(|i| Output::Abandon(first[i])));
        assert_eq!(connects(&outputs).len(), 1, "the one that was not tried before");
        assert!(!first.contains(&connects(&outputs)[0]));
        let ends: Vec<_> = (0..5).map(|_| world.wait().0).collect();
        assert_eq!(ends, [30_000, 70_000, 130_000, 190_000, 250_000]);
    }

    #[test]
    fn t5_begins_anew_with_the_next_hunt() {
        let mut world = World::new(1);
        world.give(START);
        world.wait();
        world.give(Input::Connected(0));
        world.start = world.now;
        world.give(START);
        assert_eq!(world.wait().0, 10_000);
    }

    #[test]
    fn the_preferred_one_is_tried_alone_before_the_others_join() {
        let mut world = World::new(3);
        let outputs = world.give(Input::Start { prefer: Some(2), avoid: None });
        assert_eq!(outputs, [Output::Connect(2)]);
        assert!(world.hunt.is_alone());
        let (at, outputs) = world.wait();
        assert_eq!((at, connects(&outputs).len()), (1000, 2));
        assert!(!world.hunt.is_alone());
    }

    #[test]
    fn when_the_preferred_one_fails_the_others_join_at_once() {
        let mut world = World::new(3);
        world.give(Input::Start { prefer: Some(2), avoid: None });
        assert_eq!(connects(&world.give(Input::Failed(2))).len(), 2);
    }

    #[test]
    fn one_to_avoid_is_tried_last() {
        for seed in 0..20 {
            let mut world = World::new(4);
            world.hunt = Hunt::new(4, Timers::default(), Some(seed));
            let outputs = world.give(Input::Start { prefer: None, avoid: Some(1) });
            assert!(!connects(&outputs).contains(&1));
        }
    }

    #[test]
    fn when_all_have_refused_there_is_a_pause_that_doubles() {
        let mut world = World::new(1);
        world.give(START);
        let mut ends = Vec::new();
        for _ in 0..7 {
            assert_eq!(world.give(Input::Failed(0)), []);
            let (at, outputs) = world.wait();
            assert_eq!(outputs, [Output::Connect(0)]);
            ends.push(at / 1000);
        }
        assert_eq!(ends, [1, 3, 7, 15, 31, 61, 91]);
    }

    #[test]
    fn stopping_gives_up_what_was_begun_and_stops_all_timers() {
        let mut world = World::new(2);
        world.give(START);
        assert_eq!(world.give(Input::Stop).len(), 2);
        assert_eq!(world.hunt.poll_timeout(), None);
        assert_eq!(world.give(Input::Connected(0)), []);
    }

    #[test]
    fn different_seeds_begin_with_different_registrars() {
        let mut firsts: Vec<usize> = (0..20)
            .map(|seed| {
                let mut world = World::new(3);
                world.hunt = Hunt::new(3, Timers { at_once: 1, ..Timers::default() }, Some(seed));
                connects(&world.give(START))[0]
            })
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts, [0, 1, 2]);
    }

    #[test]
    fn one_that_is_found_is_tried_at_once_and_in_every_round_from_then_on() {
        let mut world = World::new(1);
        world.give(START);
        assert_eq!(world.give(Input::Failed(0)), []);
        assert_eq!(world.give(Input::Found(1)), [Output::Connect(1)], "there is no pause any more");
        assert_eq!(world.give(Input::Found(1)), []);
        assert_eq!(world.give(Input::Failed(1)), []);
        assert_eq!(connects(&world.wait().1).len(), 2);
        assert_eq!(world.give(Input::Connected(1)), [Output::Abandon(0)]);
        assert_eq!(world.give(Input::Found(2)), [], "nothing is looked for");
    }

    #[test]
    fn without_registrars_nothing_is_hunted() {
        let mut world = World::new(0);
        assert_eq!(world.give(START), []);
        assert_eq!(world.hunt.poll_timeout(), None);
    }
}
