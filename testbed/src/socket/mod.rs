//! Every kind of SCTP socket: what becomes of each when its host moves, with the agent there.
//!
//! | file | what it holds |
//! |---|---|
//! | `talk` | pairs of programs that talk with each other |
//! | `kinds` | sockets of every shape, bound in every way |
//! | `accepted` | a listener with hundreds of accepted associations |
//! | `container` | sockets in other network namespaces |
//! | `passing` | programs that start, stop, fork and pass sockets on in the midst of things |
//! | `rights` | agents that may not take sockets, and agents of users |
//! | `udp` | SCTP in UDP |

mod accepted;
mod container;
mod kinds;
mod passing;
mod rights;
mod talk;
mod udp;

use crate::network::{NFT, Stage, scenario};
use crate::registrar::Scenario;

/// All of them.
pub static ALL: [Scenario<Stage>; 7] = [
    scenario(
        "socket-kinds",
        "One-to-one, one-to-many, peeled-off, accepted and IPv6 sockets with mapped peers move, however they are bound.",
        &[
            ("bound to addresses", kinds::explicit),
            ("bound to none", kinds::wildcard),
            ("side by side", kinds::mixed),
        ],
    ),
    scenario(
        "socket-accepted",
        "A listener with three hundred accepted associations moves, and each of them lives.",
        &[("", accepted::hundreds)],
    ),
    scenario(
        "socket-passed-on",
        "Programs start, end, fork and pass their sockets on while their host moves: what lives on moves.",
        &[("", passing::in_the_midst)],
    ),
    scenario(
        "socket-namespaces",
        "A container's sockets are told by the doctor, and moved by an agent in its network namespace.",
        &[("", container::own_agent)],
    ),
    Scenario {
        needed: &[NFT, ("setpriv", "util-linux")],
        ..scenario(
            "socket-handed-over",
            "Without CAP_SYS_PTRACE programs of two users hand their sockets over, and no user's are another's to move.",
            &[("", rights::handed_over)],
        )
    },
    Scenario {
        needed: &[NFT, ("setpriv", "util-linux")],
        ..scenario(
            "socket-unprivileged",
            "A user runs an agent for his own programs: what remains is done, and what does not is said.",
            &[("", rights::by_a_user)],
        )
    },
    scenario(
        "socket-udp",
        "Associations in UDP (RFC 6951) move, also behind a router that translates addresses.",
        &[("no NAT", udp::without_nat), ("behind a NAT", udp::behind_nat)],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_rounds() {
        crate::registrar::each_is_described(&ALL, "socket-");
    }

    #[test]
    fn every_scenario_of_sockets_is_in_the_table_and_what_is_said_to_show_something_exists() {
        let document = include_str!("../../../agent/SOCKETS.md");
        let rows = document.lines().filter(|line| line.starts_with('|')).skip(2).take(14);
        let shown: Vec<&str> = rows
            .flat_map(|row| row.rsplit('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
            .collect();
        for scenario in &ALL {
            assert!(shown.contains(&scenario.name), "{}", scenario.name);
        }
        for name in shown {
            assert!(crate::scenario::play(name).is_some(), "there is no {name}");
        }
    }
}
