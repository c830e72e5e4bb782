//! Being found and finding: this host's pool elements are kept registered where they really are, and the peers' pool
//! handles subscribed to.
//!
//! A thin layer over [`RegistrarClient`]: it knows the configuration, the caller tells it the usable addresses and the
//! listening programs, and it tells where peers are. Identifiers of elements are kept in the journal, so that a daemon
//! that was killed replaces its own elements instead of adding to them.

mod narrow;
mod reconfigure;

pub use self::narrow::Narrow;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use asap_client::client::{ElementConfig, Event};
use asap_client::driver::{self, Events, RegistrarClient};
use asap_client::wire::{self, Cause, Policy, PoolHandle};

use crate::config::{Config, Element, ElementPolicy, Peer, Registrars, TransportUse};
use crate::control::protocol::NOBODY_LISTENS;
use crate::control::{ElementReport, RegistrationReport};
use crate::journal::{Entry, EntryId, Journal};

/// How long the registrar is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// A program that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// On this SCTP port.
    pub port: u16,
    /// Where that can be told.
    pub executable: Option<PathBuf>,
}

/// Where the peers of a `[[peer]]` entry are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The pool handle.
    pub handle: String,
    /// Their port; `None` where they differ or there are none.
    pub port: Option<u16>,
    /// Their addresses, in the order in which they registered them; none when nobody is registered.
    pub addresses: Vec<IpAddr>,
}

/// Our registrations and our peers' places.
#[derive(Debug)]
pub struct Locate {
    /// None without registrars: then there is nothing to do.
    client: Option<(RegistrarClient, Events)>,
    journal: Journal,
    elements: Vec<Own>,
    peers: Vec<Peer>,
    /// What was told last, for each `[[peer]]`.
    told: Vec<Option<Located>>,
    /// What is still to be told.
    news: Vec<Located>,
    home: Option<SocketAddr>,
    offline: bool,
    counts: RegistrationReport,
}

/// A configured element of this host.
#[derive(Debug)]
struct Own {
    config: Element,
    handle: PoolHandle,
    id: u32,
    entry: Option<EntryId>,
    /// The port of the program that is alive.
    port: Option<u16>,
    addresses: Option<Vec<IpAddr>>,
    /// When the registrar confirmed it the last time.
    confirmed: Option<Instant>,
    why: String,
}

impl Locate {
    /// Starts with no address and no program as yet. Subscribes to the peers.
    ///
    /// # Errors
    /// The journal cannot be written, or the kernel gives no random numbers.
    pub fn start(config: &Config, journal: &Journal) -> io::Result<Self> {
        let client = registrar_client(&config.registrars);
        let mut kept = kept_identifiers(journal);
        let mut elements = Vec::new();
        for element in config.elements.iter().filter(|_| client.is_some()) {
            let (entry, id) = match kept.get_mut(&element.handle).and_then(Vec::pop) {
                Some((entry, id)) => (entry, id),
                None => {
                    let id = random_identifier()?;
                    (journal.record(Entry::Element { handle: element.handle.clone(), id })?, id)
                }
            };
            elements.push(Own::new(element.clone(), handle(&element.handle)?, id, entry));
        }
        // Identifiers of elements that are configured no more.
        for (entry, _) in kept.into_values().flatten() {
            journal.forget(entry)?;
        }
        if let Some((client, _)) = &client {
            for peer in &config.peers {
                client.subscribe(handle(&peer.handle)?);
            }
        }
        Ok(Self {
            client,
            journal: journal.clone(),
            elements,
            peers: config.peers.clone(),
            told: vec![None; config.peers.len()],
            news: Vec::new(),
            home: None,
            offline: true,
            counts: RegistrationReport::default(),
        })
    }

    /// The usable addresses, the one to be tried first at the front, and the programs that listen. Cheap when nothing
    /// has changed. New addresses are registered at once.
    pub fn follow(&mut self, usable: &[IpAddr], programs: &[Program]) {
        let Some((client, _)) = &self.client else { return };
        self.offline = usable.is_empty();
        client.set_local_addresses(usable.to_vec());
        for own in &mut self.elements {
            let port = programs.iter().find(|program| fits(&own.config, program)).map(|program| program.port);
            if port == own.port {
                continue;
            }
            own.port = port;
            match port {
                Some(port) => {
                    own.why = "being registered".to_owned();
                    client.register(own.at(port));
                }
                None => {
                    own.why = NOBODY_LISTENS.to_owned();
                    own.addresses = None;
                    client.deregister(own.handle.clone(), own.id);
                }
            }
        }
    }

