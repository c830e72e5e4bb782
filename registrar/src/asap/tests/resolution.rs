use super::*;
use asap_client::wire::Cause;

fn three() -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    for id in 1..=3 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    w
}

#[test]
fn all_elements_are_named_and_the_list_turns_by_one() {
    let mut w = three();
    for expected in [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]] {
        assert_eq!(ids(&w.resolve(B, "p", None)), expected);
    }
}

#[test]
fn no_more_than_the_items_asked_for_are_named() {
    let mut w = three();
    for expected in [1, 2, 3, 1] {
        assert_eq!(ids(&w.resolve(B, "p", Some(1))), [expected]);
    }
    assert_eq!(ids(&w.resolve(B, "p", Some(u32::MAX))).len(), 3);
    assert_eq!(ids(&w.resolve(B, "p", Some(0))).len(), 3, "0 leaves it to the registrar");
}

#[test]
fn the_turn_goes_on_when_elements_come_and_go() {
    let mut w = three();
    assert_eq!(ids(&w.resolve(B, "p", Some(1))), [1]);
    w.say(A, &Message::Deregistration { handle: handle("p"), id: 2 });
    assert_eq!(ids(&w.resolve(B, "p", Some(1))), [3]);
    w.registered(A, "p", element(0, "10.0.0.1"));
    w.registered(A, "p", element(2, "10.0.0.1"));
    for expected in [1, 2, 3, 0, 1] {
        assert_eq!(ids(&w.resolve(B, "p", Some(1))), [expected]);
    }
}

#[test]
fn the_policy_is_always_said_and_the_asap_transport_never() {
    let mut w = three();
    let answer = w.resolve(B, "p", Some(1));
    let Message::HandleResolutionResponse { subscribed, policy, elements, error, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((subscribed, policy, error), (false, Some(Policy::RoundRobin), None));
    assert_eq!(elements[0].asap, None);
    assert_eq!(elements[0].home, 0x1111);
}

#[test]
fn an_unknown_handle_is_answered_with_its_cause() {
    let mut w = three();
    let answer = w.resolve(B, "q", None);
    assert_eq!(cause_of(&answer), Some(Cause::UNKNOWN_POOL_HANDLE));
    assert!(ids(&answer).is_empty());
}

#[test]
fn a_subscriber_hears_of_every_change_and_of_no_refresh() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1", "10.0.1.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let answer = w.subscribe(B, "p");
    assert!(matches!(answer, Message::HandleResolutionResponse { subscribed: true, .. }));

    w.registered(A, "p", element(1, "10.0.0.1"));
    assert!(w.heard(B).is_empty(), "a mere refresh");

    w.registered(A, "p", element(1, "10.0.1.1"));
    let Message::HandleResolutionResponse { subscribed: true, elements, .. } = w.one(B) else { panic!() };
    assert_eq!(elements[0].user.addresses(), ["10.0.1.1".parse::<IpAddr>().unwrap()]);

    w.registered(A, "p", element(2, "10.0.0.1"));
    assert_eq!(ids(&w.one(B)), [1, 2]);

    w.say(A, &Message::Deregistration { handle: handle("p"), id: 1 });
    assert_eq!(ids(&w.one(B)), [2]);
}

#[test]
fn a_subscriber_hears_that_the_pool_has_gone_and_that_it_is_back() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.subscribe(B, "p");
    w.down(A);
    let gone = w.one(B);
    assert_eq!(cause_of(&gone), Some(Cause::UNKNOWN_POOL_HANDLE));
    assert!(matches!(gone, Message::HandleResolutionResponse { subscribed: true, .. }));
    w.up(C, &["10.0.1.1"]);
    w.registered(C, "p", element(1, "10.0.1.1"));
    assert_eq!(ids(&w.one(B)), [1]);
}

#[test]
fn the_end_of_an_association_with_many_elements_is_told_once() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    for id in 1..=50 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    w.subscribe(B, "p");
    w.down(A);
    assert_eq!(w.heard(B).len(), 1);
}

