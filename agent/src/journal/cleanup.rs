//! Undoing what the journal says about the host itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Entry, Journal};
use crate::net::netlink::Requests;
use crate::net::{OUR_TABLES, delete_held};
use crate::routing::{present, removal};

/// What a cleanup did.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// What was undone, in words.
    pub undone: Vec<String>,
    /// What could not be, with the reason. Its entries stay in the journal.
    pub failed: Vec<String>,
    /// Entries that only the daemon can undo (socket options, registrations); they stay.
    pub left: Vec<Entry>,
}

/// Undoes what the journal's owner added to the host: held addresses, rules, routes, nftables tables,
/// kernel settings. Rules with our mark are removed even if the journal is lost. Works in the network
/// namespace of the caller.
pub fn cleanup(journal: &Journal) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let mut requests = match Requests::open() {
        Ok(requests) => requests,
        Err(error) => {
            cleaned.failed.push(error.to_string());
            return cleaned;
        }
    };
    let routes_gone = remove_routing(journal, &mut requests, &mut cleaned);
    for (id, entry) in journal.pending() {
        let outcome = match &entry {
            Entry::Held { address } => release(&mut requests, *address),
            Entry::Rule { .. } | Entry::Table { .. } if routes_gone => Ok(None),
            Entry::Rule { .. } | Entry::Table { .. } => continue,
            Entry::Nftables { family, name } => delete_nftables(family, name),
            Entry::Sysctl { name, old, new } => restore(Path::new("/proc/sys"), name, old, new),
            Entry::SocketOption { .. } | Entry::Element { .. } | Entry::Other { .. } => {
                cleaned.left.push(entry);
                continue;
            }
        };
        let outcome = outcome.and_then(|undone| {
            journal.forget(id).map_err(|error| format!("the journal cannot be written: {error}"))?;
            Ok(undone)
        });
        match outcome {
            Ok(undone) => cleaned.undone.extend(undone),
            Err(failure) => cleaned.failed.push(failure),
        }
    }
    cleaned
}

type Outcome = Result<Option<String>, String>;

fn remove_routing(journal: &Journal, requests: &mut Requests, cleaned: &mut Cleaned) -> bool {
    let named = journal.pending().into_iter().filter_map(|(_, entry)| match entry {
        Entry::Table { table } | Entry::Rule { table, .. } if OUR_TABLES.contains(&table) => Some(table),
        _ => None,
    });
    let tables: BTreeSet<u32> = named.collect();
    let ours = match present(requests, tables) {
        Ok(ours) => ours,
        Err(error) => {
            cleaned.failed.push(error.to_string());
            return false;
        }
    };
    let changes: Vec<_> = ours.iter().rev().map(removal).collect();
    let words: Vec<_> = changes.iter().map(|change| change.what.clone()).collect();
    let mut all = true;
    for (what, result) in words.into_iter().zip(requests.apply(changes)) {
        match result {
            Ok(()) => cleaned.undone.push(what),
            Err(error) if matches!(error.errno(), libc::ENOENT | libc::ESRCH) => {}
            Err(error) => {
                all = false;
                cleaned.failed.push(error.to_string());
            }
        }
    }
    all
}

fn release(requests: &mut Requests, address: std::net::IpAddr) -> Outcome {
    let change = delete_held(1, address);
    let what = change.what.clone();
    match requests.apply(vec![change]).pop() {
        Some(Err(error)) if error.errno() == libc::EADDRNOTAVAIL => Ok(None),
        Some(Err(error)) => Err(error.to_string()),
        _ => Ok(Some(what)),
    }
}

fn delete_nftables(family: &str, name: &str) -> Outcome {
    // Only a table of our own name, whatever the journal says.
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !name.starts_with("roam") || !plain(name) || !matches!(family, "inet" | "ip" | "ip6" | "netdev") {
        return Err(format!("`nft delete table {family} {name}`: this is no table of ours"));
    }
    let what = format!("nft delete table {family} {name}");
    let output = Command::new("nft").args(["delete", "table", family, name]).output();
    let output = output.map_err(|error| format!("{what}: {error}: is nftables installed?"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(Some(what))
    } else if words.contains("No such file or directory") {
        Ok(None)
    } else {
        Err(format!("{what}: {}", words.lines().next().unwrap_or("failed without a word")))
    }
}

/// Puts a kernel setting back, unless somebody changed it after us.
fn restore(root: &Path, name: &str, old: &str, new: &str) -> Outcome {
    let what = format!("sysctl {name}={old}");
    if !name.starts_with("net.") || name.contains('/') || name.contains("..") {
        return Err(format!("{what}: this is no network setting"));
    }
    let path: PathBuf = root.join(name.replace('.', "/"));
    let now = match std::fs::read_to_string(&path) {
        Ok(now) => now,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{what}: {error}")),
    };
    if now.trim() != new.trim() {
        return Ok(None);
    }
    std::fs::write(&path, old).map_err(|error| format!("{what}: {error}"))?;
    Ok(Some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_put_back_only_if_it_is_still_ours() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("net/sctp/addip_enable");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "1\n").unwrap();
        assert!(restore(root.path(), "net.sctp.addip_enable", "0", "1").unwrap().is_some());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "0");
        std::fs::write(&file, "2\n").unwrap();
        assert_eq!(restore(root.path(), "net.sctp.addip_enable", "0", "1").unwrap(), None);
        assert_eq!(restore(root.path(), "net.sctp.not_here", "0", "1").unwrap(), None);
    }

    #[test]
    fn a_forged_journal_cannot_reach_what_is_not_ours() {
        assert!(restore(Path::new("/"), "kernel.panic", "0", "1").is_err());
        assert!(restore(Path::new("/"), "net...etc", "0", "1").is_err());
        assert!(delete_nftables("inet", "filter").is_err());
        assert!(delete_nftables("inet", "roam; flush ruleset").is_err());
    }
}
