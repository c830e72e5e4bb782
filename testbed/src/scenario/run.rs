//! A whole scenario: its rounds one after the other, and what came of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::engine::{self, Played, Stage};
use super::{Foreign, Input, Line, Programs, Scenario};
use crate::clock::{Nanos, ms_between};
use crate::link::Conditions;
use crate::measure::{self, Cost, Window};
use crate::result::{Agent, Course, Happening, MessageTimes, Outcome, RunResult};

/// How scenarios are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who looks after the associations.
    pub agent: Agent,
    /// The round trip between any two hosts, in milliseconds.
    pub rtt_ms: f64,
    /// How long an ordinary outage lasts.
    pub outage: Duration,
    /// Loss in percent in each direction, in place of the scenario's own.
    pub loss_percent: Option<f64>,
    /// Command lines of client and server, in place of the scenario's own programs.
    pub foreign: Option<(String, String)>,
    /// Tell what happens on standard output, as it happens.
    pub tell: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent: Agent::Roam,
            rtt_ms: 20.0,
            outage: Duration::from_secs(1),
            loss_percent: None,
            foreign: None,
            tell: true,
        }
    }
}

/// Runs a scenario. A run that fails is an outcome, not an error.
///
/// # Errors
/// Interrupted, or no temporary directory.
pub fn run(scenario: &Scenario, options: &Options) -> Result<Outcome> {
    let mut scenario = scenario.clone();
    if let Some((client, server)) = &options.foreign {
        let line = |command: &str| Line {
            command: command.to_owned(),
            program: command
                .split_ascii_whitespace()
                .find(|word| *word != "exec")
                .unwrap_or_default()
                .to_owned(),
            port: None,
        };
        let (client, server) = (line(client), line(server));
        scenario.programs = Programs::Foreign(Foreign { client, server, input: Input::Unknown });
    }
    let conditions = Conditions {
        rtt_ms: options.rtt_ms,
        loss_percent: options.loss_percent.unwrap_or(scenario.loss_percent),
        rate_kbit: scenario.rate_kbit,
    };
    let mut total: Option<Account> = None;
    let mut course = Course::default();
    for round in &scenario.rounds {
        let directory = tempfile::Builder::new().prefix("roam-testbed-").tempdir()?;
        let label = if round.label.is_empty() { String::new() } else { format!(" ({})", round.label) };
        if options.tell {
            println!("{}{label}, agent {}", scenario.name, options.agent);
        }
        let stage = Stage {
            agent: options.agent,
            conditions,
            outage: options.outage,
            directory: directory.path(),
            tell: options.tell,
        };
        let account = match engine::play(&stage, &scenario, round) {
            Ok(played) => {
                course = course_of(&played);
                Account::of(&played, &scenario.programs)
            }
            Err(error) if error.downcast_ref() == Some(&crate::clock::Waited::Interrupted) => {
                return Err(error);
            }
            Err(error) => Account::failed(format!("{error:#}")),
        };
        if let Some(why) = &account.wrong
            && options.agent == Agent::Roam
        {
            print_logs(directory.path(), why);
        }
        total = Some(match total {
            None => account.labelled(&round.label),
            Some(total) => total.and(account.labelled(&round.label)),
        });
    }
    let total = total.unwrap_or_else(|| Account::failed("the scenario has no round".to_owned()));
    Ok(Outcome { result: total.result(&scenario, options), course })
}

/// The figures of one round, or of several.
#[derive(Debug, Clone, Default, PartialEq)]
struct Account {
    sent: Option<u64>,
    echoed: Option<u64>,
    out_of_order: Option<u64>,
    duplicates: Option<u64>,
    lost: Option<u64>,
    cost: Option<Cost>,
    /// Why it did not pass.
    wrong: Option<String>,
}

impl Account {
    fn failed(why: String) -> Self {
        Self { wrong: Some(why), ..Self::default() }
    }

