//! Who holds which socket, and what keeps us from it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What is missing to take a descriptor of another process (pidfd_getfd(2), ptrace(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Right {
    /// The process is another user's.
    OtherUser {
        /// That user.
        uid: u32,
    },
    /// Yama restricts tracing to this degree (`kernel.yama.ptrace_scope`).
    Yama {
        /// 1: descendants only, 2: administrators only, 3: nobody.
        scope: u8,
    },
    /// The process made itself untraceable, or its program is not readable to us.
    NotDumpable,
    /// We have CAP_SYS_PTRACE and are refused all the same: a security module, seccomp, or the process is
    /// in a user namespace above ours.
    Policy,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUser { uid } => {
                write!(f, "it is user {uid}'s, which takes CAP_SYS_PTRACE (or running as that user)")
            }
            Self::Yama { scope: 3 } => f.write_str(
                "kernel.yama.ptrace_scope is 3, which forbids it to everybody until the next boot",
            ),
            Self::Yama { scope } => {
                write!(f, "kernel.yama.ptrace_scope is {scope}, which takes CAP_SYS_PTRACE (or 0 there)")
            }
            Self::NotDumpable => f.write_str("it is not dumpable, which takes CAP_SYS_PTRACE"),
            Self::Policy => f.write_str(
                "a security module, seccomp or a user namespace forbids it despite CAP_SYS_PTRACE",
            ),
        }
    }
}

/// Says why taking a descriptor of a process was refused, as far as /proc shows it.
pub fn missing_right(pid: i32) -> Right {
    const CAP_SYS_PTRACE: u32 = 19;
    let yama =
        fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok().and_then(|s| s.trim().parse().ok());
    if capable(CAP_SYS_PTRACE) {
        return match yama {
            Some(3) => Right::Yama { scope: 3 },
            _ => Right::Policy,
        };
    }
    match (Process { pid }.uid(), yama) {
        (Ok(uid), _) if uid != rustix::process::geteuid().as_raw() => Right::OtherUser { uid },
        (_, Some(scope @ 1..)) => Right::Yama { scope },
        _ => Right::NotDumpable,
    }
}

/// Whether this thread has a capability now.
pub(crate) fn capable(capability: u32) -> bool {
    status_line("/proc/thread-self/status", "CapEff:")
        .ok()
        .and_then(|hex| u64::from_str_radix(&hex, 16).ok())
        .is_some_and(|set| set >> capability & 1 == 1)
}

/// The first word behind a name in a status file of /proc.
fn status_line(path: &str, name: &str) -> io::Result<String> {
    let status = fs::read(path)?;
    String::from_utf8_lossy(&status)
        .lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next().map(str::to_owned))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path} has no {name}")))
}

/// A process of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Its number.
    pub pid: i32,
}

impl Process {
    /// Whether it exists.
    pub fn exists(self) -> bool {
        self.pidfd().is_ok()
    }

    /// Whether its descriptors show what they stand for. Listing them takes less than that: with CAP_DAC_READ_SEARCH
    /// alone the list can be read, and nothing in it.
    pub fn shows_descriptors(self) -> bool {
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let shows = |entry: io::Result<fs::DirEntry>| {
            !entry.and_then(|entry| fs::read_link(entry.path())).as_ref().is_err_and(refused)
        };
        match fs::read_dir(format!("/proc/{}/fd", self.pid)) {
            Ok(mut entries) => entries.all(shows),
            Err(error) => !refused(&error),
        }
    }

    /// A descriptor that becomes readable when it ends.
    ///
    /// # Errors
    /// ESRCH: no such process.
    pub fn pidfd(self) -> io::Result<std::os::fd::OwnedFd> {
        // `from_raw` panics at negative numbers.
        let pid = if self.pid > 0 { Pid::from_raw(self.pid) } else { None };
        let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    }

