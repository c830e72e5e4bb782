//! What the daemon adds to the host for associations: held addresses, translation rules, routes. Several associations
//! may want the same address held; it goes with the last of them. All of it is written down first, so that the next
//! daemon can carry on, or clean up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::associations::{Key, act};
use crate::handover::{Facts, Saved};
use crate::journal::{Entry, EntryId, Journal};
use crate::net::View;
use crate::routing::{Holder, Routing};
use crate::translate::{Pair, Rule, TranslateError, Translator};

/// How long the kernel gathers address events before it acts on them, and how late its timer may be on a busy host.
const TICK: Duration = Duration::from_millis(700);

/// What is written down of an association.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    inode: u64,
    local_port: u16,
    peer_port: u16,
    assoc: i32,
    pid: i32,
    before: act::Found,
    saved: Saved,
}

impl Record {
    const WHAT: &'static str = "association";

    fn key(&self) -> Key {
        Key { inode: self.inode, local_port: self.local_port, peer_port: self.peer_port, assoc: self.assoc }
    }
}

/// The host's side of the executor.
pub(super) struct Host {
    pub(super) journal: Journal,
    holder: Holder,
    routing: Option<Routing>,
    translator: Option<Translator>,
    table: Option<EntryId>,
    view: Arc<View>,
    wants: BTreeMap<Key, Wants>,
    /// What an earlier daemon wrote down, until the association is found again or is known to be gone.
    inherited: HashMap<Key, (EntryId, Record)>,
    written: HashMap<Key, (EntryId, Record)>,
    copies: BTreeMap<IpAddr, usize>,
    events_rest_until: Option<Instant>,
    /// Addresses that a pool handle's elements had.
    met: HashMap<String, BTreeSet<IpAddr>>,
}

#[derive(Debug, Default)]
struct Wants {
    held: BTreeMap<IpAddr, Option<IpAddr>>,
    /// Those of them that shall vanish when nobody needs them any more.
    departing: BTreeSet<IpAddr>,
    rules: BTreeSet<Rule>,
}

/// What an association wants, and what each one gets that can be moved.
fn and_always(key: Key, mut rules: BTreeSet<Rule>) -> BTreeSet<Rule> {
    rules.insert(Rule::NoGapsIn(Pair { local_port: key.local_port, peer_port: key.peer_port }));
    rules
}

impl Host {
    /// Takes over what an earlier daemon left, and puts the translation table in place. Without nftables it goes on:
    /// the planners then use what is left without it. `udp`: the port at which the host takes SCTP in UDP.
    pub(super) fn new(
        journal: Journal,
        holder: Holder,
        routing: Option<Routing>,
        udp: Option<u16>,
    ) -> (Self, Option<TranslateError>) {
        let mut inherited: HashMap<Key, (EntryId, Record)> = HashMap::new();
        for (id, entry) in journal.pending() {
            let Entry::Other { what, data } = entry else { continue };
            let Ok(record) = serde_json::from_value::<Record>(data) else { continue };
            if what != Record::WHAT {
                continue;
            }
            // The last word holds; whoever was killed right after it had not yet struck the one before.
            if let Some((before, _)) = inherited.insert(record.key(), (id, record))
                && let Err(error) = journal.forget(before)
            {
                tracing::warn!(%error, "the journal cannot be written");
            }
        }
        let earlier = journal
            .pending()
            .into_iter()
            .find_map(|(id, entry)| matches!(entry, Entry::Nftables { .. }).then_some(id));
        let note = || journal.record(Entry::Nftables { family: "inet".into(), name: "roam".into() }).ok();
        let mut table = earlier.or_else(note);
        let wants: BTreeMap<Key, Wants> = inherited
            .iter()
            .map(|(key, (_, record))| {
                let held = record.saved.held.iter().map(|&address| (address, None)).collect();
                let rules = and_always(*key, record.saved.rules.clone());
                (*key, Wants { held, rules, ..Wants::default() })
            })
            .collect();
        let rules = wants.values().flat_map(|wants| wants.rules.iter().copied());
        let (translator, error) = match Translator::install(rules, udp) {
            Ok(translator) => (Some(translator), None),
            Err(error) => (None, Some(error)),
        };
        if translator.is_none()
            && earlier.is_none()
            && let Some(id) = table.take()
            && let Err(error) = journal.forget(id)
        {
            tracing::warn!(%error, "the journal cannot be written");
        }
        let host = Self {
            journal,
            holder,
            routing,
            translator,
            table,
            view: Arc::default(),
            wants,
            inherited,
            written: HashMap::new(),
            copies: BTreeMap::new(),
            // What the earlier daemon left may be in the kernel's queue.
            events_rest_until: Some(Instant::now() + TICK),
            met: HashMap::new(),
        };
        (host, error)
    }

    /// Whether addresses can be translated.
    pub(super) fn can_translate(&self) -> bool {
        self.translator.is_some()
    }

