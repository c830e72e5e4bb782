//! Arbitrary values of what ASAP and ENRP messages are made of.

#[path = "every_policy.rs"]
mod every_policy;

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
            .prop_map(|(port, use_, addresses)| Transport::Sctp { port, use_, addresses: addresses.into() }),
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
        16 => (any::<[u32; 6]>(), 0_usize..16)
            .prop_map(|(values, which)| every_policy::every_policy(values)[which].clone()),
        1 => (0xc000_0000_u32.., octets(9)).prop_map(|(code, data)| Policy::Unknown { code, data }),
    ]
}

pub(crate) fn element() -> impl Strategy<Value = PoolElement> {
    let asap = prop::option::of((any::<u16>(), vec(any::<IpAddr>(), 1..3)).prop_map(|(port, addresses)| {
        Transport::Sctp { port, use_: TransportUse::DataOnly, addresses: addresses.into() }
    }));
    (any::<(u32, u32, i32)>(), transport(), policy(), asap)
        .prop_map(|((id, home, life), user, policy, asap)| PoolElement { id, home, life, user, policy, asap })
}

pub(crate) fn error() -> impl Strategy<Value = Vec<Cause>> {
    vec((any::<u16>(), octets(9)).prop_map(|(code, data)| Cause { code, data }), 1..4)
}
