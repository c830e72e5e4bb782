//! Associations whose data the kernel never sends again.
//!
//! Linux loses count of the octets under way when an address of the peer is deleted while data is under way to it, some
//! of that data is reported received out of order, and an older SACK arrives after that report. From then on the peer is
//! taken for full ([`sctp_sys::diag::Detail::is_jammed`]). Nothing that a program or a daemon may do mends it; seen in
//! some of twenty associations that moved at once, with their peers, on a host with too little processor.
//! [`Rule::NoGapsIn`](crate::translate::Rule::NoGapsIn) prevents it, but for data in large packets both ways, and where
//! addresses cannot be translated. So it is told, for people to begin anew.

use std::time::{Duration, Instant};

/// For how long an association has to stand so: a SACK that opens the window may be under way.
const LASTS: Duration = Duration::from_secs(3);

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jam {
    since: Option<Instant>,
    certain: bool,
}

impl Jam {
    /// How the association stands now. True once for each jam: when it is certain.
    pub fn look(&mut self, now: Instant, jammed: bool) -> bool {
        if !jammed {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let told = std::mem::replace(&mut self.certain, now.duration_since(since) >= LASTS);
        self.certain && !told
    }

    /// Whether nothing is sent any more.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.certain
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "one clock reading is the origin of the test's own time")]
mod tests {
    use super::*;

    #[test]
    fn a_jam_is_told_once_and_only_if_it_lasts() {
        let (start, mut jam) = (Instant::now(), Jam::default());
        let mut look = |ms: u64, jammed| {
            let told = jam.look(start + Duration::from_millis(ms), jammed);
            (told, jam.is_certain())
        };
        assert_eq!(look(0, true), (false, false));
        assert_eq!(look(2999, true), (false, false));
        assert_eq!(look(3000, false), (false, false));
        assert_eq!(look(4000, true), (false, false));
        assert_eq!(look(7000, true), (true, true));
        assert_eq!(look(8000, true), (false, true));
        assert_eq!(look(9000, false), (false, false));
    }
}
