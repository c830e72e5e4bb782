//! The same over tokio.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use sctp_sys::event::{AssocChange, EventType, Notification};
use sctp_sys::tokio::{AsyncSocket, AsyncWatch, recv_sockets, send_sockets};
use sctp_sys::watch::Seen;
use sctp_sys::{Family, Received, SendInfo, Socket, Style, sockopt};

use crate::common::*;

/// Runs a test in its namespace on a runtime of one thread, so that all its sockets are made there.
fn in_runtime<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    in_namespace(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(LONG, test()).await.expect("in time") });
    });
}

fn wrap(socket: Socket) -> AsyncSocket {
    AsyncSocket::new(socket).unwrap()
}

async fn message(socket: &AsyncSocket) -> Vec<u8> {
    let mut buf = Vec::new();
    loop {
        match socket.recv(&mut buf).await.unwrap() {
            Some(Received::Message(_)) => return buf,
            Some(Received::Notification(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn client_and_server_talk() {
    in_runtime(|| async {
        for family in [Family::V4, Family::V6] {
            let [own, peer, _] = addresses(family);
            let server = wrap(listener(Style::OneToOne, peer));
            let client = wrap(socket(Style::OneToOne, family));
            client.get_ref().bind(own).unwrap();
            let (connected, accepted) = tokio::join!(client.connect(peer), server.accept());
            connected.unwrap();
            let (accepted, from) = accepted.unwrap();
            assert_eq!(from, own);
            client.send(&SendInfo::default(), b"ping").await.unwrap();
            assert_eq!(message(&accepted).await, b"ping");
            accepted.send(&SendInfo::default(), b"pong").await.unwrap();
            assert_eq!(message(&client).await, b"pong");
            drop(client);
            assert_eq!(accepted.recv(&mut Vec::new()).await.unwrap(), None);
        }
    });
}

#[test]
fn what_is_only_tried_says_that_it_would_have_to_wait_and_can_be_waited_for() {
    in_runtime(|| async {
        let waits = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let [_, peer, _] = addresses(Family::V4);
        let server = wrap(listener(Style::OneToOne, peer));
        let client = wrap(socket(Style::OneToOne, Family::V4));
        let (connected, accepted) = tokio::join!(client.connect(peer), server.accept());
        connected.unwrap();
        let accepted = accepted.unwrap().0;
        let mut octets = Vec::new();
        assert!(accepted.try_recv(&mut octets).is_err_and(|error| waits(&error)), "nothing was sent");

        let send = |number: u32| client.try_send(&SendInfo::default(), &number.to_be_bytes().repeat(500));
        let full = (0..).find(|number| match send(*number) {
            Ok(_) => false,
            Err(error) => waits(&error) || panic!("{error}"),
        });
        let full = full.unwrap();
        let sending = async {
            for number in full..2 * full {
                while send(number).is_err() {
                    client.writable().await.unwrap();
                }
            }
        };
        let receiving = async {
            for number in 0..2 * full {
                loop {
                    match accepted.try_recv(&mut octets) {
                        Ok(Some(Received::Message(_))) => break,
                        Err(error) if waits(&error) => accepted.readable().await.unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
                assert_eq!(octets[..4], number.to_be_bytes());
            }
        };
        tokio::join!(sending, receiving);
    });
}

#[test]
fn a_refused_association_is_an_error_at_once() {
    in_runtime(|| async {
        let client = wrap(socket(Style::OneToOne, Family::V4));
        let refused = client.connect(at("192.0.2.9:5999")).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        // With notifications waiting, too.
        let client = wrap(socket(Style::OneToOne, Family::V4));
        sockopt::set_events(client.as_fd(), &EventType::ALL).unwrap();
        let refused = client.connectx(&[at("192.0.2.9:5999")]).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn one_to_many_learns_of_its_associations() {
    in_runtime(|| async {
        let [_, peer, _] = addresses(Family::V4);
        let _server = wrap(listener(Style::OneToMany, peer));
        let client = wrap(socket(Style::OneToMany, Family::V4));
        sockopt::set_events(client.as_fd(), &[EventType::AssocChange]).unwrap();
        let assoc = client.connectx(&[peer]).await.unwrap();
        match client.recv(&mut Vec::new()).await.unwrap() {
            Some(Received::Notification(Notification::AssocChange {
                state: AssocChange::CommUp,
                assoc: id,
                ..
            })) => assert_eq!(id, assoc),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_slow_reader_makes_the_sender_wait_and_loses_nothing() {
    in_runtime(|| async {
        let [_, peer, _] = addresses(Family::V4);
        let server = wrap(listener(Style::OneToMany, peer));
        sockopt::set_receive_buffer(server.as_fd(), 20_000).unwrap();
        let client = Arc::new(wrap(socket(Style::OneToOne, Family::V4)));
        sockopt::set_send_buffer(client.as_fd(), 20_000).unwrap();
        client.connect(peer).await.unwrap();
        const COUNT: u32 = 150;
        let sender = tokio::spawn({
            let client = Arc::clone(&client);
            async move {
                for n in 0..COUNT {
                    let mut data = vec![0; 1000];
                    data[..4].copy_from_slice(&n.to_be_bytes());
                    client.send(&SendInfo::default(), &data).await.unwrap();
                }
            }
        });
        for n in 0..COUNT {
            assert_eq!(message(&server).await[..4], n.to_be_bytes());
        }
        sender.await.unwrap();
    });
}

#[test]
fn an_abort_wakes_the_reader() {
    in_runtime(|| async {
        let [_, peer, _] = addresses(Family::V4);
        let server = wrap(listener(Style::OneToMany, peer));
        let client = wrap(socket(Style::OneToOne, Family::V4));
        client.connect(peer).await.unwrap();
        let mut buf = Vec::new();
        let (read, ()) = tokio::join!(client.recv(&mut buf), async {
            // The reader waits by now.
            tokio::task::yield_now().await;
            server.get_ref().abort(only_association(server.get_ref())).unwrap();
        });
        assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
    });
}

#[test]
fn a_cancelled_read_loses_nothing() {
    in_runtime(|| async {
        let (client, server) = pair(Family::V4);
        let (client, server) = (wrap(client), wrap(server));
        sockopt::set_send_buffer(client.as_fd(), 400_000).unwrap();
        let large = vec![5; 150_000];
        let info = SendInfo::default();
        let sent = client.send(&info, &large);
        let received = async {
            loop {
                let mut buf = Vec::new();
                match tokio::time::timeout(Duration::from_micros(200), server.recv(&mut buf)).await {
                    Ok(done) => {
                        assert!(matches!(done.unwrap(), Some(Received::Message(_))));
                        return buf;
                    }
                    // Cancelled in the middle of the message, perhaps: its beginning is kept by the socket.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let (sent, received) = tokio::join!(sent, received);
        sent.unwrap();
        assert!(received == large);
    });
}

#[test]
fn the_watch_wakes_for_an_address_change() {
    in_runtime(|| async {
        let (client, _server) = pair(Family::V4);
        let [_, _, new] = addresses(Family::V4);
        let mut watch = AsyncWatch::open().unwrap();
        client.bindx_add(&[new]).unwrap();
        let mut answered = false;
        while !answered {
            let sighting = watch.next().await.unwrap();
            answered = sighting.chunks.iter().any(|seen| matches!(seen, Seen::AsconfAck { .. }));
        }
        assert_eq!(watch.lost().unwrap(), 0);
    });
}

#[test]
fn sockets_are_handed_over() {
    in_runtime(|| async {
        let (client, server) = pair(Family::V4);
        let (program, agent) = tokio::net::UnixStream::pair().unwrap();
        let message = vec![7; 60_000];
        let fds = [client.as_fd(), server.as_fd()];
        let (sent, got) = tokio::join!(send_sockets(&program, &message, &fds), recv_sockets(&agent));
        sent.unwrap();
        let got = got.unwrap().unwrap();
        assert_eq!(got.message, message);
        assert_eq!(got.sockets[0].inode().unwrap(), client.inode().unwrap());
        drop(program);
        assert!(recv_sockets(&agent).await.unwrap().is_none());
    });
}
