//! From which addresses a registrar is looked for. The kernel sends an association's first packet by its default route,
//! from whichever address of the socket is on that path, again and again: a registrar that only another network reaches
//! would never be found. So the addresses are tried one at a time, when all together have found nobody for a while.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an address is tried, and all of them before.
const TURN: Duration = Duration::from_secs(4);

/// The machine, without I/O.
#[derive(Debug, Clone, Copy, Default)]
pub struct Narrow {
    since: Option<Instant>,
}

impl Narrow {
    /// The addresses to look from. `found`: there is a registrar, or none is looked for.
    pub fn look(&mut self, now: Instant, found: bool, usable: &[IpAddr]) -> Vec<IpAddr> {
        if found || usable.len() < 2 {
            self.since = None;
            return usable.to_vec();
        }
        let since = *self.since.get_or_insert(now);
        let turns = now.duration_since(since).as_millis() / TURN.as_millis();
        let turn = usize::try_from(turns).unwrap_or_default() % (usable.len() + 1);
        // The last first: all together have tried the first.
        match usable.len().checked_sub(turn).filter(|_| turn > 0) {
            Some(one) => vec![usable[one]],
            None => usable.to_vec(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "one clock reading is the origin of the test's own time")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_one_at_a_time_only_while_no_registrar_is_found() {
        let all: Vec<IpAddr> = vec![[10, 1, 0, 2].into(), [10, 2, 0, 2].into()];
        let (start, mut narrow) = (Instant::now(), Narrow::default());
        let mut look = |seconds: u64, found| narrow.look(start + Duration::from_secs(seconds), found, &all);
        assert_eq!(look(0, false), all);
        assert_eq!(look(3, false), all);
        assert_eq!(look(4, false), all[1..]);
        assert_eq!(look(8, false), all[..1]);
        assert_eq!(look(12, false), all);
        assert_eq!(look(16, false), all[1..]);
        assert_eq!(look(17, true), all);
        assert_eq!(look(30, false), all, "from the beginning");
        assert_eq!(narrow.look(start + Duration::from_secs(60), false, &all[..1]), all[..1]);
    }
}
