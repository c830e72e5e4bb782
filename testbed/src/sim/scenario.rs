//! What happens in a run, drawn from its seed.

use std::net::IpAddr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use roam_agent::handover::{Binding, Identity, may_mute};
use roam_agent::translate::Pair;

use super::host::Host;
use super::kernel::Begin;
use super::packet::{MS, SECOND, Time};
use super::world::{End, Network, Step, World};

/// How long everything is left alone at the end.
pub const CALM: Time = 10 * SECOND;
/// How long before the end the last message is sent that has to be there at the end.
pub const GRACE: Time = 3 * SECOND;

/// What an end's agent can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Hold and translate.
    Translate,
    /// Swap, if the rule of the lower port allows it.
    SwapByRule,
    /// Swap whatever the rule says.
    Swap,
}

/// Which ends move, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// Both, at any time.
    Any,
    /// One of them at a time: each settles before the next one moves.
    OneByOne,
}

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The ends' abilities.
    pub abilities: [Ability; 2],
    /// The moves.
    pub moves: Moves,
}

/// Hold and translate at both ends, anything may happen.
pub const ANYTHING: Kind = Kind { abilities: [Ability::Translate; 2], moves: Moves::Any };

/// Random numbers of a seed.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    pub(super) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len() as u64);
        choices[usize::try_from(at).unwrap_or(0)].clone()
    }

    pub(super) fn number(&mut self, bound: u8) -> u8 {
        u8::try_from(self.below(u64::from(bound))).unwrap_or(0)
    }

    pub(super) fn end(&mut self) -> End {
        usize::from(self.percent(50))
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn address(end: End, network: u8) -> IpAddr {
    IpAddr::from([10, u8::try_from(end).unwrap_or(0) + 1, network, 2])
}

/// The script of one end: when it has which addresses.
struct Mover {
    end: End,
    has: Vec<IpAddr>,
    script: Vec<(Time, Step)>,
}

impl Mover {
    fn up(&mut self, at: Time, address: IpAddr) {
        if !self.has.contains(&address) {
            self.has.insert(0, address);
            self.script.push((at, Step::Up(self.end, address)));
        }
    }

    fn down(&mut self, at: Time, address: IpAddr) {
        if self.has.contains(&address) {
            self.has.retain(|&other| other != address);
            self.script.push((at, Step::Down(self.end, address)));
        }
    }

    /// One move; returns when it is over.
    fn change(&mut self, dice: &mut Dice, at: Time, several: bool) -> Time {
        let network = dice.number(4);
        let next = address(self.end, network);
        let gap = dice.one_of(&[0, 20 * MS, 300 * MS, SECOND, 3 * SECOND]);
        let gap = dice.below(gap + 1);
        let kind = if several { dice.below(6) } else { dice.below(3) };
        match kind {
            // Break before make: all that it has, and the next one later.
            0..=2 => {
                for old in self.has.clone() {
                    self.down(at, old);
                }
                self.up(at + gap, next);
            }
            // Make before break.
            3 => {
                let old = self.has.clone();
                self.up(at, next);
                for old in old.into_iter().filter(|&old| old != next) {
                    self.down(at + gap, old);
                }
            }
            // One more.
            4 => self.up(at, next),
            // The newest goes, and comes back.
            _ => {
                if let Some(&newest) = self.has.first() {
                    self.down(at, newest);
                    self.up(at + gap, newest);
                }
            }
        }
        at + gap
    }
}

/// The world that a seed stands for, and the time at which everything comes to rest.
#[must_use]
pub fn world(seed: u64, kind: Kind, trace: bool) -> (World, Time) {
    let mut dice = Dice::new(seed);
    let swaps = |end: End| kind.abilities[end] != Ability::Translate;
    // Of ends that swap, the first one may.
    let ports = if kind == ANYTHING && dice.percent(20) { [7000, 7000] } else { [7001, 7000] };
    let locals: [Vec<IpAddr>; 2] = std::array::from_fn(|end| {
        let several = !swaps(end) && dice.percent(25);
        (0..=u8::from(several)).map(|network| address(end, network)).collect()
    });
    let hosts = std::array::from_fn(|end| {
        let wildcard = !swaps(end) && dice.percent(50);
        let pair = Pair { local_port: ports[end], peer_port: ports[1 - end] };
        let rule = may_mute(pair, locals[end].first().copied(), locals[1 - end].first().copied());
        let identity = Identity {
            pair,
            binding: if wildcard { Binding::Wildcard } else { Binding::Explicit },
            may_mute: match kind.abilities[end] {
                Ability::Swap => true,
                Ability::Translate | Ability::SwapByRule => rule,
            },
            translate: !swaps(end),
        };
        let seed = dice.0.next_u64();
        let begin = Begin { wildcard, local: locals[end].clone(), peers: locals[1 - end].clone(), seed };
        Host::new(identity, begin)
    });
    let liar = IpAddr::from([203, 0, 113, 9]);
    let stranger = IpAddr::from([203, 0, 113, 7]);
    let delay = dice.one_of(&[5, 50, 150]);
    let delay = MS + dice.below(delay * MS);
    let network = Network {
        delay,
        jitter: dice.one_of(&[1, 5 * MS, 30 * MS]),
        loss: dice.one_of(&[0, 0, 20, 100]),
        registrar: dice.one_of(&[5, 50, 300]) * MS,
        registered: dice.one_of(&[[true, true], [true, false], [false, true]]),
        liars: vec![liar],
        strangers: vec![stranger],
        interval: 100 * MS + dice.below(200 * MS),
    };
    let mut script = moves(&mut dice, kind, &locals);
    let rest = script.iter().map(|&(at, _)| at).max().unwrap_or(0) + MS;
    registrar(&mut dice, &mut script, rest, &network);
    if dice.percent(30) {
        for _ in 0..=dice.below(3) {
            let end = dice.end();
            let at = dice.below(rest);
            script.push((at, Step::Kill(end)));
            script.push(((at + 20 * MS + dice.below(2 * SECOND)).min(rest), Step::Start(end)));
        }
    }
    script.extend([(rest, Step::Start(0)), (rest, Step::Start(1)), (rest, Step::Loss(0))]);
    script.push((rest + CALM - GRACE, Step::Enough));
    script.sort_by_key(|&(at, _)| at);
    (World::new(seed, network, hosts, script, trace), rest)
}

fn moves(dice: &mut Dice, kind: Kind, locals: &[Vec<IpAddr>; 2]) -> Vec<(Time, Step)> {
    let mut movers: [Mover; 2] =
        std::array::from_fn(|end| Mover { end, has: locals[end].clone(), script: Vec::new() });
    let swaps = kind.abilities.map(|ability| ability != Ability::Translate);
    let span = dice.one_of(&[500 * MS, 2 * SECOND, 8 * SECOND]);
    let start = SECOND + dice.below(SECOND);
    match kind.moves {
        Moves::Any => {
            // At the same moment, or each in its own time.
            let together = dice.percent(50);
            for mover in &mut movers {
                let mut at = if together { start } else { start + dice.below(span) };
                for _ in 0..dice.below(4) + u64::from(together) {
                    at = mover.change(dice, at, !swaps[mover.end]) + 1 + dice.below(span / 2);
                }
            }
        }
        Moves::OneByOne => {
            let mut at = start;
            for _ in 0..=dice.below(3) {
                let end = dice.end();
                let mover = &mut movers[end];
                at = mover.change(dice, at, !swaps[mover.end]) + CALM;
            }
        }
    }
    let last = movers.iter().flat_map(|mover| &mover.script).map(|&(at, _)| at).max().unwrap_or(start);
    for mover in &mut movers {
        if mover.has.is_empty() {
            let network = dice.number(4);
            mover.up(last + dice.below(SECOND), address(mover.end, network));
        }
    }
    movers.into_iter().flat_map(|mover| mover.script).collect()
}

/// The registrar may be away, out of date, or lie; from `rest` on it is there and truthful.
fn registrar(dice: &mut Dice, script: &mut Vec<(Time, Step)>, rest: Time, network: &Network) {
    if dice.percent(30) {
        script.push((dice.below(rest), Step::Registrar(false)));
        script.push((rest, Step::Registrar(true)));
    }
    for end in (0..2).filter(|&end| network.registered[end]) {
        if dice.percent(25) {
            let stale = address(end, dice.number(4));
            let (liar, stranger) = (network.liars[0], network.strangers[0]);
            let lies = [vec![liar], vec![stale], vec![stranger], vec![stranger, liar, stale], vec![]];
            let lie = dice.one_of(&lies);
            script.push((dice.below(rest), Step::Lie(end, Some(lie))));
            script.push((rest, Step::Lie(end, None)));
        }
    }
}
