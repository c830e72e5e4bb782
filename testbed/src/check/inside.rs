//! What is done on a kernel with SCTP: the tests that need one, and the scenarios. Its plan comes from a file and its
//! results go to one, since it mostly runs in the guest.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::stream::stream;
use super::tally::{self, Tally};
use super::{Count, Failure};
use crate::checkout::TestProgram;
use crate::clock;
use crate::result::Outcome;
use crate::scenario::{self, Play};

/// The longest that one test executable may take.
pub(super) const PROGRAM_LIMIT: Duration = Duration::from_secs(1200);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) programs: Vec<TestProgram>,
    pub(super) scenarios: Vec<String>,
}

/// What came of it, as far as it got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Results {
    /// The kernel's release.
    pub(super) kernel: String,
    pub(super) tests: Count,
    pub(super) outcomes: Vec<Outcome>,
    /// Scenarios that passed only when they were played once more.
    pub(super) repeated: Vec<Failure>,
    /// How many test programs have run.
    pub(super) programs: usize,
    /// What was begun last.
    pub(super) at: String,
    /// It came to the end of its plan.
    pub(super) complete: bool,
}

impl Results {
    /// Everything counted. What was planned and not done has failed.
    pub(super) fn count(&self, plan: &Plan, ended: &str) -> Count {
        let mut count = self.tests.clone();
        count.repeated.extend(self.repeated.iter().cloned());
        let place = if self.kernel.is_empty() { "the guest" } else { &self.kernel };
        for outcome in &self.outcomes {
            let result = &outcome.result;
            if result.passed {
                count.passed += 1;
            } else {
                count.failed.push(Failure::of_scenario(result));
            }
        }
        for missing in plan.scenarios.iter().skip(self.outcomes.len()) {
            count.fail(format!("scenario {missing} on {place}"), &format!("it was not played: {ended}"));
        }
        if !self.complete {
            count.fail(format!("the tests on {place}"), &format!("{ended}, at {}", self.at));
        }
        count
    }

    /// What of the plan is done, and what is left.
    pub(super) fn split(&self, plan: &Plan) -> (Plan, Plan) {
        let (programs, programs_left) = plan.programs.split_at(self.programs.min(plan.programs.len()));
        let (scenarios, scenarios_left) =
            plan.scenarios.split_at(self.outcomes.len().min(plan.scenarios.len()));
        let plan = |programs: &[_], scenarios: &[_]| Plan {
            programs: programs.to_vec(),
            scenarios: scenarios.to_vec(),
        };
        (plan(programs, scenarios), plan(programs_left, scenarios_left))
    }

    fn write(&self, file: &Path) -> Result<()> {
        // Whole at any moment: the guest may end in the middle of anything.
        let partial = file.with_extension("new");
        fs::write(&partial, serde_json::to_vec(self)?)?;
        fs::rename(&partial, file).with_context(|| file.display().to_string())
    }
}

/// Does it.
///
/// # Errors
/// The plan cannot be read or the results cannot be written; interrupted.
pub(super) fn run(plan: &Path, results_file: &Path) -> Result<()> {
    let plan: Plan = serde_json::from_slice(&fs::read(plan)?).context("the plan")?;
    let mut results = Results { kernel: scenario::kernel(), ..Results::default() };
    println!("check: on kernel {}", results.kernel);
    for program in &plan.programs {
        let name = format!("{} ({})", program.target, program.package);
        results.at = format!("the test program {name}");
        results.write(results_file)?;
        println!("check: test program {name}");
        test(program, &results.kernel, &mut results.tests)?;
        results.programs += 1;
    }
    for (index, name) in plan.scenarios.iter().enumerate() {
        results.at = format!("scenario {name}");
        results.write(results_file)?;
        let scenario = scenario::play(name).with_context(|| format!("no scenario is called {name}"))?;
        let title = format!("scenario {}/{} {name}", index + 1, plan.scenarios.len());
        let mut outcome = play(&title, &scenario)?;
        if !outcome.result.passed {
            // The guest's time is that of a busy machine. What fails twice has failed; what fails once is told.
            let first = Failure::of_scenario(&outcome.result);
            outcome = play(&format!("{title}, once more"), &scenario)?;
            if outcome.result.passed {
                results.repeated.push(first);
            }
        }
        results.outcomes.push(outcome);
    }
    results.complete = true;
    results.write(results_file)
}

/// Plays a scenario and tells how it went.
fn play(title: &str, scenario: &Play) -> Result<Outcome> {
    let begin = clock::now();
    let options = scenario::Options { tell: false, ..scenario::Options::default() };
    let outcome = scenario.run(&options)?;
    let result = &outcome.result;
    let verdict = if result.passed { "passed" } else { "FAILED" };
    let overhead = result.overhead_ms.map_or_else(String::new, |ms| format!("; overhead {ms:.0} ms"));
    let seconds = clock::ms_between(begin, clock::now()) / 1000.0;
    println!("check: {title}: {verdict}, {}{overhead} ({seconds:.0} s)", result.why);
    Ok(outcome)
}