    fn of(played: &Played, programs: &Programs) -> Self {
        let mut account = Self::default();
        let given = &played.programs;
        let arrivals: Vec<Vec<Nanos>> = match &given.client {
            Some(client) => {
                client.associations.iter().map(|association| arrivals(&association.echoed)).collect()
            }
            None => vec![given.grew.iter().map(|(at, _)| *at).collect()],
        };
        account.cost = measure::worst(&played.windows, &played.outages, &arrivals);
        account.wrong = given.wrong.clone().or_else(|| played.broken.clone());
        if let Some(client) = &given.client {
            let sum = |of: fn(&crate::traffic::AssociationRecord) -> u64| {
                Some(client.associations.iter().map(of).sum::<u64>())
            };
            account.sent = sum(|association| association.sent.len() as u64);
            account.echoed = sum(|association| association.echoes());
            account.out_of_order = sum(|association| association.out_of_order);
            account.duplicates = sum(|association| association.duplicates);
            // A session has to leave a server that was killed, and may leave others on its way to the next.
            let lost_here = match given.server_died {
                true => sum(|association| u64::from(association.lost)),
                false => sum(|association| u64::from(association.lost) + association.left),
            };
            account.lost = lost_here.max(given.server.as_ref().map(|server| server.lost));
            let foreign = sum(|association| association.foreign).unwrap_or(0);
            account.wrong = account.fault(foreign).or(account.wrong);
        } else if !is_paced(programs)
            && let Some(fault) = slower(&played.windows, &given.grew)
        {
            account.wrong.get_or_insert(fault);
        } else if matches!(programs, Programs::Traffic(_) | Programs::Session { .. }) {
            account.wrong.get_or_insert_with(|| "the client left no account".to_owned());
        }
        account
    }

    /// What is wrong with the counts of the built-in program.
    fn fault(&self, foreign: u64) -> Option<String> {
        let (sent, echoed) = (self.sent.unwrap_or(0), self.echoed.unwrap_or(0));
        let mut faults = Vec::new();
        if echoed != sent {
            faults.push(format!("{echoed} of {sent} messages came back"));
        }
        let counts = [
            (self.lost.unwrap_or(0), "associations lost"),
            (self.out_of_order.unwrap_or(0), "echoes out of order"),
            (self.duplicates.unwrap_or(0), "echoes twice"),
            (foreign, "echoes changed or astray"),
        ];
        faults.extend(
            counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
        );
        (!faults.is_empty()).then(|| faults.join(", "))
    }

    fn labelled(mut self, label: &str) -> Self {
        if !label.is_empty() {
            self.wrong = self.wrong.map(|wrong| format!("{label}: {wrong}"));
        }
        self
    }

    fn and(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        let overhead = |cost: &Option<Cost>| cost.map_or(f64::NEG_INFINITY, |cost| cost.overhead_ms());
        let cost = if overhead(&other.cost) > overhead(&self.cost) { other.cost } else { self.cost };
        let wrong = match (self.wrong, other.wrong) {
            (Some(one), Some(other)) => Some(format!("{one}; {other}")),
            (one, other) => one.or(other),
        };
        Self {
            sent: sum(self.sent, other.sent),
            echoed: sum(self.echoed, other.echoed),
            out_of_order: sum(self.out_of_order, other.out_of_order),
            duplicates: sum(self.duplicates, other.duplicates),
            lost: sum(self.lost, other.lost),
            cost,
            wrong,
        }
    }

    fn result(self, scenario: &Scenario, options: &Options) -> RunResult {
        let why = self.wrong.clone().unwrap_or_else(|| match self.sent {
            Some(sent) => format!("all {sent} messages came back, once and in order"),
            None => "the programs came to their end, and all that was sent had arrived".to_owned(),
        });
        let rounded = |ms: f64| (ms * 10.0).round() / 10.0;
        RunResult {
            scenario: scenario.name.clone(),
            kernel: kernel(),
            agent: options.agent,
            rtt_ms: options.rtt_ms,
            sent: self.sent,
            echoed: self.echoed,
            out_of_order: self.out_of_order,
            duplicates: self.duplicates,
            associations_lost: self.lost,
            outage_ms: self.cost.map(|cost| rounded(cost.outage_ms)),
            silence_ms: self.cost.map(|cost| rounded(cost.silence_ms)),
            overhead_ms: self.cost.map(|cost| rounded(cost.overhead_ms())),
            passed: self.wrong.is_none(),
            why,
        }
    }
}

/// Whether the programs send no faster than they are fed with lines.
fn is_paced(programs: &Programs) -> bool {
    matches!(programs, Programs::Foreign(Foreign { input: Input::Lines(_), .. }))
}

/// Whether a transfer has lost its rate in the handovers. The first half second after one belongs to its recovery.
fn slower(windows: &[Window], grew: &[(Nanos, u64)]) -> Option<String> {
    let (first, last) = (windows.first()?, windows.last()?);
    let before = measure::rate(grew, 0, first.from)?;
    let after = measure::rate(grew, last.to + 500_000_000, Nanos::MAX)?;
    let kilo = |rate: f64| rate / 1000.0;
    (after < before / 2.0)
        .then(|| format!("the rate was {:.0} kB/s before and is {:.0} kB/s after", kilo(before), kilo(after)))
}

/// The times of all echoes, in order of time.
fn arrivals(echoed: &[Option<Nanos>]) -> Vec<Nanos> {
    let mut arrivals: Vec<_> = echoed.iter().flatten().copied().collect();
    arrivals.sort_unstable();
    arrivals
}

