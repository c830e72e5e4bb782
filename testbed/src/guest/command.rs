//! `roam-testbed guest`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{Options, Series};

/// The arguments of `guest`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Kernel series, such as 6.12 or 6.1
    #[arg(long, value_name = "SERIES", default_value_t)]
    pub kernel: Series,
    /// Directory that is /share in the guest and the only one that is written through
    #[arg(long, value_name = "DIRECTORY")]
    pub share: Option<PathBuf>,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub memory: u32,
    /// The longest that it may take, boot included, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub limit: u64,
    /// The command, run as root
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Runs the command in the guest. Its exit status is ours; 124 is the time limit.
///
/// # Errors
/// See [`super::run`].
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let options = Options {
        kernel: arguments.kernel.clone(),
        memory: arguments.memory,
        limit: Duration::from_secs(arguments.limit),
        share: arguments.share.clone(),
        ..Options::default()
    };
    let status = super::run(&options, &arguments.command)?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
