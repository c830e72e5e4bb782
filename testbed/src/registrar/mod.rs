//! Scenarios of registrars: ours and rsplib's, alone and together, with elements and users of both kinds.
//!
//! | file | what it holds |
//! |---|---|
//! | `stage` | where a scenario is played: hosts on one switch, each with an address |
//! | `member` | a registrar of a cluster, ours or rsplib's |
//! | `element` | a pool element that can be asked what it was told |
//! | `user` | asking a registrar |
//! | `programs` | rsplib's services, users and tools |
//! | `services` | rsplib's programs at our registrar |
//! | `cluster` | what is registered at one registrar is known at all |
//! | `takeover` | a registrar dies, and comes back |
//! | `death` | how soon that is known, of registrars and of elements |
//! | `drain` | a registrar hands its elements over before it leaves |
//! | `found` | registrars that are found by their announcements |
//! | `watch` | asking a registrar again and again |

mod cluster;
mod death;
mod drain;
mod element;
mod found;
mod member;
mod programs;
mod services;
mod stage;
mod takeover;
mod user;
mod watch;

use std::time::Duration;

use anyhow::Result;

use crate::clock::{self, Waited};
use crate::result::{Agent, Course, Happening, Outcome, RunResult};
use crate::scenario::{Story, kernel};

pub(crate) use member::{Kind, Member, asap, members};
pub(crate) use programs::Service;
pub use stage::Stage;
pub(crate) use stage::{address, last_lines};
pub(crate) use user::{USER, places};

/// What plays a round, and says what was seen; and what distinguishes the round from others.
pub(crate) type Round<Place> = (&'static str, fn(&mut Place) -> Result<String>);

/// Where the rounds of a scenario are played.
pub trait Scenery: Sized {
    /// Builds it. `agent`: who looks after associations there. `tell`: what happens there is told aloud.
    ///
    /// # Errors
    /// Not root, or the system's.
    fn build(agent: Agent, tell: bool) -> Result<Self>;

    /// What happens there.
    fn story(&self) -> &Story;

    /// The last lines of what the programs said, since a round has failed.
    fn print_logs(&self, why: &str);
}

/// A scenario whose rounds are played by functions: of registrars and of sessions, on a switched network, without
/// handovers; of networks as they are, with them.
#[derive(Debug)]
pub struct Scenario<Place: 'static = Stage> {
    /// Its name, as `run` takes it.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// Programs that it needs, and Debian's packages that have them.
    pub needed: &'static [(&'static str, &'static str)],
    /// It is played by every `check`, not only by `check --all`.
    pub quick: bool,
    /// Milliseconds matter: it is played where others disturb it least.
    pub measured: bool,
    /// Each on a stage of its own.
    pub(crate) rounds: &'static [Round<Place>],
}

/// Longer than anything here takes on a slow emulated machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what costs the machine much to look at.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a round is played whose registrars were not given the time to show that they live.
const ATTEMPTS: u32 = 3;

/// A registrar or an element that lived was taken for dead. That is no fault of anybody's where the machine stands still for a second,
/// but what the round is to show cannot be seen then.
#[derive(Debug, thiserror::Error)]
#[error("the machine is too slow: {0}")]
pub(crate) struct TooSlow(pub(crate) String);

/// Looks from time to time until `condition` gives something.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T, Waited> {
    clock::until(what, PATIENCE, || {
        let found = condition();
        if found.is_none() {
            // Interrupted: the wait itself sees that, too.
            let _ = clock::pass(PAUSE);
        }
        found
    })
}

const RSPREGISTRAR: (&str, &str) = ("rspregistrar", "rsplib-registrar");
const RSPSERVER: (&str, &str) = ("rspserver", "rsplib-services");
const HSDUMP: (&str, &str) = ("hsdump", "rsplib-tools");

