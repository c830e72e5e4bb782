//! `roamd`: the mobility daemon.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use roam_agent::cli::RoamdArguments;
use roam_agent::config::{Loaded, Sources};
use roam_agent::daemon::{self, StartError};
use roam_agent::journal::{Journal, cleanup};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = RoamdArguments::parse();
    let filter = match &arguments.log {
        Some(filter) => EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}")),
        None => EnvFilter::try_from_default_env()
            .or_else(|_| EnvFilter::try_new("info"))
            .map_err(|e| e.to_string()),
    };
    match filter {
        Ok(filter) => roam_agent::log::start(filter),
        Err(error) => {
            eprintln!("roamd: {error}");
            return ExitCode::from(2);
        }
    }
    let sources = Sources::new(arguments.config, arguments.runtime_dir);
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("roamd: {error}");
            // A mistake that was made since the daemon started keeps nobody from taking away what that has left.
            if arguments.cleanup {
                return ended(clean(&sources.runtime_dir()));
            }
            return ExitCode::from(2);
        }
    };
    if arguments.check_config {
        let text =
            if arguments.effective { effective(&loaded) } else { "the configuration is valid\n".to_owned() };
        // A reader that has gone is no mistake of the configuration.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    ended(if arguments.cleanup { clean(&loaded.config.agent.runtime_dir) } else { serve(sources, loaded) })
}

fn ended(result: Result<(), StartError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("roamd: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

/// What holds, after the files that were read. As a whole it is TOML that says the same.
fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    for file in &loaded.files {
        text += &format!("# {}\n", file.display());
    }
    if loaded.files.is_empty() {
        text += "# no file: these are the defaults\n";
    }
    if loaded.config.manage.is_none() {
        text += "# no [[manage]]: every SCTP association of the host is looked after\n";
    }
    text + "\n" + &loaded.effective.to_string()
}

fn serve(sources: Sources, loaded: Loaded) -> Result<(), StartError> {
    let nice = loaded.config.agent.nice;
    // Before there are other threads, which inherit it. A move that starts late is late by so much.
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::info!(%error, nice, "keeps the priority that it was started with");
    }
    // Sockets are borrowed, and some are handed over: all the descriptors that there may be.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, all) {
        tracing::info!(%error, "keeps the limit of open files that it was started with");
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(daemon::run(sources, loaded))
}

fn clean(runtime_dir: &Path) -> Result<(), StartError> {
    let journal = Journal::open(runtime_dir)?;
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