    /// Registers every element anew at once, as after a sleep in which its registration may have run out.
    pub fn renew(&self) {
        let Some((client, _)) = &self.client else { return };
        for (own, port) in self.elements.iter().filter_map(|own| Some((own, own.port?))) {
            client.register(own.at(port));
        }
    }

    /// Somebody waits for this peer to turn up, or no more: registrars that do not tell of changes by themselves are
    /// asked again and again while somebody does.
    pub fn urge(&self, peer: &str, on: bool) {
        if let (Some((client, _)), Ok(handle)) = (&self.client, handle(peer)) {
            client.urge(handle, on);
        }
    }

    /// Waits for news of where a peer is. Never ends without registrars or peers; nothing is lost when it is
    /// cancelled.
    pub async fn next(&mut self) -> Located {
        loop {
            if let Some(located) = self.news.pop() {
                return located;
            }
            let Some((_, events)) = &mut self.client else { return std::future::pending().await };
            let Some(event) = events.next().await else { return std::future::pending().await };
            self.take(event);
        }
    }

    /// What came of registrations since the beginning.
    pub const fn counts(&self) -> RegistrationReport {
        self.counts
    }

    /// Whether a registrar is looked for.
    pub fn is_looking(&self) -> bool {
        self.client.is_some() && self.home.is_none()
    }

    /// The home registrar, while there is one.
    pub fn registrar(&self) -> Option<SocketAddr> {
        self.home
    }

    /// The own elements, for `roam status`.
    pub fn elements(&self) -> Vec<ElementReport> {
        let report = |own: &Own| ElementReport {
            handle: own.config.handle.clone(),
            id: own.id,
            port: own.port.or(own.config.port).unwrap_or_default(),
            registered: own.addresses.is_some(),
            addresses: own.addresses.clone().unwrap_or_default(),
            confirmed_ms: own.confirmed.filter(|_| own.addresses.is_some()).map(milliseconds_since),
            life_ms: u64::try_from(own.config.life.as_millis()).unwrap_or(u64::MAX),
            why: match (&own.addresses, own.port, self.offline, self.home) {
                (None, Some(_), true, _) => "the host has no usable address".to_owned(),
                (None, Some(_), false, None) => "no registrar has answered yet".to_owned(),
                _ => own.why.clone(),
            },
        };
        self.elements.iter().map(report).collect()
    }

    /// Where peers were located last.
    pub fn located(&self) -> impl Iterator<Item = &Located> {
        self.told.iter().flatten()
    }

    /// Takes this host's elements out of their pools, waiting for the registrar for a second at most.
    pub async fn stop(self) {
        if let Some((client, events)) = self.client {
            drop(events);
            client.close(PATIENCE).await;
        }
        for entry in self.elements.iter().filter_map(|own| own.entry) {
            if let Err(error) = self.journal.forget(entry) {
                tracing::warn!(%error, "the journal cannot be written");
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Home { registrar } => {
                self.home = registrar.first().copied();
                tracing::info!(?registrar, "a registrar is our home");
            }
            Event::HomeLost | Event::Offline => self.home = None,
            Event::Registered { handle, id, addresses, warnings } => {
                tracing::info!(%handle, id, ?addresses, "registered");
                self.counts.confirmed += 1;
                self.update(&handle, id, Some(addresses), causes("registered", &warnings));
            }
            Event::Rejected { handle, id, causes: why } => {
                let why = causes("refused by the registrar", &why);
                tracing::warn!(%handle, id, why, "not registered");
                self.counts.refused += 1;
                self.update(&handle, id, None, why);
            }
            Event::Unregistered { handle, id } => {
                self.counts.unanswered += 1;
                self.update(&handle, id, None, "the registrar does not answer".to_owned());
            }
            Event::Expired { handle, id } => {
                self.counts.expired += 1;
                self.update(&handle, id, None, "being renewed".to_owned());
            }
            Event::Withdrawn { handle, id } => {
                tracing::info!(%handle, id, "registered no more");
            }
            Event::Pool { handle, answer } => self.pool(&handle, &answer.elements),
            Event::Unanswered { handle } => tracing::warn!(%handle, "the registrar does not say who this is"),
            Event::Error(why) => {
                tracing::warn!(why = causes("it did not understand us", &why), "the registrar complains");
            }
            Event::Nonsense { why } => tracing::debug!(why, "a registrar sent nonsense"),
        }
    }

    fn update(&mut self, handle: &PoolHandle, id: u32, addresses: Option<Vec<IpAddr>>, why: String) {
        let own = self.elements.iter_mut().find(|own| own.id == id && own.handle == *handle);
        if let Some(own) = own.filter(|own| own.port.is_some()) {
            own.confirmed = addresses.as_ref().map(|_| now());
            (own.addresses, own.why) = (addresses, why);
        }
    }

    /// A pool has changed: tells it for every entry with this handle, where it is news to it.
    fn pool(&mut self, handle: &PoolHandle, elements: &[wire::PoolElement]) {
        for (peer, told) in self.peers.iter().zip(&mut self.told) {
            if peer.handle.as_bytes() != handle.as_bytes() {
                continue;
            }
            let located = place(peer, elements);
            if told.as_ref() != Some(&located) {
                tracing::info!(%handle, addresses = ?located.addresses, port = located.port, "located");
                *told = Some(located.clone());
                self.news.insert(0, located);
            }
        }
    }
}

/// A client of the configured registrars, if there are any.
fn registrar_client(registrars: &Registrars) -> Option<(RegistrarClient, Events)> {
    (!registrars.is_empty()).then(|| {
        let listed = registrars.fixed.iter().map(|registrar| vec![*registrar]).collect();
        let groups = registrars.groups.clone();
        RegistrarClient::spawn(driver::Config { groups, ..driver::Config::mobile(listed, None) })
    })
}

impl Own {
    fn new(config: Element, handle: PoolHandle, id: u32, entry: EntryId) -> Self {
        let why = NOBODY_LISTENS.to_owned();
        Self { config, handle, id, entry: Some(entry), port: None, addresses: None, confirmed: None, why }
    }

