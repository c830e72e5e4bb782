//! Type codes of messages and parameters, and what their two highest bits ask of a receiver that does not know them.

use std::fmt;

/// What to do with a message or parameter whose type is unknown, told by its two highest bits
/// (RFC 5354 §3 and §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenUnknown {
    /// `00`: discard the whole message, say nothing.
    Discard,
    /// `01`: discard the whole message and report it.
    DiscardAndReport,
    /// `10`: skip the parameter, go on.
    Skip,
    /// `11`: skip the parameter, go on, and report it.
    SkipAndReport,
}

impl WhenUnknown {
    /// What a receiver does that does not know this message type, of ASAP or of ENRP. The patterns `10` and `11` are
    /// reserved for messages; they are discarded silently.
    pub fn of_message(type_: u8) -> Self {
        match type_ >> 6 {
            0b01 => Self::DiscardAndReport,
            _ => Self::Discard,
        }
    }
}

/// The type of an ASAP message (RFC 5352 §2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType(pub u8);

impl MessageType {
    /// PE to registrar: add me to the pool.
    pub const REGISTRATION: Self = Self(0x01);
    /// PE to registrar: take me out of the pool.
    pub const DEREGISTRATION: Self = Self(0x02);
    /// Registrar's answer to a registration.
    pub const REGISTRATION_RESPONSE: Self = Self(0x03);
    /// Registrar's answer to a deregistration, or word that a registration ran out.
    pub const DEREGISTRATION_RESPONSE: Self = Self(0x04);
    /// Who is in this pool?
    pub const HANDLE_RESOLUTION: Self = Self(0x05);
    /// These are in the pool.
    pub const HANDLE_RESOLUTION_RESPONSE: Self = Self(0x06);
    /// Registrar to PE: are you there?
    pub const ENDPOINT_KEEP_ALIVE: Self = Self(0x07);
    /// PE's answer to a keep-alive.
    pub const ENDPOINT_KEEP_ALIVE_ACK: Self = Self(0x08);
    /// To a registrar: that PE could not be reached.
    pub const ENDPOINT_UNREACHABLE: Self = Self(0x09);
    /// A registrar's multicast announcement.
    pub const SERVER_ANNOUNCE: Self = Self(0x0a);
    /// PE to PU: state to keep for me.
    pub const COOKIE: Self = Self(0x0b);
    /// PU to another PE: the state that your colleague gave me.
    pub const COOKIE_ECHO: Self = Self(0x0c);
    /// PEs in the preferred order of failover.
    pub const BUSINESS_CARD: Self = Self(0x0d);
    /// Operation error.
    pub const ERROR: Self = Self(0x0e);
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::REGISTRATION => "REGISTRATION",
            Self::DEREGISTRATION => "DEREGISTRATION",
            Self::REGISTRATION_RESPONSE => "REGISTRATION_RESPONSE",
            Self::DEREGISTRATION_RESPONSE => "DEREGISTRATION_RESPONSE",
            Self::HANDLE_RESOLUTION => "HANDLE_RESOLUTION",
            Self::HANDLE_RESOLUTION_RESPONSE => "HANDLE_RESOLUTION_RESPONSE",
            Self::ENDPOINT_KEEP_ALIVE => "ENDPOINT_KEEP_ALIVE",
            Self::ENDPOINT_KEEP_ALIVE_ACK => "ENDPOINT_KEEP_ALIVE_ACK",
            Self::ENDPOINT_UNREACHABLE => "ENDPOINT_UNREACHABLE",
            Self::SERVER_ANNOUNCE => "SERVER_ANNOUNCE",
            Self::COOKIE => "COOKIE",
            Self::COOKIE_ECHO => "COOKIE_ECHO",
            Self::BUSINESS_CARD => "BUSINESS_CARD",
            Self::ERROR => "ERROR",
            Self(other) => return write!(f, "message type {other:#04x}"),
        })
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type of a parameter (RFC 5354 §3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterType(pub u16);

impl ParameterType {
    /// An IPv4 address, inside a transport.
    pub const IPV4_ADDRESS: Self = Self(0x0001);
    /// An IPv6 address, inside a transport.
    pub const IPV6_ADDRESS: Self = Self(0x0002);
    /// DCCP transport.
    pub const DCCP_TRANSPORT: Self = Self(0x0003);
    /// SCTP transport.
    pub const SCTP_TRANSPORT: Self = Self(0x0004);
    /// TCP transport.
    pub const TCP_TRANSPORT: Self = Self(0x0005);
    /// UDP transport.
    pub const UDP_TRANSPORT: Self = Self(0x0006);
    /// UDP-Lite transport.
    pub const UDP_LITE_TRANSPORT: Self = Self(0x0007);
    /// Pool member selection policy.
    pub const POLICY: Self = Self(0x0008);
    /// Pool handle.
    pub const POOL_HANDLE: Self = Self(0x0009);
    /// Pool element.
    pub const POOL_ELEMENT: Self = Self(0x000a);
    /// Server information (ENRP).
    pub const SERVER_INFORMATION: Self = Self(0x000b);
    /// Operation error.
    pub const OPERATION_ERROR: Self = Self(0x000c);
    /// Cookie.
    pub const COOKIE: Self = Self(0x000d);
    /// Pool element identifier.
    pub const PE_IDENTIFIER: Self = Self(0x000e);
    /// Checksum over a registrar's pool elements (ENRP).
    pub const PE_CHECKSUM: Self = Self(0x000f);
    /// Opaque transport.
    pub const OPAQUE_TRANSPORT: Self = Self(0x0010);
    /// Handle resolution option: the number of items wanted (draft-dreibholz-rserpool-asap-hropt).
    pub const HANDLE_RESOLUTION_OPTION: Self = Self(0x803f);

    /// Is this one of the parameters of RFC 5354 or of its extensions named here?
    pub fn is_known(self) -> bool {
        matches!(self.0, 0x0001..=0x0010) || self == Self::HANDLE_RESOLUTION_OPTION
    }

    /// Is this one of the transports?
    pub fn is_transport(self) -> bool {
        matches!(self.0, 0x0003..=0x0007) || self == Self::OPAQUE_TRANSPORT
    }

    /// What a receiver does that does not know this type, or meets it where it has no place.
    pub fn when_unknown(self) -> WhenUnknown {
        match self.0 >> 14 {
            0b00 => WhenUnknown::Discard,
            0b01 => WhenUnknown::DiscardAndReport,
            0b10 => WhenUnknown::Skip,
            _ => WhenUnknown::SkipAndReport,
        }
    }
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::IPV4_ADDRESS => "IPv4 address",
            Self::IPV6_ADDRESS => "IPv6 address",
            Self::DCCP_TRANSPORT => "DCCP transport",
            Self::SCTP_TRANSPORT => "SCTP transport",
            Self::TCP_TRANSPORT => "TCP transport",
            Self::UDP_TRANSPORT => "UDP transport",
            Self::UDP_LITE_TRANSPORT => "UDP-Lite transport",
            Self::POLICY => "selection policy",
            Self::POOL_HANDLE => "pool handle",
            Self::POOL_ELEMENT => "pool element",
            Self::SERVER_INFORMATION => "server information",
            Self::OPERATION_ERROR => "operation error",
            Self::COOKIE => "cookie",
            Self::PE_IDENTIFIER => "PE identifier",
            Self::PE_CHECKSUM => "PE checksum",
            Self::OPAQUE_TRANSPORT => "opaque transport",
            Self::HANDLE_RESOLUTION_OPTION => "handle resolution option",
            Self(other) => return write!(f, "parameter type {other:#06x}"),
        })
    }
}

impl fmt::Debug for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_highest_bits_of_a_parameter_type_say_what_to_do() {
        assert_eq!(ParameterType(0x00ff).when_unknown(), WhenUnknown::Discard);
        assert_eq!(ParameterType(0x40ff).when_unknown(), WhenUnknown::DiscardAndReport);
        assert_eq!(ParameterType(0x80ff).when_unknown(), WhenUnknown::Skip);
        assert_eq!(ParameterType(0xc0ff).when_unknown(), WhenUnknown::SkipAndReport);
    }

    #[test]
    fn an_unknown_message_is_reported_only_where_its_bits_ask_for_it() {
        assert_eq!(WhenUnknown::of_message(0x0f), WhenUnknown::Discard);
        assert_eq!(WhenUnknown::of_message(0x4f), WhenUnknown::DiscardAndReport);
        assert_eq!(WhenUnknown::of_message(0x8f), WhenUnknown::Discard);
        assert_eq!(WhenUnknown::of_message(0xcf), WhenUnknown::Discard);
    }
}
