use super::*;
use crate::asap::Heard;
use std::collections::BTreeSet;

/// Asked every five seconds.
fn watched() -> World {
    let five = Duration::from_secs(5);
    let settings = Settings { server: 0x1111, keep_alive_timeout: five, ..Settings::default() };
    World::with(Settings { keep_alive_interval: Some(five), ..settings })
}

fn at_defaults() -> World {
    World::with(Settings { server: 0x1111, ..Settings::default() })
}

/// A answers what it is asked, for so long; how often that was.
fn answer(w: &mut World, time: Duration) -> usize {
    let (step, mut asked) = (Duration::from_millis(10), 0);
    for _ in 0..time.as_millis() / step.as_millis() {
        w.pass(step);
        for message in w.heard(A) {
            if let Message::EndpointKeepAlive { id: Some(id), .. } = message {
                asked += 1;
                w.say(A, &ack(id));
            }
        }
    }
    asked
}

#[test]
fn by_default_an_element_that_falls_silent_is_gone_within_three_seconds_at_any_moment() {
    let mut w = at_defaults();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    for id in 0..20 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    answer(&mut w, second(5));
    // It falls silent here, wherever its own keep-alives are.
    for id in 100..120 {
        w.registered(B, "p", element(id, "10.0.0.2"));
    }
    answer(&mut w, second(3));
    assert_eq!(w.seen("p").iter().map(|(id, _)| *id).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert_eq!(w.registrar.counters().keep_alives_missed, 20);
}

#[test]
fn an_element_whose_association_ends_is_gone_at_once() {
    let mut w = at_defaults();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.down(A);
    assert!(w.seen("p").is_empty());
}

#[test]
fn more_elements_than_can_be_asked_in_time_are_asked_less_often() {
    let mut w = World::with(Settings { server: 0x1111, keep_alives_per_second: 20, ..Settings::default() });
    w.up(A, &["10.0.0.1"]);
    for id in 0..10 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    let few = answer(&mut w, second(20));
    assert!((150..=250).contains(&few), "ten elements every second: {few}");
    for id in 10..200 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    answer(&mut w, second(10));
    let many = answer(&mut w, second(20));
    assert!((300..=500).contains(&many), "twenty a second, whatever their number: {many}");
    assert_eq!(w.seen("p").len(), 200);
}

#[test]
fn a_registrar_that_was_held_up_itself_asks_once_more_before_it_removes_an_element() {
    let mut w = World::with(Settings { keep_alive_timeout: second(2), ..Settings::default() });
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.pass(Duration::from_millis(1500));
    assert_eq!(w.heard(A).len(), 1, "it has been asked");
    // The machine stands still, and so does the element's, perhaps.
    w.now += second(60);
    w.registrar.handle_timeout(w.now);
    w.drain();
    assert!(matches!(w.one(A), Message::EndpointKeepAlive { id: Some(1), .. }));
    assert_eq!(w.seen("p").len(), 1);
    w.pass(second(2));
    assert!(w.seen("p").is_empty(), "it has had its time");
}

fn ack(id: u32) -> Message {
    Message::EndpointKeepAliveAck { handle: handle("p"), id }
}

fn unreachable(id: u32) -> Message {
    Message::EndpointUnreachable { handle: handle("p"), id }
}

#[test]
fn an_element_that_answers_keep_alives_stays() {
    let mut w = watched();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", PoolElement { life: -1, ..element(1, "10.0.0.1") });
    let mut asked = 0;
    for _ in 0..600 {
        w.pass(Duration::from_millis(100));
        for message in w.heard(A) {
            let expected =
                Message::EndpointKeepAlive { home: false, server: 0x1111, handle: handle("p"), id: Some(1) };
            assert_eq!(message, expected);
            asked += 1;
            w.say(A, &ack(1));
        }
    }
    assert_eq!(w.seen("p").len(), 1);
    assert!((8..=20).contains(&asked), "every five seconds or so for a minute: {asked}");
}

#[test]
fn an_element_that_does_not_answer_is_removed_by_itself_and_told() {
    let mut w = watched();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.registered(A, "p", element(2, "10.0.0.1"));
    for _ in 0..200 {
        w.pass(Duration::from_millis(100));
        for message in w.heard(A) {
            if let Message::EndpointKeepAlive { id: Some(2), .. } = message {
                w.say(A, &ack(2));
            } else if let Message::DeregistrationResponse { id, .. } = message {
                assert_eq!(id, 1);
            }
        }
    }
    assert_eq!(w.seen("p").iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2]);
    assert!(w.aborted.is_empty());
    assert_eq!(w.registrar.counters().keep_alives_missed, 1);
}

#[test]
fn keep_alives_to_many_elements_are_spread_in_time() {
    let mut w = watched();
    w.up(A, &["10.0.0.1"]);
    for id in 0..100 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    let mut moments = BTreeSet::new();
    for tenth in 0..75 {
        w.pass(Duration::from_millis(100));
        let asked = w.heard(A).len();
        assert!(asked < 15, "{asked} at once");
        if asked > 0 {
            moments.insert(tenth);
        }
    }
    assert!(moments.len() > 30 && *moments.first().unwrap() >= 24, "{moments:?}");
}

