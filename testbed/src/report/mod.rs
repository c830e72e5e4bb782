//! Runs as a table and as a page.

mod chart;
mod page;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;

use crate::result::{Agent, Course, Outcome, RunResult};

pub use page::page;

/// The arguments of `report`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// What `run --json`, `run --course` or `check --course` wrote
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write a page with the messages over time here (drawn for what `--course` wrote)
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A run as either option writes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Run {
    Whole(Outcome),
    Figures(RunResult),
}

/// Prints the table of runs, and writes the page if asked to.
///
/// # Errors
/// A file cannot be read, is none of those that the testbed writes, or the page cannot be written.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut outcomes = Vec::new();
    for file in &arguments.files {
        let text = fs::read(file).with_context(|| file.display().to_string())?;
        let runs: Vec<Run> = serde_json::from_slice(&text)
            .with_context(|| format!("{}: not what run --json or --course writes", file.display()))?;
        outcomes.extend(runs.into_iter().map(|run| match run {
            Run::Whole(outcome) => outcome,
            Run::Figures(result) => Outcome { result, course: Course::default() },
        }));
    }
    print!("{}", table(outcomes.iter().map(|outcome| &outcome.result)));
    if let Some(file) = &arguments.html {
        fs::write(file, page("Roam: runs", &outcomes)).with_context(|| file.display().to_string())?;
        println!("\nthe page: {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Scenarios down, agents across; one table for each kernel and round trip. Empty without runs.
pub fn table<'a>(runs: impl IntoIterator<Item = &'a RunResult>) -> String {
    let mut text = String::new();
    for group in groups(runs) {
        let Some(first) = group.runs.first() else { continue };
        let _ = writeln!(text, "Kernel {}, round trip {} ms:\n", first.kernel, first.rtt_ms);
        let mut rows = vec![vec!["scenario".to_owned()]];
        rows[0].extend(group.agents.iter().map(ToString::to_string));
        rows.push(vec!["-".to_owned(); rows[0].len()]);
        for scenario in &group.scenarios {
            let mut row = vec![scenario.clone()];
            row.extend(
                group.agents.iter().map(|agent| group.find(scenario, *agent).map_or(String::new(), cell)),
            );
            rows.push(row);
        }
        lay_out(&mut text, &rows);
        text.push('\n');
    }
    text
}

/// The runs under the same conditions.
#[derive(Debug, Default)]
struct Group<'a> {
    agents: Vec<Agent>,
    scenarios: Vec<String>,
    runs: Vec<&'a RunResult>,
}

impl Group<'_> {
    /// The last such run.
    fn find(&self, scenario: &str, agent: Agent) -> Option<&RunResult> {
        let mut runs = self.runs.iter().rev();
        runs.find(|run| run.scenario == scenario && run.agent == agent).copied()
    }
}

fn groups<'a>(runs: impl IntoIterator<Item = &'a RunResult>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for run in runs {
        let same = |group: &&mut Group<'_>| {
            group
                .runs
                .iter()
                .all(|other| other.kernel == run.kernel && other.rtt_ms.total_cmp(&run.rtt_ms).is_eq())
        };
        let group = match groups.iter_mut().find(same) {
            Some(group) => group,
            None => {
                groups.push(Group::default());
                let last = groups.len() - 1;
                &mut groups[last]
            }
        };
        group.runs.push(run);
        if !group.scenarios.contains(&run.scenario) {
            group.scenarios.push(run.scenario.clone());
        }
        if !group.agents.contains(&run.agent) {
            group.agents.push(run.agent);
            group.agents.sort_by_key(|agent| match agent {
                Agent::None => 0,
                Agent::AutoAsconf => 1,
                Agent::Roam => 2,
            });
        }
    }
    groups
}

/// A run in a few words.
fn cell(run: &RunResult) -> String {
    let overhead = run.overhead_ms.map(|overhead| format!(", {overhead:+.0} ms")).unwrap_or_default();
    match (run.passed, run.sent, run.echoed) {
        (true, Some(sent), _) => format!("all {sent}{overhead}"),
        // Where nobody moved there was no silence.
        (true, None, _) if run.silence_ms.is_none() => "passed".to_owned(),
        (true, None, _) => format!("whole{overhead}"),
        (false, Some(sent), Some(echoed)) => {
            let lost = if run.associations_lost.unwrap_or(0) > 0 { ", association lost" } else { "" };
            format!("{echoed} of {sent}{lost}")
        }
        (false, _, _) => "failed".to_owned(),
    }
}

/// Writes rows as a table that is readable as text and as Markdown.
fn lay_out(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        text.push('|');
        for (cell, width) in row.iter().zip(&widths) {
            let fill = if cell == "-" { '-' } else { ' ' };
            let padding: String = std::iter::repeat_n(fill, width - cell.chars().count()).collect();
            let _ = write!(text, " {cell}{padding} |");
        }
        text.push('\n');
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::result::{Happening, MessageTimes};

    pub(crate) fn outcome(scenario: &str, agent: Agent, echoed: u64) -> Outcome {
        let result = RunResult {
            scenario: scenario.to_owned(),
            kernel: "6.12.1".to_owned(),
            agent,
            rtt_ms: 20.0,
            sent: Some(100),
            echoed: Some(echoed),
            out_of_order: Some(0),
            duplicates: Some(0),
            associations_lost: Some(u64::from(echoed < 100)),
            outage_ms: Some(1000.0),
            silence_ms: Some(1085.0),
            overhead_ms: Some(85.0),
            passed: echoed == 100,
            why: "because".to_owned(),
        };
        let message = |n: u64| MessageTimes {
            sent_ms: n as f64 * 20.0,
            echoed_ms: (n < echoed).then_some(n as f64 * 20.0 + 21.0),
        };
        let course = Course {
            happenings: vec![Happening {
                at_ms: 500.0,
                host: "A".to_owned(),
                kind: "link".to_owned(),
                what: "10.1.0.2 <gone>".to_owned(),
            }],
            messages: (0..100).map(message).collect(),
            outages: vec![(500.0, 1500.0)],
            parts: Vec::new(),
        };
        Outcome { result, course }
    }

    #[test]
    fn the_table_has_a_line_for_a_scenario_and_a_column_for_an_agent() {
        let runs = [outcome("simultaneous", Agent::Roam, 100), outcome("simultaneous", Agent::None, 40)];
        let text = table(runs.iter().map(|outcome| &outcome.result));
        assert!(text.contains("| scenario     | none"), "{text}");
        let lines: Vec<_> = text.lines().filter(|line| line.contains("simultaneous")).collect();
        assert_eq!(lines, ["| simultaneous | 40 of 100, association lost | all 100, +85 ms |"]);
        assert_eq!(text.lines().filter(|line| line.starts_with("| --")).count(), 1);
    }

    #[test]
    fn runs_under_other_conditions_are_another_table() {
        let mut far = outcome("simultaneous", Agent::Roam, 100);
        far.result.rtt_ms = 100.0;
        let runs = [outcome("simultaneous", Agent::Roam, 100), far];
        let text = table(runs.iter().map(|outcome| &outcome.result));
        assert_eq!(text.matches("round trip").count(), 2, "{text}");
        assert_eq!(table([]), "");
    }
}
