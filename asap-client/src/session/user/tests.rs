#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

mod seek;
mod watch;

use std::time::Instant;

use super::*;
use crate::session::control::Control;
use crate::wire::{MessageType, Policy, Transport, TransportUse};

/// Longer than anything else takes.
const LONG: Duration = Duration::from_secs(2);

struct World {
    user: User,
    now: Instant,
}

fn pool() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn element(id: u32) -> PoolElement {
    PoolElement {
        id,
        home: 1,
        life: 300,
        user: Transport::Sctp {
            port: 7,
            use_: TransportUse::DataPlusControl,
            addresses: vec![[10, 0, 0, u8::try_from(id).unwrap()].into()].into(),
        },
        policy: Policy::RoundRobin,
        asap: None,
    }
}

fn answer(ids: &[u32]) -> Answer {
    let elements = ids.iter().map(|id| element(*id)).collect();
    Answer { policy: Policy::RoundRobin, elements, error: None }
}

fn unknown() -> Answer {
    let error = Some(vec![Cause::bare(Cause::UNKNOWN_POOL_HANDLE)]);
    Answer { policy: Policy::RoundRobin, elements: Vec::new(), error }
}

fn open(link: u64, id: u32) -> Output {
    Output::Open { link, element: element(id) }
}

fn resolve() -> Output {
    Output::Resolve { handle: pool(), fresh: Duration::ZERO }
}

fn unreachable(id: u32) -> Output {
    Output::Unreachable { handle: pool(), id }
}

fn at(id: u32, restored: bool) -> Output {
    Output::Event(Event::At { id, restored })
}

fn lost(id: u32, why: Loss, cookie: bool) -> Output {
    Output::Event(Event::Lost { id, why, cookie })
}

fn ended(why: End) -> Output {
    Output::Event(Event::Ended(why))
}

fn echo(link: u64, cookie: &[u8]) -> Output {
    Output::Control { link, octets: Control::CookieEcho(cookie.to_vec()).encode() }
}

/// The numbers of the messages that are sent.
fn sent(outputs: &[Output]) -> Vec<u64> {
    let number = |output: &Output| match output {
        Output::Data { message, .. } => Some(message.number),
        _ => None,
    };
    outputs.iter().filter_map(number).collect()
}

fn answers(outputs: &[Output]) -> Vec<u64> {
    let number = |output: &Output| match output {
        Output::Event(Event::Answer { number, .. }) => Some(*number),
        _ => None,
    };
    outputs.iter().filter_map(number).collect()
}

/// A cookie as the library's elements make them, as far as a user can tell.
fn cookie(received: u64, sent: u64) -> Vec<u8> {
    let mut octets = b"RSC1\0\xa0\0\0\0\0\0\x01".to_vec();
    octets.extend_from_slice(&received.to_be_bytes());
    octets.extend_from_slice(&sent.to_be_bytes());
    octets.resize(160, 7);
    octets
}

impl World {
    fn new(exchange: Exchange, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(pool(), exchange);
        // Most tests let no time pass, and wait for other timers.
        config.waits.silent = None;
        change(&mut config);
        let now = Instant::now();
        let mut world = Self { user: User::new(now, config), now };
        let fresh = Waits::default().fresh;
        assert_eq!(world.outputs(), [Output::Resolve { handle: pool(), fresh }]);
        world
    }

    /// At element 1 of 1 to 3, over link 1.
    fn begun(exchange: Exchange, change: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::new(exchange, change);
        assert_eq!(world.give(Input::Pool(answer(&[1, 2, 3]))), [open(1, 1)]);
        assert_eq!(world.give(Input::Up(1)), [at(1, false)]);
        world
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.user.poll_output()).collect()
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        self.user.handle(self.now, input).unwrap();
        self.outputs()
    }

    fn send(&mut self, count: usize) -> Vec<Output> {
        let options = SendOptions::default();
        (0..count)
            .flat_map(|_| self.give(Input::Send { octets: Bytes::from_static(b"x"), options }))
            .collect()
    }

    fn try_send(&mut self, octets: usize, options: SendOptions) -> Result<(), Refused> {
        self.user.handle(self.now, Input::Send { octets: vec![0; octets].into(), options })
    }

    fn data(&mut self, link: u64) -> Vec<Output> {
        self.give(Input::Data { link, ppid: 0, octets: Bytes::from_static(b"y") })
    }

    fn say(&mut self, link: u64, control: Control) -> Vec<Output> {
        self.give(Input::Control { link, octets: control.encode().into() })
    }

    fn cookie(&mut self, link: u64, received: u64, sent: u64) {
        assert_eq!(self.say(link, Control::Cookie(cookie(received, sent))), []);
    }

    fn wait(&mut self) -> (Duration, Vec<Output>) {
        let then = self.user.poll_timeout().expect("a timer runs");
        let span = then - self.now;
        self.now = then;
        self.user.handle_timeout(then);
        (span, self.outputs())
    }
}

