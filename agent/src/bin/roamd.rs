//! `roamd`: the mobility daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use roam_agent::config::Config;
use roam_agent::daemon::{self, StartError};
use roam_agent::journal::{Journal, cleanup};
use tracing_subscriber::EnvFilter;

/// Keeps the SCTP associations of this host's programs alive while the host changes networks.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file; without one, /etc/roam/agent.toml if it exists, else the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the control socket and the journal, in place of the configured one.
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
    /// Only check the configuration: exit status 0 or 2.
    #[arg(long)]
    check_config: bool,
    /// Only remove what a daemon that was killed has left on the host.
    #[arg(long, conflicts_with = "check_config")]
    cleanup: bool,
    /// What to log, as in `info,roam_agent::handover=debug`; RUST_LOG is looked at, too.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = match &arguments.log {
        Some(filter) => EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}")),
        None => EnvFilter::try_from_default_env()
            .or_else(|_| EnvFilter::try_new("info"))
            .map_err(|e| e.to_string()),
    };
    match filter {
        Ok(filter) => tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init(),
        Err(error) => {
            eprintln!("roamd: {error}");
            return ExitCode::from(2);
        }
    }
    let mut config = match Config::load_or_default(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("roamd: {error}");
            return ExitCode::from(2);
        }
    };
    if let Some(directory) = arguments.runtime_dir {
        config.agent.runtime_dir = directory;
    }
    if arguments.check_config {
        println!("the configuration is valid");
        return ExitCode::SUCCESS;
    }
    let result = if arguments.cleanup { clean(&config) } else { serve(config) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roamd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), StartError> {
    // Before there are other threads, which inherit it. A move that starts late is late by so much.
    if let Err(error) = rustix::process::setpriority_process(None, config.agent.nice) {
        tracing::info!(%error, nice = config.agent.nice, "keeps the priority that it was started with");
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(daemon::run(config))
}

fn clean(config: &Config) -> Result<(), StartError> {
    let journal = Journal::open(&config.agent.runtime_dir)?;
    let cleaned = cleanup(&journal);
    for what in &cleaned.undone {
        println!("undone: {what}");
    }
    for what in &cleaned.failed {
        eprintln!("roamd: left on the host: {what}");
    }
    if cleaned.failed.is_empty() {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("{} things could not be removed", cleaned.failed.len())).into())
    }
}
