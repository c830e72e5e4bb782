//! Two hosts with their daemons, programs and a registrar: one handover after the other, in each of which a daemon may
//! be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sctp_sys::Family;

use super::super::agents::{Agents, knows};
use super::super::engine::patience;
use super::super::plan::Plan;
use super::super::programs::{self, Running};
use super::super::recovery::Recovery;
use super::super::story::Story;
use super::super::table::round;
use super::super::{Binding, Options, Programs, Round, leftovers};
use super::tracer::{Side, Step, Tracer};
use super::{Kind, Move, clean};
use crate::capture::Capture;
use crate::clock::{self, Nanos, Waited, ms_between};
use crate::link::Conditions;
use crate::result::Agent;
use crate::topology::{A1, A1B, B1, Host, Network, Place};
use crate::unit;

/// From one look at the daemons to the next, while hosts move.
const LOOK: Duration = Duration::from_millis(2);

/// How long a host has no address, and how long it has two.
const OUTAGE: Duration = Duration::from_millis(300);
/// For wildcard sockets: the kernel gathers address events for half a second.
const LONG_OUTAGE: Duration = Duration::from_secs(1);
const OVERLAP: Duration = Duration::from_millis(600);
/// Longer than an address that has vanished is waited for while there is another.
const ONE_FAMILY: Duration = Duration::from_millis(1500);
/// How long the next daemon and the association may take.
const BACK: Duration = Duration::from_secs(40);
/// For how long the last steps of a handover may come after it has settled: rules that are kept for a while.
const AFTERWARDS: Duration = Duration::from_secs(7);

type Sockets = BTreeMap<u64, (String, BTreeSet<IpAddr>)>;

pub(super) struct World<'a> {
    kind: &'a Kind,
    network: &'a Network,
    agents: Agents<'a>,
    running: Running,
    story: Story,
    /// Before any daemon.
    sockets: Sockets,
    settings: Vec<String>,
    /// In which of their networks the hosts are.
    at: [u8; 2],
}

/// Builds a world, has it used, and takes it down. Nothing may be lost or left then.
pub(super) fn with(
    kind: &Kind,
    options: &Options,
    mut used: impl FnMut(&mut World<'_>) -> Result<()>,
) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("roam-testbed-").tempdir()?;
    let conditions = Conditions { rtt_ms: options.rtt_ms, ..Conditions::default() };
    let network = Network::build(kind.family.family(), &conditions).context("building the network")?;
    let programs = Programs::Traffic(1);
    let round = Round {
        without_nftables: kind.without_nftables.to_vec(),
        ..round(kind.client, kind.server, Vec::new())
    };
    let plan = Plan {
        sockets: programs::sockets(&programs)?,
        registered: round.registered.clone(),
        registrar: false,
        without_nftables: round.without_nftables.clone(),
        as_service: false,
        // In the end that host has IPv6 alone.
        registrar_by_both_families: kind.client == Binding::Mapped,
    };
    let story = Story::new(false);
    let capture = Capture::start(&network, &story).context("watching the wire")?;
    let mut agents = Agents::new(&network, Agent::Roam, directory.path(), plan, story.clone());
    // Add-IP, and the registrar; the daemons later.
    agents.prepare(&[])?;
    for host in Host::ALL {
        kind.arrive(&network, host, 1)?;
    }
    if kind.server == Binding::Both {
        network.up_in(Family::V6, Host::B, &[B1])?;
    }
    if kind.client == Binding::Both {
        kind.arrive(&network, Host::A, 2)?;
    }
    let running = Running::start(&network, &programs, &round, directory.path(), patience(Agent::Roam))?;
    let sockets = clean::sockets(running.pid(kind.victim))?;
    ensure!(!sockets.is_empty(), "the program has no socket");
    let settings = settings(&network, kind.victim)?;
    agents.start(other(kind.victim))?;
    let mut world = World {
        kind,
        network: &network,
        agents,
        running,
        story: story.clone(),
        sockets,
        settings,
        at: [1, 1],
    };
    let used = used(&mut world);
    if let Err(error) = &used
        && error.downcast_ref() != Some(&Waited::Interrupted)
    {
        world.tell(&format!("{error:#}"));
    }
    let World { mut agents, running, .. } = world;
    let given = running.finish(if used.is_ok() { BACK } else { Duration::from_secs(1) }, used.is_ok());
    let left = agents.stop();
    drop(capture);
    used?;
    let given = given?;
    if let Some(wrong) = given.wrong {
        bail!("{wrong}");
    }
    for it in given.client.context("the client left no account")?.associations {
        ensure!(
            !it.lost && it.complete(),
            "{} of {} messages came back; lost: {}",
            it.echoes(),
            it.sent.len(),
            it.lost
        );
        let faults = it.out_of_order + it.duplicates + it.foreign;
        ensure!(faults == 0, "{faults} echoes were out of order, twice, or changed");
    }
    let left = left?;
    ensure!(left.is_empty(), "left behind at the end: {}", left.join("; "));
    Ok(())
}

