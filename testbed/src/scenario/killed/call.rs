//! Which of a daemon's system calls change something that outlives it, on its host or in a program's socket: each of these
//! is a step.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// How much of what is written is looked at.
const LOOKED_AT: usize = 4096;

/// A system call, as it is about to be made: its number and arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) arguments: [u64; 3],
}

/// What a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Route,
    Netfilter,
    /// One by which nothing is changed here.
    Other,
}

/// Tells the steps of one process from its other calls.
#[derive(Debug)]
pub(super) struct Sieve {
    pid: i32,
    /// The inodes of the programs' sockets.
    programs: BTreeSet<u64>,
    sockets: HashMap<u64, Kind>,
}

impl Sieve {
    pub(super) fn new(pid: i32, programs: BTreeSet<u64>) -> Self {
        Self { pid, programs, sockets: HashMap::new() }
    }

    /// What the call does, in words, if it is a step.
    pub(super) fn step(&mut self, call: Call) -> Option<String> {
        let [first, second, third] = call.arguments;
        match call.number {
            libc::SYS_setsockopt => {
                let inode = self.inode(first)?;
                self.programs.contains(&inode).then(|| option(second, third))
            }
            libc::SYS_write => {
                let link = self.link(first)?;
                link.ends_with("/journal").then(|| journal(&self.memory(second, third)))
            }
            libc::SYS_sendto => self.sent(first, second, third),
            libc::SYS_sendmsg => {
                // `struct msghdr`: the vector is its third word, `struct iovec` two words.
                let header = self.memory(second, 56);
                let vector = self.memory(word(&header, 16)?, 16);
                self.sent(first, word(&vector, 0)?, word(&vector, 8)?)
            }
            libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => Some("a file is renamed".into()),
            libc::SYS_unlink | libc::SYS_unlinkat => Some("a file is removed".into()),
            _ => None,
        }
    }

    fn sent(&mut self, descriptor: u64, at: u64, length: u64) -> Option<String> {
        match self.kind(descriptor)? {
            Kind::Route => route(&self.memory(at, length)),
            // Nothing but changes goes over these.
            Kind::Netfilter => Some("nftables: a change".to_owned()),
            Kind::Other => None,
        }
    }

    fn link(&self, descriptor: u64) -> Option<String> {
        let link = fs::read_link(format!("/proc/{}/fd/{descriptor}", self.pid)).ok()?;
        Some(link.to_string_lossy().into_owned())
    }

    /// The inode of a socket.
    fn inode(&self, descriptor: u64) -> Option<u64> {
        self.link(descriptor)?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    fn kind(&mut self, descriptor: u64) -> Option<Kind> {
        let inode = self.inode(descriptor)?;
        if let Some(kind) = self.sockets.get(&inode) {
            return Some(*kind);
        }
        // Its second column is the family, its last one the inode.
        let table = fs::read_to_string(format!("/proc/{}/net/netlink", self.pid)).unwrap_or_default();
        let mut lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let found = lines.find(|line| line.last().and_then(|it| it.parse().ok()) == Some(inode));
        let kind = match found.as_ref().and_then(|line| line.get(1)) {
            Some(&"0") => Kind::Route,
            Some(&"12") => Kind::Netfilter,
            _ => Kind::Other,
        };
        self.sockets.insert(inode, kind);
        Some(kind)
    }

    fn memory(&self, at: u64, length: u64) -> Vec<u8> {
        let length = usize::try_from(length).unwrap_or(LOOKED_AT).min(LOOKED_AT);
        let mut bytes = vec![0; length];
        let Ok(base) = usize::try_from(at) else { return Vec::new() };
        let remote = [RemoteIoVec { base, len: length }];
        let read = process_vm_readv(Pid::from_raw(self.pid), &mut [IoSliceMut::new(&mut bytes)], &remote);
        bytes.truncate(read.unwrap_or(0));
        bytes
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The first request of those that rtnetlink is given at once, if it changes anything.
fn route(bytes: &[u8]) -> Option<String> {
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    // Of four numbers the first makes, the second deletes, the third asks.
    if kind < 16 || kind % 4 == 2 {
        return None;
    }
    let what = match kind / 4 {
        5 => "address",
        6 => "route",
        8 => "rule",
        _ => "change",
    };
    Some(format!("rtnetlink: {} {what}", if kind % 4 == 0 { "new" } else { "delete" }))
}

/// What a line of the journal notes.
fn journal(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let kind = |name: &str| {
        let rest = text.split_once(&format!("\"{name}\":\""))?.1;
        rest.split_once('"').map(|(kind, _)| kind.to_owned())
    };
    match kind("what").or_else(|| kind("kind")) {
        Some(kind) => format!("journal: {kind} is noted"),
        None => "journal: an entry is struck".to_owned(),
    }
}

/// The name of a socket option.
fn option(level: u64, name: u64) -> String {
    const SCTP: u64 = 132;
    let known = match (level, name) {
        (SCTP, 0) => "SCTP_RTOINFO",
        (SCTP, 1) => "SCTP_ASSOCINFO",
        (SCTP, 5) => "SCTP_SET_PEER_PRIMARY_ADDR",
        (SCTP, 6) => "SCTP_PRIMARY_ADDR",
        (SCTP, 9) => "SCTP_PEER_ADDR_PARAMS",
        (SCTP, 30) => "SCTP_AUTO_ASCONF",
        (SCTP, 100) => "SCTP_SOCKOPT_BINDX_ADD",
        (SCTP, 101) => "SCTP_SOCKOPT_BINDX_REM",
        (SCTP, 128) => "SCTP_ASCONF_SUPPORTED",
        (SCTP, 129) => "SCTP_AUTH_SUPPORTED",
        (0, 15) => "IP_FREEBIND",
        _ => return format!("setsockopt {level} {name}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_change_something_are_steps_and_questions_are_none() {
        let message = |kind: u16| [&20u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        assert_eq!(route(&message(20)).as_deref(), Some("rtnetlink: new address"));
        assert_eq!(route(&message(21)).as_deref(), Some("rtnetlink: delete address"));
        assert_eq!(route(&message(33)).as_deref(), Some("rtnetlink: delete rule"));
        assert_eq!(route(&message(26)), None);
        assert_eq!(route(b"abc"), None);
    }

    #[test]
    fn lines_of_the_journal_are_told_by_what_they_note() {
        let held = br#"{"id":3,"add":{"kind":"held","address":"10.1.0.2"}}"#;
        assert_eq!(journal(held), "journal: held is noted");
        let other = br#"{"id":3,"add":{"kind":"other","what":"association","data":{}}}"#;
        assert_eq!(journal(other), "journal: association is noted");
        assert_eq!(journal(br#"{"id":3}"#), "journal: an entry is struck");
    }
}
