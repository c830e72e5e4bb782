//! What the daemon may do on this host. Run by a user for his own programs it has no rights of its own, and does what is
//! left: options of sockets that the user's programs have anyway.

use crate::associations::effective_capabilities;

/// The rights that are not about sockets of others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    /// Addresses, rules, routes and nftables may be changed (CAP_NET_ADMIN).
    pub(super) admin: bool,
    /// The wire may be watched, and paths probed (CAP_NET_RAW).
    pub(super) raw: bool,
}

impl Rights {
    /// This process's. What cannot be told is tried.
    pub(super) fn own() -> Self {
        const NET_ADMIN: u32 = 12;
        const NET_RAW: u32 = 13;
        let bits = effective_capabilities(std::process::id().cast_signed()).unwrap_or(u64::MAX);
        Self { admin: bits >> NET_ADMIN & 1 == 1, raw: bits >> NET_RAW & 1 == 1 }
    }

    /// What is not done for want of them, each with what mends it behind the last semicolon.
    pub(super) fn problems(self) -> Vec<String> {
        const MEND: &str = "`systemctl start roamd` runs one that may";
        let mut problems = Vec::new();
        if !self.admin {
            problems.push(format!(
                "without CAP_NET_ADMIN no address is held or translated and no route is made: after a loss of all addresses \
                 only associations move whose socket is bound to an address and whose own port is above the peer's, and \
                 those of sockets bound to none cannot be moved at all; {MEND}"
            ));
        }
        if !self.raw {
            problems.push(format!(
                "without CAP_NET_RAW the peers' answers are not seen, and no path is probed: moves take longer, and a \
                 network that swallows everything is not noticed; {MEND}"
            ));
        }
        problems
    }
}

/// Why an association cannot be moved without the right to change addresses.
pub(super) const TAKES_ADMIN: &str = "cannot be moved: its socket is bound to no address, which takes a daemon with CAP_NET_ADMIN; it is let alone";
