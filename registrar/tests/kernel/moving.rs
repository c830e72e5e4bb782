//! Elements that register from elsewhere, strangers that want to be one, and pool handles of any length.

use super::world::*;
use asap_client::wire::{self, Cause, Message};
use sctp_sys::{Received, readdress, sockopt};
use std::net::IpAddr;
use std::os::fd::AsFd;

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

/// A host with an element.
fn at_home(host: &Host) -> Client {
    let mut element = host.within(|| Client::mobile("10.1.0.2", &host.registrar));
    element.register("p", 1, "10.1.0.2");
    element
}

/// The host loses its address and gets 10.1.0.3, to which the element's association is moved; the registrar knows then.
fn moves(world: &World, host: &Host, element: &Client) {
    let fd = element.socket.as_fd();
    let (assoc, new): (_, IpAddr) = (sockopt::status(fd, 0).unwrap().assoc, [10, 1, 0, 3].into());
    let name = &host.name;
    sh(&format!("ip -n {name} addr del 10.1.0.2/24 dev e0; ip -n {name} addr add 10.1.0.3/24 dev e0"));
    assert!(readdress::follow(fd, assoc, &[new]).unwrap(), "Add-IP is on at both ends");
    world.until(|dump| dump.associations.iter().any(|association| association.addresses.contains(&new)));
}

/// The keep-alive that an element is sent, unanswered.
fn asked(element: &mut Client) {
    let received = element.socket.recv(&mut element.buffer).unwrap();
    assert!(matches!(received, Some(Received::Message(_))), "{received:?}");
    let message = wire::decode(&element.buffer).unwrap().message;
    assert!(matches!(message, Message::EndpointKeepAlive { home: false, id: Some(1), .. }), "{message:?}");
}

#[test]
fn an_element_that_moved_registers_over_its_old_association_at_once() {
    let world = World::new(PATIENT);
    let host = Host::new(1);
    let mut element = at_home(&host);
    let before = world.dump();
    moves(&world, &host, &element);
    element.register("p", 1, "10.1.0.3");
    let after = world.dump();
    assert_eq!(after.pools[0].elements[0].addresses, [IpAddr::from([10, 1, 0, 3])]);
    let association = |dump: &roam_registrar::dump::Dump| {
        (dump.pools[0].elements[0].association, dump.associations.len(), dump.associations[0].port)
    };
    assert_eq!(association(&after), association(&before), "it is the same");
    assert_eq!(after.counters.keep_alives, 0, "nobody was asked");
}

#[test]
fn over_a_new_association_it_is_let_in_at_once_where_the_old_one_has_moved_to() {
    let world = World::new(PATIENT);
    let host = Host::new(1);
    let before = at_home(&host);
    moves(&world, &host, &before);
    let mut after = host.within(|| Client::connect_to("10.1.0.3", &host.registrar));
    after.register("p", 1, "10.1.0.3");
    assert_eq!(world.dump().counters.keep_alives, 0, "nobody was asked");
}

#[test]
fn an_element_whose_host_has_moved_is_let_in_from_its_new_address() {
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\n");
    let mut before = Client::connect("10.0.0.2");
    before.register("p", 1, "10.0.0.2");
    sh("ip addr del 10.0.0.2/24 dev d0");
    let mut after = Client::connect("10.0.0.3");
    after.register("p", 1, "10.0.0.3");
    let mut user = Client::connect("10.0.0.5");
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "10.0.0.3")]);
    let counters = world.dump().counters;
    assert_eq!((counters.keep_alives, counters.registrations_refused), (1, 0), "the old one was asked");
}

#[test]
fn while_an_element_answers_nobody_else_registers_or_deregisters_it() {
    let mut world = World::told(&format!("log = \"warn\"\n{PATIENT}"));
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
    world.until_said("element 0x00000001 of pool p is claimed by two that live");
    world.until_said("element 0x00000001 was not let into pool p: cause 0x4");
    world.until_said("element 0x00000001 of pool p was not deregistered");
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
    let world = World::new("[asap]\nkeep_alive_interval = \"0s\"\n");
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
