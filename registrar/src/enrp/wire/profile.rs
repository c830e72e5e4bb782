//! Where the RFCs and rsplib disagree in what the octets mean.

use serde::{Deserialize, Serialize};

use asap_client::wire::PoolElement;

/// Whose reading of the RFCs a peer follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// RFC 5353 and 5354 to the letter: lives in seconds, in a conflict the larger identifier takes over.
    #[default]
    Rfc,
    /// rsplib: lives in milliseconds, in a conflict the smaller identifier takes over.
    Rsplib,
}

impl Profile {
    /// Seconds of a registration life as such a peer sends it; -1 is for ever. Parts of a second are rounded up, so
    /// that no life becomes nothing.
    pub fn life_from_wire(self, raw: i32) -> i32 {
        match (self, raw) {
            (Self::Rfc, _) | (Self::Rsplib, PoolElement::FOREVER) => raw,
            // Milliseconds, unsigned (rsplib); as seconds every value fits.
            (Self::Rsplib, raw) => {
                i32::try_from(u32::from_ne_bytes(raw.to_ne_bytes()).div_ceil(1000)).unwrap_or(i32::MAX)
            }
        }
    }

    /// A registration life of so many seconds as such a peer is sent it; what does not fit becomes the longest.
    pub fn life_to_wire(self, seconds: i32) -> i32 {
        match (self, seconds) {
            (Self::Rfc, _) | (Self::Rsplib, PoolElement::FOREVER) => seconds,
            (Self::Rsplib, seconds) => seconds.saturating_mul(1000),
        }
    }

    /// Whether we win when we and such a peer both want to take over the same registrar (RFC 5353 §3.5.1).
    pub fn wins(self, own: u32, theirs: u32) -> bool {
        match self {
            Self::Rfc => own > theirs,
            Self::Rsplib => own < theirs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsplibs_lives_are_milliseconds_and_the_rfcs_are_seconds() {
        assert_eq!(Profile::Rsplib.life_from_wire(12_000), 12);
        assert_eq!(Profile::Rsplib.life_from_wire(1), 1);
        assert_eq!(Profile::Rsplib.life_from_wire(-2), 4_294_968);
        assert_eq!(Profile::Rsplib.life_to_wire(12), 12_000);
        assert_eq!(Profile::Rsplib.life_to_wire(i32::MAX), i32::MAX);
        for life in [-2, -1, 0, 1, 300, i32::MAX] {
            assert_eq!(Profile::Rfc.life_from_wire(life), life);
            assert_eq!(Profile::Rfc.life_to_wire(life), life);
        }
        for profile in [Profile::Rfc, Profile::Rsplib] {
            assert_eq!(profile.life_from_wire(-1), -1);
            assert_eq!(profile.life_to_wire(-1), -1);
        }
    }

    #[test]
    fn the_rfcs_conflicts_are_won_by_the_larger_identifier_and_rsplibs_by_the_smaller() {
        assert!(Profile::Rfc.wins(2, 1) && !Profile::Rfc.wins(1, 2));
        assert!(Profile::Rsplib.wins(1, 2) && !Profile::Rsplib.wins(2, 1));
    }
}
