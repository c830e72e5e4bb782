//! Source routing: one rule and one table for each address, so that what comes from an address leaves by its
//! interface, held addresses by that of the address which took their place.
//!
//! A table holds copies of the main table's routes through the interface, default route included. All is
//! marked with protocol number 76, rules with priority 7600, tables are 7600 and up, so that `ip rule` and
//! `ip route show table 7600` tell whose they are.

mod hold;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::IpAddr;

pub use self::hold::Holder;
use crate::journal::{Entry, EntryId, Journal};
use crate::net::event::{Event, Route};
use crate::net::monitor::dump;
use crate::net::netlink::{Change, Requests};
use crate::net::ours::{Own, SharedOurs};
use crate::net::{self, Monitor, NetlinkError, OUR_PROTOCOL, OUR_TABLES, View};

/// Our rules and tables. One at most in a network namespace.
#[derive(Debug)]
pub struct Routing {
    requests: Requests,
    ours: SharedOurs,
    journal: Journal,
    tables: BTreeMap<IpAddr, u32>,
    entries: BTreeMap<Key, EntryId>,
}

/// What the journal has an entry for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Rule(IpAddr, u32),
    Table(u32),
}

/// How much a reconciliation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// Rules and routes made.
    pub added: usize,
    /// Rules and routes removed.
    pub removed: usize,
    /// Rules and routes that could not be made because their interface is just going down; the next view
    /// will say what is to become of them.
    pub passing: usize,
}

/// Some rules or routes could not be made or removed; all others were.
#[derive(Debug)]
pub struct RoutingError {
    /// What failed, in order.
    pub failures: Vec<String>,
}

impl fmt::Display for RoutingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failures.join("; "))
    }
}

impl std::error::Error for RoutingError {}

impl From<NetlinkError> for RoutingError {
    fn from(error: NetlinkError) -> Self {
        Self { failures: vec![error.to_string()] }
    }
}

impl From<io::Error> for RoutingError {
    fn from(error: io::Error) -> Self {
        Self { failures: vec![format!("the journal cannot be written, so nothing is changed: {error}")] }
    }
}

