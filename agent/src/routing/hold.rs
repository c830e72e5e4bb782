//! Held addresses: addresses that the network took away, kept on the loopback interface for the associations
//! that still have them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use crate::journal::{Entry, EntryId, Journal};
use crate::net::netlink::Requests;
use crate::net::{self, NetlinkError};

/// `lo` is the first interface of every network namespace.
const LOOPBACK: u32 = 1;

/// Holds addresses as /32 or /128 on `lo`, marked as ours (protocol 76, IPv4 label `lo:roam`).
#[derive(Debug)]
pub struct Holder {
    requests: Requests,
    journal: Journal,
    /// None: somebody else has put the address there, and may keep it.
    held: BTreeMap<IpAddr, Option<EntryId>>,
}

/// An address could not be held or released.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Nothing is done that is not written down first.
    #[error("the journal cannot be written: {0}")]
    Journal(#[from] io::Error),
}

impl Holder {
    /// Takes over what an earlier life held, as the journal says.
    ///
    /// # Errors
    /// The kernel's netlink is out of reach.
    pub fn open(journal: Journal) -> Result<Self, NetlinkError> {
        let held = journal.pending().into_iter().filter_map(|(id, entry)| match entry {
            Entry::Held { address } => Some((address, Some(id))),
            _ => None,
        });
        let held = held.collect();
        Ok(Self { requests: Requests::open()?, journal, held })
    }

    /// Holds `address`. Idempotent; puts it back if somebody removed it. Some tens of microseconds.
    ///
    /// # Errors
    /// The kernel refuses, or the journal cannot be written.
    pub fn hold(&mut self, address: IpAddr) -> Result<(), HoldError> {
        let known = self.held.get(&address).copied();
        let entry = match known {
            Some(entry) => entry,
            None => Some(self.journal.record(Entry::Held { address })?),
        };
        match self.apply(net::add_held(LOOPBACK, address)) {
            Ok(()) => {
                self.held.insert(address, entry);
                Ok(())
            }
            Err(refusal) if refusal.errno() == libc::EEXIST => {
                if known.is_none() {
                    self.forget(entry)?;
                    self.held.insert(address, None);
                }
                Ok(())
            }
            Err(refusal) => {
                if known.is_none() {
                    self.forget(entry)?;
                }
                Err(refusal.into())
            }
        }
    }

    /// Releases `address`; no error if it is not held or no more there.
    ///
    /// # Errors
    /// As [`Holder::hold`].
    pub fn release(&mut self, address: IpAddr) -> Result<(), HoldError> {
        let Some(Some(entry)) = self.held.get(&address).copied() else {
            self.held.remove(&address);
            return Ok(());
        };
        match self.apply(net::delete_held(LOOPBACK, address)) {
            Ok(()) => {}
            Err(refusal) if matches!(refusal.errno(), libc::EADDRNOTAVAIL | libc::ENODEV) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        self.held.remove(&address);
        self.forget(Some(entry))?;
        Ok(())
    }

    /// Releases everything; goes on after a failure and tells the first.
    ///
    /// # Errors
    /// As [`Holder::hold`].
    pub fn release_all(&mut self) -> Result<(), HoldError> {
        let all: Vec<_> = self.held().collect();
        let mut outcome = Ok(());
        for address in all {
            let released = self.release(address);
            outcome = outcome.and(released);
        }
        outcome
    }

    /// Starts the kernel's timer for address events, unless it runs: 500 ms later it acts on all events that have come
    /// until then, instead of 500 ms after the first of them.
    ///
    /// An address comes and goes at once, within one request, so that nothing can be left of it. Its two events undo each
    /// other, and SCTP passes over link-local ones (`sctp_addr_wq_timeout_handler`); the timer runs on.
    ///
    /// # Errors
    /// The kernel refuses, as where `lo` has no IPv6.
    pub fn tick(&mut self) -> Result<(), NetlinkError> {
        let changes = vec![net::add_held(LOOPBACK, net::TICK), net::delete_held(LOOPBACK, net::TICK)];
        self.requests.apply(changes).into_iter().collect()
    }

    /// The addresses held, those of an earlier life included.
    pub fn held(&self) -> impl Iterator<Item = IpAddr> {
        self.held.keys().copied()
    }

    fn apply(&mut self, change: net::netlink::Change) -> Result<(), NetlinkError> {
        self.requests.apply(vec![change]).pop().unwrap_or(Ok(()))
    }

    fn forget(&self, entry: Option<EntryId>) -> io::Result<()> {
        entry.map_or(Ok(()), |entry| self.journal.forget(entry))
    }
}
