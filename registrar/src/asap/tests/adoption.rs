//! Elements that become ours without registering.

use super::elsewhere::at_another;
use super::*;
use crate::enrp::{Change, Effect};
use crate::handlespace::Element;

#[test]
fn an_element_that_is_reached_late_has_its_whole_time_to_answer() {
    let mut w = World::new();
    w.up(A, &["10.0.0.3"]);
    w.say(A, &Message::Registration { handle: handle("p"), element: element(1, "10.0.0.3") });
    // It is ours by a takeover, and has no association with us.
    let key = w.registrar.handlespace().key(&handle("p"), 1).unwrap();
    let server = w.registrar.settings().server;
    w.registrar.handlespace_mut().set_home(key, server, None);
    w.down(A);
    let connects = |w: &mut World| {
        let outputs = std::iter::from_fn(|| w.registrar.poll_output());
        outputs.filter(|output| matches!(output, Output::Connect { .. })).count()
    };
    w.registrar.effect(w.now, Effect::Adopt(key));
    assert_eq!(connects(&mut w), 1);
    let timeout = w.registrar.settings().adoption_timeout;
    w.now += timeout;
    w.registrar.handle_timeout(w.now);
    assert_eq!(connects(&mut w), 1, "once more");

    // It can be reached in the very last moment.
    w.now += timeout - Duration::from_millis(1);
    w.up(B, &["10.0.0.3"]);
    let told = |message: &Message| matches!(message, Message::EndpointKeepAlive { home: true, .. });
    assert!(w.heard(B).iter().any(told));
    w.pass(Duration::from_millis(500));
    w.say(B, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    let (_, kept) = w.registrar.handlespace().get(key).unwrap();
    assert_eq!((kept.home, kept.owner), (server, Some(B)));
}

/// Element 1 of pool "p" has answered over A that we are its home, was left to another registrar, and is gone there.
fn yielded_and_dropped() -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.3"]);
    let yielded = Effect::Yielded { handle: handle("p"), id: 1, owner: A };
    w.registrar.effect(w.now, yielded);
    let port = w.registrar.client(A).unwrap().port;
    let element = Element { asap: sctp(port, &["10.0.0.3"]), ..at_another(1) };
    w.registrar.effect(w.now, Effect::Dropped { handle: handle("p"), element: Box::new(element) });
    w.drain();
    w
}

