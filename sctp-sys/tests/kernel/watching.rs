//! What the watch sees, and what it does not.

use std::sync::mpsc;

use nix::unistd::gettid;
use rustix::process::Uid;
use sctp_sys::watch::{Seen, Watch};
use sctp_sys::{Family, SendInfo, Style};

use crate::common::*;

#[test]
fn data_never_reaches_the_watch() {
    in_namespace(|| {
        let (client, server) = pair(Family::V4);
        let watch = Watch::open().unwrap();
        for _ in 0..200 {
            client.send(&SendInfo::default(), &[0; 3000]).unwrap();
            message(&server);
            server.send(&SendInfo::default(), &[0; 10]).unwrap();
            message(&client);
        }
        // Not one packet waits, not even one that would be thrown away.
        assert_eq!(rustix::io::ioctl_fionread(&watch).unwrap(), 0);
    });
}

#[test]
fn the_beginning_and_the_abort_of_an_association_are_seen() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        let (client, _server) = pair(Family::V6);
        let [own, peer, _] = addresses(Family::V6);
        let echo = sighting(&mut watch, true, |seen| matches!(seen, Seen::CookieEcho));
        assert_eq!((echo.source, echo.destination), (own.ip(), peer.ip()));
        let up = sighting(&mut watch, false, |seen| matches!(seen, Seen::CookieAck));
        assert_eq!((up.source_port, up.destination_port), (peer.port(), own.port()));
        client.abort(0).unwrap();
        drop(client);
        let abort = sighting(&mut watch, true, |seen| matches!(seen, Seen::Abort { .. }));
        assert_eq!(abort.vtag, echo.vtag);
        let [Seen::Abort { reflected: false, causes }] = &abort.chunks[..] else { panic!("{abort:?}") };
        assert_eq!(causes[0].code, 12);
    });
}

#[test]
fn nothing_seen_is_told_as_such() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        assert_eq!(watch.try_next().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let none = watch.next_within(std::time::Duration::from_millis(20)).unwrap_err();
        assert_eq!(none.kind(), std::io::ErrorKind::TimedOut);
    });
}

#[test]
fn packets_in_udp_are_seen() {
    in_namespace(|| {
        use sctp_sys::probe::Sysctl;
        Sysctl::UdpPort.write(9899).unwrap();
        Sysctl::EncapPort.write(9899).unwrap();
        let mut plain = Watch::open().unwrap();
        let mut watch = Watch::open_with(Some(9899)).unwrap();
        let (client, server) = pair(Family::V4);
        let up = sighting(&mut watch, false, |seen| matches!(seen, Seen::CookieAck));
        assert_eq!(up.udp, Some((9899, 9899)));
        assert_eq!(plain.try_next().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        drop((client, server));
    });
}

#[test]
fn an_interface_may_come_and_go() {
    in_namespace(|| {
        let mut watch = Watch::open().unwrap();
        let (to_peer, orders) = mpsc::channel::<()>();
        let (to_us, news) = mpsc::channel::<i32>();
        std::thread::scope(|scope| {
            // The other host: a namespace at the other end of the link.
            scope.spawn(move || {
                enter_namespace();
                to_us.send(gettid().as_raw()).unwrap();
                while orders.recv().is_ok() {
                    run("ip addr add 198.51.100.2/24 dev there");
                    run("ip link set there up");
                    let server = listener(Style::OneToOne, at("198.51.100.2:5000"));
                    to_us.send(0).unwrap();
                    let (accepted, _) = server.accept().unwrap();
                    // Until the link has gone.
                    orders.recv().unwrap();
                    accepted.abort(0).unwrap();
                }
            });
            let peer = news.recv().unwrap();
            let mut seen = Vec::new();
            for _ in 0..2 {
                run(&format!("ip link add here type veth peer name there netns {peer}"));
                run("ip addr add 198.51.100.1/24 dev here");
                run("ip link set here up");
                to_peer.send(()).unwrap();
                news.recv().unwrap();
                let client = socket(Style::OneToOne, Family::V4);
                client.connect(at("198.51.100.2:5000")).unwrap();
                let up = sighting(&mut watch, false, |seen| matches!(seen, Seen::CookieAck));
                assert_eq!((up.source, up.destination), (ip("198.51.100.2"), ip("198.51.100.1")));
                seen.push(up.ifindex);
                client.abort(0).unwrap();
                run("ip link del here");
                to_peer.send(()).unwrap();
            }
            assert_ne!(seen[0], seen[1], "two interfaces, one after the other");
            drop(to_peer);
        });
    });
}

#[test]
fn without_the_right_it_is_told_which_one() {
    in_namespace(|| {
        // These calls change the calling thread alone, which is the test's own.
        let uid = Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let refused = Watch::open().unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("CAP_NET_RAW"));
    });
}
