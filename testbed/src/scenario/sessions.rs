//! Scenarios of a session whose hosts move.

use std::time::Duration;

use super::Binding::{Explicit, Wildcard};
use super::Step::{Down, KillServer, Pass, Recover, StartSpare, Up};
use super::real::each_kind;
use super::table::{labelled, round, scenario, started};
use super::{Programs, Round, Scenario, Stack, Step};
use crate::topology::{A1, A2, B1, B2};

/// Half of what an ordinary outage lasts.
const HALF: Duration = Duration::from_millis(500);

/// After so long a server that does not answer is left. A daemon sees to it that the kernel does not give up a host that may
/// only be moving; that it is gone for good is for the program to say.
const ANSWER: Duration = Duration::from_secs(3);

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![moves(), moves_and_dies()]
}

/// All that happens to an association happens to a session: each of these scenarios with sessions in place of numbered
/// messages, as far as a session can be where these are: its element is one of ours, on the kernel's SCTP.
pub(super) fn through(scenarios: &[Scenario]) -> Vec<Scenario> {
    let with_sessions = |scenario: &Scenario| {
        let Programs::Traffic(count) = scenario.programs else { return None };
        let on_kernel = |round: &&Round| round.server_stack == Stack::Kernel;
        let rounds: Vec<_> = scenario.rounds.iter().filter(on_kernel).cloned().collect();
        (!rounds.is_empty()).then(|| Scenario {
            name: format!("session-through-{}", scenario.name),
            shows: format!("Sessions in place of associations. {}", scenario.shows),
            programs: Programs::Session { count, answer: None },
            quick: false,
            rounds,
            ..scenario.clone()
        })
    };
    scenarios.iter().filter_map(with_sessions).collect()
}

fn moves() -> Scenario {
    let all = |binding, words: &str| {
        let named = move |round: Round| labelled(&format!("{}, {words}", round.label), round);
        each_kind(binding).into_iter().map(named).collect::<Vec<_>>()
    };
    Scenario {
        programs: Programs::Session { count: 1, answer: None },
        ..scenario(
            "session-moves",
            "A session with a pool lives through every kind of handover, at the same element and over the same association.",
            [all(Explicit, "bound"), all(Wildcard, "wildcard")].concat(),
        )
    }
}

fn moves_and_dies() -> Scenario {
    let dies = |label: &str, binding, steps: Vec<Step>| Round {
        // A server that is dead is in no book.
        registered: Vec::new(),
        ..labelled(label, round(binding, binding, started([vec![StartSpare], steps].concat())))
    };
    let offline = |from: &[_], to: &[_]| {
        vec![Down(from.to_vec()), Pass(HALF), KillServer, Pass(HALF), Up(to.to_vec()), Recover]
    };
    Scenario {
        programs: Programs::Session { count: 1, answer: Some(ANSWER) },
        ..scenario(
            "session-moves-and-dies",
            "A server dies in the middle of each kind of handover: its session goes on at another element, and every \
             request is answered once and in order.",
            vec![
                dies(
                    "make-before-break",
                    Explicit,
                    vec![Up(vec![A2]), Pass(HALF), KillServer, Down(vec![A1]), Recover],
                ),
                dies("sender moves", Explicit, offline(&[A1], &[A2])),
                dies("receiver moves", Explicit, offline(&[B1], &[B2])),
                dies("simultaneous", Explicit, offline(&[A1, B1], &[A2, B2])),
                dies("sender moves, wildcard", Wildcard, offline(&[A1], &[A2])),
                dies("simultaneous, wildcard", Wildcard, offline(&[A1, B1], &[A2, B2])),
            ],
        )
    }
}
