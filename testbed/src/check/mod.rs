//! `roam-testbed check`: every test there is, and the scenarios, on the kernels; one count at the end.
//!
//! | file | what it holds |
//! |---|---|
//! | `crashes` | going on where a guest's kernel has crashed |
//! | `inside` | what is done on a kernel with SCTP |
//! | `rows` | what goes on side by side |
//! | `stream` | running a program with a time limit |
//! | `tally` | counting what the test harness says |

mod crashes;
mod inside;
mod rows;
mod stream;
mod tally;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;
use crate::clock::{self, Nanos};
use crate::guest::{self, Series};
use crate::package;
use crate::result::{Outcome, RunResult};
use crate::scenario::command::{stop_on_signals, write_json};
use crate::scenario::{self, Play};
use crate::sim::{life, pools};
use crashes::Attempt;
use inside::{Plan, Results};
use rows::{Row, Yield};
use stream::stream;
use tally::Tally;

/// What tests need besides what scenarios and the guest need: a program or file, and the package that has it.
const NEEDED: [(&str, &str); 10] = [
    ("cc", "gcc"),
    ("/usr/include/stdio.h", "libc6-dev"),
    ("/usr/include/linux/sctp.h", "linux-libc-dev"),
    ("/usr/include/netinet/sctp.h", "libsctp-dev"),
    ("/usr/include/usrsctp.h", "libusrsctp-dev"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("setpriv", "util-linux"),
    ("chromium", "chromium"),
];

/// Features of tests that need something installed, but not the guest.
const HOST_FEATURES: &str = "roam-registrar/browser-tests";

/// The kernel that everything runs on.
const MAIN_KERNEL: &str = "6.12";
/// The kernel that the main scenarios run on, too.
const OTHER_KERNEL: &str = "6.1";

/// How long each of the four fuzz targets of ASAP and ENRP goes on, from what is kept.
const FUZZ_SECONDS: &str = "15";

/// The arguments of `check`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Everything on both kernels
    #[arg(long)]
    all: bool,
    /// In place of all else: fifty associations live through half an hour of everything that happens to hosts
    #[arg(long, conflicts_with_all = ["all", "course"])]
    soak: bool,
    /// How long that takes, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30, requires = "soak")]
    soak_minutes: u64,
    /// What happens there
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "soak")]
    soak_seed: u64,
    /// The kernel of the guest where that happens, such as 6.12 or 6.1
    #[arg(long, value_name = "SERIES", default_value = MAIN_KERNEL, requires = "soak")]
    soak_kernel: String,
    /// Write the figures of all scenarios with the course of events here
    #[arg(long, value_name = "FILE")]
    course: Option<PathBuf>,
    /// In place of kernel 6.12 take the running one; needs root and SCTP
    #[arg(long, conflicts_with = "guest")]
    native: bool,
    /// Take the guest even where the running kernel has SCTP
    #[arg(long)]
    guest: bool,
}

/// The arguments of what is run in the guest.
#[derive(Debug, Clone, Args)]
pub struct Inside {
    /// What to do.
    plan: PathBuf,
    /// What came of it.
    results: PathBuf,
}

/// How many times 72 hours of two hosts are simulated, and in `check --all`.
const LIVES: (u64, u64) = (2, 20);

/// The nice values of what gives way to the handovers.
const TESTS_IN_THE_GUEST: i32 = 5;
const TESTS_HERE: i32 = 19;

/// What passed, and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Count {
    passed: usize,
    failed: Vec<Failure>,
    /// What passed only when it was done once more, and how the first attempt failed.
    repeated: Vec<Failure>,
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failure {
    name: String,
    why: String,
}

impl Failure {
    fn of_scenario(result: &RunResult) -> Self {
        let name = format!("scenario {} on {}", result.scenario, result.kernel);
        Self { name, why: tally::shortened(&result.why) }
    }
}

impl Count {
    fn fail(&mut self, name: impl Into<String>, why: &str) {
        self.failed.push(Failure { name: name.into(), why: tally::shortened(why) });
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.repeated.extend(other.repeated);
    }

