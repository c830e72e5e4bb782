//! When a path counts as working or silent, and what associations are offered then.
#![expect(clippy::disallowed_methods, reason = "one clock reading is the origin of each test's own time")]

use super::*;
use Reach::{Answers, Silent, Unknown};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn path() -> Path {
    Path { local: ip("10.1.0.2"), peer: ip("10.3.0.2") }
}

struct World {
    paths: Paths,
    now: Instant,
    asked: u32,
}

impl World {
    fn new() -> Self {
        let mut world = Self { paths: Paths::default(), now: Instant::now(), asked: 0 };
        world.paths.want(world.now, &BTreeMap::from([(path(), 7000)]));
        world.count();
        world
    }

    fn count(&mut self) {
        while let Some((asked, port)) = self.paths.poll_output() {
            assert_eq!((asked, port), (path(), 7000));
            self.asked += 1;
        }
    }

    fn next(&mut self) -> bool {
        self.now = self.paths.poll_timeout().unwrap();
        let changed = self.paths.handle_timeout(self.now);
        self.count();
        changed
    }

    fn answer(&mut self) -> bool {
        self.now += Duration::from_millis(20);
        self.paths.answered(self.now, path())
    }

    fn reach(&self) -> Reach {
        self.paths.reach(path().local, [path().peer])
    }
}

#[test]
fn a_path_is_asked_at_once_and_works_with_the_first_answer() {
    let mut world = World::new();
    assert_eq!((world.asked, world.reach()), (1, Unknown));
    assert!(world.answer());
    assert_eq!(world.reach(), Answers);
    assert!(!world.answer(), "one answer for each question");
}

#[test]
fn a_path_that_answers_nothing_is_silent_after_three_questions() {
    let mut world = World::new();
    assert!(!world.next() && !world.next());
    assert_eq!((world.asked, world.reach()), (3, Unknown));
    assert!(world.next());
    assert_eq!(world.reach(), Silent);
}

#[test]
fn one_lost_answer_is_no_silence() {
    let mut world = World::new();
    world.answer();
    for _ in 0..10 {
        assert!(!world.next() && !world.next());
        assert!(!world.answer());
        assert_eq!(world.reach(), Answers);
    }
}

#[test]
fn a_path_that_was_silent_works_after_three_answers_in_a_row() {
    let mut world = World::new();
    while world.reach() != Silent {
        world.next();
    }
    assert!(!world.answer());
    world.next();
    assert!(!world.answer());
    world.next();
    assert!(world.answer());
    assert_eq!(world.reach(), Answers);
}

#[test]
fn nothing_is_asked_when_nobody_wants_to_know() {
    let mut world = World::new();
    world.paths.want(world.now, &BTreeMap::new());
    assert_eq!((world.paths.poll_timeout(), world.reach()), (None, Unknown));
}

/// What an association with `has` is offered, and of what has to be known more.
fn chosen(usable: &str, has: &str, warm: &str, doubted: bool, known: &[(&str, Reach)]) -> (String, String) {
    let list =
        |text: &str| -> Vec<IpAddr> { text.split_whitespace().map(|n| ip(&format!("10.{n}.0.2"))).collect() };
    let (usable, has) = (list(usable), list(has));
    let warm = list(warm).into_iter().collect();
    let reach =
        |address| known.iter().find(|(n, _)| list(n)[0] == address).map_or(Unknown, |(_, reach)| *reach);
    let choice = choose(&usable, |address| has.contains(&address), &warm, doubted, reach);
    let text = |all: Vec<IpAddr>| {
        all.iter()
            .map(|it| it.to_string().split('.').nth(1).unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    (text(choice.offered), text(choice.wanted.into_iter().collect()))
}

fn pair(offered: &str, wanted: &str) -> (String, String) {
    (offered.to_owned(), wanted.to_owned())
}

#[test]
fn an_association_that_works_moves_to_a_new_address_only_when_that_has_answered() {
    assert_eq!(chosen("2 1", "1", "", false, &[]), pair("1", "1 2"));
    assert_eq!(chosen("2 1", "1", "", false, &[("2", Answers)]), pair("2 1", "1 2"));
    assert_eq!(chosen("2 1", "1", "", false, &[("2", Silent), ("1", Answers)]), pair("1", "1 2"));
}

#[test]
fn where_nothing_answers_at_all_nothing_is_known_and_the_newest_is_taken() {
    assert_eq!(chosen("2 1", "1", "", false, &[("2", Silent)]), pair("1", "1 2"));
    assert_eq!(chosen("2 1", "1", "", false, &[("2", Silent), ("1", Silent)]), pair("2 1", "1 2"));
}

#[test]
fn an_association_that_has_nothing_is_offered_everything_at_once_silent_ones_last() {
    assert_eq!(chosen("2 1", "5", "", true, &[]), pair("2 1", ""));
    assert_eq!(chosen("2 1", "5", "", true, &[("2", Silent)]), pair("1 2", ""));
}

#[test]
fn a_silent_address_is_taken_away_if_another_answers() {
    assert_eq!(chosen("1 2", "1", "", true, &[]), pair("1 2", "1 2"));
    assert_eq!(chosen("1 2", "1", "", true, &[("1", Silent)]), pair("1 2", "1 2"));
    assert_eq!(chosen("1 2", "1", "", true, &[("1", Silent), ("2", Answers)]), pair("2", "1 2"));
    assert_eq!(chosen("1 2", "1", "", true, &[("1", Silent), ("2", Silent)]), pair("1 2", "1 2"));
}

#[test]
fn it_is_returned_to_when_it_answers_again() {
    assert_eq!(chosen("1 2", "2", "", false, &[("1", Silent), ("2", Answers)]), pair("2", "1 2"));
    assert_eq!(chosen("1 2", "2", "", false, &[("1", Answers), ("2", Answers)]), pair("1 2", "1 2"));
}

#[test]
fn a_warm_backup_is_added_only_when_it_has_answered() {
    assert_eq!(chosen("1 2", "1", "2", false, &[]), pair("1", "1 2"));
    assert_eq!(chosen("1 2", "1", "2", false, &[("2", Answers)]), pair("1 2", "1 2"));
    assert_eq!(chosen("1 2", "1 2", "2", false, &[]), pair("1 2", ""));
}

#[test]
fn a_single_address_is_never_doubted() {
    assert_eq!(chosen("1", "1", "", true, &[]), pair("1", ""));
}
