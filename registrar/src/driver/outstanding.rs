//! What was sent and not yet acknowledged, so that a client that does not read harms nobody but itself.
//!
//! All associations of a one-to-many socket share one send buffer in the kernel. So each gets a window of it
//! that it has to acknowledge whole (SCTP's "sender dry" notification) before it gets another one; the rest waits
//! here, in bounded queues. Whoever exceeds the bounds is given up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Association;

/// Octets that one association may have in the kernel beyond a first message.
const WINDOW: usize = 64 * 1024;

/// What keeping a message costs besides its octets, here and in the kernel.
const OVERHEAD: usize = 768;

/// How long an association may leave its window unacknowledged while others need the kernel's buffer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Give it to the kernel.
    Send,
    /// It is queued.
    Wait,
    /// It is not taken: this association has to be given up first, perhaps another than the one it is for.
    GiveUp(Association),
}

/// One association's account.
#[derive(Debug, Default)]
struct Line {
    in_kernel: usize,
    /// When the first octet of what is in the kernel went there.
    since: Option<Instant>,
    queue: VecDeque<Arc<[u8]>>,
    queued: usize,
}

/// The accounts of all associations.
#[derive(Debug)]
pub(super) struct Outstanding {
    lines: BTreeMap<Association, Line>,
    total: usize,
    per_association: usize,
    all_together: usize,
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + OVERHEAD
}

impl Line {
    fn has_room(&self, cost: usize) -> bool {
        self.in_kernel == 0 || self.in_kernel + cost <= WINDOW
    }

    fn take(&mut self, now: Instant, cost: usize) {
        self.in_kernel += cost;
        self.since.get_or_insert(now);
    }
}

impl Outstanding {
    /// Accounts with these bounds in octets.
    pub(super) fn new(per_association: usize, all_together: usize) -> Self {
        Self { lines: BTreeMap::new(), total: 0, per_association, all_together }
    }

    /// A message for an association.
    pub(super) fn offer(&mut self, now: Instant, association: Association, bytes: &Arc<[u8]>) -> Offer {
        let cost = cost(bytes);
        let held = self.of(association);
        if held > 0 && held + cost > self.per_association {
            return Offer::GiveUp(association);
        }
        if self.total > 0 && self.total + cost > self.all_together {
            return Offer::GiveUp(self.greatest().unwrap_or(association));
        }
        self.total += cost;
        let line = self.lines.entry(association).or_default();
        if line.queue.is_empty() && line.has_room(cost) {
            line.take(now, cost);
            return Offer::Send;
        }
        line.queued += cost;
        line.queue.push_back(Arc::clone(bytes));
        Offer::Wait
    }

    /// The kernel has no room for what was just taken: it goes back to the head of its queue.
    pub(super) fn refused(&mut self, association: Association, bytes: Arc<[u8]>) {
        let line = self.lines.entry(association).or_default();
        let cost = cost(&bytes);
        line.in_kernel = line.in_kernel.saturating_sub(cost);
        if line.in_kernel == 0 {
            line.since = None;
        }
        line.queued += cost;
        line.queue.push_front(bytes);
    }

    /// The association has acknowledged all that is in the kernel.
    pub(super) fn dry(&mut self, association: Association) {
        let Some(line) = self.lines.get_mut(&association) else { return };
        self.total -= line.in_kernel;
        line.in_kernel = 0;
        line.since = None;
        if line.queue.is_empty() {
            self.lines.remove(&association);
        }
    }

    /// The next message of an association that may go to the kernel.
    pub(super) fn next(&mut self, now: Instant, association: Association) -> Option<Arc<[u8]>> {
        let line = self.lines.get_mut(&association)?;
        let cost = cost(line.queue.front()?);
        if !line.has_room(cost) {
            return None;
        }
        line.queued -= cost;
        line.take(now, cost);
        line.queue.pop_front()
    }

    /// The association has gone.
    pub(super) fn forget(&mut self, association: Association) {
        if let Some(line) = self.lines.remove(&association) {
            self.total -= line.in_kernel + line.queued;
        }
    }

