//! Associations whose setup was seen on the wire, until they are looked after: each is asked for by itself, which costs the
//! same however many others there are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Daemon;
use crate::associations::Arrival;

/// When it is asked for, the first time: those that come together are looked for together, and the kernel of one that
/// receives the last packet of a setup has taken it in by then.
const FIRST: Duration = Duration::from_millis(10);
/// Later from time to time, doubled; beyond this the regular look has to find it: nobody who may be looked into holds it, or
/// its program accepts none.
const LAST: Duration = Duration::from_millis(1280);
/// So many at a time. Of more the regular look finds the rest.
const MOST: usize = 4096;

/// Own address and peer's.
type Ends = (SocketAddr, SocketAddr);

/// Those that are still to be found.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// When each is asked for next, and how long after that.
    waiting: BTreeMap<Ends, (Instant, Duration)>,
}

impl Arrivals {
    /// The setup of one was seen.
    pub(super) fn seen(&mut self, now: Instant, ends: Ends) {
        if self.waiting.len() < MOST {
            // One that is set up anew by the same addresses is another one, and begins anew.
            self.waiting.insert(ends, (now + FIRST, FIRST));
        }
    }

    /// When one is to be asked for.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.values().map(|&(at, _)| at).min()
    }

    /// Those that are to be asked for now. They are asked for once more later, unless they are [`found`](Self::found).
    pub(super) fn due(&mut self, now: Instant) -> Vec<Ends> {
        let mut due = Vec::new();
        self.waiting.retain(|ends, (at, wait)| {
            if *at <= now {
                due.push(*ends);
                *wait *= 2;
                *at = now + *wait;
            }
            *wait <= LAST
        });
        due
    }

    /// One was found.
    pub(super) fn found(&mut self, ends: Ends) {
        self.waiting.remove(&ends);
    }
}

impl Daemon {
    /// Looks after those that have come.
    pub(super) fn receive_arrivals(&mut self, now: Instant) {
        if self.arrivals.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        let mut news = false;
        for ends in self.arrivals.due(now) {
            match self.survey.arrival(ends.0, ends.1) {
                Ok(Arrival::Here(found)) => {
                    self.arrivals.found(ends);
                    news |= self.meet(*found).is_some();
                }
                Ok(Arrival::NotYet) => {}
                Err(error) => {
                    // Without sock_diag, or on a kernel that cannot be asked for one, all are looked at.
                    tracing::debug!(%error, "an association cannot be asked for by itself");
                    self.arrivals.found(ends);
                    self.look_due.get_or_insert(now);
                }
            }
        }
        if news {
            self.tell_of_peers();
            self.tend_paths(now);
            self.follow();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_asked_for_ever_more_rarely_until_it_is_found_or_given_up() {
        let (start, mut arrivals) = (Instant::now(), Arrivals::default());
        let ends = |port: u16| (SocketAddr::from(([10, 1, 0, 2], port)), "10.3.0.2:7000".parse().unwrap());
        let at = |ms| start + Duration::from_millis(ms);
        arrivals.seen(at(0), ends(1));
        arrivals.seen(at(4), ends(2));
        assert_eq!(arrivals.poll_timeout(), Some(at(10)));
        assert!(arrivals.due(at(9)).is_empty());
        assert_eq!(arrivals.due(at(14)), [ends(1), ends(2)]);
        arrivals.found(ends(2));
        assert_eq!(arrivals.poll_timeout(), Some(at(34)), "20 ms later");
        let mut now = 34;
        let mut asked = Vec::new();
        while let Some(next) = arrivals.poll_timeout() {
            assert_eq!(arrivals.due(next), [ends(1)]);
            asked.push(next.duration_since(at(now)).as_millis());
            now = next.duration_since(start).as_millis() as u64;
        }
        assert_eq!(asked, [0, 40, 80, 160, 320, 640, 1280]);
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let (start, mut arrivals) = (Instant::now(), Arrivals::default());
        for n in 0..=MOST {
            let own = SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 7));
            arrivals.seen(start, (own, own));
        }
        assert_eq!(arrivals.due(start + FIRST).len(), MOST);
    }
}
