//! Start, the loop, stop.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use sctp_sys::probe::Probe;
use sctp_sys::tokio::AsyncWatch;
use sctp_sys::watch::{Sighting, Watch};
use tokio::signal::unix::{SignalKind, signal};

use tokio::sync::mpsc;

use super::Daemon;
use super::alone::Alone;
use super::arrivals::Arrivals;
use super::clocks::{Clocks, now_and_asleep};
use super::host::Host;
use super::pace::Pace;
use super::rights::Rights;
use super::story::Story;
use super::table::Table;
use super::tick::Tick;
use super::unseen::Unseen;
use crate::associations::{Key, Survey};
use crate::config::{Loaded, Sources};
use crate::decisions::Decisions;
use crate::handover::{Action, State};
use crate::journal::{Entry, Journal, JournalError};
use crate::locate::{Locate, Narrow};
use crate::net::{Monitor, NetlinkError, Prober, View};
use crate::paths::Paths;
use crate::preference::{Offer, Preference};
use crate::routing::{Holder, Routing};
use crate::tally::Tally;

/// Why the daemon did not start. Each says what mends it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No SCTP.
    #[error(
        "the kernel has no SCTP ({0}); `modprobe sctp` loads it, and so does a line `sctp` in /etc/modules-load.d/sctp.conf"
    )]
    NoSctp(String),
    /// Add-IP is off and cannot be switched on.
    #[error(
        "{name} is 0 and may not be set ({error}); `sysctl -w {name}=1` mends it, as root, before programs start"
    )]
    AddIpOff {
        /// The setting.
        name: &'static str,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Another daemon has this network namespace.
    #[error(
        "another roamd, process {pid}, looks after the associations of this network namespace; stop it first (`systemctl stop roamd`, or `kill {pid}`)"
    )]
    Another {
        /// Its process; 0 if it is in another process namespace.
        pid: i32,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The kernel's netlink.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The wire cannot be watched.
    #[error("ASCONF cannot be watched on the wire ({0}); the daemon needs CAP_NET_RAW")]
    Watch(std::io::Error),
    /// The control socket or the runtime.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Runs the daemon until SIGTERM or SIGINT. At SIGHUP, and when asked to, it reads `sources` again, of which `loaded` came.
///
/// # Errors
/// See [`StartError`]; nothing has been changed on the host then, but what the journal names.
pub async fn run(sources: Sources, loaded: Loaded) -> Result<(), StartError> {
    let probe = Probe::look();
    if !probe.sctp {
        return Err(StartError::NoSctp("no SCTP socket can be opened".into()));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let rights = Rights::own();
    let mut config = loaded.config.clone();
    if !rights.admin {
        // What the host does by itself is looked at then, and addresses that it does not route are not used.
        config.agent.manage_routes = false;
    }
    let config = Arc::new(config);
    let _alone = Alone::take().await?;
    let journal = Journal::open(&config.agent.runtime_dir)?;
    if config.agent.enable_addip {
        switch_add_ip_on(&journal)?;
    }
    let (monitor, mut view) = Monitor::start(&config).await?;
    let holder = Holder::open(journal.clone())?;
    let routing = match config.agent.manage_routes {
        true => Some(Routing::open(&monitor, journal.clone())?),
        false => None,
    };
    let mut udp = udp_port();
    let mut wire = watch(udp, rights)?;
    let (host, no_translation) = Host::new(journal.clone(), holder, routing, udp);
    let prober = match Prober::open() {
        Ok(prober) => Some(prober),
        Err(error) => {
            tracing::info!(%error, "paths cannot be probed");
            None
        }
    };
    let decisions = Decisions::default();
    let (commands, mut requests) = mpsc::channel(64);
    let control = crate::control::serve(&config.agent.runtime_dir, commands, decisions.clone())?;
    let locate = Locate::start(&config, &journal)?;
    let mut daemon = Daemon {
        config: config.clone(),
        sources,
        loaded,
        mistake: None,
        host,
        survey: Survey::default(),
        associations: BTreeMap::new(),
        listeners: BTreeMap::new(),
        unmanageable: HashMap::new(),
        searched: None,
        by_hand: HashMap::new(),
        view: Arc::default(),
        preference: Preference::new(&config.agent),
        offer: Offer::default(),
        changes: 0,
        paths: Paths::default(),
        prober,
        clocks: Clocks::default(),
        rights,
        unseen: wire.is_none().then(Unseen::default),
        narrow: Narrow::default(),
        window: None,
        tick: Tick::default(),
        look_due: None,
        pace: Pace::default(),
        arrivals: Arrivals::default(),
        located: HashMap::new(),
        story: Story(decisions),
        tally: Tally::default(),
        monitor,
        locate,
        followed: None,
        urged: HashSet::new(),
        problems: Vec::new(),
        started: Instant::now(),
    };
    daemon.problems.extend(other_managers());
    for problem in rights.problems() {
        daemon.story.warn(&problem);
        daemon.problems.push(problem);
    }
    if let Some(error) = no_translation.filter(|_| rights.admin) {
        let text = format!("{error}; only one end of a handover can then be moved, and not every one");
        daemon.story.warn(&text);
        daemon.problems.push(text);
    }
    let mut table = Table::watch(&daemon);
    let first = view.borrow_and_update().clone();
    daemon.network(first);
    daemon.look_around();
    daemon.host.drop_inheritance();
    daemon.follow();
    super::notify::ready();
    tracing::info!("ready");
    let mut poll = every(config.agent.poll);
    // By the loop itself, so that one that stands still is not taken for alive.
    let mut watchdog = super::notify::watchdog().map(every);
    loop {
        if poll.period() != daemon.config.agent.poll {
            poll = every(daemon.config.agent.poll);
        }
        let wake = daemon.wake();
        tokio::select! {
            biased;
            () = ticks(&mut watchdog) => super::notify::alive(),
            changed = view.changed() => {
                if changed.is_err() { break }
                let now = view.borrow_and_update().clone();
                daemon.network(now);
                daemon.follow();
            }
            // Before what may never end while many associations are busy.
            _ = poll.tick() => {
                daemon.look_at_clocks();
                if udp != udp_port() {
                    udp = udp_port();
                    match watch(udp, rights) {
                        Ok(watch) => wire = watch,
                        Err(error) => daemon.story.warn(&error.to_string()),
                    }
                    daemon.takes_udp_at(udp);
                    table = Table::watch(&daemon);
                }
                if daemon.pace.is_due(Instant::now()) {
                    daemon.look_around();
                    daemon.follow();
                } else {
                    daemon.look_at_listeners();
                }
            }
            sighting = next(&mut wire) => match sighting {
                Ok(sighting) => daemon.sighted(&sighting),
                Err(error) => tracing::warn!(%error, "the wire cannot be watched for a moment"),
            },
            () = table.deleted() => table.restore(&mut daemon),
            located = daemon.locate.next() => daemon.located(located),
            command = requests.recv() => match command {
                Some(command) => daemon.command(command),
                None => break,
            },
            () = sleep_until(wake) => daemon.timers(),
            // What comes of it is told to the log and to whoever monitors.
            _ = hangup.recv() => drop(daemon.reload(false)),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("stopping");
    super::notify::stopping();
    control.stop();
    daemon.stop();
    daemon.locate.stop().await;
    let cleaned = crate::journal::cleanup(&journal);
    for failure in cleaned.failed {
        tracing::warn!(failure, "something was left on the host");
    }
    Ok(())
}

fn every(period: std::time::Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

async fn ticks(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The port at which this host takes SCTP in UDP (RFC 6951), if it does.
fn udp_port() -> Option<u16> {
    let port = sctp_sys::probe::Sysctl::UdpPort.read().ok()?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// Sees the wire, also what is wrapped in UDP from or to this port; none: it may not be seen.
fn watch(udp: Option<u16>, rights: Rights) -> Result<Option<AsyncWatch>, StartError> {
    match Watch::open_with(udp).and_then(AsyncWatch::new) {
        Ok(watch) => Ok(Some(watch)),
        Err(_) if !rights.raw => Ok(None),
        Err(error) => Err(StartError::Watch(error)),
    }
}

/// What passes there next; nothing, where the wire may not be watched.
async fn next(wire: &mut Option<AsyncWatch>) -> std::io::Result<Sighting> {
    match wire {
        Some(wire) => wire.next().await,
        None => std::future::pending().await,
    }
}

/// Add-IP and AUTH are copied to a socket when it is made, so they have to be on before programs start.
fn switch_add_ip_on(journal: &Journal) -> Result<(), StartError> {
    for name in ["net.sctp.addip_enable", "net.sctp.auth_enable"] {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let old = std::fs::read_to_string(&path)?.trim().to_owned();
        if old != "1" {
            journal.record(Entry::Sysctl { name: name.into(), old, new: "1".into() })?;
            std::fs::write(&path, "1").map_err(|error| StartError::AddIpOff { name, error })?;
        }
    }
    Ok(())
}

/// Who else moves associations on this host, each with what mends it.
fn other_managers() -> Option<String> {
    const NAME: &str = "net.sctp.default_auto_asconf";
    let value = std::fs::read_to_string(format!("/proc/sys/{}", NAME.replace('.', "/"))).ok()?;
    (value.trim() == "1").then(|| {
        format!(
            "{NAME} is 1: the kernel, too, moves the associations of wildcard sockets until roamd looks after them, and \
             can lose them; `sysctl -w {NAME}=0` leaves that to roamd"
        )
    })
}

impl StartError {
    /// The exit status that tells it from others: 4, the host cannot do what the daemon needs; 1 else.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::NoSctp(_) => 4,
            _ => 1,
        }
    }
}

impl Daemon {
    /// The host may have slept, or the daemon may have been stopped: what has happened meanwhile was not heard, and
    /// nobody has been told that this host is there.
    fn look_at_clocks(&mut self) {
        let (now, asleep) = now_and_asleep();
        let Some(missed) = self.clocks.look(now, asleep, self.config.agent.poll) else { return };
        let seconds = missed.as_secs_f64();
        self.story.warn(&format!(
            "nothing was done for {seconds:.1} s (asleep, or stopped): everything is looked at anew"
        ));
        self.monitor.resync();
        self.locate.renew();
        let keys: Vec<Key> = self.associations.keys().copied().collect();
        for key in keys {
            self.refresh(key);
            let peers =
                self.associations.get(&key).map(|it| it.planner.facts().peers.clone()).unwrap_or_default();
            for (peer, _) in peers {
                // One that cannot be sent now is sent in its time.
                let _ = self.act(key, &Action::Heartbeat(peer));
            }
        }
    }

    /// The host takes SCTP in UDP at another port than before.
    fn takes_udp_at(&mut self, udp: Option<u16>) {
        let text = match udp {
            Some(port) => format!("packets in UDP are taken at port {port} now (net.sctp.udp_port)"),
            None => "packets in UDP are taken no longer (net.sctp.udp_port)".to_owned(),
        };
        self.story.configured(&text, "the kernel's settings have changed");
        if let Err(error) = self.host.set_udp(udp) {
            self.story.warn(&format!("{error}; associations in UDP can be moved only as without nftables"));
        }
    }

    /// The network has changed.
    fn network(&mut self, view: Arc<View>) {
        for change in crate::net::diff(&self.view, &view) {
            self.story.address(change.address(), &change.to_string());
        }
        self.view = view.clone();
        self.host.network(view);
        self.offer_anew(Instant::now());
    }

    /// Tells the associations what they may use, if that has changed.
    fn offer_anew(&mut self, now: Instant) {
        if !self.prefer(now) {
            return;
        }
        // First, as there are few of them: else new associations would not find the host before the last old one has moved.
        self.move_listeners();
        let usable = self.usable();
        // Whoever has nothing left is moved at once; the others are calm for a moment, so that a burst of events is
        // one change.
        let urgent: Vec<Key> = self
            .associations
            .iter()
            .filter(|(_, managed)| {
                managed.planner.state() != State::Settled
                    || !managed.planner.facts().local.iter().any(|address| usable.contains(address))
            })
            .map(|(key, _)| *key)
            .collect();
        for key in urgent {
            self.offer_to(key);
        }
        self.window.get_or_insert_with(|| now + self.config.agent.settle_window);
    }

    /// When something is to be looked at again.
    fn wake(&self) -> Option<Instant> {
        self.associations
            .values()
            .filter_map(|managed| managed.planner.poll_timeout())
            .chain(self.window)
            .chain(self.look_due)
            .chain(self.arrivals.poll_timeout())
            .chain(self.tick_due())
            .chain(self.unseen.as_ref().and_then(Unseen::poll_timeout))
            .chain(self.preference.poll_timeout())
            .chain(self.paths.poll_timeout())
            .min()
    }

    fn timers(&mut self) {
        let now = Instant::now();
        if self.preference.poll_timeout().is_some_and(|due| due <= now) {
            self.offer_anew(now);
            self.follow();
        }
        if self.window.is_some_and(|window| window <= now) {
            self.window = None;
            let keys: Vec<Key> = self.associations.keys().copied().collect();
            for key in keys {
                self.offer_to(key);
            }
            self.tend_paths(now);
        }
        self.paths_due(now);
        self.look_for_answers(now);
        self.keep_ticking(now);
        self.receive_arrivals(now);
        if self.look_due.is_some_and(|due| due <= now) {
            self.look_around();
            self.follow();
        }
        let due: Vec<Key> = self
            .associations
            .iter()
            .filter(|(_, managed)| managed.planner.poll_timeout().is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.refresh(key);
            if let Some(managed) = self.associations.get_mut(&key) {
                managed.planner.handle_timeout(now);
            }
            self.carry_out(key);
        }
    }

    /// Lets everything go before the end.
    fn stop(&mut self) {
        let keys: Vec<Key> = self.associations.keys().copied().collect();
        for key in keys {
            self.let_go(key, "the daemon stops", true);
        }
        self.host.leave();
    }
}
