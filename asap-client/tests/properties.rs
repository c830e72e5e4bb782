//! For all octets and for all messages.

use std::net::IpAddr;

use asap_client::wire::{Cause, Message, Policy, PoolElement, PoolHandle, Transport, TransportUse, decode};
use proptest::collection::vec;
use proptest::prelude::*;

fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn handle() -> impl Strategy<Value = PoolHandle> {
    vec(any::<u8>(), 1..40).prop_map(|octets| PoolHandle::new(octets).unwrap())
}

fn transport() -> impl Strategy<Value = Transport> {
    let use_ = prop_oneof![Just(TransportUse::DataOnly), Just(TransportUse::DataPlusControl)];
    prop_oneof![
        (any::<u16>(), use_, vec(any::<IpAddr>(), 1..5))
            .prop_map(|(port, use_, addresses)| Transport::Sctp { port, use_, addresses }),
        any::<(u16, IpAddr)>().prop_map(|(port, address)| Transport::Tcp { port, address }),
        any::<(u16, IpAddr)>().prop_map(|(port, address)| Transport::Udp { port, address }),
        any::<(u16, IpAddr)>().prop_map(|(port, address)| Transport::UdpLite { port, address }),
        any::<(u16, u32, IpAddr)>().prop_map(|(port, service, address)| Transport::Dccp {
            port,
            service,
            address
        }),
        octets(9).prop_map(Transport::Opaque),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::RoundRobin),
        Just(Policy::Random),
        any::<u32>().prop_map(|weight| Policy::WeightedRoundRobin { weight }),
        any::<u32>().prop_map(|weight| Policy::WeightedRandom { weight }),
        any::<u32>().prop_map(|priority| Policy::Priority { priority }),
        any::<u32>().prop_map(|load| Policy::LeastUsed { load }),
        any::<u32>().prop_map(|load| Policy::RandomizedLeastUsed { load }),
        any::<(u32, u32)>()
            .prop_map(|(load, degradation)| Policy::LeastUsedDegradation { load, degradation }),
        any::<(u32, u32)>().prop_map(|(load, degradation)| Policy::PriorityLeastUsed { load, degradation }),
        any::<(u32, u32)>()
            .prop_map(|(load, degradation)| Policy::RandomizedPriorityLeastUsed { load, degradation }),
        any::<(u32, u32)>()
            .prop_map(|(load, degradation)| Policy::RandomizedLeastUsedDegradation { load, degradation }),
        any::<(u32, u32)>()
            .prop_map(|(load, degradation)| Policy::PriorityLeastUsedDegradation { load, degradation }),
        any::<(u32, u32)>().prop_map(|(load, degradation)| {
            Policy::RandomizedPriorityLeastUsedDegradation { load, degradation }
        }),
        any::<[u32; 3]>().prop_map(|[weight, dpf, distance]| Policy::WeightedRandomDpf {
            weight,
            dpf,
            distance
        }),
        any::<[u32; 3]>().prop_map(|[load, dpf, distance]| Policy::LeastUsedDpf { load, dpf, distance }),
        any::<[u32; 4]>().prop_map(|[load, degradation, dpf, distance]| Policy::LeastUsedDegradationDpf {
            load,
            degradation,
            dpf,
            distance
        }),
        (0xc000_0000_u32.., octets(9)).prop_map(|(code, data)| Policy::Unknown { code, data }),
    ]
}

fn element() -> impl Strategy<Value = PoolElement> {
    let asap = prop::option::of(
        (any::<u16>(), vec(any::<IpAddr>(), 1..3)).prop_map(|(port, addresses)| Transport::Sctp {
            port,
            use_: TransportUse::DataOnly,
            addresses,
        }),
    );
    (any::<(u32, u32, i32)>(), transport(), policy(), asap)
        .prop_map(|((id, home, life), user, policy, asap)| PoolElement { id, home, life, user, policy, asap })
}

fn error() -> impl Strategy<Value = Vec<Cause>> {
    vec((any::<u16>(), octets(9)).prop_map(|(code, data)| Cause { code, data }), 1..4)
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
