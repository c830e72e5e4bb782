//! The daemon's one loop: what the host's network, the wire, the registrar and people say goes in, the planners
//! decide, the host and the sockets are changed.
//!
//! | file | what |
//! |---|---|
//! | `run` | start, the loop, stop |
//! | `alone` | one daemon for a network namespace |
//! | `arrivals` | associations whose setup was seen, until they are looked after |
//! | `adopt` | taking associations and listeners under management, letting them go |
//! | `pace` | how often all associations are looked at |
//! | `clocks` | notices that the host slept |
//! | `execute` | carrying out what planners want |
//! | `host` | what is added to the host: held addresses, translation, routes; all of it in the journal |
//! | `table` | puts the translation table back that others delete |
//! | `tick` | keeps the kernel ready for the address that a wildcard socket waits for |
//! | `wire` | which association a sighting on the wire belongs to |
//! | `listeners` | endpoints: new associations find the new address |
//! | `paths` | by which addresses associations reach their peers |
//! | `peers` | own pool elements kept registered, peers found |
//! | `report` | what `roam` shows |
//! | `explain` | why an address or an association is, or is not, used |
//! | `commands` | what people ask for |
//! | `rights` | what it may do on this host |
//! | `unseen` | answers of peers, where the wire may not be watched |
//! | `reload` | taking another configuration over |
//! | `notify` | what the service manager is told |
#![expect(clippy::disallowed_methods, reason = "the daemon owns the clock")]

mod adopt;
mod alone;
mod arrivals;
mod clocks;
mod commands;
mod execute;
mod explain;
mod host;
mod listeners;
mod notify;
mod pace;
mod paths;
mod peers;
mod reload;
mod report;
mod rights;
mod run;
mod story;
mod table;
mod tick;
mod unseen;
mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::associations::{Found, Key, Managed, Survey};
use crate::config::{Config, Loaded, Sources};
use crate::handover::Input;
use crate::locate::{Locate, Narrow, Program};
use crate::net::{Monitor, Prober, View};
use crate::paths::Paths;
use crate::preference::{Offer, Preference};
use crate::tally::Tally;

use host::Host;
use listeners::Listener;
pub use run::{StartError, run};
use story::Story;

/// The state of the daemon.
struct Daemon {
    config: Arc<Config>,
    /// From where the configuration comes, and what it was when it was read.
    sources: Sources,
    loaded: Loaded,
    /// What is wrong with the configuration that was read last, and did not come to hold.
    mistake: Option<String>,
    host: Host,
    survey: Survey,
    associations: BTreeMap<Key, Managed>,
    listeners: BTreeMap<u64, Listener>,
    /// Sockets that cannot be managed, with the reason, so that it is said once.
    unmanageable: HashMap<Key, (Found, String)>,
    /// When all processes were last looked through in vain for who has a socket.
    searched: Option<Instant>,
    /// Processes adopted or released by hand.
    by_hand: HashMap<i32, ByHand>,
    view: Arc<View>,
    /// Which of the usable addresses associations are to be at.
    preference: Preference,
    /// What they were offered last, and how often that has changed.
    offer: Offer,
    changes: u64,
    /// Which paths work, and who asks; none: nobody may.
    paths: Paths,
    prober: Option<Prober>,
    clocks: clocks::Clocks,
    rights: rights::Rights,
    /// What has not been answered; none where the wire is watched.
    unseen: Option<unseen::Unseen>,
    /// From which addresses a registrar is looked for.
    narrow: Narrow,
    /// When gathered events are to be looked at, while usable paths remain.
    window: Option<Instant>,
    tick: tick::Tick,
    /// When new associations are to be looked for, before it is time anyway.
    look_due: Option<Instant>,
    pace: pace::Pace,
    arrivals: arrivals::Arrivals,
    /// Where the peers of the configured pool handles are.
    located: HashMap<String, (Vec<IpAddr>, Option<u16>)>,
    story: Story,
    tally: Tally,
    monitor: Monitor,
    locate: Locate,
    /// Pool handles that somebody waits for.
    urged: HashSet<String>,
    /// What `locate` was told last: usable addresses and listening programs.
    followed: Option<(Vec<IpAddr>, Vec<Program>)>,
    /// What is wrong with the host, each with what mends it.
    problems: Vec<String>,
    started: Instant,
}

/// What was asked for of a process.
#[derive(Debug, Clone, Copy)]
struct ByHand {
    /// Adopt its sockets, or leave them alone.
    adopt: bool,
    /// Only those of this user.
    only: Option<u32>,
}

impl Daemon {
    /// The usable addresses, the preferred one first.
    fn usable(&self) -> Vec<IpAddr> {
        self.offer.usable.clone()
    }

    /// What else there is to know of the addresses.
    fn about(&self) -> Input {
        let Offer { warm, cold, dead, .. } = self.offer.clone();
        Input::About { warm, cold, dead }
    }

    /// Looks which addresses associations are to be at. Returns whether that has changed.
    fn prefer(&mut self, now: Instant) -> bool {
        for (address, verdict) in self.preference.see(now, &self.view) {
            self.story.address(address, &verdict.to_string());
        }
        let offer = self.preference.offer(now, &self.view);
        let changed = offer != self.offer;
        self.offer = offer;
        self.changes += u64::from(changed);
        changed
    }
}
