use proptest::prelude::*;

use super::*;
use crate::testing::hex_lines;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn packets() -> Vec<Vec<u8>> {
    hex_lines(include_str!("../../tests/fixtures/packets.hex"))
}

#[test]
fn a_session_of_the_kernel_is_understood() {
    let seen: Vec<(IpAddr, Vec<Seen>)> = packets()
        .iter()
        .filter_map(|bytes| {
            let packet = dissect(bytes, None).unwrap();
            let chunks = walk(packet.chunks);
            (!chunks.is_empty()).then_some((packet.source, chunks))
        })
        .collect();
    let (client, server) = (ip("192.0.2.1"), ip("192.0.2.9"));
    let added = ip("192.0.2.2");
    let serial = 0x4fcf_0034;
    let asconf = |number: u32, address, param| {
        vec![Seen::Asconf {
            serial: serial + number,
            address: Some(address),
            params: vec![param],
            authenticated: true,
        }]
    };
    let ack = |number: u32| {
        vec![Seen::AsconfAck {
            serial: serial + number,
            errors: vec![],
            successes: vec![],
            authenticated: true,
        }]
    };
    let correlation = 0;
    assert_eq!(
        seen,
        [
            (client, vec![Seen::CookieEcho]),
            (server, vec![Seen::CookieAck]),
            (client, asconf(0, client, AsconfParam::Add { correlation, address: added })),
            (server, ack(0)),
            (client, asconf(1, added, AsconfParam::SetPrimary { correlation, address: added })),
            (server, ack(1)),
            (added, asconf(2, added, AsconfParam::Delete { correlation, address: client })),
            (server, ack(2)),
            (added, vec![Seen::Abort { reflected: false, causes: vec![Cause { code: 12, data: vec![] }] }]),
            (ip("2001:db8::1"), vec![Seen::CookieEcho]),
            (ip("2001:db8::9"), vec![Seen::CookieAck]),
        ]
    );
}

#[test]
fn ports_and_tag_are_those_of_the_packet() {
    let all = packets();
    let packet = dissect(&all[1], None).unwrap();
    assert_eq!((packet.source_port, packet.destination_port), (5000, 6000));
    assert_eq!(packet.destination, ip("192.0.2.1"));
    assert_eq!(packet.vtag, 0x03ef_cd32);
    assert_eq!(packet.udp, None);
}

#[test]
fn an_answer_tells_which_changes_were_refused_and_why() {
    let mut chunk = vec![0x80, 0, 0, 8 + 16 + 8 + 8];
    chunk.extend_from_slice(&7u32.to_be_bytes());
    // An error with cause 0x00a4, holding the parameter it is about (empty here), then a success.
    chunk.extend_from_slice(&[0xc0, 3, 0, 16, 0, 0, 0, 1, 0, 0xa4, 0, 8, 1, 2, 3, 4]);
    chunk.extend_from_slice(&[0xc0, 5, 0, 8, 0, 0, 0, 2]);
    chunk.extend_from_slice(&[0xc0, 3, 0, 8, 0, 0, 0, 3]);
    assert_eq!(
        walk(&chunk),
        [Seen::AsconfAck {
            serial: 7,
            errors: vec![(1, 0xa4), (3, 0)],
            successes: vec![2],
            authenticated: false,
        }]
    );
}

#[test]
fn ipv6_addresses_and_unknown_parameters_are_kept() {
    let mut chunk = vec![0xc1, 0, 0, 8 + 20 + 28 + 8];
    chunk.extend_from_slice(&9u32.to_be_bytes());
    let mut address = vec![0, 6, 0, 20, 0x20, 1, 0xd, 0xb8];
    address.extend_from_slice(&[0; 11]);
    address.push(1);
    chunk.extend_from_slice(&address);
    chunk.extend_from_slice(&[0xc0, 2, 0, 28, 0, 0, 0, 5]);
    chunk.extend_from_slice(&address);
    chunk.extend_from_slice(&[0xc0, 6, 0, 8, 1, 2, 3, 4]);
    assert_eq!(
        walk(&chunk),
        [Seen::Asconf {
            serial: 9,
            address: Some(ip("2001:db8::1")),
            params: vec![
                AsconfParam::Delete { correlation: 5, address: ip("2001:db8::1") },
                AsconfParam::Other { type_: 0xc006, data: vec![1, 2, 3, 4] },
            ],
            authenticated: false,
        }]
    );
}