    /// The user that it runs as (effective).
    ///
    /// # Errors
    /// ENOENT: no such process.
    pub fn uid(self) -> io::Result<u32> {
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read(&path)?;
        // Real, effective, saved, file system.
        String::from_utf8_lossy(&status)
            .lines()
            .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path} has no user")))
    }

    /// Its program's file.
    ///
    /// # Errors
    /// ENOENT: no such process; EACCES: not permitted.
    pub fn executable(self) -> io::Result<PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid))
    }

    /// Its name, at most 15 octets.
    ///
    /// # Errors
    /// ENOENT: no such process.
    pub fn name(self) -> io::Result<String> {
        let bytes = fs::read(format!("/proc/{}/comm", self.pid))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Its sockets: inode and descriptor. What cannot be read is left out.
    fn sockets(self) -> Vec<(u64, i32)> {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.pid)) else { return Vec::new() };
        entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let fd = entry.file_name().to_str()?.parse().ok()?;
                let target = fs::read_link(entry.path()).ok()?;
                let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
                Some((inode, fd))
            })
            .collect()
    }
}

/// Who holds which socket, by inode: process and descriptor, of all processes that may be looked into
/// (others are left out).
pub fn socket_holders() -> HashMap<u64, Vec<(i32, i32)>> {
    holders_of(&processes())
}

/// The numbers of all processes.
fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A holder of each of these sockets, by inode: process and descriptor. Looked into are the processes `first`, then the
/// others, the lowest number first, until all are found: what a look costs is what has to be looked at for that. Those that
/// nobody holds who may be looked into are left out.
pub fn find_holders(inodes: &HashSet<u64>, first: &[i32]) -> HashMap<u64, (i32, i32)> {
    let mut found = HashMap::new();
    let look = |pid: i32, found: &mut HashMap<u64, (i32, i32)>| {
        for (inode, fd) in (Process { pid }).sockets() {
            if inodes.contains(&inode) {
                found.entry(inode).or_insert((pid, fd));
            }
        }
        found.len() == inodes.len()
    };
    if inodes.is_empty() || first.iter().any(|&pid| look(pid, &mut found)) {
        return found;
    }
    let mut others = processes();
    others.retain(|pid| !first.contains(pid));
    others.sort_unstable();
    // Whoever made a socket comes before those to which it was passed on, mostly.
    others.iter().any(|&pid| look(pid, &mut found));
    found
}

/// As [`socket_holders`], of these processes alone.
pub fn holders_of(pids: &[i32]) -> HashMap<u64, Vec<(i32, i32)>> {
    let mut holders: HashMap<u64, Vec<(i32, i32)>> = HashMap::new();
    for pid in pids {
        for (inode, fd) in (Process { pid: *pid }).sockets() {
            holders.entry(inode).or_default().push((*pid, fd));
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_of_this_process_is_found_by_its_inode() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let me = std::process::id().cast_signed();
        let inode = fs::metadata(format!("/proc/{me}/fd/{}", socket.as_raw_fd())).unwrap().ino();
        assert!(holders_of(&[me])[&inode].contains(&(me, socket.as_raw_fd())));
        assert!(socket_holders()[&inode].contains(&(me, socket.as_raw_fd())));
    }

    #[test]
    fn holders_are_looked_for_until_all_are_found_and_those_nobody_has_are_left_out() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let me = std::process::id().cast_signed();
        let inode = fs::metadata(format!("/proc/{me}/fd/{}", socket.as_raw_fd())).unwrap().ino();
        let wanted: HashSet<u64> = [inode].into();
        let expected = HashMap::from([(inode, (me, socket.as_raw_fd()))]);
        assert_eq!(find_holders(&wanted, &[]), expected);
        assert_eq!(find_holders(&wanted, &[me]), expected);
        // No process has the number 0: nothing is found there, and the look goes on.
        assert_eq!(find_holders(&[inode, u64::MAX].into(), &[0, me]), expected);
        assert!(find_holders(&HashSet::new(), &[me]).is_empty());
    }

    #[test]
    fn a_process_that_ended_holds_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process { pid: child.id().cast_signed() };
        assert!(process.exists());
        child.wait().unwrap();
        assert!(!process.exists());
        assert!(holders_of(&[process.pid]).is_empty());
        assert_eq!(process.pidfd().unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_process_tells_its_user_and_program() {
        let me = Process { pid: std::process::id().cast_signed() };
        assert_eq!(me.uid().unwrap(), rustix::process::geteuid().as_raw());
        assert_eq!(me.executable().unwrap(), std::env::current_exe().unwrap().canonicalize().unwrap());
        assert!(!me.name().unwrap().is_empty());
    }

    #[test]
    fn numbers_that_are_no_process_do_not_exist() {
        assert!(!Process { pid: 0 }.exists());
        assert!(!Process { pid: -1 }.exists());
    }
}
