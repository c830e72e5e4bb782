//! Looking for an element: who is tried, for how long, and when there is none.

use super::*;

#[test]
fn each_element_that_cannot_be_reached_is_reported_once_and_then_the_session_ends() {
    let mut world = World::new(Exchange::Requests, |_| ());
    world.give(Input::Pool(answer(&[1, 2])));
    assert_eq!(world.give(Input::Down(1, Down::Lost)), [unreachable(1), open(2, 2)]);
    let (span, outputs) = world.wait();
    assert_eq!(span, Waits::default().connect);
    assert_eq!(outputs, [Output::Abort(2), unreachable(2), resolve()]);
    assert_eq!(world.give(Input::Pool(answer(&[1, 2]))), [ended(End::NoElement)]);
    assert_eq!(world.user.counters().reports, 2);
}

#[test]
fn who_is_patient_tries_again_with_growing_pauses_and_does_not_report_again() {
    let patience = Duration::from_secs(10);
    let mut world = World::new(Exchange::Requests, |config| config.waits.patience = patience);
    let begin = world.now;
    world.give(Input::Pool(answer(&[1])));
    let mut reports = 0;
    let mut pauses = Vec::new();
    let mut link = 1;
    let end = loop {
        let outputs = world.give(Input::Down(link, Down::Lost));
        reports += outputs.iter().filter(|output| **output == unreachable(1)).count();
        if outputs.contains(&resolve()) {
            world.give(Input::Pool(answer(&[1])));
        }
        let (pause, outputs) = world.wait();
        if let Some(end) = outputs.iter().find(|output| matches!(output, Output::Event(Event::Ended(_)))) {
            break end.clone();
        }
        pauses.push(pause.as_millis());
        assert_eq!(outputs, [resolve(), open(link + 1, 1)]);
        assert_eq!(world.give(Input::Pool(answer(&[1]))), []);
        link += 1;
    };
    assert_eq!(end, ended(End::NoElement));
    assert_eq!(world.now - begin, patience);
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200]);
    assert_eq!(reports, 1);
}

#[test]
fn an_empty_or_unknown_pool_is_an_error_at_once() {
    for (answer, end) in [(unknown(), End::UnknownPool), (answer(&[]), End::EmptyPool)] {
        let mut world = World::new(Exchange::Stream, |_| ());
        assert_eq!(world.give(Input::Pool(answer.clone())), [resolve()], "the first may be an old one");
        assert_eq!(world.give(Input::Pool(answer)), [ended(end)]);
        assert!(world.user.is_over());
    }
}

#[test]
fn an_empty_pool_is_waited_for_as_long_as_the_caller_chose() {
    let mut world = World::new(Exchange::Stream, |config| config.waits.patience = Duration::from_millis(150));
    world.give(Input::Pool(answer(&[])));
    world.give(Input::Pool(answer(&[])));
    assert_eq!(world.wait(), (Duration::from_millis(100), vec![resolve()]));
    world.give(Input::Pool(unknown()));
    assert_eq!(world.wait(), (Duration::from_millis(50), vec![ended(End::UnknownPool)]));
}

#[test]
fn an_element_that_was_lost_is_not_tried_any_longer_once_another_one_is_known() {
    let mut world = World::new(Exchange::Requests, |_| ());
    world.give(Input::Pool(answer(&[1])));
    world.give(Input::Up(1));
    assert_eq!(world.give(Input::Down(1, Down::Lost)).last(), Some(&open(2, 1)));
    assert_eq!(world.give(Input::Pool(answer(&[1, 2]))), [Output::Abort(2), open(3, 2)]);
    assert_eq!(world.give(Input::Up(3)), [at(2, false)]);
}

#[test]
fn whoever_joins_a_pool_that_is_waited_for_is_taken_at_once() {
    let mut world = World::new(Exchange::Stream, |config| config.waits.patience = Duration::from_secs(9));
    world.give(Input::Pool(answer(&[])));
    world.give(Input::Pool(answer(&[])));
    assert_eq!(world.give(Input::Pool(answer(&[2]))), [open(1, 2)]);
}

#[test]
fn without_a_registrar_the_session_ends_or_goes_on_with_what_is_known() {
    let mut world = World::new(Exchange::Stream, |_| ());
    assert_eq!(world.wait(), (Waits::default().resolve, vec![ended(End::NoRegistrar)]));
    let mut world = World::begun(Exchange::Stream, |_| ());
    assert!(world.give(Input::Down(1, Down::Lost)).contains(&open(2, 2)));
    world.give(Input::Unanswered);
    assert_eq!(world.give(Input::Up(2)), [at(2, false)]);
}

#[test]
fn the_only_element_is_tried_again_when_it_was_lost() {
    let mut world = World::new(Exchange::Requests, |_| ());
    world.give(Input::Pool(answer(&[1])));
    world.give(Input::Up(1));
    let outputs = world.give(Input::Down(1, Down::Lost));
    assert_eq!(outputs, [unreachable(1), lost(1, Loss::Lost, false), resolve(), open(2, 1)]);
}

#[test]
fn a_session_whose_host_has_no_address_looks_for_an_element_once_it_has_one() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.give(Input::Online(false));
    // Without patience, either: it would be the end of the session.
    assert_eq!(
        world.give(Input::Down(1, Down::Lost)),
        [unreachable(1), lost(1, Loss::Lost, false), resolve()]
    );
    assert_eq!(world.give(Input::Unanswered), []);
    assert_eq!(world.user.poll_timeout(), None);
    assert_eq!(world.give(Input::Online(true)), [open(2, 2)]);
    assert_eq!(world.give(Input::Up(2)), [at(2, false)]);
}
