//! `roam-testbed bench`: figures of ours beside those of somebody else, taken in the same run.

pub mod agent;
mod reaction;
pub mod registrar;
mod session;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::guest;
use crate::scenario::command::{stop_on_signals, write_json};

/// The arguments of `bench`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Names of benches, or `all`, which is also what is meant without any
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Kernel series of the guest, such as 6.12 or 6.1
    #[arg(long, value_name = "SERIES")]
    pub kernel: Option<String>,
    /// Round trip between the hosts, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20.0)]
    pub rtt: f64,
    /// Write the figures here: a list, one object a bench
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// In the guest, time is the number of instructions: the same figures however busy this machine is, with one processor
    #[arg(long, conflicts_with = "native")]
    pub by_instructions: bool,
    /// Run right here; needs root and a kernel with SCTP
    #[arg(long, conflicts_with = "guest")]
    pub native: bool,
    /// Run in the guest even where the kernel has SCTP
    #[arg(long)]
    pub guest: bool,
}

/// One comparison. What could not be measured is `None` (null).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The bench's name.
    pub name: String,
    /// Of what the figures are so many.
    pub unit: String,
    /// Our figure.
    pub ours: Option<f64>,
    /// Whom it is compared with.
    pub peer_name: String,
    /// Their figure.
    pub peer: Option<f64>,
    /// How many times better ours is; above 1 where it is better, whatever the unit.
    pub ratio: Option<f64>,
}

/// Which figure is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Lower,
    Higher,
}

impl Figure {
    fn compare(
        name: String,
        unit: &str,
        better: Better,
        ours: Option<f64>,
        peer_name: &str,
        peer: Option<f64>,
    ) -> Self {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        let (above, below) = match better {
            Better::Lower => (peer, ours),
            Better::Higher => (ours, peer),
        };
        let ratio = above.zip(below).filter(|(_, below)| *below > 0.0).map(|(above, below)| above / below);
        Self {
            name,
            unit: unit.to_owned(),
            ours: ours.map(rounded),
            peer_name: peer_name.to_owned(),
            peer: peer.map(rounded),
            ratio: ratio.map(rounded),
        }
    }
}

/// Ours and the peer's.
type Pair = (Option<f64>, Option<f64>);

struct Bench {
    name: &'static str,
    /// What is measured, in a sentence.
    what: &'static str,
    /// Programs that have to be there before the guest is started, each with its package.
    needed: &'static [(&'static str, &'static str)],
    /// The same of programs without which it measures less, and says so.
    wished: &'static [(&'static str, &'static str)],
    kind: Kind,
}

enum Kind {
    /// One figure, which goes by the bench's name; lower is better.
    Pair {
        unit: &'static str,
        /// Whom ours is compared with.
        peer: &'static str,
        measure: fn(rtt_ms: f64) -> Result<Pair>,
    },
    /// Several, told and printed as they come.
    Several(fn(&mut (dyn FnMut(Figure) -> Result<()> + Send)) -> Result<()>),
}