#[test]
fn there_is_no_subscription_to_a_pool_that_is_not_there() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    let answer = w.subscribe(B, "p");
    assert!(matches!(answer, Message::HandleResolutionResponse { subscribed: false, error: Some(_), .. }));
    w.registered(A, "p", element(1, "10.0.0.1"));
    assert!(w.heard(B).is_empty());
}

#[test]
fn a_resolution_without_the_s_bit_leaves_a_subscription_alone() {
    let mut w = three();
    w.subscribe(B, "p");
    let answer = w.resolve(B, "p", None);
    assert!(matches!(answer, Message::HandleResolutionResponse { subscribed: true, .. }));
    w.registered(A, "p", element(4, "10.0.0.1"));
    assert_eq!(w.heard(B).len(), 1);
}

#[test]
fn a_subscription_lives_as_long_as_its_association() {
    let mut w = three();
    w.subscribe(B, "p");
    w.down(B);
    w.up(C, &["10.0.0.2"]);
    w.registered(A, "p", element(4, "10.0.0.1"));
    assert!(w.heard(B).is_empty() && w.heard(C).is_empty());
}

#[test]
fn a_subscriber_that_asked_for_few_is_told_of_few() {
    let mut w = three();
    let ask = Message::HandleResolution { subscribe: true, handle: handle("p"), items: Some(2) };
    w.say(B, &ask);
    assert_eq!(ids(&w.one(B)), [1, 2]);
    w.registered(A, "p", element(4, "10.0.0.1"));
    assert_eq!(ids(&w.one(B)).len(), 2);
}

#[test]
fn a_pool_too_large_for_a_message_is_named_in_part() {
    let limits = Limits { resolution_items: 100_000, elements_per_association: 5_000, ..Limits::default() };
    let mut w = World { checked: false, ..World::with_limits(limits) };
    w.up(A, &["10.0.0.1"]);
    for id in 0..3_000 {
        w.registered(A, "p", element(id, "10.0.0.1"));
    }
    let named = ids(&w.resolve(A, "p", None)).len();
    assert!((1_400..3_000).contains(&named), "{named}");
}

#[test]
fn questions_that_waited_together_or_alone_are_answered_as_each_would_be() {
    let ask = |pool: &str, items| Message::HandleResolution { subscribe: true, handle: handle(pool), items };
    let unknown = [&ask("p", Some(1)).encode()[..], &[0xc0, 0x42, 0, 4]].concat();
    let [high, low] = u16::try_from(unknown.len()).unwrap().to_be_bytes();
    let unknown = [&unknown[..2], &[high, low], &unknown[4..]].concat();
    let questions: Vec<_> = [
        (B, ask("p", Some(2)).encode()),
        (A, ask("nothing", None).encode()),
        (B, vec![wire::MessageType::HANDLE_RESOLUTION.0, 0, 0, 4]),
        (C, ask("p", None).encode()),
        (A, unknown),
        (B, ask("q", Some(1)).encode()),
        (B, ask("p", Some(1)).encode()),
    ]
    .into();
    let [mut one_by_one, mut together, mut alone] = [(); 3].map(|()| {
        let mut w = three();
        w.registered(A, "q", element(7, "10.0.0.1"));
        w
    });
    for (association, bytes) in &questions {
        one_by_one.bytes(*association, bytes.clone());
        alone.registrar.handle_message(alone.now, *association, wire::PPID, bytes);
        alone.drain();
    }
    assert_eq!(
        (&alone.sent, alone.registrar.counters()),
        (&one_by_one.sent, one_by_one.registrar.counters())
    );
    together.registrar.handle_questions(together.now, &questions);
    together.drain();
    assert_eq!(together.sent, one_by_one.sent);
    assert_eq!(together.sent[&B].len(), 3, "one has no handle, which nobody is told");
    assert_eq!((together.sent[&A].len(), together.sent.get(&C)), (3, None), "one has an unknown parameter");
    assert_eq!(together.registrar.counters(), one_by_one.registrar.counters());
}
