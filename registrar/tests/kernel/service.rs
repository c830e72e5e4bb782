//! Elements and users, as they should be.

use super::world::*;
use asap_client::wire::{Cause, Message};
use sctp_sys::sockopt;
use std::os::fd::AsFd;
use std::time::Instant;

const QUIET: &str = "[asap]\nkeep_alive_interval = \"0s\"\n";

#[test]
fn an_element_is_found_and_its_move_is_pushed_while_its_old_association_is_still_there() {
    let world = World::new(QUIET);
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    let mut user = Client::connect("10.0.0.5");
    let answer = user.ask(&resolution("p", true));
    assert!(matches!(answer, Message::HandleResolutionResponse { subscribed: true, .. }));
    assert_eq!(places(&answer), [place(1, "10.0.0.2")]);

    let mut moved = Client::connect("10.0.0.3");
    let start = Instant::now();
    moved.register("p", 1, "10.0.0.3");
    assert_eq!(places(&user.hear()), [place(1, "10.0.0.3")]);
    eprintln!("from registration to push: {:?}", start.elapsed());

    drop(element);
    world.until(|dump| dump.associations.len() == 2);
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "10.0.0.3")]);
}

#[test]
fn elements_over_ipv6_are_served_by_the_same_registrar() {
    let _world = World::new(QUIET);
    let mut element = Client::connect_to("fd00::2", "[fd00::1]:3863");
    element.register("p", 1, "fd00::2");
    let mut user = Client::connect("10.0.0.5");
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "fd00::2")]);
}

#[test]
fn the_abort_and_the_shutdown_of_the_owner_remove_its_elements_at_once() {
    let _world = World::new(QUIET);
    for abort in [true, false] {
        let mut user = Client::connect("10.0.0.5");
        let mut element = Client::connect("10.0.0.2");
        element.register("p", 1, "10.0.0.2");
        let mut other = Client::connect("10.0.0.3");
        other.register("p", 2, "10.0.0.3");
        user.ask(&resolution("p", true));
        let start = Instant::now();
        if abort {
            sockopt::set_linger(element.socket.as_fd(), Some(0)).unwrap();
        }
        drop(element);
        assert_eq!(places(&user.hear()), [place(2, "10.0.0.3")]);
        eprintln!("from the end of the association to push: {:?}", start.elapsed());
        drop(other);
        let gone = user.hear();
        let Message::HandleResolutionResponse { error: Some(causes), .. } = gone else { panic!("{gone:?}") };
        assert_eq!(causes[0].code, Cause::UNKNOWN_POOL_HANDLE);
    }
}

#[test]
fn an_owner_that_vanishes_without_a_word_is_removed_when_the_association_is_lost() {
    let config = "[asap]\nkeep_alive_interval = \"0s\"\n\
                  [sctp]\nrto_initial = \"50ms\"\nrto_min = \"50ms\"\nrto_max = \"100ms\"\n\
                  heartbeat_interval = \"100ms\"\npath_max_retransmissions = 2\nassociation_max_retransmissions = 3\n";
    let _world = World::new(config);
    let mut element = Client::connect("10.0.0.2");
    element.register("p", 1, "10.0.0.2");
    let mut user = Client::connect("10.0.0.5");
    user.ask(&resolution("p", true));
    sh("ip addr del 10.0.0.2/24 dev d0");
    assert!(places(&user.hear()).is_empty());
}

#[test]
fn an_element_that_stops_answering_keep_alives_is_removed() {
    let _world = World::new("[asap]\nkeep_alive_interval = \"200ms\"\nkeep_alive_timeout = \"500ms\"\n");
    let mut silent = Client::connect("10.0.0.2");
    silent.register("p", 1, "10.0.0.2");
    let mut user = Client::connect("10.0.0.5");
    user.ask(&resolution("p", true));
    assert!(places(&user.hear()).is_empty());
    // hear() answers keep-alives; what is left is word that the element is out.
    assert!(matches!(silent.hear(), Message::DeregistrationResponse { id: 1, .. }));
}

#[test]
fn a_registration_that_runs_out_is_removed() {
    let _world = World::new(QUIET);
    let mut element = Client::connect("10.0.0.2");
    let Message::Registration { handle, element: asked } = registration("p", 1, "10.0.0.2") else { panic!() };
    let asked = asap_client::wire::PoolElement { life: 1, ..asked };
    assert_eq!(element.ask(&Message::Registration { handle, element: asked }), accepted("p", 1));
    let mut user = Client::connect("10.0.0.5");
    user.ask(&resolution("p", true));
    assert!(places(&user.hear()).is_empty());
    assert!(matches!(element.hear(), Message::DeregistrationResponse { id: 1, .. }));
}

#[test]
fn an_association_that_moved_by_asconf_registers_its_new_address() {
    let world = World::new(QUIET);
    let mut element = Client::mobile("10.0.0.2", REGISTRAR);
    element.register("p", 1, "10.0.0.2");
    assert!(matches!(
        element.ask(&registration("p", 1, "10.0.0.3")),
        Message::RegistrationResponse { rejected: true, .. }
    ));
    element.socket.bindx_add(&["10.0.0.3:0".parse().unwrap()]).unwrap();
    let new = "10.0.0.3".parse().unwrap();
    world.until(|dump| dump.associations[0].addresses.contains(&new));
    element.register("p", 1, "10.0.0.3");
    let mut user = Client::connect("10.0.0.5");
    assert_eq!(places(&user.ask(&resolution("p", false))), [place(1, "10.0.0.3")]);
}
