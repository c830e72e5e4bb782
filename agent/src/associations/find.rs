//! Which SCTP sockets there are on the host, and who holds them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sctp_sys::adopt::{self, Process};
use sctp_sys::diag::{self, Kind};
use sctp_sys::socket::Socket;
use sctp_sys::sockopt::{AssocId, AssocState};

use super::{Handle, executable};

/// What an association is called for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The socket's inode.
    pub inode: u64,
    /// The own port.
    pub local_port: u16,
    /// The peer's port.
    pub peer_port: u16,
    /// The kernel's identifier, where the socket carries many; 0 else.
    pub assoc: AssocId,
}

/// An association as the kernel lists it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its socket.
    pub handle: Handle,
    /// The owner of the socket.
    pub uid: u32,
    /// The program.
    pub executable: Option<PathBuf>,
    /// The own port.
    pub local_port: u16,
    /// The peer's port.
    pub peer_port: u16,
    /// Own addresses.
    pub local: Vec<IpAddr>,
    /// The peer's addresses.
    pub peer: Vec<IpAddr>,
    /// It looks as if it could not send any more: see [`Jam`](super::Jam).
    pub jammed: bool,
    /// Packets received since it began, and whether something waits to be acknowledged.
    pub heard: (u64, bool),
}

/// A listening socket.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The socket.
    pub handle: Handle,
    /// The owner of the socket.
    pub uid: u32,
    /// The program.
    pub executable: Option<PathBuf>,
    /// The port.
    pub port: u16,
    /// The addresses that it is bound to.
    pub local: Vec<IpAddr>,
    /// Bound to the wildcard address.
    pub wildcard: bool,
}

/// One look at the host. It remembers who holds which socket, so that a look at an unchanged host does not read all
/// of /proc.
#[derive(Debug, Default)]
pub struct Survey {
    holders: HashMap<u64, (i32, i32)>,
    programs: HashMap<i32, Option<PathBuf>>,
    given: HashMap<u64, Given>,
}

/// A duplicate that a program has handed over.
#[derive(Debug)]
struct Given {
    pid: i32,
    /// The user, where he is not the daemon's or root.
    uid: Option<u32>,
    socket: Arc<Socket>,
}

/// Sockets that one user may have handed over at a time, unless he is root or the daemon's own: each takes a descriptor
/// of the daemon's.
const GIVEN_PER_USER: usize = 256;
/// And all of them together.
const GIVEN_BY_USERS: usize = 2048;

impl Survey {
    /// Lists the established associations and the listening sockets of the host's network namespace.
    ///
    /// # Errors
    /// Neither sock_diag nor /proc/net/sctp can be read.
    pub fn look(&mut self) -> io::Result<(Vec<Found>, Vec<Endpoint>)> {
        let snapshot = diag::snapshot()?;
        let inodes: Vec<u64> = snapshot
            .associations
            .iter()
            .map(|entry| entry.inode)
            .chain(snapshot.endpoints.iter().map(|entry| entry.inode))
            .filter(|&inode| inode != 0)
            .collect();
        self.find_holders(&inodes);
        self.given.retain(|_, given| Process { pid: given.pid }.exists());
        // Until it is accepted, an association is its listener's, and cannot be touched by itself.
        let waiting: Vec<u64> = snapshot
            .endpoints
            .iter()
            .filter(|entry| entry.listening && entry.kind != Some(Kind::OneToMany))
            .map(|entry| entry.inode)
            .collect();
        let mut associations = Vec::new();
        for entry in snapshot.associations {
            let established = entry.state == AssocState::Established && !waiting.contains(&entry.inode);
            if let Some((handle, executable)) = self.holder(entry.inode).filter(|_| established) {
                associations.push(Found {
                    handle,
                    uid: entry.uid,
                    executable,
                    local_port: entry.local_port,
                    peer_port: entry.peer_port,
                    local: entry.local,
                    peer: entry.peer,
                    jammed: entry.detail.is_some_and(|detail| detail.is_jammed()),
                    heard: entry.detail.map_or((0, false), |it| (it.packets_in, it.unacked > 0)),
                });
            }
        }
        let mut endpoints = BTreeMap::new();
        for entry in snapshot.endpoints.into_iter().filter(|entry| entry.listening) {
            if let Some((handle, executable)) = self.holder(entry.inode) {
                endpoints.insert(
                    entry.inode,
                    Endpoint {
                        handle,
                        uid: entry.uid,
                        executable,
                        port: entry.local_port,
                        local: entry.local,
                        wildcard: entry.wildcard,
                    },
                );
            }
        }
        Ok((associations, endpoints.into_values().collect()))
    }

