//! Notifications really received, and parsed.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use sctp_sys::event::{AssocChange, EventType, Notification, PathChange};
use sctp_sys::sockopt;
use sctp_sys::{Family, SendInfo, Socket, Style};

use crate::common::*;

fn assoc_change(socket: &Socket, wanted: AssocChange) -> Notification {
    notification(socket, |n| match n {
        Notification::AssocChange { state, .. } if *state == wanted => Some(n.clone()),
        _ => None,
    })
}

fn path_change(socket: &Socket, wanted: PathChange, addr: SocketAddr) {
    notification(socket, |n| match n {
        Notification::PeerAddrChange { state, address, .. } if *state == wanted && *address == addr => {
            Some(())
        }
        _ => None,
    });
}

#[test]
fn the_life_of_an_association_is_told() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let [own, peer, _] = addresses(family);
            let server = listener(Style::OneToMany, peer);
            sockopt::set_events(server.as_fd(), &EventType::ALL).unwrap();
            let client = socket(Style::OneToMany, family);
            client.bind(own).unwrap();
            sockopt::set_adaptation_layer(client.as_fd(), 0xcafe).unwrap();
            sockopt::set_events(client.as_fd(), &EventType::ALL).unwrap();
            let assoc = client.connectx(&[peer]).unwrap();
            match assoc_change(&client, AssocChange::CommUp) {
                Notification::AssocChange { assoc: id, out_streams, in_streams, error: 0, .. } => {
                    assert_eq!(id, assoc);
                    assert!(out_streams > 0 && in_streams > 0);
                }
                other => panic!("{other:?}"),
            }
            let there = assoc_change(&server, AssocChange::CommUp).assoc().unwrap();
            assert_eq!(there, only_association(&server));
            notification(&server, |n| {
                (*n == Notification::Adaptation { indication: 0xcafe, assoc: there }).then_some(())
            });

            client.send(&SendInfo { assoc, ..SendInfo::default() }, b"x").unwrap();
            notification(&client, |n| (*n == Notification::SenderDry { assoc }).then_some(()));

            client.shutdown_assoc(assoc).unwrap();
            notification(&server, |n| (*n == Notification::Shutdown { assoc: there }).then_some(()));
            assoc_change(&server, AssocChange::ShutdownComplete);
            assoc_change(&client, AssocChange::ShutdownComplete);
        }
    });
}

#[test]
fn the_life_of_a_path_is_told() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let (client, server) = pair(family);
            let [own, _, new] = addresses(family);
            sockopt::set_events(server.as_fd(), &[EventType::PeerAddrChange]).unwrap();
            client.bindx_add(&[new]).unwrap();
            path_change(&server, PathChange::Added, new);
            path_change(&server, PathChange::Confirmed, new);
            sockopt::set_peer_primary(client.as_fd(), 0, new).unwrap();
            path_change(&server, PathChange::MadePrimary, new);
            client.bindx_remove(&[own]).unwrap();
            path_change(&server, PathChange::Removed, own);
        }
    });
}

#[test]
fn a_message_that_could_not_be_sent_comes_back() {
    in_namespace(|| {
        for kind in [EventType::SendFailedEvent, EventType::SendFailed] {
            let [own, peer, _] = addresses(Family::V4);
            let server = listener(Style::OneToMany, peer);
            sockopt::set_receive_buffer(server.as_fd(), 5000).unwrap();
            let client = socket(Style::OneToMany, Family::V4);
            client.bind(own).unwrap();
            sockopt::set_events(client.as_fd(), &[kind, EventType::AssocChange]).unwrap();
            let assoc = client.connectx(&[peer]).unwrap();
            client.set_nonblocking(true).unwrap();
            // Nobody reads: the window fills, then the queue.
            let info = SendInfo { assoc, stream: 2, ppid: 99, context: 7, ..SendInfo::default() };
            let full = (0..10_000).find_map(|_| client.send(&info, &[9; 1000]).err()).unwrap();
            assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
            client.set_nonblocking(false).unwrap();
            client.abort(assoc).unwrap();
            let message = notification(&client, |n| match n {
                Notification::SendFailed { message, assoc: id, .. } if *id == assoc => Some(message.clone()),
                _ => None,
            });
            assert_eq!((message.stream, message.ppid, message.context), (2, 99, 7), "{kind:?}");
            assert_eq!(message.data, [9; 1000]);
        }
    });
}

#[test]
fn a_peer_without_authentication_is_told() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        sockopt::set_asconf_supported(server.as_fd(), 0, false).unwrap();
        sockopt::set_auth_supported(server.as_fd(), 0, false).unwrap();
        let client = socket(Style::OneToMany, Family::V4);
        client.bind(own).unwrap();
        sockopt::set_events(client.as_fd(), &[EventType::Authentication]).unwrap();
        let assoc = client.connectx(&[peer]).unwrap();
        notification(&client, |n| match n {
            Notification::Authentication { indication: 2, assoc: id, .. } if *id == assoc => Some(()),
            _ => None,
        });
        assert!(
            !sockopt::asconf_supported(client.as_fd(), assoc).unwrap(),
            "what was negotiated, not what is wished"
        );
        let refused = sockopt::set_peer_primary(client.as_fd(), assoc, own).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    });
}

#[test]
fn a_failed_set_up_is_told() {
    in_namespace(|| {
        let client = socket(Style::OneToMany, Family::V4);
        sockopt::set_events(client.as_fd(), &[EventType::AssocChange]).unwrap();
        client.set_nonblocking(true).unwrap();
        let assoc = client.connectx(&[at("192.0.2.9:5999")]).unwrap();
        client.set_nonblocking(false).unwrap();
        let failed = assoc_change(&client, AssocChange::CantStart);
        assert_eq!(failed.assoc(), Some(assoc));
    });
}
