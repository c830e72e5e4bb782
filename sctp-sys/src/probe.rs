//! What this kernel and this network namespace offer, and the settings that decide it (`net.sctp.*`).
//!
//! Settings are per network namespace (that of the calling thread) and copied to a socket when it is made.

use std::fs;
use std::io;

use crate::adopt;
use crate::diag;
use crate::socket::{Family, Socket, Style};

/// A setting of a network namespace: a file below `/proc/sys/net/sctp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sysctl {
    /// Add-IP for new sockets (0 or 1).
    AddipEnable,
    /// Add-IP without AUTH, against RFC 5061 (0 or 1).
    AddipNoauthEnable,
    /// AUTH for new sockets (0 or 1).
    AuthEnable,
    /// The kernel's own handling of address changes for new wildcard sockets (0 or 1).
    DefaultAutoAsconf,
    /// UDP port that wrapped packets are taken at (RFC 6951); 0: none.
    UdpPort,
    /// UDP port that new associations' packets are wrapped to; 0: not wrapped.
    EncapPort,
    /// Which own addresses are told to a peer: 0 all, 1 by scope, 2 also private, 3 also link-local.
    AddrScopePolicy,
    /// Interleaving of messages for new sockets that ask for it (RFC 8260; 0 or 1).
    IntlEnable,
}

impl Sysctl {
    /// The file's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddipEnable => "addip_enable",
            Self::AddipNoauthEnable => "addip_noauth_enable",
            Self::AuthEnable => "auth_enable",
            Self::DefaultAutoAsconf => "default_auto_asconf",
            Self::UdpPort => "udp_port",
            Self::EncapPort => "encap_port",
            Self::AddrScopePolicy => "addr_scope_policy",
            Self::IntlEnable => "intl_enable",
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// See [`SysctlError`].
    pub fn read(self) -> Result<i64, SysctlError> {
        let text = fs::read_to_string(self.path()).map_err(|e| self.error(e, None))?;
        text.trim().parse().map_err(|_| self.error(io::ErrorKind::InvalidData.into(), None))
    }

    /// Writes it.
    ///
    /// # Errors
    /// See [`SysctlError`].
    pub fn write(self, value: i64) -> Result<(), SysctlError> {
        fs::write(self.path(), value.to_string()).map_err(|e| self.error(e, Some(value)))
    }

    fn path(self) -> String {
        // Which namespace this shows is decided by the thread that opens it.
        format!("/proc/sys/net/sctp/{}", self.name())
    }

    fn error(self, error: io::Error, value: Option<i64>) -> SysctlError {
        let name = self.name();
        // A kernel with SCTP may still lack a newer setting.
        let module = fs::exists("/proc/sys/net/sctp").unwrap_or(false);
        match (error.kind(), value) {
            (io::ErrorKind::NotFound, _) if !module => SysctlError::NoSctp { name },
            (io::ErrorKind::NotFound, _) => SysctlError::NotKnown { name },
            (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, value) => {
                SysctlError::NotPermitted { name, value: value.unwrap_or_default() }
            }
            (io::ErrorKind::InvalidInput, Some(value)) => SysctlError::OutOfRange { name, value },
            _ => SysctlError::Io { name, source: error },
        }
    }
}

/// Why a setting could not be read or written, and what mends it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SysctlError {
    /// The kernel has no SCTP, or its module is not loaded.
    #[error("net.sctp.{name} is not there: load the kernel's SCTP as root with `modprobe sctp`")]
    NoSctp {
        /// The setting.
        name: &'static str,
    },
    /// This kernel does not know the setting.
    #[error("this kernel does not know net.sctp.{name}: it takes a newer kernel")]
    NotKnown {
        /// The setting.
        name: &'static str,
    },
    /// Not permitted.
    #[error("not permitted to set net.sctp.{name}: run `sysctl -w net.sctp.{name}={value}` as root")]
    NotPermitted {
        /// The setting.
        name: &'static str,
        /// What it was to be set to.
        value: i64,
    },
    /// The kernel does not take this value.
    #[error("net.sctp.{name} cannot be {value}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What it was to be set to.
        value: i64,
    },
    /// Another error of the system.
    #[error("net.sctp.{name}: {source}")]
    Io {
        /// The setting.
        name: &'static str,
        /// The error.
        source: io::Error,
    },
}

