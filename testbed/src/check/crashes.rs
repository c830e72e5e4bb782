//! Going on where a guest's kernel has crashed, as kernels on emulated processors do now and then. What it was at is
//! begun once more; that it was is told, and a second crash at the same place counts as a failure.

use anyhow::Result;

use super::inside::{Plan, Results};
use super::tally::shortened;
use super::{Count, Failure};
use crate::result::Outcome;

/// How often a guest is started for one plan, at most: more crashes are no accident.
const STARTS: usize = 5;

/// What came of a guest.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    pub(super) results: Results,
    /// How it ended, in words.
    pub(super) ended: String,
    /// It was stopped, since its time was over: beginning once more would take as long.
    pub(super) too_long: bool,
}

/// Makes attempts at what is left of the plan until it is done, or one stops where the one before it did.
///
/// # Errors
/// Those of an attempt.
pub(super) fn outlive(
    plan: &Plan,
    mut attempt: impl FnMut(&Plan) -> Result<Attempt>,
) -> Result<(Count, Vec<Outcome>)> {
    let (mut count, mut outcomes) = (Count::default(), Vec::new());
    let mut left = plan.clone();
    let mut crash: Option<Failure> = None;
    for start in 1.. {
        let Attempt { results, ended, too_long } = attempt(&left)?;
        outcomes.extend(results.outcomes.iter().cloned());
        let (done, rest) = results.split(&left);
        let same_place = !results.complete && done == Plan::default();
        if let Some(crash) = crash.take()
            && !same_place
            && results.outcomes.first().is_none_or(|outcome| outcome.result.passed)
        {
            count.repeated.push(crash);
        }
        let never_began = results.at.is_empty();
        if results.complete || too_long || never_began || (start > 1 && same_place) || start == STARTS {
            count.add(results.count(&left, &ended));
            break;
        }
        println!("check: the guest is started once more: {ended}");
        crash =
            Some(Failure { name: format!("{} on {}", results.at, results.kernel), why: shortened(&ended) });
        count.add(Results { complete: true, ..results }.count(&done, &ended));
        left = rest;
    }
    Ok((count, outcomes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::TestProgram;

    fn plan(programs: &[&str], scenarios: &[&str]) -> Plan {
        let program = |name: &&str| TestProgram {
            package: (*name).to_owned(),
            target: "kernel".to_owned(),
            executable: "/bin/true".into(),
            directory: "/".into(),
        };
        Plan {
            programs: programs.iter().map(program).collect(),
            scenarios: scenarios.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// A guest that gets through so many parts of the plan and crashes in the next one, if there is one. Each test
    /// program has one test.
    fn through(plan: &Plan, parts: usize) -> Attempt {
        let programs = parts.min(plan.programs.len());
        let scenarios = (parts - programs).min(plan.scenarios.len());
        let outcome = |name: &String| {
            let mut outcome = Outcome::default();
            outcome.result.scenario.clone_from(name);
            outcome.result.passed = true;
            outcome
        };
        let names = plan.programs.iter().map(|program| &program.package).chain(&plan.scenarios);
        let at = names.clone().nth(parts).or(names.last()).cloned().unwrap_or_default();
        let results = Results {
            kernel: "6.12".to_owned(),
            tests: Count { passed: programs, ..Count::default() },
            outcomes: plan.scenarios[..scenarios].iter().map(outcome).collect(),
            programs,
            at,
            complete: parts >= plan.programs.len() + plan.scenarios.len(),
            ..Results::default()
        };
        Attempt { results, ended: "its kernel crashed".to_owned(), too_long: false }
    }

    #[test]
    fn what_a_crash_left_undone_is_done_by_the_next_guest_and_the_crash_is_told() {
        let mut parts = [1, 2, 9].into_iter();
        let whole = plan(&["a", "b"], &["c", "d", "e"]);
        let (count, outcomes) = outlive(&whole, |left| Ok(through(left, parts.next().unwrap()))).unwrap();
        assert_eq!((count.passed, count.failed), (5, vec![]));
        let names: Vec<_> = count.repeated.iter().map(|crash| crash.name.as_str()).collect();
        assert_eq!(names, ["b on 6.12", "d on 6.12"]);
        let played: Vec<_> = outcomes.iter().map(|outcome| outcome.result.scenario.as_str()).collect();
        assert_eq!(played, ["c", "d", "e"]);
    }

    #[test]
    fn two_crashes_at_the_same_place_are_a_failure_and_so_is_all_after_it() {
        let mut parts = [1, 0].into_iter();
        let whole = plan(&["a"], &["b", "c"]);
        let (count, _) = outlive(&whole, |left| Ok(through(left, parts.next().unwrap()))).unwrap();
        assert_eq!((count.passed, count.failed.len(), count.repeated.len()), (1, 3, 0));
        assert!(count.failed[2].why.contains("at b"), "{}", count.failed[2].why);
    }

    #[test]
    fn a_guest_that_never_began_or_took_too_long_is_not_started_again() {
        let whole = plan(&[], &["a", "b"]);
        let never = || Attempt { ended: "it did not boot".to_owned(), ..Attempt::default() };
        for stopped in [never(), Attempt { too_long: true, ..through(&whole, 1) }] {
            let mut stopped = Some(stopped);
            let (count, _) = outlive(&whole, |_| Ok(stopped.take().expect("a second start"))).unwrap();
            assert!(!count.failed.is_empty());
        }
    }

    #[test]
    fn a_guest_that_crashes_again_and_again_is_given_up() {
        let names: Vec<String> = (0..9).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut starts = 0;
        let (count, _) = outlive(&plan(&[], &names), |left| {
            starts += 1;
            Ok(through(left, 1))
        })
        .unwrap();
        assert_eq!((starts, count.passed, count.failed.len()), (STARTS, STARTS, 9 - STARTS + 1));
    }
}
