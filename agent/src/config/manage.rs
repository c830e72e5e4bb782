//! Which sockets the daemon adopts by itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::value;

/// `[[manage]]`: an entry fits a socket if every key that it has fits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manage {
    /// The socket's own SCTP port.
    #[serde(deserialize_with = "value::port")]
    pub port: Option<u16>,
    /// The program that holds the socket, as an absolute path; symbolic links are followed.
    #[serde(deserialize_with = "value::executable")]
    pub executable: Option<PathBuf>,
    /// The user that the socket belongs to: a name of this host or a number.
    pub user: Option<User>,
    /// The process that holds the socket.
    #[serde(deserialize_with = "value::process")]
    pub process: Option<i32>,
}

/// A user of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As written.
    pub name: String,
    /// The number behind it.
    pub uid: u32,
}

/// What is known of a socket when the daemon decides whether to adopt it.
#[derive(Debug, Clone, Copy)]
pub struct SocketFacts<'a> {
    /// Its own port.
    pub local_port: u16,
    /// A process that holds it.
    pub pid: i32,
    /// The owner of the socket.
    pub uid: u32,
    /// Where `/proc/PID/exe` points, if that can be read.
    pub executable: Option<&'a Path>,
}

impl Manage {
    /// Whether every given key fits.
    pub fn matches(&self, socket: &SocketFacts<'_>) -> bool {
        self.port.is_none_or(|port| port == socket.local_port)
            && self.process.is_none_or(|pid| pid == socket.pid)
            && self.user.as_ref().is_none_or(|user| user.uid == socket.uid)
            && self.executable.as_ref().is_none_or(|wanted| same_program(wanted, socket.executable))
    }
}

/// Whether `running` (a target of `/proc/PID/exe`) is the program at `wanted`.
pub(crate) fn same_program(wanted: &Path, running: Option<&Path>) -> bool {
    let Some(running) = running else { return false };
    running == wanted || std::fs::canonicalize(wanted).is_ok_and(|resolved| resolved == running)
}

impl super::Element {
    /// Whether a listening socket of these properties is this pool element's.
    pub fn matches(&self, socket: &SocketFacts<'_>) -> bool {
        self.port.is_none_or(|port| port == socket.local_port)
            && self.executable.as_ref().is_none_or(|wanted| same_program(wanted, socket.executable))
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Ok(uid) = name.parse() {
            return Ok(Self { name, uid });
        }
        match nix::unistd::User::from_name(&name) {
            Ok(Some(user)) => Ok(Self { uid: user.uid.as_raw(), name }),
            _ => Err(serde::de::Error::custom(format!(
                "no user `{name}` on this host; allowed: a user's name, or a number in quotes"
            ))),
        }
    }
}
