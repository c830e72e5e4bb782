use proptest::prelude::*;

use super::*;
use crate::testing::hex_lines;

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn dump(text: &str) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let datagrams = hex_lines(text);
    let (last, first) = datagrams.split_last().unwrap();
    for datagram in first {
        assert!(!parse_datagram(datagram, 1, &mut snapshot).unwrap());
    }
    assert!(parse_datagram(last, 1, &mut snapshot).unwrap());
    snapshot.unique();
    snapshot
}

const DIAG4: &str = include_str!("../../tests/fixtures/diag-ipv4.hex");
const DIAG6: &str = include_str!("../../tests/fixtures/diag-ipv6.hex");

#[test]
fn a_dump_of_the_kernel_is_understood() {
    let snapshot = dump(DIAG4);
    let [client, server] = &snapshot.associations[..] else { panic!("{snapshot:#?}") };
    let (client, server) = if client.local_port == 6000 { (client, server) } else { (server, client) };
    assert_eq!((client.local_port, client.peer_port), (6000, 5000));
    assert_eq!(client.local, ips(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(client.peer, ips(&["192.0.2.9"]));
    assert_eq!(client.primary, Some("192.0.2.9".parse().unwrap()));
    assert_eq!(client.state, AssocState::Established);
    assert_eq!(client.kind, Some(Kind::OneToOne));
    assert_eq!(client.family, Some(Family::V4));
    assert_eq!(server.primary, Some("192.0.2.2".parse().unwrap()));
    assert_eq!(server.kind, Some(Kind::OneToMany));
    assert_eq!(client.my_tag, server.peer_tag);
    assert_eq!(client.peer_tag, server.my_tag);
    assert_ne!(client.my_tag, Some(0));
    let detail = client.detail.unwrap();
    assert!(detail.addip && detail.auth);
    assert_eq!((detail.unacked, detail.overall_errors), (0, 0));
    assert!(detail.peer_rwnd > 0 && !detail.is_jammed());
    assert_eq!(detail.primary_state, PathState::Active);
    assert!(detail.rto >= 1000 && detail.packets_out > 0 && detail.packets_in > 0);

    let endpoint = snapshot.endpoint(server.inode).unwrap();
    assert_eq!(endpoint.local, ips(&["192.0.2.9"]));
    assert!(endpoint.listening && !endpoint.wildcard);
    assert_eq!(endpoint.local_port, 5000);
    assert!(!snapshot.endpoint(client.inode).unwrap().listening);
}

#[test]
fn an_association_is_jammed_if_data_waits_for_a_full_peer_and_nothing_is_under_way() {
    let calm = dump(DIAG4).associations[0].detail.unwrap();
    let stands = |out_queue, unacked, peer_rwnd| Detail { out_queue, unacked, peer_rwnd, ..calm }.is_jammed();
    assert!(stands(135, 0, 0));
    // A chunk that asks whether the peer still is full; a peer with room; nothing to send.
    assert!(!stands(135, 1, 0) && !stands(135, 0, 1) && !stands(0, 0, 0));
}

#[test]
fn a_dump_of_ipv6_is_understood() {
    let snapshot = dump(DIAG6);
    let client = snapshot.associations.iter().find(|a| a.local_port == 6000).unwrap();
    assert_eq!(client.local, ips(&["2001:db8::1"]));
    assert_eq!(client.primary, Some("2001:db8::9".parse().unwrap()));
    assert_eq!(client.family, Some(Family::V6));
    assert_eq!(snapshot.endpoints.len(), 2);
}

#[test]
fn proc_and_sock_diag_tell_the_same() {
    for (diag, assocs, eps) in [
        (
            DIAG4,
            &include_bytes!("../../tests/fixtures/assocs-ipv4")[..],
            &include_bytes!("../../tests/fixtures/eps-ipv4")[..],
        ),
        (
            DIAG6,
            &include_bytes!("../../tests/fixtures/assocs-ipv6")[..],
            &include_bytes!("../../tests/fixtures/eps-ipv6")[..],
        ),
    ] {
        let diag = dump(diag);
        let associations = parse_assocs(assocs);
        assert_eq!(associations.len(), 2);
        for a in &associations {
            assert!(a.assoc_id.is_some_and(|id| id > 2));
            let same = diag.associations.iter().find(|b| b.inode == a.inode).unwrap();
            assert_eq!(
                (a.uid, a.state, a.local_port, a.peer_port, &a.local, &a.peer, a.kind),
                (same.uid, same.state, same.local_port, same.peer_port, &same.local, &same.peer, same.kind)
            );
        }
        // /proc lists no sockets that do not listen.
        let endpoints = parse_eps(eps);
        assert_eq!(endpoints.len(), 1);
        for e in &endpoints {
            let same = diag.endpoint(e.inode).unwrap();
            assert_eq!(
                (e.uid, e.local_port, &e.local, e.wildcard, e.listening, e.kind),
                (same.uid, same.local_port, &same.local, same.wildcard, same.listening, same.kind)
            );
        }
    }
}

#[test]
fn proc_marks_the_primary_path_of_the_peer() {
    let associations = parse_assocs(include_bytes!("../../tests/fixtures/assocs-ipv6"));
    assert_eq!(associations[0].primary, Some("2001:db8::1".parse().unwrap()));
}

#[test]
fn a_wildcard_is_told() {
    let text = b" ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n 0 0 2   10  23   5000   1000   77 0.0.0.0 \n";
    let endpoints = parse_eps(text);
    assert!(endpoints[0].wildcard);
    assert_eq!(endpoints[0].uid, 1000);
}

#[test]
fn further_columns_of_another_kernel_do_no_harm() {
    let text = b"NEW ENDPT STY SST LPORT UID INODE LADDRS\n9 0 2 1 5000 1 77 ::1 192.0.2.7 \nrubbish\n\n";
    let endpoints = parse_eps(text);
    assert_eq!(endpoints.len(), 1);
    assert_eq!(endpoints[0].local, ips(&["::1", "192.0.2.7"]));
}

#[test]
fn a_refusal_is_told_with_its_number() {
    let mut bytes = vec![0u8; 36];
    bytes[0] = 36;
    bytes[4] = 2;
    bytes[8] = 1;
    bytes[16..20].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
    match parse_datagram(&bytes, 1, &mut Snapshot::default()) {
        Err(DiagError::Refused(e)) => assert_eq!(e.raw_os_error(), Some(libc::ENOENT)),
        other => panic!("{other:?}"),
    }
    // The answer to somebody else's question.
    assert!(!parse_datagram(&bytes, 2, &mut Snapshot::default()).unwrap());
}

#[test]
fn an_answer_cut_anywhere_is_refused_or_understood_in_part() {
    let whole = &hex_lines(DIAG4)[0];
    for length in 0..whole.len() {
        let mut snapshot = Snapshot::default();
        let _ = parse_datagram(&whole[..length], 1, &mut snapshot);
        assert!(snapshot.associations.len() <= 2);
    }
}

proptest! {
    #[test]
    fn any_datagram_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_datagram(&bytes, 1, &mut Snapshot::default());
    }

    #[test]
    fn a_dump_with_any_octets_changed_is_parsed_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = hex_lines(DIAG4).remove(0);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = parse_datagram(&bytes, 1, &mut Snapshot::default());
    }

    #[test]
    fn any_table_is_parsed(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = (parse_assocs(&bytes), parse_eps(&bytes));
    }

    #[test]
    fn a_table_with_any_octets_changed_is_parsed(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = include_bytes!("../../tests/fixtures/assocs-ipv4").to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert!(parse_assocs(&bytes).len() <= 3);
        let _ = parse_eps(&bytes);
    }
}