    /// Octets that wait for an association, here and in the kernel.
    pub(super) fn of(&self, association: Association) -> usize {
        self.lines.get(&association).map_or(0, |line| line.in_kernel + line.queued)
    }

    /// The associations for which something is queued.
    pub(super) fn waiting(&self) -> Vec<Association> {
        self.lines.iter().filter(|(_, line)| !line.queue.is_empty()).map(|(a, _)| *a).collect()
    }

    /// Of those that have left their window unacknowledged for too long, the one with most in the kernel: to be
    /// given up when the kernel's buffer is full.
    pub(super) fn culprit(&self, now: Instant) -> Option<Association> {
        let stale =
            |line: &Line| line.since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        let lines = self.lines.iter().filter(|(_, line)| stale(line));
        lines.max_by_key(|(_, line)| line.in_kernel).map(|(association, _)| *association)
    }

    fn greatest(&self) -> Option<Association> {
        self.lines.iter().max_by_key(|(_, line)| line.in_kernel + line.queued).map(|(a, _)| *a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Association = Association(1);
    const B: Association = Association(2);

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        Instant::now()
    }

    fn bytes(count: usize) -> Arc<[u8]> {
        vec![0; count].into()
    }

    #[test]
    fn an_association_gets_a_window_and_the_next_when_it_has_acknowledged_the_first() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(o.offer(t, A, &bytes(40_000)), Offer::Send);
        assert_eq!(o.offer(t, A, &bytes(40_000)), Offer::Wait);
        assert_eq!(o.offer(t, A, &bytes(1)), Offer::Wait, "the order is kept");
        assert_eq!(o.next(t, A), None);
        o.dry(A);
        assert_eq!(o.next(t, A).unwrap().len(), 40_000);
        assert_eq!(o.next(t, A).unwrap().len(), 1);
        assert_eq!(o.next(t, A), None);
        o.dry(A);
        assert_eq!((o.of(A), o.total), (0, 0));
    }

    #[test]
    fn the_largest_message_fits_a_window_of_its_own() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(o.offer(t, A, &bytes(65_535)), Offer::Send);
    }

    #[test]
    fn who_lets_too_much_gather_is_given_up() {
        let (t, mut o) = (now(), Outstanding::new(100_000, 1 << 20));
        assert_eq!(o.offer(t, A, &bytes(60_000)), Offer::Send);
        assert_eq!(o.offer(t, A, &bytes(30_000)), Offer::Wait);
        assert_eq!(o.offer(t, A, &bytes(30_000)), Offer::GiveUp(A));
        assert_eq!(o.offer(t, B, &bytes(30_000)), Offer::Send);
        o.forget(A);
        assert_eq!(o.total, o.of(B));
    }

    #[test]
    fn when_all_together_let_too_much_gather_the_greatest_is_given_up() {
        let (t, mut o) = (now(), Outstanding::new(90_000, 100_000));
        assert_eq!(o.offer(t, A, &bytes(80_000)), Offer::Send);
        assert_eq!(o.offer(t, B, &bytes(30_000)), Offer::GiveUp(A));
        o.forget(A);
        assert_eq!(o.offer(t, B, &bytes(30_000)), Offer::Send);
    }

    #[test]
    fn what_the_kernel_refuses_is_sent_first_later() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(o.offer(t, A, &bytes(1)), Offer::Send);
        o.refused(A, bytes(1));
        assert_eq!(o.offer(t, A, &bytes(2)), Offer::Wait);
        assert_eq!(o.waiting(), [A]);
        assert_eq!(o.next(t, A).unwrap().len(), 1);
        assert_eq!(o.next(t, A).unwrap().len(), 2);
        o.dry(A);
        assert_eq!(o.total, 0);
    }

    #[test]
    fn when_the_kernel_is_full_the_one_that_does_not_acknowledge_is_to_blame() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        o.offer(t, A, &bytes(50_000));
        let later = t + PATIENCE;
        o.offer(later, B, &bytes(60_000));
        assert_eq!(o.culprit(t), None);
        assert_eq!(o.culprit(later), Some(A), "B has only just begun");
        o.dry(A);
        assert_eq!(o.culprit(later), None);
    }
}