#[test]
fn a_lost_element_is_reported_and_the_next_one_is_sent_what_is_not_answered() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    assert_eq!(sent(&world.send(3)), [1, 2, 3]);
    assert_eq!(answers(&world.data(1)), [1]);
    let outputs = world.give(Input::Down(1, Down::Lost));
    assert_eq!(outputs, [unreachable(1), lost(1, Loss::Lost, false), resolve(), open(2, 2)]);
    let outputs = world.give(Input::Up(2));
    assert_eq!(outputs[0], at(2, false));
    assert_eq!(sent(&outputs), [2, 3]);
    assert_eq!([answers(&world.data(2)), answers(&world.data(2))], [[2], [3]]);
}

#[test]
fn what_comes_from_a_link_that_was_left_is_ignored() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(2);
    world.give(Input::Leave { to: None, report: false });
    world.give(Input::Up(2));
    assert_eq!(world.data(1), []);
    assert_eq!(world.give(Input::Down(1, Down::Lost)), []);
    assert_eq!(answers(&world.data(2)), [1]);
}

#[test]
fn the_newest_cookie_is_echoed_before_anything_else_and_unchanged() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(3);
    world.cookie(1, 1, 0);
    world.cookie(1, 2, 0);
    world.give(Input::Down(1, Down::Lost));
    let outputs = world.give(Input::Up(2));
    assert_eq!(outputs[..2], [echo(2, &cookie(2, 0)), at(2, true)]);
    assert_eq!(sent(&outputs), [3], "1 and 2 are in the state");
    let all: Vec<_> = (0..3).flat_map(|_| answers(&world.data(2))).collect();
    assert_eq!(all, [1, 2, 3], "the state owes the first two");
}

#[test]
fn with_a_state_the_next_element_is_sent_all_behind_the_cookie_and_each_answer_is_seen_once() {
    let mut world = World::begun(Exchange::Transactions, |_| ());
    world.send(4);
    world.data(1);
    world.cookie(1, 1, 1);
    world.data(1);
    world.give(Input::Down(1, Down::Lost));
    assert_eq!(sent(&world.give(Input::Up(2))), [2, 3, 4]);
    let all: Vec<_> = (0..3).flat_map(|_| answers(&world.data(2))).collect();
    assert_eq!(all, [3, 4]);
    assert_eq!(world.user.counters().repeated, 1);
}

#[test]
fn a_cookie_that_counts_an_answer_still_under_way_is_used_once_that_has_come() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(2);
    world.cookie(1, 1, 1);
    assert!(!world.user.has_cookie());
    world.data(1);
    assert!(world.user.has_cookie());
}

#[test]
fn a_cookie_that_makes_no_sense_is_not_kept() {
    let mut world = World::begun(Exchange::Requests, |config| config.limits.cookie = 200);
    world.send(1);
    let wrong = Output::Event(Event::Nonsense(Nonsense::WrongCounts));
    assert_eq!(world.say(1, Control::Cookie(cookie(2, 0))), std::slice::from_ref(&wrong));
    assert_eq!(world.say(1, Control::Cookie(cookie(0, 1))), [wrong]);
    let long = Output::Event(Event::Nonsense(Nonsense::LongCookie(201)));
    assert_eq!(world.say(1, Control::Cookie(vec![0; 201])), [long]);
    assert!(!world.user.has_cookie());
    assert_eq!(world.user.counters().nonsense, 3);
}

#[test]
fn a_cookie_of_another_library_covers_what_is_answered() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(2);
    world.data(1);
    world.say(1, Control::Cookie(b"<PP-TD1>".to_vec()));
    world.give(Input::Down(1, Down::Lost));
    let outputs = world.give(Input::Up(2));
    assert_eq!(outputs[0], echo(2, b"<PP-TD1>"));
    assert_eq!(sent(&outputs), [2]);
    assert_eq!(answers(&world.data(2)), [2]);
}

