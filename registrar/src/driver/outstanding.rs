//! What was sent and not yet acknowledged, so that a client that does not read harms nobody but itself.
//!
//! All associations of a one-to-many socket share one send buffer in the kernel. So each gets a window of it that it has
//! to acknowledge whole before it gets another one. Whoever needs more gets a socket of its own ([`super::own`]), whose
//! buffer is its window: it is sent what the kernel takes. The rest waits here, in bounded queues, and for whom something
//! waits no question is answered. Whoever exceeds the bounds, or leaves a full window as it is for too long, is given up.
//!
//! Whether all is acknowledged the kernel tells by a notification ("sender dry"). That costs more than to read a message, so
//! it is asked for when much of a window is used, or the kernel's buffer is full. Before that it is looked whether
//! anything is unacknowledged at all: of one that waits for each answer nothing is when it asks again.

use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::full::Full;
use crate::Association;
use crate::numbered::Numbered;

/// Octets that one association may have in the kernel beyond a first message.
const WINDOW: usize = 64 * 1024;

/// When so much of it may be used, the kernel is asked to tell when all is acknowledged.
const WATERMARK: usize = WINDOW / 2;

/// What keeping a message costs besides its octets, here and in the kernel.
const OVERHEAD: usize = 768;

/// How long an association may leave what it was sent unacknowledged while others need the kernel's buffer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Give it to the kernel.
    Send,
    /// Give it to the kernel, which may have to be asked then to tell when all is acknowledged ([`Outstanding::ask`]).
    SendMuch,
    /// Look whether all before it is acknowledged ([`Outstanding::dry`]), and offer it again.
    Look,
    /// It is queued.
    Wait,
    /// It is not taken: this association has to be given up first, perhaps another than the one it is for.
    GiveUp(Association),
}

/// One association's account.
#[derive(Debug, Default)]
struct Line {
    /// What went to the kernel since the last time that all was known to be acknowledged.
    in_kernel: usize,
    /// It was looked whether all of that is acknowledged, and it was not.
    looked: bool,
    /// When the kernel was asked to tell that all is acknowledged; `None`: it is not asked.
    asked: Option<Instant>,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// It has a socket of its own.
    own: bool,
    /// That one's window is full.
    full: Option<Full>,
}

/// The accounts of all associations.
#[derive(Debug)]
pub(super) struct Outstanding {
    lines: Numbered<Association, Line>,
    /// Octets in all queues.
    total: usize,
    per_association: usize,
    all_together: usize,
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + OVERHEAD
}

impl Line {
    fn has_room(&self, cost: usize) -> bool {
        match self.own {
            true => self.full.is_none(),
            false => self.in_kernel == 0 || self.in_kernel + cost <= WINDOW,
        }
    }

    /// Whether it is worth a look whether all is acknowledged, before the kernel has to be asked to tell.
    fn is_worth_a_look(&self, cost: usize) -> bool {
        let much = self.in_kernel > 0 && self.in_kernel + cost > WATERMARK;
        much && !self.own && !self.looked && self.asked.is_none() && self.queue.is_empty()
    }

    /// Whether it has to be told when all is acknowledged: much is not, or something waits for that.
    fn has_to_be_told(&self) -> bool {
        self.in_kernel > WATERMARK || (self.in_kernel > 0 && !self.queue.is_empty())
    }

    /// Something is given to the kernel.
    fn give(&mut self, cost: usize) {
        if !self.own {
            self.in_kernel += cost;
        }
    }
}

impl Outstanding {
    /// Accounts with these bounds in octets.
    pub(super) fn new(per_association: usize, all_together: usize) -> Self {
        Self { lines: Numbered::default(), total: 0, per_association, all_together }
    }

    /// Other bounds. What waits beyond them stays, until the next message.
    pub(super) fn set_bounds(&mut self, per_association: usize, all_together: usize) {
        (self.per_association, self.all_together) = (per_association, all_together);
    }

    /// The association has a socket of its own from now on. What it has in the kernel went along.
    pub(super) fn own(&mut self, association: Association) {
        let line = self.lines.entry(association).or_default();
        (line.own, line.in_kernel) = (true, 0);
    }

    /// Whether something is queued for an association.
    pub(super) fn waits_for(&self, association: Association) -> bool {
        self.lines.get(&association).is_some_and(|line| !line.queue.is_empty())
    }

