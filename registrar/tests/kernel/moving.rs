//! Elements that register from elsewhere, strangers that want to be one, and pool handles of any length.

use super::world::*;
use asap_client::wire::{self, Cause, Message};
use sctp_sys::Received;

/// So long that no test waits for its end.
const PATIENT: &str = "[asap]\nkeep_alive_interval = \"0s\"\nmove_timeout = \"50s\"\n";

fn cause(message: &Message) -> Option<u16> {
    let (Message::RegistrationResponse { error, .. } | Message::DeregistrationResponse { error, .. }) =
        message
    else {
        panic!("{message:?}")
    };
    error.as_ref().map(|causes| causes[0].code)
}

/// The keep-alive that an element is sent, unanswered.
fn asked(element: &mut Client) {
    let received = element.socket.recv(&mut element.buffer).unwrap();
    assert!(matches!(received, Some(Received::Message(_))), "{received:?}");
    let message = wire::decode(&element.buffer).unwrap().message;
    assert!(matches!(message, Message::EndpointKeepAlive { home: false, id: Some(1), .. }), "{message:?}");
}

#[test]
fn an_element_whose_host_has_moved_is_let_in_from_its_new_address() {
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\nmove_timeout = \"300ms\"\n");
    let mut before = Client::connect("10.0.0.2");
    before.register("p", 1, "10.0.0.2");
    sh("ip addr del 10.0.0.2/24 dev d0");
    let mut after = Client::connect("10.0.0.3");
    after.register("p", 1, "10.0.0.3");
    let mut user = Client::connect("10.0.0.5");
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "10.0.0.3")]);
    assert_eq!(world.dump().counters.registrations_refused, 0);
}

#[test]
fn while_an_element_answers_nobody_else_registers_or_deregisters_it() {
    let world = World::new(PATIENT);
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    let mut stranger = Client::connect("10.0.0.3");
    stranger.say(&registration("p", 1, "10.0.0.3"));
    asked(&mut element);
    element.say(&Message::EndpointKeepAliveAck { handle: handle("p"), id: 1 });
    assert_eq!(cause(&stranger.hear()), Some(Cause::NON_UNIQUE_PE_IDENTIFIER));
    let answer = stranger.ask(&Message::Deregistration { handle: handle("p"), id: 1 });
    assert_eq!(cause(&answer), Some(Cause::SECURITY));
    let counters = world.dump().counters;
    assert_eq!((counters.contested, counters.deregistrations_refused), (1, 1));
    let mut user = Client::connect("10.0.0.5");
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "10.0.0.2")]);
}

#[test]
fn when_the_old_association_ends_the_newcomer_is_let_in_at_once() {
    let world = World::new(PATIENT);
    let mut before = Client::connect("10.0.0.2");
    before.register("p", 1, "10.0.0.2");
    let mut user = Client::connect("10.0.0.5");
    user.ask(&resolution("p", true));
    let mut after = Client::connect("10.0.0.3");
    after.say(&registration("p", 1, "10.0.0.3"));
    asked(&mut before);
    drop(before);
    assert_eq!(after.hear(), accepted("p", 1));
    assert_eq!(places(&user.hear()), [place(1, "10.0.0.3")], "it never was gone");
    assert_eq!(world.dump().counters.owners_lost, 0);
}

#[test]
fn a_pool_handle_of_33_octets_or_of_60000_is_served() {
    let world = World::new("");
    let mut element = Client::connect("10.0.0.2");
    let mut user = Client::connect("10.0.0.5");
    for length in [33, 60_000] {
        let pool = "h".repeat(length);
        element.register(&pool, 1, "10.0.0.2");
        assert_eq!(places(&user.ask(&resolution(&pool, true))), [place(1, "10.0.0.2")]);
        element.register(&pool, 2, "10.0.0.2");
        assert_eq!(places(&user.hear()).len(), 2);
        let dump = world.dump();
        assert!(dump.pools.iter().any(|known| known.handle == pool && known.elements.len() == 2));
        element.ask(&Message::Deregistration { handle: handle(&pool), id: 1 });
        assert_eq!(places(&user.hear()), [place(2, "10.0.0.2")]);
    }
}
