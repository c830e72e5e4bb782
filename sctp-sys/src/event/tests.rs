use proptest::prelude::*;

use super::*;
use crate::testing::{hex, hex_lines};

#[test]
fn what_the_kernel_wrote_is_understood() {
    let path = |address: &str, state, error| Notification::PeerAddrChange {
        address: address.parse().unwrap(),
        state,
        error,
        assoc: 4,
    };
    let change = |state, error, streams, assoc, info: &[u8]| Notification::AssocChange {
        state,
        error,
        out_streams: streams,
        in_streams: streams,
        assoc,
        info: info.to_vec(),
    };
    let got: Vec<_> = hex_lines(include_str!("../../tests/fixtures/notifications.hex"))
        .iter()
        .map(|bytes| Notification::parse(bytes).unwrap())
        .collect();
    assert_eq!(
        got,
        [
            change(AssocChange::CommUp, 0, 10, 4, &[]),
            path("192.0.2.2:6000", PathChange::Added, 0),
            path("192.0.2.2:6000", PathChange::Confirmed, 2),
            path("192.0.2.2:6000", PathChange::MadePrimary, 0),
            change(AssocChange::CommUp, 0, 10, 3, &[]),
            Notification::Adaptation { indication: 0x1234, assoc: 3 },
            Notification::SenderDry { assoc: 3 },
            path("192.0.2.1:6000", PathChange::Removed, 0),
            change(AssocChange::CommLost, 12, 0, 4, &[0, 12, 0, 4]),
            change(AssocChange::CommUp, 0, 10, 6, &[]),
            change(AssocChange::CommUp, 0, 10, 5, &[]),
            Notification::Adaptation { indication: 0x1234, assoc: 5 },
            Notification::SenderDry { assoc: 5 },
            Notification::Shutdown { assoc: 6 },
            change(AssocChange::ShutdownComplete, 0, 0, 6, &[]),
        ]
    );
}

/// A notification of this kind with all other fields from a pattern.
fn made(kind: EventType, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
    bytes[..2].copy_from_slice(&kind.to_raw().to_ne_bytes());
    bytes[2..4].copy_from_slice(&1u16.to_ne_bytes());
    bytes[4..8].copy_from_slice(&(length as u32).to_ne_bytes());
    bytes
}

#[test]
fn the_fields_of_rare_kinds_are_where_the_header_puts_them() {
    let u16_ = |at: u8| u16::from_ne_bytes([at, at + 1]);
    let u32_ = |at: u8| u32::from_ne_bytes([at, at + 1, at + 2, at + 3]);
    let parse = |kind, length| Notification::parse(&made(kind, length)).unwrap();
    assert_eq!(
        parse(EventType::SendFailed, 51),
        Notification::SendFailed {
            sent: true,
            error: u16::from_be(u32_(8) as u16),
            assoc: u32_(44).cast_signed(),
            message: FailedMessage {
                stream: u16_(12),
                ppid: u32::from_be(u32_(20)),
                flags: u16_(16),
                context: u32_(24),
                data: vec![48, 49, 50],
            },
        }
    );
    assert_eq!(
        parse(EventType::SendFailedEvent, 34),
        Notification::SendFailed {
            sent: true,
            error: u16::from_be(u32_(8) as u16),
            assoc: u32_(28).cast_signed(),
            message: FailedMessage {
                stream: u16_(12),
                ppid: u32::from_be(u32_(16)),
                flags: u16_(14),
                context: u32_(20),
                data: vec![32, 33],
            },
        }
    );
    assert_eq!(
        parse(EventType::RemoteError, 18),
        Notification::RemoteError {
            error: u16::from_be_bytes([8, 9]),
            assoc: u32_(12).cast_signed(),
            data: vec![16, 17],
        }
    );
    assert_eq!(
        parse(EventType::PartialDelivery, 24),
        Notification::PartialDelivery {
            indication: u32_(8),
            assoc: u32_(12).cast_signed(),
            stream: u32_(16),
            sequence: u32_(20),
        }
    );
    assert_eq!(
        parse(EventType::Authentication, 20),
        Notification::Authentication {
            key: u16_(8),
            alternate: u16_(10),
            indication: u32_(12),
            assoc: u32_(16).cast_signed(),
        }
    );
    assert_eq!(
        parse(EventType::StreamReset, 16),
        Notification::StreamReset {
            flags: 1,
            assoc: u32_(8).cast_signed(),
            streams: vec![u16_(12), u16_(14)]
        }
    );
    assert_eq!(
        parse(EventType::AssocReset, 20),
        Notification::AssocReset {
            flags: 1,
            assoc: u32_(8).cast_signed(),
            local_tsn: u32_(12),
            remote_tsn: u32_(16),
        }
    );
    assert_eq!(
        parse(EventType::StreamChange, 16),
        Notification::StreamChange {
            flags: 1,
            assoc: u32_(8).cast_signed(),
            in_streams: u16_(12),
            out_streams: u16_(14),
        }
    );
}

#[test]
fn an_unknown_kind_is_kept() {
    let bytes = hex("ff80000009000000aa");
    assert_eq!(
        Notification::parse(&bytes),
        Ok(Notification::Unknown { type_: 0x80ff, bytes: bytes.clone() })
    );
}

#[test]
fn an_unknown_state_is_kept() {
    let bytes = hex("018000001400000063000000000000000400000000");
    let got = Notification::parse(&bytes).unwrap();
    assert!(matches!(got, Notification::AssocChange { state: AssocChange::Other(0x63), assoc: 4, .. }));
}

#[test]
fn every_kind_cut_short_is_refused() {
    for kind in EventType::ALL {
        let whole = made(kind, 200);
        let (Ok(_) | Err(ParseError::Address(_))) = Notification::parse(&whole) else { panic!("{kind:?}") };
        // Cut by the reader, and by its own length.
        for length in 0..12 {
            assert!(Notification::parse(&whole[..length]).is_err(), "{kind:?} of {length}");
            assert!(Notification::parse(&made(kind, length.max(8))).is_err(), "{kind:?} of {length}");
        }
    }
}

#[test]
fn an_address_of_another_family_is_refused() {
    let bytes = made(EventType::PeerAddrChange, 148);
    assert!(matches!(Notification::parse(&bytes), Err(ParseError::Address(AddrError::Family(_)))));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Notification::parse(&bytes);
    }

    #[test]
    fn any_fields_behind_a_good_header_are_parsed_or_refused(
        kind in 0x8000u16..0x8012,
        length in 0u32..300,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = kind.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&body);
        if let Ok(Notification::Unknown { bytes: kept, .. }) = Notification::parse(&bytes) {
            prop_assert!(kept.len() <= bytes.len());
        }
    }
}
