//! How often things happen now.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::asap::Counters;
use crate::query::Queries;

/// How often the counters are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks that are kept: rates are over one period less.
const LOOKS: usize = 6;

/// The counters of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates(VecDeque<(Instant, Counters)>);

impl Rates {
    fn add(&mut self, now: Instant, counters: Counters) {
        if self.0.len() >= LOOKS {
            self.0.pop_front();
        }
        self.0.push_back((now, counters));
    }

    /// How much each counter grew in a second, in the order of [`Counters::named`]; `None` in the first second.
    pub(super) fn per_second(&self) -> Option<Vec<f64>> {
        let ((from, first), (to, last)) = (self.0.front()?, self.0.back()?);
        let seconds = to.saturating_duration_since(*from).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let grown = first.named().into_iter().zip(last.named());
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown with one digit behind the point")]
        let rate = |grown: u64| grown as f64 / seconds;
        Some(grown.map(|(first, last)| rate(last.value.saturating_sub(first.value))).collect())
    }
}

/// Looks at the counters for ever. While the service loop does not answer, nothing is told.
pub(super) async fn sample(queries: Queries, rates: watch::Sender<Rates>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Ok(summary) = queries.summary().await {
            rates.send_modify(|rates| rates.add(Instant::now(), summary.counters));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_the_last_seconds_and_falls_to_zero_when_nothing_happens() {
        let (start, mut rates) = (Instant::now(), Rates::default());
        assert_eq!(rates.per_second(), None);
        let at = |messages| Counters { messages, ..Counters::default() };
        rates.add(start, at(100));
        assert_eq!(rates.per_second(), None, "nothing can be said of no time");
        rates.add(start + PERIOD, at(130));
        rates.add(start + 2 * PERIOD, at(140));
        assert_eq!(rates.per_second().unwrap()[0], 20.0);
        for second in 3..9 {
            rates.add(start + second * PERIOD, at(140));
        }
        assert_eq!(rates.per_second().unwrap()[0], 0.0);
    }
}
