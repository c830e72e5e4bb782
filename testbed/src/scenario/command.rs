//! `roam-testbed run` and `roam-testbed list`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Options, Play};
use crate::clock;
use crate::guest;
use crate::result::{Agent, Outcome, RunResult};
use crate::traffic;

/// The arguments of `run`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Names of scenarios (see `list`), or `all`
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Kernel series of the guest, such as 6.12 or 6.1
    #[arg(long, value_name = "SERIES")]
    pub kernel: Option<String>,
    /// Round trip between the hosts, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20.0)]
    pub rtt: f64,
    /// How long an ordinary outage lasts, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=600_000))]
    pub outage: u64,
    /// Packets lost in each direction, in percent, in place of the scenario's own
    #[arg(long, value_name = "PERCENT")]
    pub loss: Option<f64>,
    /// Who looks after the associations
    #[arg(long, value_enum, default_value_t)]
    pub agent: Agent,
    /// A client in place of the built-in one; {local}, {peer} and {port} are filled in
    #[arg(long, value_name = "CMD", requires = "server")]
    pub client: Option<String>,
    /// A server in place of the built-in one; {local} and {port} are filled in
    #[arg(long, value_name = "CMD", requires = "client")]
    pub server: Option<String>,
    /// Write the figures here: a list, one object a run
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the figures with the course of events here
    #[arg(long, value_name = "FILE")]
    pub course: Option<PathBuf>,
    /// Run right here; needs root and a kernel with SCTP
    #[arg(long, conflicts_with = "guest")]
    pub native: bool,
    /// Run in the guest even where the kernel has SCTP
    #[arg(long)]
    pub guest: bool,
}

impl Arguments {
    /// These scenarios with this agent, all else by default.
    pub fn new(names: &[&str], agent: Agent) -> Self {
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            kernel: None,
            rtt: 20.0,
            outage: 1000,
            loss: None,
            agent,
            client: None,
            server: None,
            json: None,
            course: None,
            native: false,
            guest: false,
        }
    }

    fn plays(&self) -> Result<Vec<Play>> {
        let mut chosen = Vec::new();
        for name in &self.names {
            match (name.as_str(), super::play(name)) {
                ("all", _) => chosen.extend(super::plays()),
                (_, Some(play)) => chosen.push(play),
                (_, None) => bail!("no scenario is called {name}; `roam-testbed list` shows them"),
            }
        }
        if !(self.rtt.is_finite() && (0.0..=10_000.0).contains(&self.rtt)) {
            bail!("--rtt {}: 0 to 10000 milliseconds are possible", self.rtt);
        }
        if self.loss.is_some_and(|loss| !(0.0..=100.0).contains(&loss)) {
            bail!("--loss: 0 to 100 percent are possible");
        }
        Ok(chosen)
    }

    /// The command line for the same inside the guest.
    fn inside(&self, course: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["run".into()];
        words.extend(self.names.iter().map(OsString::from));
        words.extend(["--native".into(), "--rtt".into(), self.rtt.to_string().into()]);
        words.extend(["--outage".into(), self.outage.to_string().into()]);
        words.extend(["--agent".into(), self.agent.to_string().into()]);
        words.extend(["--course".into(), course.into()]);
        if let Some(loss) = self.loss {
            words.extend(["--loss".into(), loss.to_string().into()]);
        }
        if let (Some(client), Some(server)) = (&self.client, &self.server) {
            words.extend(["--client".into(), client.into(), "--server".into(), server.into()]);
        }
        words
    }
}

/// Runs scenarios: here where the kernel has SCTP and we are root, else in the guest.
///
/// # Errors
/// A name that no scenario has, a program that cannot be installed, no guest, or interrupted. A run that fails is an
/// outcome.
pub fn outcomes(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let plays = arguments.plays()?;
    let needed: Vec<_> = plays.iter().flat_map(Play::needed).copied().collect();
    guest::require(&needed)?;
    plays.iter().try_for_each(Play::prepare)?;
    let here = arguments.native || (!arguments.guest && arguments.kernel.is_none() && guest::native());
    if !here {
        return in_guest(arguments);
    }
    stop_on_signals()?;
    let options = Options {
        agent: arguments.agent,
        rtt_ms: arguments.rtt,
        outage: Duration::from_millis(arguments.outage),
        loss_percent: arguments.loss,
        foreign: arguments.client.clone().zip(arguments.server.clone()),
        tell: true,
    };
    let mut outcomes = Vec::new();
    for play in &plays {
        let outcome = play.run(&options)?;
        print_outcome(&outcome);
        outcomes.push(outcome);
        // What is there is kept, whatever the next run brings.
        write(arguments, &outcomes)?;
    }
    Ok(outcomes)
}

