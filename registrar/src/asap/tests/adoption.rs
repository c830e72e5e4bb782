//! Elements that become ours without registering.

use super::*;
use crate::enrp::Effect;
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

#[test]
fn elements_that_died_with_their_registrar_hold_up_none_that_live() {
    const DEAD: u32 = 10_000;
    let mut w = World::new();
    w.checked = false;
    let server = w.registrar.settings().server;
    let at = |id: u32| IpAddr::from((0x0a00_0000 + id).to_be_bytes());
    for id in 1..=DEAD + 1 {
        let asap =
            Transport::Sctp { port: 5000, use_: TransportUse::DataPlusControl, addresses: vec![at(id)] };
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