#[test]
fn an_element_that_was_left_to_a_registrar_which_then_has_it_no_more_is_asked_and_ours_if_it_answers() {
    let mut w = yielded_and_dropped();
    let server = w.registrar.settings().server;
    let asked = |message: &Message| matches!(message, Message::EndpointKeepAlive { home: true, .. });
    assert!(w.heard(A).iter().any(asked));
    assert!(w.seen("p").is_empty() && w.registrar.poll_change().is_none(), "nobody is told that it is");
    w.say(A, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    let space = w.registrar.handlespace();
    let kept = space.pool(&handle("p")).and_then(|pool| pool.element(1)).unwrap();
    assert_eq!((kept.home, kept.owner), (server, Some(A)));
    assert!(matches!(w.registrar.poll_change(), Some(Change::Updated(_))), "all others are");
    w.down(A);
    assert!(w.seen("p").is_empty());
    w.up(A, &["10.0.0.3"]);
    w.say(A, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    assert!(w.seen("p").is_empty(), "an answer counts once");
}

#[test]
fn an_element_that_was_told_to_be_ours_and_then_left_to_another_is_asked_when_that_one_has_it_no_more() {
    let mut w = World::new();
    w.up(A, &["10.0.0.3"]);
    let server = w.registrar.settings().server;
    let port = w.registrar.client(A).unwrap().port;
    let ours = Element { home: server, asap: sctp(port, &["10.0.0.3"]), ..at_another(1) };
    let (key, _) = w.registrar.handlespace_mut().insert(handle("p"), ours);
    w.registrar.effect(w.now, Effect::Adopt(key));
    // Another registrar claims it before it has answered.
    let other = at_another(1).home;
    w.registrar.handlespace_mut().set_home(key, other, None);
    w.registrar.effect(w.now, Effect::Gone(key));
    w.say(A, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    let gone = w.registrar.handlespace_mut().remove(key).unwrap();
    w.registrar.effect(w.now, Effect::Dropped { handle: gone.handle, element: Box::new(gone.element) });
    w.drain();
    w.say(A, &Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    let space = w.registrar.handlespace();
    let kept = space.pool(&handle("p")).and_then(|pool| pool.element(1)).unwrap();
    assert_eq!((kept.home, kept.owner), (server, Some(A)));
}

#[test]
fn an_element_that_was_left_to_another_registrar_and_does_not_answer_is_gone() {
    let mut w = yielded_and_dropped();
    w.pass(second(60));
    assert!(w.seen("p").is_empty() && w.registrar.poll_change().is_none());
}

#[test]
fn an_element_that_was_left_to_another_registrar_is_not_asked_for_when_its_association_has_ended() {
    let mut w = World::new();
    w.up(A, &["10.0.0.3"]);
    w.registrar.effect(w.now, Effect::Yielded { handle: handle("p"), id: 1, owner: A });
    let port = w.registrar.client(A).unwrap().port;
    w.down(A);
    w.up(B, &["10.0.0.3"]);
    let element = Element { asap: sctp(port, &["10.0.0.3"]), ..at_another(1) };
    w.registrar.effect(w.now, Effect::Dropped { handle: handle("p"), element: Box::new(element) });
    assert!(w.seen("p").is_empty());
    assert!(w.registrar.yielded.is_empty());
}

#[test]
fn elements_that_died_with_their_registrar_hold_up_none_that_live() {
    const DEAD: u32 = 10_000;
    let mut w = World::new();
    w.checked = false;
    let server = w.registrar.settings().server;
    let at = |id: u32| IpAddr::from((0x0a00_0000 + id).to_be_bytes());
    for id in 1..=DEAD + 1 {
        let asap = Transport::Sctp {
            port: 5000,
            use_: TransportUse::DataPlusControl,
            addresses: vec![at(id)].into(),
        };
        let user = asap.clone();
        let element = Element {
            id,
            home: server,
            life: -1,
            user,
            policy: Policy::RoundRobin,
            asap,
            owner: None,
            expires: None,
            bad_reports: 0,
        };
        let (key, _) = w.registrar.handlespace_mut().insert(handle("p"), element);
        w.registrar.effect(w.now, Effect::Adopt(key));
    }
    // Only the last one is there, and is let in when it is connected to.
    let (begin, living) = (w.now, at(DEAD + 1));
    let (mut most, mut connects) = (0, 0);
    loop {
        let mut answers = false;
        let mut now = 0;
        while let Some(output) = w.registrar.poll_output() {
            if let Output::Connect { remote } = output {
                now += 1;
                answers |= remote.iter().any(|at| at.ip() == living);
            }
        }
        (most, connects) = (most.max(now), connects + now);
        if answers {
            break;
        }
        w.now = w.registrar.poll_timeout().expect("there are more");
        w.registrar.handle_timeout(w.now);
    }
    assert_eq!(connects, DEAD + 1);
    assert_eq!(most, w.registrar.settings().keep_alives_per_second / 10, "in a tenth of a second");
    assert!(w.now - begin <= second(2), "{:?}", w.now - begin);
    w.up(A, &[&living.to_string()]);
    w.say(A, &Message::EndpointKeepAliveAck { handle: handle("p"), id: DEAD + 1 });
    assert_eq!(w.registrar.handlespace().owned_by(A).count(), 1);
    // And all others are known to be dead when they have been asked twice.
    let timeout = w.registrar.settings().adoption_timeout;
    while w.now <= begin + second(2) + 2 * timeout {
        w.now = w.registrar.poll_timeout().map_or(begin + second(60), |at| at.max(w.now));
        w.registrar.handle_timeout(w.now);
        while w.registrar.poll_output().is_some() {}
    }
    assert_eq!(w.registrar.handlespace().len(), 1);
}