fn in_guest(arguments: &Arguments) -> Result<Vec<Outcome>> {
    let share = tempfile::tempdir()?;
    let mut options = guest::Options { share: Some(share.path().to_owned()), ..guest::Options::default() };
    if let Some(kernel) = &arguments.kernel {
        options.kernel = kernel.parse().map_err(|error| anyhow::anyhow!("--kernel {kernel}: {error}"))?;
    }
    let plays = arguments.plays()?;
    options.by_instructions = plays.iter().all(Play::is_by_instructions);
    options.limit = plays.iter().map(Play::limit).sum::<Duration>() * 3 / 2 + Duration::from_secs(180);
    let status = guest::run_self(&options, &arguments.inside(Path::new("/share/course.json")))?;
    let written = fs::read(share.path().join("course.json"));
    let outcomes: Vec<Outcome> = match written {
        Ok(bytes) => serde_json::from_slice(&bytes).context("what the guest wrote")?,
        Err(_) => bail!("the guest ran nothing (exit status {status})"),
    };
    write(arguments, &outcomes)?;
    Ok(outcomes)
}

fn write(arguments: &Arguments, outcomes: &[Outcome]) -> Result<()> {
    if let Some(file) = &arguments.json {
        let results: Vec<&RunResult> = outcomes.iter().map(|outcome| &outcome.result).collect();
        write_json(file, &results)?;
    }
    if let Some(file) = &arguments.course {
        write_json(file, outcomes)?;
    }
    Ok(())
}

/// Writes a list as indented JSON.
///
/// # Errors
/// The file cannot be written.
pub fn write_json<T: serde::Serialize>(file: &Path, list: &[T]) -> Result<()> {
    let mut text = serde_json::to_string_pretty(list)?;
    text.push('\n');
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// SIGINT and SIGTERM end all waits, so that everything is taken down in good order.
///
/// # Errors
/// The system's.
pub(crate) fn stop_on_signals() -> io::Result<()> {
    // A blocked signal would stay blocked in every program that is started; a handler does not.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            if traffic::terminated().await.is_ok() {
                clock::interrupt();
            }
        });
    });
    Ok(())
}

fn print_outcome(outcome: &Outcome) {
    let result = &outcome.result;
    if !outcome.course.parts.is_empty() {
        println!("  what the (last) overhead is made of, from the moment at which both ends had an address:");
        for (what, ms) in &outcome.course.parts {
            println!("  {ms:8.1} ms  until {what}");
        }
    }
    let verdict = if result.passed { "passed" } else { "failed" };
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
    // Where nobody moves there is nothing to measure.
    let times = if result.outage_ms.is_some() || result.silence_ms.is_some() {
        let (outage, silence) = (ms(result.outage_ms), ms(result.silence_ms));
        format!("; outage {outage}, silence {silence}, overhead {}", ms(result.overhead_ms))
    } else {
        String::new()
    };
    println!("{}: {verdict}, {}{times}", result.scenario, result.why);
}

/// Runs them and says whether all went well. Without Roam nothing is expected to.
///
/// # Errors
/// As [`outcomes`].
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    const USAGE: u8 = 2;
    if let Err(error) = arguments.plays() {
        eprintln!("roam-testbed: {error:#}");
        return Ok(ExitCode::from(USAGE));
    }
    let outcomes = outcomes(arguments)?;
    let passed = outcomes.iter().filter(|outcome| outcome.result.passed).count();
    println!("{passed} passed, {} failed", outcomes.len() - passed);
    let fine = passed == outcomes.len() || arguments.agent != Agent::Roam;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints the names of all scenarios and what each shows.
///
/// # Errors
/// None.
pub fn list() -> Result<ExitCode> {
    for play in super::plays() {
        println!("{}\n    {}", play.name(), play.shows());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_that_does_not_exist_is_named() {
        let error = Arguments::new(&["no-such"], Agent::Roam).plays().unwrap_err();
        assert!(error.to_string().contains("no-such"));
    }

    #[test]
    fn all_are_all() {
        let arguments = Arguments::new(&["all"], Agent::None);
        assert_eq!(arguments.plays().unwrap().len(), super::super::plays().len());
    }

    #[test]
    fn impossible_conditions_are_refused() {
        let slow = Arguments { rtt: -1.0, ..Arguments::new(&["all"], Agent::None) };
        assert!(slow.plays().is_err());
        let lossy = Arguments { loss: Some(101.0), ..Arguments::new(&["all"], Agent::None) };
        assert!(lossy.plays().is_err());
    }
}
