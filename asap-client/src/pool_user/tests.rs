#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use super::*;
use crate::wire::{Transport, TransportUse};

struct World {
    user: PoolUser,
    now: Instant,
}

fn pool() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn element(id: u32, last: u8) -> PoolElement {
    let addresses = vec![[10, 0, 0, last].into()];
    PoolElement {
        id,
        home: 1,
        life: 300,
        user: Transport::Sctp { port: 7, use_: TransportUse::DataOnly, addresses: addresses.into() },
        policy: Policy::RoundRobin,
        asap: None,
    }
}

fn response(subscribed: bool, elements: &[PoolElement]) -> Message {
    Message::HandleResolutionResponse {
        subscribed,
        handle: pool(),
        policy: Some(Policy::RoundRobin),
        elements: elements.to_vec(),
        error: None,
    }
}

fn unknown() -> Message {
    Message::HandleResolutionResponse {
        subscribed: false,
        handle: pool(),
        policy: None,
        elements: vec![],
        error: Some(vec![Cause::bare(Cause::UNKNOWN_POOL_HANDLE)]),
    }
}

fn ask(subscribe: bool) -> Output {
    Output::Send(Message::HandleResolution { subscribe, handle: pool(), items: Some(u32::MAX) })
}

fn told(elements: &[PoolElement]) -> Output {
    let answer = Answer { policy: Policy::RoundRobin, elements: elements.to_vec(), error: None };
    Output::Event(Event::Pool { handle: pool(), answer })
}

impl World {
    fn new() -> Self {
        Self { user: PoolUser::new(Timers::default()), now: Instant::now() }
    }

    fn at_home() -> Self {
        let mut world = Self::new();
        world.give(Input::Home);
        world
    }

    fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.user.handle(self.now, input);
        self.outputs()
    }

    fn hear(&mut self, message: &Message) -> Vec<Output> {
        self.give(Input::Message(message))
    }

    fn subscribe(&mut self) -> Vec<Output> {
        self.give(Input::Subscribe(pool()))
    }

    fn urge(&mut self, on: bool) -> Vec<Output> {
        self.give(Input::Urge { handle: pool(), on })
    }

    fn resolve(&mut self, fresh: u64) -> Vec<Output> {
        self.give(Input::Resolve { handle: pool(), fresh: Duration::from_secs(fresh) })
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.user.poll_output()).collect()
    }

    fn wait(&mut self) -> (u64, Vec<Output>) {
        let then = self.user.poll_timeout().expect("a timer runs");
        let seconds = (then - self.now).as_secs();
        self.now = then;
        self.user.handle_timeout(then);
        (seconds, self.outputs())
    }
}

#[test]
fn it_asks_with_the_s_bit_as_soon_as_there_is_a_home() {
    let mut world = World::new();
    assert_eq!(world.subscribe(), []);
    assert_eq!(world.give(Input::Home), [ask(true)]);
    assert_eq!(world.subscribe(), [], "once is enough");
}

#[test]
fn a_granted_subscription_tells_of_changes_without_asking_again() {
    let mut world = World::at_home();
    world.subscribe();
    assert_eq!(world.hear(&response(true, &[element(1, 1)])), [told(&[element(1, 1)])]);
    assert!(world.user.is_subscribed(&pool()));
    assert_eq!(world.user.poll_timeout(), None);
    assert_eq!(world.hear(&response(true, &[element(1, 2)])), [told(&[element(1, 2)])]);
}

#[test]
fn the_same_elements_in_another_order_are_no_news() {
    let mut world = World::at_home();
    world.subscribe();
    world.hear(&response(true, &[element(1, 1), element(2, 2)]));
    assert_eq!(world.hear(&response(true, &[element(2, 2), element(1, 1)])), []);
}

#[test]
fn after_a_change_of_home_it_subscribes_anew() {
    let mut world = World::at_home();
    world.subscribe();
    world.hear(&response(true, &[element(1, 1)]));
    world.give(Input::HomeLost);
    assert!(!world.user.is_subscribed(&pool()));
    assert_eq!(world.give(Input::Home), [ask(true)]);
    assert_eq!(world.hear(&response(true, &[element(1, 1)])), [], "no news");
    assert!(world.user.is_subscribed(&pool()));
}

#[test]
fn where_subscriptions_are_not_granted_it_asks_again_only_while_urged_with_growing_pauses() {
    let mut world = World::at_home();
    world.subscribe();
    let same = response(false, &[element(1, 1)]);
    world.hear(&same);
    assert_eq!(world.user.poll_timeout(), None);
    assert_eq!(world.urge(true), [ask(true)]);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        world.hear(&same);
        let (seconds, outputs) = world.wait();
        assert_eq!(outputs, [ask(true)]);
        pauses.push(seconds);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(world.hear(&response(false, &[element(1, 2)])), [told(&[element(1, 2)])]);
    world.urge(false);
    world.wait();
    world.hear(&same);
    assert_eq!(world.user.poll_timeout(), None);
}

