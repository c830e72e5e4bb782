//! Messages, whole, in both shapes and families.

use std::os::fd::AsFd;

use sctp_sys::event::{AssocChange, EventType, Notification};
use sctp_sys::sockopt::{self, AssocState};
use sctp_sys::{Family, Received, SendInfo, Socket, Style, abi};

use crate::common::*;

fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn one_to_one_messages_arrive_with_stream_ppid_and_source() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let (client, server) = pair(family);
            let [own, peer, _] = addresses(family);
            let info = SendInfo { stream: 3, ppid: 11, ..SendInfo::default() };
            assert_eq!(client.send(&info, b"hello").unwrap(), 5);
            let (got, bytes) = message(&server);
            assert_eq!(bytes, b"hello");
            assert_eq!((got.stream, got.ppid, got.ssn, got.unordered), (3, 11, 0, false));
            assert_eq!(got.from, own);

            server
                .send(&SendInfo { ppid: 0xdead_beef, ..SendInfo::default() }.unordered(), b"world")
                .unwrap();
            let (got, bytes) = message(&client);
            assert_eq!(bytes, b"world");
            assert_eq!((got.stream, got.ppid, got.unordered), (0, 0xdead_beef, true));
            assert_eq!(got.from, peer);

            // The end: no more messages, not an error.
            client.shutdown().unwrap();
            assert_eq!(server.recv(&mut Vec::new()).unwrap(), None);
        }
    });
}

#[test]
fn ipv4_over_an_ipv6_socket_is_told_as_ipv4() {
    in_namespace(|| {
        let server = listener(Style::OneToOne, at("[::]:5000"));
        let client = socket(Style::OneToOne, Family::V6);
        client.bind(at("192.0.2.1:6000")).unwrap();
        client.connect(at("192.0.2.9:5000")).unwrap();
        let (accepted, from) = server.accept().unwrap();
        impatient(&accepted);
        assert_eq!(from, at("192.0.2.1:6000"));
        client.send(&SendInfo::default(), b"x").unwrap();
        assert_eq!(message(&accepted).0.from, from);
        assert_eq!(client.local_addrs(0).unwrap(), [from]);
        assert!(client.peer_addrs(0).unwrap().contains(&at("192.0.2.9:5000")));
        sockopt::set_mapped_v4(client.as_fd(), false).unwrap();
        assert_eq!(client.local_addrs(0).unwrap(), [from]);
    });
}

#[test]
fn one_to_many_messages_go_to_the_association_named() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let [own, peer, other] = addresses(family);
            let server = listener(Style::OneToMany, peer);
            sockopt::set_events(server.as_fd(), &[EventType::AssocChange]).unwrap();
            let clients = [own, other].map(|addr| {
                let client = socket(Style::OneToMany, family);
                client.bind(addr).unwrap();
                let assoc = client.connectx(&[peer]).unwrap();
                assert!(assoc > 2);
                assert_eq!(only_association(&client), assoc);
                client
                    .send(&SendInfo { assoc, ppid: 5, ..SendInfo::default() }, addr.to_string().as_bytes())
                    .unwrap();
                (client, addr)
            });
            for _ in 0..2 {
                let (info, bytes) = message(&server);
                assert_eq!(String::from_utf8(bytes).unwrap(), info.from.to_string());
                let back = SendInfo { assoc: info.assoc, ..SendInfo::default() };
                server.send(&back, info.from.port().to_string().as_bytes()).unwrap();
            }
            for (client, addr) in &clients {
                assert_eq!(message(client).1, addr.port().to_string().as_bytes());
            }
            assert_eq!(sockopt::assoc_ids(server.as_fd()).unwrap().len(), 2);
        }
    });
}

#[test]
fn a_message_to_an_address_sets_an_association_up() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        let client = socket(Style::OneToMany, Family::V4);
        client.bind(own).unwrap();
        client.send(&SendInfo { to: Some(peer), ppid: 7, ..SendInfo::default() }, b"first").unwrap();
        let (info, bytes) = message(&server);
        assert_eq!((info.ppid, &bytes[..]), (7, &b"first"[..]));
        assert_eq!(
            sockopt::status(client.as_fd(), only_association(&client)).unwrap().state,
            AssocState::Established
        );
    });
}

