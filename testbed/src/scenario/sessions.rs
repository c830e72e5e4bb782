//! Scenarios of a session whose hosts move.

use super::Binding::{Explicit, Wildcard};
use super::real::each_kind;
use super::table::{labelled, scenario};
use super::{Programs, Round, Scenario};

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![moves()]
}

fn moves() -> Scenario {
    let all = |binding, words: &str| {
        let named = move |round: Round| labelled(&format!("{}, {words}", round.label), round);
        each_kind(binding).into_iter().map(named).collect::<Vec<_>>()
    };
    Scenario {
        programs: Programs::Session,
        ..scenario(
            "session-moves",
            "A session with a pool lives through every kind of handover, at the same element and over the same association.",
            [all(Explicit, "bound"), all(Wildcard, "wildcard")].concat(),
        )
    }
}