    /// Takes a duplicate that a program has handed over. It is kept until the program ends or takes it back, since
    /// nothing else reaches the socket; while it is kept, the program's close sends nothing. `uid`: whose program it is,
    /// where that user may not do everything.
    ///
    /// # Errors
    /// In words: the user has handed over as many as he may, or another user this one.
    pub fn take(&mut self, pid: i32, uid: Option<u32>, inode: u64, socket: Socket) -> Result<(), String> {
        if let (Some(known), Some(uid)) = (self.given.get(&inode), uid)
            && known.uid != Some(uid)
        {
            return Err("somebody else has handed this socket over".to_owned());
        }
        if let Some(uid) = uid.filter(|_| !self.given.contains_key(&inode)) {
            let of_users = self.given.values().filter(|given| given.uid.is_some()).count();
            let of_user = self.given.values().filter(|given| given.uid == Some(uid)).count();
            if of_user >= GIVEN_PER_USER || of_users >= GIVEN_BY_USERS {
                return Err(format!(
                    "a user may hand over {GIVEN_PER_USER} sockets at a time, all together {GIVEN_BY_USERS}"
                ));
            }
        }
        self.given.insert(inode, Given { pid, uid, socket: Arc::new(socket) });
        Ok(())
    }

    /// Gives up what a process has handed over.
    pub fn give_back(&mut self, pid: i32) {
        self.given.retain(|_, given| given.pid != pid);
    }

    fn find_holders(&mut self, inodes: &[u64]) {
        self.holders.retain(|inode, _| inodes.contains(inode));
        self.holders.retain(|&inode, holder| holds(*holder, inode));
        if inodes.iter().all(|inode| self.holders.contains_key(inode)) {
            return;
        }
        self.search(inodes);
    }

    /// Looks through all processes for who holds these sockets.
    fn search(&mut self, inodes: &[u64]) {
        self.programs.clear();
        for (inode, holders) in adopt::socket_holders() {
            if inodes.contains(&inode)
                && let Some(&holder) = holders.first()
            {
                self.holders.entry(inode).or_insert(holder);
            }
        }
    }

    /// Who holds a socket now, and the program: the one who had it has it no longer. `search`: all processes may be
    /// looked through for that, which takes its time.
    pub fn heir(&mut self, inode: u64, search: bool) -> Option<(Handle, Option<PathBuf>)> {
        let known = |survey: &Self| survey.holders.get(&inode).is_some_and(|holder| holds(*holder, inode));
        if !known(self) && search {
            let all: Vec<u64> = self.holders.keys().copied().chain([inode]).collect();
            self.holders.retain(|&inode, holder| holds(*holder, inode));
            self.search(&all);
        }
        if known(self) { self.holder(inode) } else { None }
    }

    fn holder(&mut self, inode: u64) -> Option<(Handle, Option<PathBuf>)> {
        let (pid, fd, given) = match self.given.get(&inode) {
            Some(given) => (given.pid, -1, Some(Arc::clone(&given.socket))),
            None => {
                let &(pid, fd) = self.holders.get(&inode)?;
                (pid, fd, None)
            }
        };
        let program = self.programs.entry(pid).or_insert_with(|| executable(pid)).clone();
        Some((Handle { pid, fd, inode, given }, program))
    }
}

/// Whether a process has the socket at this descriptor.
pub(super) fn holds((pid, fd): (i32, i32), inode: u64) -> bool {
    std::fs::read_link(format!("/proc/{pid}/fd/{fd}"))
        .is_ok_and(|link| link.to_string_lossy() == format!("socket:[{inode}]"))
}