    /// A message for an association. What it has asked for is queued however much there is: its next questions wait.
    pub(super) fn offer(&mut self, association: Association, bytes: &Bytes, asked_for: bool) -> Offer {
        let cost = cost(bytes);
        let too_much = self.total > 0 && self.total + cost > self.all_together;
        let line = self.lines.entry(association).or_default();
        if line.is_worth_a_look(cost) {
            line.looked = true;
            return Offer::Look;
        }
        if line.queue.is_empty() && line.has_room(cost) {
            line.give(cost);
            return if line.in_kernel > WATERMARK { Offer::SendMuch } else { Offer::Send };
        }
        if !asked_for && line.queued > 0 && line.queued + cost > self.per_association {
            return Offer::GiveUp(association);
        }
        if too_much {
            return Offer::GiveUp(self.greatest().unwrap_or(association));
        }
        self.total += cost;
        line.queued += cost;
        line.queue.push_back(bytes.clone());
        Offer::Wait
    }

    /// The kernel has no room for what was just taken: it goes back to the head of its queue.
    pub(super) fn refused(&mut self, now: Instant, association: Association, bytes: Bytes) {
        let line = self.lines.entry(association).or_default();
        let cost = cost(&bytes);
        line.in_kernel = line.in_kernel.saturating_sub(cost);
        line.full = line.own.then(|| Full::new(now));
        line.queued += cost;
        self.total += cost;
        line.queue.push_front(bytes);
    }

    /// Whether the kernel is now to be asked to tell when this association has acknowledged all.
    pub(super) fn ask(&mut self, now: Instant, association: Association) -> bool {
        match self.lines.get_mut(&association) {
            Some(line) if line.asked.is_none() && line.has_to_be_told() => {
                line.asked = Some(now);
                true
            }
            _ => false,
        }
    }

    /// The kernel's buffer is full: those of whom it has to be asked whether it is theirs that fills it.
    pub(super) fn ask_all(&mut self, now: Instant) -> Vec<Association> {
        let lines = self.lines.iter_mut().filter(|(_, line)| line.asked.is_none() && line.in_kernel > 0);
        lines
            .map(|(association, line)| {
                line.asked = Some(now);
                *association
            })
            .collect()
    }

    /// The window of a socket of its own has room again.
    pub(super) fn room(&mut self, association: Association) {
        if let Some(line) = self.lines.get_mut(&association) {
            line.full = None;
        }
    }

    /// Those whose window is full.
    pub(super) fn full(&self) -> Vec<Association> {
        self.lines.iter().filter(|(_, line)| line.full.is_some()).map(|(a, _)| *a).collect()
    }

    /// A full window was looked at: see [`Full::is_left`].
    pub(super) fn is_deaf(
        &mut self,
        now: Instant,
        association: Association,
        octets: u32,
        patience: Duration,
    ) -> bool {
        let full = self.lines.get_mut(&association).and_then(|line| line.full.as_mut());
        full.is_some_and(|full| full.is_left(now, octets, patience))
    }

    /// The association has acknowledged all that is in the kernel.
    pub(super) fn dry(&mut self, association: Association) {
        let Some(line) = self.lines.get_mut(&association) else { return };
        line.in_kernel = 0;
        (line.looked, line.asked) = (false, None);
        if line.queue.is_empty() && !line.own {
            self.lines.remove(&association);
        }
    }

    /// The next message of an association that may go to the kernel.
    pub(super) fn next(&mut self, association: Association) -> Option<Bytes> {
        let line = self.lines.get_mut(&association)?;
        let cost = cost(line.queue.front()?);
        if !line.has_room(cost) {
            return None;
        }
        line.queued -= cost;
        self.total -= cost;
        line.give(cost);
        line.queue.pop_front()
    }

    /// The association has gone.
    pub(super) fn forget(&mut self, association: Association) {
        if let Some(line) = self.lines.remove(&association) {
            self.total -= line.queued;
        }
    }

    /// Octets that wait for an association: those in its queue, and those in the kernel as far as it is asked.
    pub(super) fn of(&self, association: Association) -> usize {
        let kernel = |line: &Line| if line.asked.is_some() { line.in_kernel } else { 0 };
        self.lines.get(&association).map_or(0, |line| kernel(line) + line.queued)
    }

    /// The associations for which something is queued.
    pub(super) fn waiting(&self) -> Vec<Association> {
        self.lines.iter().filter(|(_, line)| !line.queue.is_empty()).map(|(a, _)| *a).collect()
    }

    /// Of those that share the kernel's buffer and have not acknowledged for too long, the one with most in the
    /// kernel: to be given up when that buffer is full.
    pub(super) fn culprit(&self, now: Instant, shares: impl Fn(&Association) -> bool) -> Option<Association> {
        let stale =
            |line: &Line| line.asked.is_some_and(|asked| now.saturating_duration_since(asked) >= PATIENCE);
        let lines = self.lines.iter().filter(|(association, line)| stale(line) && shares(association));
        lines.max_by_key(|(_, line)| line.in_kernel).map(|(association, _)| *association)
    }

