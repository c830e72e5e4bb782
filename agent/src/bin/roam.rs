//! `roam`: shows and controls the mobility daemon `roamd`.
//!
//! Exit status: 0 done, 1 failed, 2 usage or configuration, 3 timed out, 4 unhealthy, 8 the daemon is not running, 10
//! not found.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use roam_agent::cli::{self, RoamArguments, RoamCommand};
use roam_agent::control::protocol::{Reply, Request, StreamEvent};
use roam_agent::control::{Client, ClientError, Failure, FailureCode};
use roam_agent::debug_report;
use roam_agent::doctor::{diagnose, look};
use roam_agent::show;
use roam_agent::top::{Answers, Size, View};
use roam_agent::wait::{Conditions, Waited, wait};

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const TIMED_OUT: u8 = 3;
const UNHEALTHY: u8 = 4;
const NOT_RUNNING: u8 = 8;
const NOT_FOUND: u8 = 10;

/// Decisions that `roam top` looks through for those of associations, and shows as far as there is room.
const DECISIONS: usize = 500;

fn main() -> ExitCode {
    let arguments = RoamArguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads has had enough, as `head` does.
        Err(Trouble::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Trouble::Output(cause)) => {
            eprintln!("roam: standard output: {cause}");
            ExitCode::from(FAILED)
        }
        Err(Trouble::File(path, cause)) => {
            eprintln!("roam: {}: {cause}", path.display());
            ExitCode::from(FAILED)
        }
        Err(Trouble::Unhealthy) => ExitCode::from(UNHEALTHY),
        Err(Trouble::Daemon(error)) => {
            let (failure, code) = failure(error);
            if arguments.json {
                let _ = io::stdout().write_all(show::failure(&failure).as_bytes());
            }
            eprintln!("roam: {}", failure.message);
            ExitCode::from(code)
        }
        Err(Trouble::TimedOut(missing)) => {
            let text = format!("the time is over: {}", missing.join("; "));
            if arguments.json {
                let timed_out = Failure::new(FailureCode::TimedOut, text.clone());
                let _ = io::stdout().write_all(show::failure(&timed_out).as_bytes());
            }
            eprintln!("roam: {text}");
            ExitCode::from(TIMED_OUT)
        }
    }
}

/// What is said, and the exit status.
fn failure(error: ClientError) -> (Failure, u8) {
    match error {
        ClientError::Refused(failure) => {
            let code = match failure.code {
                FailureCode::NotFound => NOT_FOUND,
                FailureCode::Configuration => USAGE,
                _ => FAILED,
            };
            (failure, code)
        }
        ClientError::NotRunning { .. } => {
            (Failure::new(FailureCode::NotRunning, error.to_string()), NOT_RUNNING)
        }
        ClientError::Io(_) | ClientError::Protocol(_) => {
            (Failure::new(FailureCode::Failed, error.to_string()), FAILED)
        }
    }
}

