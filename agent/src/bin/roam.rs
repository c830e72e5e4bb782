//! `roam`: shows and controls the mobility daemon `roamd`.
//!
//! Exit status: 0 done, 1 failed, 2 usage, 8 the daemon is not running, 10 not found.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use roam_agent::control::protocol::{Reply, Request, StreamEvent};
use roam_agent::control::{
    AddressReport, AssociationReport, AssociationState, Client, ClientError, FailureCode, StatusReport,
};

const DONE: u8 = 0;
const FAILED: u8 = 1;
const NOT_RUNNING: u8 = 8;
const NOT_FOUND: u8 = 10;

/// Shows and controls roamd, which keeps this host's SCTP associations alive while it changes networks.
#[derive(Debug, Parser)]
#[command(name = "roam", version, about)]
struct Arguments {
    /// The daemon's runtime directory, with its control socket.
    #[arg(long, global = true, value_name = "DIR", default_value = "/run/roam")]
    runtime_dir: PathBuf,
    /// Print JSON (docs of roam_agent::control::protocol) instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How the daemon is, and what is wrong.
    Status,
    /// The host's associations: how they stand, and why.
    Associations,
    /// The host's addresses: usable or not, and why.
    Addresses,
    /// The daemon's decisions as they are made, one line each with its cause.
    Monitor {
        /// Show this many earlier decisions first.
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        recent: usize,
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match run(&arguments) {
        Ok(()) => DONE,
        Err(Trouble::Daemon(error)) => {
            eprintln!("roam: {error}");
            match error {
                ClientError::NotRunning { .. } => NOT_RUNNING,
                ClientError::Refused(failure) if failure.code == FailureCode::NotFound => NOT_FOUND,
                _ => FAILED,
            }
        }
        // Who reads has had enough, as `head` does.
        Err(Trouble::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => DONE,
        Err(Trouble::Output(cause)) => {
            eprintln!("roam: standard output: {cause}");
            FAILED
        }
    };
    ExitCode::from(code)
}

enum Trouble {
    Daemon(ClientError),
    Output(io::Error),
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

fn run(arguments: &Arguments) -> Result<(), Trouble> {
    let mut client = Client::connect(&arguments.runtime_dir)?;
    let theirs = &client.hello().version;
    if theirs != env!("CARGO_PKG_VERSION") {
        eprintln!("roam: this is version {}, the daemon's is {theirs}", env!("CARGO_PKG_VERSION"));
    }
    let request = match &arguments.command {
        What::Status => Request::Status,
        What::Associations => Request::Associations,
        What::Addresses => Request::Addresses,
        What::Adopt { pid } => Request::Adopt { pid: *pid },
        What::Release { pid } => Request::Release { pid: *pid },
        What::Monitor { recent } => return monitor(client, *recent, arguments.json),
    };
    let reply = client.ask(request)?;
    let text = if arguments.json { json(&reply) } else { words(&reply) };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn monitor(client: Client, recent: usize, as_json: bool) -> Result<(), Trouble> {
    let mut written = Ok(());
    client.monitor(recent, |event| {
        let mut out = io::stdout().lock();
        written = match &event {
            event if as_json => {
                serde_json::to_string(event).map_err(io::Error::from).and_then(|line| writeln!(out, "{line}"))
            }
            StreamEvent::Decision(decision) => writeln!(out, "{decision}"),
            StreamEvent::Missed(count) => writeln!(out, "({count} decisions were too fast to be shown)"),
        };
        written.is_ok()
    })?;
    Ok(written?)
}

/// What the reply holds, without the envelope.
fn json(reply: &Reply) -> String {
    let text = match reply {
        Reply::Status(report) => serde_json::to_string_pretty(report),
        Reply::Associations(reports) => serde_json::to_string_pretty(reports),
        Reply::Addresses(reports) => serde_json::to_string_pretty(reports),
        Reply::Adopted(report) | Reply::Released(report) | Reply::HandedOver(report) => {
            serde_json::to_string_pretty(report)
        }
    };
    text.unwrap_or_default() + "\n"
}

fn words(reply: &Reply) -> String {
    match reply {
        Reply::Status(report) => status(report),
        Reply::Associations(reports) if reports.is_empty() => "no SCTP associations\n".to_owned(),
        Reply::Associations(reports) => table(
            &["PID", "PROGRAM", "PORTS", "STATE", "FOR", "LOCAL", "PEER", "WHY"],
            reports.iter().map(association),
        ),
        Reply::Addresses(reports) if reports.is_empty() => "no addresses\n".to_owned(),
        Reply::Addresses(reports) => {
            table(&["ADDRESS", "INTERFACE", "USABLE", "TABLE", "WHY"], reports.iter().map(address))
        }
        Reply::Adopted(report) | Reply::HandedOver(report) => {
            adoption("looked after from now on", report.pid, report.sockets, &report.left_out)
        }
        Reply::Released(report) => {
            adoption("left alone from now on", report.pid, report.sockets, &report.left_out)
        }
    }
}

fn adoption(what: &str, pid: i32, sockets: usize, left_out: &[String]) -> String {
    let plural = if sockets == 1 { "socket" } else { "sockets" };
    let mut text = format!("process {pid}: {sockets} SCTP {plural} {what}\n");
    for reason in left_out {
        text += &format!("  left out: {reason}\n");
    }
    text
}

fn status(report: &StatusReport) -> String {
    let StatusReport { settled, stranded, moving, unmanageable, .. } = report;
    let mut text = format!(
        "roamd {} (process {}), running for {}\n",
        report.version,
        report.pid,
        duration(report.uptime_ms)
    );
    text += &format!(
        "associations  {settled} settled, {moving} moving, {stranded} stranded, {unmanageable} unmanageable\n"
    );
    text += &format!("addresses     {} of {} usable", report.usable_addresses, report.addresses);
    if !report.held.is_empty() {
        text += &format!(", held: {}", list(&report.held));
    }
    text += &format!("\nregistrar     {}\n", report.registrar.as_deref().unwrap_or("none"));
    for element in &report.elements {
        let state = if element.registered { "registered" } else { "not registered" };
        let (handle, port, id) = (&element.handle, element.port, element.id);
        text += &format!("element       {handle} (port {port}, {id:#010x}): {state}");
        if !element.addresses.is_empty() {
            text += &format!(" at {}", list(&element.addresses));
        }
        text += &if element.why.is_empty() { "\n".to_owned() } else { format!(" ({})\n", element.why) };
    }
    let network = report.network;
    text += &format!("network       {} changes heard, {} overruns\n", network.events, network.overruns);
    for problem in &report.problems {
        text += &format!("problem       {problem}\n");
    }
    text
}

fn association(report: &AssociationReport) -> Vec<String> {
    let program = report.executable.as_ref().and_then(|path| path.file_name());
    let mut why = report.why.clone();
    if report.add_ip == Some(false) && report.state != AssociationState::Unmanageable {
        why += if why.is_empty() { "without Add-IP" } else { "; without Add-IP" };
    }
    vec![
        report.pid.to_string(),
        program.map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned()),
        format!("{}-{}", report.local_port, report.peer_port),
        report.state.to_string(),
        duration(report.in_state_ms),
        list(&report.local),
        list(&report.peer),
        why,
    ]
}

fn address(report: &AddressReport) -> Vec<String> {
    vec![
        format!("{}/{}", report.address, report.prefix),
        report.interface.clone(),
        if report.usable { "yes" } else { "no" }.to_owned(),
        report.table.map_or_else(|| "-".to_owned(), |table| table.to_string()),
        report.why.clone(),
    ]
}

fn list(addresses: &[std::net::IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The two largest units: `3h07m`, `41s`, `0.3s`.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Columns as wide as their longest entry; the last one is as long as it is.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = head.iter().map(|&name| name.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}
