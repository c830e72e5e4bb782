//! One pool element as the registrar keeps it.

use asap_client::wire::{Policy, PoolElement, PoolElementRef, Transport};
use std::time::{Duration, Instant};

use crate::Association;

/// The time for which a registration holds (RFC 5354, 3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It never ends by itself; on the wire -1.
    Infinite,
    /// It ends so long after the last registration.
    For(Duration),
}

impl Life {
    /// Reads the wire value: seconds, -1 for ever. 0 and other negative values mean nothing: `None`.
    pub fn from_wire(raw: i32) -> Option<Self> {
        match raw {
            -1 => Some(Self::Infinite),
            1.. => Some(Self::For(Duration::from_secs(raw.unsigned_abs().into()))),
            _ => None,
        }
    }

    /// The moment at which a registration made `now` ends; `None`: never.
    pub fn end(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Infinite => None,
            Self::For(time) => now.checked_add(time),
        }
    }
}

/// A registered pool element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its identifier, unique in the pool.
    pub id: u32,
    /// The registrar at which it is registered (its home).
    pub home: u32,
    /// Registration life as it came, in the wire's unit.
    pub life: i32,
    /// Where it serves; only addresses that the registering association has.
    pub user: Transport,
    /// Its pool member selection policy with its values.
    pub policy: Policy,
    /// Where it was heard from: the association's addresses (RFC 5352, 3.1).
    pub asap: Transport,
    /// The association over which it was registered last; `None`: it is registered at another registrar.
    pub owner: Option<Association>,
    /// When its registration ends; `None`: never.
    pub expires: Option<Instant>,
    /// Reports that it cannot be reached, since it was last heard from (MAX-BAD-PE-REPORT).
    pub bad_reports: u32,
}

impl Element {
    /// What pool users are told of it. The ASAP transport is left out: they have no use for it.
    pub fn to_wire(&self) -> PoolElement {
        PoolElement {
            id: self.id,
            home: self.home,
            life: self.life,
            user: self.user.clone(),
            policy: self.policy.clone(),
            asap: None,
        }
    }

    /// The same, to be written at once.
    pub fn as_wire(&self) -> PoolElementRef<'_> {
        let Self { id, home, life, user, policy, .. } = self;
        PoolElementRef { id: *id, home: *home, life: *life, user, policy, asap: None }
    }

    /// Whether a pool user would see a difference between the two.
    pub fn differs_for_users(&self, other: &Self) -> bool {
        self.user != other.user || self.policy != other.policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registration_life_is_in_seconds_and_minus_one_is_for_ever() {
        assert_eq!(Life::from_wire(30), Some(Life::For(Duration::from_secs(30))));
        assert_eq!(Life::from_wire(i32::MAX), Some(Life::For(Duration::from_secs(0x7fff_ffff))));
        assert_eq!(Life::from_wire(-1), Some(Life::Infinite));
        assert_eq!(Life::from_wire(0), None);
        assert_eq!(Life::from_wire(-2), None);
        assert_eq!(Life::from_wire(i32::MIN), None);
    }
}
