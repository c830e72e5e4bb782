//! The filter is run here by a machine of the tests' own, over packets of a real kernel; that the kernel
//! takes it is shown by the kernel tests.

use proptest::prelude::*;

use super::*;
use crate::testing::hex_lines;
use crate::watch::{dissect, walk};

/// Runs a filter; `None` when it reads beyond the packet (the kernel then drops).
fn run(program: &[Instruction], packet: &[u8], protocol: u32, packet_type: u32) -> Option<u32> {
    let load = |at: u32, size: usize| -> Option<u32> {
        match at {
            PROTOCOL => return Some(protocol),
            PACKET_TYPE => return Some(packet_type),
            _ => {}
        }
        let at = at as usize;
        Some(packet.get(at..at.checked_add(size)?)?.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    };
    let (mut a, mut x, mut memory, mut pc) = (0u32, 0u32, [None; 16], 0usize);
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        pc += 1;
        let mut jump = |holds: bool| pc += usize::from(if holds { jt } else { jf });
        match code {
            LD_B_ABS => a = load(k, 1)?,
            LD_H_ABS => a = load(k, 2)?,
            LD_B_IND => a = load(x.checked_add(k)?, 1)?,
            LD_H_IND => a = load(x.checked_add(k)?, 2)?,
            LD_IMM => a = k,
            LD_MEM => a = memory[k as usize].expect("read before written"),
            ST => memory[k as usize] = Some(a),
            LDX_IMM => x = k,
            LDX_MSH => x = (load(k, 1)? & 0xf) * 4,
            TAX => x = a,
            ADD_K => a = a.wrapping_add(k),
            ADD_X => a = a.wrapping_add(x),
            AND_K => a &= k,
            LSH_K => a <<= k,
            JA => pc += k as usize,
            JEQ => jump(a == k),
            JSET => jump(a & k != 0),
            RET => return Some(k),
            other => panic!("operation {other:#x}"),
        }
    }
}

fn passes(packet: &[u8], udp_port: Option<u16>) -> bool {
    let protocol = if packet.first().is_some_and(|b| b >> 4 == 6) { ETH_P_IPV6 } else { ETH_P_IP };
    run(&filter(udp_port), packet, protocol, 0).unwrap_or(0) != 0
}

fn packets() -> Vec<Vec<u8>> {
    hex_lines(include_str!("../../tests/fixtures/packets.hex"))
}

#[test]
fn every_jump_lands_inside_the_program() {
    for program in [filter(None), filter(Some(9899))] {
        for (at, i) in program.iter().enumerate() {
            let targets = match i.code {
                JA => vec![i.k as usize],
                JEQ | JSET => vec![i.jt.into(), i.jf.into()],
                RET => vec![],
                _ => vec![0],
            };
            assert!(
                targets.iter().all(|distance| at + 1 + distance < program.len()),
                "instruction {at}: {i:?}"
            );
        }
        assert!(program.len() < 200, "distances must fit into eight bits: {}", program.len());
    }
}

#[test]
fn of_a_session_only_what_is_of_interest_passes() {
    let mut passed = 0;
    for packet in packets() {
        let of_interest = !walk(dissect(&packet, None).unwrap().chunks).is_empty();
        assert_eq!(passes(&packet, None), of_interest, "{packet:02x?}");
        passed += usize::from(of_interest);
    }
    assert_eq!(passed, 11);
}

/// An IPv4 packet with these chunk types, each eight octets long.
fn made(chunks: &[u8]) -> Vec<u8> {
    let mut packet = packets()[0][..32].to_vec();
    for kind in chunks {
        packet.extend_from_slice(&[*kind, 0, 0, 7, 0, 0, 0, 0]);
    }
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet
}

#[test]
fn data_acknowledgements_and_heartbeats_are_dropped() {
    for chunks in [&[0u8][..], &[0x40], &[3], &[4], &[5], &[3, 0], &[3, 0, 6], &[7], &[3, 4, 5], &[1], &[]] {
        assert!(!passes(&made(chunks), None), "{chunks:?}");
    }
}

#[test]
fn what_is_of_interest_passes_behind_an_acknowledgement_too() {
    for kind in OF_INTEREST {
        for before in [&[][..], &[3], &[4, 3]] {
            let chunks = [before, &[kind]].concat();
            assert!(passes(&made(&chunks), None), "{chunks:?}");
        }
    }
}

#[test]
fn other_traffic_is_dropped() {
    let mut tcp = made(&[0xc1]);
    tcp[9] = 6;
    assert!(!passes(&tcp, None));
    let mut fragment = made(&[0xc1]);
    fragment[7] = 1;
    assert!(!passes(&fragment, None), "a later fragment has no header");
    let arp = run(&filter(None), &made(&[0xc1]), 0x0806, 0);
    assert_eq!(arp, Some(0));
    let for_others = run(&filter(None), &made(&[0xc1]), ETH_P_IP, libc::PACKET_OTHERHOST.into());
    assert_eq!(for_others, Some(0));
    let outgoing = run(&filter(None), &made(&[0xc1]), ETH_P_IP, libc::PACKET_OUTGOING.into());
    assert_eq!(outgoing, Some(ALL));
}

#[test]
fn ip_options_and_extension_headers_are_passed_over() {
    let plain = made(&[0xc1]);
    let mut options = plain[..20].to_vec();
    options[0] = 0x46;
    options.extend_from_slice(&[1, 1, 1, 0]);
    options.extend_from_slice(&plain[20..]);
    assert!(passes(&options, None));

    let plain = packets().into_iter().find(|p| p[0] >> 4 == 6 && passes(p, None)).unwrap();
    let mut extended = plain[..40].to_vec();
    extended[6] = 0;
    extended.extend_from_slice(&[60, 0, 1, 4, 0, 0, 0, 0]);
    extended.extend_from_slice(&[132, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    extended.extend_from_slice(&plain[40..]);
    assert!(passes(&extended, None));
}

#[test]
fn udp_is_looked_into_only_at_the_port_asked_for() {
    let plain = made(&[0x80]);
    let wrap = |source: u16, destination: u16| {
        let mut packet = plain[..20].to_vec();
        packet[9] = 17;
        packet.extend_from_slice(&source.to_be_bytes());
        packet.extend_from_slice(&destination.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 0]);
        packet.extend_from_slice(&plain[20..]);
        packet
    };
    assert!(passes(&wrap(9899, 1), Some(9899)));
    assert!(passes(&wrap(1, 9899), Some(9899)));
    assert!(!passes(&wrap(1, 2), Some(9899)));
    assert!(!passes(&wrap(9899, 9899), None));
    assert!(passes(&plain, Some(9899)));
}

proptest! {
    #[test]
    fn the_filter_ends_on_any_packet(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        protocol in prop_oneof![Just(ETH_P_IP), Just(ETH_P_IPV6), any::<u32>()],
    ) {
        let _ = run(&filter(Some(9899)), &bytes, protocol, 0);
    }

    #[test]
    fn what_the_walker_would_see_within_three_chunks_passes(
        chunks in proptest::collection::vec(prop_oneof![Just(0u8), Just(3), Just(4), Just(6), Just(0x0f), Just(0xc1)], 0..3),
    ) {
        let packet = made(&chunks);
        let data_first = chunks.iter().position(|k| *k == 0);
        let interest = chunks.iter().position(|k| OF_INTEREST.contains(k));
        let expected = interest.is_some_and(|at| data_first.is_none_or(|data| at < data));
        prop_assert_eq!(passes(&packet, None), expected);
    }
}