/// What this kernel, this network namespace and this process' rights offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probe {
    /// SCTP sockets can be made.
    pub sctp: bool,
    /// If not, the system's error number.
    pub sctp_error: Option<i32>,
    /// sock_diag tells of SCTP; else /proc has to do.
    pub diag: bool,
    /// Add-IP for new sockets (`net.sctp.addip_enable`); `None`: cannot be read.
    pub addip: Option<bool>,
    /// AUTH for new sockets (`net.sctp.auth_enable`).
    pub auth: Option<bool>,
    /// Add-IP without AUTH (`net.sctp.addip_noauth_enable`).
    pub addip_noauth: Option<bool>,
    /// The kernel's own handling of address changes (`net.sctp.default_auto_asconf`).
    pub default_auto_asconf: Option<bool>,
    /// The UDP port that wrapped packets are taken at; 0: none.
    pub udp_port: Option<u16>,
    /// This process may take other processes' descriptors (CAP_SYS_PTRACE).
    pub may_adopt: bool,
    /// This process may watch packets (CAP_NET_RAW).
    pub may_watch: bool,
    /// This process may change addresses, routes and packet filters (CAP_NET_ADMIN).
    pub may_configure: bool,
}

impl Probe {
    /// Looks. Making a socket loads the kernel's module where that is allowed.
    pub fn look() -> Self {
        const CAP_NET_ADMIN: u32 = 12;
        const CAP_NET_RAW: u32 = 13;
        const CAP_SYS_PTRACE: u32 = 19;
        let socket = Socket::new(Style::OneToMany, Family::V4);
        let number = |sysctl: Sysctl| sysctl.read().ok();
        let switch = |sysctl| number(sysctl).map(|value| value != 0);
        Self {
            sctp: socket.is_ok(),
            sctp_error: socket.err().and_then(|e| e.raw_os_error()),
            diag: diag::snapshot_by_sock_diag().is_ok(),
            addip: switch(Sysctl::AddipEnable),
            auth: switch(Sysctl::AuthEnable),
            addip_noauth: switch(Sysctl::AddipNoauthEnable),
            default_auto_asconf: switch(Sysctl::DefaultAutoAsconf),
            udp_port: number(Sysctl::UdpPort).and_then(|port| u16::try_from(port).ok()),
            may_adopt: adopt::capable(CAP_SYS_PTRACE),
            may_watch: adopt::capable(CAP_NET_RAW),
            may_configure: adopt::capable(CAP_NET_ADMIN),
        }
    }

    /// Whether new sockets will have Add-IP that follows RFC 5061.
    pub fn mobile(&self) -> bool {
        self.sctp && self.addip == Some(true) && self.auth == Some(true)
    }
}

/// Whether SCTP sockets can be made, and if not, what mends it.
///
/// # Errors
/// With the command that mends it in its text.
pub fn require_sctp() -> io::Result<()> {
    match Socket::new(Style::OneToMany, Family::V4) {
        Ok(_) => Ok(()),
        Err(e)
            if matches!(
                e.raw_os_error(),
                Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::EAFNOSUPPORT)
            ) =>
        {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "this kernel has no SCTP ({e}): load it as root with `modprobe sctp`, or take a kernel built with CONFIG_IP_SCTP"
                ),
            ))
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_works_on_any_host() {
        let probe = Probe::look();
        assert_eq!(probe.sctp, probe.sctp_error.is_none());
        assert_eq!(probe.sctp, require_sctp().is_ok());
        assert!(probe.sctp || !probe.mobile());
    }

    #[test]
    fn an_error_says_which_command_mends_it() {
        let denied = Sysctl::AddipEnable.error(io::ErrorKind::PermissionDenied.into(), Some(1)).to_string();
        assert!(denied.contains("sysctl -w net.sctp.addip_enable=1"), "{denied}");
        let missing = SysctlError::NoSctp { name: "auth_enable" }.to_string();
        assert!(missing.contains("modprobe sctp"), "{missing}");
    }
}
