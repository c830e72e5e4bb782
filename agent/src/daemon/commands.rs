//! What people ask the daemon for.

use std::os::fd::AsFd;

use nix::sys::stat::fstat;
use sctp_sys::adopt::{AdoptError, Process};
use sctp_sys::socket::Socket;

use super::{ByHand, Daemon};
use crate::control::{AdoptReport, Command, Failure, FailureCode, Order, Reply, Requester};

impl Daemon {
    /// Does what is asked and answers.
    pub(super) fn command(&mut self, command: Command) {
        let Command { order, requester, reply } = command;
        let answer = match order {
            Order::Status => Ok(Reply::Status(Box::new(self.status()))),
            Order::Associations => Ok(Reply::Associations(self.association_reports())),
            Order::Addresses => Ok(Reply::Addresses(self.address_reports())),
            Order::Pools => Ok(Reply::Pools(Box::new(self.pools()))),
            Order::Explain { target, last } => {
                self.explain(target, last).map(|report| Reply::Explained(Box::new(report)))
            }
            Order::Reload { drop } => self.reload(drop).map(|report| Reply::Reloaded(Box::new(report))),
            Order::Configuration => Ok(Reply::Configuration(Box::new(self.configuration()))),
            Order::Adopt { pid } => self.adopt_process(pid, requester).map(Reply::Adopted),
            Order::Release { pid } => self.release_process(pid, requester).map(Reply::Released),
            Order::HandOver { sockets } => Ok(Reply::HandedOver(self.take_sockets(requester, sockets))),
        };
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }

    fn adopt_process(&mut self, pid: i32, requester: Requester) -> Result<AdoptReport, Failure> {
        if !(Process { pid }).exists() {
            return Err(Failure::new(FailureCode::NotFound, format!("there is no process {pid}")));
        }
        let (associations, endpoints) = self.survey.look().map_err(|error| {
            Failure::new(FailureCode::Failed, format!("SCTP sockets cannot be listed: {error}"))
        })?;
        let only = requester.only();
        let handles = associations
            .into_iter()
            .map(|found| (found.handle, found.uid))
            .chain(endpoints.into_iter().map(|endpoint| (endpoint.handle, endpoint.uid)));
        let mut handles: Vec<_> = handles
            .filter(|(handle, uid)| handle.pid == pid && only.is_none_or(|user| user == *uid))
            .map(|(handle, _)| handle)
            .collect();
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
        self.note_by_hand(pid, ByHand { adopt: true, only });
        self.unmanageable.retain(|_, (found, _)| found.handle.pid != pid);
        self.look_around();
        Ok(AdoptReport { pid, sockets: handles.len(), left_out })
    }

    /// Notes what was asked for, and forgets it of processes that have ended.
    fn note_by_hand(&mut self, pid: i32, hand: ByHand) {
        self.by_hand.retain(|pid, _| (Process { pid: *pid }).exists());
        self.by_hand.insert(pid, hand);
    }

    fn release_process(&mut self, pid: i32, requester: Requester) -> Result<AdoptReport, Failure> {
        let only = requester.only();
        let mut keys = self.of_process(pid);
        keys.retain(|key| {
            only.is_none_or(|user| self.associations.get(key).is_some_and(|it| it.uid == user))
        });
        if keys.is_empty() && !(Process { pid }).exists() {
            return Err(Failure::new(FailureCode::NotFound, format!("there is no process {pid}")));
        }
        let mut inodes: Vec<u64> = keys.iter().map(|key| key.inode).collect();
        inodes.dedup();
        self.note_by_hand(pid, ByHand { adopt: false, only });
        for key in keys {
            self.let_go(key, "released by hand", true);
        }
        self.listeners.retain(|_, listener| {
            listener.handle.pid != pid || only.is_some_and(|user| user != listener.uid)
        });
        self.survey.give_back(pid);
        Ok(AdoptReport { pid, sockets: inodes.len(), left_out: Vec::new() })
    }

    fn take_sockets(&mut self, requester: Requester, sockets: Vec<Socket>) -> AdoptReport {
        let pid = requester.pid;
        let mut report = AdoptReport { pid, sockets: 0, left_out: Vec::new() };
        for socket in sockets {
            match fstat(socket.as_fd()) {
                Ok(stat) => match self.survey.take(pid, requester.only(), stat.st_ino, socket) {
                    Ok(()) => report.sockets += 1,
                    Err(why) => report.left_out.push(why),
                },
                Err(error) => report.left_out.push(format!("a socket without an inode: {error}")),
            }
        }
        if report.sockets > 0 {
            self.note_by_hand(pid, ByHand { adopt: true, only: requester.only() });
            self.look_around();
        }
        report
    }
}
