//! Every option is read back as it was set.

use std::os::fd::AsFd;

use sctp_sys::event::EventType;
use sctp_sys::sockopt::{self as opt, *};
use sctp_sys::{Family, Style};

use crate::common::*;

#[test]
fn timers_and_limits_are_read_back() {
    in_namespace(|| {
        let (client, _server) = pair(Family::V4);
        let [_, peer, _] = addresses(Family::V4);
        let fd = client.as_fd();

        let rto = RtoInfo { initial: 1100, max: 1200, min: 300 };
        set_rto_info(fd, 0, rto).unwrap();
        assert_eq!(rto_info(fd, 0).unwrap(), rto);

        let path = PeerAddrParams {
            address: Some(peer),
            heartbeat_interval: 1240,
            heartbeats: Some(true),
            path_max_retransmissions: 77,
            path_mtu: 1300,
            pmtu_discovery: Some(false),
            sack_delay: 100,
        };
        set_peer_addr_params(fd, 0, &path).unwrap();
        assert_eq!(peer_addr_params(fd, 0, Some(peer)).unwrap(), path);
        // Left as they are.
        set_peer_addr_params(fd, 0, &PeerAddrParams { address: Some(peer), ..Default::default() }).unwrap();
        assert_eq!(peer_addr_params(fd, 0, Some(peer)).unwrap(), path);
        // The association's own values are those of future paths.
        set_peer_addr_params(fd, 0, &PeerAddrParams { path_max_retransmissions: 66, ..Default::default() })
            .unwrap();
        assert_eq!(peer_addr_params(fd, 0, None).unwrap().path_max_retransmissions, 66);
        assert_eq!(peer_addr_params(fd, 0, Some(peer)).unwrap().path_max_retransmissions, 66);

        // After the paths', and not above what they allow together once there are several.
        let limits = AssocParams { max_retransmissions: 60, cookie_life: 50_000, ..Default::default() };
        set_assoc_params(fd, 0, limits).unwrap();
        let got = assoc_params(fd, 0).unwrap();
        assert_eq!((got.max_retransmissions, got.cookie_life, got.peer_destinations), (60, 50_000, 1));
        assert!(got.peer_rwnd > 0 && got.local_rwnd > 0);

        let thresholds =
            Thresholds { path_max_retransmissions: 9, potentially_failed: 2, primary_switchover: 5 };
        set_thresholds(fd, 0, Some(peer), thresholds).unwrap();
        assert_eq!(opt::thresholds(fd, 0, Some(peer)).unwrap(), thresholds);

        set_udp_encapsulation(fd, 0, Some(peer), 0).unwrap();
        assert_eq!(udp_encapsulation(fd, 0, Some(peer)).unwrap(), 0);
        heartbeat_now(fd, 0, peer).unwrap();
    });
}

#[test]
fn defaults_of_an_endpoint_are_read_back() {
    in_namespace(|| {
        for style in [Style::OneToOne, Style::OneToMany] {
            let socket = socket(style, Family::V6);
            let fd = socket.as_fd();

            let init = InitMsg { out_streams: 33, max_in_streams: 44, max_attempts: 5, max_timeout: 666 };
            set_init_msg(fd, init).unwrap();
            assert_eq!(init_msg(fd).unwrap(), init);

            let send = DefaultSendInfo { stream: 3, flags: 1, ppid: 11, context: 9 };
            set_default_send_info(fd, 0, send).unwrap();
            assert_eq!(default_send_info(fd, 0).unwrap(), send);

            let sack = SackInfo { delay: 123, frequency: 4 };
            set_sack_info(fd, 0, sack).unwrap();
            assert_eq!(sack_info(fd, 0).unwrap(), sack);

            for on in [true, false] {
                set_nodelay(fd, on).unwrap();
                assert_eq!(nodelay(fd).unwrap(), on);
                set_mapped_v4(fd, on).unwrap();
                assert_eq!(mapped_v4(fd).unwrap(), on);
                set_reuse_port(fd, on).unwrap();
                assert_eq!(reuse_port(fd).unwrap(), on);
                set_reuse_addr(fd, on).unwrap();
                assert_eq!(reuse_addr(fd).unwrap(), on);
                set_v6_only(fd, on).unwrap();
                assert_eq!(v6_only(fd).unwrap(), on);
                set_expose_potentially_failed(fd, 0, on).unwrap();
                assert_eq!(expose_potentially_failed(fd, 0).unwrap(), on);
                set_auth_supported(fd, 0, on).unwrap();
                assert_eq!(auth_supported(fd, 0).unwrap(), on);
                set_asconf_supported(fd, 0, on).unwrap();
                assert_eq!(asconf_supported(fd, 0).unwrap(), on);
                for family in [Family::V4, Family::V6] {
                    set_freebind(fd, family, on).unwrap();
                    assert_eq!(freebind(fd, family).unwrap(), on);
                }
                set_recv_rcvinfo(fd, on).unwrap();
                assert_eq!(recv_rcvinfo(fd).unwrap(), on);
                set_linger(fd, on.then_some(3)).unwrap();
            }
            set_max_seg(fd, 0, 1000).unwrap();
            assert_eq!(max_seg(fd, 0).unwrap(), 1000);
            set_fragment_interleave(fd, 1).unwrap();
            assert_eq!(fragment_interleave(fd).unwrap(), 1);
            set_partial_delivery_point(fd, 4096).unwrap();
            assert_eq!(partial_delivery_point(fd).unwrap(), 4096);
            set_adaptation_layer(fd, 0x1234).unwrap();
            assert_eq!(adaptation_layer(fd).unwrap(), 0x1234);
            set_receive_buffer(fd, 50_000).unwrap();
            assert_eq!(receive_buffer(fd).unwrap(), 100_000);
            set_send_buffer(fd, 50_000).unwrap();
            set_udp_encapsulation(fd, 0, None, 9899).unwrap();
            assert_eq!(udp_encapsulation(fd, 0, None).unwrap(), 9899);

            assert_eq!(protocol(fd).unwrap(), sctp_sys::abi::IPPROTO_SCTP);
            assert_eq!(domain(fd).unwrap(), Family::V6);
            assert_eq!(socket.style().unwrap(), style);
            assert!(take_error(fd).unwrap().is_none());
        }
        let many = socket(Style::OneToMany, Family::V4);
        set_autoclose(many.as_fd(), 30).unwrap();
        assert_eq!(autoclose(many.as_fd()).unwrap(), 30);
    });
}

