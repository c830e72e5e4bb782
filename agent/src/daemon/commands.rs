//! What people ask the daemon for.

use std::os::fd::AsFd;

use nix::sys::stat::fstat;
use sctp_sys::adopt::{AdoptError, Process};
use sctp_sys::socket::Socket;

use super::Daemon;
use crate::control::{AdoptReport, Command, Failure, FailureCode, Order, Reply};

impl Daemon {
    /// Does what is asked and answers.
    pub(super) fn command(&mut self, command: Command) {
        let Command { order, requester, reply } = command;
        let answer = match order {
            Order::Status => Ok(Reply::Status(Box::new(self.status()))),
            Order::Associations => Ok(Reply::Associations(self.association_reports())),
            Order::Addresses => Ok(Reply::Addresses(self.address_reports())),
            Order::Adopt { pid } => self.adopt_process(pid).map(Reply::Adopted),
            Order::Release { pid } => self.release_process(pid).map(Reply::Released),
            Order::HandOver { sockets } => Ok(Reply::HandedOver(self.take_sockets(requester.pid, sockets))),
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }

    fn adopt_process(&mut self, pid: i32) -> Result<AdoptReport, Failure> {
        if !(Process { pid }).exists() {
            return Err(Failure::new(FailureCode::NotFound, format!("there is no process {pid}")));
        }
        let (associations, endpoints) = self.survey.look().map_err(|error| {
            Failure::new(FailureCode::Failed, format!("SCTP sockets cannot be listed: {error}"))
        })?;
        let handles =
            associations.into_iter().map(|found| found.handle).chain(endpoints.into_iter().map(|e| e.handle));
        let mut handles: Vec<_> = handles.filter(|handle| handle.pid == pid).collect();
        handles.sort_by_key(|handle| handle.inode);
        handles.dedup_by_key(|handle| handle.inode);
        let mut left_out = Vec::new();
        for handle in &handles {
            match handle.open() {
                Ok(_) => {}
                Err(error @ AdoptError::NotPermitted { .. }) => {
                    return Err(Failure::new(FailureCode::Failed, error.to_string()));
                }
                Err(error) => left_out.push(error.to_string()),
            }
        }
        if handles.is_empty() {
            // Without the right to look into the process its sockets do not show.
            if !(Process { pid }).shows_descriptors() {
                let missing = sctp_sys::adopt::missing_right(pid);
                let text = format!("not permitted to look at the descriptors of process {pid}: {missing}");
                return Err(Failure::new(FailureCode::Failed, text));
            }
            left_out.push(
                "it has no SCTP association and does not listen yet; those to come are adopted".to_owned(),
            );
        }
        self.by_hand.insert(pid, true);
        self.unmanageable.retain(|_, (found, _)| found.handle.pid != pid);
        self.look_around();
        Ok(AdoptReport { pid, sockets: handles.len(), left_out })
    }

    fn release_process(&mut self, pid: i32) -> Result<AdoptReport, Failure> {
        let keys = self.of_process(pid);
        if keys.is_empty() && !(Process { pid }).exists() {
            return Err(Failure::new(FailureCode::NotFound, format!("there is no process {pid}")));
        }
        let mut inodes: Vec<u64> = keys.iter().map(|key| key.inode).collect();
        inodes.dedup();
        self.by_hand.insert(pid, false);
        for key in keys {
            self.let_go(key, "released by hand", true);
        }
        self.listeners.retain(|_, listener| listener.handle.pid != pid);
        self.survey.give_back(pid);
        Ok(AdoptReport { pid, sockets: inodes.len(), left_out: Vec::new() })
    }

    fn take_sockets(&mut self, pid: i32, sockets: Vec<Socket>) -> AdoptReport {
        let mut report = AdoptReport { pid, sockets: 0, left_out: Vec::new() };
        for socket in sockets {
            match fstat(socket.as_fd()) {
                Ok(stat) => {
                    self.survey.take(pid, stat.st_ino, socket);
                    report.sockets += 1;
                }
                Err(error) => report.left_out.push(format!("a socket without an inode: {error}")),
            }
        }
        self.by_hand.insert(pid, true);
        self.look_around();
        report
    }
}
