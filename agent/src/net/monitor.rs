//! Hears what changes on the host's network and publishes what it means for its addresses.
//!
//! Subscribe first, then look at everything, then apply what was heard meanwhile: nothing can fall between.
//! One event is applied, judged and published within the same wake-up, without a delay: calm is the planner's
//! business, which alone knows whether anything is stranded.
#![expect(clippy::disallowed_methods, reason = "the driver of the network core owns the clock")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::ask;
use super::event::{Event, OUR_PROTOCOL};
use super::neighbours::first_hops;
use super::netlink::{Events, Heard, NetlinkError, Requests};
use super::ours::{Own, SharedOurs};
use super::snapshot::{Doubt, OUR_TABLES, Snapshot};
use super::usable::{LocalAddress, Unusable, judge};
use super::view::View;
use super::wire::{INET, INET6};
use crate::config::Config;

/// At most one look at everything in this time, however often the receive buffer runs over.
const RESYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Watches the network of the namespace in which it was started. Dropping it ends the watch.
#[derive(Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
    peers: watch::Sender<BTreeSet<IpAddr>>,
    config: watch::Sender<Config>,
    task: JoinHandle<()>,
}

/// How the watch has fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages understood.
    pub events: u64,
    /// Wake-ups after which nothing had changed that matters.
    pub ignored: u64,
    /// Overflows of the receive buffer.
    pub overruns: u64,
    /// Looks at everything, the first included.
    pub resyncs: u64,
    /// Things that the kernel listed when it was asked for all there is of a kind.
    pub listed: u64,
}

/// How packets from one address to another would leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteAnswer {
    /// The number of the interface.
    pub ifindex: u32,
    /// The next router, if the destination is not on the link.
    pub gateway: Option<IpAddr>,
}

/// Why packets from one address to another would not leave.
#[derive(Debug, thiserror::Error)]
pub enum RouteRefusal {
    /// The source is none of this host's addresses, or its family is not the destination's.
    #[error("{0} is not an address of this host")]
    NotLocal(IpAddr),
    /// No route leads there, or it forbids.
    #[error("no route from {from} to {to}")]
    NoRoute {
        /// Source.
        from: IpAddr,
        /// Destination.
        to: IpAddr,
    },
    /// The kernel could not be asked.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

#[derive(Debug)]
struct Shared {
    requests: Mutex<Requests>,
    ours: SharedOurs,
    resync: Notify,
    events: AtomicU64,
    ignored: AtomicU64,
    overruns: AtomicU64,
    resyncs: AtomicU64,
    listed: AtomicU64,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitor {
    /// Starts watching; the first view is complete when this returns.
    ///
    /// # Errors
    /// The kernel's netlink is out of reach.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[expect(clippy::unused_async, reason = "says that a runtime is needed")]
    pub async fn start(config: &Config) -> Result<(Self, watch::Receiver<Arc<View>>), NetlinkError> {
        let receive_buffer = config.agent.receive_buffer;
        let shared = Arc::new(Shared {
            requests: Mutex::new(Requests::open()?),
            ours: SharedOurs::default(),
            resync: Notify::new(),
            events: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            overruns: AtomicU64::new(0),
            resyncs: AtomicU64::new(0),
            listed: AtomicU64::new(0),
        });
        let events = Events::open(receive_buffer)?;
        let (peers, peers_seen) = watch::channel(BTreeSet::new());
        let (config, config_seen) = watch::channel(config.clone());
        let (views, seen) = watch::channel(Arc::default());
        let mut watcher = Watcher {
            config: config_seen,
            shared: Arc::clone(&shared),
            events,
            receive_buffer,
            snapshot: Snapshot::default(),
            peers: peers_seen,
            views,
            last_resync: Instant::now(),
            resync_due: None,
        };
        watcher.look_at_everything()?;
        watcher.publish();
        let task = tokio::spawn(watcher.run());
        Ok((Self { shared, peers, config, task }, seen))
    }

    /// Another configuration holds from now on. The view follows.
    pub fn set_config(&self, config: &Config) {
        self.config.send_replace(config.clone());
    }

    /// Tells which peers there are: where no default route exists, an address is usable if its interface has
    /// a route to one of them.
    pub fn set_peers(&self, peers: BTreeSet<IpAddr>) {
        self.peers.send_if_modified(|known| {
            let changed = *known != peers;
            *known = peers;
            changed
        });
    }

    /// Asks the kernel by which interface a packet from `from` to `to` would leave. Takes some 10 us.
    ///
    /// # Errors
    /// It would not leave; the error says why.
    pub fn route_check(&self, from: IpAddr, to: IpAddr) -> Result<RouteAnswer, RouteRefusal> {
        route_check(&mut self.shared.requests(), from, to)
    }

    /// Looks at everything again, as after a jump of the clock. The view follows if anything differs.
    pub fn resync(&self) {
        self.shared.resync.notify_one();
    }

    /// How the watch has fared since its start.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            events: read(&self.shared.events),
            ignored: read(&self.shared.ignored),
            overruns: read(&self.shared.overruns),
            resyncs: read(&self.shared.resyncs),
            listed: read(&self.shared.listed),
        }
    }