    /// What is told at the end; its last line is the count.
    fn summary(&self) -> String {
        let mut text = String::new();
        for (word, which) in [("REPEATED", &self.repeated), ("FAILED", &self.failed)] {
            for Failure { name, why } in which {
                text += &format!("{word} {name}: {why}\n");
            }
        }
        text += &format!("{} passed", self.passed);
        if !self.repeated.is_empty() {
            text += &format!(", {} of them only at the second attempt", self.repeated.len());
        }
        text + &format!(", {} failed", self.failed.len())
    }
}

/// Checks everything and prints the count.
///
/// # Errors
/// Interrupted, or not started by cargo. All else is counted as a failure.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(checkout) = Checkout::here()? else {
        bail!("`check` builds the tests: start it from a checkout, as `cargo testbed check`");
    };
    let begin = clock::now();
    let Yield { mut count, outcomes, times } = match check(arguments, &checkout, begin) {
        Err(error) if error.downcast_ref() == Some(&clock::Waited::Interrupted) => return Err(error),
        Err(error) => {
            let mut nothing = Yield::default();
            nothing.count.fail("the check itself", &format!("{error:#}"));
            nothing
        }
        Ok(all) => all,
    };
    for (what, time) in times {
        println!("check: {:4.1} min for {what}", time.as_secs_f64() / 60.0);
    }
    tell("done", begin);
    if let Some(file) = &arguments.course
        && let Err(error) = write_json(file, &outcomes)
    {
        count.fail("writing the course of events", &format!("{error:#}"));
    }
    println!("{}", count.summary());
    Ok(if count.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells what is begun, and how late it is.
fn tell(what: &str, since: Nanos) {
    println!("check: {what} ({:.1} min since the start)", clock::ms_between(since, clock::now()) / 60_000.0);
}

/// Half an hour of everything, on one kernel.
fn soaked(arguments: &Arguments, checkout: &Checkout) -> Result<Yield> {
    guest::require(&NEEDED)?;
    checkout.programs()?;
    let (minutes, seed) = (arguments.soak_minutes, arguments.soak_seed);
    let words = ["--minutes".to_owned(), minutes.to_string(), "--seed".to_owned(), seed.to_string()];
    let mut all = Yield::default();
    let name = format!("{minutes} minutes of everything, seed {seed}");
    let passed = if arguments.native || (!arguments.guest && guest::native()) {
        scenario::soak::run(&scenario::soak::Arguments { minutes, seed }).map(|_| 0)
    } else {
        let options = guest::Options {
            kernel: arguments.soak_kernel.parse::<Series>().map_err(anyhow::Error::msg)?,
            limit: Duration::from_secs(4 * 60 * minutes + 900),
            by_instructions: true,
            ..guest::Options::default()
        };
        let words: Vec<_> = ["soak".to_owned()].into_iter().chain(words).map(Into::into).collect();
        guest::run_self(&options, &words)
    };
    match passed {
        Ok(0) => all.count.passed += 1,
        Ok(status) => all.count.fail(name, &format!("exit status {status}; what was wrong is said above")),
        Err(error) if error.downcast_ref() == Some(&clock::Waited::Interrupted) => return Err(error),
        Err(error) => all.count.fail(name, &format!("{error:#}")),
    }
    Ok(all)
}

fn check(arguments: &Arguments, checkout: &Checkout, begin: Nanos) -> Result<Yield> {
    if arguments.soak {
        return soaked(arguments, checkout);
    }
    let needed: Vec<_> = scenario::plays().iter().flat_map(Play::needed).copied().collect();
    guest::require(&[&NEEDED[..], &package::NEEDED, &needed].concat())?;
    tell("building the tests for the kernel and the programs", begin);
    let programs = checkout.kernel_tests()?;
    // Last, so that the programs are those without the tests' features.
    checkout.programs()?;
    let built = clock::now();

    let native = arguments.native || (!arguments.guest && guest::native());
    if native {
        stop_on_signals()?;
    }
    // The handovers, and what else is measured in milliseconds, come before all else. What else is done on the kernels mostly
    // waits for time to pass, and the tests here for the processors.
    let (mut handovers, mut kernel, mut host) =
        (Row::default(), Row::giving_way(TESTS_IN_THE_GUEST), Row::giving_way(TESTS_HERE));
    host.then("clusters of registrars in a simulation", || Ok((simulated(arguments.all), Vec::new())));
    host.then("the tests that run on any kernel (cargo test --workspace)", || {
        Ok((host_tests(checkout)?, Vec::new()))
    });
    kernel.then(
        "the packages: built, and in the guest installed, used and removed, without and with systemd",
        || Ok((packaged(checkout)?, Vec::new())),
    );
    for (series, everything) in [(MAIN_KERNEL, true), (OTHER_KERNEL, arguments.all)] {
        let here = native && series == MAIN_KERNEL;
        let place = if here { "here".to_owned() } else { format!("in the guest, on kernel {series}") };
        let series = (!here).then_some(series);
        let plays = scenario::plays();
        let (kills, plays): (Vec<_>, Vec<_>) = plays
            .iter()
            .filter(|play| if everything { play.is_quick() || arguments.all } else { play.is_of_main_six() })
            .partition(|play| play.is_by_instructions());
        let (moves, others): (Vec<_>, Vec<_>) = plays.into_iter().partition(|play| play.is_measured());
        let names = |plays: Vec<&Play>| plays.iter().map(|play| play.name().to_owned()).collect();
        let tests = if everything { programs.clone() } else { Vec::new() };
        let on = |row: &mut Row<'_>, what: &str, plan: Plan| {
            let number = plan.programs.len() + plan.scenarios.len();
            if number > 0 {
                row.then(format!("{number} {what} {place}"), move || on_kernel(&plan, series));
            }
        };
        on(&mut kernel, "test programs", Plan { programs: tests, ..Plan::default() });
        // Few of them are no reason for the longest row to become longer.
        let row = if everything { &mut handovers } else { &mut kernel };
        on(
            row,
            "scenarios that are measured, of handovers and sessions",
            Plan { scenarios: names(moves), ..Plan::default() },
        );
        // On one kernel, one scenario at a time.
        let row = if here { &mut handovers } else { &mut kernel };
        on(
            row,
            "other scenarios, of registrars and sessions",
            Plan { scenarios: names(others), ..Plan::default() },
        );
        on(row, "scenarios in which daemons are killed", Plan { scenarios: names(kills), ..Plan::default() });
    }
    let mut all = rows::run(vec![host, kernel, handovers], begin)?;
    let building = Duration::from_secs_f64(clock::ms_between(begin, built).max(0.0) / 1000.0);
    all.times.insert(0, ("building".to_owned(), building));
    Ok(all)
}