impl Kind {
    /// The addresses that a host has in one of its networks.
    fn addresses(&self, host: Host, network: u8) -> (Family, Vec<Place>) {
        let first = Place { host, network, number: 2 };
        match (host, self.client) {
            (Host::A, Binding::Several) if network == 1 => (self.family.family(), vec![A1, A1B]),
            (Host::A, Binding::Both | Binding::Mapped) if network == 2 => (Family::V6, vec![first]),
            _ => (self.family.family(), vec![first]),
        }
    }

    /// A host gets them, all at once.
    fn arrive(&self, network: &Network, host: Host, number: u8) -> std::io::Result<()> {
        let (family, places) = self.addresses(host, number);
        network.up_in(family, host, &places).map(|_| ())
    }

    /// A host loses them, all at once.
    fn leave(&self, network: &Network, host: Host, number: u8) -> std::io::Result<()> {
        let (family, places) = self.addresses(host, number);
        network.down_in(family, host, &places).map(|_| ())
    }

    /// To which addresses a program may be bound whose host is in that network.
    fn bound(&self, host: Host, network: u8) -> BTreeSet<IpAddr> {
        let networks = match self.client {
            // Linux never lets an IPv4 address go whose deletion is asked for over IPv6: it reads the route of the packet as one
            // of IPv4, and takes the address for one of broadcast (`sctp_v4_addr_valid`; cause 0x0005).
            Binding::Both | Binding::Mapped => 1..=2,
            _ => network..=network,
        };
        let all = networks.map(|network| self.addresses(host, network));
        all.flat_map(|(family, places)| places.into_iter().map(move |place| place.address(family))).collect()
    }
}

const fn other(host: Host) -> Host {
    match host {
        Host::A => Host::B,
        Host::B => Host::A,
    }
}

/// The settings of the host's kernel that a daemon changes.
fn settings(network: &Network, host: Host) -> Result<Vec<String>> {
    let read = |name: &str| {
        let value = fs::read_to_string(format!("/proc/sys/net/sctp/{name}"))?;
        Ok(format!("net.sctp.{name} = {}", value.trim()))
    };
    Ok(network.host(host).enter(|| ["addip_enable", "auth_enable"].into_iter().map(read).collect())?)
}

