//! Reads classic pcap files: SCTP user messages, put together from their DATA chunks, and UDP datagrams.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// One user message of SCTP or one UDP datagram.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) frame: usize,
    pub(crate) destination: (IpAddr, u16),
    /// SCTP's payload protocol identifier; none for UDP.
    pub(crate) ppid: Option<u32>,
    pub(crate) bytes: Vec<u8>,
}

/// Every message of one protocol in all captures, with the capture's name: over SCTP by its payload protocol
/// identifier, over UDP by its port.
pub(crate) fn all(ppid: u32, port: u16) -> Vec<(String, Captured)> {
    // The package's own fixtures, or from the package next to it.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../asap-client/tests/fixtures/captures");
    let mut files: Vec<_> = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "pcap"));
    files.sort();
    assert_eq!(files.len(), 26);
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for message in read(&std::fs::read(&file).unwrap()) {
            let announce = message.ppid.is_none() && message.destination.1 == port;
            if message.ppid == Some(ppid) || announce {
                all.push((name.clone(), message));
            }
        }
    }
    all
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// One direction of an association: its verification tag, and its addressed ends' ports.
type Flow = (u32, u16, u16);

struct Fragment {
    frame: usize,
    flags: u8,
    ppid: u32,
    destination: (IpAddr, u16),
    bytes: Vec<u8>,
}

/// Every message in the capture, in the order of the frames that completed it.
fn read(pcap: &[u8]) -> Vec<Captured> {
    assert_eq!(le32(pcap, 0), 0xa1b2_c3d4, "a classic little-endian pcap");
    assert_eq!(le32(pcap, 20), 1, "Ethernet");
    let (mut at, mut frame) = (24, 0);
    let mut messages = Vec::new();
    let mut seen: HashSet<(Flow, u32)> = HashSet::new();
    let mut waiting: BTreeMap<(Flow, u32), Fragment> = BTreeMap::new();
    while at < pcap.len() {
        let length = le32(pcap, at + 8) as usize;
        assert_eq!(le32(pcap, at + 12) as usize, length, "frames are captured whole");
        let ethernet = &pcap[at + 16..at + 16 + length];
        at += 16 + length;
        frame += 1;
        let Some((protocol, destination, payload)) = network(ethernet) else { continue };
        match protocol {
            17 => messages.push(Captured {
                frame,
                destination: (destination, be16(payload, 2)),
                ppid: None,
                bytes: payload[8..usize::from(be16(payload, 4))].to_vec(),
            }),
            132 => {
                let flow = (be32(payload, 4), be16(payload, 0), be16(payload, 2));
                for (tsn, fragment) in data(payload, frame, destination) {
                    if seen.insert((flow, tsn)) {
                        waiting.insert((flow, tsn), fragment);
                        messages.extend(complete(&mut waiting, flow, tsn));
                    }
                }
            }
            _ => {}
        }
    }
    assert!(waiting.is_empty(), "every fragment belongs to a whole message");
    messages
}

fn network(ethernet: &[u8]) -> Option<(u8, IpAddr, &[u8])> {
    let packet = &ethernet[14..];
    match be16(ethernet, 12) {
        0x0800 => {
            let header = usize::from(packet[0] & 0x0f) * 4;
            let total = usize::from(be16(packet, 2));
            assert_eq!(be16(packet, 6) & 0x3fff, 0, "no IP fragments");
            let address = |at: usize| Ipv4Addr::from(be32(packet, at)).into();
            Some((packet[9], address(16), &packet[header..total]))
        }
        0x86dd => {
            let length = usize::from(be16(packet, 4));
            let address = |at: usize| {
                let octets: [u8; 16] = packet[at..at + 16].try_into().unwrap();
                Ipv6Addr::from(octets).into()
            };
            Some((packet[6], address(24), &packet[40..40 + length]))
        }
        _ => None,
    }
}

fn data(packet: &[u8], frame: usize, destination: IpAddr) -> Vec<(u32, Fragment)> {
    let mut fragments = Vec::new();
    let mut at = 12;
    while at + 4 <= packet.len() {
        let (type_, flags, length) = (packet[at], packet[at + 1], usize::from(be16(packet, at + 2)));
        let chunk = &packet[at..at + length];
        if type_ == 0 {
            let fragment = Fragment {
                frame,
                flags,
                ppid: be32(chunk, 12),
                destination: (destination, be16(packet, 2)),
                bytes: chunk[16..].to_vec(),
            };
            fragments.push((be32(chunk, 4), fragment));
        }
        at += length.next_multiple_of(4);
    }
    fragments
}

/// Takes the message that the fragment `tsn` belongs to, if it is whole.
fn complete(waiting: &mut BTreeMap<(Flow, u32), Fragment>, flow: Flow, tsn: u32) -> Option<Captured> {
    const BEGIN: u8 = 2;
    const END: u8 = 1;
    let mut first = tsn;
    while waiting.get(&(flow, first))?.flags & BEGIN == 0 {
        first = first.wrapping_sub(1);
    }
    let mut last = first;
    while waiting.get(&(flow, last))?.flags & END == 0 {
        last = last.wrapping_add(1);
    }
    let mut message: Option<Captured> = None;
    let mut next = first;
    loop {
        let fragment = waiting.remove(&(flow, next))?;
        let message = message.get_or_insert(Captured {
            frame: fragment.frame,
            destination: fragment.destination,
            ppid: Some(fragment.ppid),
            bytes: Vec::new(),
        });
        message.bytes.extend_from_slice(&fragment.bytes);
        message.frame = message.frame.max(fragment.frame);
        if next == last {
            break;
        }
        next = next.wrapping_add(1);
    }
    message
}
