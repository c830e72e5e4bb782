//! Outage, silence and overhead, out of times that were written down.

use crate::clock::{Nanos, ms_between};
use crate::topology::{Host, Place};

/// A time in which one end at least had no usable address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The first end lost its last one.
    pub from: Nanos,
    /// Both ends had one again; none: not until the end.
    pub to: Option<Nanos>,
}

/// Follows address events.
#[derive(Debug, Clone, Default)]
pub struct Outages {
    there: Vec<Place>,
    found: Vec<Outage>,
    begun: bool,
}

impl Outages {
    /// The address was usable from then on.
    pub fn up(&mut self, place: Place, at: Nanos) {
        self.there.push(place);
        if !self.whole() {
            return;
        }
        self.begun = true;
        if let Some(last) = self.found.last_mut() {
            last.to.get_or_insert(at);
        }
    }

    /// The address was gone from then on.
    pub fn down(&mut self, place: Place, at: Nanos) {
        let whole = self.whole();
        self.there.retain(|there| *there != place);
        if self.begun && whole && !self.whole() {
            self.found.push(Outage { from: at, to: None });
        }
    }

    fn whole(&self) -> bool {
        Host::ALL.iter().all(|host| self.there.iter().any(|place| place.host == *host))
    }

    /// All outages, in order.
    pub fn found(&self) -> &[Outage] {
        &self.found
    }
}

/// The time of one handover: from its first address event until the association had recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its begin.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
}

/// What a handover cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Milliseconds without a usable address at one end at least.
    pub outage_ms: f64,
    /// The longest time without an arrival around the outage, in milliseconds.
    pub silence_ms: f64,
    /// When that silence began.
    pub silent_from: Nanos,
    /// When it ended.
    pub silent_to: Nanos,
}

impl Cost {
    /// Silence less outage, in milliseconds.
    pub fn overhead_ms(&self) -> f64 {
        self.silence_ms - self.outage_ms
    }
}

/// The cost of one handover to one association. `arrivals`: when messages came, in order of time.
pub fn cost(window: Window, outages: &[Outage], arrivals: &[Nanos]) -> Option<Cost> {
    let outage_ms = outages
        .iter()
        .filter(|outage| outage.from >= window.from && outage.from < window.to)
        .map(|outage| ms_between(outage.from, outage.to.unwrap_or(window.to)))
        .fold(0.0, f64::max);
    let (mut from, mut longest) = (*arrivals.first()?, None);
    for &to in arrivals[1..].iter().chain(&[window.to.max(*arrivals.last()?)]) {
        let around = to > window.from && from < window.to;
        if around && longest.is_none_or(|(from_, to_)| to - from > to_ - from_) {
            longest = Some((from, to));
        }
        from = to;
    }
    let (silent_from, silent_to) = longest?;
    Some(Cost { outage_ms, silence_ms: ms_between(silent_from, silent_to), silent_from, silent_to })
}

/// The rate of a transfer between two times in octets a second; none when it has no two sizes there, or less
/// than half a second of them. `grew`: sizes in order of time.
pub fn rate(grew: &[(Nanos, u64)], from: Nanos, to: Nanos) -> Option<f64> {
    let mut within = grew.iter().filter(|(at, _)| (from..to).contains(at));
    let (begin, at_begin) = within.next()?;
    let (end, at_end) = within.next_back()?;
    let seconds = ms_between(*begin, *end) / 1000.0;
    (seconds >= 0.5).then(|| (at_end - at_begin) as f64 / seconds)
}

/// The costliest handover of all, over all associations.
pub fn worst(windows: &[Window], outages: &[Outage], associations: &[Vec<Nanos>]) -> Option<Cost> {
    let costs = windows
        .iter()
        .flat_map(|&window| associations.iter().filter_map(move |arrivals| cost(window, outages, arrivals)));
    costs.max_by(|one, other| one.overhead_ms().total_cmp(&other.overhead_ms()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{A1, A2, B1, B2};

    const MS: Nanos = 1_000_000;

    fn started() -> Outages {
        let mut outages = Outages::default();
        outages.up(A1, 1);
        outages.up(B1, 2);
        outages
    }

    #[test]
    fn an_outage_lasts_from_the_first_loss_until_both_ends_have_an_address() {
        let mut outages = started();
        outages.down(B1, 10);
        outages.down(A1, 11);
        outages.up(A2, 20);
        outages.up(B2, 30);
        assert_eq!(outages.found(), [Outage { from: 10, to: Some(30) }]);
    }

    #[test]
    fn a_host_with_another_address_is_not_out() {
        let mut outages = started();
        outages.up(A2, 5);
        outages.down(A1, 10);
        assert_eq!(outages.found(), []);
    }

    #[test]
    fn hosts_that_come_up_for_the_first_time_end_no_outage_and_begin_none() {
        assert_eq!(started().found(), []);
    }

    #[test]
    fn silence_is_the_longest_gap_that_touches_the_handover() {
        // A gap of 300 ms before the handover belongs to somebody else.
        let arrivals = [0, 300, 320, 340, 1500, 1520, 1540].map(|ms| ms * MS);
        let window = Window { from: 345 * MS, to: 1540 * MS };
        let outages = [Outage { from: 345 * MS, to: Some(1345 * MS) }];
        let cost = cost(window, &outages, &arrivals).unwrap();
        assert_eq!((cost.outage_ms, cost.silence_ms, cost.overhead_ms()), (1000.0, 1160.0, 160.0));
    }

    #[test]
    fn what_never_comes_back_is_silent_until_the_end() {
        let window = Window { from: 50 * MS, to: 30_000 * MS };
        let outages = [Outage { from: 50 * MS, to: None }];
        let cost = cost(window, &outages, &[20 * MS, 40 * MS]).unwrap();
        assert_eq!((cost.outage_ms, cost.silence_ms), (29_950.0, 29_960.0));
    }

    #[test]
    fn nothing_is_known_of_an_association_that_never_heard_anything() {
        assert_eq!(cost(Window { from: 0, to: 9 }, &[], &[]), None);
    }

    #[test]
    fn of_several_handovers_and_associations_the_one_with_the_largest_overhead_counts() {
        let windows = [Window { from: 100 * MS, to: 400 * MS }, Window { from: 500 * MS, to: 900 * MS }];
        let steady: Vec<_> = (0..50).map(|n| n * 20 * MS).collect();
        let mut late = steady.clone();
        late.retain(|at| !(500 * MS..700 * MS).contains(at));
        let worst = worst(&windows, &[], &[steady, late]).unwrap();
        assert_eq!((worst.silent_from, worst.silence_ms), (480 * MS, 220.0));
    }

    #[test]
    fn a_rate_needs_half_a_second_of_sizes() {
        let grew = [(0, 0), (500 * MS, 1000), (1000 * MS, 5000), (1400 * MS, 9000)];
        assert_eq!(rate(&grew, 0, 600 * MS), Some(2000.0));
        assert_eq!(rate(&grew, 900 * MS, 2000 * MS), None);
        assert_eq!(rate(&[], 0, 1), None);
    }
}
