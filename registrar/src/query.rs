//! Questions to the service loop about what the registrar knows.
//!
//! The loop answers each within a moment: a summary costs nothing that grows but with
//! the number of registrars, and tables are read slice by slice, so
//! that no dump, however long, holds up a resolution. Between two slices the registrar goes on: what is there all
//! the time is read exactly once.

use asap_client::wire::{Policy, PoolHandle};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use crate::Association;
use crate::asap::Counters;
use crate::dump::{AssociationDump, Peers};
use crate::enrp;
use crate::handlespace::Element;
use crate::machine::Registrar;

/// Entries of a slice.
pub(crate) const SLICE: usize = 64;

/// How long the loop may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far the registrar is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It asks others for the handlespace; what it answers may be incomplete.
    Synchronising,
    /// What it answers is complete.
    #[default]
    InService,
    /// Its elements are being handed to other registrars; then it stops.
    Draining,
}

impl State {
    /// The registrar's.
    pub(crate) fn of(registrar: &Registrar) -> Self {
        match registrar.enrp() {
            enrp if enrp.is_draining() => Self::Draining,
            enrp if enrp.is_ready() => Self::InService,
            _ => Self::Synchronising,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Synchronising => "synchronising",
            Self::InService => "in service",
            Self::Draining => "draining",
        })
    }
}

/// The registrar in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) identifier: u32,
    pub(crate) listening: Vec<String>,
    pub(crate) state: State,
    pub(crate) pools: usize,
    pub(crate) elements: usize,
    pub(crate) associations: usize,
    /// Those of them that are TCP connections.
    pub(crate) over_tcp: usize,
    pub(crate) subscriptions: usize,
    /// Pool elements of which it is the home.
    pub(crate) own_elements: usize,
    pub(crate) peers: PeerNumbers,
    pub(crate) counters: Counters,
    pub(crate) enrp: enrp::Counters,
    /// Clients dropped since they did not read what was sent to them.
    pub(crate) dropped_not_reading: u64,
    /// Resolutions dropped since more waited than can be answered.
    pub(crate) dropped_resolutions: u64,
}

/// The other registrars in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerNumbers {
    /// Those that are known.
    pub(crate) known: usize,
    /// Those of them that live.
    pub(crate) active: usize,
    /// Those that are being taken over, by whomever.
    pub(crate) taken_over: usize,
}

impl PeerNumbers {
    fn of(registrar: &Registrar) -> Self {
        let mut numbers = Self::default();
        for peer in registrar.enrp().peers() {
            numbers.known += 1;
            numbers.active += usize::from(peer.state == enrp::PeerState::Active);
            numbers.taken_over += usize::from(peer.takeover.is_some());
        }
        numbers
    }
}

/// Which elements are asked for: at most `limit`, in order of their pools' handles and their identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    /// Only this pool's.
    pub(crate) pool: Option<PoolHandle>,
    /// Only those that come after this one, which need not be there.
    pub(crate) after: Option<(PoolHandle, u32)>,
    pub(crate) limit: usize,
}

/// Elements, as far as the limit went.
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    /// When it was so.
    pub(crate) now: Instant,
    pub(crate) pools: Vec<PoolPart>,
    /// There are others behind.
    pub(crate) more: bool,
}

/// A pool with some of its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolPart {
    pub(crate) handle: PoolHandle,
    pub(crate) policy: Policy,
    /// How many elements the pool has.
    pub(crate) len: usize,
    /// Those asked for; never none.
    pub(crate) elements: Vec<Row>,
}

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) element: Element,
    /// When it last answered a keep-alive.
    pub(crate) answered: Option<Instant>,
}

/// Associations in order of their numbers, as far as the slice went.
#[derive(Clone, Debug)]
pub(crate) struct Associations {
    pub(crate) associations: Vec<AssociationDump>,
    /// There are others behind.
    pub(crate) more: bool,
}

/// A question, with where the answer goes.
#[derive(Debug)]
pub(crate) enum Query {
    Summary(oneshot::Sender<Summary>),
    Peers(oneshot::Sender<Peers>),
    Elements(Range, oneshot::Sender<Elements>),
    /// Those after this one.
    Associations(Option<Association>, oneshot::Sender<Associations>),
}

/// What the driver knows and the machine does not.
pub(crate) struct Surroundings<'a> {
    pub(crate) listening: &'a [String],
    pub(crate) dropped_not_reading: u64,
    pub(crate) dropped_resolutions: u64,
    /// The octets that wait for an association.
    pub(crate) outstanding: &'a dyn Fn(Association) -> usize,
}

