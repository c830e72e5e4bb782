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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn view(entries: &[(&str, Result<(), Unusable>, &str)]) -> View {
        let local = |(address, verdict, gateway): &(&str, Result<(), Unusable>, &str)| LocalAddress {
            address: address.parse().unwrap(),
            prefix: 24,
            interface: "u1".to_owned(),
            ifindex: 2,
            verdict: verdict.clone(),
            gateway: gateway.parse().ok(),
            metric: 0,
            routes: Arc::default(),
            standing: Default::default(),
        };
        View { addresses: entries.iter().map(local).collect(), lost: 0 }
    }

    fn lines(old: &View, new: &View) -> Vec<String> {
        diff(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn losses_are_told_before_gains() {
        let old = view(&[("10.2.0.2", Ok(()), "10.2.0.1")]);
        let new = view(&[("10.1.0.2", Ok(()), "10.1.0.1")]);
        let expected = ["- 10.2.0.2 u1: gone", "+ 10.1.0.2 u1: usable by way of 10.1.0.1"];
        assert_eq!(lines(&old, &new), expected);
    }

    #[test]
    fn each_turn_of_an_address_is_told_once() {
        let tentative = view(&[("fd00::2", Err(Unusable::Tentative), "fe80::1")]);
        let usable = view(&[("fd00::2", Ok(()), "fe80::1")]);
        let rerouted = view(&[("fd00::2", Ok(()), "fe80::9")]);
        let none = View::default();
        assert_eq!(
            lines(&none, &tentative),
            ["! fd00::2 u1: not usable: duplicate address detection is not over"]
        );
        assert_eq!(lines(&tentative, &tentative), [""; 0]);
        assert_eq!(lines(&tentative, &usable), ["+ fd00::2 u1: usable by way of fe80::1"]);
        assert_eq!(lines(&usable, &rerouted), ["~ fd00::2 u1: usable by way of fe80::9"]);
        assert_eq!(lines(&tentative, &none), ["- fd00::2 u1: gone (it was not usable)"]);
    }
}
