//! How often subscribers are told.

use super::*;

const INTERVAL: Duration = Duration::from_millis(50);

/// Subscriber B of pool "p", which has element 1 over A.
fn watched() -> World {
    let mut w =
        World::with(Settings { keep_alive_interval: None, push_interval: INTERVAL, ..Settings::default() });
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.subscribe(B, "p");
    w
}

#[test]
fn a_quiet_pool_is_pushed_at_once_and_a_busy_one_when_the_interval_is_over() {
    let mut w = watched();
    w.registered(A, "p", element(2, "10.0.0.1"));
    assert_eq!(ids(&w.one(B)), [1, 2], "it was quiet");
    w.pass(INTERVAL / 2);
    w.registered(A, "p", element(3, "10.0.0.1"));
    w.registered(A, "p", element(4, "10.0.0.1"));
    assert!(w.heard(B).is_empty());
    w.pass(INTERVAL / 2);
    assert_eq!(ids(&w.one(B)), [1, 2, 3, 4], "once for both");
    w.pass(INTERVAL);
    assert!(w.heard(B).is_empty(), "nothing has changed since");
    w.registered(A, "p", element(5, "10.0.0.1"));
    assert_eq!(ids(&w.one(B)), [1, 2, 3, 4, 5], "it was quiet again");
}

#[test]
fn the_end_of_a_busy_pool_is_told_too() {
    let mut w = watched();
    w.registered(A, "p", element(2, "10.0.0.1"));
    w.heard(B);
    w.down(A);
    assert!(w.heard(B).is_empty());
    w.pass(INTERVAL);
    assert!(cause_of(&w.one(B)).is_some());
}

#[test]
fn one_busy_pool_does_not_hold_up_another() {
    let mut w = watched();
    w.registered(A, "q", element(1, "10.0.0.1"));
    w.subscribe(B, "q");
    w.registered(A, "p", element(2, "10.0.0.1"));
    w.registered(A, "q", element(2, "10.0.0.1"));
    assert_eq!(w.heard(B).len(), 2);
}

#[test]
fn a_push_that_waits_ends_with_its_last_subscriber() {
    let mut w = watched();
    for id in 2..9 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    w.heard(B);
    w.down(B);
    w.up(C, &["10.0.0.2"]);
    w.subscribe(C, "p");
    w.pass(INTERVAL);
    assert!(w.heard(B).is_empty() && w.heard(C).is_empty());
}

/// 10,000 subscribers of a pool whose load changes a thousand times a second.
#[test]
fn what_many_subscribers_of_a_busy_pool_cost_grows_with_time_and_all_end_with_the_last_state() {
    const SUBSCRIBERS: u64 = 10_000;
    const CHANGES: u32 = 3_000;
    let mut w = World { checked: false, ..watched() };
    let subscribers = 100..100 + SUBSCRIBERS;
    let busy = |load| PoolElement { policy: Policy::LeastUsed { load }, ..element(1, "10.0.0.1") };
    w.registered(A, "busy", busy(0));
    for number in subscribers.clone() {
        w.up(Association(number), &["10.0.0.3"]);
        w.subscribe(Association(number), "busy");
    }
    w.heard(A);
    let mut last = BTreeMap::new();
    let (mut outputs, mut most) = (0, 0);
    let mut take = |registrar: &mut Registrar| {
        let before = outputs;
        while let Some(output) = registrar.poll_output() {
            if let Output::Send { association, bytes } = output
                && association != A
            {
                last.insert(association, bytes);
                outputs += 1;
            }
        }
        most = most.max(outputs - before);
    };
    let start = w.now;
    for load in 1..=CHANGES {
        let message = Message::Registration { handle: handle("busy"), element: busy(load) };
        let input = Input::Message { association: A, ppid: wire::PPID, bytes: message.encode() };
        w.registrar.handle(w.now, input);
        take(&mut w.registrar);
        let next = w.now + Duration::from_millis(1);
        while let Some(at) = w.registrar.poll_timeout().filter(|at| *at <= next) {
            w.registrar.handle_timeout(at);
            take(&mut w.registrar);
        }
        w.now = next;
    }
    let lasted = w.now - start;
    assert_eq!(lasted, Duration::from_secs(3));
    if let Some(at) = w.registrar.poll_timeout().filter(|at| *at <= w.now + INTERVAL) {
        w.registrar.handle_timeout(at);
        take(&mut w.registrar);
    }
    w.registrar.check();
    let pushes = u64::try_from(lasted.as_millis() / INTERVAL.as_millis()).unwrap() + 2;
    assert!((SUBSCRIBERS * (pushes - 3)..=SUBSCRIBERS * pushes).contains(&outputs), "{outputs}");
    assert_eq!(most, SUBSCRIBERS, "never two pushes in one go");
    assert_eq!(last.len() as u64, SUBSCRIBERS);
    for (association, bytes) in last {
        let message = wire::decode(&bytes).unwrap().message;
        let Message::HandleResolutionResponse { elements, .. } = message else { panic!("{message:?}") };
        assert_eq!(elements[0].policy, Policy::LeastUsed { load: CHANGES }, "{association}");
    }
}