/// Runs one test executable and counts.
fn test(program: &TestProgram, kernel: &str, count: &mut Count) -> Result<()> {
    let mut tally = Tally::default();
    let mut command = command(program);
    // What daemons under test log is of interest only where something fails.
    let log = tempfile::NamedTempFile::new()?;
    command.stderr(log.reopen()?);
    let before = count.failed.len();
    let status = stream(&mut command, PROGRAM_LIMIT, |line| tally.line(line));
    let whole = format!("the test program {} of {} on {kernel}", program.target, program.package);
    match status {
        Err(error) if error.downcast_ref() == Some(&clock::Waited::Interrupted) => return Err(error),
        Err(error) => count.fail(whole, &format!("{error:#}")),
        Ok(None) => count.fail(whole, &format!("it took longer than {} s", PROGRAM_LIMIT.as_secs())),
        Ok(Some(status)) if tally.results == 0 => {
            count.fail(whole, &format!("it ended with {status} and gave no result"));
        }
        Ok(Some(status)) if !status.success() && tally.failed.is_empty() => {
            count.fail(whole, &format!("it ended with {status}"));
        }
        Ok(Some(_)) => {}
    }
    count.passed += tally.passed;
    if count.failed.len() > before || !tally.failed.is_empty() {
        print_end(log.path());
    }
    for failed in tally.failed {
        let name = format!("{} of {} on {kernel}", failed.name, program.package);
        println!("check: {name}, once more");
        if passes(program, &failed.name)? {
            count.passed += 1;
            count.repeated.push(Failure { name, why: tally::shortened(&failed.why) });
        } else {
            count.fail(name, &failed.why);
        }
    }
    Ok(())
}

fn command(program: &TestProgram) -> Command {
    let mut command = Command::new(&program.executable);
    command.current_dir(&program.directory).env("RUST_TEST_THREADS", "1").env("RUST_BACKTRACE", "0");
    command
}

/// Whether one test of an executable passes, alone: as with scenarios, what fails twice has failed.
fn passes(program: &TestProgram, name: &str) -> Result<bool> {
    let mut tally = Tally::default();
    let status = stream(command(program).args(["--exact", name]), PROGRAM_LIMIT, |line| tally.line(line))?;
    Ok(status.is_some_and(|status| status.success()) && tally.passed == 1)
}

/// The last lines of a log.
fn print_end(log: &Path) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(100)..] {
        println!("  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(directory: &Path, script: &str) -> TestProgram {
        use std::os::unix::fs::PermissionsExt as _;
        let executable = directory.join("test");
        fs::write(&executable, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
        let directory = directory.to_owned();
        TestProgram { package: "p".to_owned(), target: "kernel".to_owned(), executable, directory }
    }

    fn counted(script: &str) -> Count {
        let directory = tempfile::tempdir().unwrap();
        let mut count = Count::default();
        test(&program(directory.path(), script), "6.12", &mut count).unwrap();
        count
    }

    #[test]
    fn a_test_program_that_ends_without_a_result_has_failed() {
        let count = counted("echo 'test one ... ok'; exit 0");
        assert_eq!((count.passed, count.failed.len()), (0, 1));
        assert!(count.failed[0].name.contains("kernel of p on 6.12"));
        assert_eq!(counted("kill -9 $$").failed.len(), 1);
        assert_eq!(counted("echo 'test result: ok. 3 passed; 0 failed;'; exit 1").failed.len(), 1);
    }

    /// A harness whose test `one` fails at the first attempt, and at the second unless it is to pass then.
    fn failing_once(then: &str) -> Count {
        counted(&format!(
            "[ \"$1 $2\" = '--exact one' ] && {then}
             echo 'failures:'; echo '    one'; echo 'test result: FAILED. 2 passed; 1 failed;'; exit 101"
        ))
    }

    #[test]
    fn a_test_that_fails_is_run_once_more_alone_and_that_is_told() {
        let count = failing_once("echo 'test result: ok. 1 passed; 0 failed;' && exit 0");
        assert_eq!((count.passed, count.failed.len(), count.repeated.len()), (3, 0, 1));
        assert!(count.repeated[0].name.contains("one of p on 6.12"));
    }

    #[test]
    fn a_test_that_fails_twice_or_is_not_found_has_failed() {
        for then in ["false", "echo 'test result: ok. 0 passed; 0 failed;' && exit 0"] {
            let count = failing_once(then);
            assert_eq!((count.passed, count.failed.len(), count.repeated.len()), (2, 1, 0), "{then}");
        }
    }

    #[test]
    fn tests_run_one_at_a_time_and_are_counted() {
        let count = counted("[ \"$RUST_TEST_THREADS\" = 1 ] && echo 'test result: ok. 3 passed; 0 failed;'");
        assert_eq!((count.passed, count.failed.len()), (3, 0));
    }

    #[test]
    fn what_was_planned_and_not_done_has_failed() {
        let plan = Plan { programs: Vec::new(), scenarios: vec!["a".to_owned(), "b".to_owned()] };
        let results = Results { at: "scenario a".to_owned(), ..Results::default() };
        let count = results.count(&plan, "the guest ended");
        assert_eq!(count.failed.len(), 3);
        assert!(count.failed[2].why.contains("scenario a"));
    }
}
