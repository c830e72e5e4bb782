//! The elements' association to the registrar moves along with its host.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use asap_client::driver::Events;

use crate::registrar::Registrar;
use crate::world::*;

/// A registrar whose associations can be moved.
fn mobile(world: &World, address: &str) -> Registrar {
    let on = ["sysctl", "-qw", "net.sctp.addip_enable=1", "net.sctp.auth_enable=1"];
    let done = Command::new("ip").args(["netns", "exec", &world.registrars]).args(on).status().unwrap();
    assert!(done.success());
    Registrar::start(world, address)
}

/// Waits until the element is registered at these addresses over a new association, and then over the old one, and the
/// new one has ended.
async fn moves(events: &mut Events, registrar: &Registrar, old: SocketAddr, to: &[IpAddr]) {
    assert_eq!(registered(events).await, to);
    let (bridge, element) = registrar.hear_registration();
    assert_eq!(element.user.addresses(), to);
    assert_ne!(bridge.port(), old.port(), "the first word is over a new association");
    assert_eq!(registered(events).await, to);
    let (again, element) = registrar.hear_registration();
    assert_eq!(element.user.addresses(), to);
    assert_eq!(again.port(), old.port(), "the association is the same");
    assert!(to.contains(&again.ip()), "{again}");
    registrar.wait_for_end_of(bridge);
}

#[test]
fn a_host_that_loses_its_address_keeps_its_association_to_the_registrar() {
    let world = World::new(10);
    let registrar = mobile(&world, FIRST);
    let one = world.arrive(1);
    run(async {
        let (client, mut events) = client_at(&[FIRST], one).await;
        let (old, _) = registrar.hear_registration();
        world.leave(1);
        client.set_local_addresses(vec![]);
        let two = world.arrive(2);
        client.set_local_addresses(vec![two]);
        moves(&mut events, &registrar, old, &[two]).await;
        world.leave(2);
        let one = world.arrive(1);
        client.set_local_addresses(vec![one]);
        moves(&mut events, &registrar, old, &[one]).await;
        // The registrar of this test drops the elements of an association that ends.
        let elements = client.resolve(pool("EchoPool"), Duration::ZERO).await.unwrap().elements;
        assert_eq!(elements.iter().map(|element| element.id).collect::<Vec<_>>(), [9]);
        client.close(PATIENCE).await;
    });
}

#[test]
fn it_gains_and_loses_addresses_with_its_host() {
    let world = World::new(10);
    let registrar = mobile(&world, FIRST);
    let one = world.arrive(1);
    run(async {
        let (client, mut events) = client_at(&[FIRST], one).await;
        let (old, _) = registrar.hear_registration();
        let two = world.arrive(2);
        client.set_local_addresses(vec![two, one]);
        moves(&mut events, &registrar, old, &[two, one]).await;
        world.leave(1);
        client.set_local_addresses(vec![two]);
        moves(&mut events, &registrar, old, &[two]).await;
        client.close(PATIENCE).await;
    });
}

#[test]
fn it_is_kept_over_ipv6_too() {
    let world = World::new(10);
    let six = "[fd09::1]:3863";
    let registrar = mobile(&world, six);
    let one = world.arrive6(1);
    run(async {
        let (client, mut events) = client_at(&[six], one).await;
        let (old, _) = registrar.hear_registration();
        world.leave(1);
        let two = world.arrive6(2);
        client.set_local_addresses(vec![two]);
        moves(&mut events, &registrar, old, &[two]).await;
        client.close(PATIENCE).await;
    });
}