#[test]
fn what_follows_a_packet_is_not_part_of_it() {
    // Small Ethernet frames are padded.
    let mut abort = packets()[14].clone();
    assert!(matches!(walk(dissect(&abort, None).unwrap().chunks)[..], [Seen::Abort { .. }]));
    abort.extend_from_slice(&[6, 0, 0, 4, 6, 0, 0, 4]);
    assert_eq!(walk(dissect(&abort, None).unwrap().chunks).len(), 1);
}

#[test]
fn a_packet_in_udp_is_looked_into_when_asked_for() {
    let plain = packets()[6].clone();
    let mut wrapped = plain[..20].to_vec();
    wrapped[9] = 17;
    let total = (plain.len() + 8) as u16;
    wrapped[2..4].copy_from_slice(&total.to_be_bytes());
    wrapped.extend_from_slice(&[0x26, 0xab, 0x27, 0x10]);
    wrapped.extend_from_slice(&(total - 20).to_be_bytes());
    wrapped.extend_from_slice(&[0, 0]);
    wrapped.extend_from_slice(&plain[20..]);
    let packet = dissect(&wrapped, Some(9899)).unwrap();
    assert_eq!(packet.udp, Some((9899, 10000)));
    assert_eq!(packet.chunks, dissect(&plain, None).unwrap().chunks);
    assert_eq!(dissect(&wrapped, Some(9898)), None);
    assert_eq!(dissect(&wrapped, None), None);
}

#[test]
fn extension_headers_are_passed_over() {
    let plain = packets().into_iter().find(|p| p[0] >> 4 == 6).unwrap();
    let mut long = plain[..40].to_vec();
    long[6] = 0;
    let length = u16::from_be_bytes([plain[4], plain[5]]) + 8 + 16;
    long[4..6].copy_from_slice(&length.to_be_bytes());
    long.extend_from_slice(&[60, 0, 1, 4, 0, 0, 0, 0]);
    long.extend_from_slice(&[132, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    long.extend_from_slice(&plain[40..]);
    assert_eq!(dissect(&long, None), dissect(&plain, None));
}

#[test]
fn a_time_of_the_kernel_is_a_time() {
    let mut data = 1_700_000_000u64.to_ne_bytes().to_vec();
    data.extend_from_slice(&5u64.to_ne_bytes());
    let time = timestamp(&data).unwrap();
    assert_eq!(time.duration_since(SystemTime::UNIX_EPOCH).unwrap(), Duration::new(1_700_000_000, 5));
    assert_eq!(timestamp(&data[..15]), None);
    assert_eq!(timestamp(&[0xff; 16]), None);
}

proptest! {
    #[test]
    fn any_chunks_are_walked(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(walk(&bytes).len() <= bytes.len() / 4);
    }

    #[test]
    fn any_parameters_are_walked(
        kind in prop_oneof![Just(0xc1u8), Just(0x80), Just(6)],
        body in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xc0), 0u8..20, any::<u8>()], 0..200),
    ) {
        let mut chunk = vec![kind, 0];
        chunk.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
        chunk.extend_from_slice(&body);
        let _ = walk(&chunk);
    }

    #[test]
    fn any_packet_is_dissected_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        version in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()],
        protocol in prop_oneof![Just(132u8), Just(17), Just(0), Just(60)],
    ) {
        let mut bytes = bytes;
        if bytes.len() > 9 {
            bytes[0] = version;
            bytes[if version == 0x60 { 6 } else { 9 }] = protocol;
        }
        let _ = dissect(&bytes, Some(9899));
    }

    #[test]
    fn a_session_with_any_octets_changed_is_walked(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut all = packets();
        for (packet, at, value) in changes {
            let packet = packet.index(all.len());
            let at = at.index(all[packet].len());
            all[packet][at] = value;
        }
        for packet in &all {
            if let Some(packet) = dissect(packet, None) {
                let _ = walk(packet.chunks);
            }
        }
    }
}
