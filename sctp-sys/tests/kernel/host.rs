//! The host's associations and sockets, by sock_diag and by /proc.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use sctp_sys::diag::{
    Kind, Snapshot, Source, association, listening, snapshot, snapshot_by_sock_diag, snapshot_from_proc,
};
use sctp_sys::sockopt::{self, AssocState};
use sctp_sys::{Family, SendInfo, Socket, Style};

use crate::common::*;

/// A pair whose client has one more address, which the server knows; the client's, the server's and the new one.
fn widened(family: Family) -> (Socket, Socket, [SocketAddr; 3]) {
    let (client, server) = pair(family);
    let addresses = addresses(family);
    client.bindx_add(&[addresses[2]]).unwrap();
    until("the peer lists it", || server.peer_addrs(0).unwrap().contains(&addresses[2]));
    (client, server, addresses)
}

#[test]
fn an_association_is_listed_with_its_addresses_and_inode() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let (client, server, [own, peer, new]) = widened(family);
            client.send(&SendInfo::default(), b"x").unwrap();
            message(&server);
            let sources: [(Source, Snapshot); 2] = [
                (Source::SockDiag, snapshot_by_sock_diag().unwrap()),
                (Source::Proc, snapshot_from_proc().unwrap()),
            ];
            for (source, snapshot) in sources {
                let entry = |inode| snapshot.associations.iter().find(|a| a.inode == inode).unwrap();
                let c = entry(client.inode().unwrap());
                assert_eq!(c.source, source);
                assert_eq!((c.local_port, c.peer_port, c.uid), (own.port(), peer.port(), 0));
                assert_eq!(c.state, AssocState::Established);
                assert_eq!(c.local, [own.ip(), new.ip()], "{source:?}");
                assert_eq!(c.peer, [peer.ip()]);
                assert_eq!(c.primary, Some(peer.ip()));
                assert_eq!(c.kind, Some(Kind::OneToOne));
                let s = entry(server.inode().unwrap());
                assert_eq!(s.local, [peer.ip()]);
                assert!(s.peer.contains(&own.ip()) && s.peer.contains(&new.ip()));
                match source {
                    Source::SockDiag => {
                        assert_eq!(c.family, Some(family));
                        assert_eq!((c.my_tag, c.peer_tag), (s.peer_tag, s.my_tag));
                        let detail = c.detail.unwrap();
                        assert!(detail.addip && detail.auth && detail.packets_out > 0);
                    }
                    Source::Proc => {
                        let assoc = sockopt::status(client.as_fd(), 0).unwrap().assoc;
                        assert_eq!(c.assoc_id, Some(assoc));
                    }
                }
            }
        }
    });
}

#[test]
fn one_association_is_asked_for_by_any_of_its_addresses() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let (client, server, [own, peer, new]) = widened(family);
            let whole = snapshot_by_sock_diag().unwrap();
            for (local, remote, socket) in [(own, peer, &client), (peer, own, &server), (peer, new, &server)]
            {
                let inode = socket.inode().unwrap();
                let expected = whole.associations.iter().find(|a| a.inode == inode).unwrap();
                let found = association(local, remote).unwrap().unwrap();
                // What only the socket's own entry tells is not asked for.
                assert_eq!(found.local, expected.local);
                assert_eq!(found.peer, expected.peer);
                assert_eq!(
                    (found.inode, found.my_tag, found.state),
                    (inode, expected.my_tag, expected.state)
                );
                assert_eq!((found.local_port, found.peer_port), (local.port(), remote.port()));
            }
            let nobody = std::net::SocketAddr::new(peer.ip(), 9);
            assert_eq!(association(own, nobody).unwrap(), None);
        }
    });
}

