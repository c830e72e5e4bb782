//! What keeps this host from moving its associations, or may: every check with a verdict and what mends it.
//!
//! [`look`] reads the host and asks the daemon, if it runs; the checks themselves are functions of the [`Facts`] alone, one
//! file for each group.
//!
//! | file | what |
//! |---|---|
//! | `kernel` | SCTP, its module and its settings |
//! | `service` | the daemon, its rights, its configuration, what it says itself |
//! | `addresses` | each address that may carry an association, and the settings of its interface |
//! | `namespaces` | SCTP in other network namespaces |
//! | `network` | others that change addresses and routes, packet filters, translation |
//! | `pools` | registrars, elements, peers |

mod addresses;
mod facts;
mod kernel;
mod look;
mod namespaces;
mod network;
mod pools;
mod service;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::facts::{AddressFacts, Daemon, Facts, InterfaceFacts, KernelFacts, NetworkFacts, PoolFacts};
pub use self::look::look;
pub use self::namespaces::NamespaceFacts;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and may not always.
    Warn,
    /// Associations cannot be moved, or not all.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The group: the name of its file.
    pub group: String,
    /// What was looked at, for programs: `addip-enable`, `source-route`. With several addresses or interfaces there are
    /// several of one name.
    pub name: String,
    /// The verdict.
    pub level: Level,
    /// What was seen, and what follows from it.
    pub text: String,
    /// The command that mends it, where there is one.
    pub mend: Option<String>,
}

impl Check {
    fn ok(group: &str, name: &str, text: impl Into<String>) -> Self {
        Self { group: group.into(), name: name.into(), level: Level::Ok, text: text.into(), mend: None }
    }

    fn warn(group: &str, name: &str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Warn, mend: Some(mend.into()), ..Self::ok(group, name, text) }
    }

    fn fail(group: &str, name: &str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Fail, mend: Some(mend.into()), ..Self::ok(group, name, text) }
    }
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The daemon answered.
    pub daemon: bool,
    /// How many warnings.
    pub warnings: usize,
    /// How many failures.
    pub failures: usize,
    /// Each check, in groups.
    pub checks: Vec<Check>,
}

/// Judges.
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let mut checks = kernel::check(facts);
    checks.extend(service::check(facts));
    checks.extend(addresses::check(facts));
    checks.extend(namespaces::check(facts));
    checks.extend(network::check(facts));
    checks.extend(pools::check(facts));
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let (warnings, failures) = (count(Level::Warn), count(Level::Fail));
    Diagnosis { daemon: facts.daemon.is_running(), warnings, failures, checks }
}

/// One line for each check, and one below it with what mends it.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::show::plain;
        if !self.daemon {
            writeln!(f, "roamd does not answer: this is what can be seen without it")?;
        }
        for check in &self.checks {
            writeln!(f, "{:4}  {:9}  {}", check.level, check.group, plain(&check.text))?;
            if let Some(mend) = &check.mend {
                writeln!(f, "{:17}mend: {}", "", plain(mend))?;
            }
        }
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let (checks, warnings) = (count(self.checks.len(), "check"), count(self.warnings, "warning"));
        writeln!(f, "{checks}, {warnings}, {}", count(self.failures, "failure"))
    }
}

#[cfg(test)]
mod tests;
