//! What sessions are built on: keys of AUTH, partial reliability, streams.
#![expect(clippy::disallowed_methods, reason = "lets the time of a message run out")]

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt as nix_sockopt};
use nix::sys::time::TimeVal;
use sctp_sys::event::{EventType, Notification};
use sctp_sys::probe::Sysctl;
use sctp_sys::sockopt::*;
use sctp_sys::{Family, SendInfo, Socket, Style};

use crate::common::*;

/// Two ends that want each other's messages authenticated; what is done to both sockets before they are connected.
fn prepared(prepare: impl Fn(BorrowedFd<'_>)) -> (Socket, Socket) {
    let [own, peer, _] = addresses(Family::V4);
    let listener = listener(Style::OneToOne, peer);
    let client = socket(Style::OneToOne, Family::V4);
    client.bind(own).unwrap();
    for end in [&listener, &client] {
        prepare(end.as_fd());
    }
    client.connect(peer).unwrap();
    let (server, _) = listener.accept().unwrap();
    impatient(&server);
    (client, server)
}

const DATA: u8 = 0;

#[test]
fn a_message_sent_with_a_key_is_taken_when_the_peer_has_the_key() {
    in_namespace(|| {
        let (client, server) = prepared(|fd| add_auth_chunk(fd, DATA).unwrap());
        set_auth_key(client.as_fd(), 0, 7, b"a secret of the pool").unwrap();
        assert_eq!(active_auth_key(client.as_fd(), 0).unwrap(), 0);
        client.send(&SendInfo { auth_key: Some(7), ..SendInfo::default() }, b"under key 7").unwrap();

        setsockopt(&server, nix_sockopt::ReceiveTimeout, &TimeVal::new(0, 100_000)).unwrap();
        let mut buf = Vec::new();
        let early = server.recv(&mut buf).unwrap_err();
        assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock, "without the key it is no message");
        impatient(&server);
        set_auth_key(server.as_fd(), 0, 7, b"a secret of the pool").unwrap();
        assert_eq!(message(&server).1, b"under key 7", "it comes again, and is one");
    });
}

#[test]
fn a_key_is_made_active_given_up_and_deleted() {
    in_namespace(|| {
        let (client, server) = prepared(|fd| {
            add_auth_chunk(fd, DATA).unwrap();
            set_events(fd, &[EventType::Authentication]).unwrap();
        });
        for end in [&client, &server] {
            set_auth_key(end.as_fd(), 0, 1, b"one").unwrap();
            set_auth_key(end.as_fd(), 0, 2, b"").unwrap();
        }
        set_active_auth_key(client.as_fd(), 0, 1).unwrap();
        assert_eq!(active_auth_key(client.as_fd(), 0).unwrap(), 1);
        client.send(&SendInfo::default(), b"x").unwrap();
        assert_eq!(message(&server).1, b"x");
        assert!(delete_auth_key(client.as_fd(), 0, 1).is_err(), "the active one stays");
        assert!(set_active_auth_key(client.as_fd(), 0, 9).is_err(), "there is none");

        set_active_auth_key(client.as_fd(), 0, 2).unwrap();
        deactivate_auth_key(client.as_fd(), 0, 1).unwrap();
        notification(&client, |n| match n {
            Notification::Authentication { key: 1, indication: 1, .. } => Some(()),
            _ => None,
        });
        delete_auth_key(client.as_fd(), 0, 1).unwrap();
    });
}

#[test]
fn the_algorithms_of_authentication_are_read_back() {
    in_namespace(|| {
        let socket = socket(Style::OneToMany, Family::V4);
        for list in [&[Hmac::Sha256, Hmac::Sha1][..], &[Hmac::Sha1]] {
            set_hmac_algorithms(socket.as_fd(), list).unwrap();
            assert_eq!(hmac_algorithms(socket.as_fd()).unwrap(), list);
        }
        assert!(set_hmac_algorithms(socket.as_fd(), &[Hmac::Sha256]).is_err(), "SHA-1 is mandatory");
    });
}

#[test]
fn how_long_a_message_is_tried_is_read_back() {
    in_namespace(|| {
        let (client, _server) = pair(Family::V4);
        assert!(partial_reliability_supported(client.as_fd(), 0).unwrap());
        for kind in [
            Reliability::Lifetime(250),
            Reliability::Retransmissions(3),
            Reliability::Priority(9),
            Reliability::Full,
        ] {
            set_default_reliability(client.as_fd(), 0, kind).unwrap();
            assert_eq!(default_reliability(client.as_fd(), 0).unwrap(), kind);
        }
        let plain = socket(Style::OneToMany, Family::V4);
        set_partial_reliability_supported(plain.as_fd(), 0, false).unwrap();
        assert!(!partial_reliability_supported(plain.as_fd(), 0).unwrap());
    });
}

