//! Arbitrary values of what ASAP and ENRP messages are made of.

use std::net::IpAddr;

use asap_client::wire::{Cause, Policy, PoolElement, PoolHandle, Transport, TransportUse};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

pub(crate) fn handle() -> impl Strategy<Value = PoolHandle> {
    vec(any::<u8>(), 1..40).prop_map(|octets| PoolHandle::new(octets).unwrap())
}

pub(crate) fn transport() -> impl Strategy<Value = Transport> {
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

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
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

pub(crate) fn element() -> impl Strategy<Value = PoolElement> {
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

pub(crate) fn error() -> impl Strategy<Value = Vec<Cause>> {
    vec((any::<u16>(), octets(9)).prop_map(|(code, data)| Cause { code, data }), 1..4)
}
