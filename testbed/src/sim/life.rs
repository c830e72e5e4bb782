//! Days in the life of two hosts: they move, their links flap, their leases are renewed, their daemons and programs are
//! restarted, and the registrar is away or lies, at random. After each episode everything comes to rest; then every
//! message has arrived, nothing is left of the handovers, and the planners remember no more than before.

use std::net::IpAddr;
use std::ops::Range;

use roam_agent::handover::{Binding, Identity, State, may_mute};
use roam_agent::translate::Pair;

use super::host::Host;
use super::kernel::Begin;
use super::packet::{MS, SECOND, Time};
use super::pools::command::Shown;
use super::scenario::Dice;
use super::seeds::{guarded, side_by_side};
use super::world::{End, Network, Step, World};
use crate::clock;

/// How long everything is left alone after an episode.
const CALM: Time = 10 * SECOND;
/// Messages that are younger than this need not have arrived.
const YOUNG: Time = 3 * SECOND;
/// Some things are waited for longer: rests of deletions that were refused.
const PATIENCE: Time = 300 * SECOND;
/// So much may a planner remember: a few addresses in each of its lists.
const REMEMBERED: usize = 100;

/// What happened in a life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Episodes.
    pub episodes: u64,
    /// Addresses that came.
    pub addresses: u64,
    /// Daemons killed.
    pub kills: u64,
    /// Daemons stopped in good order and started again.
    pub restarts: u64,
    /// Associations that programs ended and set up anew.
    pub associations: u64,
    /// Messages sent.
    pub messages: u64,
    /// The most that a planner remembered at rest.
    pub remembered: usize,
}

/// An address of an end in one of four networks, each of which has many.
fn address(end: End, network: u8, number: u8) -> IpAddr {
    IpAddr::from([10, u8::try_from(end).unwrap_or(0) + 1, network, number])
}

/// Plays so many hours. `trace`: tells all that happens from the last rest on.
///
/// # Errors
/// What was wrong and when, and what happened since the last rest if that is told.
pub fn live(seed: u64, hours: u64, trace: bool) -> Result<Seen, (String, Vec<String>)> {
    let mut life = Life::new(seed, trace);
    let end = hours * 3600 * SECOND;
    while life.world.now < end {
        if let Err(what) = life.episode() {
            let at = life.world.now / SECOND;
            let (h, m, s) = (at / 3600, at / 60 % 60, at % 60);
            let what = format!("after {h}:{m:02}:{s:02}, in episode {}: {what}", life.seen.episodes);
            return Err((what, life.world.trace.take().unwrap_or_default()));
        }
    }
    Ok(life.seen)
}

/// How long a life is that `check` plays.
pub const HOURS: u64 = 72;

/// Plays a life for each of these seeds, side by side, and says what was shown.
#[must_use]
pub fn all(seeds: Range<u64>, hours: u64) -> Vec<Shown> {
    let begin = clock::now();
    side_by_side(seeds, |seed| {
        let lived = guarded(|| live(seed, hours, false).map_err(|(what, _)| what));
        let (name, took) = (format!("{hours} hours of two hosts, seed {seed}"), clock::now());
        println!("simulate: {name}: {lived:?}, {:.1} s", clock::ms_between(begin, took) / 1000.0);
        let again = format!("again: cargo testbed simulate --hours {hours} --seed {seed}");
        Shown { name, failed: lived.err().map(|what| format!("{what}; {again}")) }
    })
}

/// Plays one life and tells what happened from the last rest on before anything went wrong.
#[must_use]
pub fn one(seed: u64, hours: u64) -> Shown {
    let name = format!("{hours} hours of two hosts, seed {seed}");
    let lived = live(seed, hours, true);
    if let Err((_, trace)) = &lived {
        trace.iter().for_each(|line| println!("{line}"));
    }
    println!("simulate: {name}: {:?}", lived.as_ref().map_err(|(what, _)| what));
    Shown { name, failed: lived.err().map(|(what, _)| what) }
}

struct Life {
    world: World,
    dice: Dice,
    seen: Seen,
    /// The addresses of each end, once all that is planned has happened.
    has: [Vec<IpAddr>; 2],
}