#[test]
fn a_message_goes_to_the_address_of_the_peer_that_is_named() {
    in_namespace(|| {
        let [own, peer, second] = addresses(Family::V4);
        // The server has two addresses here.
        let second = std::net::SocketAddr::new(second.ip(), peer.port());
        let server = listener(Style::OneToOne, peer);
        server.bindx_add(&[second]).unwrap();
        let client = socket(Style::OneToOne, Family::V4);
        client.bind(own).unwrap();
        client.connectx(&[peer, second]).unwrap();
        let (accepted, _) = server.accept().unwrap();
        impatient(&accepted);
        let to = SendInfo { to: Some(second), flags: abi::SCTP_ADDR_OVER as u16, ..SendInfo::default() };
        client.send(&to, b"there").unwrap();
        assert_eq!(message(&accepted).1, b"there");
        accepted.send(&SendInfo::default(), b"back").unwrap();
        assert_eq!(message(&client).1, b"back");
    });
}

/// Large messages of two associations at once, so that their parts come mixed.
#[test]
fn large_messages_arrive_whole_however_they_are_cut() {
    in_namespace(|| {
        for interleave in [0, 1] {
            let [own, peer, other] = addresses(Family::V4);
            let server = listener(Style::OneToMany, peer);
            sockopt::set_fragment_interleave(server.as_fd(), interleave).unwrap();
            sockopt::set_partial_delivery_point(server.as_fd(), 3000).unwrap();
            let clients = [own, other].map(|addr| {
                let client = socket(Style::OneToOne, Family::V4);
                sockopt::set_send_buffer(client.as_fd(), 400_000).unwrap();
                client.bind(addr).unwrap();
                client.connect(peer).unwrap();
                client
            });
            const ROUNDS: usize = 4;
            const LEN: usize = 150_000;
            std::thread::scope(|scope| {
                for (seed, client) in clients.iter().enumerate() {
                    scope.spawn(move || {
                        for round in 0..ROUNDS {
                            let info =
                                SendInfo { stream: seed as u16, ppid: round as u32, ..SendInfo::default() };
                            client.send(&info, &pattern((seed * ROUNDS + round) as u8, LEN)).unwrap();
                        }
                    });
                }
                let mut next = [0; 2];
                for _ in 0..2 * ROUNDS {
                    let (info, bytes) = message(&server);
                    let seed = usize::from(info.stream);
                    assert_eq!(info.ppid, next[seed], "messages of one stream come in order");
                    assert!(
                        bytes == pattern((seed * ROUNDS) as u8 + info.ppid as u8, LEN),
                        "contents of {info:?}"
                    );
                    next[seed] += 1;
                }
            });
        }
    });
}

#[test]
fn a_message_above_the_limit_is_reported_and_the_next_one_arrives() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        sockopt::set_send_buffer(client.as_fd(), 400_000).unwrap();
        server.set_message_limit(100_000);
        client.send(&SendInfo { ppid: 1, ..SendInfo::default() }, &pattern(0, 100_001)).unwrap();
        client.send(&SendInfo { ppid: 2, ..SendInfo::default() }, &pattern(1, 100_000)).unwrap();
        let mut buf = Vec::new();
        match server.recv(&mut buf).unwrap() {
            Some(Received::TooLong { info, length }) => assert_eq!((info.ppid, length), (1, 100_001)),
            other => panic!("{other:?}"),
        }
        assert!(buf.is_empty());
        let (info, bytes) = message(&server);
        assert_eq!(info.ppid, 2);
        assert!(bytes == pattern(1, 100_000));
    });
}

#[test]
fn an_association_is_peeled_off_with_its_messages_and_notifications() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        sockopt::set_events(server.as_fd(), &[EventType::AssocChange, EventType::Shutdown]).unwrap();
        server.set_message_limit(100);
        let client = socket(Style::OneToOne, Family::V4);
        client.bind(own).unwrap();
        client.connect(peer).unwrap();
        client.send(&SendInfo { ppid: 4, ..SendInfo::default() }, b"before").unwrap();
        let assoc = only_association(&server);
        let peeled = server.peel_off(assoc).unwrap();
        impatient(&peeled);
        assert_eq!(only_association(&peeled), assoc);
        assert!(sockopt::assoc_ids(server.as_fd()).unwrap().is_empty());
        let (info, bytes) = message(&peeled);
        assert_eq!((info.ppid, &bytes[..]), (4, &b"before"[..]));
        peeled.send(&SendInfo { assoc: info.assoc, ..SendInfo::default() }, b"after").unwrap();
        assert_eq!(message(&client).1, b"after");
        client.send(&SendInfo::default(), &[0; 101]).unwrap();
        assert!(matches!(peeled.recv(&mut Vec::new()).unwrap(), Some(Received::TooLong { length: 101, .. })));
        drop(client);
        notification(&peeled, |n| matches!(n, Notification::Shutdown { .. }).then_some(()));
    });
}

