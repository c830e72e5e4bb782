//! An element: its jobs share its capacity.

use super::super::{SECOND, Time};

/// A job's number.
pub(super) type Number = usize;

/// What is left of a job that is as good as done: what rounding may leave, in seconds of an element of mean speed.
const NOTHING: f64 = 1e-6;

/// A job that is being computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Computed {
    pub(super) job: Number,
    /// What is left, in seconds of an element of mean speed.
    pub(super) left: f64,
}

#[derive(Debug)]
pub(super) struct Element {
    /// Seconds of an element of mean speed that it does in one.
    pub(super) capacity: f64,
    /// How many jobs it takes at a time.
    pub(super) most: usize,
    pub(super) is_here: bool,
    jobs: Vec<Computed>,
    /// Until when they are computed.
    until: Time,
    /// How often that what is to come has changed: what was planned before that is void.
    pub(super) version: u64,
    /// What it has done in all, in the same seconds.
    pub(super) worked: f64,
}

impl Element {
    pub(super) fn new(capacity: f64, most: usize) -> Self {
        Self { capacity, most, is_here: true, jobs: Vec::new(), until: 0, version: 0, worked: 0.0 }
    }

    pub(super) fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Computes until now.
    fn compute(&mut self, now: Time) {
        let seconds = (now - self.until) as f64 / SECOND as f64;
        self.until = now;
        if self.jobs.is_empty() {
            return;
        }
        let each = self.capacity * seconds / self.jobs.len() as f64;
        self.worked += self.capacity * seconds;
        for job in &mut self.jobs {
            job.left -= each;
        }
    }

    /// Takes a job, of which so much is left; or not.
    pub(super) fn take(&mut self, now: Time, job: Number, left: f64) -> bool {
        if !self.is_here || self.jobs.len() >= self.most {
            return false;
        }
        self.compute(now);
        self.jobs.push(Computed { job, left });
        self.version += 1;
        true
    }

    /// The jobs that are done by now.
    pub(super) fn finish(&mut self, now: Time) -> Vec<Number> {
        self.compute(now);
        let done = self.jobs.extract_if(.., |job| job.left <= NOTHING).map(|job| job.job).collect();
        self.version += 1;
        done
    }

    /// Gives all jobs up.
    pub(super) fn leave(&mut self, now: Time) -> Vec<Computed> {
        self.compute(now);
        self.is_here = false;
        self.version += 1;
        std::mem::take(&mut self.jobs)
    }

    /// When the next job is done, if none comes or goes.
    pub(super) fn next(&self) -> Option<Time> {
        let least = self.jobs.iter().map(|job| job.left).min_by(f64::total_cmp)?;
        let seconds = least.max(0.0) * self.jobs.len() as f64 / self.capacity;
        // Rounded up, so that it is done by then.
        Some(self.until + (seconds * SECOND as f64).ceil() as Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_share_the_capacity_evenly_and_are_done_in_the_order_of_what_is_left() {
        let mut element = Element::new(2.0, 2);
        assert!(element.take(0, 1, 4.0));
        assert_eq!(element.next(), Some(2 * SECOND));
        // After a second 2 are left of the first: both get 1 a second from then on.
        assert!(element.take(SECOND, 2, 1.0));
        assert!(!element.take(SECOND, 3, 1.0), "it has as many as it may");
        assert_eq!(element.next(), Some(2 * SECOND));
        assert_eq!(element.finish(2 * SECOND), [2]);
        assert_eq!(element.next(), Some(2 * SECOND + SECOND / 2));
        assert_eq!(element.finish(2 * SECOND + SECOND / 2), [1]);
        assert_eq!(element.next(), None);
        assert_eq!(element.worked, 5.0);
    }

    #[test]
    fn an_element_that_leaves_gives_up_what_is_left_of_its_jobs() {
        let mut element = Element::new(1.0, 2);
        element.take(0, 1, 4.0);
        element.take(0, 2, 3.0);
        let left = element.leave(2 * SECOND);
        assert_eq!(left, [Computed { job: 1, left: 3.0 }, Computed { job: 2, left: 2.0 }]);
        assert!(!element.take(2 * SECOND, 3, 1.0));
    }
}
