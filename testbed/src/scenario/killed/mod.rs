//! A daemon is killed with SIGKILL at every step of every kind of handover. The steps are counted in a handover in which
//! nobody is killed, and then there is one handover for each of them.
//!
//! | file | what it holds |
//! |---|---|
//! | `call` | which system calls are steps |
//! | `tracer` | counting them, and killing at one |
//! | `world` | two hosts, their daemons and programs; one handover with or without a kill |
//! | `clean` | what a daemon that has stopped must have left as it was |

mod call;
mod clean;
mod tracer;
mod world;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::run::kernel;
use super::{Binding, Ip, Options};
use crate::clock::{self, Waited};
use crate::result::{Agent, Course, Outcome, RunResult};
use crate::topology::Host;
use Binding::{Both, Explicit, Mapped, Several, Wildcard};
use tracer::{Side, Step};

/// What happens to the hosts, there and back by turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// This host gets its next address before the present one goes.
    MakeBeforeBreak(Host),
    /// This host loses its address and gets the next one later.
    BreakBeforeMake(Host),
    /// Both hosts do that at the same moment.
    Simultaneous,
    /// This host has a network of IPv4 all the time, and loses that of IPv6 and gets it again later.
    WithoutIpv6(Host),
}

/// A kind of handover, and whose daemon is killed in it.
#[derive(Debug, Clone, Copy)]
struct Kind {
    label: &'static str,
    client: Binding,
    server: Binding,
    family: Ip,
    without_nftables: &'static [Host],
    moves: Move,
    victim: Host,
    /// Each handover is in a world of its own: there is no way back, or the steps are those of the first one only.
    afresh: bool,
}

/// Kinds of handovers, and how many of the possible kills are played.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, as `run` takes it.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// It is played by every `check`, not only by `check --all`.
    pub quick: bool,
    kinds: &'static [Kind],
    sides: &'static [Side],
    /// Each daemon that was started after a kill is stopped, and the host looked at; else the last one alone.
    stops: bool,
}

const fn kind(label: &'static str, binding: Binding, moves: Move, victim: Host) -> Kind {
    Kind {
        label,
        client: binding,
        server: binding,
        family: Ip::V4,
        without_nftables: &[],
        moves,
        victim,
        afresh: false,
    }
}

const MAKE_BEFORE_BREAK: Kind = kind("make-before-break", Explicit, Move::MakeBeforeBreak(Host::A), Host::A);
const BREAK_BEFORE_MAKE: Kind = kind("break-before-make", Explicit, Move::BreakBeforeMake(Host::A), Host::A);
const BOTH: &[Side] = &[Side::Before, Side::After];

/// All of them.
pub(super) static ALL: [Scenario; 8] = [
    Scenario {
        name: "killed-at-every-step",
        shows: "The daemon is killed right after each step of a move from network to network: the next one carries on, \
                and nothing is left.",
        quick: true,
        kinds: &[BREAK_BEFORE_MAKE],
        sides: &[Side::After],
        stops: false,
    },
    Scenario {
        name: "killed-at-every-step-break-before-make",
        shows: "The same right before and after each step, of the moving host's daemon and of its peer's.",
        quick: false,
        kinds: &[
            BREAK_BEFORE_MAKE,
            // A daemon that was restarted was not seen to take the steps again in the next move of its peer.
            Kind {
                afresh: true,
                ..kind("break-before-make of the peer", Explicit, Move::BreakBeforeMake(Host::B), Host::A)
            },
            Kind { label: "break-before-make, IPv6", family: Ip::V6, ..BREAK_BEFORE_MAKE },
        ],
        sides: BOTH,
        stops: true,
    },
    Scenario {
        name: "killed-at-every-step-make-before-break",
        shows: "The same in moves to a network that comes before the other one goes.",
        quick: false,
        kinds: &[
            MAKE_BEFORE_BREAK,
            kind("make-before-break, wildcard", Wildcard, Move::MakeBeforeBreak(Host::A), Host::A),
        ],
        sides: BOTH,
        stops: true,
    },
    Scenario {
        name: "killed-at-every-step-wildcard",
        shows: "The same where programs are bound to no address.",
        quick: false,
        kinds: &[kind("break-before-make, wildcard", Wildcard, Move::BreakBeforeMake(Host::A), Host::A)],
        sides: BOTH,
        stops: true,
    },
    Scenario {
        name: "killed-at-every-step-swap",
        shows: "The same where nftables is not installed and the association is moved by socket options alone.",
        quick: false,
        kinds: &[Kind {
            label: "swap",
            without_nftables: &Host::ALL,
            ..kind("", Explicit, Move::BreakBeforeMake(Host::A), Host::A)
        }],
        sides: BOTH,
        stops: true,
    },
    Scenario {
        name: "killed-at-every-step-simultaneous",
        shows: "The same where both hosts move at the same moment, at either end.",
        quick: false,
        kinds: &[
            kind("simultaneous, the client's daemon", Explicit, Move::Simultaneous, Host::A),
            kind("simultaneous, the server's daemon", Explicit, Move::Simultaneous, Host::B),
            kind("simultaneous, wildcard", Wildcard, Move::Simultaneous, Host::A),
        ],
        sides: BOTH,
        stops: true,
    },
    Scenario {
        name: "killed-at-every-step-families",
        shows: "The same where the moving host's first network has IPv4 alone and the second IPv6 alone, and its peer both.",
        quick: false,
        kinds: &[
            Kind {
                server: Both,
                ..kind("from IPv6 to IPv4 and back", Both, Move::WithoutIpv6(Host::A), Host::A)
            },
            Kind {
                label: "from IPv4 to IPv6",
                client: Mapped,
                server: Both,
                afresh: true,
                ..MAKE_BEFORE_BREAK
            },
        ],
        sides: BOTH,
        stops: true,
    },
    Scenario {
        name: "killed-at-every-step-two-addresses",
        shows: "The same where the client is bound to two addresses, both are lost at once, and a third comes.",
        quick: false,
        kinds: &[Kind { label: "two addresses lost", client: Several, afresh: true, ..BREAK_BEFORE_MAKE }],
        sides: BOTH,
        stops: true,
    },
];

