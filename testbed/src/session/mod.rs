//! Scenarios of sessions: what a program sees of its pool while elements die.
//!
//! | file | what it holds |
//! |---|---|
//! | `pool` | a pool of our elements, and its user |
//! | `killed` | each element dies in turn |
//! | `pingpong` | ping-pong: our examples, rsplib's programs, and both together |

mod killed;
mod pingpong;
mod pool;

use crate::registrar::Scenario;

/// The round trip between a user and the elements, in milliseconds.
const RTT: f64 = 20.0;

/// All of them.
pub static ALL: [Scenario; 2] = [
    Scenario {
        name: "session-killed",
        shows: "Each of three elements dies in turn: every request is seen answered once, in order, after a short pause.",
        needed: &[],
        quick: true,
        measured: true,
        rounds: &[("killed", killed::killed), ("cut off", killed::cut_off)],
    },
    Scenario {
        name: "session-pingpong",
        shows: "Both servers of a ping-pong die, ours or rsplib's: our client, or rsplib's, goes on where it was.",
        needed: &[
            ("rspserver", "rsplib-services"),
            ("pingpongclient", "rsplib-tools"),
            ("stdbuf", "coreutils"),
        ],
        quick: true,
        measured: false,
        rounds: &[
            ("all ours", pingpong::ours),
            ("our client at rsplib's servers", pingpong::our_client),
            ("our client at a mixed pool", pingpong::our_client_mixed),
            ("rsplib's client at our servers", pingpong::our_servers),
            ("rsplib's client at a mixed pool", pingpong::rsplibs_client_mixed),
            ("all rsplib's, to compare with", pingpong::rsplibs),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_rounds() {
        crate::registrar::each_is_described(&ALL, "session-");
    }
}
