//! `roam-registrar`: an RSerPool registrar.

use clap::Parser;
use roam_registrar::cli::{Cli, Command, Options};
use roam_registrar::config::Config;
use roam_registrar::driver::{self, Drained, Server, fetch_dump, fetch_peers};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Each request takes and gives back several small pieces of memory, which this does in fewer steps than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type LogFilter = reload::Handle<EnvFilter, Registry>;

const FAILED: u8 = 1;
const CONFIGURATION: u8 = 2;
const TIMED_OUT: u8 = 3;
const NOT_RUNNING: u8 = 8;

fn main() -> ExitCode {
    let Cli { command, options, check_config } = Cli::parse();
    let config = match options.load() {
        Ok(config) => config,
        Err(error) => return fail(CONFIGURATION, &error),
    };
    let dir = &config.runtime_dir;
    match command {
        Some(Command::Dump { json }) => return show(dir, json, fetch_dump(dir)),
        Some(Command::Peers { json }) => return show(dir, json, fetch_peers(dir)),
        Some(Command::Monitor { json }) => return monitor(dir, json),
        Some(Command::Drain { timeout }) => return drain(dir, timeout),
        None => {}
    }
    if check_config {
        return ExitCode::SUCCESS;
    }
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&config.log));
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    match serve(config, options, handle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &error),
    }
}

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("roam-registrar: {error}");
    ExitCode::from(code)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config, options: Options, log: LogFilter) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangups = signal(SignalKind::hangup())?;
    let server = Server::bind(config)?;
    let names: Vec<_> = server.listening().iter().map(ToString::to_string).collect();
    tokio::spawn(reload(hangups, options, server.reloader(), log));
    // A reader that has gone is no reason to stop.
    let mut line = format!("listening on {} (SCTP)", names.join(", "));
    let tcp: Vec<_> = server.listening_tcp().iter().map(ToString::to_string).collect();
    if !tcp.is_empty() {
        line += &format!(", {} (TCP)", tcp.join(", "));
    }
    let _ = writeln!(io::stdout(), "{line}");
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

/// Reads the configuration again at each SIGHUP. One with a mistake changes nothing.
async fn reload(mut hangups: Signal, options: Options, reloader: driver::Reloader, log: LogFilter) {
    while hangups.recv().await.is_some() {
        match options.load() {
            Ok(config) => {
                if let Err(error) = log.reload(EnvFilter::new(&config.log)) {
                    tracing::warn!(%error, "what is logged could not be changed");
                }
                reloader.reload(config).await;
            }
            Err(error) => tracing::error!("{error}; the configuration is as before"),
        }
    }
}

/// Prints what happens until the registrar stops, or nobody reads it any more.
fn monitor(runtime_dir: &Path, json: bool) -> ExitCode {
    let happenings = match driver::monitor(runtime_dir) {
        Ok(happenings) => happenings,
        Err(error) => return no_answer(runtime_dir, &error),
    };
    for happening in happenings {
        let happening = match happening {
            Ok(happening) => happening,
            Err(error) => return no_answer(runtime_dir, &error),
        };
        let line = if json { serde_json::to_string(&happening) } else { Ok(happening.to_string()) };
        let line = match line {
            Ok(line) => line,
            Err(error) => return fail(FAILED, &error),
        };
        match writeln!(io::stdout(), "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => return fail(FAILED, &error),
            Ok(()) => {}
        }
    }
    fail(FAILED, &"the registrar tells no more: it has stopped, or its events were not read fast enough")
}

fn drain(runtime_dir: &Path, timeout: Duration) -> ExitCode {
    match driver::drain(runtime_dir, timeout) {
        Err(error) => no_answer(runtime_dir, &error),
        Ok(drained @ Drained::Refused { .. }) => fail(FAILED, &drained),
        Ok(drained @ Drained::TimedOut { .. }) => fail(TIMED_OUT, &drained),
        Ok(drained @ Drained::Done { .. }) => {
            let _ = writeln!(io::stdout(), "{drained}");
            ExitCode::SUCCESS
        }
    }
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
        // It answered, and says why not.
        io::ErrorKind::PermissionDenied => fail(FAILED, &format!("the registrar at {dir}: {error}")),
        _ => fail(FAILED, &format!("the registrar at {dir} does not answer: {error}")),
    }
}