#[test]
fn where_a_subscription_is_granted_urging_sends_nothing() {
    let mut world = World::at_home();
    world.subscribe();
    world.hear(&response(true, &[element(1, 1)]));
    assert_eq!(world.urge(true), []);
    assert_eq!(world.user.poll_timeout(), None);
}

#[test]
fn an_unknown_pool_is_asked_for_again_until_it_appears() {
    let mut world = World::at_home();
    world.subscribe();
    assert_eq!(world.hear(&unknown()).len(), 1, "the user hears that there is none");
    assert_eq!(world.wait(), (1, vec![ask(true)]));
    assert_eq!(world.hear(&unknown()), [], "no news");
    assert_eq!(world.wait(), (2, vec![ask(true)]));
    assert_eq!(world.hear(&response(true, &[element(1, 1)])), [told(&[element(1, 1)])]);
    assert_eq!(world.user.poll_timeout(), None);
}

#[test]
fn a_registrar_that_keeps_the_subscription_to_a_vanished_pool_is_not_asked() {
    let mut world = World::at_home();
    world.subscribe();
    world.hear(&response(true, &[element(1, 1)]));
    let Message::HandleResolutionResponse { handle, policy, elements, error, .. } = unknown() else {
        unreachable!()
    };
    let gone = Message::HandleResolutionResponse { subscribed: true, handle, policy, elements, error };
    assert_eq!(world.hear(&gone).len(), 1);
    assert_eq!(world.user.poll_timeout(), None);
}

#[test]
fn an_unanswered_request_is_repeated_twice_while_another_home_is_looked_for() {
    let mut world = World::at_home();
    world.resolve(0);
    assert_eq!(world.wait(), (15, vec![Output::Hunt, ask(false)]));
    assert_eq!(world.wait(), (15, vec![Output::Hunt, ask(false)]));
    let failed = Output::Event(Event::Unanswered { handle: pool() });
    assert_eq!(world.wait(), (15, vec![failed]));
    assert_eq!(world.user.poll_timeout(), None);
}

#[test]
fn an_unanswered_subscription_is_tried_again_after_retran_max() {
    let mut world = World::at_home();
    world.subscribe();
    world.wait();
    world.wait();
    world.wait();
    assert_eq!(world.wait(), (60, vec![ask(true)]));
}

#[test]
fn a_response_for_another_handle_is_ignored() {
    let mut world = World::at_home();
    world.resolve(0);
    let mut other = response(false, &[element(1, 1)]);
    if let Message::HandleResolutionResponse { handle, .. } = &mut other {
        *handle = "OtherPool".parse().unwrap();
    }
    assert_eq!(world.hear(&other), []);
    assert!(!world.user.is_settled());
}

#[test]
fn a_fresh_answer_is_taken_from_the_cache_and_a_stale_one_is_asked_for() {
    let mut world = World::at_home();
    assert_eq!(world.resolve(60), [ask(false)]);
    assert_eq!(world.hear(&response(false, &[element(1, 1)])), [told(&[element(1, 1)])]);
    world.now += Duration::from_secs(60);
    assert_eq!(world.resolve(60), [told(&[element(1, 1)])]);
    world.now += Duration::from_secs(1);
    assert_eq!(world.resolve(60), [ask(false)]);
    assert_eq!(
        world.hear(&response(false, &[element(1, 1)])),
        [told(&[element(1, 1)])],
        "as it was asked for"
    );
}

#[test]
fn several_pools_may_be_asked_for_at_once() {
    let mut world = World::at_home();
    let other: PoolHandle = "OtherPool".parse().unwrap();
    world.resolve(0);
    world.give(Input::Resolve { handle: other.clone(), fresh: Duration::ZERO });
    assert_eq!(world.hear(&response(false, &[element(1, 1)])).len(), 1);
    assert!(!world.user.is_settled());
    assert!(world.user.cached(&other).is_none());
}

#[test]
fn after_unsubscribing_pushed_responses_are_ignored() {
    let mut world = World::at_home();
    world.subscribe();
    world.hear(&response(true, &[element(1, 1)]));
    world.give(Input::Unsubscribe(pool()));
    assert_eq!(world.hear(&response(true, &[element(1, 2)])), []);
    assert_eq!(world.give(Input::Home), []);
}

#[test]
fn an_absent_policy_means_round_robin() {
    let mut world = World::at_home();
    world.resolve(0);
    let mut message = response(false, &[element(1, 1)]);
    if let Message::HandleResolutionResponse { policy, .. } = &mut message {
        *policy = None;
    }
    assert_eq!(world.hear(&message), [told(&[element(1, 1)])]);
}