    /// Those with most in the kernel's shared buffer as far as is known, so many at most.
    pub(super) fn heaviest(&self, most: usize, shares: impl Fn(&Association) -> bool) -> Vec<Association> {
        let lines = self.lines.iter().filter(|(association, line)| line.in_kernel > 0 && shares(association));
        let mut all: Vec<_> = lines.map(|(association, line)| (line.in_kernel, *association)).collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.into_iter().take(most).map(|(_, association)| association).collect()
    }

    fn greatest(&self) -> Option<Association> {
        self.lines.iter().max_by_key(|(_, line)| line.queued).map(|(a, _)| *a)
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

    fn bytes(count: usize) -> Bytes {
        vec![0; count].into()
    }

    /// Offers it, and once more when nothing was acknowledged. Much or little is the same here.
    fn offer(o: &mut Outstanding, association: Association, count: usize, asked_for: bool) -> Offer {
        match o.offer(association, &bytes(count), asked_for) {
            Offer::Look => offer(o, association, count, asked_for),
            Offer::SendMuch => Offer::Send,
            other => other,
        }
    }

    #[test]
    fn an_association_gets_a_window_and_the_next_when_it_has_acknowledged_the_first() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(offer(&mut o, A, 40_000, false), Offer::Send);
        assert!(o.ask(t, A) && !o.ask(t, A), "the kernel is asked, and once is enough");
        assert_eq!(offer(&mut o, A, 40_000, false), Offer::Wait);
        assert_eq!(offer(&mut o, A, 1, false), Offer::Wait, "the order is kept");
        assert_eq!(o.next(A), None);
        o.dry(A);
        assert_eq!(o.next(A).unwrap().len(), 40_000);
        assert!(o.ask(t, A));
        assert_eq!(o.next(A).unwrap().len(), 1);
        assert_eq!(o.next(A), None);
        o.dry(A);
        assert_eq!((o.of(A), o.total), (0, 0));
    }