#[test]
fn no_more_messages_are_unread_than_the_kernel_lets_reckon() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        let unread = || sockopt::unread_at_most(server.as_fd()).unwrap();
        assert_eq!(unread(), 0);
        sockopt::set_nodelay(client.as_fd(), true).unwrap();
        for _ in 0..300 {
            client.send(&SendInfo::default(), b"x").unwrap();
        }
        // With nothing under way the kernel sends what it has.
        until("all are there", || sockopt::status(client.as_fd(), 0).unwrap().unacked == 0);
        for read in 0..300 {
            assert!(unread() >= 300 - read, "{} after {read}", unread());
            message(&server);
        }
        assert_eq!(unread(), 0);
    });
}

#[test]
fn what_a_peer_does_not_acknowledge_fills_the_send_buffer_and_what_it_does_leaves_it() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        let waits = || sockopt::unacknowledged(client.as_fd()).unwrap();
        assert_eq!(waits(), 0);
        sockopt::set_send_buffer(client.as_fd(), 64 << 10).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while client.send(&SendInfo::default(), &[0; 1000]).is_ok() {
            sent += 1;
        }
        let full = waits();
        assert!(full >= sockopt::send_buffer(client.as_fd()).unwrap(), "{full}");
        for _ in 0..sent {
            message(&server);
        }
        until("all are acknowledged", || waits() == 0);
    });
}

#[test]
fn aborting_is_seen_by_the_peer_at_once() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        sockopt::set_events(server.as_fd(), &[EventType::AssocChange]).unwrap();
        let lost = |socket: &Socket| {
            notification(socket, |n| match n {
                Notification::AssocChange { state: AssocChange::CommLost, error, .. } => Some(*error),
                _ => None,
            })
        };
        // Of a one-to-many socket.
        let client = socket(Style::OneToMany, Family::V4);
        client.bind(own).unwrap();
        let assoc = client.connectx(&[peer]).unwrap();
        client.abort(assoc).unwrap();
        assert_eq!(lost(&server), 12, "user-initiated abort");
        // Of a one-to-one socket: when it is closed.
        let client = socket(Style::OneToOne, Family::V4);
        client.connect(peer).unwrap();
        client.abort(0).unwrap();
        drop(client);
        assert_eq!(lost(&server), 12);
        // By the server; a one-to-one client is told by an error.
        let client = socket(Style::OneToOne, Family::V4);
        client.connect(peer).unwrap();
        server.abort(only_association(&server)).unwrap();
        let error = client.recv(&mut Vec::new()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
    });
}

#[test]
fn an_association_of_many_is_ended_in_good_order() {
    in_namespace(|| {
        let [_, peer, _] = addresses(Family::V6);
        let server = listener(Style::OneToMany, peer);
        let client = socket(Style::OneToOne, Family::V6);
        client.connect(peer).unwrap();
        let assoc = only_association(&server);
        server.send(&SendInfo { assoc, ..SendInfo::default() }, b"last").unwrap();
        server.shutdown_assoc(assoc).unwrap();
        assert_eq!(message(&client).1, b"last");
        assert_eq!(client.recv(&mut Vec::new()).unwrap(), None);
    });
}

#[test]
fn nothing_to_read_is_would_block() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        server.set_nonblocking(true).unwrap();
        let nothing = server.recv(&mut Vec::new()).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        server.set_nonblocking(false).unwrap();
        client.send(&SendInfo::default(), b"x").unwrap();
        assert_eq!(message(&server).1, b"x");
        assert!(server.is_connected().unwrap());
        assert!(!socket(Style::OneToOne, Family::V4).is_connected().unwrap());
    });
}

#[test]
fn what_is_to_be_done_now_does_not_wait_on_a_socket_that_waits_for_ever() {
    use nix::sys::socket::{setsockopt, sockopt as os};
    use nix::sys::time::TimeVal;
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        for socket in [&client, &server] {
            setsockopt(socket, os::ReceiveTimeout, &TimeVal::new(0, 0)).unwrap();
            setsockopt(socket, os::SendTimeout, &TimeVal::new(0, 0)).unwrap();
        }
        let nothing = server.recv_now(&mut Vec::new()).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        let mut sent = 0;
        let full = loop {
            match client.send_now(&SendInfo::default(), &[7; 1000]) {
                Ok(_) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
        assert!(sent > 0);
        for _ in 0..sent {
            assert_eq!(message(&server).1, [7; 1000]);
        }
        assert!(server.recv_now(&mut Vec::new()).is_err());
    });
}

#[test]
fn a_refused_association_is_an_error() {
    in_namespace(|| {
        let client = socket(Style::OneToOne, Family::V4);
        let refused = client.connect(at("192.0.2.9:5999")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        let client = socket(Style::OneToMany, Family::V4);
        let refused = client.connectx(&[at("192.0.2.9:5999"), at("192.0.2.2:5999")]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