#[test]
fn after_a_refused_cookie_the_session_starts_afresh_and_the_program_is_told() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(2);
    world.data(1);
    world.cookie(1, 1, 1);
    world.give(Input::Down(1, Down::Lost));
    assert_eq!(sent(&world.give(Input::Up(2))), [2]);
    assert_eq!(world.say(2, Control::refusal()), [Output::Event(Event::Afresh)]);
    assert!(!world.user.has_cookie());
    assert_eq!(answers(&world.data(2)), [2]);
    world.cookie(2, 1, 1);
    assert!(world.user.has_cookie(), "the element counts from nothing");
}

#[test]
fn what_a_refused_cookie_covered_is_sent_again_in_order_over_a_new_association() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(3);
    world.cookie(1, 2, 0);
    world.give(Input::Down(1, Down::Lost));
    assert_eq!(sent(&world.give(Input::Up(2))), [3]);
    let outputs = world.say(2, Control::refusal());
    assert_eq!(outputs, [Output::Event(Event::Afresh), Output::Abort(2), open(3, 2)]);
    let outputs = world.give(Input::Up(3));
    assert_eq!(outputs[0], at(2, false));
    assert_eq!(sent(&outputs), [1, 2, 3]);
}

#[test]
fn an_element_that_shuts_down_in_good_order_is_left_without_a_report() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    let outputs = world.give(Input::Down(1, Down::Shutdown));
    assert_eq!(outputs, [lost(1, Loss::Shutdown, false), resolve(), open(2, 2)]);
}

#[test]
fn an_element_that_has_begun_anew_is_given_the_session_again() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    let outputs = world.give(Input::Restarted(1));
    assert_eq!(outputs[..2], [Output::Abort(1), lost(1, Loss::Restarted, false)]);
    assert_eq!(world.user.counters().reports, 0);
}

#[test]
fn a_session_without_a_path_waits_for_a_handover_only_so_long() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.give(Input::Reachable(1, false));
    world.give(Input::Reachable(1, true));
    assert_eq!(world.user.poll_timeout(), None);
    world.give(Input::Reachable(1, false));
    world.give(Input::Reachable(1, false));
    let (span, outputs) = world.wait();
    assert_eq!(span, Waits::default().stranded);
    let expected = [Output::Abort(1), unreachable(1), lost(1, Loss::Stranded, false), resolve(), open(2, 2)];
    assert_eq!(outputs, expected);
}

#[test]
fn an_element_is_not_left_for_its_silence_while_the_host_itself_has_no_address() {
    let mut world = World::begun(Exchange::Requests, |config| config.waits.answer = Some(LONG));
    world.send(1);
    world.give(Input::Reachable(1, false));
    assert_eq!(world.give(Input::Online(false)), []);
    assert_eq!(world.user.poll_timeout(), None);
    // What is found out while it is offline counts from when it is not.
    world.give(Input::Reachable(1, true));
    world.give(Input::Reachable(1, false));
    assert_eq!(world.user.poll_timeout(), None);
    world.now += Duration::from_secs(60);
    assert_eq!(world.give(Input::Online(true)), []);
    let (span, outputs) = world.wait();
    assert_eq!(span, Waits::default().stranded);
    assert!(outputs.contains(&lost(1, Loss::Stranded, false)));
}

#[test]
fn an_element_that_does_not_answer_is_left_and_each_answer_gives_it_time_again() {
    let mut world = World::begun(Exchange::Requests, |config| config.waits.answer = Some(LONG));
    assert_eq!(world.user.poll_timeout(), None, "nothing is asked");
    world.send(2);
    world.now += Duration::from_secs(1);
    world.data(1);
    let (span, outputs) = world.wait();
    assert_eq!(span, LONG);
    assert!(outputs.contains(&lost(1, Loss::Unanswered, false)));
}

#[test]
fn the_program_decides_if_it_wants_to() {
    let begun = || {
        let mut world = World::begun(Exchange::Requests, |config| config.ask = true);
        world.send(1);
        let outputs = world.give(Input::Down(1, Down::Lost));
        assert_eq!(outputs, [unreachable(1), lost(1, Loss::Lost, false), Output::Event(Event::Decide)]);
        assert_eq!(world.user.poll_timeout(), None);
        world
    };
    assert_eq!(begun().give(Input::Decision(Decision::Continue)), [resolve(), open(2, 2)]);
    assert_eq!(begun().give(Input::Decision(Decision::ToElement(3))), [resolve(), open(2, 3)]);
    let outputs = begun().give(Input::Decision(Decision::GiveUp));
    assert!(matches!(&outputs[..], [Output::Event(Event::Returned(message)), end]
        if message.number == 1 && *end == ended(End::GivenUp)));
}

