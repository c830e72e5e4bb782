//! What a run gives: the figures, and the course of events behind them.

use serde::{Deserialize, Serialize};

/// Who looks after the associations while the hosts move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// `roamd` on both hosts, and a registrar.
    #[default]
    Roam,
    /// Nobody: the kernel with Add-IP enabled, as it is.
    None,
    /// The kernel's own handling of address changes (`net.sctp.default_auto_asconf`).
    AutoAsconf,
}

impl std::fmt::Display for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Roam => "roam",
            Self::None => "none",
            Self::AutoAsconf => "auto-asconf",
        })
    }
}

/// The figures of one run. What a run cannot know, such as a foreign program's counts, is `None` (null).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunResult {
    /// The scenario's name.
    pub scenario: String,
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// Who looked after the associations.
    pub agent: Agent,
    /// The round trip that is added between the hosts, in milliseconds.
    pub rtt_ms: f64,
    /// Messages that the client sent.
    pub sent: Option<u64>,
    /// Messages whose echo came back, each counted once.
    pub echoed: Option<u64>,
    /// Echoes that came before an earlier one.
    pub out_of_order: Option<u64>,
    /// Echoes that came again.
    pub duplicates: Option<u64>,
    /// Associations that ended before the programs ended them.
    pub associations_lost: Option<u64>,
    /// From the first end's loss of its last usable address until both ends had one, in milliseconds; 0 when
    /// neither was ever without. Of several handovers, that of the largest overhead.
    pub outage_ms: Option<f64>,
    /// The longest time without an echo around that outage, in milliseconds.
    pub silence_ms: Option<f64>,
    /// Silence less outage, in milliseconds.
    pub overhead_ms: Option<f64>,
    /// The scenario showed what it is to show.
    pub passed: bool,
    /// Why, in a sentence.
    pub why: String,
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// Milliseconds since the client's first message was sent; negative: before.
    pub at_ms: f64,
    /// `A`, `B`, `G` (the registrar's host) or `-`.
    pub host: String,
    /// `link` (addresses), `wire` (ASCONF and its answers), `agent` (a decision of roamd), `program`, `testbed`.
    pub kind: String,
    /// What it was, in words.
    pub what: String,
}

/// One message of the client and its echo.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MessageTimes {
    /// When it was sent, in milliseconds since the first.
    pub sent_ms: f64,
    /// When its echo came; never, if none.
    pub echoed_ms: Option<f64>,
}

/// The course of one run, of its last round where a scenario has several.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Course {
    /// What happened, in order of time.
    pub happenings: Vec<Happening>,
    /// The messages of the first association, in order of sending.
    pub messages: Vec<MessageTimes>,
    /// The times without a usable address at one end at least: begin and end in milliseconds.
    pub outages: Vec<(f64, f64)>,
    /// What the overhead is made of: a name and milliseconds, in order of time.
    pub parts: Vec<(String, f64)>,
}

/// A run: its figures and its course.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The figures.
    pub result: RunResult,
    /// The course.
    pub course: Course,
}
