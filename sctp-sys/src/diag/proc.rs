//! `/proc/net/sctp/eps` and `assocs`: columns named by the first line up to the address lists.

use std::io;
use std::net::IpAddr;

use super::{AssociationEntry, EndpointEntry, Kind, Snapshot, Source};
use crate::sockopt::AssocState;

/// `sk_state` of a listening socket.
const LISTENING: i32 = 10;

/// A table of the namespace of this thread, which need not be that of the process.
fn read(name: &str) -> io::Result<Vec<u8>> {
    std::fs::read(format!("/proc/thread-self/net/sctp/{name}"))
}

pub(super) fn snapshot() -> io::Result<Snapshot> {
    let mut snapshot =
        Snapshot { associations: parse_assocs(&read("assocs")?), endpoints: parse_eps(&read("eps")?) };
    snapshot.unique();
    Ok(snapshot)
}

pub(super) fn listening() -> io::Result<Vec<EndpointEntry>> {
    let mut snapshot = Snapshot { endpoints: parse_eps(&read("eps")?), ..Snapshot::default() };
    snapshot.unique();
    Ok(snapshot.endpoints)
}

/// A line's columns by the names of the table's first line.
struct Columns<'a> {
    names: &'a [&'a str],
    values: Vec<&'a str>,
}

impl Columns<'_> {
    fn get<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let at = self.names.iter().position(|n| *n == name)?;
        self.values.get(at)?.parse().ok()
    }
}

/// Calls `entry` with the columns before LADDRS of each line, and with what follows them.
fn table<T>(bytes: &[u8], entry: impl Fn(&Columns<'_>, &str) -> Option<T>) -> Vec<T> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let names: Vec<&str> =
        lines.next().unwrap_or_default().split_whitespace().take_while(|name| *name != "LADDRS").collect();
    lines
        .filter_map(|line| {
            let mut rest = line.trim_start();
            let mut values = Vec::with_capacity(names.len());
            for _ in &names {
                let (value, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                values.push(value);
                rest = tail.trim_start();
            }
            entry(&Columns { names: &names, values }, rest)
        })
        .collect()
}

/// Addresses up to the end, and the one with a star.
fn addresses<'a>(words: impl Iterator<Item = &'a str>) -> (Vec<IpAddr>, Option<IpAddr>) {
    let mut starred = None;
    let list = words
        .filter_map(|word| {
            let bare = word.trim_start_matches('*');
            let ip = bare.parse::<IpAddr>().ok()?.to_canonical();
            if bare.len() != word.len() {
                starred = Some(ip);
            }
            Some(ip)
        })
        .collect();
    (list, starred)
}

/// Parses `/proc/net/sctp/assocs`. Lines that make no sense are left out.
pub fn parse_assocs(bytes: &[u8]) -> Vec<AssociationEntry> {
    table(bytes, |columns, rest| {
        let (local, rest) = rest.split_once("<->")?;
        // The numbers that follow begin after a tabulator.
        let peer = rest.split('\t').next().unwrap_or_default();
        let (local, _) = addresses(local.split_whitespace());
        let (peer, primary) = addresses(peer.split_whitespace());
        Some(AssociationEntry {
            inode: columns.get("INODE")?,
            uid: columns.get("UID")?,
            state: AssocState::from_kernel(columns.get("ST")?),
            local_port: columns.get("LPORT")?,
            peer_port: columns.get("RPORT")?,
            local,
            peer,
            primary,
            assoc_id: columns.get("ASSOC-ID"),
            my_tag: None,
            peer_tag: None,
            kind: columns.get("STY").and_then(Kind::from_raw),
            family: None,
            detail: None,
            source: Source::Proc,
        })
    })
}

/// Parses `/proc/net/sctp/eps`. Lines that make no sense are left out.
pub fn parse_eps(bytes: &[u8]) -> Vec<EndpointEntry> {
    table(bytes, |columns, rest| {
        let (local, _) = addresses(rest.split_whitespace());
        Some(EndpointEntry {
            inode: columns.get("INODE")?,
            uid: columns.get("UID")?,
            local_port: columns.get("LPORT")?,
            wildcard: local.iter().any(IpAddr::is_unspecified),
            local,
            listening: columns.get::<i32>("SST")? == LISTENING,
            kind: columns.get("STY").and_then(Kind::from_raw),
            family: None,
            source: Source::Proc,
        })
    })
}