#[test]
fn the_program_may_leave_an_element_for_another_whenever_it_likes() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    let outputs = world.give(Input::Leave { to: Some(3), report: false });
    assert_eq!(outputs, [Output::Abort(1), lost(1, Loss::Left, false), resolve(), open(2, 3)]);
    let mut world = World::begun(Exchange::Requests, |_| ());
    assert_eq!(world.give(Input::Leave { to: None, report: true })[0], unreachable(1));
}

#[test]
fn a_business_card_says_who_is_next() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    let card = |handle, ids: &[u32]| Control::BusinessCard {
        handle,
        elements: ids.iter().map(|id| element(*id)).collect(),
    };
    assert_eq!(world.say(1, card(pool(), &[3, 2])), []);
    let nonsense = [Output::Event(Event::Nonsense(Nonsense::Card))];
    assert_eq!(world.say(1, card(pool(), &[])), nonsense);
    assert_eq!(world.say(1, card("OtherPool".parse().unwrap(), &[2])), nonsense);
    assert!(world.give(Input::Down(1, Down::Lost)).contains(&open(2, 3)));
}

#[test]
fn an_element_of_a_business_card_that_is_not_known_has_the_pool_resolved() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    let card = Control::BusinessCard { handle: pool(), elements: vec![element(4)] };
    assert_eq!(world.say(1, card), [resolve()]);
    assert_eq!(world.give(Input::Pool(answer(&[1, 2, 3, 4]))), []);
    assert!(world.give(Input::Down(1, Down::Lost)).contains(&open(2, 4)));
}

#[test]
fn a_program_that_is_an_element_itself_shows_its_own_card() {
    let own = ("OwnPool".parse().unwrap(), vec![element(9)]);
    let mut world = World::new(Exchange::Requests, |config| config.card = Some(own.clone()));
    world.give(Input::Pool(answer(&[1])));
    let octets = Control::BusinessCard { handle: own.0, elements: own.1 }.encode();
    assert_eq!(world.give(Input::Up(1))[0], Output::Control { link: 1, octets });
}

#[test]
fn what_makes_no_sense_on_the_control_channel_is_ignored() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    let outputs = world.say(1, Control::CookieEcho(vec![1]));
    assert_eq!(outputs, [Output::Event(Event::Nonsense(Nonsense::WrongSide(MessageType::COOKIE_ECHO)))]);
    let outputs = world.give(Input::Control { link: 1, octets: Bytes::from_static(b"\x4f\0\0\x04") });
    assert!(matches!(&outputs[..], [Output::Control { link: 1, .. }, Output::Event(Event::Nonsense(_))]));
    assert_eq!(world.data(1), [Output::Event(Event::Nonsense(Nonsense::Unasked))]);
    assert_eq!(answers(&world.send(1)), []);
}

#[test]
fn an_element_without_a_control_channel_is_neither_believed_nor_given_a_cookie() {
    let mut plain = answer(&[1, 2]);
    for element in &mut plain.elements {
        let Transport::Sctp { use_, .. } = &mut element.user else { unreachable!() };
        *use_ = TransportUse::DataOnly;
    }
    let mut world = World::new(Exchange::Requests, |_| ());
    world.give(Input::Pool(plain));
    world.give(Input::Up(1));
    world.send(1);
    assert_eq!(world.say(1, Control::Cookie(cookie(1, 0))), []);
    assert!(!world.user.has_cookie());
}

#[test]
fn a_full_queue_refuses_with_a_typed_error_and_tells_when_there_is_room() {
    let mut world = World::begun(Exchange::Requests, |config| config.limits.messages = 2);
    world.send(2);
    assert_eq!(world.try_send(1, SendOptions::default()), Err(Refused::Full));
    assert!(world.data(1).contains(&Output::Event(Event::Room)));
    assert_eq!(world.try_send(1, SendOptions::default()), Ok(()));
    assert_eq!(world.user.taken(), 3);
}

#[test]
fn a_stream_has_room_again_when_its_messages_have_left_though_nothing_comes() {
    let mut world = World::begun(Exchange::Stream, |config| config.limits.messages = 2);
    let default = SendOptions::default();
    assert_eq!([world.try_send(1, default), world.try_send(1, default)], [Ok(()), Ok(())]);
    assert_eq!(world.try_send(1, default), Err(Refused::Full));
    let outputs = world.outputs();
    assert_eq!(sent(&outputs), [1, 2]);
    assert!(outputs.contains(&Output::Event(Event::Room)), "{outputs:?}");
    assert_eq!(world.try_send(1, default), Ok(()));
}