/// All of them.
pub static ALL: [Scenario; 13] = [
    Scenario {
        name: "registrar-rsplib-services",
        shows: "rsplib's five services, their clients and its dump work at our registrar, unchanged.",
        needed: &[RSPSERVER, HSDUMP, ("tar", "tar"), ("gzip", "gzip")],
        quick: true,
        measured: false,
        rounds: &[("", services::all)],
    },
    Scenario {
        name: "registrar-cluster-ours",
        shows: "Two and three registrars of ours: what is registered at one is known at all, also at a late one.",
        needed: &[RSPSERVER],
        quick: true,
        measured: false,
        rounds: &[("two", cluster::ours), ("three", cluster::three_of_ours)],
    },
    Scenario {
        name: "registrar-cluster-mixed-2",
        shows: "Ours and rsplib's registrar: what is registered at one is known at both, whichever starts later.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: true,
        measured: false,
        rounds: &[
            ("rsplib's starts later", cluster::rsplib_later),
            ("ours starts later", cluster::ours_later),
        ],
    },
    Scenario {
        name: "registrar-cluster-mixed-3",
        shows: "Three registrars, one or two of them rsplib's: what is registered at any is known at all.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: false,
        measured: false,
        rounds: &[("two of ours", cluster::two_of_ours), ("two of rsplib's", cluster::two_of_rsplib)],
    },
    Scenario {
        name: "registrar-takeover-by-ours",
        shows: "A registrar dies, and one of ours takes over its elements: all are told of at any moment.",
        needed: &[RSPREGISTRAR, RSPSERVER],
        quick: true,
        measured: false,
        rounds: &[
            ("ours is killed", takeover::ours_of_two),
            ("ours of three is killed", takeover::ours_of_three),
            ("ours vanishes with its host", takeover::ours_vanishes),
            ("rsplib's is killed", takeover::rsplib_of_two),
        ],
    },
    Scenario {
        name: "registrar-takeover-beside-rsplib",
        shows: "One of three registrars is killed, and ours takes over its elements, with the leave of rsplib's.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: false,
        measured: false,
        rounds: &[
            ("ours is killed", takeover::ours_beside_rsplib),
            ("rsplib's is killed", takeover::rsplib_beside_rsplib),
        ],
    },
    Scenario {
        name: "registrar-takeover-by-rsplib",
        shows: "Our registrar is killed, and one of two of rsplib's takes over its elements.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: false,
        measured: false,
        rounds: &[("", takeover::by_rsplib)],
    },
    Scenario {
        name: "registrar-returns",
        shows: "A killed registrar is started again: it has the whole table, and no element is lost.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: false,
        measured: false,
        rounds: &[
            ("ours, to ours", takeover::ours_returns),
            ("rsplib's, to ours", takeover::rsplib_returns),
            ("ours, to rsplib's", takeover::ours_returns_to_rsplib),
        ],
    },
    Scenario {
        name: "registrar-heals",
        shows: "A registrar that was cut off and taken over is connected again: all agree, and no element is lost.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: false,
        measured: false,
        rounds: &[
            ("ours", takeover::ours_was_cut_off),
            ("ours, for long", takeover::ours_was_cut_off_for_long),
            ("rsplib's", takeover::rsplib_was_cut_off),
        ],
    },
    Scenario {
        name: "registrar-drain",
        shows: "A registrar hands its elements to another before it ends: users find each at any moment.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: true,
        measured: false,
        rounds: &[
            ("drained, to ours", drain::to_ours),
            ("drained, to rsplib's", drain::to_rsplib),
            ("drained in vain, to rsplib's", drain::to_rsplib_as_it_is),
            ("SIGTERM", drain::terminated),
        ],
    },
    Scenario {
        name: "registrar-death",
        shows: "A silent element or registrar is known, and its elements are taken over, within three seconds.",
        needed: &[RSPSERVER],
        quick: true,
        measured: false,
        rounds: &[("ours", death::ours)],
    },
    Scenario {
        name: "registrar-death-rsplib",
        shows: "How long rsplib's registrars take for what `registrar-death` shows of ours: figures, not a promise.",
        needed: &[RSPREGISTRAR, RSPSERVER, HSDUMP],
        quick: false,
        measured: false,
        rounds: &[("rsplib's", death::rsplib)],
    },
    Scenario {
        name: "registrar-found",
        shows: "roamd knows no registrar and finds ours, and then rsplib's, by their announcements.",
        needed: &[RSPREGISTRAR],
        quick: true,
        measured: false,
        rounds: &[("", found::by_announcements)],
    },
];

/// Plays a scenario. One that fails is an outcome, not an error.
///
/// # Errors
/// Interrupted.
pub fn run<Place: Scenery>(scenario: &Scenario<Place>, agent: Agent, tell: bool) -> Result<Outcome> {
    let (mut seen, mut wrong, mut course) = (Vec::new(), Vec::new(), Course::default());
    for (label, play) in scenario.rounds {
        let titled = |what: String| if label.is_empty() { what } else { format!("{label}: {what}") };
        if tell {
            println!("{}", titled(scenario.name.to_owned()));
        }
        let mut attempts = 0;
        let played = loop {
            attempts += 1;
            let played = Place::build(agent, tell).and_then(|mut stage| {
                let played = play(&mut stage);
                stage.story().tell();
                course = course_of(stage.story());
                if let Err(error) = &played
                    && error.downcast_ref() != Some(&Waited::Interrupted)
                {
                    stage.print_logs(&format!("{error:#}"));
                }
                played
            });
            match &played {
                Err(error) if error.is::<TooSlow>() && attempts < ATTEMPTS => {}
                _ => break played,
            }
        };
        match played {
            Ok(what) => seen.push(titled(what)),
            Err(error) if error.downcast_ref() == Some(&Waited::Interrupted) => return Err(error),
            Err(error) => wrong.push(titled(format!("{error:#}"))),
        }
    }
    let passed = wrong.is_empty();
    let result = RunResult {
        scenario: scenario.name.to_owned(),
        kernel: kernel(),
        agent,
        rtt_ms: 0.0,
        sent: None,
        echoed: None,
        out_of_order: None,
        duplicates: None,
        associations_lost: None,
        outage_ms: None,
        silence_ms: None,
        overhead_ms: None,
        passed,
        why: if passed { seen } else { wrong }.join("; "),
    };
    Ok(Outcome { result, course })
}

fn course_of(story: &Story) -> Course {
    let events = story.events();
    let zero = events.first().map_or(0, |event| event.at);
    let happenings = events.into_iter().map(|event| Happening {
        at_ms: clock::ms_between(zero, event.at),
        host: event.host.to_owned(),
        kind: event.kind.to_owned(),
        what: event.what,
    });
    Course { happenings: happenings.collect(), ..Course::default() }
}

/// Each has a name of its own that begins so, a sentence, and rounds.
#[cfg(test)]
pub(crate) fn each_is_described<Place>(all: &[Scenario<Place>], prefix: &str) {
    let names: std::collections::BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), all.len());
    for scenario in all {
        assert!(scenario.name.starts_with(prefix) && scenario.shows.ends_with('.'), "{}", scenario.name);
        assert!(!scenario.rounds.is_empty(), "{}", scenario.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own_a_sentence_and_rounds() {
        each_is_described(&ALL, "registrar-");
    }
}
