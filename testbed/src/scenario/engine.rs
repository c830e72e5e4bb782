//! One round: a network, who looks after the associations, the programs, and what happens to their hosts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::agents::{Agents, Registrations};
use super::plan::Plan;
use super::programs::{self, Running, Yield};
use super::story::{Event, Story};
use super::{Programs, Round, Scenario, Step};
use crate::capture::Capture;
use crate::clock::{self, Nanos, Waited};
use crate::link::Conditions;
use crate::measure::{Outage, Outages, Window};
use crate::result::Agent;
use crate::topology::{Host, Network, Place};

/// What a round gave.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) programs: Yield,
    pub(super) outages: Vec<Outage>,
    pub(super) windows: Vec<Window>,
    pub(super) events: Vec<Event>,
    /// Why it was broken off; none: it was played to its end.
    pub(super) broken: Option<String>,
}

/// After which silence a run with this agent is given up.
pub(super) const fn patience(agent: Agent) -> Duration {
    match agent {
        Agent::Roam => Duration::from_secs(60),
        Agent::None | Agent::AutoAsconf => Duration::from_secs(30),
    }
}

/// How long the traffic flows undisturbed before the first handover and after each.
const STEADY: Duration = Duration::from_millis(500);

/// Where a round is played.
pub(super) struct Stage<'a> {
    pub(super) agent: Agent,
    pub(super) conditions: Conditions,
    /// How long an ordinary outage lasts.
    pub(super) outage: Duration,
    /// Logs and other files of the round.
    pub(super) directory: &'a Path,
    /// Tell what happens.
    pub(super) tell: bool,
}

struct Play<'a> {
    stage: &'a Stage<'a>,
    network: &'a Network,
    agents: Agents<'a>,
    running: Option<Running>,
    /// When the programs had started.
    registrations: Registrations,
    /// The hosts' addresses of this moment.
    up: BTreeSet<IpAddr>,
    outages: Outages,
    windows: Vec<Window>,
    /// The begin of a handover that has not yet recovered.
    moving: Option<Nanos>,
    story: Story,
}

/// Plays one round. Everything that it started or made has ended and is gone afterwards.
///
/// # Errors
/// The network could not be built, or the programs did not get as far as an association.
pub(super) fn play(stage: &Stage<'_>, scenario: &Scenario, round: &Round) -> Result<Played> {
    let network =
        Network::build(scenario.family.family(), &stage.conditions).context("building the network")?;
    let plan = Plan {
        sockets: programs::sockets(&scenario.programs)?,
        registered: round.registered.clone(),
        registrar: programs::need_registrar(&scenario.programs),
        without_nftables: round.without_nftables.clone(),
        as_service: round.as_service,
        registrar_by_both_families: false,
    };
    let story = Story::new(stage.tell);
    let capture = Capture::start(&network, &story).context("watching the wire")?;
    let agents = Agents::new(&network, stage.agent, stage.directory, plan, story.clone());
    let mut play = Play {
        stage,
        network: &network,
        agents,
        running: None,
        registrations: Registrations::new(),
        up: BTreeSet::new(),
        outages: Outages::default(),
        windows: Vec::new(),
        moving: None,
        story: story.clone(),
    };
    play.agents.prepare(&round.agents)?;
    let mut broken = None;
    for step in &round.steps {
        let done = play.step(step, &scenario.programs, round);
        let Err(error) = done else { continue };
        if play.running.is_none() {
            return Err(error);
        }
        if matches!(error.downcast_ref(), Some(Waited::Interrupted)) {
            return Err(error);
        }
        broken = Some(format!("{error:#}"));
        break;
    }
    if broken.is_none() {
        broken = play.agents.check().err().map(|error| format!("{error:#}"));
    }
    if let Some(broken) = &broken {
        story.note("-", "testbed", format!("given up: {broken}"));
        if stage.agent == Agent::Roam {
            let description = play.agents.describe();
            story.note("-", "agent", description);
        }
    }
    let mut programs = Yield::default();
    if let Some(running) = play.running.take() {
        // What has already been silent for long is not waited for again.
        story.tell();
        programs = running.finish(patience(stage.agent), broken.is_none())?;
    }
    if let Some(from) = play.moving.take() {
        play.windows.push(Window { from, to: clock::now() });
    }
    let left = play.agents.stop()?;
    if broken.is_none() && !left.is_empty() {
        broken = Some(format!("left behind on the hosts: {}", left.join("; ")));
    }
    drop(capture);
    story.tell();
    Ok(Played {
        programs,
        outages: play.outages.found().to_vec(),
        windows: play.windows,
        events: story.events(),
        broken,
    })
}

