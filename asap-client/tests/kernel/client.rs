//! The client and a registrar under control.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use asap_client::client::Event;
use asap_client::wire::{Message, PoolElement, Transport, TransportUse};

use crate::registrar::Registrar;
use crate::world::*;

#[test]
fn a_registration_travels_with_the_setting_up_of_its_association() {
    let world = World::new(100);
    let registrar = Registrar::start(&world, FIRST);
    let here = world.arrive(1);
    // The neighbours are to know each other, since ARP would cost a round trip: wait for a "port unreachable".
    let probe = UdpSocket::bind((here, 0)).unwrap();
    probe.connect("10.9.0.1:9").unwrap();
    probe.send(b"?").unwrap();
    assert_eq!(probe.recv(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    run(async {
        let (client, mut events) = client(&[FIRST]);
        registrar.put(pool("PeerPool"), peer(1));
        client.register(element(9));
        client.subscribe(pool("PeerPool"));
        let start = Instant::now();
        client.set_local_addresses(vec![here]);
        let (mut is_registered, mut is_located) = (false, false);
        while !(is_registered && is_located) {
            match events.next().await.unwrap() {
                Event::Registered { .. } => is_registered = true,
                Event::Pool { .. } => is_located = true,
                _ => {}
            }
        }
        // INIT and its answer, then the message beside COOKIE-ECHO, and the response: two round trips. Waiting for
        // COOKIE-ACK would cost a third.
        let took = start.elapsed();
        assert!((Duration::from_millis(400)..Duration::from_millis(595)).contains(&took), "{took:?}");
    });
    let (from, element) = registrar.hear_registration();
    assert_eq!((from.ip(), element.user.addresses()), (here, &[here][..]));
    assert_eq!((element.id, element.user.port(), element.life), (9, Some(7), 60));
}

#[test]
fn a_host_that_moves_is_registered_at_its_new_address_and_hears_of_its_peers_there() {
    let world = World::new(10);
    let registrar = Registrar::start(&world, FIRST);
    let here = world.arrive(1);
    run(async {
        let (client, mut events) = client_at(&[FIRST], here).await;
        registrar.put(pool("PeerPool"), peer(1));
        client.subscribe(pool("PeerPool"));
        assert_eq!(located(&mut events).await, [other(1)]);
        registrar.put(pool("PeerPool"), peer(2));
        assert_eq!(located(&mut events).await, [other(2)], "pushed");

        world.leave(1);
        client.set_local_addresses(vec![]);
        registrar.put(pool("PeerPool"), peer(3));
        let there = world.arrive(2);
        client.set_local_addresses(vec![there]);
        let (at, peers_at) = registered_and_located(&mut events).await;
        assert_eq!(at, [there]);
        assert_eq!(peers_at, [other(3)], "asked for with the registration");
        registrar.put(pool("PeerPool"), peer(4));
        assert_eq!(located(&mut events).await, [other(4)], "pushed over the new association");
        let elements = client.resolve(pool("EchoPool"), Duration::ZERO).await.unwrap().elements;
        assert_eq!(elements.len(), 1, "the element is one and the same");
        assert_eq!(elements[0].user.addresses(), [there]);
    });
}

#[test]
fn a_second_address_is_added_and_the_old_association_ends_without_taking_the_element_along() {
    let world = World::new(10);
    let registrar = Registrar::start(&world, FIRST);
    let one = world.arrive(1);
    run(async {
        let (client, mut events) = client_at(&[FIRST], one).await;
        let (old, _) = registrar.hear_registration();
        let two = world.arrive(2);
        client.set_local_addresses(vec![two, one]);
        assert_eq!(registered(&mut events).await, [two, one]);
        let (new, _) = registrar.hear_registration();
        assert_ne!(old, new, "another association");
        // The registrar of this test drops the elements of an association that ends.
        registrar.wait_for_end_of(old);
        let elements = client.resolve(pool("EchoPool"), Duration::ZERO).await.unwrap().elements;
        assert_eq!(elements.iter().map(|element| element.id).collect::<Vec<_>>(), [9]);
    });
}

#[test]
fn a_registrar_that_dies_and_comes_back_is_found_again() {
    let world = World::new(0);
    let registrar = Registrar::start(&world, FIRST);
    let here = world.arrive(1);
    run(async {
        let (_client, mut events) = client_at(&[FIRST], here).await;
        registrar.kill();
        until(&mut events, |event| matches!(event, Event::HomeLost).then_some(())).await;
        let _registrar = Registrar::start(&world, FIRST);
        assert_eq!(registered(&mut events).await, [here]);
    });
}

#[test]
fn when_the_home_dies_the_next_of_the_list_is_registered_at() {
    let world = World::new(0);
    let first = Registrar::start(&world, FIRST);
    let second = Registrar::start(&world, SECOND);
    let here = world.arrive(1);
    run(async {
        let (_client, mut events) = client_at(&[FIRST, SECOND], here).await;
        first.kill();
        assert_eq!(registered(&mut events).await, [here]);
        assert_eq!(second.hear_registration().1.id, 9);
    });
}

#[test]
fn a_listed_registrar_that_takes_over_by_an_association_of_its_own_becomes_home() {
    let world = World::new(0);
    let first = Registrar::start(&world, FIRST);
    let second = Registrar::start(&world, SECOND);
    let here = world.arrive(1);
    run(async {
        let (_client, mut events) = client_at(&[FIRST, SECOND], here).await;
        let (asap, _) = first.hear_registration();
        let keep_alive =
            Message::EndpointKeepAlive { home: true, server: 2, handle: pool("EchoPool"), id: None };
        second.call(asap, keep_alive);
        let home = until(&mut events, |event| match event {
            Event::Home { registrar } => Some(registrar.clone()),
            _ => None,
        });
        assert_eq!(home.await, [SECOND.parse().unwrap()]);
        let ack = Message::EndpointKeepAliveAck { handle: pool("EchoPool"), id: 9 };
        second.hear(|message| *message == ack);
        assert_eq!(second.hear_registration().1.id, 9);
    });
}

#[test]
fn it_works_the_same_with_ipv6_and_from_one_family_to_the_other() {
    let world = World::new(0);
    let six = "[fd09::1]:3863";
    let registrar = Registrar::start(&world, six);
    let _four = Registrar::start(&world, FIRST);
    let (one, two) = (world.arrive6(1), world.arrive6(2));
    run(async {
        let (client, mut events) = client(&[six, FIRST]);
        client.register(element(9));
        client.set_local_addresses(vec![one]);
        assert_eq!(registered(&mut events).await, [one]);
        assert_eq!(registrar.hear_registration().0.ip(), one);
        client.set_local_addresses(vec![two]);
        assert_eq!(registered(&mut events).await, [two]);
        let four = world.arrive(1);
        client.set_local_addresses(vec![two, four]);
        assert_eq!(registered(&mut events).await, [two, four]);
        client.set_local_addresses(vec![four]);
        assert_eq!(registered(&mut events).await, [four]);
    });
}

#[test]
fn a_registrar_out_of_reach_is_registered_at_soon_after_it_is_in_reach() {
    let world = World::new(0);
    let registrar = Registrar::start(&world, FIRST);
    let here = world.arrive(1);
    crate::world::ip(&world.registrars, "link set r1 down\n");
    run(async {
        let (client, mut events) = client(&[FIRST]);
        client.register(element(9));
        client.set_local_addresses(vec![here]);
        // Nothing is heard for longer than T5, which begins the hunt anew.
        let waited = tokio::time::timeout(Duration::from_secs(5), registered(&mut events)).await;
        assert!(waited.is_err());
        crate::world::ip(&world.registrars, "link set r1 up\n");
        let start = Instant::now();
        assert_eq!(registered(&mut events).await, [here]);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    });
    drop(registrar);
}

#[test]
fn closing_takes_the_elements_out_of_their_pools() {
    let world = World::new(0);
    let registrar = Registrar::start(&world, FIRST);
    let here = world.arrive(1);
    run(async {
        let (client, mut events) = client(&[FIRST]);
        client.register(element(9));
        client.register(element(10));
        client.set_local_addresses(vec![here]);
        registered(&mut events).await;
        registered(&mut events).await;
        client.close(PATIENCE).await;
        while events.next().await.is_some() {}
    });
    for id in [9, 10] {
        registrar.hear(|message| *message == Message::Deregistration { handle: pool("EchoPool"), id });
    }
}

fn other(last: u8) -> std::net::IpAddr {
    [10, 8, 0, last].into()
}

fn peer(last: u8) -> PoolElement {
    let addresses = vec![other(last)];
    let user = Transport::Sctp { port: 7, use_: TransportUse::DataOnly, addresses: addresses.into() };
    PoolElement { id: 4711, home: 1, life: 300, user, policy: element(1).policy, asap: None }
}