    pub(crate) fn ours(&self) -> SharedOurs {
        self.shared.ours.clone()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn route_check(requests: &mut Requests, from: IpAddr, to: IpAddr) -> Result<RouteAnswer, RouteRefusal> {
    const UNICAST: u8 = 1;
    const LOCAL: u8 = 2;
    if from.is_ipv4() != to.is_ipv4() {
        return Err(RouteRefusal::NotLocal(from));
    }
    let mut answer = None;
    let asked = requests.ask_raw("ip route get", ask::lookup(from, to), |raw| {
        answer = ask::looked_up(raw.body);
    });
    match asked {
        Ok(()) => {}
        Err(refusal) if refusal.errno() == libc::EINVAL => return Err(RouteRefusal::NotLocal(from)),
        Err(refusal) if matches!(refusal.errno(), libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES) => {
            return Err(RouteRefusal::NoRoute { from, to });
        }
        Err(other) => return Err(other.into()),
    }
    match answer {
        Some((UNICAST | LOCAL, Some(ifindex), gateway)) => Ok(RouteAnswer { ifindex, gateway }),
        _ => Err(RouteRefusal::NoRoute { from, to }),
    }
}

/// The task behind a [`Monitor`].
struct Watcher {
    config: watch::Receiver<Config>,
    shared: Arc<Shared>,
    events: Events,
    receive_buffer: usize,
    snapshot: Snapshot,
    peers: watch::Receiver<BTreeSet<IpAddr>>,
    views: watch::Sender<Arc<View>>,
    last_resync: Instant,
    resync_due: Option<Instant>,
}

impl Watcher {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            let due = self.resync_due;
            let outcome = tokio::select! {
                heard = self.events.hear() => match heard {
                    Ok(heard) => self.take_in(heard),
                    Err(cause) => {
                        tracing::warn!(target: "net", %cause, "lost the subscription to network changes");
                        self.subscribe_again()
                    }
                },
                changed = self.peers.changed() => match changed {
                    Ok(()) => Ok(()),
                    Err(_) => return, // the monitor is dropped
                },
                changed = self.config.changed() => match changed {
                    Ok(()) => Ok(()),
                    Err(_) => return,
                },
                () = shared.resync.notified() => self.look_at_everything(),
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    self.look_at_everything()
                }
            };
            if let Err(cause) = outcome {
                tracing::warn!(target: "net", %cause, "cannot look at the network; trying again");
                self.resync_due = Some(Instant::now() + RESYNC_INTERVAL);
                sleep(Duration::from_millis(10)).await;
            }
            self.publish();
        }
    }

    fn subscribe_again(&mut self) -> Result<(), NetlinkError> {
        self.events = Events::open(self.receive_buffer)?;
        self.look_at_everything()
    }

    fn take_in(&mut self, heard: Heard) -> Result<(), NetlinkError> {
        self.shared.events.fetch_add(heard.events.len() as u64, Ordering::Relaxed);
        let mut doubts = Vec::new();
        let ticks = |event: &Event| matches!(event, Event::Address(it) | Event::AddressGone(it) if it.address == ask::TICK);
        for event in heard.events.into_iter().filter(|event| !ticks(event)) {
            self.note_ours(&event);
            if let Some(doubt) = self.snapshot.apply(event)
                && !doubts.contains(&doubt)
            {
                doubts.push(doubt);
            }
        }
        if heard.overrun {
            self.shared.overruns.fetch_add(1, Ordering::Relaxed);
            let allowed = self.last_resync + RESYNC_INTERVAL;
            if Instant::now() >= allowed || self.shared.resyncs.load(Ordering::Relaxed) == 1 {
                return self.look_at_everything();
            }
            self.resync_due.get_or_insert(allowed);
        }
        doubts.into_iter().try_for_each(|doubt| self.look_again(doubt))
    }

    /// Keeps the book of our own rules and routes.
    fn note_ours(&self, event: &Event) {
        let mut ours = self.shared.ours.lock();
        match event {
            Event::Link(link) if !link.up => ours.routes_gone(link.ifindex, false),
            Event::LinkGone(ifindex) => ours.routes_gone(*ifindex, false),
            Event::AddressGone(address) if address.address.is_ipv4() => {
                ours.routes_gone(address.ifindex, true);
            }
            Event::RoutesGone(routes) => {
                for route in routes.iter().filter(|route| OUR_TABLES.contains(&route.table)) {
                    ours.gone(&Own::route(route, route.table));
                }
            }
            Event::RuleGone(rule) if rule.protocol == OUR_PROTOCOL => {
                if let Some((from, _)) = rule.from {
                    ours.gone(&Own::Rule { from, table: rule.table });
                }
            }
            _ => {}
        }
    }

    fn look_again(&mut self, doubt: Doubt) -> Result<(), NetlinkError> {
        self.snapshot.forget(doubt);
        let questions: Vec<_> = match doubt {
            Doubt::Routes(ifindex) => {
                let tables = self.snapshot.tables();
                tables.into_iter().map(|table| ask::routes(INET, table, Some(ifindex))).collect()
            }
            Doubt::Table(table) => [INET, INET6].map(|family| ask::routes(family, table, None)).into(),
        };
        for question in questions {
            let listed = dump(&mut self.shared.requests(), "ip route show", question)?;
            self.shared.listed.fetch_add(listed.len() as u64, Ordering::Relaxed);
            for event in listed {
                self.snapshot.apply(event);
            }
        }
        Ok(())
    }

    fn look_at_everything(&mut self) -> Result<(), NetlinkError> {
        self.last_resync = Instant::now();
        self.resync_due = None;
        let first = self.shared.resyncs.fetch_add(1, Ordering::Relaxed) == 0;
        let listed;
        (self.snapshot, listed) = look(&mut self.shared.requests())?;
        self.shared.listed.fetch_add(listed, Ordering::Relaxed);
        if !first {
            self.shared.ours.lock().doubt();
        }
        Ok(())
    }

    fn publish(&mut self) {
        let peers = self.peers.borrow_and_update().clone();
        let config = self.config.borrow_and_update().clone();
        let mut addresses = judge(&self.snapshot, &config, &peers);
        if !config.agent.manage_routes {
            let mut requests = self.shared.requests();
            for local in addresses.iter_mut().filter(|local| local.usable()) {
                check_source(&mut requests, local, &peers);
            }
        }
        self.resolve_first_hops(&addresses, &peers);
        let view = View { addresses, lost: self.shared.ours.lock().lost };
        let published = self.views.send_if_modified(|current| {
            let changed = **current != view;
            if changed {
                *current = Arc::new(view);
            }
            changed
        });
        if !published {
            self.shared.ignored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Best effort: what could not be asked for now is asked for by the first packet.
    fn resolve_first_hops(&self, addresses: &[LocalAddress], peers: &BTreeSet<IpAddr>) {
        let hops = first_hops(&self.views.borrow(), addresses, &self.snapshot, peers);
        if hops.is_empty() {
            return;
        }
        let questions = hops.into_iter().map(|(ifindex, hop)| ask::resolve(ifindex, hop)).collect();
        for refused in self.shared.requests().apply(questions).into_iter().filter_map(Result::err) {
            tracing::debug!(target: "net", %refused, "a neighbour cannot be asked for");
        }
    }
}

/// Where the routes are not ours: do packets from this address really leave by its interface?
fn check_source(requests: &mut Requests, local: &mut LocalAddress, peers: &BTreeSet<IpAddr>) {
    let near = |peer: &&IpAddr| peer.is_ipv4() == local.address.is_ipv4();
    let Some(to) = peers.iter().find(near).copied().or(local.gateway) else { return };
    let leaves_by = match route_check(requests, local.address, to) {
        Ok(answer) if answer.ifindex == local.ifindex => return,
        Ok(answer) => Some(answer.ifindex),
        Err(_) => None,
    };
    local.verdict = Err(Unusable::NoSourceRoute { leaves_by });
}

/// Looks at all there is, and counts it.
fn look(requests: &mut Requests) -> Result<(Snapshot, u64), NetlinkError> {
    let (mut snapshot, mut listed) = (Snapshot::default(), 0);
    let mut take = |snapshot: &mut Snapshot, what: &str, question| {
        for event in dump(requests, what, question)? {
            snapshot.apply(event);
            listed += 1;
        }
        Ok(())
    };
    take(&mut snapshot, "ip link show", ask::links())?;
    for family in [INET, INET6] {
        take(&mut snapshot, "ip address show", ask::addresses(family))?;
        take(&mut snapshot, "ip rule show", ask::rules(family))?;
    }
    for table in snapshot.tables() {
        for family in [INET, INET6] {
            take(&mut snapshot, "ip route show", ask::routes(family, table, None))?;
        }
    }
    Ok((snapshot, listed))
}

/// A dump in which a table or family that does not exist is empty.
pub(crate) fn dump(
    requests: &mut Requests,
    what: &str,
    question: super::wire::Builder,
) -> Result<Vec<Event>, NetlinkError> {
    match requests.ask(what, question) {
        Err(refusal) if matches!(refusal.errno(), libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => {
            Ok(Vec::new())
        }
        other => other,
    }
}
