//! The control channel (RFC 5352 §5): ASAP messages with PPID 11 on the association that carries the data.

use crate::wire::{Cause, DecodeError, Message, MessageType, PoolElement, PoolHandle, decode};

/// What may be said on a control channel (RFC 5352 §2.2.11 to §2.2.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Element to user: keep this for my successor.
    Cookie(Vec<u8>),
    /// User to the successor: this is what I keep.
    CookieEcho(Vec<u8>),
    /// Elements in the preferred order of failover.
    BusinessCard {
        /// The sender's pool.
        handle: PoolHandle,
        /// Its elements.
        elements: Vec<PoolElement>,
    },
    /// What was wrong with what was said before.
    Error(Vec<Cause>),
}

/// Octets of a control channel that are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// They are not a message.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// The message is for registrars, or from them.
    #[error("{0} has no place on a control channel")]
    OutOfPlace(MessageType),
    /// A cookie is longer than is kept.
    #[error("a cookie of {0} octets is too long")]
    LongCookie(usize),
    /// A cookie counts what has never been sent.
    #[error("a cookie counts what has never been sent")]
    WrongCounts,
    /// A business card names no element that could be used.
    #[error("a business card without a usable element")]
    Card,
    /// An echo of a cookie came to a user, or a cookie to an element.
    #[error("{0} from the wrong side")]
    WrongSide(MessageType),
    /// An answer came although nothing was left to be answered.
    #[error("an answer to nothing")]
    Unasked,
}

/// What came, and what to send back for parameters or messages whose types ask to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The message, if it is one.
    pub control: Result<Control, Nonsense>,
    /// An ASAP Error to send back.
    pub report: Option<Vec<u8>>,
}

impl Control {
    /// Reads one user message of the control channel. Never panics.
    pub fn read(octets: &[u8]) -> Heard {
        let decoded = match decode(octets) {
            Ok(decoded) => decoded,
            Err(error) => {
                let report = error.report().map(|report| report.encode());
                return Heard { control: Err(error.into()), report };
            }
        };
        let report = (!decoded.reports.is_empty()).then(|| Message::Error(decoded.reports).encode());
        let control = match decoded.message {
            Message::Cookie(octets) => Ok(Self::Cookie(octets)),
            Message::CookieEcho(octets) => Ok(Self::CookieEcho(octets)),
            Message::BusinessCard { handle, elements } => Ok(Self::BusinessCard { handle, elements }),
            Message::Error(causes) => Ok(Self::Error(causes)),
            other => Err(Nonsense::OutOfPlace(other.type_())),
        };
        Heard { control, report }
    }

    /// The octets to send, with PPID 11.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Cookie(octets) => Message::Cookie(octets),
            Self::CookieEcho(octets) => Message::CookieEcho(octets),
            Self::BusinessCard { handle, elements } => Message::BusinessCard { handle, elements },
            Self::Error(causes) => Message::Error(causes),
        }
        .encode()
    }

    /// What an element sends that has refused a cookie (RFC 5352 names nothing; RFC 5354 §3.12 has the cause). Why is
    /// not said: it would help only those who try.
    pub(super) fn refusal() -> Self {
        Self::Error(vec![Cause::bare(Cause::SECURITY)])
    }

    /// Is this how an element says that it has refused a cookie?
    pub(super) fn is_refusal(causes: &[Cause]) -> bool {
        causes.iter().any(|cause| cause.code == Cause::SECURITY)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Policy, Transport, TransportUse};

    fn card() -> Control {
        let addresses = vec![[192, 0, 2, 10].into(), "2001:db8::10".parse().unwrap()];
        let element = PoolElement {
            id: 0x1a2b_3c4d,
            home: 0xabcd_1234,
            life: 300,
            user: Transport::Sctp {
                port: 7,
                use_: TransportUse::DataPlusControl,
                addresses: addresses.into(),
            },
            policy: Policy::RoundRobin,
            asap: None,
        };
        Control::BusinessCard { handle: "EchoPool".parse().unwrap(), elements: vec![element] }
    }

    /// As RFC 5352 §2.2.11 to §2.2.13 draw them.
    #[test]
    fn the_messages_of_the_control_channel_are_the_rfcs_both_ways() {
        let golden: [(Control, &[u8]); 4] = [
            (Control::Cookie(b"hello".to_vec()), b"\x0b\0\0\x0d\0\x0d\0\x09hello\0\0\0"),
            (Control::CookieEcho(b"hello".to_vec()), b"\x0c\0\0\x0d\0\x0d\0\x09hello\0\0\0"),
            (
                card(),
                b"\x0d\0\0\x4c\0\x09\0\x0cEchoPool\0\x0a\0\x3c\x1a\x2b\x3c\x4d\xab\xcd\x12\x34\0\0\x01\x2c\
                  \0\x04\0\x24\0\x07\0\x01\0\x01\0\x08\xc0\0\x02\x0a\0\x02\0\x14\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\
                  \0\0\0\x10\0\x08\0\x08\0\0\0\x01",
            ),
            (Control::refusal(), b"\x0e\0\0\x0c\0\x0c\0\x08\0\x0a\0\x04"),
        ];
        for (control, octets) in golden {
            assert_eq!(Control::read(octets), Heard { control: Ok(control.clone()), report: None });
            assert_eq!(control.encode(), octets);
        }
    }

    /// From rsplib's pingpong service: a cookie of 16 octets.
    #[test]
    fn a_cookie_of_rsplib_is_read_as_it_is() {
        let octets = b"\x0b\0\0\x18\0\x0d\0\x14<PP-TD1>\0\0\0\0\0\0\0\x02";
        let cookie = b"<PP-TD1>\0\0\0\0\0\0\0\x02".to_vec();
        assert_eq!(Control::read(octets).control, Ok(Control::Cookie(cookie)));
    }

    #[test]
    fn a_message_for_registrars_has_no_place_on_a_control_channel() {
        let handle = "EchoPool".parse().unwrap();
        let octets = Message::Deregistration { handle, id: 1 }.encode();
        let heard = Control::read(&octets);
        assert_eq!(heard.control, Err(Nonsense::OutOfPlace(MessageType::DEREGISTRATION)));
        assert_eq!(heard.report, None);
    }

    #[test]
    fn what_asks_to_be_reported_is_reported_on_the_same_channel() {
        let unknown = b"\x4f\0\0\x04";
        let report = b"\x0e\0\0\x10\0\x0c\0\x0c\0\x02\0\x08\x4f\0\0\x04";
        assert_eq!(Control::read(unknown).report.as_deref(), Some(&report[..]));
    }

    proptest! {
        #[test]
        fn octets_of_any_kind_are_read_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(control) = Control::read(&octets).control {
                prop_assert_eq!(Control::read(&control.clone().encode()).control, Ok(control));
            }
        }
    }
}