impl World<'_> {
    /// One handover in which nobody is killed: its steps.
    pub(super) fn count(&mut self) -> Result<Vec<Step>> {
        self.ready()?;
        let tracer = self.trace(None)?;
        self.move_all(|_| Ok(()))?;
        self.back(&mut |_| Ok(()))?;
        clock::pass(AFTERWARDS)?;
        let steps = tracer.end()?;
        self.is_clean()?;
        Ok(steps)
    }

    /// One handover in which the daemon is killed there and the next one started. Gives how long it took from
    /// the kill until everything was well again; none: it did not come to that step.
    /// `stops`: that one is stopped in the end.
    pub(super) fn kill(&mut self, step: Step, side: Side, stops: bool) -> Result<Option<Duration>> {
        self.ready()?;
        let victim = self.kind.victim;
        let tracer = self.trace(Some((step, side)))?;
        let mut killed: Option<Nanos> = None;
        let mut restart = |world: &mut Self| {
            if killed.is_none() && tracer.killed() {
                killed = Some(clock::now());
                world.story.note(
                    victim.name(),
                    "testbed",
                    "roamd is killed (SIGKILL), and another started".into(),
                );
                world.agents.kill(victim);
                // As its unit does: nobody cleans up, and the next one comes after a moment.
                clock::pass(unit::restart_of_the_agent().context("when the agent is started again")?)?;
                world.agents.start(victim)?;
            }
            Ok(())
        };
        self.move_all(&mut restart)?;
        self.back(&mut restart)?;
        let until = clock::now() + AFTERWARDS.as_nanos() as Nanos;
        while !tracer.killed() && clock::now() < until {
            clock::pass(Duration::from_millis(20))?;
        }
        if tracer.killed() {
            restart(self)?;
            self.back(&mut restart)?;
        }
        tracer.end()?;
        let took = killed.map(|at| Duration::from_nanos(clock::now().saturating_sub(at)));
        if stops {
            self.is_clean()?;
        }
        Ok(took)
    }

    /// The victim's daemon runs, and all is well.
    fn ready(&mut self) -> Result<()> {
        if self.agents.pid(self.kind.victim).is_err() {
            self.agents.start(self.kind.victim)?;
        }
        self.back(&mut |_| Ok(()))
    }

    fn trace(&self, at: Option<(Step, Side)>) -> Result<Tracer> {
        Tracer::begin(self.agents.pid(self.kind.victim)?, self.sockets.keys().copied().collect(), at)
    }

    /// Has the hosts move, and meanwhile does this again and again.
    fn move_all(&mut self, mut meanwhile: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let (network, kind, at) = (self.network, self.kind, self.at);
        let moves = kind.moves;
        let outage = match kind.client {
            Binding::Wildcard => LONG_OUTAGE,
            _ => OUTAGE,
        };
        let elsewhere = Host::ALL.map(|host| self.agents.runtime(other(host)));
        // Between families there is no way to go on where the peer has not heard of the new address before the old one goes.
        let heard_of = |host: Host| -> Result<()> {
            let (family, places) = kind.addresses(host, 3 - at[host as usize]);
            let new = places.iter().map(|place| place.address(family));
            let know = || new.clone().all(|new| knows(&elsewhere[host as usize], new)).then_some(());
            Ok(clock::until("the peer to hear of the new address", BACK, know)?)
        };
        let leave = |host: Host| kind.leave(network, host, at[host as usize]);
        let arrive = |host: Host| kind.arrive(network, host, 3 - at[host as usize]);
        let hosts = match moves {
            Move::MakeBeforeBreak(host) | Move::BreakBeforeMake(host) => vec![host],
            Move::Simultaneous => Host::ALL.to_vec(),
            Move::WithoutIpv6(_) => Vec::new(),
        };
        let over = AtomicBool::new(false);
        self.story.note("-", "testbed", format!("{moves:?}: hosts move"));
        std::thread::scope(|scope| {
            let moving = scope.spawn(|| {
                let moved = (|| -> Result<()> {
                    match moves {
                        Move::MakeBeforeBreak(host) => {
                            arrive(host)?;
                            if kind.client == Binding::Mapped {
                                heard_of(host)?;
                            }
                            clock::pass(OVERLAP)?;
                            leave(host)?;
                        }
                        Move::WithoutIpv6(host) => {
                            kind.leave(network, host, 2)?;
                            clock::pass(ONE_FAMILY)?;
                            kind.arrive(network, host, 2)?;
                        }
                        Move::BreakBeforeMake(_) | Move::Simultaneous => {
                            hosts.iter().copied().try_for_each(leave)?;
                            clock::pass(outage)?;
                            hosts.iter().copied().try_for_each(arrive)?;
                        }
                    }
                    Ok(())
                })();
                over.store(true, Ordering::SeqCst);
                moved
            });
            let mut done = Ok(());
            while done.is_ok() && !over.load(Ordering::SeqCst) {
                done = meanwhile(self).and_then(|()| Ok(clock::pass(LOOK)?));
                self.running.look();
            }
            let moved = moving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done.and(moved)
        })?;
        for host in hosts {
            self.at[host as usize] = 3 - self.at[host as usize];
        }
        Ok(())
    }

    /// Waits until a message that is sent from now on has come back, and the daemons are at rest; meanwhile does this
    /// again and again.
    fn back(&mut self, meanwhile: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let mut recovery = Recovery::new();
        let waited = clock::until("the association to be well", BACK, || {
            if let Err(error) = meanwhile(self) {
                return Some(Err(error));
            }
            recovery.look(&mut self.running, &self.agents)
        });
        recovery.outcome(waited, BACK)
    }

    /// Stops the victim's daemon; the host has to be as it was before any.
    pub(super) fn is_clean(&mut self) -> Result<()> {
        let victim = self.kind.victim;
        self.agents.stop_one(victim)?;
        let mut left = leftovers::of(self.network.host(victim))?;
        left.extend(clean::journal(&self.agents.runtime(victim))?);
        let now = settings(self.network, victim)?;
        if now != self.settings {
            left.push(format!("{now:?} in place of {:?}", self.settings));
        }
        let may_be = self.kind.bound(victim, self.at[victim as usize]);
        for (inode, (options, bound)) in clean::sockets(self.running.pid(victim))? {
            let Some((before, bound_before)) = self.sockets.get(&inode) else { continue };
            if *before != options {
                left.push(format!("a socket has {options} in place of {before}"));
            }
            // One that is bound to no address has all of the host's.
            let wildcard = bound_before.iter().any(|it| it.is_loopback() || it.is_unspecified());
            if !wildcard && !bound.is_subset(&may_be) {
                left.push(format!("a socket is bound to {bound:?}, and the host is at {may_be:?}"));
            }
        }
        ensure!(left.is_empty(), "left behind: {}", left.join("; "));
        Ok(())
    }

    /// Everything that is known of a handover that went wrong.
    fn tell(&self, why: &str) {
        println!("  failed: {why}");
        println!("{}", self.agents.describe());
        let events = self.story.events();
        let since = events.iter().rposition(|event| event.what.ends_with(" move")).unwrap_or(0);
        for event in &events[since..] {
            let at = ms_between(events[since].at, event.at) / 1000.0;
            println!("  {at:8.3} s  {} {:7} {}", event.host, event.kind, event.what.trim_end());
        }
        for host in [other(self.kind.victim), self.kind.victim] {
            self.agents.print_log(host);
        }
    }
}
