#![expect(clippy::disallowed_methods, reason = "one clock reading is the origin of the test's own time")]

use super::*;

/// An association with its tally, told what happens at so many milliseconds.
struct Told {
    start: Instant,
    tally: Tally,
    course: Course,
}

fn addresses(last: &[u8]) -> BTreeSet<IpAddr> {
    last.iter().map(|&last| IpAddr::from([10, 0, 0, last])).collect()
}

impl Told {
    fn new(local: &[u8]) -> Self {
        Self { start: Instant::now(), tally: Tally::default(), course: Course::new(&addresses(local)) }
    }

    fn stands(&mut self, ms: u64, state: State, local: &[u8], peers: &[u8]) {
        let now = self.start + Duration::from_millis(ms);
        let peers = addresses(peers).into_iter();
        self.course.stands(&mut self.tally, now, &state, &addresses(local), peers);
    }

    fn handovers(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.tally.handovers().iter().map(|it| (it.kind.name(), it.outcome.name(), it.count)).collect()
    }
}

#[test]
fn a_break_is_counted_when_the_peer_has_accepted_and_its_gap_lasts_from_the_loss_until_then() {
    let mut told = Told::new(&[1]);
    told.stands(0, State::Settled, &[1], &[9]);
    told.stands(1000, State::Stranded, &[1], &[9]);
    told.stands(3000, State::Moving, &[1], &[9]);
    assert!(told.handovers().is_empty());
    told.stands(3040, State::Changing, &[1, 2], &[9]);
    told.stands(3500, State::Settled, &[2], &[9]);
    assert_eq!(told.handovers(), [("break-before-make", "moved", 1)]);
    let (gap, delay) = (told.tally.gap(), told.tally.delay());
    assert_eq!((gap.count, gap.sum_ms, delay.count, delay.sum_ms), (1, 2040, 1, 40));
    let below = |report: &HistogramReport, ms| report.buckets.iter().find(|it| it.le_ms == ms).unwrap().count;
    assert_eq!((below(&gap, 1000), below(&gap, 2500), below(&gap, 5000)), (0, 1, 1));
    assert_eq!((below(&delay, 25), below(&delay, 50)), (0, 1));
}

#[test]
fn a_peer_that_has_moved_meanwhile_makes_it_simultaneous() {
    let mut told = Told::new(&[1]);
    told.stands(0, State::Stranded, &[1], &[8, 9]);
    told.stands(10, State::Moving, &[1], &[8, 9]);
    told.stands(90, State::Changing, &[1, 2], &[7]);
    assert_eq!(told.handovers(), [("simultaneous", "moved", 1)]);
}

#[test]
fn an_address_that_comes_back_moves_nothing_and_a_new_loss_on_the_way_is_the_same_gap() {
    let mut told = Told::new(&[1]);
    told.stands(0, State::Stranded, &[1], &[9]);
    told.stands(500, State::Settled, &[1], &[9]);
    assert_eq!(told.handovers(), [("break-before-make", "returned", 1)]);
    assert_eq!(told.tally.gap().count, 0);
    told.stands(1000, State::Stranded, &[1], &[9]);
    told.stands(1100, State::Moving, &[1], &[9]);
    told.stands(1200, State::Stranded, &[1], &[9]);
    told.stands(1900, State::Moving, &[1], &[9]);
    told.stands(2000, State::Settled, &[3], &[9]);
    assert_eq!((told.tally.gap().sum_ms, told.tally.delay().sum_ms), (1000, 100));
}

#[test]
fn a_make_before_break_is_counted_when_none_of_the_former_addresses_is_left() {
    let mut told = Told::new(&[1]);
    told.stands(0, State::Changing, &[1, 2], &[9]);
    told.stands(10, State::Settled, &[1, 2], &[9]);
    assert!(told.handovers().is_empty(), "a second path is no handover");
    told.stands(20, State::Changing, &[1, 2], &[9]);
    told.stands(30, State::Settled, &[2], &[9]);
    assert_eq!(told.handovers(), [("make-before-break", "moved", 1)]);
    // One of two paths goes, and then the other is replaced.
    told.stands(40, State::Settled, &[2, 3], &[9]);
    told.stands(50, State::Settled, &[3, 4], &[9]);
    assert_eq!(told.handovers(), [("make-before-break", "moved", 2)]);
    assert_eq!(told.tally.gap().count, 0);
}

#[test]
fn one_that_ends_while_it_has_no_address_is_lost() {
    let mut told = Told::new(&[1]);
    told.stands(0, State::Stranded, &[1], &[9]);
    let Told { mut tally, course, .. } = told;
    course.ended(&mut tally);
    Course::new(&addresses(&[1])).ended(&mut tally);
    let [lost] = &tally.handovers()[..] else { panic!() };
    assert_eq!((lost.kind, lost.outcome, lost.count), (Kind::BreakBeforeMake, Outcome::Lost, 1));
}

#[test]
fn asconfs_are_accepted_refused_or_not_answered_each_once() {
    let mut told = Told::new(&[1]);
    let Told { tally, course, .. } = &mut told;
    course.asked(tally, 5);
    course.asked(tally, 5);
    course.answered(tally, 5, [].into_iter());
    course.answered(tally, 5, [].into_iter());
    course.asked(tally, 6);
    course.answered(tally, 4, [].into_iter());
    course.answered(tally, 6, [0xa4, 0xa4, 0xa0].into_iter());
    course.asked(tally, 7);
    course.asked(tally, 8);
    assert_eq!(tally.asconf().unanswered, 1);
    course.clone().ended(tally);
    let report = tally.asconf();
    assert_eq!((report.accepted, report.unanswered), (1, 2));
    let refused: Vec<_> = report.refused.iter().map(|it| (it.cause, it.count)).collect();
    assert_eq!(refused, [(0xa0, 1), (0xa4, 1)]);
}