#[test]
fn a_message_that_outlives_its_time_is_given_up_and_counted() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let listener = listener(Style::OneToOne, peer);
        set_receive_buffer(listener.as_fd(), 5000).unwrap();
        let client = socket(Style::OneToOne, Family::V4);
        client.bind(own).unwrap();
        client.connect(peer).unwrap();
        let (server, _) = listener.accept().unwrap();
        impatient(&server);
        // Nobody reads: the window fills, then what is sent waits here, and its time runs out.
        let short =
            SendInfo { reliability: Some(Reliability::Lifetime(1)), stream: 1, ..SendInfo::default() };
        let lasting = SendInfo { reliability: Some(Reliability::Full), ..SendInfo::default() };
        for number in 0..30u8 {
            client.send(&lasting, &[number; 1000]).unwrap();
        }
        for _ in 0..5 {
            client.send(&short, b"late").unwrap();
        }
        let sent = Instant::now();
        until("their time is over", || sent.elapsed() > Duration::from_millis(20));
        client.send(&lasting, b"end").unwrap();

        for number in 0..30u8 {
            let (info, data) = message(&server);
            assert_eq!((info.stream, data), (0, vec![number; 1000]));
        }
        assert_eq!(message(&server).1, b"end", "the lasting ones come, of the others none");
        let kind = Reliability::Lifetime(0);
        for stream in [None, Some(1)] {
            assert_eq!(abandoned(client.as_fd(), 0, stream, kind).unwrap(), Abandoned { unsent: 5, sent: 0 });
        }
        assert_eq!(abandoned(client.as_fd(), 0, Some(0), kind).unwrap(), Abandoned::default());
    });
}

#[test]
fn the_order_of_streams_is_read_back() {
    in_namespace(|| {
        let (client, _server) = pair(Family::V4);
        let fd = client.as_fd();
        for order in [Scheduler::Priority, Scheduler::RoundRobin, Scheduler::FirstCome] {
            set_scheduler(fd, 0, order).unwrap();
            assert_eq!(scheduler(fd, 0).unwrap(), order);
        }
        set_scheduler(fd, 0, Scheduler::Priority).unwrap();
        set_stream_weight(fd, 0, 2, 5).unwrap();
        assert_eq!(stream_weight(fd, 0, 2).unwrap(), 5);
        assert!(set_scheduler(fd, 0, Scheduler::Other(77)).is_err());
        set_context(fd, 0, 5).unwrap();
    });
}

#[test]
fn interleaving_is_negotiated() {
    in_namespace(|| {
        Sysctl::IntlEnable.write(1).unwrap();
        let (client, server) = prepared(|fd| {
            assert!(set_interleaving_supported(fd, true).is_err(), "fragments have to be told apart first");
            set_fragment_interleave(fd, 2).unwrap();
            set_interleaving_supported(fd, true).unwrap();
        });
        for end in [&client, &server] {
            assert!(interleaving_supported(end.as_fd(), 0).unwrap());
        }
    });
}

#[test]
fn streams_are_reset_and_added_while_the_association_is_up() {
    in_namespace(|| {
        let (client, server) = prepared(|fd| {
            set_reconfiguration_supported(fd, 0, true).unwrap();
            set_reconfiguration(fd, 0, Reconfiguration::ALL).unwrap();
            assert_eq!(reconfiguration(fd, 0).unwrap(), Reconfiguration::ALL);
            set_events(fd, &[EventType::StreamReset, EventType::StreamChange]).unwrap();
        });
        assert!(reconfiguration_supported(client.as_fd(), 0).unwrap());
        let before = status(client.as_fd(), 0).unwrap().out_streams;

        let on_stream = SendInfo { stream: 3, ..SendInfo::default() };
        for expected in [0, 1] {
            client.send(&on_stream, b"x").unwrap();
            assert_eq!(message(&server).0.ssn, expected);
        }
        until("all is acknowledged", || status(client.as_fd(), 0).unwrap().unacked == 0);
        reset_streams(client.as_fd(), 0, Direction::Outgoing, &[3]).unwrap();
        let streams = notification(&client, |n| match n {
            Notification::StreamReset { streams, flags, .. } => {
                assert_eq!(flags & 0b1100, 0, "not refused");
                Some(streams.clone())
            }
            _ => None,
        });
        assert_eq!(streams, [3]);
        client.send(&on_stream, b"x").unwrap();
        assert_eq!(message(&server).0.ssn, 0, "it begins again");

        until("the request before is over", || add_streams(client.as_fd(), 0, 0, 4).is_ok());
        notification(&client, |n| match n {
            Notification::StreamChange { flags, .. } => {
                assert_eq!(flags & 0b1100, 0, "not refused");
                Some(())
            }
            _ => None,
        });
        assert_eq!(status(client.as_fd(), 0).unwrap().out_streams, before + 4);
        let last = SendInfo { stream: before + 3, ..SendInfo::default() };
        client.send(&last, b"on a new one").unwrap();
        assert_eq!(message(&server).1, b"on a new one");
    });
}

#[test]
fn a_stream_cannot_be_reset_where_nobody_has_allowed_it() {
    in_namespace(|| {
        let (client, _server) = pair(Family::V4);
        let refused = reset_streams(client.as_fd(), 0, Direction::Both, &[]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOPROTOOPT));
        assert_eq!(status(client.as_fd(), 0).unwrap().state, AssocState::Established);
    });
}