#[test]
fn registering_again_is_as_good_as_an_answer() {
    let mut w = watched();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    for _ in 0..30 {
        w.pass(second(4));
        w.heard(A);
        w.registered(A, "p", element(1, "10.0.0.1"));
    }
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn an_unreachable_report_asks_the_element_at_once() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.say(B, &unreachable(1));
    assert!(matches!(w.one(A), Message::EndpointKeepAlive { id: Some(1), .. }));
    assert!(w.heard(B).is_empty());
    w.say(A, &ack(1));
    w.pass(second(60));
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn a_reported_element_that_does_not_answer_is_removed() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.say(A, &unreachable(1));
    w.pass(Duration::from_millis(750));
    w.say(A, &unreachable(1));
    assert_eq!(w.seen("p").len(), 1);
    w.pass(Duration::from_millis(250));
    assert!(w.seen("p").is_empty(), "a second report does not give it more time");
}

#[test]
fn more_than_max_bad_pe_report_reports_remove_an_element() {
    let mut w = reported_from(3);
    assert_eq!(w.seen("p").len(), 1, "the number is reached, not exceeded");
    w.up(Association(99), &["10.0.9.9"]);
    w.say(Association(99), &unreachable(1));
    assert!(w.seen("p").is_empty());
}

/// An element at A that so many hosts have reported, in the moment in which it is asked.
fn reported_from(hosts: u64) -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    for host in 1..=hosts {
        w.up(Association(10 + host), &[&format!("10.0.1.{host}")]);
        w.say(Association(10 + host), &unreachable(1));
    }
    w
}

#[test]
fn a_host_that_reports_an_element_again_and_again_counts_once_and_has_it_asked_once() {
    let mut w = reported_from(3);
    w.up(B, &["10.0.1.1"]);
    for _ in 0..100 {
        w.say(B, &unreachable(1));
    }
    assert_eq!(w.seen("p").len(), 1, "over whatever association");
    assert_eq!(w.heard(A).len(), 1, "one question");
    w.say(A, &ack(1));
    w.pass(second(60));
    assert_eq!(w.seen("p").len(), 1);
    w.say(B, &unreachable(1));
    assert_eq!(w.heard(A).len(), 1, "and one more after its answer");
}

#[test]
fn an_answer_or_a_registration_starts_the_count_again() {
    let mut w = reported_from(3);
    for round in 0..10 {
        for host in 1..=3 {
            w.say(Association(10 + host), &unreachable(1));
        }
        if round % 2 == 0 {
            w.say(A, &ack(1));
        } else {
            w.registered(A, "p", element(1, "10.0.0.1"));
        }
    }
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn an_answer_from_another_association_does_not_count() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.say(B, &unreachable(1));
    w.say(B, &ack(1));
    w.pass(second(5));
    assert!(w.seen("p").is_empty());
}

#[test]
fn reports_of_what_is_not_there_are_ignored() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.say(A, &unreachable(1));
    w.say(A, &ack(1));
    assert!(w.heard(A).is_empty());
}

#[test]
fn settings_that_change_while_it_runs_hold_for_the_elements_that_are_there() {
    let never = Settings {
        server: 0x1111,
        keep_alive_interval: None,
        keep_alive_timeout: second(5),
        ..Settings::default()
    };
    let mut w = World::with(never.clone());
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.pass(second(60));
    assert_eq!(w.heard(A), [], "it is never asked");
    let limits = super::Limits { elements: 1, ..never.limits };
    let changed = Settings { server: 9, keep_alive_interval: Some(second(2)), limits, ..never.clone() };
    w.registrar.reconfigure(w.now, changed);
    assert_eq!(w.registrar.settings().server, 0x1111, "the identifier stays");
    w.pass(second(4));
    let heard = w.heard(A);
    assert!(matches!(heard[..], [Message::EndpointKeepAlive { server: 0x1111, .. }]), "{heard:?}");
    let refused = w.register(A, "p", element(2, "10.0.0.1"));
    assert_eq!(cause_of(&refused), Some(asap_client::wire::Cause::LACK_OF_RESOURCES));
    assert_eq!(w.seen("p").len(), 1, "what is there stays");
    // Its answer is waited for though it is asked no more.
    w.registrar.reconfigure(w.now, never);
    w.pass(second(6));
    assert_eq!(w.seen("p").len(), 0);
}

/// One element of A that was asked and has not answered, with its answer just due.
fn asked() -> World {
    let mut w = watched();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.pass(second(8));
    let asked = w.one_of(A, |message| matches!(message, Message::EndpointKeepAlive { .. }));
    assert!(matches!(asked, Message::EndpointKeepAlive { id: Some(1), .. }));
    assert_eq!(w.seen("p").len(), 1);
    w.now = w.registrar.poll_timeout().unwrap();
    w
}

fn look(w: &mut World, together: Instant, alone: Option<Instant>) {
    let alone = move |association| (association == A).then_some(alone).flatten();
    w.registrar.handle_timeout_having_heard(w.now, &Heard { together, alone: &alone });
    w.drain();
}

#[test]
fn nobody_is_held_to_be_silent_whose_answer_may_have_come_and_was_not_taken_yet() {
    let before = |w: &World| w.now - Duration::from_millis(1);
    for alone in [false, true] {
        let mut w = asked();
        let (due, behind) = (w.now, before(&w));
        let heard = |at, w: &mut World| match alone {
            true => look(w, w.now, Some(at)),
            false => look(w, at, None),
        };
        heard(behind, &mut w);
        assert_eq!(w.registrar.poll_timeout(), Some(due), "it is looked at again");
        assert_eq!(w.seen("p").len(), 1);
        let mut other = w.registrar.clone();
        // Now it has been taken, and it was there.
        w.say(A, &ack(1));
        w.now += Duration::from_millis(10);
        let now = w.now;
        heard(now, &mut w);
        assert_eq!(w.seen("p").len(), 1);
        // Or it was not.
        other.handle_timeout(now);
        assert_eq!(other.counters().keep_alives_missed, 1);
        assert_eq!(other.handlespace().len(), 0);
    }
}
