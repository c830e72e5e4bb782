//! Elements that become ours without registering.

use super::*;
use crate::enrp::Effect;

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
