//! `roam-testbed demo`: both ends of an association move at the same moment, without and with Roam; then the table.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::guest;
use crate::report;
use crate::result::{Agent, Outcome};
use crate::scenario::{self, MAIN_SIX};

/// The arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Kernel series of the guest, such as 6.12 or 6.1
    #[arg(long, value_name = "SERIES")]
    pub kernel: Option<String>,
    /// Write the page here
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub html: PathBuf,
    /// Run right here; needs root and a kernel with SCTP
    #[arg(long, conflicts_with = "guest")]
    pub native: bool,
    /// Run in the guest even where the kernel has SCTP
    #[arg(long)]
    pub guest: bool,
    /// Leave the runs here instead of making the page
    #[arg(long, hide = true, value_name = "FILE")]
    pub course: Option<PathBuf>,
}

/// The longest that the guest may take, boot included.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What the demo shows first.
const SHOWN: &str = "simultaneous";

/// Shows it.
///
/// # Errors
/// Something that the demo needs cannot be had.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(file) = &arguments.course {
        scenario::command::write_json(file, &perform()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    crate::checkout::build_programs()?;
    let share = tempfile::tempdir()?;
    let here = arguments.native || (!arguments.guest && arguments.kernel.is_none() && guest::native());
    let words = |directory: &Path| {
        ["demo".into(), "--course".into(), directory.join("course.json").into()] as [OsString; 3]
    };
    let status = if here {
        let own = std::env::current_exe()?;
        let status = Command::new(own).args(words(share.path())).stdin(Stdio::null()).status()?;
        status.code().unwrap_or(1)
    } else {
        println!("This runs in a small virtual machine: Roam wants a kernel with SCTP, netem and root.");
        let mut options = guest::Options {
            share: Some(share.path().to_owned()),
            limit: LIMIT,
            ..guest::Options::default()
        };
        if let Some(kernel) = &arguments.kernel {
            options.kernel = kernel.parse().map_err(anyhow::Error::msg)?;
        }
        guest::run_self(&options, &words(Path::new("/share")))?
    };
    ensure!(status == 0, "the demo ended with status {status}");
    let runs = fs::read(share.path().join("course.json")).context("the demo left no runs")?;
    let outcomes: Vec<Outcome> = serde_json::from_slice(&runs)?;
    println!("\n{}", report::table(outcomes.iter().map(|outcome| &outcome.result)));
    println!("\"all N, +M ms\": every message came back once and in order; M ms were added to the outage.");
    fs::write(&arguments.html, report::page("Roam: SCTP associations on hosts that move", &outcomes))
        .with_context(|| arguments.html.display().to_string())?;
    println!("The messages over time, drawn: {}", fs::canonicalize(&arguments.html)?.display());
    let mut with_roam = outcomes.iter().filter(|outcome| outcome.result.agent == Agent::Roam);
    let whole = with_roam.all(|outcome| outcome.result.passed);
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All runs, on a kernel with SCTP.
fn perform() -> Result<Vec<Outcome>> {
    println!(
        "\nTwo hosts, A and B, each with two access networks; a client on A sends a numbered message every 20 ms to a\n\
         server on B, which echoes it. Both programs are ordinary SCTP programs that know nothing of Roam. Then both\n\
         hosts lose their only address at the same moment, and a second later each gets another one.\n\n\
         First without Roam (the run ends after 30 s of silence):\n"
    );
    let directory = tempfile::tempdir()?;
    let queue = Mutex::new(others());
    let mut outcomes = std::thread::scope(|scope| {
        let (sender, done) = mpsc::channel();
        for _ in 0..AT_ONCE {
            let (sender, queue, directory) = (sender.clone(), &queue, directory.path());
            scope.spawn(move || {
                while let Some((name, agent)) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) {
                    let _ = sender.send(aside(directory, name, agent));
                }
            });
        }
        drop(sender);
        let shown = one(SHOWN, Agent::None);
        if shown.is_err() {
            // What has not begun need not begin any more.
            queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let mut outcomes = shown?;
        println!("\nThe other handovers without Roam, and all of them with the kernel's own auto-ASCONF:\n");
        for outcome in done {
            let outcome = outcome?;
            let result = &outcome.result;
            println!("{}, agent {}: {}", result.scenario, result.agent, result.why);
            outcomes.push(outcome);
        }
        anyhow::Ok(outcomes)
    })?;
    println!("\nNow with Roam: a roamd on each host, and a registrar that knows where they are.\n");
    outcomes.extend(one(SHOWN, Agent::Roam)?);
    println!("\nThe other handovers with Roam:\n");
    for name in MAIN_SIX.into_iter().filter(|name| *name != SHOWN) {
        outcomes.extend(one(name, Agent::Roam)?);
    }
    let place = |outcome: &Outcome| MAIN_SIX.iter().position(|name| *name == outcome.result.scenario);
    outcomes.sort_by_key(|outcome| (outcome.result.scenario != SHOWN, place(outcome)));
    Ok(outcomes)
}

fn one(name: &str, agent: Agent) -> Result<Vec<Outcome>> {
    let arguments =
        scenario::command::Arguments { native: true, ..scenario::command::Arguments::new(&[name], agent) };
    scenario::command::outcomes(&arguments)
}

/// How many runs without Roam go on beside each other. They come to nothing mostly, and then they only wait.
const AT_ONCE: usize = 3;

/// The runs without Roam that are not shown as they happen.
fn others() -> VecDeque<(&'static str, Agent)> {
    let of = |agent| MAIN_SIX.into_iter().map(move |name| (name, agent));
    of(Agent::None).chain(of(Agent::AutoAsconf)).filter(|run| *run != (SHOWN, Agent::None)).collect()
}

/// A run in a process of its own.
fn aside(directory: &Path, name: &str, agent: Agent) -> Result<Outcome> {
    let course = directory.join(format!("{name}-{agent}.json"));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", name, "--native", "--agent", &agent.to_string(), "--course"]).arg(&course);
    let output = command.stdin(Stdio::null()).output()?;
    let written = fs::read(&course).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{name} with agent {agent} left no outcome: {}", said.trim())
    })?;
    let outcomes: Vec<Outcome> = serde_json::from_slice(&written)?;
    outcomes.into_iter().next().with_context(|| format!("{name} with agent {agent} was not run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_main_scenario_runs_without_roam_and_with_auto_asconf_and_none_twice() {
        let mut runs: Vec<_> = others().into();
        runs.push((SHOWN, Agent::None));
        runs.sort_by_key(|(name, agent)| (*name, agent.to_string()));
        runs.dedup();
        assert_eq!(runs.len(), 2 * MAIN_SIX.len());
        assert!(MAIN_SIX.contains(&SHOWN));
    }
}