enum Trouble {
    Daemon(ClientError),
    Output(io::Error),
    File(PathBuf, io::Error),
    TimedOut(Vec<String>),
    /// It has been said what.
    Unhealthy,
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Daemon(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Self {
        Self::Output(cause)
    }
}

fn run(arguments: &RoamArguments) -> Result<(), Trouble> {
    let request = match &arguments.command {
        RoamCommand::Status { .. } => Request::Status,
        RoamCommand::Associations => Request::Associations,
        RoamCommand::Addresses => Request::Addresses,
        RoamCommand::Pools => Request::Pools,
        RoamCommand::Top { interval, once } => return top(arguments, *interval, *once),
        RoamCommand::Metrics => return metrics(connect(arguments)?),
        RoamCommand::Explain { target, last } => Request::Explain { target: *target, last: *last },
        RoamCommand::Adopt { pid } => Request::Adopt { pid: *pid },
        RoamCommand::Release { pid } => Request::Release { pid: *pid },
        RoamCommand::Reload { drop } => Request::Reload { drop: *drop },
        RoamCommand::Monitor { recent } => return monitor(connect(arguments)?, *recent, arguments.json),
        RoamCommand::Doctor { config } => return doctor(arguments, config.clone()),
        RoamCommand::DebugReport { output, config } => {
            return debug_report(arguments, output, config.clone());
        }
        RoamCommand::Completions { shell, program } => {
            let mut text = Vec::new();
            cli::completions(*program, *shell, &mut text);
            return Ok(io::stdout().write_all(&text)?);
        }
        RoamCommand::Man { directory } => {
            let written = cli::write_man_pages(directory);
            written.map_err(|cause| Trouble::File(directory.clone(), cause))?;
            return Ok(());
        }
        RoamCommand::Wait { paths, registered, settled, timeout } => {
            let paths = paths.unwrap_or_default();
            let conditions = Conditions { paths, registered: *registered, settled: *settled };
            return wait_for(arguments, conditions, *timeout);
        }
    };
    let reply = connect(arguments)?.ask(request)?;
    print(&reply, arguments.json)?;
    match (&arguments.command, &reply) {
        (RoamCommand::Status { check: true }, Reply::Status(status)) if !status.healthy() => {
            Err(Trouble::Unhealthy)
        }
        _ => Ok(()),
    }
}

fn connect(arguments: &RoamArguments) -> Result<Client, ClientError> {
    let client = Client::connect(&arguments.runtime_dir)?;
    let theirs = &client.hello().version;
    if theirs != env!("CARGO_PKG_VERSION") {
        eprintln!("roam: this is version {}, the daemon's is {theirs}", env!("CARGO_PKG_VERSION"));
    }
    Ok(client)
}

fn print(reply: &Reply, as_json: bool) -> io::Result<()> {
    let text = if as_json { show::document(reply) } else { show::words(reply) };
    io::stdout().write_all(text.as_bytes())
}

fn monitor(client: Client, recent: usize, as_json: bool) -> Result<(), Trouble> {
    let mut written = Ok(());
    client.monitor(recent, |event| {
        let text = match &event {
            event if as_json => show::event(event),
            StreamEvent::Decision(decision) => show::plain(&decision.to_string()) + "\n",
            StreamEvent::Missed(count) => format!("({count} decisions were too fast to be shown)\n"),
        };
        written = io::stdout().lock().write_all(text.as_bytes());
        written.is_ok()
    })?;
    Ok(written?)
}

/// Draws again and again; who has had enough interrupts it.
#[expect(clippy::disallowed_methods, reason = "the time from one picture to the next")]
fn top(arguments: &RoamArguments, interval: Duration, once: bool) -> Result<(), Trouble> {
    let out = io::stdout();
    let once = once || !out.is_terminal();
    // A daemon that is asked without pause does nothing else.
    let interval = interval.max(Duration::from_millis(100));
    loop {
        let text = picture(connect(arguments)?, once)?;
        let mut out = out.lock();
        if !once {
            // The upper left corner, and nothing else on the screen.
            out.write_all(b"\x1b[H\x1b[2J")?;
        }
        out.write_all(text.as_bytes())?;
        out.flush()?;
        drop(out);
        if once {
            return Ok(());
        }
        std::thread::sleep(interval);
    }
}

fn picture(mut client: Client, whole: bool) -> Result<String, Trouble> {
    let answers = (
        client.ask(Request::Status)?,
        client.ask(Request::Associations)?,
        client.ask(Request::Addresses)?,
        client.ask(Request::Decisions { last: DECISIONS })?,
    );
    let (
        Reply::Status(status),
        Reply::Associations(associations),
        Reply::Addresses(addresses),
        Reply::Decisions(decisions),
    ) = answers
    else {
        return Err(unexpected());
    };
    let answers = Answers {
        status: &status,
        associations: &associations,
        addresses: &addresses,
        decisions: &decisions,
    };
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|_| !whole).map(|it| Size {
        columns: it.ws_col.into(),
        // The cursor is in the last one.
        rows: usize::from(it.ws_row).saturating_sub(1),
    });
    let colours = !whole && std::env::var_os("NO_COLOR").is_none();
    Ok(View::of(answers).draw(size, colours))
}

fn unexpected() -> Trouble {
    let what = "roamd has answered something else than what it was asked";
    io::Error::new(io::ErrorKind::InvalidData, what).into()
}

fn metrics(mut client: Client) -> Result<(), Trouble> {
    let (status, associations) = (client.ask(Request::Status)?, client.ask(Request::Associations)?);
    let (Reply::Status(status), Reply::Associations(associations)) = (status, associations) else {
        return Err(unexpected());
    };
    Ok(io::stdout().write_all(roam_agent::metrics::text(&status, &associations).as_bytes())?)
}

fn doctor(arguments: &RoamArguments, config: Option<PathBuf>) -> Result<(), Trouble> {
    let diagnosis = diagnose(&look(&arguments.runtime_dir, config));
    let text = match arguments.json {
        true => show::pretty(&show::versioned("checks", &diagnosis)),
        false => diagnosis.to_string(),
    };
    io::stdout().write_all(text.as_bytes())?;
    if diagnosis.failures > 0 { Err(Trouble::Unhealthy) } else { Ok(()) }
}

fn debug_report(arguments: &RoamArguments, output: &Path, config: Option<PathBuf>) -> Result<(), Trouble> {
    let report = debug_report::gather(&arguments.runtime_dir, config);
    let text = show::pretty(&show::versioned("report", &report));
    if output == Path::new("-") {
        return Ok(io::stdout().write_all(text.as_bytes())?);
    }
    // Addresses and programs of this host are nobody else's business.
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(output);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|cause| Trouble::File(output.to_owned(), cause))?;
    match arguments.json {
        true => io::stdout().write_all(show::pretty(&show::versioned("file", &output)).as_bytes())?,
        false => writeln!(io::stdout(), "{}: look through it before you pass it on", output.display())?,
    }
    Ok(())
}

fn wait_for(arguments: &RoamArguments, conditions: Conditions, timeout: Duration) -> Result<(), Trouble> {
    match wait(&arguments.runtime_dir, conditions, timeout)? {
        Waited::Holds(status) if arguments.json => Ok(print(&Reply::Status(status), true)?),
        Waited::Holds(_) => Ok(()),
        Waited::TimedOut(missing) => Err(Trouble::TimedOut(missing)),
    }
}
