#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use super::*;
use crate::wire::TransportUse;

struct World {
    element: PoolElement,
    now: Instant,
}

fn at(last: u8) -> Registration {
    Registration {
        transport: Transport::Sctp {
            port: 7,
            use_: TransportUse::DataOnly,
            addresses: vec![[10, 0, 0, last].into()].into(),
        },
        policy: Policy::RoundRobin,
        life: Some(Duration::from_secs(300)),
    }
}

fn pool() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn accepted() -> Message {
    Message::RegistrationResponse { rejected: false, handle: pool(), id: 9, error: None }
}

fn rejected() -> Message {
    let error = Some(vec![Cause::bare(Cause::INCONSISTENT_POLICY)]);
    Message::RegistrationResponse { rejected: true, handle: pool(), id: 9, error }
}

fn deregistered() -> Message {
    Message::DeregistrationResponse { handle: pool(), id: 9, error: None }
}

fn deregistration() -> Output {
    Output::Send(Message::Deregistration { handle: pool(), id: 9 })
}

const REGISTERED: Output = Output::Event(Event::Registered { warnings: Vec::new() });

impl World {
    fn new() -> Self {
        let element = PoolElement::new(pool(), 9, Timers::default());
        Self { element, now: Instant::now() }
    }

    /// Registered with these addresses.
    fn registered(last: u8) -> Self {
        let mut world = Self::new();
        world.give(Input::Home);
        world.give(Input::Serve(at(last)));
        assert_eq!(world.hear(accepted()), [REGISTERED]);
        world
    }

    fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.element.handle(self.now, input);
        self.outputs()
    }

    fn hear(&mut self, message: Message) -> Vec<Output> {
        self.give(Input::Message(&message))
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.element.poll_output()).collect()
    }

    /// Jumps to the next timeout; says how many seconds that took, and what it brought.
    fn wait(&mut self) -> (u64, Vec<Output>) {
        let then = self.element.poll_timeout().expect("a timer runs");
        let seconds = (then - self.now).as_secs();
        self.now = then;
        self.element.handle_timeout(then);
        (seconds, self.outputs())
    }
}

fn is_registration_of(outputs: &[Output], last: u8) -> bool {
    let [Output::Send(Message::Registration { handle, element })] = outputs else { return false };
    *handle == pool()
        && (element.id, element.home, element.life) == (9, 0, 300)
        && element.user == at(last).transport
        && element.asap.is_none()
}

#[test]
fn it_registers_as_soon_as_there_are_both_a_home_and_something_to_register() {
    let mut world = World::new();
    assert_eq!(world.give(Input::Serve(at(1))), []);
    assert!(is_registration_of(&world.give(Input::Home), 1));
    let mut world = World::new();
    assert_eq!(world.give(Input::Home), []);
    assert!(is_registration_of(&world.give(Input::Serve(at(1))), 1));
}

#[test]
fn new_addresses_are_registered_at_once_and_only_once() {
    let mut world = World::registered(1);
    assert!(is_registration_of(&world.give(Input::Serve(at(2))), 2));
    assert!(!world.element.is_settled());
    assert_eq!(world.hear(accepted()), [REGISTERED]);
    assert!(world.element.is_settled());
    assert_eq!(world.give(Input::Serve(at(2))), []);
}

#[test]
fn while_a_registration_is_in_flight_the_newest_addresses_wait_and_older_ones_are_forgotten() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    assert_eq!(world.give(Input::Serve(at(2))), []);
    assert_eq!(world.give(Input::Serve(at(3))), []);
    let outputs = world.hear(accepted());
    assert_eq!(outputs[0], REGISTERED);
    assert!(is_registration_of(&outputs[1..], 3));
}

#[test]
fn addresses_that_change_back_while_in_flight_need_no_second_registration() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    world.give(Input::Serve(at(2)));
    world.give(Input::Serve(at(1)));
    assert_eq!(world.hear(accepted()), [REGISTERED]);
    assert!(world.element.is_settled());
}

#[test]
fn at_a_new_home_it_registers_at_once_even_with_a_registration_in_flight_to_the_old_one() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    assert!(is_registration_of(&world.give(Input::Home), 1));
}

#[test]
fn it_renews_its_registration_before_its_life_is_over() {
    let mut world = World::registered(1);
    let (seconds, outputs) = world.wait();
    assert_eq!(seconds, 280);
    assert!(is_registration_of(&outputs, 1));
}

#[test]
fn an_unanswered_registration_has_another_home_looked_for_and_is_repeated_there() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    assert_eq!(world.wait(), (30, vec![Output::Hunt]));
    assert_eq!(world.element.poll_timeout(), None, "the hunt has its own timers");
    assert!(is_registration_of(&world.give(Input::Home), 1));
}

#[test]
fn after_max_reg_attempt_it_says_so_and_tries_again_later() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    world.wait();
    world.give(Input::Home);
    assert_eq!(world.wait(), (30, vec![Output::Event(Event::Unanswered)]));
    let (seconds, outputs) = world.wait();
    assert_eq!(seconds, 60);
    assert!(is_registration_of(&outputs, 1));
}

#[test]
fn a_late_response_counts() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    world.wait();
    assert_eq!(world.hear(accepted()), [REGISTERED]);
    assert!(world.element.is_settled());
}

