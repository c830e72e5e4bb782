//! What changed from one view to the next, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::usable::{LocalAddress, Unusable};
use super::view::View;

/// One change of one address. [`fmt::Display`] gives the line that `roam monitor` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It may be used from now on.
    Usable {
        /// The address.
        address: IpAddr,
        /// Its interface.
        interface: String,
        /// The next router, if any.
        gateway: Option<IpAddr>,
    },
    /// It is there and may not be used (any more, yet, or now for another reason).
    Unusable {
        /// The address.
        address: IpAddr,
        /// Its interface.
        interface: String,
        /// Why not.
        reason: Unusable,
    },
    /// It is no more.
    Gone {
        /// The address.
        address: IpAddr,
        /// The interface that it was on.
        interface: String,
        /// It could be used until now.
        was_usable: bool,
    },
    /// It stays usable, by another route.
    Rerouted {
        /// The address.
        address: IpAddr,
        /// Its interface.
        interface: String,
        /// The next router from now on, if any.
        gateway: Option<IpAddr>,
    },
}

impl Change {
    /// The address that changed.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Usable { address, .. }
            | Self::Unusable { address, .. }
            | Self::Gone { address, .. }
            | Self::Rerouted { address, .. } => *address,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let via = |gateway: &Option<IpAddr>| {
            gateway.map_or_else(|| "on the link".to_owned(), |gateway| format!("by way of {gateway}"))
        };
        match self {
            Self::Usable { address, interface, gateway } => {
                write!(f, "+ {address} {interface}: usable {}", via(gateway))
            }
            Self::Unusable { address, interface, reason } => {
                write!(f, "! {address} {interface}: not usable: {reason}")
            }
            Self::Gone { address, interface, was_usable } => {
                let state = if *was_usable { "" } else { " (it was not usable)" };
                write!(f, "- {address} {interface}: gone{state}")
            }
            Self::Rerouted { address, interface, gateway } => {
                write!(f, "~ {address} {interface}: usable {}", via(gateway))
            }
        }
    }
}

/// The changes from `old` to `new`, losses first.
pub fn diff(old: &View, new: &View) -> Vec<Change> {
    let by_key = |view: &View| -> BTreeMap<(u32, IpAddr), LocalAddress> {
        view.addresses.iter().map(|local| ((local.ifindex, local.address), local.clone())).collect()
    };
    let (before, after) = (by_key(old), by_key(new));
    let mut changes = Vec::new();
    for (key, was) in &before {
        if !after.contains_key(key) {
            let (address, interface) = (was.address, was.interface.clone());
            changes.push(Change::Gone { address, interface, was_usable: was.usable() });
        }
    }
    let mut gains = Vec::new();
    for (key, is) in &after {
        let was = before.get(key);
        let (address, interface, gateway) = (is.address, is.interface.clone(), is.gateway);
        match (&is.verdict, was.map(|was| &was.verdict)) {
            (Ok(()), Some(Ok(()))) => {
                if was.is_some_and(|was| was.gateway != gateway) {
                    gains.push(Change::Rerouted { address, interface, gateway });
                }
            }
            (Ok(()), _) => gains.push(Change::Usable { address, interface, gateway }),
            (Err(reason), was) => {
                if was != Some(&Err(reason.clone())) {
                    changes.push(Change::Unusable { address, interface, reason: reason.clone() });
                }
            }
        }
    }
    changes.extend(gains);
    changes
}