impl Query {
    /// Answers; for the owner of the machine.
    pub(crate) fn answer(self, registrar: &Registrar, now: Instant, around: &Surroundings<'_>) {
        // Who does not wait for the answer any more does not need it.
        match self {
            Self::Summary(to) => drop(to.send(Summary::new(registrar, around))),
            Self::Peers(to) => drop(to.send(Peers::new(registrar, now))),
            Self::Elements(range, to) => drop(to.send(Elements::new(registrar, now, &range))),
            Self::Associations(after, to) => {
                drop(to.send(Associations::new(registrar, now, after, around.outstanding)));
            }
        }
    }
}

impl Summary {
    fn new(registrar: &Registrar, around: &Surroundings<'_>) -> Self {
        let (asap, space) = (registrar.asap(), registrar.handlespace());
        let identifier = asap.settings().server;
        Self {
            identifier,
            listening: around.listening.to_vec(),
            state: State::of(registrar),
            pools: space.pool_count(),
            elements: space.len(),
            associations: asap.associations().len(),
            over_tcp: asap.over_tcp(),
            subscriptions: asap.subscription_count(),
            own_elements: space.count_of_home(identifier),
            peers: PeerNumbers::of(registrar),
            counters: *asap.counters(),
            enrp: *registrar.enrp().counters(),
            dropped_not_reading: around.dropped_not_reading,
            dropped_resolutions: around.dropped_resolutions,
        }
    }
}

impl Elements {
    fn new(registrar: &Registrar, now: Instant, range: &Range) -> Self {
        let space = registrar.handlespace();
        let after = range.after.as_ref().map(|(handle, id)| (handle, *id));
        let beyond = range.limit.saturating_add(1);
        let mut keys = match &range.pool {
            Some(pool) => {
                let after = after.filter(|(handle, _)| *handle == pool).map(|(_, id)| id);
                space.page_of_pool(pool, after, beyond)
            }
            None => space.page(None, after, beyond),
        };
        let more = keys.len() > range.limit;
        keys.truncate(range.limit);
        let mut pools: Vec<PoolPart> = Vec::new();
        for (pool, element) in keys.into_iter().filter_map(|key| space.get(key)) {
            let row = Row { element: element.clone(), answered: pool.answered(element.id) };
            match pools.last_mut().filter(|part| part.handle == *pool.handle()) {
                Some(part) => part.elements.push(row),
                None => pools.push(PoolPart {
                    handle: pool.handle().clone(),
                    policy: pool.policy().clone(),
                    len: pool.len(),
                    elements: vec![row],
                }),
            }
        }
        Self { now, pools, more }
    }

    /// The last element, to go on after it.
    pub(crate) fn last(&self) -> Option<(&PoolHandle, u32)> {
        let part = self.pools.last()?;
        Some((&part.handle, part.elements.last()?.element.id))
    }
}

impl Associations {
    /// Subscriptions count as entries too: an association may have hundreds.
    fn new(
        registrar: &Registrar,
        now: Instant,
        after: Option<Association>,
        outstanding: &dyn Fn(Association) -> usize,
    ) -> Self {
        let registrar = registrar.asap();
        let mut associations = Vec::new();
        let mut entries = 0;
        for association in registrar.associations_after(after) {
            if entries >= SLICE {
                return Self { associations, more: true };
            }
            if let Some(dump) = AssociationDump::new(registrar, association, now, outstanding(association)) {
                entries += 1 + dump.subscriptions.len();
                associations.push(dump);
            }
        }
        Self { associations, more: false }
    }
}

/// Where to ask.
#[derive(Clone, Debug)]
pub(crate) struct Queries(mpsc::Sender<Query>);

impl Queries {
    /// A way to ask, and the loop's end of it. Only one question waits at a time.
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Query>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// The registrar in numbers.
    ///
    /// # Errors
    /// The loop does not answer, as with all questions.
    pub(crate) async fn summary(&self) -> io::Result<Summary> {
        self.ask(Query::Summary).await
    }

    /// The other registrars.
    pub(crate) async fn peers(&self) -> io::Result<Peers> {
        self.ask(Query::Peers).await
    }

    /// Some elements.
    pub(crate) async fn elements(&self, range: Range) -> io::Result<Elements> {
        self.ask(|to| Query::Elements(range, to)).await
    }

    /// Some associations, from the first one after `after` on.
    pub(crate) async fn associations(&self, after: Option<Association>) -> io::Result<Associations> {
        self.ask(|to| Query::Associations(after, to)).await
    }

    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> io::Result<T> {
        let (sender, receiver) = oneshot::channel();
        let answered = async {
            self.0.send(query(sender)).await.ok()?;
            receiver.await.ok()
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(io::Error::other("it stops, and answers no more")),
            Err(_) => {
                let why = format!("it is so busy that it has not answered within {} s", PATIENCE.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, why))
            }
        }
    }
}