    #[test]
    fn of_small_answers_the_kernel_is_asked_about_few() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        let mut asked = 0;
        for _ in 0..10_000 {
            assert_eq!(offer(&mut o, A, 100, false), Offer::Send);
            if o.ask(t, A) {
                asked += 1;
                o.dry(A);
            }
        }
        assert!((1..400).contains(&asked), "{asked}");
    }

    #[test]
    fn of_one_that_has_acknowledged_before_the_next_message_the_kernel_is_not_asked_to_tell() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        let mut looks = 0;
        for _ in 0..10_000 {
            if o.offer(A, &bytes(100), false) == Offer::Look {
                looks += 1;
                o.dry(A);
                assert_eq!(o.offer(A, &bytes(100), false), Offer::Send);
            }
            assert!(!o.ask(t, A));
        }
        assert!((1..400).contains(&looks), "{looks}");
    }

    #[test]
    fn the_kernel_is_asked_to_tell_when_a_large_message_waits_for_a_small_one() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(offer(&mut o, A, 20_000, false), Offer::Send);
        assert!(!o.ask(t, A));
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::Wait);
        assert!(o.ask(t, A) && !o.ask(t, A));
        o.dry(A);
        assert_eq!(o.next(A).unwrap().len(), 60_000);
    }

    #[test]
    fn it_is_looked_once_and_then_the_kernel_is_asked_to_tell() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(o.offer(A, &bytes(30_000), false), Offer::Send);
        assert_eq!(o.offer(A, &bytes(10_000), false), Offer::Look);
        assert_eq!(o.offer(A, &bytes(10_000), false), Offer::SendMuch);
        assert!(o.ask(t, A));
        assert_eq!(o.offer(A, &bytes(40_000), false), Offer::Wait);
        o.dry(A);
        assert_eq!(o.next(A).unwrap().len(), 40_000);
        assert!(o.ask(t, A), "what waited counts again");
    }

    #[test]
    fn the_largest_message_fits_a_window_of_its_own() {
        let mut o = Outstanding::new(1 << 20, 1 << 20);
        assert_eq!(offer(&mut o, A, 65_535, false), Offer::Send);
    }

    #[test]
    fn who_lets_too_much_gather_is_given_up() {
        let mut o = Outstanding::new(100_000, 1 << 20);
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::Send);
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::Wait);
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::GiveUp(A));
        assert_eq!(offer(&mut o, B, 30_000, false), Offer::Send);
        o.forget(A);
        assert_eq!((o.total, o.of(A)), (0, 0));
    }

    #[test]
    fn when_all_together_let_too_much_gather_the_greatest_is_given_up() {
        let mut o = Outstanding::new(90_000, 100_000);
        for association in [A, B] {
            assert_eq!(offer(&mut o, association, 60_000, false), Offer::Send);
        }
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::Wait);
        assert_eq!(offer(&mut o, B, 50_000, false), Offer::GiveUp(A));
        o.forget(A);
        assert_eq!(offer(&mut o, B, 50_000, false), Offer::Wait);
    }

    #[test]
    fn what_the_kernel_refuses_is_sent_first_later() {
        let mut o = Outstanding::new(1 << 20, 1 << 20);
        assert_eq!(offer(&mut o, A, 1, false), Offer::Send);
        o.refused(now(), A, bytes(1));
        assert_eq!(offer(&mut o, A, 2, false), Offer::Wait);
        assert_eq!(o.waiting(), [A]);
        assert_eq!(o.next(A).unwrap().len(), 1);
        assert_eq!(o.next(A).unwrap().len(), 2);
        o.dry(A);
        assert_eq!(o.total, 0);
    }

    #[test]
    fn when_the_kernel_is_full_the_one_that_does_not_acknowledge_is_to_blame() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        offer(&mut o, A, 50_000, false);
        offer(&mut o, B, 60_000, false);
        assert_eq!(o.culprit(t + PATIENCE, |_| true), None, "nobody knows yet");
        let mut asked = o.ask_all(t);
        asked.sort_unstable();
        assert_eq!(asked, [A, B]);
        assert_eq!(o.ask_all(t), []);
        assert_eq!(o.culprit(t, |_| true), None);
        o.dry(B);
        assert_eq!(o.culprit(t + PATIENCE, |_| true), Some(A));
        assert_eq!(
            o.culprit(t + PATIENCE, |association| *association != A),
            None,
            "A has a buffer of its own"
        );
        o.dry(A);
        assert_eq!(o.culprit(t + PATIENCE, |_| true), None);
    }

    #[test]
    fn what_was_asked_for_is_queued_whatever_the_bound_and_what_was_not_is_not() {
        let mut o = Outstanding::new(100_000, 1 << 20);
        for _ in 0..4 {
            assert_ne!(offer(&mut o, A, 60_000, true), Offer::GiveUp(A));
        }
        assert!(o.waits_for(A) && !o.waits_for(B));
        assert_eq!(offer(&mut o, A, 1, false), Offer::GiveUp(A));
    }

    #[test]
    fn on_a_socket_of_its_own_an_association_is_sent_what_the_kernel_takes() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::Send);
        assert_eq!(offer(&mut o, A, 60_000, false), Offer::Wait);
        o.own(A);
        assert_eq!(o.next(A).unwrap().len(), 60_000);
        for _ in 0..100 {
            assert_eq!(offer(&mut o, A, 60_000, false), Offer::Send);
            assert!(!o.ask(t, A), "its buffer tells");
        }
        o.refused(t, A, bytes(60_000));
        assert_eq!(offer(&mut o, A, 1, false), Offer::Wait);
        assert_eq!((o.next(A), o.full()), (None, vec![A]));
        o.dry(A);
        assert_eq!(o.next(A), None);
        o.room(A);
        assert_eq!(o.next(A).unwrap().len(), 60_000);
        assert_eq!(o.next(A).unwrap().len(), 1);
        assert_eq!((o.next(A), o.total, o.full()), (None, 0, Vec::new()));
        assert!(o.heaviest(10, |_| true).is_empty(), "it shares nothing");
    }

    #[test]
    fn only_who_leaves_a_full_window_as_it_is_is_deaf() {
        let (t, mut o) = (now(), Outstanding::new(1 << 20, 1 << 20));
        o.own(A);
        assert!(!o.is_deaf(t + PATIENCE, A, 1, PATIENCE), "nothing waits");
        assert_eq!(offer(&mut o, A, 10, false), Offer::Send);
        o.refused(t, A, bytes(10));
        assert!(o.is_deaf(t + PATIENCE, A, 1, PATIENCE));
        o.room(A);
        assert!(!o.is_deaf(t + PATIENCE, A, 1, PATIENCE));
    }

    #[test]
    fn those_with_most_in_the_shared_buffer_are_named_first() {
        let mut o = Outstanding::new(1 << 20, 1 << 20);
        offer(&mut o, A, 100, false);
        offer(&mut o, B, 200, false);
        assert_eq!(o.heaviest(10, |_| true), [B, A]);
        assert_eq!(o.heaviest(1, |_| true), [B]);
        assert_eq!(o.heaviest(10, |association| *association != B), [A]);
    }
}
