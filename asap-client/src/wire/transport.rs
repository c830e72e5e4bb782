//! Transports (RFC 5354 §3.1 to §3.7, §3.16): where and how an element or server is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::addresses::Addresses;
use super::code::ParameterType;
use super::error::Problem;
use super::tlv::{Context, HEADER, Parameter, Writer};

/// What an SCTP transport carries (RFC 5354 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TransportUse {
    /// Data only.
    #[default]
    DataOnly,
    /// Data, and ASAP's control channel beside it.
    DataPlusControl,
}

/// How an element or server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// SCTP: one port, one or more addresses of either family.
    Sctp {
        /// Port.
        port: u16,
        /// Data only, or with a control channel.
        use_: TransportUse,
        /// At least one address.
        addresses: Addresses,
    },
    /// TCP. Its reserved field, where rsplib puts a transport use, is sent as 0 and ignored on receipt.
    Tcp {
        /// Port.
        port: u16,
        /// Address.
        address: IpAddr,
    },
    /// UDP.
    Udp {
        /// Port.
        port: u16,
        /// Address.
        address: IpAddr,
    },
    /// UDP-Lite.
    UdpLite {
        /// Port.
        port: u16,
        /// Address.
        address: IpAddr,
    },
    /// DCCP.
    Dccp {
        /// Port.
        port: u16,
        /// DCCP service code.
        service: u32,
        /// Address.
        address: IpAddr,
    },
    /// Anything that element and user have agreed on.
    Opaque(Vec<u8>),
}

impl Transport {
    /// The parameter's type.
    pub fn type_(&self) -> ParameterType {
        match self {
            Self::Sctp { .. } => ParameterType::SCTP_TRANSPORT,
            Self::Tcp { .. } => ParameterType::TCP_TRANSPORT,
            Self::Udp { .. } => ParameterType::UDP_TRANSPORT,
            Self::UdpLite { .. } => ParameterType::UDP_LITE_TRANSPORT,
            Self::Dccp { .. } => ParameterType::DCCP_TRANSPORT,
            Self::Opaque(_) => ParameterType::OPAQUE_TRANSPORT,
        }
    }

    /// The addresses; none for an opaque transport.
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Sctp { addresses, .. } => addresses,
            Self::Tcp { address, .. }
            | Self::Udp { address, .. }
            | Self::UdpLite { address, .. }
            | Self::Dccp { address, .. } => std::slice::from_ref(address),
            Self::Opaque(_) => &[],
        }
    }

    /// The port; none for an opaque transport.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Sctp { port, .. }
            | Self::Tcp { port, .. }
            | Self::Udp { port, .. }
            | Self::UdpLite { port, .. }
            | Self::Dccp { port, .. } => Some(*port),
            Self::Opaque(_) => None,
        }
    }

    /// Data only, or with a control channel; only SCTP can carry one.
    pub fn use_(&self) -> TransportUse {
        match self {
            Self::Sctp { use_, .. } => *use_,
            _ => TransportUse::DataOnly,
        }
    }

    /// Reads any of the transport parameters.
    ///
    /// # Errors
    /// It is none of them, has no address or too many, or an unknown use.
    pub fn parse(parameter: &Parameter<'_>, context: &mut Context) -> Result<Self, Problem> {
        let mut value = parameter.value;
        if parameter.type_ == ParameterType::OPAQUE_TRANSPORT {
            return Ok(Self::Opaque(value.rest().to_vec()));
        }
        if !parameter.type_.is_transport() {
            return Err(Problem::OutOfPlace { parameter: parameter.type_ });
        }
        let [port @ .., high, low] = value.array::<4>()?;
        let (port, use_or_reserved) = (u16::from_be_bytes(port), u16::from_be_bytes([high, low]));
        let service = match parameter.type_ {
            ParameterType::DCCP_TRANSPORT => value.u32()?,
            _ => 0,
        };
        let (mut first, mut others) = (None, Vec::new());
        while let Some(inner) = value.parameter(context)? {
            match inner.type_ {
                ParameterType::IPV4_ADDRESS | ParameterType::IPV6_ADDRESS => {
                    let address = parse_address(&inner)?;
                    match first {
                        None => first = Some(address),
                        Some(_) => others.push(address),
                    }
                }
                _ => context.stray(&inner)?,
            }
        }
        let Some(address) = first else {
            return Err(parameter.invalid("a transport has at least one address"));
        };
        if parameter.type_ == ParameterType::SCTP_TRANSPORT {
            let use_ = match use_or_reserved {
                0 => TransportUse::DataOnly,
                1 => TransportUse::DataPlusControl,
                _ => return Err(parameter.invalid("the transport use is 0 or 1")),
            };
            let addresses = if others.is_empty() {
                address.into()
            } else {
                others.insert(0, address);
                others.into()
            };
            return Ok(Self::Sctp { port, use_, addresses });
        }
        if !others.is_empty() {
            return Err(parameter.invalid("only an SCTP transport has several addresses"));
        }
        Ok(match parameter.type_ {
            ParameterType::TCP_TRANSPORT => Self::Tcp { port, address },
            ParameterType::UDP_TRANSPORT => Self::Udp { port, address },
            ParameterType::UDP_LITE_TRANSPORT => Self::UdpLite { port, address },
            _ => Self::Dccp { port, service, address },
        })
    }

    /// The octets of the parameter that [`Self::emit`] writes, header included, without the padding behind an opaque one.
    pub fn length(&self) -> usize {
        let address = |address: &IpAddr| HEADER + if address.is_ipv4() { 4 } else { 16 };
        let before = match self {
            Self::Opaque(octets) => return HEADER + octets.len(),
            Self::Dccp { .. } => 8,
            _ => 4,
        };
        HEADER + before + self.addresses().iter().map(address).sum::<usize>()
    }

    /// Writes the transport parameter.
    pub fn emit(&self, writer: &mut Writer) {
        if let Self::Opaque(octets) = self {
            return writer.parameter(self.type_(), |w| w.bytes(octets));
        }
        let use_ = u32::from(self.use_() == TransportUse::DataPlusControl);
        let port_and_use = u32::from(self.port().unwrap_or_default()) << 16 | use_;
        writer.parameter_from(self.type_(), port_and_use, |w| {
            if let Self::Dccp { service, .. } = self {
                w.u32(*service);
            }
            for address in self.addresses() {
                emit_address(w, *address);
            }
        });
    }
}

/// Reads an IPv4 or IPv6 Address parameter.
///
/// # Errors
/// It is neither, or its length is not that of an address.
pub fn parse_address(parameter: &Parameter<'_>) -> Result<IpAddr, Problem> {
    let mut value = parameter.value;
    let octets = value.rest();
    let address = match parameter.type_ {
        ParameterType::IPV4_ADDRESS => <[u8; 4]>::try_from(octets).ok().map(|o| Ipv4Addr::from(o).into()),
        ParameterType::IPV6_ADDRESS => <[u8; 16]>::try_from(octets).ok().map(|o| Ipv6Addr::from(o).into()),
        _ => return Err(Problem::OutOfPlace { parameter: parameter.type_ }),
    };
    address.ok_or_else(|| parameter.invalid("this is not an address's length"))
}

/// Writes an IPv4 or IPv6 Address parameter.
pub fn emit_address(writer: &mut Writer, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => writer.word(ParameterType::IPV4_ADDRESS, v4.to_bits()),
        IpAddr::V6(v6) => writer.parameter(ParameterType::IPV6_ADDRESS, |w| w.bytes(&v6.octets())),
    }
}
