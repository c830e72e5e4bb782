//! What a daemon that has stopped must have left as it was: the host, its journal, and the options of programs' sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};
use roam_agent::associations::act;
use sctp_sys::sockopt::{self, FUTURE_ASSOC};
use sctp_sys::{Family, adopt};

/// The options of a program's sockets that a daemon changes, by their inodes; and the addresses that they are bound to.
pub(super) fn sockets(pid: i32) -> Result<BTreeMap<u64, (String, BTreeSet<IpAddr>)>> {
    let mut found = BTreeMap::new();
    for (inode, holders) in adopt::holders_of(&[pid]) {
        let Some(&(pid, fd)) = holders.first() else { continue };
        // Most programs also have sockets of other kinds.
        let Ok(socket) = adopt::duplicate(pid, fd, inode) else { continue };
        found.insert(inode, options(socket.as_fd()).with_context(|| format!("descriptor {fd} of {pid}"))?);
    }
    Ok(found)
}

fn options(fd: std::os::fd::BorrowedFd<'_>) -> std::io::Result<(String, BTreeSet<IpAddr>)> {
    let found = act::found(fd, 0)?;
    let mut paths = BTreeSet::new();
    for peer in sockopt::peer_addrs(fd, 0).unwrap_or_default() {
        paths.insert(sockopt::peer_addr_params(fd, 0, Some(peer))?.path_max_retransmissions);
    }
    let add_ip = sockopt::asconf_supported(fd, FUTURE_ASSOC)?;
    let free = sockopt::freebind(fd, Family::V4)?;
    let bound = sockopt::local_addrs(fd, FUTURE_ASSOC)?.iter().map(SocketAddr::ip).collect();
    Ok((format!("{found:?}, its paths {paths:?}, Add-IP {add_ip}, free binding {free}"), bound))
}

/// What the journal says is still there, a line each.
pub(super) fn journal(runtime: &Path) -> Result<Vec<String>> {
    let text = match fs::read_to_string(runtime.join("journal")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut open = BTreeMap::new();
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).context("the journal")?;
        let id = entry["id"].as_u64().context("an entry without a number")?;
        match entry.get("add") {
            Some(added) => open.insert(id, format!("journal: {added}")),
            None => open.remove(&id),
        };
    }
    Ok(open.into_values().collect())
}
