//! For all octets and for all messages.

#[path = "common/strategies.rs"]
mod strategies;

use asap_client::wire::{Message, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use strategies::{element, error, handle, octets, policy, transport};

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_message_survives_the_wire(message in message()) {
        let octets = message.encode();
        prop_assert!(octets.len().is_multiple_of(4));
        let decoded = decode(&octets).unwrap();
        prop_assert_eq!(decoded.message, message);
        prop_assert_eq!(decoded.reports, vec![]);
        prop_assert!(!decoded.padded_lengths);
    }

    #[test]
    fn a_message_with_octets_changed_never_panics_and_never_grows(
        message in message(),
        changes in vec(any::<(prop::sample::Index, u8)>(), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut octets = message.encode();
        for (place, value) in changes {
            let place = place.index(octets.len());
            octets[place] = value;
        }
        octets.truncate(cut.index(octets.len() + 1));
        match decode(&octets) {
            Ok(decoded) => {
                let again = decoded.message.encode();
                prop_assert!(again.len() <= octets.len().next_multiple_of(4));
                prop_assert_eq!(decode(&again).unwrap().message, decoded.message);
            }
            Err(error) => {
                let report = error.report().map_or(0, |report| report.encode().len());
                prop_assert!(report <= 2 * octets.len() + 16 + 8 * error.reports.len());
            }
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(type_ in 0_u8..16, mut octets in octets(200)) {
        let length = u16::try_from(octets.len() + 4).unwrap();
        octets.splice(0..0, [type_, 0].into_iter().chain(length.to_be_bytes()));
        if let Err(error) = decode(&octets) {
            prop_assert!(!error.to_string().is_empty());
            let _report = error.report();
        }
    }
}