    fn at(&self, port: u16) -> ElementConfig {
        ElementConfig {
            handle: self.handle.clone(),
            id: self.id,
            port,
            use_: match self.config.transport_use {
                TransportUse::Data => wire::TransportUse::DataOnly,
                TransportUse::Control => wire::TransportUse::DataPlusControl,
            },
            policy: match self.config.policy {
                ElementPolicy::RoundRobin => Policy::RoundRobin,
            },
            life: Some(self.config.life),
            addresses: None,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tells how long ago something was confirmed")]
fn now() -> Instant {
    Instant::now()
}

fn milliseconds_since(then: Instant) -> u64 {
    u64::try_from(now().duration_since(then).as_millis()).unwrap_or(u64::MAX)
}

fn handle(text: &str) -> io::Result<PoolHandle> {
    text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn fits(element: &Element, program: &Program) -> bool {
    let port = element.port.is_none_or(|port| port == program.port);
    port && (element.executable.is_none() || element.executable == program.executable)
}

/// Where the elements are that an entry means.
fn place(peer: &Peer, elements: &[wire::PoolElement]) -> Located {
    let mut ports: Vec<u16> = Vec::new();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for element in elements {
        let wire::Transport::Sctp { port, addresses: theirs, .. } = &element.user else { continue };
        if peer.port.is_some_and(|wanted| wanted != *port) {
            continue;
        }
        if !ports.contains(port) {
            ports.push(*port);
        }
        for address in theirs {
            if !addresses.contains(address) {
                addresses.push(*address);
            }
        }
    }
    let port = if let [port] = ports[..] { Some(port) } else { None };
    Located { handle: peer.handle.clone(), port, addresses }
}

fn causes(what: &str, causes: &[Cause]) -> String {
    let mut text = what.to_owned();
    for (i, cause) in causes.iter().enumerate() {
        text.push_str(if i == 0 { ": " } else { ", " });
        text.push_str(&cause.to_string());
    }
    text
}

/// The identifiers that an earlier daemon used, for each handle, the first used last.
fn kept_identifiers(journal: &Journal) -> BTreeMap<String, Vec<(EntryId, u32)>> {
    let mut kept: BTreeMap<String, Vec<(EntryId, u32)>> = BTreeMap::new();
    for (entry, what) in journal.pending().into_iter().rev() {
        if let Entry::Element { handle, id } = what {
            kept.entry(handle).or_default().push((entry, id));
        }
    }
    kept
}

/// A good random number (RFC 5352 §3.1, R2), not 0.
fn random_identifier() -> io::Result<u32> {
    let mut source = std::fs::File::open("/dev/urandom")?;
    loop {
        let mut octets = [0; 4];
        source.read_exact(&mut octets)?;
        match u32::from_ne_bytes(octets) {
            0 => {}
            id => return Ok(id),
        }
    }
}

#[cfg(test)]
mod tests;