/// The simulation of registrars, elements and users, and of two hosts for days; `large`: also what takes minutes.
fn simulated(large: bool) -> Count {
    let mut count = Count::default();
    let lives = life::all(0..if large { LIVES.1 } else { LIVES.0 }, life::HOURS);
    for shown in pools::command::all(pools::command::SEEDS, large).into_iter().chain(lives) {
        match shown.failed {
            None => count.passed += 1,
            Some(why) => count.fail(format!("simulation of {}", shown.name), &why),
        }
    }
    count
}

/// Debian packages are made of the programs; whoever installs them can use them, and is rid of them when they are removed.
fn packaged(checkout: &Checkout) -> Result<Count> {
    let out = tempfile::tempdir()?;
    let directory = out.path().join("debian");
    package::build(checkout, &directory)?;
    let mut count = Count::default();
    for trial in package::Trial::ALL {
        match trial.in_guest(&directory)? {
            0 => count.passed += 1,
            status => {
                let name = format!("the packages, {}", trial.words());
                count.fail(name, &format!("exit status {status}; what was wrong is said above"));
            }
        }
    }
    Ok(count)
}

/// `cargo test --workspace`, with the tests that need a browser; its output passed through.
fn host_tests(checkout: &Checkout) -> Result<Count> {
    let mut tally = Tally::default();
    let mut cargo = checkout.cargo(&["test", "--workspace", "--no-fail-fast", "--features", HOST_FEATURES]);
    cargo.env("ROAM_FUZZ_SECONDS", FUZZ_SECONDS);
    let limit = Duration::from_secs(3600);
    let status = stream(&mut cargo, limit, |line| tally.line(line))?;
    let mut count = Count { passed: tally.passed, ..Count::default() };
    for failed in tally.failed {
        count.fail(failed.name, &failed.why);
    }
    match status {
        None => count.fail("cargo test --workspace", "it took longer than an hour"),
        Some(status) if !status.success() && count.failed.is_empty() => {
            count.fail("cargo test --workspace", &format!("{status}; its own words are above"));
        }
        Some(_) => {}
    }
    Ok(count)
}

