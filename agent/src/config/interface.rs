//! What an interface is for: `[[interface]]`.

use serde::{Deserialize, Serialize};

use super::{Glob, value};

/// `[[interface]]`: what the interfaces are for that it fits. The first entry that fits an interface decides; an
/// interface that none fits is primary, of cost 0.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Names that it fits, with `*` and `?`; without it, all. Name or kind has to be given.
    #[serde(default)]
    pub name: Option<Glob>,
    /// The kind that it fits, as `ip -details link` names it (`veth`, `bridge`, `wireguard`), or `"physical"`; without
    /// it, all.
    #[serde(default, deserialize_with = "value::kind")]
    pub kind: Option<String>,
    /// What they are for. Default primary.
    #[serde(default)]
    pub role: Role,
    /// What a backup does while it is not needed. Default warm.
    #[serde(default)]
    pub standby: Standby,
    /// Of two interfaces of the same role the one of lower cost is used; 0 to 1000000, default 0.
    #[serde(default, deserialize_with = "value::cost")]
    pub cost: u32,
}

/// What an interface is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// For traffic.
    #[default]
    Primary,
    /// For traffic while no primary one works.
    Backup,
    /// For nothing.
    Never,
}

/// What a backup does while it is not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standby {
    /// Its address is in the association, and carries heartbeats: it takes over at once.
    #[default]
    Warm,
    /// Its address is added when it is needed, and carries nothing before.
    Cold,
}

/// What the configuration says of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// What it is for.
    pub role: Role,
    /// What it does as a backup.
    pub standby: Standby,
    /// Its cost.
    pub cost: u32,
    /// An entry names it: it is used whatever its kind.
    pub named: bool,
}

impl Interface {
    /// Whether it fits an interface of this name and kind (empty: hardware).
    pub fn fits(&self, name: &str, kind: &str) -> bool {
        let kind = if kind.is_empty() { "physical" } else { kind };
        self.name.as_ref().is_none_or(|glob| glob.matches(name))
            && self.kind.as_deref().is_none_or(|wanted| wanted == kind)
    }
}

impl super::Config {
    /// What the interface of this name and kind (empty: hardware) is for.
    pub fn standing(&self, name: &str, kind: &str) -> Standing {
        let entry = self.interface.iter().find(|entry| entry.fits(name, kind));
        entry.map_or_else(Standing::default, |entry| Standing {
            role: entry.role,
            standby: entry.standby,
            cost: entry.cost,
            named: true,
        })
    }
}