    /// The network has changed: the routes follow.
    pub(super) fn network(&mut self, view: Arc<View>) {
        self.view = view;
        self.route();
    }

    fn route(&mut self) {
        let mut held: BTreeMap<IpAddr, IpAddr> = BTreeMap::new();
        for wants in self.wants.values() {
            held.extend(wants.held.iter().filter_map(|(&old, via)| via.map(|via| (old, via))));
        }
        let held: Vec<_> = held.into_iter().collect();
        if let Some(routing) = &mut self.routing
            && let Err(error) = routing.reconcile(&self.view, &held)
        {
            tracing::warn!(%error, "source routing is incomplete");
        }
    }

    /// Holds an address for an association.
    pub(super) fn hold(&mut self, key: Key, address: IpAddr, via: Option<IpAddr>) -> Result<(), String> {
        self.holder.hold(address).map_err(|error| error.to_string())?;
        let wants = self.wants.entry(key).or_default();
        wants.departing.remove(&address);
        if wants.held.insert(address, via) != Some(via) && via.is_some() {
            self.route();
        }
        Ok(())
    }

    /// An association no longer needs an address held. Returns whether nobody else does, so that it is gone.
    pub(super) fn release(&mut self, key: Key, address: IpAddr) -> Result<bool, String> {
        if let Some(wants) = self.wants.get_mut(&key) {
            wants.held.remove(&address);
            wants.departing.remove(&address);
        }
        self.drop_unwanted(address)
    }

    /// An association waits for a held address to vanish.
    pub(super) fn depart(&mut self, key: Key, address: IpAddr) {
        self.wants.entry(key).or_default().departing.insert(address);
    }

    /// Whether an association waits for a held address to vanish.
    pub(super) fn departs(&self, key: Key, address: IpAddr) -> bool {
        self.wants.get(&key).is_some_and(|wants| wants.departing.contains(&address))
    }

    /// Who holds an address.
    pub(super) fn holders(&self, address: IpAddr) -> Vec<Key> {
        let holds = |(key, wants): (&Key, &Wants)| wants.held.contains_key(&address).then_some(*key);
        self.wants.iter().filter_map(holds).collect()
    }

    fn drop_unwanted(&mut self, address: IpAddr) -> Result<bool, String> {
        if self.copies.contains_key(&address)
            || self.wants.values().any(|wants| wants.held.contains_key(&address))
        {
            return Ok(false);
        }
        self.holder.release(address).map_err(|error| error.to_string())?;
        self.route();
        Ok(true)
    }

    /// Makes an address event by a copy of the address on lo.
    pub(super) fn copy(&mut self, address: IpAddr) -> Result<(), String> {
        self.holder.hold(address).map_err(|error| error.to_string())?;
        *self.copies.entry(address).or_default() += 1;
        Ok(())
    }

    /// Removes such a copy, which is an address event, too: until the kernel has passed over it, no socket may react
    /// to events.
    pub(super) fn uncopy(&mut self, address: IpAddr) -> Result<(), String> {
        match self.copies.get_mut(&address) {
            Some(count) if *count > 1 => {
                *count -= 1;
                return Ok(());
            }
            _ => self.copies.remove(&address),
        };
        let gone = self.drop_unwanted(address);
        self.let_events_rest();
        gone.map(|_| ())
    }

    /// Starts the kernel's timer for address events.
    pub(super) fn tick(&mut self) -> Result<(), crate::net::NetlinkError> {
        self.holder.tick()
    }

    /// An address event has just been made that no socket shall react to.
    pub(super) fn let_events_rest(&mut self) {
        self.events_rest_until = Some(Instant::now() + TICK);
    }

    /// Whether a socket that reacted to address events now would react to one that was made for another purpose.
    pub(super) fn events_must_rest(&self, now: Instant) -> bool {
        self.events_rest_until.is_some_and(|until| now < until)
    }

    /// The number by which the kernel knows who changes the translation here; none: nobody does.
    pub(super) fn translator_port(&self) -> Option<u32> {
        self.translator.as_ref().map(Translator::port)
    }

    /// Puts the translation back that somebody has deleted. Returns whether that may have been this daemon.
    pub(super) fn restore_translation(&mut self) -> Result<bool, TranslateError> {
        let Some(translator) = self.translator.as_mut() else { return Ok(false) };
        translator.restore()?;
        Ok(translator.take_remade())
    }

    /// From now on the host takes SCTP in UDP at this port.
    pub(super) fn set_udp(&mut self, udp: Option<u16>) -> Result<(), TranslateError> {
        self.translator.as_mut().map_or(Ok(()), |translator| translator.set_udp(udp))
    }

