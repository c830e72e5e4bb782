//! For all octets and for all messages; and for what is kept of them, damaged.

#[path = "common/codec.rs"]
mod codec;
#[path = "common/fuzz.rs"]
mod fuzz;
#[path = "common/strategies.rs"]
mod strategies;
#[path = "common/vectors.rs"]
mod vectors;

use asap_client::wire::{Cause, Message, Writer, decode};
use codec::{Protocol, Refusal};
use proptest::collection::vec;
use proptest::prelude::*;
use strategies::{element, error, handle, octets, policy, transport};

/// ASAP.
struct Asap;

impl Protocol for Asap {
    type Message = Message;

    fn decode(octets: &[u8]) -> Result<(Message, Vec<Cause>, bool), Refusal> {
        match decode(octets) {
            Ok(decoded) => Ok((decoded.message, decoded.reports, decoded.padded_lengths)),
            Err(error) => {
                if let Some(report) = error.report() {
                    assert!(decode(&report.encode()).is_ok());
                }
                Err(Refusal::new(&error, |type_| type_.0))
            }
        }
    }

    fn type_(message: &Message) -> u8 {
        message.type_().0
    }

    fn encode(message: &Message) -> Vec<u8> {
        message.encode()
    }
}

fn message() -> impl Strategy<Value = Message> {
    let error_option = || prop::option::of(error());
    prop_oneof![
        (handle(), element()).prop_map(|(handle, element)| Message::Registration { handle, element }),
        (handle(), any::<u32>()).prop_map(|(handle, id)| Message::Deregistration { handle, id }),
        (any::<bool>(), handle(), any::<u32>(), error_option()).prop_map(|(rejected, handle, id, error)| {
            Message::RegistrationResponse { rejected, handle, id, error }
        }),
        (handle(), any::<u32>(), error_option())
            .prop_map(|(handle, id, error)| Message::DeregistrationResponse { handle, id, error }),
        (any::<bool>(), handle(), any::<Option<u32>>()).prop_map(|(subscribe, handle, items)| {
            Message::HandleResolution { subscribe, handle, items }
        }),
        (any::<bool>(), handle(), prop::option::of(policy()), vec(element(), 0..4), error_option()).prop_map(
            |(subscribed, handle, policy, elements, error)| Message::HandleResolutionResponse {
                subscribed,
                handle,
                policy,
                elements,
                error
            }
        ),
        (any::<(bool, u32)>(), handle(), any::<Option<u32>>()).prop_map(|((home, server), handle, id)| {
            Message::EndpointKeepAlive { home, server, handle, id }
        }),
        (handle(), any::<u32>()).prop_map(|(handle, id)| Message::EndpointKeepAliveAck { handle, id }),
        (handle(), any::<u32>()).prop_map(|(handle, id)| Message::EndpointUnreachable { handle, id }),
        (any::<u32>(), vec(transport(), 0..4))
            .prop_map(|(server, transports)| Message::ServerAnnounce { server, transports }),
        octets(40).prop_map(Message::Cookie),
        octets(40).prop_map(Message::CookieEcho),
        (handle(), vec(element(), 0..4))
            .prop_map(|(handle, elements)| Message::BusinessCard { handle, elements }),
        error().prop_map(Message::Error),
    ]
}

#[test]
fn a_message_survives_the_wire() {
    codec::messages_survive::<Asap>(message());
}

#[test]
fn a_message_with_octets_changed_never_panics_and_never_grows() {
    codec::damage_is_harmless::<Asap>(message());
}

#[test]
fn arbitrary_octets_never_panic() {
    codec::noise_is_harmless::<Asap>(15);
}

proptest! {
    #[test]
    fn a_transport_is_as_long_as_it_says(transport in transport()) {
        let mut writer = Writer::new();
        transport.emit(&mut writer);
        let octets = writer.finish().unwrap();
        prop_assert_eq!(transport.length(), usize::from(u16::from_be_bytes([octets[2], octets[3]])));
        prop_assert!(octets.len() - transport.length() < 4, "padding");
    }
}

proptest! {
    #[test]
    fn a_message_says_the_same_with_a_parameter_behind_it_that_is_to_be_skipped(message in message()) {
        let mut octets = message.encode();
        octets.extend([0xbf, 0xff, 0, 4]);
        let length = u16::try_from(octets.len()).unwrap();
        octets[2..4].copy_from_slice(&length.to_be_bytes());
        prop_assert_eq!(decode(&octets).unwrap().message, message);
    }
}

#[test]
fn fuzz_whatever_becomes_of_an_asap_message_on_its_way_is_harmless() {
    let known = vectors::vectors().into_values().map(|octets| vec![octets]);
    fuzz::fuzz(fuzz::Target {
        name: "the codec of ASAP",
        corpus: known.chain(fuzz::cases(include_str!("corpus/asap.txt"))).collect(),
        before: 0,
        made: &|_| Vec::new(),
        rounds: 20_000,
        run: &|case| codec::kind::<Asap>(case.first().map(Vec::as_slice).unwrap_or_default()),
    });
}
