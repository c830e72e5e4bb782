//! Getting at the sockets of other programs: duplicated with the right to trace them ([`duplicate`]), or
//! handed over by them ([`send_sockets`], [`recv_sockets`]).
//!
//! A duplicate is the same socket. While it is open the program's close sends nothing, so open it, act and
//! drop it at once; never receive from it, never change its events or its blocking mode.

mod handover;
mod process;

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::abi::IPPROTO_SCTP;
use crate::socket::Socket;
use crate::sockopt;

pub use handover::{HandOverError, HandedOver, MAX_MESSAGE, MAX_SOCKETS, recv_sockets, send_sockets};
#[cfg(feature = "tokio")]
pub(crate) use handover::{Receiving, Sending, Step};
pub(crate) use process::capable;
pub use process::{Process, Right, find_holders, holders_of, missing_right, socket_holders};

/// Why a socket could not be duplicated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// There is no such process, or it has just ended.
    #[error("process {pid} does not exist")]
    NoSuchProcess {
        /// The process.
        pid: i32,
    },
    /// This process may not take another's descriptors.
    #[error("not permitted to take a descriptor of process {pid}: {missing}")]
    NotPermitted {
        /// The process.
        pid: i32,
        /// What is missing.
        missing: Right,
    },
    /// The descriptor is no SCTP socket.
    #[error("descriptor {fd} of process {pid} is no SCTP socket")]
    NotSctp {
        /// The process.
        pid: i32,
        /// Its descriptor.
        fd: i32,
    },
    /// The descriptor was closed, or stands for something else by now.
    #[error("descriptor {fd} of process {pid} is no longer the socket with inode {inode}")]
    Stale {
        /// The process.
        pid: i32,
        /// Its descriptor.
        fd: i32,
        /// The inode that was expected.
        inode: u64,
    },
    /// Another error of the system.
    #[error("cannot take descriptor {fd} of process {pid}: {source}")]
    Io {
        /// The process.
        pid: i32,
        /// Its descriptor.
        fd: i32,
        /// The error.
        source: io::Error,
    },
}

/// Duplicates a descriptor of another process into this one, closed on exec, and makes sure that it is
/// the SCTP socket with this inode (descriptor numbers are reused).
///
/// # Errors
/// See [`AdoptError`].
pub fn duplicate(pid: i32, fd: i32, inode: u64) -> Result<Socket, AdoptError> {
    let io = |source| AdoptError::Io { pid, fd, source };
    let other = |e: rustix::io::Errno| io(e.into());
    let pidfd = Process { pid }.pidfd().map_err(|e| match e.raw_os_error() {
        Some(libc::ESRCH) => AdoptError::NoSuchProcess { pid },
        _ => io(e),
    })?;
    let duplicate = pidfd_getfd(&pidfd, fd, PidfdGetfdFlags::empty()).map_err(|e| match e {
        rustix::io::Errno::SRCH => AdoptError::NoSuchProcess { pid },
        rustix::io::Errno::BADF => AdoptError::Stale { pid, fd, inode },
        rustix::io::Errno::PERM | rustix::io::Errno::ACCESS => {
            AdoptError::NotPermitted { pid, missing: missing_right(pid) }
        }
        e => other(e),
    })?;
    if rustix::fs::fstat(&duplicate).map_err(other)?.st_ino != inode {
        return Err(AdoptError::Stale { pid, fd, inode });
    }
    if is_sctp(&duplicate) { Ok(duplicate.into()) } else { Err(AdoptError::NotSctp { pid, fd }) }
}

fn is_sctp(fd: &OwnedFd) -> bool {
    sockopt::protocol(fd.as_fd()).is_ok_and(|protocol| protocol == IPPROTO_SCTP)
}