/// Of so many faults more is not to be learned from further ones.
const FAULTS: usize = 5;
/// So many worlds share the kills: most of the time is waited for something.
const WORLDS: usize = 2;

/// Plays a scenario. One that fails is an outcome, not an error.
///
/// # Errors
/// Interrupted, or no temporary directory.
pub(super) fn run(scenario: &Scenario, options: &Options) -> Result<Outcome> {
    let begin = clock::now();
    let (mut seen, mut wrong) = (Vec::new(), Vec::new());
    for kind in scenario.kinds {
        match every_step(scenario, kind, options) {
            Ok(what) => seen.push(format!("{}: {what}", kind.label)),
            Err(error) if error.downcast_ref() == Some(&Waited::Interrupted) => return Err(error),
            Err(error) => wrong.push(format!("{}: {error:#}", kind.label)),
        }
    }
    let passed = wrong.is_empty();
    let seconds = clock::ms_between(begin, clock::now()) / 1000.0;
    let result = RunResult {
        scenario: scenario.name.to_owned(),
        kernel: kernel(),
        agent: Agent::Roam,
        rtt_ms: options.rtt_ms,
        passed,
        why: if passed { format!("{} ({seconds:.0} s)", seen.join("; ")) } else { wrong.join("; ") },
        ..RunResult::default()
    };
    Ok(Outcome { result, course: Course::default() })
}

/// What is left to do, and what came of the rest.
#[derive(Debug, Default)]
struct Account {
    todo: VecDeque<(Step, Side)>,
    killed: usize,
    /// Steps that did not come: which there are depends on the moment at which things happen.
    missed: usize,
    slowest: Duration,
    wrong: Vec<String>,
}

/// One handover without a kill, and one for each of its steps.
fn every_step(scenario: &Scenario, kind: &Kind, options: &Options) -> Result<String> {
    let mut counted = Vec::new();
    world::with(kind, options, |world| {
        counted = world.count()?;
        Ok(())
    })?;
    if options.tell {
        println!("{}: {} steps", kind.label, counted.len());
        counted.iter().for_each(|step| println!("  {step}"));
    }
    if counted.len() < 3 {
        bail!("only {} steps were seen", counted.len());
    }
    let sides = |step: &Step| -> Vec<_> { scenario.sides.iter().map(|side| (step.clone(), *side)).collect() };
    let account =
        Mutex::new(Account { todo: counted.iter().flat_map(sides).collect(), ..Account::default() });
    let interrupted = thread::scope(|scope| {
        let worlds = [(); WORLDS].map(|()| scope.spawn(|| kills(scenario, kind, options, &account)));
        worlds
            .into_iter()
            .find_map(|world| world.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).err())
    });
    if let Some(interrupted) = interrupted {
        return Err(interrupted.into());
    }
    let Account { todo, killed, missed, slowest, wrong } =
        account.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !wrong.is_empty() {
        let rest = if todo.is_empty() { String::new() } else { format!("; {} were not played", todo.len()) };
        bail!("{} of {} kills{rest}: {}", wrong.len(), killed + wrong.len(), wrong.join("; "));
    }
    if killed < 2 * missed {
        bail!("{missed} of {} steps did not come again", killed + missed);
    }
    let again = if missed > 0 { format!(", {missed} did not come again") } else { String::new() };
    Ok(format!("{} steps, {killed} kills{again}, back within {} ms", counted.len(), slowest.as_millis()))
}

/// Kills until nothing is left to do; each time that something goes wrong, in another world.
fn kills(
    scenario: &Scenario,
    kind: &Kind,
    options: &Options,
    account: &Mutex<Account>,
) -> Result<(), Waited> {
    let account = || account.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = || {
        let account = account();
        account.todo.is_empty() || account.wrong.len() >= FAULTS
    };
    while !is_over() {
        let played = world::with(kind, options, |world| {
            while !is_over() {
                let Some((step, side)) = account().todo.pop_front() else { break };
                let at = format!("killed {} {step}", side.name());
                let took = world.kill(step, side, scenario.stops);
                match took.map_err(|error| error.context(at.clone()))? {
                    Some(took) => {
                        let mut account = account();
                        account.killed += 1;
                        account.slowest = account.slowest.max(took);
                        if options.tell {
                            println!("  {at}: back after {} ms", took.as_millis());
                        }
                    }
                    None => account().missed += 1,
                }
                if kind.afresh {
                    break;
                }
            }
            world.is_clean()
        });
        match played {
            Ok(()) => {}
            Err(error) if error.downcast_ref() == Some(&Waited::Interrupted) => {
                return Err(Waited::Interrupted);
            }
            Err(error) => account().wrong.push(format!("{error:#}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_kinds() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scenario in &ALL {
            assert!(
                scenario.name.starts_with("killed-") && scenario.shows.ends_with('.'),
                "{}",
                scenario.name
            );
            assert!(!scenario.kinds.is_empty() && !scenario.sides.is_empty(), "{}", scenario.name);
        }
    }
}
