//! Messages in one line, for logs and test failures.

use std::fmt::{self, Display, Formatter, Write};

use super::cause::Cause;
use super::element::{PoolElement, ServerInformation};
use super::message::Message;
use super::policy::Policy;
use super::transport::{Transport, TransportUse};

fn list<T: Display>(f: &mut Formatter<'_>, before: &str, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        f.write_str(if i == 0 { before } else { ", " })?;
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for TransportUse {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataOnly => "data",
            Self::DataPlusControl => "data+control",
        })
    }
}

impl Display for Transport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Sctp { .. } => "sctp",
            Self::Tcp { .. } => "tcp",
            Self::Udp { .. } => "udp",
            Self::UdpLite { .. } => "udp-lite",
            Self::Dccp { .. } => "dccp",
            Self::Opaque(octets) => return write!(f, "opaque ({} octets)", octets.len()),
        };
        write!(f, "{name} port {}", self.port().unwrap_or_default())?;
        if let Self::Dccp { service, .. } = self {
            write!(f, " service {service:#010x}")?;
        }
        if let Self::Sctp { use_, .. } = self {
            write!(f, " {use_}")?;
        }
        list(f, " at ", self.addresses())
    }
}

impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fraction = |part: u32| 100.0 * f64::from(part) / f64::from(u32::MAX);
        match self {
            Self::RoundRobin => f.write_str("RR"),
            Self::WeightedRoundRobin { weight } => write!(f, "WRR weight {weight}"),
            Self::Random => f.write_str("RAND"),
            Self::WeightedRandom { weight } => write!(f, "WRAND weight {weight}"),
            Self::Priority { priority } => write!(f, "PRIO {priority}"),
            Self::LeastUsed { load } => write!(f, "LU load {:.1}%", fraction(*load)),
            Self::RandomizedLeastUsed { load } => write!(f, "RLU load {:.1}%", fraction(*load)),
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation }
            | Self::RandomizedPriorityLeastUsed { load, degradation }
            | Self::RandomizedLeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsedDegradation { load, degradation }
            | Self::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                let name = match self {
                    Self::LeastUsedDegradation { .. } => "LUD",
                    Self::PriorityLeastUsed { .. } => "PLU",
                    Self::RandomizedPriorityLeastUsed { .. } => "RPLU",
                    Self::RandomizedLeastUsedDegradation { .. } => "RLUD",
                    Self::PriorityLeastUsedDegradation { .. } => "PLUD",
                    _ => "RPLUD",
                };
                write!(f, "{name} load {:.1}% degradation {:.1}%", fraction(*load), fraction(*degradation))
            }
            Self::WeightedRandomDpf { weight, dpf, distance } => {
                write!(f, "WRAND-DPF weight {weight} dpf {:.1}% distance {distance} ms", fraction(*dpf))
            }
            Self::LeastUsedDpf { load, dpf, distance } => {
                let (load, dpf) = (fraction(*load), fraction(*dpf));
                write!(f, "LU-DPF load {load:.1}% dpf {dpf:.1}% distance {distance} ms")
            }
            Self::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                let (load, degradation, dpf) = (fraction(*load), fraction(*degradation), fraction(*dpf));
                write!(
                    f,
                    "LUD-DPF load {load:.1}% degradation {degradation:.1}% dpf {dpf:.1}% distance {distance} ms"
                )
            }
            Self::Unknown { code, data } => write!(f, "policy {code:#010x} ({} octets)", data.len()),
        }
    }
}

impl Display for PoolElement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x} [{}; {}; home {:#010x}, life ", self.id, self.user, self.policy, self.home)?;
        match self.life {
            Self::FOREVER => f.write_str("for ever")?,
            life => write!(f, "{life}")?,
        }
        if let Some(asap) = &self.asap {
            write!(f, "; asap {asap}")?;
        }
        f.write_char(']')
    }
}

impl Display for ServerInformation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x} [{}]", self.server, self.transport)
    }
}

impl Display for Cause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x}", self.name(), self.code)?;
        if !self.data.is_empty() {
            write!(f, ", {} octets", self.data.len())?;
        }
        f.write_char(')')
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.type_().fmt(f)?;
        match self {
            Self::Registration { handle, element } => write!(f, " {handle}: {element}"),
            Self::Deregistration { handle, id }
            | Self::EndpointKeepAliveAck { handle, id }
            | Self::EndpointUnreachable { handle, id } => write!(f, " {handle}: {id:#010x}"),
            Self::RegistrationResponse { rejected, handle, id, error } => {
                let verdict = if *rejected { " rejected" } else { "" };
                write!(f, "{verdict} {handle}: {id:#010x}")?;
                list(f, "; ", error.as_deref().unwrap_or_default())
            }
            Self::DeregistrationResponse { handle, id, error } => {
                write!(f, " {handle}: {id:#010x}")?;
                list(f, "; ", error.as_deref().unwrap_or_default())
            }
            Self::HandleResolution { subscribe, handle, items } => {
                let verb = if *subscribe { " (subscribe)" } else { "" };
                write!(f, "{verb} {handle}")?;
                match items {
                    Some(u32::MAX) => f.write_str(", all items"),
                    Some(items) => write!(f, ", {items} items"),
                    None => Ok(()),
                }
            }
            Self::HandleResolutionResponse { subscribed, handle, policy, elements, error } => {
                let verb = if *subscribed { " (subscribed)" } else { "" };
                write!(f, "{verb} {handle}")?;
                if let Some(policy) = policy {
                    write!(f, ", {policy}")?;
                }
                list(f, ": ", elements)?;
                list(f, "; ", error.as_deref().unwrap_or_default())
            }
            Self::EndpointKeepAlive { home, server, handle, id } => {
                let verb = if *home { " (your home)" } else { "" };
                write!(f, "{verb} from {server:#010x} {handle}")?;
                id.map_or(Ok(()), |id| write!(f, ": {id:#010x}"))
            }
            Self::ServerAnnounce { server, transports } => {
                write!(f, " {server:#010x}")?;
                list(f, ": ", transports)
            }
            Self::Cookie(cookie) | Self::CookieEcho(cookie) => write!(f, " ({} octets)", cookie.len()),
            Self::BusinessCard { handle, elements } => {
                write!(f, " {handle}")?;
                list(f, ": ", elements)
            }
            Self::Error(causes) => list(f, ": ", causes),
        }
    }
}