const BENCHES: &[Bench] = &[
    Bench {
        name: "reaction",
        what: "From the new address of a stranded host to the first ASCONF on the wire: a program bound to one \
               address with Roam, beside one bound to all with the kernel's auto-ASCONF, which does nothing for \
               the other kind.",
        needed: &[],
        wished: &[],
        kind: Kind::Pair { unit: "ms", peer: "Linux auto-ASCONF", measure: reaction::stranded },
    },
    Bench {
        name: "reaction-wildcard",
        what: "The same, with programs bound to all addresses on both sides of the comparison.",
        needed: &[],
        wished: &[],
        kind: Kind::Pair { unit: "ms", peer: "Linux auto-ASCONF", measure: reaction::stranded_wildcard },
    },
    Bench {
        name: "reaction-second-address",
        what: "From a second address, the first one still being there, to the first ASCONF on the wire; programs \
               bound to all addresses.",
        needed: &[],
        wished: &[],
        kind: Kind::Pair { unit: "ms", peer: "Linux auto-ASCONF", measure: reaction::second_address },
    },
    Bench {
        name: "agent-reaction",
        what: "From the call that gives a host without any address its new one to the first packet that tells the peer, a \
               hundred times each in turns: an idle association with Roam, one bound to all addresses with the kernel's \
               auto-ASCONF, and an idle connection of MPTCP with mptcpd. Call and packet are of one host and one clock.",
        needed: &[],
        wished: &[agent::MPTCPD, agent::MPTCPD_PLUGIN],
        kind: Kind::Several(agent::reaction),
    },
    Bench {
        name: "agent-crowd",
        what: "1,000 associations of 100 programs: roamd's processor time for a move of each, beside one alone; what they \
               take while nothing happens; and how soon a new one is looked after.",
        needed: &[],
        wished: &[],
        kind: Kind::Several(agent::crowd),
    },
    Bench {
        name: "registrar-rates",
        what: "Resolutions and registrations per second of roam-registrar and of rsplib's rspregistrar, by the number \
               of associations, each of which waits for its answer before it asks again; and of a server that only \
               echoes. `of need`: in parts of 2 times rsplib or 0.9 times the echo, whichever is less.",
        needed: &[registrar::RSPLIB],
        wished: &[],
        kind: Kind::Several(registrar::rates),
    },
    Bench {
        name: "registrar-rates-buffers",
        what: "The same with the sysctl net.sctp.sndbuf_policy=1, for all three servers: each association of a socket has a \
               send buffer of its own, and when a peer acknowledges something the kernel looks after that one alone.",
        needed: &[registrar::RSPLIB],
        wished: &[],
        kind: Kind::Several(registrar::rates_with_buffers),
    },
    Bench {
        name: "registrar-scale",
        what: "100,000 elements: how soon a second registrar has them, memory, and the cost of keep-alives.",
        needed: &[registrar::RSPLIB],
        wished: &[],
        kind: Kind::Several(registrar::scale),
    },
    Bench {
        name: "registrar-storm",
        what: "Elements with keep-alives each 2 s, and registrations, while 64 associations ask 32 questions at a time and \
               another one asks and never reads.",
        needed: &[registrar::RSPLIB],
        wished: &[],
        kind: Kind::Several(registrar::storm),
    },
    Bench {
        name: "session",
        what: "What the session layer costs for messages of 1 KiB: a user's session with a service, beside programs that \
               use SCTP by themselves, with the same load in turns.",
        needed: &[],
        wished: &[],
        kind: Kind::Several(session::measure),
    },
];

impl Arguments {
    fn benches(&self) -> Result<Vec<&'static Bench>> {
        if !(self.rtt.is_finite() && (0.0..=10_000.0).contains(&self.rtt)) {
            bail!("--rtt {}: 0 to 10000 milliseconds are possible", self.rtt);
        }
        if self.names.is_empty() || self.names.iter().any(|name| name == "all") {
            return Ok(BENCHES.iter().collect());
        }
        let mut found = Vec::new();
        for name in &self.names {
            let before = found.len();
            // A name by itself, or else the beginning of several.
            let exact = BENCHES.iter().any(|bench| bench.name == name);
            let part = |bench: &&Bench| {
                !exact && bench.name.strip_prefix(name.as_str()).is_some_and(|r| r.starts_with('-'))
            };
            found.extend(BENCHES.iter().filter(|bench| bench.name == name || part(bench)));
            if found.len() == before {
                let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
                bail!("no bench is called {name}; there are {}", names.join(", "));
            }
        }
        Ok(found)
    }

    fn inside(&self, json: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["bench".into()];
        words.extend(self.names.iter().map(OsString::from));
        words.extend(["--native".into(), "--rtt".into(), self.rtt.to_string().into()]);
        words.extend(["--json".into(), json.into()]);
        words
    }
}

