//! Tables and sentences.

use std::net::IpAddr;

use super::plain;
use crate::control::{
    AddressReport, AssociationReport, AssociationState, ElementReport, ExplainReport, PoolsReport,
    ReloadReport, Reply, StatusReport,
};

const ASSOCIATIONS: [&str; 8] = ["PID", "PROGRAM", "PORTS", "STATE", "FOR", "LOCAL", "PEER", "WHY"];
const ADDRESSES: [&str; 5] = ["ADDRESS", "INTERFACE", "USABLE", "TABLE", "WHY"];

/// A reply for people.
pub fn words(reply: &Reply) -> String {
    match reply {
        Reply::Status(report) => status(report),
        Reply::Associations(reports) if reports.is_empty() => "no SCTP associations\n".to_owned(),
        Reply::Associations(reports) => table(&ASSOCIATIONS, reports.iter().map(association)),
        Reply::Addresses(reports) if reports.is_empty() => "no addresses\n".to_owned(),
        Reply::Addresses(reports) => table(&ADDRESSES, reports.iter().map(address)),
        Reply::Adopted(report) | Reply::HandedOver(report) => {
            adoption("looked after from now on", report.pid, report.sockets, &report.left_out)
        }
        Reply::Released(report) => {
            adoption("left alone from now on", report.pid, report.sockets, &report.left_out)
        }
        Reply::Pools(report) => pools(report),
        Reply::Explained(report) => explained(report),
        Reply::Reloaded(report) => reloaded(report),
        Reply::Decisions(decisions) => {
            decisions.iter().map(|decision| plain(&decision.to_string()) + "\n").collect()
        }
        Reply::Configuration(report) => {
            let line =
                |it: &crate::control::SettingReport| format!("{} = {}  # {}\n", it.key, it.value, it.origin);
            report.settings.iter().map(line).collect()
        }
    }
}

fn adoption(what: &str, pid: i32, sockets: usize, left_out: &[String]) -> String {
    let plural = if sockets == 1 { "socket" } else { "sockets" };
    let mut text = format!("process {pid}: {sockets} SCTP {plural} {what}\n");
    for reason in left_out {
        text += &format!("  left out: {}\n", plain(reason));
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
    for it in &report.elements {
        text += &element(it);
    }
    let network = report.network;
    text += &format!("network       {} changes heard, {} overruns\n", network.events, network.overruns);
    for problem in &report.problems {
        text += &format!("problem       {}\n", plain(problem));
    }
    text
}

fn element(report: &ElementReport) -> String {
    let state = if report.registered { "registered" } else { "not registered" };
    let (handle, port, id) = (plain(&report.handle), report.port, report.id);
    let mut text = format!("element       {handle} (port {port}, {id:#010x}): {state}");
    if !report.addresses.is_empty() {
        text += &format!(" at {}", list(&report.addresses));
    }
    text + &if report.why.is_empty() { "\n".to_owned() } else { format!(" ({})\n", plain(&report.why)) }
}

fn pools(report: &PoolsReport) -> String {
    let mut text = format!("registrar     {}\n", report.registrar.as_deref().unwrap_or("none"));
    text.extend(report.elements.iter().map(element));
    for peer in &report.peers {
        let port = peer.port.map_or_else(String::new, |port| format!(" (port {port})"));
        let place = match (peer.known, peer.addresses.is_empty()) {
            (false, _) => "the registrar has not told yet".to_owned(),
            (true, true) => "nobody is registered".to_owned(),
            (true, false) => format!("at {}", list(&peer.addresses)),
        };
        text += &format!("peer          {}{port}: {place}\n", plain(&peer.handle));
    }
    text
}

fn explained(report: &ExplainReport) -> String {
    let mut text = format!("{}: {}\n", report.target, plain(&report.why));
    if !report.addresses.is_empty() {
        let rows = report.addresses.iter().map(address);
        text += &format!("\n{}", table(&ADDRESSES, rows));
    }
    if !report.associations.is_empty() {
        text += &format!("\n{}", table(&ASSOCIATIONS, report.associations.iter().map(association)));
    }
    text += match report.decisions.is_empty() {
        true => "\nnothing was decided about it so far\n",
        false => "\ndecisions, the last one at the end (times in UTC):\n",
    };
    for decision in &report.decisions {
        text += &format!("{}\n", plain(&decision.to_string()));
    }
    text
}

fn reloaded(report: &ReloadReport) -> String {
    let files = if report.files.is_empty() {
        "no file: the defaults hold".to_owned()
    } else {
        report.files.join(", ")
    };
    let mut text = format!("read          {}\n", plain(&files));
    if report.changes.is_empty() {
        text += "nothing has changed\n";
    }
    for change in &report.changes {
        let of = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), plain);
        let origin =
            change.origin.as_deref().map_or_else(String::new, |origin| format!("  ({})", plain(origin)));
        let waits = if change.applied { "" } else { ", from the next start on" };
        text += &format!("{:20}  {} -> {}{waits}{origin}\n", change.key, of(&change.old), of(&change.new));
    }
    for dropped in &report.dropped {
        let program = association(dropped)[1].clone();
        let (pid, own, peer) = (dropped.pid, dropped.local_port, dropped.peer_port);
        text += &format!("left alone    {pid}:{own}-{peer} ({program})\n");
    }
    text
}

fn association(report: &AssociationReport) -> Vec<String> {
    let program = report.executable.as_ref().and_then(|path| path.file_name());
    let mut why = plain(&report.why);
    if report.add_ip == Some(false) && report.state != AssociationState::Unmanageable {
        why += if why.is_empty() { "without Add-IP" } else { "; without Add-IP" };
    }
    vec![
        report.pid.to_string(),
        program.map_or_else(|| "?".to_owned(), |name| plain(&name.to_string_lossy())),
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

fn list(addresses: &[IpAddr]) -> String {
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
