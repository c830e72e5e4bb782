//! Scenarios of sessions: what a program sees of its pool while elements die.
//!
//! | file | what it holds |
//! |---|---|
//! | `pool` | a pool of our elements, and its user |
//! | `killed` | each element dies in turn |
//! | `daemon` | `roamd` at the user's host |
//! | `fractal` | a picture is computed by a pool whose elements die, or leave |
//! | `pingpong` | ping-pong: our examples, rsplib's programs, and both together |
//! | `rsplib` | pictures, jobs and packages: users of ours at elements of rsplib's, and the other way round |

mod daemon;
mod fractal;
mod killed;
mod pingpong;
mod pool;
mod rsplib;

use std::net::IpAddr;
use std::process::Command;

use anyhow::Result;
use sctp_sys::diag;
use sctp_sys::sockopt::AssocState;

use crate::registrar::{Member, Scenario, Stage, USER, address, asap, places, until};
use crate::scenario::beside;

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Rsplibs,
}

/// The round trip between a user and the elements, in milliseconds.
const RTT: f64 = 20.0;

/// All of them.
pub static ALL: [Scenario; 4] = [
    Scenario {
        name: "session-killed",
        shows: "Each of three elements dies in turn: every request is seen answered once, in order, after a short pause.",
        needed: &[],
        quick: true,
        measured: true,
        rounds: &[
            ("killed", killed::killed),
            ("cut off", killed::cut_off),
            ("cut off, with roamd at the user's host", killed::cut_off_from_daemon),
        ],
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
    Scenario {
        name: "session-fractal",
        shows: "Of twenty elements that compute a picture one dies every second, or leaves: it is the one computed alone.",
        needed: &[],
        quick: true,
        measured: false,
        rounds: &[("one is killed", fractal::killed), ("one leaves", fractal::left)],
    },
    Scenario {
        name: "session-rsplib",
        shows: "Elements die that compute pictures, jobs and packages: ours go on where rsplib's were, and the reverse.",
        needed: &[
            ("rspserver", "rsplib-services"),
            ("calcappclient", "rsplib-services"),
            ("scriptingclient", "rsplib-services"),
        ],
        quick: true,
        measured: false,
        rounds: &[
            ("our pictures at rsplib's elements", rsplib::pictures),
            ("our pictures at a mixed pool", rsplib::pictures_mixed),
            ("our jobs at rsplib's elements", rsplib::jobs),
            ("our jobs at a mixed pool", rsplib::jobs_mixed),
            ("rsplib's jobs at our elements", rsplib::rsplibs_jobs),
            ("rsplib's jobs at a mixed pool", rsplib::rsplibs_jobs_mixed),
            ("rsplib's packages at our elements", rsplib::packages),
        ],
    },
];

/// An example of `asap-client`, built together with this program, for a host and a pool.
fn example(name: &str, host: u8, registrar: &Member, pool: &str) -> Result<Command> {
    let mut command = Command::new(beside(&format!("examples/{name}"))?);
    command.args([&asap(registrar.number), &address(host).to_string(), pool]);
    Ok(command)
}

/// Waits until a pool has so many elements.
fn until_registered(stage: &mut Stage, registrar: &Member, pool: &str, elements: usize) -> Result<()> {
    Ok(until(&format!("{elements} registrations"), || {
        (places(stage, registrar.number, pool).len() == elements).then_some(())
    })?)
}

/// At which of these hosts the user's session is: there is an association with it.
fn at(stage: &Stage, hosts: &[u8]) -> Option<u8> {
    let associations = stage.host(USER).ok()?.enter(diag::snapshot_by_sock_diag).ok()?.associations;
    let up = associations.iter().filter(|one| one.state == AssocState::Established);
    let peers: Vec<IpAddr> = up.flat_map(|one| one.peer.iter().copied()).collect();
    hosts.iter().copied().find(|host| peers.contains(&address(*host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_rounds() {
        crate::registrar::each_is_described(&ALL, "session-");
    }
}
