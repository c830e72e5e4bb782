//! Times of which the median and the 99th percentile are told.

use std::fmt;

/// Milliseconds, one for each repetition, and how many had no answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sample {
    sorted: Vec<f64>,
    missed: usize,
}

impl Sample {
    /// One more; none: it took longer than was waited.
    pub(super) fn add(&mut self, ms: Option<f64>) {
        match ms {
            Some(ms) => {
                let at = self.sorted.partition_point(|other| *other < ms);
                self.sorted.insert(at, ms);
            }
            None => self.missed += 1,
        }
    }

    /// The time below which so many per cent were; those without an answer count as the longest. None: that many had no
    /// answer.
    pub(super) fn percentile(&self, percent: usize) -> Option<f64> {
        let all = self.sorted.len() + self.missed;
        // The rank is rounded up: of 100, the 99th.
        self.sorted.get((all * percent).div_ceil(100).max(1) - 1).copied()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
        write!(f, "p50 {} ms, p99 {} ms", ms(self.percentile(50)), ms(self.percentile(99)))?;
        let bounds = [self.sorted.first().copied(), self.sorted.last().copied()].map(ms);
        write!(f, " ({} to {} ms, {} times", bounds[0], bounds[1], self.sorted.len())?;
        if self.missed > 0 {
            write!(f, "; {} times nothing was seen", self.missed)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_count_those_without_an_answer_as_the_longest() {
        let mut sample = Sample::default();
        assert_eq!(sample.percentile(50), None);
        for ms in (1..=99).rev() {
            sample.add(Some(f64::from(ms)));
        }
        sample.add(None);
        assert_eq!((sample.percentile(50), sample.percentile(99)), (Some(50.0), Some(99.0)));
        sample.add(None);
        sample.add(None);
        assert_eq!(sample.percentile(99), None);
        assert_eq!(
            sample.to_string(),
            "p50 51.00 ms, p99 - ms (1.00 to 99.00 ms, 99 times; 3 times nothing was seen)"
        );
    }
}
