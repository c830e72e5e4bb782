//! What can be said on the command line. The man page and completions are made from the same.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, duration_between, listen_address};

/// The man pages: name of the file, and the prose, which names what is to be made from the definitions.
pub const PAGES: [(&str, &str); 2] = [
    ("roam-registrar.8", include_str!("../man/roam-registrar.8")),
    ("registrar.toml.5", include_str!("../man/registrar.toml.5")),
];

/// The configuration as it is shipped: every key, with its default.
pub const SHIPPED: &str = include_str!("../registrar.toml");

/// An RSerPool registrar: keeps pools of servers, tells who is in them, and tells subscribers at once what changes.
///
/// On SIGTERM and SIGINT it stops at once: see `drain` for how to stop without any takeover. On SIGHUP it reads its
/// configuration again.
///
/// Exit status: 0 done, 1 failed, 2 usage or configuration, 3 timed out, 8 the daemon is not running.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    /// What to ask a running registrar; `None`: be one.
    pub command: Option<Command>,
    #[command(flatten)]
    /// How the configuration is to be read.
    pub options: Options,
    /// Check the configuration and end
    #[arg(long)]
    pub check_config: bool,
}

/// What says how the configuration is to be read.
#[derive(Debug, Args, Clone)]
pub struct Options {
    /// The configuration; without it /etc/roam-registrar/registrar.toml if that is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here, not where the configuration says; may be given several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address)]
    pub listen: Vec<SocketAddr>,
    /// Where the control socket is
    #[arg(long, value_name = "DIR", global = true)]
    pub runtime_dir: Option<PathBuf>,
    /// What to log on stderr, as in RUST_LOG, which counts too: error, warn, info, debug, trace
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    pub log: Option<String>,
}

/// What is asked of a running registrar.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what a running registrar knows
    Dump {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the other registrars that a running one knows
    Peers {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what happens at a running registrar, a line each, as it happens
    Monitor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a running registrar hand its pool elements to others, and stop
    ///
    /// It stops when all have another home, or when the time is over (exit status 3): what is left then is taken over
    /// by the others as that of a dead registrar is. Without another registrar it does not stop (exit status 1).
    Drain {
        /// How long it may take, 1s to 24h
        #[arg(long, value_name = "TIME", default_value = "1m", value_parser = drain_time)]
        timeout: Duration,
    },
}

fn drain_time(text: &str) -> Result<Duration, String> {
    duration_between(text, Duration::from_secs(1), Duration::from_secs(86_400))
}

/// A filter for the log, as it was written.
fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Options {
    /// The configuration: the file, and what the command line says instead.
    ///
    /// # Errors
    /// The file cannot be read, or has a mistake.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(dir) = &self.runtime_dir {
            config.runtime_dir.clone_from(dir);
        }
        if !self.listen.is_empty() {
            config.listen.clone_from(&self.listen);
        }
        if let Some(log) = &self.log {
            config.log.clone_from(log);
        } else if let Ok(log) = std::env::var(EnvFilter::DEFAULT_ENV)
            && filter(&log).is_ok()
        {
            config.log = log;
        }
        Ok(config)
    }
}
