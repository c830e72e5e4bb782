//! A work in its time.
#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use super::super::calculator::{Calculation, Message, State, Word};
use super::*;

fn request(size: u64) -> Vec<u8> {
    Message { word: Word::Request, state: State { job: 1, size, completed: 0 } }.encode()
}

fn pace(capacity: u64) -> Pace {
    Pace { capacity: Some(capacity), ..Pace::default() }
}

const TICK: Duration = Duration::from_millis(50);

fn outputs(run: &mut Run<Calculation>) -> Vec<Output> {
    std::iter::from_fn(|| run.poll_output()).collect()
}

/// How long a work takes where so many share the element.
fn takes(capacity: u64, running: usize, size: u64) -> Duration {
    let begin = Instant::now();
    let mut run = Run::<Calculation>::begin(begin, pace(capacity), &request(size)).unwrap();
    let mut now = begin;
    while let Some(due) = run.poll_timeout() {
        now = due;
        run.handle_timeout(now, running);
    }
    now - begin
}

#[test]
fn a_work_takes_as_long_as_its_share_of_the_capacity_allows() {
    assert_eq!(takes(1000, 1, 1000), Duration::from_secs(1));
    assert_eq!(takes(1000, 4, 1000), Duration::from_secs(4));
    // What is left of a tick is not lost.
    assert_eq!(takes(7, 1, 14), Duration::from_secs(2));
    assert_eq!(takes(1, 3, 1), Duration::from_secs(3));
    assert_eq!(takes(1000, 1, 0), Duration::ZERO);
}

#[test]
fn the_first_cookie_comes_before_any_work_and_the_others_in_time() {
    let begin = Instant::now();
    let mut run = Run::<Calculation>::begin(begin, pace(1000), &request(10_000)).unwrap();
    let accept = Output::Message(Message::about(Word::Accept, 1).encode());
    let cookie = |completed| Output::Cookie(State { job: 1, size: 10_000, completed }.encode());
    assert_eq!(outputs(&mut run), [accept.clone(), cookie(0)]);
    for tick in 1..=25 {
        run.handle_timeout(begin + TICK * tick, 1);
        let expected = if tick % 10 == 0 { vec![cookie(u64::from(tick) * 50)] } else { vec![] };
        assert_eq!(outputs(&mut run), expected, "tick {tick}");
    }
    run.leave(begin + TICK * 25);
    assert_eq!(outputs(&mut run), [cookie(1250)], "whoever leaves loses nothing");
    let next = Run::<Calculation>::resume(
        begin,
        pace(1000),
        &State { job: 1, size: 10_000, completed: 1250 }.encode(),
    );
    assert_eq!(outputs(&mut next.unwrap()), [accept, cookie(1250)]);
}

#[test]
fn without_a_capacity_there_is_no_pause() {
    let begin = Instant::now();
    let pace = Pace { stretch: 10, ..Pace::default() };
    let mut run = Run::<Calculation>::begin(begin, pace, &request(25)).unwrap();
    let mut stretches = 0;
    while let Some(due) = run.poll_timeout() {
        assert_eq!(due, begin);
        run.handle_timeout(begin, 3);
        stretches += 1;
    }
    assert_eq!(stretches, 3);
}

/// Pieces that cost more than is allotted.
struct Large(u64);

impl Work for Large {
    const PPID: u32 = 0;

    fn begin(_: &[u8]) -> Result<Self, Unfit> {
        Ok(Self(0))
    }

    fn resume(_: &[u8]) -> Result<Self, Unfit> {
        Err(Unfit::Length)
    }

    fn advance(&mut self, units: u64) -> u64 {
        let pieces = units.div_ceil(100);
        self.0 += pieces;
        pieces * 100
    }

    fn results(&mut self, _: bool) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn is_done(&self) -> bool {
        false
    }

    fn state(&self) -> Vec<u8> {
        Vec::new()
    }
}

#[test]
fn a_piece_that_took_more_than_it_was_allowed_is_waited_for() {
    let begin = Instant::now();
    let mut run = Run::<Large>::begin(begin, pace(300), &[]).unwrap();
    // 15 units are allotted with each tick.
    for tick in 1..=200 {
        run.handle_timeout(begin + TICK * tick, 1);
    }
    assert_eq!(run.work.0, 30);
}
