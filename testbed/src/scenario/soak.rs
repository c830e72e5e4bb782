//! `roam-testbed soak`, which `check --soak` runs: two hosts and fifty associations between them, and for half an hour
//! everything that happens to hosts, at random: they move, their links flap, their leases are renewed, their daemons and
//! programs are restarted. None is lost, and in the end nothing is left: no address, rule or table, no descriptor of the
//! daemon's and none of its memory.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sctp_sys::diag;

use super::agents::Agents;
use super::command::stop_on_signals;
use super::engine::patience;
use super::plan::{Plan, Sockets};
use super::programs::{Running, SERVER_PORT};
use super::recovery::Recovery;
use super::story::Story;
use super::table::round;
use super::{Binding, Programs};
use crate::clock::{self, Nanos, Waited, ms_between};
use crate::link::Conditions;
use crate::result::Agent;
use crate::topology::{Host, Network, Place};

/// How many associations there are.
const ASSOCIATIONS: u16 = 50;
/// How long the associations and the daemons may take to be well again.
const BACK: Duration = Duration::from_secs(90);
/// After so much of the time the daemon's memory is looked at first.
const FIRST_LOOK: f64 = 0.15;
/// So much more memory than then it may have in the end, in KiB: what allocators keep.
const MORE_MEMORY: u64 = 6 * 1024;
/// So many more descriptors: connections that just come or go.
const MORE_DESCRIPTORS: usize = 4;

/// The arguments of `soak`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// How long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub minutes: u64,
    /// What happens
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What has happened.
#[derive(Debug, Default)]
struct Seen {
    moves: u32,
    flaps: u32,
    renewals: u32,
    kills: u32,
    restarts: u32,
    programs: u32,
    slowest: Duration,
}

/// Runs it, right here: as root, on a kernel with SCTP.
///
/// # Errors
/// Interrupted, or what was wrong.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    stop_on_signals()?;
    let end = clock::now() + Duration::from_secs(60 * arguments.minutes).as_nanos() as Nanos;
    let first = clock::now() + (60e9 * FIRST_LOOK * arguments.minutes as f64) as Nanos;
    let directory = tempfile::Builder::new().prefix("roam-testbed-").tempdir()?;
    let network =
        Network::build(sctp_sys::Family::V4, &Conditions::default()).context("building the network")?;
    let own = std::env::current_exe()?.canonicalize()?;
    let plan = Plan {
        sockets: [Sockets::Executable(own), Sockets::Ports(vec![SERVER_PORT])],
        registered: Host::ALL.to_vec(),
        registrar: false,
        without_nftables: Vec::new(),
        as_service: false,
        registrar_by_both_families: false,
    };
    let story = Story::new(false);
    let mut agents = Agents::new(&network, Agent::Roam, directory.path(), plan, story);
    agents.prepare(&Host::ALL)?;
    for host in Host::ALL {
        network.up(host, &[place(host, 1)])?;
    }
    let mut soak = Soak {
        network: &network,
        directory: directory.path(),
        agents,
        running: None,
        dice: ChaCha8Rng::seed_from_u64(arguments.seed),
        at: [1, 1],
        wildcard: false,
        begin: clock::now(),
        seen: Seen::default(),
    };
    soak.start_programs()?;
    let mut before = None;
    while clock::now() < end {
        if let Err(error) = soak.episode() {
            if error.downcast_ref() != Some(&Waited::Interrupted) {
                println!("{}", soak.agents.describe());
                for host in Host::ALL {
                    soak.agents.print_log(host);
                    soak.agents.print_log_of_the_odd_one(host);
                }
            }
            return Err(error.context(format!("seed {}, {:?}", arguments.seed, soak.seen)));
        }
        if before.is_none() && clock::now() >= first {
            before = Some(soak.cost()?);
        }
    }
    soak.stop_programs()?;
    let (memory, descriptors) = before.context("the time was too short")?;
    let (memory_now, descriptors_now) = soak.cost()?;
    let left = soak.agents.stop()?;
    ensure!(left.is_empty(), "left behind on the hosts: {}", left.join("; "));
    ensure!(
        memory_now <= memory + MORE_MEMORY,
        "the daemon had {memory} KiB of memory after the first minutes, and {memory_now} KiB in the end"
    );
    ensure!(
        descriptors_now <= descriptors + MORE_DESCRIPTORS,
        "the daemon had {descriptors} descriptors after the first minutes, and {descriptors_now} in the end"
    );
    let Seen { moves, flaps, renewals, kills, restarts, programs, slowest } = soak.seen;
    println!(
        "soak: {ASSOCIATIONS} associations lived for {} minutes through {moves} moves, {flaps} flaps, {renewals} renewals, \
         {kills} kills of a daemon and {restarts} restarts, and were set up {programs} times; back within {:.1} s; the \
         daemon that was never restarted has {memory_now} KiB of memory ({memory} after the first minutes) and \
         {descriptors_now} descriptors ({descriptors})",
        arguments.minutes,
        slowest.as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

const fn place(host: Host, network: u8) -> Place {
    Place { host, network, number: 2 }
}

struct Soak<'a> {
    network: &'a Network,
    directory: &'a Path,
    agents: Agents<'a>,
    running: Option<Running>,
    dice: ChaCha8Rng,
    /// In which of their networks the hosts are.
    at: [u8; 2],
    /// How the programs are bound now.
    wildcard: bool,
    begin: Nanos,
    seen: Seen,
}