#[test]
fn a_rejected_registration_is_not_repeated_unchanged() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    let causes = vec![Cause::bare(Cause::INCONSISTENT_POLICY)];
    assert_eq!(world.hear(rejected()), [Output::Event(Event::Rejected { causes })]);
    assert_eq!(world.element.poll_timeout(), None);
    assert_eq!(world.give(Input::Serve(at(1))), []);
    assert!(world.element.is_settled());
    let changed = Registration { policy: Policy::Random, ..at(1) };
    assert_eq!(world.give(Input::Serve(changed)).len(), 1);
}

#[test]
fn one_that_is_said_to_live_elsewhere_is_tried_again_and_again_with_growing_pauses() {
    let mut world = World::registered(1);
    world.give(Input::Serve(at(2)));
    let error = Some(vec![Cause::bare(Cause::NON_UNIQUE_PE_IDENTIFIER)]);
    let refusal = Message::RegistrationResponse { rejected: true, handle: pool(), id: 9, error };
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let told = world.hear(refusal.clone());
        assert!(matches!(told[..], [Output::Event(Event::Rejected { .. })]), "{told:?}");
        let (paused, outputs) = world.wait();
        assert!(is_registration_of(&outputs, 2));
        pauses.push(paused);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(matches!(world.hear(accepted())[..], [Output::Event(Event::Registered { .. })]));
}

#[test]
fn a_rejection_of_what_is_outdated_does_not_hold_back_the_newer() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    world.give(Input::Serve(at(2)));
    let outputs = world.hear(rejected());
    assert!(is_registration_of(&outputs[1..], 2));
}

#[test]
fn a_response_for_another_handle_or_element_is_ignored() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    let handle = "OtherPool".parse().unwrap();
    let other = Message::RegistrationResponse { rejected: false, handle, id: 9, error: None };
    assert_eq!(world.hear(other), []);
    let other = Message::RegistrationResponse { rejected: false, handle: pool(), id: 8, error: None };
    assert_eq!(world.hear(other), []);
    assert!(!world.element.is_settled());
}

#[test]
fn a_response_that_nothing_was_sent_for_is_ignored() {
    let mut world = World::new();
    world.give(Input::Home);
    assert_eq!(world.hear(accepted()), []);
}

#[test]
fn a_keep_alive_for_its_pool_is_answered_and_for_others_is_not() {
    let mut world = World::registered(1);
    let ack = Output::Answer(Message::EndpointKeepAliveAck { handle: pool(), id: 9 });
    let ask = |id, handle| Message::EndpointKeepAlive { home: false, server: 5, handle, id };
    assert_eq!(world.hear(ask(None, pool())), std::slice::from_ref(&ack));
    assert_eq!(world.hear(ask(Some(9), pool())), [ack]);
    assert_eq!(world.hear(ask(Some(8), pool())), []);
    assert_eq!(world.hear(ask(None, "OtherPool".parse().unwrap())), []);
    world.give(Input::Withdraw);
    assert_eq!(world.hear(ask(None, pool())), []);
}

#[test]
fn when_its_life_has_run_out_it_registers_again() {
    let mut world = World::registered(1);
    let outputs = world.hear(deregistered());
    assert_eq!(outputs[0], Output::Event(Event::Expired));
    assert!(is_registration_of(&outputs[1..], 1));
}

#[test]
fn it_deregisters_and_says_when_that_is_done() {
    let mut world = World::registered(1);
    assert_eq!(world.give(Input::Withdraw), [deregistration()]);
    assert!(!world.element.is_gone());
    assert_eq!(world.hear(deregistered()), [Output::Event(Event::Withdrawn)]);
    assert!(world.element.is_gone());
    assert_eq!(world.element.poll_timeout(), None);
}

#[test]
fn what_was_never_registered_is_withdrawn_at_once() {
    let mut world = World::new();
    world.give(Input::Serve(at(1)));
    assert_eq!(world.give(Input::Withdraw), [Output::Event(Event::Withdrawn)]);
}

#[test]
fn without_a_home_it_deregisters_as_soon_as_there_is_one() {
    let mut world = World::registered(1);
    world.give(Input::HomeLost);
    assert_eq!(world.give(Input::Withdraw), []);
    assert_eq!(world.give(Input::Home), [deregistration()]);
}

#[test]
fn a_registration_whose_answer_was_lost_with_the_home_is_deregistered_too() {
    let mut world = World::new();
    world.give(Input::Home);
    world.give(Input::Serve(at(1)));
    world.give(Input::HomeLost);
    world.give(Input::Withdraw);
    assert_eq!(world.give(Input::Home), [deregistration()]);
}

#[test]
fn an_unanswered_deregistration_is_repeated_at_another_home_and_then_left_to_the_life() {
    let mut world = World::registered(1);
    world.give(Input::Withdraw);
    assert_eq!(world.wait(), (30, vec![Output::Hunt]));
    assert_eq!(world.give(Input::Home), [deregistration()]);
    assert_eq!(world.wait(), (30, vec![Output::Event(Event::Withdrawn)]));
}

#[test]
fn one_that_comes_back_while_it_is_being_deregistered_is_registered_again_and_stays() {
    let mut world = World::registered(1);
    world.give(Input::Withdraw);
    assert!(is_registration_of(&world.give(Input::Serve(at(1))), 1));
    assert_eq!(world.hear(deregistered()), [], "the answer to the deregistration comes first");
    assert_eq!(world.hear(accepted()), [REGISTERED]);
    assert!(world.element.is_settled());
}

#[test]
fn losing_the_home_stops_all_timers() {
    let mut world = World::registered(1);
    world.give(Input::HomeLost);
    assert_eq!(world.element.poll_timeout(), None);
    assert!(is_registration_of(&world.give(Input::Home), 1));
}
