//! The ENRP codec against the RFCs' vectors, what rsplib sends, and everything else.

#[path = "../../asap-client/tests/common/capture.rs"]
mod capture;
#[path = "../../asap-client/tests/common/codec.rs"]
mod codec;
#[path = "../../asap-client/tests/common/vectors.rs"]
mod file;
#[path = "../../asap-client/tests/common/fuzz.rs"]
mod fuzz;
#[path = "../../asap-client/tests/common/strategies.rs"]
mod strategies;

use std::collections::BTreeMap;
use std::net::IpAddr;

use asap_client::wire::{
    Cause, Policy, PoolElement, PoolHandle, Problem, ServerInformation, Transport, TransportUse,
};
use codec::{Protocol, Refusal};
use proptest::collection::vec;
use proptest::prelude::*;
use roam_registrar::enrp::wire::{
    Body, Entry, Message, MessageType as M, PORT, PPID, Profile, UpdateAction, decode,
};
use strategies::{element, error, handle};

const A: u32 = 0xabcd_1234;
const B: u32 = 0x55aa_00ff;
const C: u32 = 0x0102_0304;

fn sctp(port: u16, addresses: &[&str]) -> Transport {
    let addresses = addresses.iter().map(|address| address.parse::<IpAddr>().unwrap()).collect();
    Transport::Sctp { port, use_: TransportUse::DataOnly, addresses }
}

fn server(server: u32, address: &str) -> ServerInformation {
    ServerInformation { server, transport: sctp(9901, &[address]) }
}

fn echo() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn pe() -> PoolElement {
    PoolElement {
        id: 0x1a2b_3c4d,
        home: A,
        life: 300,
        user: sctp(7, &["192.0.2.10", "2001:db8::10"]),
        policy: Policy::RoundRobin,
        asap: Some(sctp(40_000, &["192.0.2.10"])),
    }
}

/// Name -> expected value, of all ENRP vectors.
fn expected() -> Vec<(&'static str, Message)> {
    let message = |sender, receiver, body| Message { sender, receiver, body };
    let update = |receiver, takeover_suggested, action| {
        let element = Box::new(pe());
        message(A, receiver, Body::HandleUpdate { takeover_suggested, action, handle: echo(), element })
    };
    let presence = |receiver, reply_required, server| {
        message(A, receiver, Body::Presence { reply_required, checksum: Some(0x3bd9), server })
    };
    let entry = Entry { handle: echo(), elements: vec![pe()] };
    let table =
        |rejected, more, entries| message(A, B, Body::HandleTableResponse { rejected, more, entries });
    let causes = vec![Cause::unrecognized_parameter(&[0xc0, 0xff, 0, 8, 0xde, 0xad, 0xbe, 0xef])];
    let servers = vec![server(A, "192.0.2.1"), server(C, "192.0.2.3")];
    vec![
        ("ENRP_PRESENCE", presence(0, false, Some(server(A, "192.0.2.1")))),
        ("ENRP_PRESENCE no server info", presence(B, true, None)),
        ("ENRP_HANDLE_TABLE_REQUEST W=1", message(B, A, Body::HandleTableRequest { own: true })),
        ("ENRP_HANDLE_TABLE_RESPONSE M=1", table(false, true, vec![entry])),
        ("ENRP_HANDLE_TABLE_RESPONSE R=1", table(true, false, vec![])),
        ("ENRP_HANDLE_UPDATE ADD", update(0, false, UpdateAction::Add)),
        ("ENRP_HANDLE_UPDATE DEL", update(0, false, UpdateAction::Delete)),
        ("ENRP_HANDLE_UPDATE ADD takeover suggested", update(B, true, UpdateAction::Add)),
        ("ENRP_LIST_REQUEST", message(B, A, Body::ListRequest)),
        ("ENRP_LIST_RESPONSE", message(A, B, Body::ListResponse { rejected: false, servers })),
        ("ENRP_INIT_TAKEOVER", message(A, 0, Body::InitTakeover { target: B })),
        ("ENRP_INIT_TAKEOVER_ACK", message(C, A, Body::InitTakeoverAck { target: B })),
        ("ENRP_TAKEOVER_SERVER", message(A, 0, Body::TakeoverServer { target: B })),
        ("ENRP_ERROR", message(A, B, Body::Error(causes))),
    ]
}

#[test]
fn every_enrp_vector_parses_to_its_value_and_encodes_to_its_octets() {
    let vectors = file::vectors();
    let expected = expected();
    let count = vectors.keys().filter(|name| name.starts_with("ENRP_")).count();
    assert_eq!(count, expected.len(), "every ENRP vector has an expected value");
    for (name, message) in expected {
        let octets = &vectors[name];
        let decoded = decode(octets).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.message, message, "{name}");
        assert_eq!((decoded.reports, decoded.padded_lengths), (vec![], false), "{name}");
        assert_eq!(message.encode(), *octets, "{name}");
    }
}

