//! What rsplib sends, as captured on the wire: all of it decodes, and ours is the same octets.

#[path = "common/capture.rs"]
mod capture;

use std::collections::BTreeMap;

use asap_client::wire::{Cause, Message, MessageType, PORT, PPID, Problem, Transport, decode};
use capture::Captured;

/// Hand-made messages that break a rule on purpose are in this capture alone.
const HAND_MADE: &str = "raw-errors.pcap";

/// Every ASAP message of every capture, with the capture's name.
fn captured() -> Vec<(String, Captured)> {
    capture::all(PPID, PORT)
}

fn hand_made() -> Vec<Captured> {
    captured().into_iter().filter(|(name, _)| name == HAND_MADE).map(|(_, message)| message).collect()
}

/// The octets with every length as rsplib counts it: the last padding included, in the message and in what nests
/// parameters (pool element, operation error; a transport is always a multiple of 4).
fn with_last_padding_counted(bytes: &[u8]) -> Vec<u8> {
    fn round(bytes: &mut [u8], at: usize) {
        let length = u16::from_be_bytes([bytes[at], bytes[at + 1]]).next_multiple_of(4);
        bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    let mut bytes = bytes.to_vec();
    round(&mut bytes, 2);
    let mut at = if matches!(bytes[0], 0x07 | 0x0a) { 8 } else { 4 };
    while at + 4 <= bytes.len() {
        if matches!((bytes[at], bytes[at + 1]), (0, 0x0a | 0x0c)) {
            round(&mut bytes, at + 2);
        }
        at += usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]).next_multiple_of(4));
    }
    bytes
}

#[test]
fn every_message_that_rsplib_sent_decodes_and_encodes_to_the_same_octets() {
    let mut compared: BTreeMap<MessageType, usize> = BTreeMap::new();
    for (name, captured) in captured() {
        if name == HAND_MADE && captured.destination.1 == PORT {
            continue;
        }
        let place = format!("{name}, frame {}", captured.frame);
        let decoded = decode(&captured.bytes).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(decoded.reports, [], "{place}");
        let ours = decoded.message.encode();
        assert!(
            ours == captured.bytes || with_last_padding_counted(&ours) == captured.bytes,
            "{place}: {}\n theirs {:02x?}\n   ours {ours:02x?}",
            decoded.message,
            captured.bytes
        );
        *compared.entry(decoded.message.type_()).or_default() += 1;
    }
    let expected = [
        (MessageType::REGISTRATION, 33),
        (MessageType::DEREGISTRATION, 9),
        (MessageType::REGISTRATION_RESPONSE, 38),
        (MessageType::DEREGISTRATION_RESPONSE, 9),
        (MessageType::HANDLE_RESOLUTION, 17),
        (MessageType::HANDLE_RESOLUTION_RESPONSE, 20),
        (MessageType::ENDPOINT_KEEP_ALIVE, 36),
        (MessageType::ENDPOINT_KEEP_ALIVE_ACK, 34),
        (MessageType::ENDPOINT_UNREACHABLE, 3),
        (MessageType::SERVER_ANNOUNCE, 54),
        (MessageType::COOKIE, 16),
        (MessageType::COOKIE_ECHO, 1),
        (MessageType::ERROR, 2),
    ];
    assert_eq!(compared, BTreeMap::from(expected));
}

#[test]
fn hand_made_messages_get_what_the_high_bits_of_their_types_ask_for() {
    let all = hand_made();
    let sent = |frame: usize| {
        let message = all.iter().find(|captured| captured.frame == frame).unwrap();
        (decode(&message.bytes), message.bytes.clone())
    };

    let (unknown_message, _) = sent(11);
    let unknown_message = unknown_message.unwrap_err();
    assert!(matches!(unknown_message.problem, Problem::UnknownMessage { message: 0x3f, .. }));
    assert_eq!(unknown_message.report(), None);

    let (silent, _) = sent(20);
    assert_eq!(silent.unwrap_err().report(), None);

    let (reported, bytes) = sent(29);
    let report = reported.unwrap_err().report().unwrap();
    assert_eq!(report, Message::Error(vec![Cause::unrecognized_parameter(&bytes[16..])]));
    let (rsplibs, bytes) = sent(31);
    assert_eq!(rsplibs.unwrap().message, report, "rsplib answers the same");
    assert_eq!(report.encode(), bytes);

    let (skipped, _) = sent(40);
    assert_eq!(skipped.unwrap().reports, []);
    let (skipped_and_reported, bytes) = sent(51);
    assert_eq!(skipped_and_reported.unwrap().reports, [Cause::unrecognized_parameter(&bytes[16..])]);

    let (longer_than_it_says, _) = sent(148);
    let error = longer_than_it_says.unwrap_err();
    assert_eq!(error.problem, Problem::Length { stated: 88, available: 92 });
}

#[test]
fn registrations_that_break_rules_of_the_registrar_alone_are_whole_messages() {
    let mut transports = Vec::new();
    for captured in hand_made() {
        if let Ok(decoded) = decode(&captured.bytes)
            && let Message::Registration { element, .. } = &decoded.message
        {
            assert_eq!(decoded.message.encode(), captured.bytes);
            transports.push(element.user.type_());
        }
    }
    assert_eq!(transports.len(), 6);
    assert!(transports.contains(&Transport::Tcp { port: 1, address: [0; 4].into() }.type_()));
    assert!(transports.contains(&Transport::Udp { port: 1, address: [0; 4].into() }.type_()));
}