/// Carries the plan out, here or in the guest.
fn on_kernel(plan: &Plan, series: Option<&str>) -> Result<(Count, Vec<Outcome>)> {
    crashes::outlive(plan, |left| attempt(left, series))
}

/// Carries the plan out as far as it goes.
fn attempt(plan: &Plan, series: Option<&str>) -> Result<Attempt> {
    let share = tempfile::tempdir()?;
    let (plan_file, results_file) = (share.path().join("plan.json"), share.path().join("results.json"));
    std::fs::write(&plan_file, serde_json::to_vec(plan)?)?;
    let mut too_long = false;
    let ended = match series {
        None => {
            inside::run(&plan_file, &results_file)?;
            String::new()
        }
        Some(series) => {
            let options = guest::Options {
                kernel: series.parse::<Series>().map_err(anyhow::Error::msg)?,
                share: Some(share.path().to_owned()),
                limit: limit(plan),
                by_instructions: !plan.scenarios.is_empty() && plays(plan).all(|it| it.is_by_instructions()),
                beside_others: true,
                // Tests are not measured; they leave the other processor to what is.
                cpus: if plan.scenarios.is_empty() { 1 } else { guest::Options::default().cpus },
                ..guest::Options::default()
            };
            let words = ["inside", "/share/plan.json", "/share/results.json"].map(Into::into);
            match guest::run_self(&options, &words) {
                Ok(124) => {
                    too_long = true;
                    "the guest took too long".to_owned()
                }
                Ok(status) => format!("it ended with exit status {status}"),
                Err(error) if error.downcast_ref() == Some(&clock::Waited::Interrupted) => return Err(error),
                Err(error) => format!("{error:#}"),
            }
        }
    };
    let results = match std::fs::read(&results_file) {
        Ok(bytes) => serde_json::from_slice(&bytes).context("the results")?,
        Err(_) => Results::default(),
    };
    Ok(Attempt { results, ended, too_long })
}

/// How long the guest may take: much longer than it does.
fn limit(plan: &Plan) -> Duration {
    let programs = inside::PROGRAM_LIMIT * u32::try_from(plan.programs.len()).unwrap_or(u32::MAX);
    Duration::from_secs(120) + plays(plan).map(|play| play.limit()).sum::<Duration>() + programs
}

fn plays(plan: &Plan) -> impl Iterator<Item = Play> {
    plan.scenarios.iter().filter_map(|name| scenario::play(name))
}

/// What `check` has run in the guest.
///
/// # Errors
/// The plan cannot be read or the results cannot be written.
pub fn inside(arguments: &Inside) -> Result<ExitCode> {
    inside::run(Path::new(&arguments.plan), Path::new(&arguments.results))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_count_and_failures_are_named_before_it() {
        let mut count = Count { passed: 3, ..Count::default() };
        assert_eq!(count.summary(), "3 passed, 0 failed");
        count.fail("scenario x", "two messages are missing");
        assert_eq!(count.summary(), "FAILED scenario x: two messages are missing\n3 passed, 1 failed");
        count.repeated.push(Failure { name: "scenario y".to_owned(), why: "one was late".to_owned() });
        let summary = count.summary();
        assert!(summary.starts_with("REPEATED scenario y: one was late\nFAILED scenario x"), "{summary}");
        assert!(summary.ends_with("\n3 passed, 1 of them only at the second attempt, 1 failed"), "{summary}");
    }

    #[test]
    fn counts_add_up() {
        let mut count = Count { passed: 3, ..Count::default() };
        let mut other = Count { passed: 4, ..Count::default() };
        other.fail("a", "b");
        count.add(other);
        assert_eq!((count.passed, count.failed.len()), (7, 1));
    }
}