impl Life {
    fn new(seed: u64, trace: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x11fe);
        let has = [vec![address(0, 0, 2)], vec![address(1, 0, 2)]];
        let hosts = association(&mut dice, &has).map(|(identity, begin)| Host::new(identity, begin));
        let network = Network {
            delay: 5 * MS,
            jitter: 5 * MS,
            loss: 0,
            registrar: 20 * MS,
            registered: [true, true],
            liars: vec![IpAddr::from([203, 0, 113, 9])],
            strangers: vec![IpAddr::from([203, 0, 113, 7])],
            interval: 500 * MS,
        };
        Self { world: World::new(seed, network, hosts, Vec::new(), trace), dice, seen: Seen::default(), has }
    }

    /// Something happens, and everything comes to rest.
    fn episode(&mut self) -> Result<(), String> {
        self.seen.episodes += 1;
        let start = self.world.now + 100 * MS + self.dice.below(60 * SECOND);
        let mut rest = start;
        match self.dice.below(20) {
            0..=5 => rest = self.moves(start),
            6..=8 => {
                // Both, at the same moment or nearly so.
                let late = self.dice.one_of(&[0, 0, 20 * MS, SECOND]);
                rest = self.moves_one(0, start).max(self.moves_one(1, start + late));
            }
            9..=11 => rest = self.flaps(start),
            12..=14 => rest = self.renews(start),
            15 => {
                let end = self.dice.end();
                self.seen.restarts += 1;
                self.world.schedule(start, Step::Leave(end));
                rest = start + 200 * MS + self.dice.below(20 * SECOND);
                self.world.schedule(rest, Step::Start(end));
            }
            16 => {
                self.world.run(start);
                self.seen.associations += 1;
                self.seen.messages += self.world.sent.iter().map(|sent| u64::from(*sent)).sum::<u64>();
                let ends = association(&mut self.dice, &self.has);
                self.world.renew(ends);
            }
            _ => {
                // A day like any other: it goes on for some minutes.
                rest += self.dice.below(600 * SECOND);
            }
        }
        self.trouble(start, rest);
        self.world.schedule(rest, Step::Registrar(true));
        self.world.schedule(rest, Step::Loss(0));
        for end in 0..2 {
            self.world.schedule(rest, Step::Start(end));
            self.world.schedule(rest, Step::Lie(end, None));
        }
        self.world.run(rest + CALM - YOUNG);
        self.is_at_rest(rest)
    }

    /// Daemons are killed, packets are lost, the registrar is away or lies: at any moment of an episode.
    fn trouble(&mut self, start: Time, rest: Time) {
        let span = rest - start + 1;
        if self.dice.percent(30) {
            for _ in 0..=self.dice.below(3) {
                let (end, at) = (self.dice.end(), start + self.dice.below(span));
                self.seen.kills += 1;
                self.world.schedule(at, Step::Kill(end));
                let back = at + 20 * MS + self.dice.below(2 * SECOND);
                self.world.schedule(back.min(rest), Step::Start(end));
            }
        }
        if self.dice.percent(20) {
            let loss = self.dice.one_of(&[20, 100]);
            self.world.schedule(start, Step::Loss(loss));
        }
        if self.dice.percent(20) {
            let at = start + self.dice.below(span);
            self.world.schedule(at, Step::Registrar(false));
        }
        if self.dice.percent(10) {
            let (end, at) = (self.dice.end(), start + self.dice.below(span));
            let stale = address(end, self.dice.number(4), 2);
            let strangers = [IpAddr::from([203, 0, 113, 9]), IpAddr::from([203, 0, 113, 7])];
            let lie = self.dice.one_of(&[vec![stale], strangers.to_vec(), Vec::new()]);
            self.world.schedule(at, Step::Lie(end, Some(lie)));
        }
    }

    fn moves(&mut self, start: Time) -> Time {
        let end = self.dice.end();
        self.moves_one(end, start)
    }

    /// One to three moves of an end.
    fn moves_one(&mut self, end: End, start: Time) -> Time {
        let mut at = start;
        for _ in 0..=self.dice.below(3) {
            let number = 2 + self.dice.number(250);
            let next = address(end, self.dice.number(4), number);
            let gap = self.dice.one_of(&[0, 20 * MS, 300 * MS, SECOND, 3 * SECOND, 90 * SECOND]);
            let gap = self.dice.below(gap + 1);
            let old = self.has[end].clone();
            match self.dice.below(6) {
                0..=2 => {
                    self.down(end, at, &old);
                    at += gap;
                    self.up(end, at, next);
                }
                3..=4 => {
                    self.up(end, at, next);
                    at += gap;
                    let old: Vec<IpAddr> = old.into_iter().filter(|old| *old != next).collect();
                    self.down(end, at, &old);
                }
                _ => {
                    // No host has very many.
                    if old.len() < 3 {
                        self.up(end, at, next);
                    }
                }
            }
            at += 1 + self.dice.below(2 * SECOND);
        }
        at
    }

    /// The newest address comes and goes.
    fn flaps(&mut self, start: Time) -> Time {
        let end = self.dice.end();
        let Some(&newest) = self.has[end].first() else { return start };
        let mut at = start;
        for _ in 0..2 + self.dice.below(8) {
            self.down(end, at, &[newest]);
            at += 1 + self.dice.below(2 * SECOND);
            self.up(end, at, newest);
            at += 1 + self.dice.below(3 * SECOND);
        }
        at
    }

    /// A lease is renewed as some clients do it: the address goes and is there again.
    fn renews(&mut self, start: Time) -> Time {
        let end = self.dice.end();
        let mut at = start;
        for address in self.has[end].clone() {
            self.down(end, at, &[address]);
            at += self.dice.below(400 * MS);
            self.up(end, at, address);
        }
        at
    }

    fn up(&mut self, end: End, at: Time, address: IpAddr) {
        if !self.has[end].contains(&address) {
            self.seen.addresses += 1;
            self.has[end].insert(0, address);
            self.world.schedule(at, Step::Up(end, address));
        }
    }

    fn down(&mut self, end: End, at: Time, addresses: &[IpAddr]) {
        for address in addresses {
            self.has[end].retain(|other| other != address);
            self.world.schedule(at, Step::Down(end, *address));
        }
    }

    /// Everything has arrived, and nothing is left.
    fn is_at_rest(&mut self, rest: Time) -> Result<(), String> {
        loop {
            let sent = self.world.sent;
            self.world.run(self.world.now + YOUNG);
            if let Some(wrong) = self.world.wrong() {
                return Err(wrong);
            }
            let Err(what) = self.judge(sent) else { break };
            if self.world.now > rest + PATIENCE {
                return Err(format!("{} s after the last event {what}", PATIENCE / SECOND));
            }
        }
        if let Some(trace) = self.world.trace.as_mut() {
            trace.clear();
        }
        Ok(())
    }

    fn judge(&mut self, sent: [u32; 2]) -> Result<(), String> {
        for (end, host) in self.world.hosts.iter().enumerate() {
            let kernel = &host.kernel;
            if kernel.delivered < sent[1 - end] {
                return Err(format!("end {end} has {} of {} messages", kernel.delivered, sent[1 - end]));
            }
            let mut present = self.has[end].clone();
            let mut interfaces = kernel.interfaces.clone();
            present.sort();
            interfaces.sort();
            if present != interfaces {
                return Err(format!("end {end} is at {interfaces:?}, not {present:?}"));
            }
            if let Some(left) = host.left() {
                return Err(format!("end {end}: {left}: {}", kernel.describe()));
            }
            let planner = host.planner.as_ref().ok_or("no daemon runs")?;
            if planner.state() != State::Settled {
                return Err(format!("end {end} is {:?}: {}", planner.state(), kernel.describe()));
            }
            let remembered = planner.remembers();
            if remembered > REMEMBERED {
                return Err(format!("the planner of end {end} remembers {remembered} things"));
            }
            self.seen.remembered = self.seen.remembered.max(remembered);
        }
        Ok(())
    }
}

/// A new association between the ends where they are.
fn association(dice: &mut Dice, has: &[Vec<IpAddr>; 2]) -> [(Identity, Begin); 2] {
    let ports = dice.one_of(&[[7001, 7000], [7001, 7000], [7000, 7001], [7000, 7000]]);
    let mut of = |end: End| {
        let wildcard = dice.percent(50);
        let pair = Pair { local_port: ports[end], peer_port: ports[1 - end] };
        let identity = Identity {
            pair,
            binding: if wildcard { Binding::Wildcard } else { Binding::Explicit },
            may_mute: may_mute(pair, has[end].first().copied(), has[1 - end].first().copied()),
            translate: true,
        };
        let begin = Begin {
            wildcard,
            local: has[end].clone(),
            peers: has[1 - end].clone(),
            seed: dice.below(u64::MAX),
        };
        (identity, begin)
    };
    [of(0), of(1)]
}