#[test]
fn lengths_with_the_last_padding_counted_mean_the_same() {
    let mut octets = file::vectors()["ENRP_PRESENCE no server info"].clone();
    let plain = decode(&octets).unwrap();
    assert_eq!(octets[2..4], [0, 18]);
    octets[3] = 20;
    let padded = decode(&octets).unwrap();
    assert_eq!(padded.message, plain.message);
    assert!(padded.padded_lengths && !plain.padded_lengths);
}

#[test]
fn every_message_that_rsplib_sent_decodes_and_encodes_to_the_same_octets() {
    let mut compared: BTreeMap<M, usize> = BTreeMap::new();
    let mut lives = Vec::new();
    for (name, captured) in capture::all(PPID, PORT) {
        let place = format!("{name}, frame {}", captured.frame);
        let decoded = decode(&captured.bytes).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(decoded.reports, [], "{place}");
        let ours = decoded.message.encode();
        assert_eq!(ours, captured.bytes, "{place}: {}", decoded.message);
        *compared.entry(decoded.message.type_()).or_default() += 1;
        let element = match decoded.message.body {
            Body::HandleUpdate { element, .. } => Some(*element),
            Body::HandleTableResponse { mut entries, .. } => entries.pop().map(|e| e.elements[0].clone()),
            _ => None,
        };
        if let Some(element) = element {
            assert!(element.asap.is_some() && element.home != 0, "{place}: rsplib names both always");
            let seconds = Profile::Rsplib.life_from_wire(element.life);
            assert_eq!(Profile::Rsplib.life_to_wire(seconds), element.life, "{place}");
            lives.push(seconds);
        }
    }
    lives.sort_unstable();
    lives.dedup();
    let expected = [
        (M::PRESENCE, 116),
        (M::HANDLE_TABLE_REQUEST, 6),
        (M::HANDLE_TABLE_RESPONSE, 6),
        (M::HANDLE_UPDATE, 5),
        (M::LIST_REQUEST, 12),
        (M::LIST_RESPONSE, 12),
        (M::INIT_TAKEOVER, 8),
        (M::INIT_TAKEOVER_ACK, 2),
    ];
    assert_eq!(compared, BTreeMap::from(expected));
    assert_eq!(lives, [6, 15, 180]);
}

#[test]
fn unknown_messages_and_parameters_get_what_the_high_bits_of_their_types_ask_for() {
    let message = |type_: u8| vec![type_, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2];
    for (type_, reported) in [(0x0b, false), (0x4b, true), (0x8b, false), (0xcb, false)] {
        let error = decode(&message(type_)).unwrap_err();
        assert!(matches!(error.problem, Problem::UnknownMessage { message, .. } if message == type_));
        let expected = reported.then(|| Cause::unrecognized_message(&message(type_)));
        assert_eq!(error.causes(), Vec::from_iter(expected));
    }
    let with_parameter = |type_: [u8; 2]| {
        let mut octets = message(0x05);
        octets[3] = 20;
        octets.extend([type_[0], type_[1], 0, 8, 1, 2, 3, 4]);
        octets
    };
    for (type_, discarded, reported) in [
        ([0x01, 0x00], true, false),
        ([0x41, 0x00], true, true),
        ([0x81, 0x00], false, false),
        ([0xc1, 0x00], false, true),
    ] {
        let octets = with_parameter(type_);
        let causes = match decode(&octets) {
            Ok(decoded) => {
                assert!(!discarded);
                assert_eq!(decoded.message.body, Body::ListRequest);
                decoded.reports
            }
            Err(error) => {
                assert!(discarded);
                error.causes()
            }
        };
        let expected = reported.then(|| Cause::unrecognized_parameter(&octets[12..]));
        assert_eq!(causes, Vec::from_iter(expected));
    }
}

#[test]
fn what_a_message_must_hold_is_asked_for() {
    let vectors = file::vectors();
    let mut reserved = vectors["ENRP_HANDLE_UPDATE ADD"].clone();
    reserved[13] = 2;
    assert!(matches!(decode(&reserved).unwrap_err().problem, Problem::Field { at: 12, value: 2, .. }));
    // A pool without elements, and an element without a pool.
    let mut short = vectors["ENRP_HANDLE_TABLE_RESPONSE M=1"][..24].to_vec();
    short[3] = 24;
    assert!(matches!(decode(&short).unwrap_err().problem, Problem::Missing { .. }));
    let mut homeless = vectors["ENRP_HANDLE_TABLE_RESPONSE M=1"].clone();
    homeless.drain(12..24);
    homeless[3] = 88;
    assert!(matches!(decode(&homeless).unwrap_err().problem, Problem::OutOfPlace { .. }));
    for (name, message) in expected() {
        let mut cut = vectors[name].clone();
        cut.truncate(8);
        cut[2..4].copy_from_slice(&[0, 8]);
        assert!(matches!(decode(&cut).unwrap_err().problem, Problem::Truncated { .. }), "{message}");
    }
}