/// Measures and prints what came of it: here where the kernel has SCTP and we are root, else in the guest.
///
/// # Errors
/// A name that no bench has, no guest, or interrupted. What could not be measured is an exit status.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let benches = arguments.benches()?;
    let needed: Vec<_> = benches.iter().flat_map(|bench| bench.needed.iter().copied()).collect();
    guest::require(&needed)?;
    let wished: Vec<_> = benches.iter().flat_map(|bench| bench.wished.iter().copied()).collect();
    if let Err(error) = guest::require(&wished) {
        eprintln!("testbed: {error:#}");
    }
    let in_any_case = arguments.guest || arguments.by_instructions || arguments.kernel.is_some();
    let here = arguments.native || (!in_any_case && guest::native());
    if !here {
        return in_guest(arguments, benches.len());
    }
    stop_on_signals()?;
    let mut figures = Vec::new();
    for bench in benches {
        println!("{}: {}", bench.name, bench.what);
        // What is there is kept, whatever the next one brings.
        let mut keep = |figure| {
            figures.push(figure);
            arguments.json.as_ref().map_or(Ok(()), |file| write_json(file, &figures))
        };
        match &bench.kind {
            Kind::Pair { unit, peer, measure } => {
                let (ours, theirs) = measure(arguments.rtt)?;
                let name = bench.name.to_owned();
                let figure = Figure::compare(name, unit, Better::Lower, ours, peer, theirs);
                println!("  {}", words(&figure));
                keep(figure)?;
            }
            Kind::Several(measure) => measure(&mut keep)?,
        }
    }
    let whole = figures.iter().all(|figure| figure.ours.is_some());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn in_guest(arguments: &Arguments, count: usize) -> Result<ExitCode> {
    let share = tempfile::tempdir()?;
    let by_instructions = arguments.by_instructions;
    let share_path = Some(share.path().to_owned());
    let mut options = guest::Options { share: share_path, by_instructions, ..guest::Options::default() };
    if let Some(kernel) = &arguments.kernel {
        options.kernel = kernel.parse().map_err(|error| anyhow::anyhow!("--kernel {kernel}: {error}"))?;
    }
    // Far more than any needs on a machine that does nothing else.
    options.limit = Duration::from_secs(120 + 1500 * count as u64);
    let status = guest::run_self(&options, &arguments.inside(Path::new("/share/bench.json")))?;
    if let Some(file) = &arguments.json {
        let Ok(bytes) = fs::read(share.path().join("bench.json")) else {
            bail!("the guest measured nothing (exit status {status})");
        };
        let figures: Vec<Figure> = serde_json::from_slice(&bytes).context("what the guest wrote")?;
        write_json(file, &figures)?;
    }
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

fn words(figure: &Figure) -> String {
    let value = |value: Option<f64>| {
        value.map_or_else(|| "not measured".to_owned(), |value| format!("{value} {}", figure.unit))
    };
    let times = figure.ratio.map(|ratio| format!("; {ratio} times better")).unwrap_or_default();
    format!("Roam {}, {} {}{times}", value(figure.ours), figure.peer_name, value(figure.peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(names: &[&str]) -> Arguments {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Arguments {
            names,
            kernel: None,
            rtt: 20.0,
            json: None,
            by_instructions: false,
            native: false,
            guest: false,
        }
    }

    fn figure(better: Better, ours: Option<f64>, peer: Option<f64>) -> Figure {
        Figure::compare("name".to_owned(), "ms", better, ours, "peer", peer)
    }

    #[test]
    fn a_ratio_above_one_says_that_ours_is_better() {
        assert_eq!(figure(Better::Lower, Some(4.0), Some(500.0)).ratio, Some(125.0));
        assert_eq!(figure(Better::Lower, Some(4.0), Some(2.0)).ratio, Some(0.5));
        assert_eq!(figure(Better::Higher, Some(4.0), Some(2.0)).ratio, Some(2.0));
    }

    #[test]
    fn what_could_not_be_measured_is_null_and_has_no_ratio() {
        let figure = serde_json::to_value(figure(Better::Lower, None, Some(500.0))).unwrap();
        assert!(figure["ours"].is_null() && figure["ratio"].is_null());
        assert_eq!(figure["peer"], 500.0);
    }

    #[test]
    fn the_beginning_of_several_names_means_all_of_them_unless_it_is_one_itself() {
        assert_eq!(arguments(&["registrar"]).benches().unwrap().len(), 4);
        assert_eq!(arguments(&["registrar-rates"]).benches().unwrap().len(), 1);
        assert_eq!(arguments(&["reaction"]).benches().unwrap().len(), 1);
        assert!(arguments(&["regis"]).benches().is_err());
    }

    #[test]
    fn the_first_bench_is_the_reaction_and_without_a_name_all_are_meant() {
        let all = arguments(&[]).benches().unwrap();
        assert_eq!((all.len(), all[0].name), (BENCHES.len(), "reaction"));
        assert_eq!(arguments(&["reaction-wildcard"]).benches().unwrap().len(), 1);
    }

    #[test]
    fn a_bench_that_does_not_exist_is_named_with_those_that_do() {
        let error = arguments(&["no-such"]).benches().err().unwrap().to_string();
        assert!(error.contains("no-such") && error.contains("reaction"));
    }
}
