//! What can be said on the command lines of `roamd` and `roam`. Completions and man pages are made from the same.

use std::path::PathBuf;

use clap::Parser;

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
