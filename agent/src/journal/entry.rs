//! What can be written down.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that we add to the host or change on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// An address held on the loopback interface.
    Held {
        /// The address, as /32 or /128.
        address: IpAddr,
    },
    /// A rule: what comes from the address is routed by the table.
    Rule {
        /// The source address.
        from: IpAddr,
        /// One of our tables.
        table: u32,
    },
    /// One of our routing tables, with all routes in it.
    Table {
        /// Its number.
        table: u32,
    },
    /// An nftables table.
    Nftables {
        /// `inet`, `ip` or `ip6`.
        family: String,
        /// Its name.
        name: String,
    },
    /// A kernel setting.
    Sysctl {
        /// With dots, as `net.sctp.addip_enable`.
        name: String,
        /// What it was before.
        old: String,
        /// What we set.
        new: String,
    },
    /// An option of a program's socket.
    SocketOption {
        /// The process that held the socket.
        pid: i32,
        /// The socket's inode.
        inode: u64,
        /// The option's name.
        option: String,
        /// What it was before.
        old: Value,
    },
    /// A pool element that we registered.
    Element {
        /// Its pool handle.
        handle: String,
        /// Its identifier.
        id: u32,
    },
    /// Anything else that its maker knows how to undo.
    Other {
        /// What it is.
        what: String,
        /// All that is needed to undo it.
        data: Value,
    },
}

impl Entry {
    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// An entry of a kind that this version does not know is kept as it is.
    pub(super) fn from_value(value: Value) -> Self {
        serde_json::from_value(value.clone())
            .unwrap_or_else(|_| Self::Other { what: "unknown".to_owned(), data: value })
    }
}
