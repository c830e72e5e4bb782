//! How addresses and associations are named by people.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::protocol::AssociationReport;
use crate::decisions::{Decision, Subject};

/// What is to be explained.
///
/// | written | means |
/// |---|---|
/// | `10.2.0.2`, `fd00::2` | an address, of this host or of a peer |
/// | `1234:7001-7000` | the association of process 1234 from its port 7001 to the peer's 7000 |
/// | `7001-7000` | every association between these ports |
/// | `1234` | every association of a process |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// An address.
    Address(IpAddr),
    /// Associations of this process, between these ports (own, peer's); at least one of both is known.
    Association {
        /// The process.
        pid: Option<i32>,
        /// The ports.
        ports: Option<(u16, u16)>,
    },
}

/// Neither an address nor an association.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither an address (10.2.0.2) nor an association (PID:PORT-PORT as 1234:7001-7000, PORT-PORT or PID; `roam associations` lists them)"
)]
pub struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let refuse = || NoTarget(text.chars().take(80).flat_map(char::escape_default).collect());
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let process = |text: &str| text.parse().ok().filter(|pid: &i32| *pid > 0).ok_or_else(refuse);
        let ports = |text: &str| {
            let (own, peer) = text.split_once('-').ok_or_else(refuse)?;
            Ok((own.parse().map_err(|_| refuse())?, peer.parse().map_err(|_| refuse())?))
        };
        match text.split_once(':') {
            Some((pid, both)) => {
                Ok(Self::Association { pid: Some(process(pid)?), ports: Some(ports(both)?) })
            }
            None if text.contains('-') => Ok(Self::Association { pid: None, ports: Some(ports(text)?) }),
            None => Ok(Self::Association { pid: Some(process(text)?), ports: None }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Association { pid: Some(pid), ports: Some((own, peer)) } => write!(f, "{pid}:{own}-{peer}"),
            Self::Association { pid: None, ports: Some((own, peer)) } => write!(f, "{own}-{peer}"),
            Self::Association { pid, ports: None } => write!(f, "{}", pid.unwrap_or_default()),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = NoTarget;

    fn try_from(text: String) -> Result<Self, NoTarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl Target {
    /// Whether an association is meant, or has the address that is meant.
    pub fn concerns(&self, report: &AssociationReport) -> bool {
        match *self {
            Self::Address(address) => report.local.contains(&address) || report.peer.contains(&address),
            Self::Association { pid, ports } => {
                pid.is_none_or(|pid| pid == report.pid)
                    && ports.is_none_or(|ports| ports == (report.local_port, report.peer_port))
            }
        }
    }

    /// Whether a decision is about what is meant, or mentions the address.
    pub fn decided(&self, decision: &Decision) -> bool {
        match (*self, &decision.subject) {
            (Self::Address(wanted), Subject::Address { address }) => wanted == *address,
            (Self::Address(wanted), _) => {
                mentions(&decision.text, wanted) || mentions(&decision.cause, wanted)
            }
            (Self::Association { pid, ports }, Subject::Association { pid: its, local_port, peer_port }) => {
                pid.is_none_or(|pid| pid == *its)
                    && ports.is_none_or(|(own, peer)| {
                        own == *local_port && peer_port.is_none_or(|its| its == peer)
                    })
            }
            (Self::Association { .. }, _) => false,
        }
    }
}

/// Whether a sentence names the address, and not one that merely begins as it does.
fn mentions(text: &str, address: IpAddr) -> bool {
    let words = text.split(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'));
    words
        .map(|word| word.trim_end_matches(['.', ':']))
        .any(|word| word.len() >= 2 && word.contains(['.', ':']) && word.parse() == Ok(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood_and_written_again() {
        for text in ["10.2.0.2", "fd00::2", "1234:7001-7000", "7001-7000", "1234"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
            let json = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target);
        }
        for text in ["", "x", "-1", "0", "1:2", "1:2-", "70000-1", "10.2.0", "1:2-3-4", "\u{1b}[2J"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn an_address_is_mentioned_by_whole_words_only() {
        let is_in = |text: &str| mentions(text, "10.2.0.2".parse().unwrap());
        assert!(
            is_in("add 10.2.0.2")
                && is_in("swap 10.1.0.2 for 10.2.0.2.")
                && is_in("is at 10.2.0.2, 10.2.0.3")
        );
        assert!(!is_in("add 10.2.0.22") && !is_in("add 110.2.0.2") && !is_in("nothing"));
        assert!(mentions("hold fd00::2 on lo", "fd00::2".parse().unwrap()));
    }

    #[test]
    fn decisions_of_a_listener_belong_to_the_associations_of_its_port() {
        let subject = Subject::Association { pid: 7, local_port: 7001, peer_port: None };
        let decision = Decision {
            sequence: 1,
            time_ms: 0,
            subject,
            text: "+ 10.2.0.2".into(),
            cause: String::new(),
            fields: Default::default(),
        };
        for (target, concerned) in [
            ("7", true),
            ("7:7001-7000", true),
            ("7001-1", true),
            ("8", false),
            ("7:7002-7000", false),
            ("10.2.0.2", true),
        ] {
            assert_eq!(target.parse::<Target>().unwrap().decided(&decision), concerned, "{target}");
        }
    }
}