    /// The rules that an association wants, beside those that each one gets.
    pub(super) fn rules(&mut self, key: Key, rules: BTreeSet<Rule>) -> Result<(), String> {
        let Some(translator) = &mut self.translator else {
            return match rules.is_empty() {
                true => Ok(()),
                false => Err("addresses cannot be translated on this host".into()),
            };
        };
        let rules = and_always(key, rules);
        let wants = self.wants.entry(key).or_default();
        translator.change(&wants.rules, &rules).map_err(|error| error.to_string())?;
        wants.rules = rules;
        Ok(())
    }

    /// What an earlier daemon found before it changed the association.
    pub(super) fn found_before(&self, key: Key) -> Option<act::Found> {
        self.inherited.get(&key).map(|(_, record)| record.before.clone())
    }

    /// Where an earlier daemon stopped with the association.
    pub(super) fn take_over(&mut self, key: Key) -> Option<Saved> {
        let (id, record) = self.inherited.remove(&key)?;
        let saved = record.saved.clone();
        self.written.insert(key, (id, record));
        (saved != Saved::default()).then_some(saved)
    }

    /// Writes down how an association stands, if that has changed.
    pub(super) fn write_down(&mut self, key: Key, pid: i32, before: &act::Found, saved: Saved) {
        let record = Record {
            inode: key.inode,
            local_port: key.local_port,
            peer_port: key.peer_port,
            assoc: key.assoc,
            pid,
            before: before.clone(),
            saved,
        };
        let old = self.written.get(&key);
        if old.is_some_and(|(_, written)| *written == record) {
            return;
        }
        let old = old.map(|(id, _)| *id);
        let data = serde_json::to_value(&record).unwrap_or_default();
        match self.journal.record(Entry::Other { what: Record::WHAT.into(), data }) {
            Ok(id) => {
                self.written.insert(key, (id, record));
                self.strike(old);
            }
            Err(error) => tracing::warn!(%error, "the journal cannot be written"),
        }
    }

    fn strike(&self, id: Option<EntryId>) {
        if let Some(id) = id
            && let Err(error) = self.journal.forget(id)
        {
            tracing::warn!(%error, "the journal cannot be written");
        }
    }

    /// An association is no longer managed: what was added for it goes.
    pub(super) fn forget(&mut self, key: Key) {
        let wants = self.wants.remove(&key).unwrap_or_default();
        let translator = self.translator.as_mut();
        let changed = translator.map_or(Ok(()), |it| it.change(&wants.rules, &BTreeSet::new()));
        let mut failures: Vec<String> = changed.err().map(|error| error.to_string()).into_iter().collect();
        for address in wants.held.into_keys() {
            failures.extend(self.drop_unwanted(address).err());
        }
        for failure in failures {
            tracing::warn!(?key, failure, "something could not be removed from the host");
        }
        let id = self.written.remove(&key).or_else(|| self.inherited.remove(&key)).map(|(id, _)| id);
        self.strike(id);
    }

    /// After the first look at the host: what an earlier daemon left for associations that have ended goes.
    pub(super) fn drop_inheritance(&mut self) {
        let ended: Vec<Key> = self.inherited.keys().copied().collect();
        for key in ended {
            self.forget(key);
        }
        let orphans: Vec<IpAddr> = self.holder.held().collect();
        for address in orphans {
            if let Err(error) = self.drop_unwanted(address) {
                tracing::warn!(%address, error, "a held address could not be released");
            }
        }
    }

    /// Notes the addresses of a pool handle's elements.
    pub(super) fn note_met(&mut self, handle: &str, addresses: &[IpAddr]) {
        let met = self.met.entry(handle.to_owned()).or_default();
        // Only as many as a host that moves every few seconds for an hour needs.
        if met.len() < 1_000 {
            met.extend(addresses.iter().copied());
        }
    }

    /// Whether an association's peer has had an address of the pool handle's elements.
    pub(super) fn once_met(&self, handle: &str, facts: &Facts) -> bool {
        self.met.get(handle).is_some_and(|met| facts.peers.iter().any(|(peer, _)| met.contains(peer)))
    }

    /// The addresses held.
    pub(super) fn held(&self) -> Vec<IpAddr> {
        self.holder.held().collect()
    }

    /// The routing table of an address.
    pub(super) fn table_of(&self, address: IpAddr) -> Option<u32> {
        self.routing.as_ref().and_then(|routing| routing.table_of(address))
    }

    /// Removes everything from the host.
    pub(super) fn leave(&mut self) {
        if let Err(error) = self.holder.release_all() {
            tracing::warn!(%error, "a held address could not be released");
        }
        if let Some(routing) = &mut self.routing
            && let Err(error) = routing.remove_all()
        {
            tracing::warn!(%error, "rules or routes could not be removed");
        }
        if let Some(translator) = self.translator.take() {
            match translator.uninstall() {
                Ok(()) => {
                    let table = self.table.take();
                    self.strike(table);
                }
                Err(error) => tracing::warn!(%error, "the table `inet roam` could not be removed"),
            }
        }
    }
}