impl Soak<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.dice.next_u64() % bound.max(1)
    }

    fn pass(&mut self, least: u64, most: u64) -> Result<()> {
        let time = least + self.below(most - least);
        Ok(clock::pass(Duration::from_millis(time))?)
    }

    /// The host whose daemon is restarted; the other one's lives through everything.
    const RESTARTED: Host = Host::A;

    /// Something happens, and everything is well again.
    fn episode(&mut self) -> Result<()> {
        let host = if self.below(2) == 0 { Host::A } else { Host::B };
        let what = self.below(20);
        let began = clock::now();
        let words = match what {
            0..=4 => {
                self.moves(&[host])?;
                format!("{} moves", host.name())
            }
            5..=7 => {
                self.moves(&Host::ALL)?;
                "both move".to_owned()
            }
            8..=10 => {
                self.seen.moves += 1;
                let (from, to) = self.next(host);
                self.network.up(host, &[to])?;
                self.pass(20, 1500)?;
                self.network.down(host, &[from])?;
                format!("{} moves by and by", host.name())
            }
            11..=12 => {
                self.seen.flaps += 1;
                let times = 2 + self.below(4);
                for _ in 0..times {
                    self.renew(host, 50, 1500)?;
                    self.pass(20, 1000)?;
                }
                format!("{}'s link flaps", host.name())
            }
            13..=15 => {
                self.seen.renewals += 1;
                self.renew(host, 1, 300)?;
                format!("{}'s lease is renewed", host.name())
            }
            16..=17 => {
                self.seen.kills += 1;
                self.seen.moves += 1;
                let (from, to) = self.next(Self::RESTARTED);
                self.network.down(Self::RESTARTED, &[from])?;
                let (early, later) = (self.below(2) == 0, self.below(400));
                if early {
                    self.restart(later)?;
                }
                self.pass(100, 1500)?;
                self.network.up(Self::RESTARTED, &[to])?;
                if !early {
                    self.restart(later)?;
                }
                format!("{} moves and its daemon is killed", Self::RESTARTED.name())
            }
            18 => {
                self.seen.restarts += 1;
                self.agents.stop_one(Self::RESTARTED)?;
                self.pass(100, 3000)?;
                self.agents.start(Self::RESTARTED)?;
                format!("{}'s daemon is restarted", Self::RESTARTED.name())
            }
            _ => {
                self.stop_programs()?;
                for host in Host::ALL {
                    if self.at[host as usize] != 1 {
                        let (from, to) = self.next(host);
                        self.network.up(host, &[to])?;
                        self.network.down(host, &[from])?;
                    }
                }
                self.wildcard = !self.wildcard;
                self.start_programs()?;
                format!(
                    "the programs are restarted, {}",
                    if self.wildcard { "bound to none" } else { "bound" }
                )
            }
        };
        let happened = clock::now();
        self.back().with_context(|| words.clone())?;
        let took = Duration::from_nanos(clock::now().saturating_sub(happened));
        self.seen.slowest = self.seen.slowest.max(took);
        let at = ms_between(self.begin, began) / 1000.0;
        println!("soak: {at:7.1} s: {words}; well {:.1} s later", took.as_secs_f64());
        self.pass(500, 4000)
    }

    /// Where the host is and where it goes next.
    fn next(&mut self, host: Host) -> (Place, Place) {
        let at = &mut self.at[host as usize];
        *at = 3 - *at;
        (place(host, 3 - *at), place(host, *at))
    }

    fn moves(&mut self, hosts: &[Host]) -> Result<()> {
        self.seen.moves += 1;
        let mut to = Vec::new();
        for &host in hosts {
            let (from, next) = self.next(host);
            self.network.down(host, &[from])?;
            to.push((host, next));
        }
        self.pass(50, 3000)?;
        for (host, next) in to {
            self.network.up(host, &[next])?;
        }
        Ok(())
    }

    /// An address goes and comes again.
    fn renew(&mut self, host: Host, least: u64, most: u64) -> Result<()> {
        let place = [place(host, self.at[host as usize])];
        self.network.down(host, &place)?;
        self.pass(least, most)?;
        self.network.up(host, &place)?;
        Ok(())
    }

    fn restart(&mut self, later: u64) -> Result<()> {
        clock::pass(Duration::from_millis(later))?;
        self.agents.kill(Self::RESTARTED);
        self.pass(1, 500)?;
        self.agents.start(Self::RESTARTED)
    }

    fn start_programs(&mut self) -> Result<()> {
        self.seen.programs += 1;
        let binding = if self.wildcard { Binding::Wildcard } else { Binding::Explicit };
        let round = round(binding, binding, Vec::new());
        let programs = Programs::Traffic(ASSOCIATIONS);
        self.running =
            Some(Running::start(self.network, &programs, &round, self.directory, patience(Agent::Roam))?);
        self.back().context("at the start of the programs")
    }

    /// Ends the programs: all that was sent has arrived, and no association was lost.
    fn stop_programs(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let given = running.finish(BACK, true)?;
        for log in ["client.log", "server.log"] {
            let _ = fs::remove_file(self.directory.join(log));
        }
        // The next ones find their port free once the kernel has ended the last association.
        let network = self.network;
        let is_over = |host: &Host| {
            let snapshot = network.host(*host).enter(diag::snapshot_by_sock_diag);
            snapshot.is_ok_and(|snapshot| {
                snapshot.endpoints.iter().all(|it| it.local_port != SERVER_PORT)
                    && snapshot
                        .associations
                        .iter()
                        .all(|it| ![it.local_port, it.peer_port].contains(&SERVER_PORT))
            })
        };
        clock::until("the end of all associations", BACK, || Host::ALL.iter().all(is_over).then_some(()))?;
        if let Some(wrong) = given.wrong {
            bail!("{wrong}");
        }
        for (number, it) in
            given.client.context("the client left no account")?.associations.iter().enumerate()
        {
            let (came, sent) = (it.echoes(), it.sent.len());
            ensure!(
                !it.lost && it.complete(),
                "association {number}: {came} of {sent} messages came; lost: {}",
                it.lost
            );
            let faults = it.out_of_order + it.duplicates + it.foreign;
            ensure!(
                faults == 0,
                "association {number}: {faults} echoes were out of order, twice, or changed"
            );
        }
        Ok(())
    }

    /// Waits until a message that is sent from now on has come back in every association, and the daemons are at rest.
    fn back(&mut self) -> Result<()> {
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        let mut recovery = Recovery::new();
        let waited =
            clock::until("the associations to be well", BACK, || recovery.look(running, &self.agents));
        recovery.outcome(waited, BACK)
    }

    /// The memory, in KiB, and the descriptors of the daemon that is never restarted.
    fn cost(&self) -> Result<(u64, usize)> {
        let pid = self.agents.pid(Host::B)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok((memory.context("VmRSS")?, descriptors))
    }
}
