//! Addresses added and removed, and what the wire shows of it.

use std::os::fd::AsFd;

use sctp_sys::event::{EventType, Notification, PathChange};
use sctp_sys::sockopt::{self, FUTURE_ASSOC};
use sctp_sys::watch::{AsconfParam, Seen, Watch};
use sctp_sys::{Family, Style};

use crate::common::*;

#[test]
fn an_added_address_is_listed_told_to_the_peer_and_the_answer_is_seen() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let (client, server) = pair(family);
            let [own, peer, new] = addresses(family);
            let mut watch = Watch::open().unwrap();
            client.bindx_add(&[new]).unwrap();
            let assoc = sockopt::status(client.as_fd(), 0).unwrap().assoc;
            assert_eq!(client.local_addrs(assoc).unwrap(), [own, new], "listed from the call on");

            let asked = sighting(&mut watch, true, |seen| {
                matches!(seen, Seen::Asconf { params, .. }
                    if matches!(params[..], [AsconfParam::Add { address, .. }] if address == new.ip()))
            });
            assert_eq!((asked.source, asked.destination), (own.ip(), peer.ip()));
            assert_eq!((asked.source_port, asked.destination_port), (own.port(), peer.port()));
            assert!(asked.time.is_some() && asked.udp.is_none() && asked.ifindex > 0);
            let [Seen::Asconf { serial, authenticated: true, .. }] = asked.chunks[..] else {
                panic!("{asked:?}")
            };
            let answered = sighting(
                &mut watch,
                false,
                |seen| matches!(seen, Seen::AsconfAck { serial: s, authenticated: true, .. } if *s == serial),
            );
            assert_eq!((answered.source, answered.destination), (peer.ip(), own.ip()));
            assert!(
                answered
                    .chunks
                    .iter()
                    .all(|c| matches!(c, Seen::AsconfAck { errors, .. } if errors.is_empty()))
            );
            until("the peer lists it", || server.peer_addrs(0).unwrap().contains(&new));

            client.bindx_remove(&[own]).unwrap();
            sighting(&mut watch, true, |seen| {
                matches!(seen, Seen::Asconf { params, .. }
                    if matches!(params[..], [AsconfParam::Delete { address, .. }] if address == own.ip()))
            });
            until("the old one has gone here", || client.local_addrs(assoc).unwrap() == [new]);
            until("the old one has gone there", || server.peer_addrs(0).unwrap() == [new]);
            assert_eq!(watch.lost().unwrap(), 0);
        }
    });
}

#[test]
fn the_peer_sends_where_it_is_asked_to() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        let [_, _, new] = addresses(Family::V4);
        sockopt::set_events(server.as_fd(), &[EventType::PeerAddrChange]).unwrap();
        client.bindx_add(&[new]).unwrap();
        sockopt::set_peer_primary(client.as_fd(), 0, new).unwrap();
        notification(&server, |n| match n {
            Notification::PeerAddrChange { address, state: PathChange::MadePrimary, .. } => {
                (*address == new).then_some(())
            }
            _ => None,
        });
        assert_eq!(sockopt::primary(server.as_fd(), 0).unwrap(), new);
    });
}

#[test]
fn without_add_ip_the_endpoint_alone_changes() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        let [own, _, new] = addresses(Family::V4);
        sockopt::set_asconf_supported(client.as_fd(), 0, false).unwrap();
        client.bindx_add(&[new]).unwrap();
        sockopt::set_asconf_supported(client.as_fd(), 0, true).unwrap();
        assert_eq!(server.peer_addrs(0).unwrap(), [own]);
        let assoc = sockopt::status(client.as_fd(), 0).unwrap().assoc;
        assert_eq!(client.local_addrs(assoc).unwrap(), [own]);
        assert_eq!(client.local_addrs(FUTURE_ASSOC).unwrap(), [own, new]);
    });
}

#[test]
fn several_addresses_are_bound_at_once_and_told_at_set_up() {
    in_namespace(|| {
        let [own, peer, new] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        let client = socket(Style::OneToMany, Family::V4);
        client.bindx_add(&[own, new]).unwrap();
        assert_eq!(client.local_addrs(FUTURE_ASSOC).unwrap(), [own, new]);
        client.connectx(&[peer]).unwrap();
        assert_eq!(server.peer_addrs(only_association(&server)).unwrap().len(), 2);
    });
}

#[test]
fn refusals_have_the_errors_that_the_documentation_says() {
    in_namespace(|| {
        let [own, ..] = addresses(Family::V4);
        let error = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
        let client = listener(Style::OneToOne, own);
        assert_eq!(error(client.bindx_remove(&[own])), libc::EBUSY);
        assert_eq!(error(client.bindx_add(&[own])), libc::EINVAL);
        assert_eq!(error(client.bindx_add(&[at("192.0.2.77:6000")])), libc::EADDRNOTAVAIL);
        sockopt::set_freebind(client.as_fd(), Family::V4, true).unwrap();
        client.bindx_add(&[at("192.0.2.77:6000")]).unwrap();
        assert_eq!(error(sockopt::set_peer_primary(client.as_fd(), 0, own)), libc::EINVAL);

        let other = socket(Style::OneToOne, Family::V4);
        assert_eq!(error(other.bind(own)), libc::EADDRINUSE);
        let wildcard = listener(Style::OneToOne, at("0.0.0.0:7000"));
        assert_eq!(error(wildcard.bindx_add(&[at("192.0.2.1:7000")])), libc::EINVAL);
    });
}

#[test]
fn accepted_sockets_share_a_port_once_it_may_be_shared() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let second = std::net::SocketAddr::new(ip("192.0.2.2"), peer.port());
        let listener = listener(Style::OneToOne, peer);
        let client = socket(Style::OneToOne, Family::V4);
        client.bind(own).unwrap();
        client.connect(peer).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        listener.bindx_add(&[second]).unwrap();
        assert_eq!(accepted.bindx_add(&[second]).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        for socket in [&listener, &accepted] {
            sockopt::set_reuse_port(socket.as_fd(), true).unwrap();
        }
        listener.bindx_remove(&[second]).unwrap();
        listener.bindx_add(&[second]).unwrap();
        accepted.bindx_add(&[second]).unwrap();
        until("the client lists it", || client.peer_addrs(0).unwrap().contains(&second));
    });
}
