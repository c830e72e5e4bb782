//! An element from which nothing comes.

use super::*;

const SILENT: Duration = Duration::from_millis(800);
/// From look to look.
const LOOK: Duration = Duration::from_millis(100);

fn watching() -> World {
    World::begun(Exchange::Stream, |config| config.waits.silent = Some(SILENT))
}

impl World {
    /// Waits for the next look, and has it find so many packets; what comes of it.
    fn look(&mut self, packets: u64, unacknowledged: bool) -> Vec<Output> {
        assert_eq!(self.wait(), (LOOK, vec![Output::Look(1)]));
        self.give(Input::Looked { link: 1, packets, unacknowledged })
    }
}

#[test]
fn an_element_from_whose_host_nothing_comes_is_left_and_reported() {
    let mut world = watching();
    world.send(1);
    for _ in 0..8 {
        assert_eq!(world.look(5, true), []);
    }
    let expected = [Output::Abort(1), unreachable(1), lost(1, Loss::Silent, false), resolve(), open(2, 2)];
    assert_eq!(world.look(5, true), expected);
    assert_eq!(world.give(Input::Looked { link: 1, packets: 5, unacknowledged: true }), [], "it was left");
}

#[test]
fn whatever_comes_gives_the_element_time_again() {
    let mut world = watching();
    for packets in 0..100 {
        assert_eq!(world.look(packets, true), []);
    }
    for _ in 0..5 {
        for _ in 0..7 {
            assert_eq!(world.look(99, true), []);
        }
        world.now += LOOK / 2;
        world.data(1);
    }
    assert_eq!(world.user.counters().losses, 0);
}

#[test]
fn where_nothing_is_due_something_that_is_answered_is_sent_in_time() {
    let mut world = watching();
    let seen: Vec<_> = (0..8).map(|_| world.look(5, false)).collect();
    let probes: Vec<_> = seen.iter().map(|outputs| outputs[..] == [Output::Probe(1)]).collect();
    assert_eq!(probes, [false, false, false, false, true, true, true, true]);
    assert_eq!(world.look(6, false), [], "it was answered");
    assert_eq!(world.look(6, false), []);
}

#[test]
fn a_user_that_stood_still_itself_does_not_blame_the_element() {
    let mut world = watching();
    assert_eq!(world.look(5, true), []);
    world.now += Duration::from_secs(60);
    world.user.handle_timeout(world.now);
    assert_eq!(world.outputs(), [Output::Look(1)]);
    assert_eq!(world.give(Input::Looked { link: 1, packets: 5, unacknowledged: true }), []);
    assert_eq!(world.look(6, true), []);
}

#[test]
fn nobody_is_looked_at_while_the_host_has_no_address_and_what_was_before_does_not_count() {
    let mut world = watching();
    (0..7).for_each(|_| assert_eq!(world.look(5, true), []));
    world.give(Input::Online(false));
    assert_eq!(world.user.poll_timeout(), None);
    world.now += Duration::from_secs(60);
    world.give(Input::Online(true));
    (0..7).for_each(|_| assert_eq!(world.look(5, true), []));
    assert!(world.look(5, true).contains(&lost(1, Loss::Silent, false)));
}