fn body() -> impl Strategy<Value = Body> {
    let server = || {
        (any::<u32>(), any::<u16>(), vec(any::<IpAddr>(), 1..4)).prop_map(|(server, port, addresses)| {
            let transport =
                Transport::Sctp { port, use_: TransportUse::DataOnly, addresses: addresses.into() };
            ServerInformation { server, transport }
        })
    };
    let entry = (handle(), vec(element(), 1..4)).prop_map(|(handle, elements)| Entry { handle, elements });
    let action = prop_oneof![Just(UpdateAction::Add), Just(UpdateAction::Delete)];
    prop_oneof![
        (any::<bool>(), any::<Option<u16>>(), prop::option::of(server())).prop_map(
            |(reply_required, checksum, server)| Body::Presence { reply_required, checksum, server }
        ),
        any::<bool>().prop_map(|own| Body::HandleTableRequest { own }),
        (any::<(bool, bool)>(), vec(entry, 0..4)).prop_map(|((rejected, more), entries)| {
            Body::HandleTableResponse { rejected, more, entries }
        }),
        (any::<bool>(), action, handle(), element()).prop_map(
            |(takeover_suggested, action, handle, element)| Body::HandleUpdate {
                takeover_suggested,
                action,
                handle,
                element: Box::new(element)
            }
        ),
        Just(Body::ListRequest),
        (any::<bool>(), vec(server(), 0..4))
            .prop_map(|(rejected, servers)| Body::ListResponse { rejected, servers }),
        any::<u32>().prop_map(|target| Body::InitTakeover { target }),
        any::<u32>().prop_map(|target| Body::InitTakeoverAck { target }),
        any::<u32>().prop_map(|target| Body::TakeoverServer { target }),
        error().prop_map(Body::Error),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    (any::<(u32, u32)>(), body()).prop_map(|((sender, receiver), body)| Message { sender, receiver, body })
}

/// ENRP.
struct Enrp;

impl Protocol for Enrp {
    type Message = Message;

    fn decode(octets: &[u8]) -> Result<(Message, Vec<Cause>, bool), Refusal> {
        match decode(octets) {
            Ok(decoded) => Ok((decoded.message, decoded.reports, decoded.padded_lengths)),
            Err(error) => Err(Refusal::new(&error, |type_| type_.0)),
        }
    }

    fn type_(message: &Message) -> u8 {
        message.type_().0
    }

    fn encode(message: &Message) -> Vec<u8> {
        message.encode()
    }
}

#[test]
fn a_message_survives_the_wire() {
    codec::messages_survive::<Enrp>(message());
}

#[test]
fn a_message_with_octets_changed_never_panics_and_never_grows() {
    codec::damage_is_harmless::<Enrp>(message());
}

#[test]
fn arbitrary_octets_never_panic() {
    codec::noise_is_harmless::<Enrp>(11);
}

#[test]
fn fuzz_whatever_becomes_of_an_enrp_message_on_its_way_is_harmless() {
    let known = file::vectors().into_values().map(|octets| vec![octets]);
    fuzz::fuzz(fuzz::Target {
        name: "the codec of ENRP",
        corpus: known.chain(fuzz::cases(include_str!("corpus/enrp.txt"))).collect(),
        before: 0,
        made: &|_| Vec::new(),
        rounds: 20_000,
        run: &|case| codec::kind::<Enrp>(case.first().map(Vec::as_slice).unwrap_or_default()),
    });
}

#[test]
fn no_table_or_error_is_encoded_with_a_wrong_length() {
    let (mut fit, mut too_long) = (0, 0);
    for many in [1, 700, 800, 860, 900, 3000] {
        let entries = vec![Entry { handle: echo(), elements: vec![pe(); many] }];
        let body = Body::HandleTableResponse { rejected: false, more: false, entries };
        let octets = Message { sender: A, receiver: B, body }.encode();
        if octets.is_empty() {
            too_long += 1;
        } else {
            assert!(decode(&octets).is_ok());
            fit += 1;
        }
        let body = Body::Error(vec![Cause::unrecognized_message(&vec![0; many * 22]); 2]);
        assert!(decode(&Message { sender: A, receiver: B, body }.encode()).is_ok());
    }
    assert_eq!((fit, too_long), (4, 2));
}
