//! The associations that the daemon looks after: which there are, whose, and how they are changed.

pub mod act;
pub mod facts;
mod find;
mod jam;
mod process;
mod quiet;

pub use find::{Arrival, Endpoint, Found, Key, Survey};
pub use jam::Jam;
pub use process::{effective_capabilities, executable, owner};
pub use quiet::Quiet;

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sctp_sys::adopt::{self, AdoptError, Process};
use sctp_sys::socket::Socket;
use sctp_sys::sockopt::AssocId;

use crate::handover::{Binding, Planner, State};
use crate::tally::Course;

/// A socket of a program, as it can be reached at any time: by duplicating it again.
#[derive(Clone, Debug)]
pub struct Handle {
    /// The process that holds it.
    pub pid: i32,
    /// Its number there.
    pub fd: i32,
    /// Its inode, by which a reused number is noticed.
    pub inode: u64,
    /// The duplicate that the program has handed over, if it has.
    pub given: Option<Arc<Socket>>,
}

impl Handle {
    /// Whether the process still has the socket, as far as can be seen. It may have ended, or closed it, and another one
    /// have it: a child that inherited it, or whoever it was passed on to. Of one that has handed a duplicate over it is
    /// enough that it runs.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match self.given {
            Some(_) => Process { pid: self.pid }.exists(),
            None => find::holds((self.pid, self.fd), self.inode),
        }
    }

    /// Duplicates the socket for the time of one act.
    ///
    /// # Errors
    /// The process is gone, has closed the socket, or may not be touched.
    pub fn open(&self) -> Result<Socket, AdoptError> {
        match &self.given {
            Some(socket) => match socket.as_fd().try_clone_to_owned() {
                Ok(duplicate) => Ok(Socket::from(duplicate)),
                Err(source) => Err(AdoptError::Io { pid: self.pid, fd: self.fd, source }),
            },
            None => adopt::duplicate(self.pid, self.fd, self.inode),
        }
    }
}

/// One association under management.
#[derive(Debug)]
pub struct Managed {
    /// Where its socket is.
    pub handle: Handle,
    /// How it stood when that was last told.
    pub stood: State,
    /// It was told to be stranded, and not yet to be settled again.
    pub was_stranded: bool,
    /// The owner of the socket.
    pub uid: u32,
    /// The program, as /proc names it.
    pub executable: Option<PathBuf>,
    /// The kernel's identifier of the association.
    pub assoc: AssocId,
    /// The own port.
    pub local_port: u16,
    /// The peer's port.
    pub peer_port: u16,
    /// How its socket is bound.
    pub binding: Binding,
    /// Whether the socket carries many associations.
    pub one_to_many: bool,
    /// Whether both ends can change addresses; if not, it can only be watched.
    pub add_ip: bool,
    /// What adoption changed, to be put back.
    pub before: act::Found,
    /// Its machine.
    pub planner: Planner,
    /// When its state last changed.
    pub since: Instant,
    /// Copies of addresses made for its address events.
    pub copies: Vec<IpAddr>,
    /// How often it has moved.
    pub moves: u64,
    /// When its present move began.
    pub moving_since: Option<Instant>,
    /// How long the last move took, in milliseconds.
    pub last_move_ms: Option<u64>,
    /// What of it is still to be counted.
    pub course: Course,
    /// Whether the kernel still sends its data.
    pub jam: Jam,
    /// Whether anything comes from the peer.
    pub quiet: Quiet,
    /// The usable addresses that it was offered last.
    pub offered: Vec<IpAddr>,
    /// Those that it was not offered, since the peer does not answer there.
    pub kept_out: Vec<IpAddr>,
}
