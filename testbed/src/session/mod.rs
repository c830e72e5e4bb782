//! Scenarios of sessions: what a program sees of its pool while elements die.
//!
//! | file | what it holds |
//! |---|---|
//! | `pool` | a pool of our elements, and its user |
//! | `killed` | each element dies in turn |

mod killed;
mod pool;

use crate::registrar::Scenario;

/// The round trip between a user and the elements, in milliseconds.
const RTT: f64 = 20.0;

/// All of them.
pub static ALL: [Scenario; 1] = [Scenario {
    name: "session-killed",
    shows: "Each of three elements dies in turn: every request is seen answered once, in order, after a short pause.",
    needed: &[],
    quick: true,
    rounds: &[("killed", killed::killed), ("cut off", killed::cut_off)],
}];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_rounds() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scenario in &ALL {
            assert!(scenario.name.starts_with("session-") && scenario.shows.ends_with('.'));
            assert!(!scenario.rounds.is_empty(), "{}", scenario.name);
        }
    }
}