#[test]
fn what_cannot_be_sent_is_refused_and_changes_nothing() {
    let mut world = World::begun(Exchange::Requests, |config| config.limits.octets = 100);
    let default = SendOptions::default();
    assert_eq!(world.try_send(1, SendOptions { ppid: 11, ..default }), Err(Refused::ControlPpid));
    assert_eq!(world.try_send(1, SendOptions { unordered: true, ..default }), Err(Refused::Unordered));
    assert_eq!(world.try_send(101, default), Err(Refused::TooLong));
    assert_eq!((world.outputs(), world.user.taken()), (vec![], 0));
}

#[test]
fn what_must_not_fail_over_is_given_back() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(1);
    world.try_send(1, SendOptions { failover: false, ..SendOptions::default() }).unwrap();
    world.send(1);
    let outputs = world.give(Input::Down(1, Down::Lost));
    assert!(matches!(&outputs[2], Output::Event(Event::Returned(message)) if message.number == 2));
    assert_eq!(sent(&world.give(Input::Up(2))), [1, 3]);
    assert_eq!([answers(&world.data(2)), answers(&world.data(2))], [[1], [3]]);
}

#[test]
fn what_the_transport_gives_back_is_sent_again_before_what_waits() {
    let mut world = World::begun(Exchange::Stream, |_| ());
    let outputs = world.send(3);
    let Output::Data { message, .. } = &outputs[2] else { panic!("{outputs:?}") };
    world.give(Input::Undelivered(1, message.clone()));
    // Still at the element that could not be sent it: the association is about to end.
    world.give(Input::Down(1, Down::Lost));
    world.send(1);
    assert_eq!(sent(&world.give(Input::Up(2))), [4], "3 went out again over the first link");
}

#[test]
fn a_stream_goes_on_only_once_all_is_given_back_from_an_aborted_link() {
    let mut world = World::begun(Exchange::Stream, |_| ());
    let outputs = world.send(2);
    let Output::Data { message, .. } = &outputs[1] else { panic!("{outputs:?}") };
    world.give(Input::Leave { to: None, report: false });
    world.send(1);
    assert_eq!(sent(&world.give(Input::Up(2))), []);
    world.give(Input::Undelivered(1, message.clone()));
    assert_eq!(sent(&world.give(Input::Down(1, Down::Lost))), [2, 3]);
}

#[test]
fn a_session_that_is_ended_in_good_order_waits_for_its_answers() {
    let mut world = World::begun(Exchange::Requests, |_| ());
    world.send(1);
    assert_eq!(world.give(Input::End { graceful: true }), []);
    assert_eq!(world.try_send(1, SendOptions::default()), Err(Refused::Over));
    let outputs = world.data(1);
    assert_eq!(answers(&outputs), [1]);
    assert_eq!(outputs[1..], [Output::Shutdown(1), ended(End::Done)]);
    assert_eq!(world.user.poll_timeout(), None);
}

#[test]
fn a_session_that_is_dropped_leaves_nothing_half_open_whatever_it_does() {
    type Before = fn(&mut World);
    let steps: [(Before, Option<u64>); 5] = [
        (|_| (), None),
        (|world| drop(world.give(Input::Pool(answer(&[1, 2])))), Some(1)),
        (|world| drop(world.give(Input::Up(1))), Some(1)),
        (|world| drop(world.give(Input::Down(1, Down::Lost))), Some(2)),
        (|world| drop(world.give(Input::Up(2))), Some(2)),
    ];
    for until in 1..=steps.len() {
        let mut world = World::new(Exchange::Requests, |_| ());
        steps[..until].iter().for_each(|(step, _)| step(&mut world));
        let mut expected: Vec<_> = steps[until - 1].1.map(Output::Abort).into_iter().collect();
        expected.push(ended(End::Done));
        assert_eq!(world.give(Input::End { graceful: false }), expected);
        assert_eq!(world.user.poll_timeout(), None);
        assert_eq!(world.give(Input::Up(1)), []);
        assert_eq!(world.give(Input::Pool(answer(&[1]))), []);
        assert_eq!(world.give(Input::End { graceful: false }), []);
    }
}
