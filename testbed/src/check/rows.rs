//! The parts of a check, in rows that go on side by side: a guest mostly waits for time to pass, building and testing
//! for the processors. A row that gives way leaves these to the others, so that what happens in them is little disturbed.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::{Count, tell};
use crate::clock::{self, Nanos, Waited};
use crate::result::Outcome;

/// What came of some parts.
#[derive(Debug, Default)]
pub(super) struct Yield {
    pub(super) count: Count,
    pub(super) outcomes: Vec<Outcome>,
    /// How long each part took.
    pub(super) times: Vec<(String, Duration)>,
}

impl Yield {
    fn add(&mut self, other: Self) {
        self.count.add(other.count);
        self.outcomes.extend(other.outcomes);
        self.times.extend(other.times);
    }

    /// Does a part, and takes what it gives. One that cannot be done has failed.
    ///
    /// # Errors
    /// Interrupted.
    fn take(&mut self, part: Part<'_>, since: Nanos) -> Result<()> {
        tell(&part.what, since);
        let begin = clock::now();
        match (part.act)() {
            Ok((count, outcomes)) => self.add(Self { count, outcomes, times: Vec::new() }),
            Err(error) if error.downcast_ref() == Some(&Waited::Interrupted) => return Err(error),
            Err(error) => self.count.fail(part.what.clone(), &format!("{error:#}")),
        }
        let took = clock::ms_between(begin, clock::now()).max(0.0);
        self.times.push((part.what, Duration::from_secs_f64(took / 1000.0)));
        Ok(())
    }
}

/// What does a part.
type Act<'a> = Box<dyn FnOnce() -> Result<(Count, Vec<Outcome>)> + Send + 'a>;

/// One part.
pub(super) struct Part<'a> {
    what: String,
    act: Act<'a>,
}

/// Parts that follow one another.
#[derive(Default)]
pub(super) struct Row<'a> {
    parts: Vec<Part<'a>>,
    nice: i32,
}

impl<'a> Row<'a> {
    /// One that leaves the processors to others, the more the higher its nice value (1 to 19).
    pub(super) fn giving_way(nice: i32) -> Self {
        Self { nice, ..Self::default() }
    }

    /// Adds a part.
    pub(super) fn then(
        &mut self,
        what: impl Into<String>,
        act: impl FnOnce() -> Result<(Count, Vec<Outcome>)> + Send + 'a,
    ) {
        self.parts.push(Part { what: what.into(), act: Box::new(act) });
    }

    fn run(self, since: Nanos) -> Result<Yield> {
        if self.nice > 0 {
            // For this thread and what it starts. Without it, it goes on all the same.
            let _ = rustix::process::setpriority_process(None, self.nice);
        }
        let mut all = Yield::default();
        for part in self.parts {
            all.take(part, since)?;
        }
        Ok(all)
    }
}

/// Does the rows side by side; the yield is in their order.
///
/// # Errors
/// Interrupted.
pub(super) fn run(rows: Vec<Row<'_>>, since: Nanos) -> Result<Yield> {
    let yields: Vec<Result<Yield>> = thread::scope(|scope| {
        let threads: Vec<_> = rows.into_iter().map(|row| scope.spawn(move || row.run(since))).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect()
    });
    let mut all = Yield::default();
    for one in yields {
        all.add(one?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn passed(passed: usize) -> Result<(Count, Vec<Outcome>)> {
        Ok((Count { passed, ..Count::default() }, Vec::new()))
    }

    #[test]
    fn rows_go_on_side_by_side_and_everything_is_counted_and_timed() {
        let ((to_one, at_one), (to_other, at_other)) = (mpsc::channel(), mpsc::channel());
        let (mut one, mut other) = (Row::giving_way(1), Row::default());
        // Each waits for the other: one after the other they would never end.
        one.then("first", move || {
            to_other.send(())?;
            at_one.recv()?;
            passed(1)
        });
        one.then("second", || passed(2));
        other.then("beside", move || {
            to_one.send(())?;
            at_other.recv()?;
            passed(4)
        });
        let all = run(vec![one, other], clock::now()).unwrap();
        assert_eq!((all.count.passed, all.count.failed.len()), (7, 0));
        let names: Vec<_> = all.times.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(names, ["first", "second", "beside"]);
    }

    #[test]
    fn a_part_that_cannot_be_done_has_failed_and_the_next_one_is_done() {
        let mut row = Row::default();
        row.then("no guest", || anyhow::bail!("it does not boot"));
        row.then("more", || passed(1));
        let all = run(vec![row], clock::now()).unwrap();
        assert_eq!((all.count.passed, all.count.failed.len()), (1, 1));
        assert!(all.count.failed[0].name == "no guest" && all.count.failed[0].why.contains("boot"));
    }

    #[test]
    fn an_interruption_ends_the_row_and_is_told() {
        let mut row = Row::default();
        row.then("interrupted", || Err(Waited::Interrupted.into()));
        row.then("not begun", || panic!("it goes on"));
        let error = run(vec![row], clock::now()).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Waited::Interrupted));
    }
}