#[test]
fn listeners_are_listed_with_their_binding() {
    in_namespace(|| {
        let explicit = listener(Style::OneToOne, at("192.0.2.9:5000"));
        explicit.bindx_add(&[at("192.0.2.2:5000")]).unwrap();
        let wildcard = listener(Style::OneToMany, at("0.0.0.0:5001"));
        let wildcard6 = listener(Style::OneToMany, at("[::]:5002"));
        for snapshot in [snapshot().unwrap(), snapshot_from_proc().unwrap()] {
            let entry = |inode| snapshot.endpoint(inode).unwrap();
            let e = entry(explicit.inode().unwrap());
            assert_eq!((e.local_port, e.listening, e.wildcard), (5000, true, false));
            assert_eq!(e.local, [ip("192.0.2.9"), ip("192.0.2.2")]);
            assert_eq!(e.kind, Some(Kind::OneToOne));
            let e = entry(wildcard.inode().unwrap());
            assert_eq!((e.local_port, e.listening, e.wildcard), (5001, true, true));
            assert_eq!(e.kind, Some(Kind::OneToMany));
            assert!(entry(wildcard6.inode().unwrap()).wildcard);
            assert!(snapshot.associations.is_empty());
        }
    });
}

#[test]
fn a_peer_without_add_ip_is_known_without_touching_the_socket() {
    in_namespace(|| {
        let [_, peer, _] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        sockopt::set_asconf_supported(server.as_fd(), 0, false).unwrap();
        let client = socket(Style::OneToOne, Family::V4);
        client.connect(peer).unwrap();
        let inode = client.inode().unwrap();
        let snapshot = snapshot_by_sock_diag().unwrap();
        let entry = snapshot.associations.iter().find(|a| a.inode == inode).unwrap();
        assert!(!entry.detail.unwrap().addip);
    });
}

#[test]
fn many_associations_are_each_listed_once() {
    in_namespace(|| {
        let [own, peer, second] = addresses(Family::V4);
        let server = listener(Style::OneToMany, peer);
        let clients: Vec<_> = (0..300)
            .map(|n| {
                let client = socket(Style::OneToOne, Family::V4);
                // Two addresses each, so that a path may not be taken for an association.
                let port = 10_000 + n;
                let on = |addr: std::net::SocketAddr| std::net::SocketAddr::new(addr.ip(), port);
                client.bindx_add(&[on(own), on(second)]).unwrap();
                client.connect(peer).unwrap();
                client
            })
            .collect();
        until("300 associations", || sockopt::assoc_ids(server.as_fd()).unwrap().len() == clients.len());
        for snapshot in [snapshot_by_sock_diag().unwrap(), snapshot_from_proc().unwrap()] {
            assert_eq!(snapshot.associations.len(), 2 * clients.len());
            let of_server = snapshot.associations.iter().filter(|a| a.inode == server.inode().unwrap());
            let mut ports: Vec<_> = of_server.map(|a| a.peer_port).collect();
            ports.sort_unstable();
            assert_eq!(ports, (10_000..10_300).collect::<Vec<_>>());
        }
    });
}

#[test]
fn the_sockets_that_listen_are_listed_without_those_that_were_accepted() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let [_, peer, _] = addresses(family);
            let server = listener(Style::OneToOne, peer);
            let client = socket(Style::OneToOne, family);
            client.connect(peer).unwrap();
            let accepted = server.accept().unwrap();
            assert_eq!(snapshot().unwrap().associations.len(), 2);
            let all = listening().unwrap();
            assert_eq!(all.iter().map(|it| it.inode).collect::<Vec<_>>(), [server.inode().unwrap()]);
            assert_eq!((all[0].local_port, &all[0].local[..]), (peer.port(), &[peer.ip()][..]));
            assert!(all[0].listening && !all[0].wildcard && all[0].kind == Some(Kind::OneToOne));
            drop(accepted);
        }
    });
}

#[test]
fn a_host_without_associations_lists_none() {
    in_namespace(|| {
        assert_eq!(listening().unwrap(), []);
        assert_eq!(snapshot().unwrap(), Snapshot::default());
        assert_eq!(snapshot_from_proc().unwrap(), Snapshot::default());
    });
}
