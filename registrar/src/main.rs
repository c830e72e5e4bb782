//! `roam-registrar`: an RSerPool registrar.

use clap::{Parser, Subcommand};
use roam_registrar::config::{Config, listen_address};
use roam_registrar::driver::{Server, fetch_dump, fetch_peers};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// An RSerPool registrar: keeps pools of servers, tells who is in them, and tells subscribers at once what changes.
///
/// Exit status: 0 done, 1 failed, 2 usage or configuration, 8 the daemon is not running.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration; without it /etc/roam-registrar/registrar.toml if that is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and end
    #[arg(long)]
    check_config: bool,
    /// Listen here, not where the configuration says; may be given several times
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address)]
    listen: Vec<SocketAddr>,
    /// Where the control socket is
    #[arg(long, value_name = "DIR", global = true)]
    runtime_dir: Option<PathBuf>,
    /// What to log on stderr, as in RUST_LOG: error, warn, info, debug, trace
    #[arg(long, value_name = "FILTER", value_parser = |text: &str| EnvFilter::try_new(text))]
    log: Option<EnvFilter>,
}

#[derive(Subcommand)]
enum Command {
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
}

const FAILED: u8 = 1;
const CONFIGURATION: u8 = 2;
const NOT_RUNNING: u8 = 8;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut config = match Config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return fail(CONFIGURATION, &error),
    };
    if let Some(dir) = cli.runtime_dir {
        config.runtime_dir = dir;
    }
    if !cli.listen.is_empty() {
        config.listen = cli.listen;
    }
    let dir = &config.runtime_dir;
    match cli.command {
        Some(Command::Dump { json }) => return show(dir, json, fetch_dump(dir)),
        Some(Command::Peers { json }) => return show(dir, json, fetch_peers(dir)),
        None => {}
    }
    if cli.check_config {
        return ExitCode::SUCCESS;
    }
    let filter =
        cli.log.or_else(|| EnvFilter::try_from_default_env().ok()).unwrap_or_else(|| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("roam-registrar: {error}");
    ExitCode::from(code)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::bind(config)?;
    let names: Vec<_> = server.listening().iter().map(ToString::to_string).collect();
    // A reader that has gone is no reason to stop.
    let _ = writeln!(io::stdout(), "listening on {} (SCTP)", names.join(", "));
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server.run(stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Prints what a running registrar has answered.
fn show<T: Serialize + Display>(runtime_dir: &Path, json: bool, answer: io::Result<T>) -> ExitCode {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return no_answer(runtime_dir, &error),
    };
    let text = if json {
        serde_json::to_string_pretty(&answer).map(|text| text + "\n")
    } else {
        Ok(answer.to_string())
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => return fail(FAILED, &error),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(FAILED, &error),
        _ => ExitCode::SUCCESS,
    }
}

fn no_answer(runtime_dir: &Path, error: &io::Error) -> ExitCode {
    let dir = runtime_dir.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            fail(NOT_RUNNING, &format!("no registrar runs with the runtime directory {dir}"))
        }
        _ => fail(FAILED, &format!("the registrar at {dir} does not answer: {error}")),
    }
}
