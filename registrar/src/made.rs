//! Well-formed messages for fuzzing, of few values each: so that those of one case mean the same pools, elements and
//! registrars, and differ in what should be compared.

use asap_client::wire::{
    Message, Policy, PoolElement, PoolHandle, ServerInformation, Transport, TransportUse,
};
use std::net::IpAddr;

use crate::enrp::wire::{self as enrp, Body, Entry, UpdateAction};
use crate::fuzz::Draw;

/// Addresses of clients in the tests' worlds.
const ADDRESSES: [&str; 3] = ["192.0.2.10", "192.0.2.11", "2001:db8::10"];

fn one<T: Clone>(of: &[T], draw: Draw<'_>) -> T {
    of[draw(of.len())].clone()
}

fn handle(draw: Draw<'_>) -> PoolHandle {
    PoolHandle::new(one(&["EchoPool", "p"], draw)).unwrap()
}

fn id(draw: Draw<'_>) -> u32 {
    one(&[0x1a2b_3c4d, 1, 2], draw)
}

fn transport(draw: Draw<'_>) -> Transport {
    let address = |draw: Draw<'_>| one(&ADDRESSES, draw).parse::<IpAddr>().unwrap();
    let use_ = if draw(5) == 0 { TransportUse::DataPlusControl } else { TransportUse::DataOnly };
    match draw(8) {
        0 => Transport::Tcp { port: 7, address: address(draw) },
        1 => Transport::Sctp { port: 7, use_, addresses: vec![address(draw), address(draw)].into() },
        _ => Transport::Sctp { port: 7, use_, addresses: vec![address(draw)].into() },
    }
}

fn policy(draw: Draw<'_>) -> Policy {
    match draw(8) {
        0 => Policy::Random,
        1 => Policy::WeightedRoundRobin { weight: u32::try_from(draw(3)).unwrap_or(0) },
        2 => Policy::LeastUsedDegradation { load: 7, degradation: 1 },
        3 => Policy::Unknown { code: 0x8000_0001, data: vec![1, 2, 3] },
        _ => Policy::RoundRobin,
    }
}

fn element(home: u32, draw: Draw<'_>) -> PoolElement {
    let (id, life) = (id(draw), one(&[300, 300, 300, -1, 1, 0], draw));
    PoolElement { id, home, life, user: transport(draw), policy: policy(draw), asap: None }
}

/// Something that a pool element or a pool user says.
pub(crate) fn by_client(draw: Draw<'_>) -> Vec<u8> {
    let handle = handle(draw);
    let message = match draw(9) {
        0 => Message::Deregistration { handle, id: id(draw) },
        1 => Message::EndpointKeepAliveAck { handle, id: id(draw) },
        2 => Message::EndpointUnreachable { handle, id: id(draw) },
        3 | 4 => {
            let items = one(&[None, Some(0), Some(1), Some(3)], draw);
            Message::HandleResolution { subscribe: draw(2) == 0, handle, items }
        }
        _ => Message::Registration { handle, element: element(0, draw) },
    };
    message.encode()
}

/// Something that the registrar `sender` says to `receiver`; `servers` are those that it may mean, the sender among them.
pub(crate) fn by_registrar(sender: u32, receiver: u32, servers: &[u32], draw: Draw<'_>) -> Vec<u8> {
    let about = |draw: Draw<'_>| {
        // Mostly what is its own; and where it is heard from.
        let home = if draw(4) == 0 { one(servers, draw) } else { sender };
        let addresses = vec![one(&ADDRESSES, draw).parse().unwrap()];
        let asap =
            Transport::Sctp { port: 40_000, use_: TransportUse::DataOnly, addresses: addresses.into() };
        PoolElement { asap: Some(asap), ..element(home, draw) }
    };
    let target = one(servers, draw);
    let body = match draw(16) {
        0 | 1 => {
            let checksum = one(&[None, Some(0xffff), Some(1)], draw);
            Body::Presence { reply_required: draw(2) == 0, checksum, server: None }
        }
        2 => Body::HandleTableRequest { own: draw(2) == 0 },
        3 | 4 => {
            let entries =
                (0..draw(3)).map(|_| Entry { handle: handle(draw), elements: vec![about(draw)] }).collect();
            Body::HandleTableResponse { rejected: false, more: draw(4) == 0, entries }
        }
        5 => Body::ListRequest,
        6 => {
            let transport = Transport::Sctp {
                port: 9901,
                use_: TransportUse::DataOnly,
                addresses: vec!["192.0.2.1".parse().unwrap()].into(),
            };
            Body::ListResponse {
                rejected: false,
                servers: vec![ServerInformation { server: target, transport }],
            }
        }
        7 => Body::InitTakeover { target },
        8 => Body::InitTakeoverAck { target },
        9 => Body::TakeoverServer { target },
        _ => Body::HandleUpdate {
            takeover_suggested: draw(8) == 0,
            action: if draw(3) == 0 { UpdateAction::Delete } else { UpdateAction::Add },
            handle: handle(draw),
            element: Box::new(about(draw)),
        },
    };
    let receiver = if draw(8) == 0 { 0 } else { receiver };
    enrp::Message { sender, receiver, body }.encode()
}
