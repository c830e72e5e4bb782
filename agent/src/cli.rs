//! What can be said on the command lines of `roamd` and `roam`. Completions and man pages are made from the same.

pub mod manual;
mod pages;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::control::Target;

pub use self::pages::{completions, write_man_pages};

/// Keeps the SCTP associations of this host's programs alive while the host changes networks.
#[derive(Debug, Parser)]
#[command(name = "roamd", version, about)]
pub struct RoamdArguments {
    /// The configuration file; without one, /etc/roam/agent.toml if it exists. Then FILE.d/*.toml (`agent.d` for
    /// `agent.toml`) are read, too.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the control socket and the journal, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,
    /// Only check the configuration: exit status 0 or 2.
    #[arg(long)]
    pub check_config: bool,
    /// With --check-config: print every value that holds, and where it was said.
    #[arg(long, requires = "check_config")]
    pub effective: bool,
    /// Only remove what a daemon that was killed has left on the host.
    #[arg(long, conflicts_with = "check_config")]
    pub cleanup: bool,
    /// What to log, as in `info,roam_agent::handover=debug`; RUST_LOG is looked at, too.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// Shows and controls roamd, which keeps this host's SCTP associations alive while it changes networks.
#[derive(Debug, Parser)]
#[command(name = "roam", version, about, after_help = EXIT_STATUS)]
pub struct RoamArguments {
    /// The daemon's runtime directory, with its control socket.
    #[arg(long, global = true, value_name = "DIR", default_value = "/run/roam")]
    pub runtime_dir: PathBuf,
    /// Print JSON instead of text: one document, with the version of its schema (JSON.md of the package tells all).
    #[arg(long, global = true)]
    pub json: bool,
    /// What to show or to do.
    #[command(subcommand)]
    pub command: RoamCommand,
}

const EXIT_STATUS: &str = "Exit status: 0 done, 1 failed, 2 usage or configuration, 3 timed out, 4 unhealthy, \
                           8 the daemon is not running, 10 not found.";

/// The commands of `roam`.
#[derive(Debug, Subcommand)]
pub enum RoamCommand {
    /// How the daemon is, and what is wrong.
    Status {
        /// Exit with 4 if anything is wrong: a problem, an association that is stranded or cannot be managed, an element
        /// that is not registered though its program listens.
        #[arg(long)]
        check: bool,
    },
    /// The host's associations: how they stand, and why.
    Associations,
    /// The host's addresses: usable or not, and why.
    Addresses,
    /// The host's pool elements, and where its peers are.
    Pools,
    /// How the daemon and its associations are, in OpenMetrics' text format, for a collector. `--json` changes nothing.
    Metrics,
    /// Why an address or an association is, or is not, used: the last decisions with their causes.
    Explain {
        /// An address, or an association as PID:PORT-PORT, PORT-PORT (own port first) or PID.
        #[arg(value_name = "ADDRESS|ASSOCIATION")]
        target: Target,
        /// Show this many decisions.
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        last: usize,
    },
    /// The daemon's decisions as they are made, one line each with its cause.
    Monitor {
        /// Show this many earlier decisions first.
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        recent: usize,
    },
    /// Associations, addresses and decisions, drawn again and again until it is interrupted; once, if the output is no
    /// terminal. `--json` changes nothing.
    Top {
        /// From one picture to the next: a number with its unit, as 500ms, 2s.
        #[arg(long, short, value_name = "TIME", default_value = "1s", value_parser = duration)]
        interval: Duration,
        /// Draw it once, whole.
        #[arg(long)]
        once: bool,
    },
    /// Wait until the daemon answers and all that is asked for holds; exit with 3 when the time is over.
    Wait {
        /// At least this many of the host's addresses are usable.
        #[arg(long, value_name = "COUNT")]
        paths: Option<usize>,
        /// Every pool element of the host is registered.
        #[arg(long)]
        registered: bool,
        /// No association is stranded or being moved.
        #[arg(long)]
        settled: bool,
        /// For this long: a number with its unit, as 500ms, 30s, 2m.
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
        timeout: Duration,
    },
    /// Check what keeps associations from being moved, each check with what mends it; exit with 4 if one fails. Works
    /// without the daemon, too.
    Doctor {
        /// The configuration file, where the daemon does not run and so cannot tell.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Write down all that helps to understand what went wrong on this host: what the daemon and the host's tools say, and
    /// the doctor's checks, as JSON. Without environments and command lines of programs.
    DebugReport {
        /// The file, which must not exist yet; `-` is the standard output.
        #[arg(long, short, value_name = "FILE", default_value = "roam-debug-report.json")]
        output: PathBuf,
        /// The configuration file, where the daemon does not run and so cannot tell.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Have the daemon look after the SCTP sockets of a process.
    Adopt {
        /// The process.
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        pid: i32,
    },
    /// Have the daemon leave the SCTP sockets of a process alone.
    Release {
        /// The process.
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        pid: i32,
    },
    /// Have the daemon read its configuration again; shows what differs. A mistake changes nothing, and exits with 2.
    Reload {
        /// Also if associations are left alone then, or lose their last usable address.
        #[arg(long)]
        drop: bool,
    },
    /// Print the completions of roam, or of roamd, for a shell.
    #[command(hide = true)]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
        /// Of which program.
        #[arg(default_value = "roam")]
        program: Program,
    },
    /// Write the man pages roam(1), roamd(8) and agent.toml(5).
    #[command(hide = true)]
    Man {
        /// Where to.
        directory: PathBuf,
    },
}

/// One of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// `roam`
    Roam,
    /// `roamd`
    Roamd,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = crate::config::parse_duration(text);
    parsed.ok_or_else(|| "a number with a unit (ms, s, m, h), as 500ms or 1m30s".to_owned())
}