/// What `uname -r` says.
pub fn kernel() -> String {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    release.unwrap_or_else(|_| "unknown".to_owned())
}

fn course_of(played: &Played) -> Course {
    let association = played.programs.client.as_ref().and_then(|client| client.associations.first());
    let zero = association
        .and_then(|association| association.sent.first().copied())
        .or_else(|| played.events.first().map(|event| event.at))
        .unwrap_or(0);
    let at = |time: Nanos| (ms_between(zero, time) * 1000.0).round() / 1000.0;
    let mut happenings: Vec<_> = played
        .events
        .iter()
        .map(|event| Happening {
            at_ms: at(event.at),
            host: event.host.to_owned(),
            kind: event.kind.to_owned(),
            what: event.what.clone(),
        })
        .collect();
    happenings.sort_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
    let messages = association.map(|association| {
        let echo = |index: usize| association.echoed.get(index).copied().flatten();
        let times = |(index, &sent): (usize, &Nanos)| MessageTimes {
            sent_ms: at(sent),
            echoed_ms: echo(index).map(at),
        };
        association.sent.iter().enumerate().map(times).collect()
    });
    let parts = parts(played);
    let end = played.windows.last().map_or(zero, |window| window.to);
    Course {
        happenings,
        messages: messages.unwrap_or_default(),
        outages: played
            .outages
            .iter()
            .map(|outage| (at(outage.from), at(outage.to.unwrap_or(end))))
            .collect(),
        parts,
    }
}

/// What the last handover's overhead is made of: what was seen on the wire from the moment at which both ends had
/// an address, until the first echo.
fn parts(played: &Played) -> Vec<(String, f64)> {
    let association = played.programs.client.as_ref().and_then(|client| client.associations.first());
    let (Some(association), Some(window)) = (association, played.windows.last()) else { return Vec::new() };
    let cost = measure::cost(*window, &played.outages, &arrivals(&association.echoed));
    let outage = played.outages.iter().rfind(|outage| outage.from >= window.from);
    let (Some(cost), Some(Some(mut last))) = (cost, outage.map(|outage| outage.to)) else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    let end = cost.silent_to;
    let seen = played
        .events
        .iter()
        .filter(|event| event.kind == "wire")
        .filter(|event| (last..end).contains(&event.at));
    for event in seen.collect::<Vec<_>>() {
        parts.push((format!("{}: {}", event.host, event.what), ms_between(last, event.at)));
        last = event.at;
    }
    parts.push(("the first echo".to_owned(), ms_between(last, end)));
    parts
}

/// The last lines of what registrar, daemons and programs said.
fn print_logs(directory: &Path, why: &str) {
    println!("  failed: {why}");
    for name in
        ["registrar.log", "liar.log", "roamd-A.log", "roamd-B.log", "client.log", "server.log", "spare.log"]
    {
        let Ok(text) = fs::read(directory.join(name)) else { continue };
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('{')).collect();
        if lines.is_empty() {
            continue;
        }
        println!("  --- {name}");
        for line in &lines[lines.len().saturating_sub(120)..] {
            println!("  {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(sent: u64, echoed: u64) -> Account {
        let zero = Some(0);
        let sound = Account {
            sent: Some(sent),
            echoed: Some(echoed),
            out_of_order: zero,
            duplicates: zero,
            lost: zero,
            ..Account::default()
        };
        Account { wrong: sound.fault(0), ..sound }
    }

    #[test]
    fn a_message_that_does_not_come_back_fails_the_run() {
        assert_eq!(account(5, 5).wrong, None);
        assert_eq!(account(5, 4).wrong.as_deref(), Some("4 of 5 messages came back"));
        let lost = Account { lost: Some(1), ..account(5, 5) };
        assert_eq!(lost.fault(0).as_deref(), Some("1 associations lost"));
        assert!(account(5, 5).fault(1).is_some());
    }

    #[test]
    fn rounds_add_up_and_one_that_fails_fails_all() {
        let both = account(5, 5).labelled("first").and(account(3, 2).labelled("second"));
        assert_eq!((both.sent, both.echoed), (Some(8), Some(7)));
        assert_eq!(both.wrong.as_deref(), Some("second: 2 of 3 messages came back"));
    }

    #[test]
    fn what_a_run_cannot_know_is_null_and_a_failed_run_says_why() {
        let scenario = super::super::find("simultaneous").unwrap();
        let result = Account::failed("no kernel".to_owned()).result(&scenario, &Options::default());
        assert!(!result.passed);
        let json = serde_json::to_value(&result).unwrap();
        assert!(json["sent"].is_null() && json["overhead_ms"].is_null());
        assert_eq!((&json["agent"], &json["why"]), (&"roam".into(), &"no kernel".into()));
    }
}
