//! Which SCTP sockets there are on the host, and who holds them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use sctp_sys::adopt::{self, Process};
use sctp_sys::diag::{self, AssociationEntry, EndpointEntry, Kind};
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

/// Looks at the host. It remembers who holds which socket, so that a look at an unchanged host does not read all of /proc.
#[derive(Debug, Default)]
pub struct Survey {
    holders: HashMap<u64, (i32, i32)>,
    programs: HashMap<i32, Option<PathBuf>>,
    given: HashMap<u64, Given>,
    /// Listening sockets of the last look.
    endpoints: HashSet<u64>,
    /// Those of them that carry no associations.
    listening: HashSet<u64>,
    /// Sockets that nobody holds who may be looked into, and at how many looks they are passed over before somebody is
    /// looked for once more: now, and the next time.
    orphans: HashMap<u64, (u32, u32)>,
    /// The last one whose holder was looked after.
    checked: u64,
}

/// Holders of sockets that a look makes sure of: a socket that was passed on is found again after as many looks as there
/// are times so many sockets.
const CHECKED: usize = 64;
/// For at most so many looks a socket is passed over that nobody seems to hold: each search reads all of /proc.
const PASSED_OVER: u32 = 64;

/// What has become of an association whose setup was seen.
#[derive(Debug)]
pub enum Arrival {
    /// It is there.
    Here(Box<Found>),
    /// It is not there yet, or its program has not accepted it yet, or nobody holds it who may be looked into.
    NotYet,
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
        let associations = snapshot.associations.iter().map(|entry| entry.inode);
        let endpoints = snapshot.endpoints.iter().map(|entry| entry.inode);
        let inodes: HashSet<u64> = associations.chain(endpoints).filter(|&inode| inode != 0).collect();
        self.holders.retain(|inode, _| inodes.contains(inode));
        self.orphans.retain(|inode, _| inodes.contains(inode));
        self.check_holders();
        self.find_holders(&inodes);
        self.given.retain(|_, given| Process { pid: given.pid }.exists());
        let endpoints = self.endpoints(snapshot.endpoints);
        let mut associations = Vec::new();
        for entry in snapshot.associations {
            associations.extend(self.found(entry));
        }
        Ok((associations, endpoints))
    }

    /// Lists the listening sockets alone, which costs the same however many associations there are; none: they are those
    /// of the last time. `anew`: also then.
    ///
    /// # Errors
    /// Neither sock_diag nor /proc/net/sctp can be read.
    pub fn listeners(&mut self, anew: bool) -> io::Result<Option<Vec<Endpoint>>> {
        let entries = diag::listening()?;
        let inodes: HashSet<u64> =
            entries.iter().map(|entry| entry.inode).filter(|&inode| inode != 0).collect();
        let known = |inode| self.holders.contains_key(inode) || self.given.contains_key(inode);
        if !anew && inodes == self.endpoints && inodes.iter().all(known) {
            return Ok(None);
        }
        self.find_holders(&inodes);
        Ok(Some(self.endpoints(entries)))
    }

    /// The listening ones whose holders are known. All are remembered: until it is accepted, an association is its
    /// listener's, and cannot be touched by itself.
    fn endpoints(&mut self, mut entries: Vec<EndpointEntry>) -> Vec<Endpoint> {
        entries.retain(|entry| entry.listening);
        self.endpoints = entries.iter().map(|entry| entry.inode).filter(|&inode| inode != 0).collect();
        let alone = entries.iter().filter(|entry| entry.kind != Some(Kind::OneToMany));
        self.listening = alone.map(|entry| entry.inode).collect();
        let mut endpoints = BTreeMap::new();
        for entry in entries {
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
        endpoints.into_values().collect()
    }

    /// Looks for one association by its addresses, which costs the same however many there are.
    ///
    /// # Errors
    /// sock_diag cannot be asked.
    pub fn arrival(&mut self, local: SocketAddr, peer: SocketAddr) -> io::Result<Arrival> {
        let Some(entry) = diag::association(local, peer)? else { return Ok(Arrival::NotYet) };
        let inode = entry.inode;
        if inode == 0 || entry.state != AssocState::Established || self.listening.contains(&inode) {
            return Ok(Arrival::NotYet);
        }
        if !self.holders.contains_key(&inode) && !self.given.contains_key(&inode) {
            // Accepted by a program that is known, most often; else by one that has just been started.
            let mut known: Vec<i32> = self.holders.values().map(|&(pid, _)| pid).collect();
            known.sort_unstable();
            known.dedup();
            known.retain(|&pid| (Process { pid }).uid().is_ok_and(|uid| uid == entry.uid));
            self.holders.extend(adopt::find_holders(&[inode].into(), &known));
            self.programs.clear();
        }
        let Some(found) = self.found(entry) else { return Ok(Arrival::NotYet) };
        // A listener that the last look did not see yet is no association's socket.
        let listens = |fd: &Socket| rustix::net::sockopt::socket_acceptconn(fd).unwrap_or(false);
        if found.handle.open().is_ok_and(|fd| listens(&fd)) && !one_to_many(&found.handle) {
            self.listening.insert(inode);
            return Ok(Arrival::NotYet);
        }
        Ok(Arrival::Here(Box::new(found)))
    }

    /// An entry that has become an association with a holder.
    fn found(&mut self, entry: AssociationEntry) -> Option<Found> {
        let established = entry.state == AssocState::Established && !self.listening.contains(&entry.inode);
        let (handle, executable) = self.holder(entry.inode).filter(|_| established)?;
        Some(Found {
            handle,
            uid: entry.uid,
            executable,
            local_port: entry.local_port,
            peer_port: entry.peer_port,
            local: entry.local,
            peer: entry.peer,
            jammed: entry.detail.is_some_and(|detail| detail.is_jammed()),
            heard: entry.detail.map_or((0, false), |it| (it.packets_in, it.unacked > 0)),
        })
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

    /// Makes sure that some of the known holders still hold their sockets; others come next time.
    fn check_holders(&mut self) {
        let mut inodes: Vec<u64> = self.holders.keys().copied().collect();
        inodes.sort_unstable();
        let after = inodes.partition_point(|&inode| inode <= self.checked);
        let due: Vec<u64> = inodes[after..].iter().chain(&inodes[..after]).take(CHECKED).copied().collect();
        for inode in due {
            self.checked = inode;
            if !self.holders.get(&inode).is_some_and(|holder| holds(*holder, inode)) {
                self.holders.remove(&inode);
            }
        }
    }

    /// Looks who holds the sockets of which that is not known.
    fn find_holders(&mut self, inodes: &HashSet<u64>) {
        let known = |inode| self.holders.contains_key(inode) || self.given.contains_key(inode);
        let unknown: Vec<u64> = inodes.iter().filter(|inode| !known(inode)).copied().collect();
        let mut missing = HashSet::new();
        for inode in unknown {
            match self.orphans.get_mut(&inode) {
                Some((wait @ 1.., _)) => *wait -= 1,
                _ => drop(missing.insert(inode)),
            }
        }
        if missing.is_empty() {
            return;
        }
        self.programs.clear();
        self.holders.extend(adopt::find_holders(&missing, &[]));
        for inode in missing {
            if self.holders.contains_key(&inode) {
                self.orphans.remove(&inode);
            } else {
                let (wait, next) = self.orphans.entry(inode).or_insert((0, 1));
                (*wait, *next) = (*next, (*next * 2).min(PASSED_OVER));
            }
        }
    }

    /// Who holds a socket now, and the program: the one who had it has it no longer. `search`: all processes may be
    /// looked through for that, which takes its time.
    pub fn heir(&mut self, inode: u64, search: bool) -> Option<(Handle, Option<PathBuf>)> {
        let known = |survey: &Self| survey.holders.get(&inode).is_some_and(|holder| holds(*holder, inode));
        if !known(self) && search {
            self.programs.clear();
            self.holders.remove(&inode);
            self.holders.extend(adopt::find_holders(&[inode].into(), &[]));
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

/// Whether the socket carries many associations, and can listen all the same.
fn one_to_many(handle: &Handle) -> bool {
    let kind = handle.open().ok().and_then(|fd| sctp_sys::sockopt::socket_type(fd.as_fd()).ok());
    kind == Some(libc::SOCK_SEQPACKET)
}
