#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use super::*;
use crate::session::control::Control;
use crate::wire::{MessageType, Policy, Transport, TransportUse};

const WALL: Duration = Duration::from_secs(1_795_000_000);

struct World {
    service: Service,
    start: Instant,
    now: Instant,
}

fn pool() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn element(id: u32) -> PoolElement {
    let addresses = vec![[10, 0, 0, 1].into()];
    PoolElement {
        id,
        home: 1,
        life: 300,
        user: Transport::Sctp { port: 7, use_: TransportUse::DataPlusControl, addresses: addresses.into() },
        policy: Policy::RoundRobin,
        asap: None,
    }
}

fn keys() -> Cookies {
    Cookies::Sealed(KeyRing::new(1, &[0x11; 32]))
}

fn octets(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn event(event: Event) -> Output {
    Output::Event(event)
}

fn refused(link: u64, why: Refusal) -> Output {
    event(Event::Refused { link, why })
}

fn ended(link: u64, why: Left) -> Output {
    event(Event::Ended { link, why })
}

/// Why cookies were refused, in the order in which that happened.
fn refusals(outputs: &[Output]) -> Vec<Refusal> {
    let why = |output: &Output| match output {
        Output::Event(Event::Refused { why, .. }) => Some(*why),
        _ => None,
    };
    outputs.iter().filter_map(why).collect()
}

fn restored(outputs: &[Output]) -> Option<Restored> {
    outputs.iter().find_map(|output| match output {
        Output::Event(Event::Started { restored, .. }) => restored.clone(),
        _ => None,
    })
}

fn begun(outputs: &[Output]) -> Option<(SessionId, bool)> {
    outputs.iter().find_map(|output| match output {
        Output::Event(Event::Started { session, restored, .. }) => Some((*session, restored.is_some())),
        _ => None,
    })
}

/// The last cookie that is sent.
fn cookie(outputs: &[Output]) -> Vec<u8> {
    let cookie = |output: &Output| match output {
        Output::Control { octets, .. } => match Control::read(octets).control {
            Ok(Control::Cookie(octets)) => Some(octets),
            _ => None,
        },
        _ => None,
    };
    outputs.iter().rev().find_map(cookie).expect("a cookie is sent")
}

impl World {
    fn new(id: u32, change: impl FnOnce(&mut Config)) -> Self {
        let start = Instant::now();
        let mut config = Config::new(pool(), id, keys(), u128::from(id).to_be_bytes(), (start, WALL));
        change(&mut config);
        Self { service: Service::new(config), start, now: start }
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        self.service.handle(self.now, input).unwrap();
        std::iter::from_fn(|| self.service.poll_output()).collect()
    }

    fn accept(&mut self, link: u64) -> Vec<Output> {
        self.give(Input::Accepted { link, user: b"alice".to_vec() })
    }

    fn data(&mut self, link: u64) -> Vec<Output> {
        self.give(Input::Data { link, ppid: 0, octets: octets("x") })
    }

    fn say(&mut self, link: u64, control: Control) -> Vec<Output> {
        self.give(Input::Control { link, octets: control.encode().into() })
    }

    fn echo(&mut self, link: u64, cookie: &[u8]) -> Vec<Output> {
        self.accept(link);
        self.say(link, Control::CookieEcho(cookie.to_vec()))
    }

    fn state(&mut self, link: u64, state: &str) -> Vec<u8> {
        let give = Input::Cookie { link, state: state.as_bytes().to_vec(), includes: None };
        cookie(&self.give(give))
    }

    fn send(&mut self, link: u64) -> Vec<Output> {
        self.give(Input::Send { link, ppid: 0, octets: octets("y"), unordered: false })
    }

    /// Time passes, for this one as for others that began with it.
    fn wait(&mut self, span: Duration) {
        self.now += span;
    }
}

/// The cookie of a session at element 1 that has taken two messages and answered one.
fn given() -> Vec<u8> {
    let mut first = World::new(1, |_| ());
    first.accept(1);
    first.data(1);
    first.data(1);
    first.send(1);
    first.state(1, "the state")
}

#[test]
fn a_session_begins_with_its_first_message_and_its_messages_are_numbered() {
    let mut world = World::new(1, |_| ());
    assert_eq!(world.accept(7), []);
    let outputs = world.data(7);
    let Output::Event(Event::Started { link: 7, session, restored: None }) = outputs[0] else {
        panic!("{outputs:?}");
    };
    let came = |number| event(Event::Data { link: 7, number, ppid: 0, octets: octets("x") });
    assert_eq!(outputs[1..], [came(1)]);
    assert_eq!(world.data(7), [came(2)]);
    world.accept(8);
    assert_ne!(begun(&world.data(8)).unwrap().0, session);
}

#[test]
fn a_session_of_a_service_that_speaks_first_begins_with_its_association() {
    let mut world = World::new(1, |config| config.greets = true);
    assert!(begun(&world.accept(7)).is_some());
    assert!(world.send(7).iter().any(|output| matches!(output, Output::Data { link: 7, .. })));
    let came = event(Event::Data { link: 7, number: 1, ppid: 0, octets: octets("x") });
    assert_eq!(world.data(7), [came]);
    assert_eq!(refusals(&world.echo(8, &given())), [Refusal::Late], "it begins anew");
    assert!(begun(&world.give(Input::Restarted(7))).is_some());
}

#[test]
fn the_next_element_is_given_the_state_and_counts_on() {
    let mut next = World::new(2, |_| ());
    let outputs = next.echo(5, &given());
    let state = b"the state".to_vec();
    let counts = Counts { received: 2, sent: 1 };
    assert_eq!(restored(&outputs), Some(Restored { state, counts, issuer: Some(1) }));
    let outputs = next.data(5);
    assert_eq!(outputs, [event(Event::Data { link: 5, number: 3, ppid: 0, octets: octets("x") })]);
    assert_eq!(next.service.counters().restored, 1);
}

#[test]
fn a_cookie_is_renewed_as_soon_as_it_is_used() {
    let mut next = World::new(2, |_| ());
    let renewed = cookie(&next.echo(5, &given()));
    let mut third = World::new(3, |_| ());
    third.echo(1, &renewed);
    // The third element has seen the newer one.
    assert_eq!(refusals(&third.echo(2, &given())), [Refusal::Replayed]);
}

#[test]
fn a_session_keeps_its_name_at_all_its_elements() {
    let (mut second, mut third) = (World::new(2, |_| ()), World::new(3, |_| ()));
    let outputs = second.echo(1, &given());
    let (name, _) = begun(&outputs).unwrap();
    assert_eq!(begun(&third.echo(1, &cookie(&outputs))), Some((name, true)));
}

#[test]
fn a_refused_cookie_is_counted_by_reason_and_the_session_starts_afresh_on_both_sides() {
    let mut forged = given();
    *forged.last_mut().unwrap() ^= 1;
    let cases: [(Vec<u8>, Refusal); 4] = [
        (forged, Refusal::Forged),
        (given()[..100].to_vec(), Refusal::Truncated),
        (b"<PP-TD1>\0\0\0\0\0\0\0\x02".to_vec(), Refusal::Foreign),
        (vec![0; 501], Refusal::TooLong),
    ];
    let mut world = World::new(2, |config| config.cookie = 500);
    for (link, (cookie, why)) in (1..).zip(cases) {
        let outputs = world.echo(link, &cookie);
        assert_eq!(outputs[0], refused(link, why));
        assert_eq!(outputs[1], Output::Control { link, octets: Control::refusal().encode() });
        assert!(
            matches!(outputs[2..], [Output::Event(Event::Started { restored: None, .. })]),
            "{outputs:?}"
        );
        assert_eq!(world.service.counters().refused[&why], 1);
        let outputs = world.data(link);
        assert_eq!(outputs, [event(Event::Data { link, number: 1, ppid: 0, octets: octets("x") })]);
    }
}

#[test]
fn a_cookie_of_another_user_pool_or_key_is_refused() {
    let mut world = World::new(2, |_| ());
    world.give(Input::Accepted { link: 1, user: b"mallory".to_vec() });
    let outputs = world.say(1, Control::CookieEcho(given()));
    assert_eq!(refusals(&outputs), [Refusal::OtherUser]);
    let mut world = World::new(2, |config| config.handle = "OtherPool".parse().unwrap());
    assert_eq!(refusals(&world.echo(1, &given())), [Refusal::OtherPool]);
    let mut world = World::new(2, |_| ());
    world.give(Input::Keys(KeyRing::new(2, &[0x22; 32])));
    assert_eq!(refusals(&world.echo(1, &given())), [Refusal::UnknownKey]);
    world.give(Input::Keys(KeyRing::new(2, &[0x22; 32]).accept(1, &[0x11; 32])));
    assert_eq!(refusals(&world.echo(2, &given())), []);
}

#[test]
fn a_cookie_used_before_is_refused_once_its_moment_has_passed() {
    let cookie = given();
    let mut world = World::new(2, |_| ());
    world.echo(1, &cookie);
    world.give(Input::Down(1));
    assert_eq!(refusals(&world.echo(2, &cookie)), [], "the renewed one may not have arrived");
    world.give(Input::Down(2));
    world.wait(Duration::from_secs(11));
    assert_eq!(refusals(&world.echo(3, &cookie)), [Refusal::Replayed]);
}

#[test]
fn the_clock_tells_an_old_cookie_and_can_be_corrected() {
    let cookie = given();
    let mut world = World::new(2, |_| ());
    world.wait(Duration::from_secs(3602));
    assert_eq!(refusals(&world.echo(1, &cookie)), [Refusal::Expired]);
    world.give(Input::Clock(WALL - Duration::from_secs(60)));
    assert_eq!(refusals(&world.echo(2, &cookie)), [Refusal::Future]);
    world.give(Input::Clock(WALL + Duration::from_secs(60)));
    assert_eq!(refusals(&world.echo(3, &cookie)), []);
    assert!(world.now > world.start);
}

#[test]
fn an_echo_that_does_not_come_first_is_refused_and_changes_nothing() {
    let mut world = World::new(2, |_| ());
    world.accept(1);
    world.data(1);
    let outputs = world.say(1, Control::CookieEcho(given()));
    assert_eq!(outputs, [refused(1, Refusal::Late)]);
    let outputs = world.data(1);
    assert_eq!(outputs, [event(Event::Data { link: 1, number: 2, ppid: 0, octets: octets("x") })]);
}

#[test]
fn a_user_that_comes_back_over_another_association_leaves_the_one_before() {
    let mut world = World::new(1, |_| ());
    world.accept(1);
    let (name, _) = begun(&world.data(1)).unwrap();
    let cookie = world.state(1, "the state");
    let outputs = world.echo(2, &cookie);
    assert_eq!(outputs[..2], [Output::Abort(1), ended(1, Left::Continued)]);
    assert_eq!(begun(&outputs), Some((name, true)));
    assert_eq!(world.give(Input::Down(1)), []);
    assert_eq!(world.service.len(), 1);
    assert_eq!(world.give(Input::Down(2)), [ended(2, Left::Down)]);
}

#[test]
fn a_cookie_says_what_its_state_includes() {
    let mut world = World::new(1, |_| ());
    world.accept(1);
    for _ in 0..3 {
        world.data(1);
    }
    world.send(1);
    let give = |includes| Input::Cookie { link: 1, state: Vec::new(), includes };
    let counts = |outputs: &[Output]| super::super::cookie::counts(&cookie(outputs)).unwrap();
    assert_eq!(counts(&world.give(give(Some(2)))), Counts { received: 2, sent: 1 });
    assert_eq!(counts(&world.give(give(None))), Counts { received: 3, sent: 1 });
    assert_eq!(world.service.handle(world.now, give(Some(4))), Err(Refused::NotCome(4)));
}

#[test]
fn what_the_service_cannot_do_is_refused_with_a_reason() {
    let mut world = World::new(1, |config| config.cookie = 500);
    world.accept(1);
    let mut refused = |input| world.service.handle(world.now, input).unwrap_err();
    let send = |link, ppid| Input::Send { link, ppid, octets: octets("y"), unordered: false };
    assert_eq!(refused(send(1, 11)), Refused::ControlPpid);
    assert_eq!(refused(send(2, 0)), Refused::Unknown);
    assert_eq!(refused(Input::End { link: 2, graceful: true }), Refused::Unknown);
    let cookie = |link, size| Input::Cookie { link, state: vec![0; size], includes: None };
    assert_eq!(refused(cookie(2, 1)), Refused::Unknown);
    assert!(matches!(refused(cookie(1, 500)), Refused::TooLong { size: 501.., most: 500 }));
    let mut plain = World::new(1, |config| config.control = false);
    plain.accept(1);
    assert_eq!(plain.service.handle(plain.now, cookie(1, 1)), Err(Refused::NoControl));
}

#[test]
fn each_user_is_shown_the_card_when_it_comes_and_when_it_changes() {
    let card = |id| Control::BusinessCard { handle: pool(), elements: vec![element(id)] }.encode();
    let mut world = World::new(1, |config| config.card = vec![element(2)]);
    assert_eq!(world.accept(1), [Output::Control { link: 1, octets: card(2) }]);
    let outputs = world.give(Input::Card(vec![element(3)]));
    assert_eq!(outputs, [Output::Control { link: 1, octets: card(3) }]);
    assert_eq!(world.accept(2), [Output::Control { link: 2, octets: card(3) }]);
    let mut plain = World::new(1, |config| {
        (config.card, config.control) = (vec![element(2)], false);
    });
    assert_eq!(plain.accept(1), []);
}

#[test]
fn the_card_of_a_user_is_for_the_service_and_nonsense_is_ignored() {
    let mut world = World::new(1, |_| ());
    world.accept(1);
    let (handle, elements) = (pool(), vec![element(9)]);
    let card = Control::BusinessCard { handle: handle.clone(), elements: elements.clone() };
    assert_eq!(world.say(1, card), [event(Event::Card { link: 1, handle, elements })]);
    let nonsense = |what| [event(Event::Nonsense { link: 1, what })];
    let empty = Control::BusinessCard { handle: pool(), elements: Vec::new() };
    assert_eq!(world.say(1, empty), nonsense(Nonsense::Card));
    let cookie = Control::Cookie(vec![1]);
    assert_eq!(world.say(1, cookie), nonsense(Nonsense::WrongSide(MessageType::COOKIE)));
    assert_eq!(world.service.counters().nonsense, 2);
    assert_eq!(begun(&world.data(1)).map(|(_, restored)| restored), Some(false));
}

#[test]
fn a_user_too_many_is_turned_away() {
    let mut world = World::new(1, |config| config.sessions = 1);
    world.accept(1);
    assert_eq!(world.accept(2), [Output::Abort(2)]);
    assert_eq!((world.service.len(), world.service.counters().turned_away), (1, 1));
    assert_eq!(world.data(2), []);
    world.give(Input::Down(1));
    assert_eq!(world.accept(3), []);
}

#[test]
fn a_user_that_begins_its_association_anew_begins_another_session() {
    let mut world = World::new(1, |_| ());
    world.accept(1);
    let before = begun(&world.data(1)).unwrap().0;
    assert_eq!(world.give(Input::Restarted(1)), [ended(1, Left::Restarted)]);
    assert_ne!(begun(&world.data(1)).unwrap().0, before);
}

#[test]
fn a_session_that_the_service_ends_is_over() {
    let mut world = World::new(1, |_| ());
    for (link, graceful, last) in [(1, true, Output::Shutdown(1)), (2, false, Output::Abort(2))] {
        world.accept(link);
        world.data(link);
        assert_eq!(world.give(Input::End { link, graceful }), [last, ended(link, Left::Done)]);
        assert_eq!(world.data(link), []);
    }
    assert!(world.service.is_empty());
}

#[test]
fn a_plain_cookie_is_as_the_service_made_it_and_believed_as_it_comes() {
    let mut world = World::new(1, |config| config.cookies = Cookies::Plain);
    world.accept(1);
    assert_eq!(world.state(1, "<PP-TD1>"), b"<PP-TD1>");
    let state = b"<PP-TD1>".to_vec();
    let outputs = world.echo(2, &state);
    assert_eq!(restored(&outputs), Some(Restored { state, counts: Counts::default(), issuer: None }));
}

proptest::proptest! {
    /// Whatever a user sends: nothing panics, and what is kept is bounded by the associations there are.
    #[test]
    fn octets_of_any_kind_on_the_control_channel_change_no_other_session(
        messages in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), 0..20),
    ) {
        let mut world = World::new(1, |_| ());
        world.accept(1);
        world.data(1);
        world.accept(2);
        for octets in messages {
            for output in world.give(Input::Control { link: 2, octets: octets.into() }) {
                let other = matches!(
                    output,
                    Output::Abort(1) | Output::Control { link: 1, .. } | Output::Event(Event::Ended { link: 1, .. })
                );
                proptest::prop_assert!(!other);
            }
        }
        proptest::prop_assert_eq!(world.service.len(), 2);
        proptest::prop_assert_eq!(world.service.remembered(), 0);
    }
}