impl Play<'_> {
    fn step(&mut self, step: &Step, programs: &Programs, round: &Round) -> Result<()> {
        match step {
            Step::Down(places) => self.down(places)?,
            Step::Up(places) => self.up(places)?,
            Step::Pass(time) => self.pass(*time)?,
            Step::Outage => self.pass(self.stage.outage)?,
            Step::Recover => self.recover()?,
            Step::KillAgent(host) => {
                if self.stage.agent == Agent::Roam {
                    self.agents.kill(*host);
                    self.story.note(host.name(), "testbed", "roamd is killed (SIGKILL)".to_owned());
                }
            }
            Step::StartAgent(host) => {
                if self.stage.agent == Agent::Roam {
                    self.story.note(host.name(), "testbed", "roamd is started".to_owned());
                    self.agents.start(*host)?;
                }
            }
            Step::StopRegistrar => {
                if self.stage.agent == Agent::Roam {
                    self.agents.stop_registrar();
                    self.story.note("G", "testbed", "the registrar is ended".to_owned());
                }
            }
            Step::StartRegistrar => {
                if self.stage.agent == Agent::Roam {
                    self.agents.start_registrar()?;
                    self.story.note("G", "testbed", "the registrar is there again".to_owned());
                }
            }
            Step::StartLiar => {
                if self.stage.agent == Agent::Roam {
                    self.agents.start_liar()?;
                    self.story.note("G", "testbed", "a registrar is there that lies".to_owned());
                }
            }
            Step::StopLiar => {
                if self.stage.agent == Agent::Roam {
                    self.agents.stop_liar()?;
                    self.story.note("G", "testbed", "the lying registrar is ended".to_owned());
                }
            }
            Step::StartPrograms => {
                let patience = patience(self.stage.agent);
                let running = Running::start(self.network, programs, round, self.stage.directory, patience)?;
                let associations = running.associations();
                self.running = Some(running);
                let words = if associations == 1 { "association is" } else { "associations are" };
                self.story.note("-", "program", format!("{associations} {words} up"));
                self.recover()?;
                self.pass(STEADY)?;
                self.registrations = self.agents.registrations();
            }
            Step::StartSpare => {
                let running = self.running.as_mut().context("no program runs")?;
                running.start_spare(self.network)?;
                self.story.note("G", "testbed", "another element is registered".to_owned());
            }
            Step::KillServer => {
                self.running.as_mut().context("no program runs")?.kill_server();
                self.story.note("B", "testbed", "the server is killed (SIGKILL)".to_owned());
            }
            Step::SameAtRegistrar => self.same_at_registrar()?,
        }
        Ok(())
    }

    /// Waits until each element is registered from where its host is now, over the association of the beginning.
    fn same_at_registrar(&mut self) -> Result<()> {
        let (agents, before, up) = (&self.agents, &self.registrations, &self.up);
        if before.is_empty() {
            anyhow::bail!(
                "no element was registered when the programs had started: there is nothing to compare"
            );
        }
        let follows = |now: &Registrations| {
            now.len() == before.len()
                && now.iter().all(|(element, it)| {
                    before.get(element).is_some_and(|then| then.over == it.over)
                        && !it.at.is_empty()
                        && it.at.is_subset(up)
                })
        };
        let mut now = Registrations::new();
        let waited =
            clock::until("the old associations to the registrar", patience(self.stage.agent), || {
                now = agents.registrations();
                if !follows(&now) {
                    // Interrupted: the wait itself sees that, too.
                    let _ = clock::pass(Duration::from_millis(100));
                }
                follows(&now).then_some(())
            });
        match waited {
            Err(Waited::Interrupted) => Err(Waited::Interrupted.into()),
            Err(_) => anyhow::bail!("the daemons were registered over {before:?} and are over {now:?}"),
            Ok(()) => {
                let list: Vec<_> =
                    now.iter().map(|((pool, _), it)| format!("{pool} over {}", it.over.0)).collect();
                self.story.note("G", "registrar", format!("as in the beginning: {}", list.join(", ")));
                Ok(())
            }
        }
    }

    fn begin(&mut self, at: Nanos) {
        if self.running.is_some() {
            self.moving.get_or_insert(at);
        }
    }

    fn down(&mut self, places: &[Place]) -> Result<()> {
        let mut gone = self.at_each_host(places, Network::down)?;
        gone.sort_by_key(|(at, _)| *at);
        for (at, place) in gone {
            self.begin(at);
            self.outages.down(place, at);
            let address = place.address(self.network.family());
            self.up.remove(&address);
            self.story.note_at(
                at,
                place.host.name(),
                "link",
                format!("{address} on {} is gone", place.interface()),
            );
        }
        Ok(())
    }

    fn up(&mut self, places: &[Place]) -> Result<()> {
        let before = clock::now();
        let mut come = self.at_each_host(places, Network::up)?;
        self.begin(before);
        come.sort_by_key(|(at, _)| *at);
        for (at, place) in come {
            self.outages.up(place, at);
            let address = place.address(self.network.family());
            self.up.insert(address);
            self.story.note_at(
                at,
                place.host.name(),
                "link",
                format!("{address} on {} is usable", place.interface()),
            );
        }
        Ok(())
    }

    /// Does the same at both hosts at the same moment.
    fn at_each_host(
        &self,
        places: &[Place],
        act: fn(&Network, Host, &[Place]) -> std::io::Result<Nanos>,
    ) -> Result<Vec<(Nanos, Place)>> {
        let network = self.network;
        std::thread::scope(|scope| {
            let threads: Vec<_> = Host::ALL
                .into_iter()
                .filter_map(|host| {
                    let own: Vec<_> = places.iter().copied().filter(|place| place.host == host).collect();
                    (!own.is_empty()).then(|| scope.spawn(move || Ok((act(network, host, &own)?, own))))
                })
                .collect();
            let mut all = Vec::new();
            for thread in threads {
                let done: Result<_, std::io::Error> =
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                let (at, own) = done?;
                all.extend(own.into_iter().map(|place| (at, place)));
            }
            Ok(all)
        })
    }

    /// Lets time pass, and goes on looking at the programs.
    fn pass(&mut self, time: Duration) -> Result<()> {
        match self.running.as_mut() {
            None => clock::pass(time)?,
            Some(running) => {
                let story = &self.story;
                let looked = clock::until("", time, || {
                    running.look();
                    story.tell();
                    None::<()>
                });
                if looked == Err(Waited::Interrupted) {
                    return Err(Waited::Interrupted.into());
                }
            }
        }
        Ok(())
    }

    /// A message sent from now on has to come back in every association, and the agents to be at rest.
    fn recover(&mut self) -> Result<()> {
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        let (since, limit) = (clock::now(), patience(self.stage.agent).as_millis() as f64);
        let agents = &mut self.agents;
        let (mut reached, mut settled) = (false, false);
        let mut rested = since;
        let waited = clock::until("the recovery", Duration::from_secs(600), || {
            reached = reached || running.reached(since);
            if reached && clock::ms_between(rested, clock::now()) >= 100.0 {
                settled = agents.settled(running.at_hosts());
                rested = clock::now();
            }
            if reached && settled {
                return Some(Ok(()));
            }
            let last = running.heard().max(since);
            let silent = clock::ms_between(if reached { since } else { last }, clock::now());
            if running.over() && !reached {
                return Some(Err("no association is left".to_owned()));
            }
            if silent <= limit {
                return None;
            }
            let what =
                if reached { "the agents do not come to rest" } else { "nothing comes through any more" };
            Some(Err(format!("{what}, for {} s", limit / 1000.0)))
        })?;
        let now = clock::now();
        if let Err(why) = waited {
            anyhow::bail!(why);
        }
        if let Some(from) = self.moving.take() {
            self.windows.push(Window { from, to: now });
            self.story.note_at(now, "-", "program", "the association has recovered".to_owned());
        }
        self.story.tell();
        self.pass(STEADY)
    }
}
