//! Whatever can be played by its name: handovers, and scenarios of registrars, of sessions, of networks as
//! they are and of sockets of every kind.

use std::time::Duration;

use anyhow::Result;

use super::{Options, Scenario, Stack, killed, real, table, usrsctp};
use crate::result::{Agent, Outcome};
use crate::{network, registrar, session, socket};

/// Something that `run` and `check` play.
#[derive(Debug, Clone)]
pub enum Play {
    /// Hosts move.
    Handover(Box<Scenario>),
    /// Registrars, their elements and users, and what these do with one another.
    Registrars(&'static registrar::Scenario),
    /// Networks as they are and sockets of every kind, and what the agent makes of them.
    Networks(&'static registrar::Scenario<network::Stage>),
    /// A daemon is killed at each step of a handover.
    Killed(&'static killed::Scenario),
}

/// All of them.
pub fn plays() -> Vec<Play> {
    let handovers = table::all().into_iter().map(|scenario| Play::Handover(Box::new(scenario)));
    let registrars = registrar::ALL.iter().chain(&session::ALL).map(Play::Registrars);
    let networks = network::ALL.iter().chain(&socket::ALL).map(Play::Networks);
    let kills = killed::ALL.iter().map(Play::Killed);
    handovers.chain(registrars).chain(networks).chain(kills).collect()
}

/// The one of this name.
pub fn play(name: &str) -> Option<Play> {
    plays().into_iter().find(|play| play.name() == name)
}

impl Play {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Handover(scenario) => &scenario.name,
            Self::Registrars(scenario) => scenario.name,
            Self::Networks(scenario) => scenario.name,
            Self::Killed(scenario) => scenario.name,
        }
    }

    /// What it shows, in a sentence.
    pub fn shows(&self) -> &str {
        match self {
            Self::Handover(scenario) => &scenario.shows,
            Self::Registrars(scenario) => scenario.shows,
            Self::Networks(scenario) => scenario.shows,
            Self::Killed(scenario) => scenario.shows,
        }
    }

    /// Whether every `check` plays it, not only `check --all`.
    pub fn is_quick(&self) -> bool {
        match self {
            Self::Handover(scenario) => scenario.quick,
            Self::Registrars(scenario) => scenario.quick,
            Self::Networks(scenario) => scenario.quick,
            Self::Killed(scenario) => scenario.quick,
        }
    }

    /// Whether milliseconds are what matters, as they are where hosts move.
    pub fn is_measured(&self) -> bool {
        match self {
            Self::Handover(_) => true,
            Self::Registrars(scenario) => scenario.measured,
            Self::Networks(scenario) => scenario.measured,
            Self::Killed(_) => false,
        }
    }

    /// Whether it mostly waits, and is played where time passes at once while nothing is done, and only by what is done: see
    /// [`by_instructions`](crate::guest::Options::by_instructions).
    pub fn is_by_instructions(&self) -> bool {
        matches!(self, Self::Killed(_))
    }

    /// The longest that it may take, much longer than it does.
    pub fn limit(&self) -> Duration {
        match self {
            Self::Handover(_) | Self::Registrars(_) | Self::Networks(_) => Duration::from_secs(120),
            Self::Killed(_) => Duration::from_secs(3000),
        }
    }

    /// Whether it is one of [`table::MAIN_SIX`].
    pub fn is_of_main_six(&self) -> bool {
        table::MAIN_SIX.contains(&self.name())
    }

    /// Programs that it needs, and Debian's packages that have them.
    pub fn needed(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Handover(scenario) => real::needed(&scenario.name),
            Self::Registrars(scenario) => scenario.needed,
            Self::Networks(scenario) => scenario.needed,
            Self::Killed(_) => &[("nft", "nftables")],
        }
    }

    /// Makes what has to be made before it can be played, on the host.
    ///
    /// # Errors
    /// Something cannot be built.
    pub(super) fn prepare(&self) -> Result<()> {
        let Self::Handover(scenario) = self else { return Ok(()) };
        match scenario.rounds.iter().any(|round| round.server_stack == Stack::Usrsctp) {
            true => usrsctp::build(),
            false => Ok(()),
        }
    }

    /// Plays it. A run that fails is an outcome, not an error.
    ///
    /// # Errors
    /// Interrupted, or no temporary directory.
    pub fn run(&self, options: &Options) -> Result<Outcome> {
        match self {
            Self::Handover(scenario) => super::run(scenario, options),
            // Nobody moves there.
            Self::Registrars(scenario) => registrar::run(scenario, Agent::None, options.tell),
            Self::Networks(scenario) => registrar::run(scenario, options.agent, options.tell),
            Self::Killed(scenario) => killed::run(scenario, options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_that_of_one_play() {
        let plays = plays();
        let names: BTreeSet<_> = plays.iter().map(Play::name).collect();
        assert_eq!(names.len(), plays.len());
        assert!(plays.iter().all(|one| play(one.name()).is_some() && one.shows().ends_with('.')));
        assert!(play("no-such").is_none());
    }
}