#[test]
fn every_kind_of_notification_is_switched_by_itself() {
    in_namespace(|| {
        let socket = socket(Style::OneToMany, Family::V4);
        let fd = socket.as_fd();
        for one in EventType::ALL {
            set_events(fd, &[one]).unwrap();
            for other in EventType::ALL {
                assert_eq!(event(fd, FUTURE_ASSOC, other).unwrap(), other == one, "{one:?} {other:?}");
            }
            set_event(fd, FUTURE_ASSOC, one, false).unwrap();
        }
    });
}

#[test]
fn auto_asconf_is_for_wildcard_sockets_alone() {
    in_namespace(|| {
        let wildcard = listener(Style::OneToOne, at("0.0.0.0:7000"));
        set_auto_asconf(wildcard.as_fd(), true).unwrap();
        assert!(auto_asconf(wildcard.as_fd()).unwrap());
        set_auto_asconf(wildcard.as_fd(), false).unwrap();
        assert!(!auto_asconf(wildcard.as_fd()).unwrap());

        let explicit = listener(Style::OneToOne, at("192.0.2.1:7001"));
        let refused = set_auto_asconf(explicit.as_fd(), true).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn an_association_tells_its_state() {
    in_namespace(|| {
        for family in [Family::V4, Family::V6] {
            let (client, server) = pair(family);
            let [own, peer, _] = addresses(family);
            let fd = client.as_fd();
            let status = status(fd, 0).unwrap();
            assert_eq!(status.state, AssocState::Established);
            assert_eq!(status.primary.address, Some(peer));
            assert_eq!(status.primary.state, PathState::Active);
            assert_eq!((status.unacked, status.pending), (0, 0));
            assert!(status.out_streams > 0 && status.in_streams > 0 && status.fragmentation_point > 0);

            let path = peer_addr_info(fd, 0, peer).unwrap();
            assert_eq!(path.state, PathState::Active);
            assert!(path.cwnd > 0 && path.rto > 0 && path.mtu > 0);

            assert_eq!(local_addrs(fd, 0).unwrap(), [own]);
            assert_eq!(peer_addrs(fd, 0).unwrap(), [peer]);
            assert_eq!(primary(fd, 0).unwrap(), peer);
            set_primary(fd, 0, peer).unwrap();

            assert!(asconf_supported(fd, 0).unwrap());
            assert!(auth_supported(fd, 0).unwrap());
            assert!(peer_auth_chunks(fd, 0).unwrap().contains(&0xc1));
            assert!(local_auth_chunks(fd, 0).unwrap().contains(&0x80));

            client.send(&Default::default(), b"x").unwrap();
            message(&server);
            let stats = assoc_stats(fd, 0).unwrap();
            assert!(stats.packets_out > 0 && stats.packets_in > 0 && stats.ordered_chunks_out == 1);

            // One-to-one sockets have no list of associations.
            assert_eq!(assoc_ids(fd).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
        }
    });
}

#[test]
fn more_chunks_can_be_asked_to_be_authenticated() {
    in_namespace(|| {
        let [own, peer, _] = addresses(Family::V4);
        let listener = listener(Style::OneToOne, peer);
        add_auth_chunk(listener.as_fd(), 0).unwrap();
        let client = socket(Style::OneToOne, Family::V4);
        client.bind(own).unwrap();
        client.connect(peer).unwrap();
        assert!(peer_auth_chunks(client.as_fd(), 0).unwrap().contains(&0));
        assert_eq!(add_auth_chunk(listener.as_fd(), 0x0f).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn long_lists_are_read_whole() {
    in_namespace(|| {
        // More addresses and associations than the first buffers hold.
        let addrs: Vec<_> = (1..=40).map(|n| at(&format!("[2001:db8:1::{n:x}]:7000"))).collect();
        ip_batch(
            &addrs.iter().map(|a| format!("addr add {}/128 dev lo nodad\n", a.ip())).collect::<String>(),
        );
        let server = socket(Style::OneToMany, Family::V6);
        server.bindx_add(&addrs).unwrap();
        server.listen(200).unwrap();
        assert_eq!(local_addrs(server.as_fd(), FUTURE_ASSOC).unwrap(), addrs);

        let client = socket(Style::OneToOne, Family::V6);
        client.connect(addrs[0]).unwrap();
        assert_eq!(peer_addrs(client.as_fd(), 0).unwrap().len(), addrs.len());

        let [_, peer, _] = addresses(Family::V6);
        let many = listener(Style::OneToMany, peer);
        let clients: Vec<_> = (0..70)
            .map(|_| {
                let client = socket(Style::OneToOne, Family::V6);
                client.connect(peer).unwrap();
                client
            })
            .collect();
        until("70 associations", || assoc_ids(many.as_fd()).unwrap().len() == clients.len());
    });
}