impl Routing {
    /// Takes over what an earlier life left in kernel and journal; the first [`Routing::reconcile`] removes
    /// what is not wanted any more.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn open(monitor: &Monitor, journal: Journal) -> Result<Self, NetlinkError> {
        let entries = journal.pending().into_iter().filter_map(|(id, entry)| match entry {
            Entry::Rule { from, table } => Some((Key::Rule(from, table), id)),
            Entry::Table { table } => Some((Key::Table(table), id)),
            _ => None,
        });
        let entries = entries.collect();
        let mut routing = Self {
            requests: Requests::open()?,
            ours: monitor.ours(),
            journal,
            tables: BTreeMap::new(),
            entries,
        };
        routing.look()?;
        Ok(routing)
    }

    /// Makes rules and tables what `view` and `held` (an address held, and the address that took its place)
    /// ask for. Idempotent; without differences it does not talk to the kernel. Everything is asked for in
    /// one message to the kernel, some tens of microseconds.
    ///
    /// # Errors
    /// What could not be done; all else was done, and the next call tries again.
    pub fn reconcile(&mut self, view: &View, held: &[(IpAddr, IpAddr)]) -> Result<Reconciled, RoutingError> {
        let wanted = wanted::wanted(view, held, &mut self.tables);
        self.bring_about(wanted)
    }

    /// Removes everything of ours.
    ///
    /// # Errors
    /// As [`Routing::reconcile`].
    pub fn remove_all(&mut self) -> Result<(), RoutingError> {
        self.look()?;
        self.bring_about(BTreeSet::new()).map(|_| ())
    }

    /// The table of an address, if it has one: what the kernel is asked for by `ip route show table N`.
    pub fn table_of(&self, address: IpAddr) -> Option<u32> {
        self.tables.get(&address).copied()
    }

    fn bring_about(&mut self, wanted: BTreeSet<Own>) -> Result<Reconciled, RoutingError> {
        if self.ours.lock().doubtful {
            self.look()?;
        }
        let (add, remove) = {
            let mut ours = self.ours.lock();
            let add: Vec<Own> = wanted.difference(&ours.present).cloned().collect();
            // Rules before the routes that they need.
            let remove: Vec<Own> =
                ours.present.iter().rev().filter(|own| !wanted.contains(own)).cloned().collect();
            ours.wanted = wanted;
            (add, remove)
        };
        let mut done = Reconciled::default();
        if !add.is_empty() || !remove.is_empty() {
            self.write_ahead(&add)?;
            self.change(add, remove, &mut done)?;
        }
        Ok(done)
    }

    fn write_ahead(&mut self, add: &[Own]) -> io::Result<()> {
        let keys: BTreeSet<Key> = add.iter().map(key).filter(|key| !self.entries.contains_key(key)).collect();
        let entry = |key: &Key| match *key {
            Key::Rule(from, table) => Entry::Rule { from, table },
            Key::Table(table) => Entry::Table { table },
        };
        let ids = self.journal.record_all(keys.iter().map(entry).collect())?;
        self.entries.extend(keys.into_iter().zip(ids));
        Ok(())
    }

    fn change(&mut self, add: Vec<Own>, remove: Vec<Own>, done: &mut Reconciled) -> Result<(), RoutingError> {
        let changes = add.iter().map(addition).chain(remove.iter().map(removal)).collect();
        let mut results = self.requests.apply(changes).into_iter();
        let mut failures = Vec::new();
        let mut ours = self.ours.lock();
        for (own, result) in add.into_iter().zip(results.by_ref()) {
            match result.as_ref().map_err(NetlinkError::errno) {
                Ok(()) | Err(libc::EEXIST) => {
                    ours.present.insert(own);
                    done.added += 1;
                }
                Err(libc::ENETDOWN | libc::ENODEV | libc::ENETUNREACH) => done.passing += 1,
                Err(_) => failures.extend(result.err().map(|error| error.to_string())),
            }
        }
        for (own, result) in remove.into_iter().zip(results) {
            match result.as_ref().map_err(NetlinkError::errno) {
                Ok(())
                | Err(libc::ENOENT | libc::ESRCH | libc::ENODEV | libc::ENETDOWN | libc::EAFNOSUPPORT) => {
                    ours.present.remove(&own);
                    done.removed += 1;
                }
                Err(_) => failures.extend(result.err().map(|error| error.to_string())),
            }
        }
        let needed: BTreeSet<Key> = ours.present.iter().chain(&ours.wanted).map(key).collect();
        drop(ours);
        let undone: Vec<Key> = self.entries.keys().filter(|key| !needed.contains(key)).copied().collect();
        for key in undone {
            if let Some(id) = self.entries.remove(&key) {
                self.journal.forget(id)?;
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(RoutingError { failures }) }
    }

    /// Looks up in the kernel what there is of ours.
    fn look(&mut self) -> Result<(), NetlinkError> {
        // Whatever changes from now on is heard by the monitor, and not lost by this look.
        self.ours.lock().doubtful = false;
        let present = present(&mut self.requests, self.entries.keys().filter_map(table).collect())?;
        self.tables.extend(present.iter().filter_map(|own| match own {
            Own::Rule { from, table } => Some((*from, *table)),
            Own::Route(_) => None,
        }));
        self.ours.lock().present = present;
        Ok(())
    }
}

/// Our rules, and the routes in the tables that they or `tables` name.
pub(crate) fn present(
    requests: &mut Requests,
    mut tables: BTreeSet<u32>,
) -> Result<BTreeSet<Own>, NetlinkError> {
    let mut present = BTreeSet::new();
    let families = [libc::AF_INET as u8, libc::AF_INET6 as u8];
    for family in families {
        for event in dump(requests, "ip rule show", net::ask_rules(family))? {
            if let Event::Rule(rule) = event
                && net::is_our_rule(&rule)
                && let Some((from, _)) = rule.from
            {
                tables.insert(rule.table);
                present.insert(Own::Rule { from, table: rule.table });
            }
        }
    }
    for (family, table) in tables.iter().flat_map(|table| families.map(|family| (family, *table))) {
        for event in dump(requests, "ip route show", net::ask_routes(family, table, None))? {
            let Event::Routes { routes, .. } = event else { continue };
            let ours = |route: &&Route| route.protocol == OUR_PROTOCOL && OUR_TABLES.contains(&route.table);
            present.extend(routes.iter().filter(ours).map(|route| Own::route(route, route.table)));
        }
    }
    Ok(present)
}

pub(crate) fn removal(own: &Own) -> Change {
    match own {
        Own::Route(route) => net::delete_route(route),
        Own::Rule { from, table } => net::delete_rule(*from, *table),
    }
}

fn addition(own: &Own) -> Change {
    match own {
        Own::Route(route) => net::add_route(route),
        Own::Rule { from, table } => net::add_rule(*from, *table),
    }
}

fn key(own: &Own) -> Key {
    match own {
        Own::Route(route) => Key::Table(route.table),
        Own::Rule { from, table } => Key::Rule(*from, *table),
    }
}

fn table(key: &Key) -> Option<u32> {
    match key {
        Key::Table(table) => Some(*table),
        Key::Rule(..) => None,
    }
}
