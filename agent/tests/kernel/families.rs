//! Where a host gets its first address of a family that its peer has.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use roam_agent::translate::{Pair, Rule};
use sctp_sys::{Family, Socket, Style, sockopt};

use super::translation::{World, address, receive, run, send, until};

const CLIENT: u16 = 7101;
const SERVER: u16 = 7100;
const AT_A: Pair = Pair { local_port: CLIENT, peer_port: SERVER };

/// An address of IPv4 as a socket of IPv6 takes it.
fn mapped(n: u8, port: u16) -> SocketAddr {
    match address(Family::V4, n) {
        IpAddr::V4(address) => SocketAddr::new(address.to_ipv6_mapped().into(), port),
        v6 @ IpAddr::V6(_) => SocketAddr::new(v6, port),
    }
}

/// An association of A's, which has IPv4 alone, with B's, which has both.
fn associated(world: &World) -> (Socket, Socket) {
    world.b.enter();
    let theirs = address(Family::V6, 3);
    run("ip", &format!("addr add {theirs}/64 dev wire nodad"));
    let listener = Socket::new(Style::OneToOne, Family::V6).unwrap();
    listener.bind(mapped(3, SERVER)).unwrap();
    listener.bindx_add(&[SocketAddr::new(theirs, SERVER)]).unwrap();
    listener.listen(1).unwrap();
    world.a.enter();
    let client = Socket::new(Style::OneToOne, Family::V6).unwrap();
    client.bind(mapped(1, CLIENT)).unwrap();
    client.connect(mapped(3, SERVER)).unwrap();
    let (server, _) = listener.accept().unwrap();
    for socket in [&client, &server] {
        socket.set_nonblocking(true).unwrap();
    }
    let knows = client.peer_addrs(0).unwrap();
    assert!(knows.iter().any(|peer| peer.ip() == theirs), "{knows:?}");
    (client, server)
}

/// A's first address of IPv6 is asked for while nothing leaves from the other one, so that B does not learn it; A's kernel is
/// asked for a heartbeat to B's until it has sent one.
fn heartbeat(world: &mut World, client: &Socket, mut rules: Vec<Rule>) {
    let (ours, theirs) = (address(Family::V6, 1), address(Family::V6, 3));
    rules.push(Rule::Block { pair: AT_A, source: address(Family::V4, 1) });
    world.a.rules(&rules);
    run("ip", &format!("addr add {ours}/64 dev wire nodad"));
    client.bindx_add(&[SocketAddr::new(ours, CLIENT)]).unwrap();
    until("a heartbeat from an address that the peer does not know", || {
        // Fails where the association has ended.
        let _ =
            sockopt::heartbeat_now(client.as_fd(), sockopt::FUTURE_ASSOC, SocketAddr::new(theirs, SERVER));
        (world.a.seen("given", ours, theirs) > 0).then_some(())
    });
}

/// How many ABORTs have come to A's new address, before anything of ours saw them.
fn aborts(world: &World) -> u64 {
    world.a.seen("aborts", address(Family::V6, 3), address(Family::V6, 1))
}

/// The other address may be sent from again: the association goes on.
fn goes_on(world: &mut World, rule: Rule, client: &Socket, server: &Socket) {
    world.a.rules(&[rule]);
    send(client, "forth");
    assert_eq!(receive(server), "forth");
    send(server, "back");
    assert_eq!(receive(client), "back");
}

/// Runs a test with such an association, A's socket first, on a thread of its own for the namespaces' sake.
fn with_association(test: fn(World, Socket, Socket)) {
    let thread = std::thread::spawn(move || {
        let world = World::new(Family::V4);
        let (client, server) = associated(&world);
        test(world, client, server);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn linux_sends_from_an_address_of_ipv6_that_the_peer_does_not_know_yet_and_loses_the_association() {
    with_association(|mut world, client, _server| {
        heartbeat(&mut world, &client, Vec::new());
        until("the association's end", || {
            sockopt::status(client.as_fd(), sockopt::FUTURE_ASSOC).is_err().then_some(())
        });
    });
}

#[test]
fn an_association_lives_on_where_nothing_leaves_for_addresses_for_which_it_has_no_source() {
    with_association(|mut world, client, server| {
        let rule = Rule::RestrictTo { pair: AT_A, destination: address(Family::V6, 3) };
        heartbeat(&mut world, &client, vec![rule]);
        goes_on(&mut world, rule, &client, &server);
        // Had it left, its ABORT would have come before that.
        assert_eq!(aborts(&world), 0);
    });
}

#[test]
fn an_association_lives_on_where_the_abort_of_a_peer_that_does_not_know_the_address_yet_does_not_enter() {
    with_association(|mut world, client, server| {
        let rule = Rule::NoAbortIn(AT_A);
        heartbeat(&mut world, &client, vec![rule]);
        until("the ABORT", || (aborts(&world) > 0).then_some(()));
        goes_on(&mut world, rule, &client, &server);
    });
}
