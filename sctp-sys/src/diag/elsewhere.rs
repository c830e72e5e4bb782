//! SCTP in other network namespaces, as in containers: sock_diag and the own /proc/net tell nothing of it.

use std::collections::BTreeMap;
use std::fs;

use super::proc;

/// A network namespace other than this thread's, in which programs have SCTP sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its number, as `readlink /proc/PID/ns/net` shows it.
    pub namespace: u64,
    /// One of its processes, the oldest that can be seen.
    pub pid: i32,
    /// Associations in it.
    pub associations: usize,
    /// Listening sockets in it.
    pub listening: usize,
}

/// The network namespaces with SCTP sockets, of all processes that may be looked into (CAP_SYS_PTRACE, or the same user);
/// this thread's own is left out.
pub fn elsewhere() -> Vec<Elsewhere> {
    let number = |path: String| -> Option<u64> {
        let link = fs::read_link(path).ok()?;
        link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
    };
    let own = number("/proc/thread-self/ns/net".into());
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let mut pids: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut namespaces = BTreeMap::new();
    for pid in pids {
        if let Some(namespace) = number(format!("/proc/{pid}/ns/net")).filter(|it| Some(*it) != own) {
            namespaces.entry(namespace).or_insert(pid);
        }
    }
    let look = |(namespace, pid)| {
        // One that has just ended has nothing any more; one without the module sctp neither.
        let read = |name: &str| fs::read(format!("/proc/{pid}/net/sctp/{name}")).unwrap_or_default();
        let associations = proc::parse_assocs(&read("assocs")).len();
        let listening = proc::parse_eps(&read("eps")).iter().filter(|it| it.listening).count();
        (associations + listening > 0).then_some(Elsewhere { namespace, pid, associations, listening })
    };
    namespaces.into_iter().filter_map(look).collect()
}
