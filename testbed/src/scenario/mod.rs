//! Scenarios: what programs there are, how they are bound, and what happens to their hosts.
//!
//! | file | what it holds |
//! |---|---|
//! | `table`, `real`, `sessions` | the scenarios |
//! | `agents` | who looks after the associations: the registrar and `roamd`, or a setting of the kernel |
//! | `plan` | what the daemons of a round are told |
//! | `programs` | the built-in traffic program, a session's user and elements, or any other |
//! | `foreign` | programs that nobody here wrote |
//! | `liar` | a registrar that lies |
//! | `usrsctp` | an echo server on another SCTP stack than the kernel's |
//! | `engine` | one round: network, agents, programs, steps |
//! | `leftovers` | what a daemon must not have left on its host |
//! | `story` | what happens, noted and told |
//! | `recovery` | whether associations are well again |
//! | `killed/` | daemons are killed at every step of a handover |
//! | `soak` | fifty associations, and half an hour of everything |
//! | `run` | a whole scenario: its rounds, and what came of them |
//! | `play` | everything that has a name: these, and the scenarios of registrars |
//! | `command` | `roam-testbed run` and `list` |

mod agents;
pub mod command;
mod engine;
mod foreign;
mod killed;
pub(crate) mod leftovers;
pub mod liar;
mod plan;
mod play;
mod programs;
mod real;
mod recovery;
mod run;
mod sessions;
pub mod soak;
mod story;
mod table;
mod usrsctp;

use std::time::Duration;

use sctp_sys::Family;

use crate::topology::{Host, Place};

pub(crate) use agents::{SERVICE, beside, by_descriptor};
pub use play::{Play, play, plays};
pub use run::{Options, kernel, run};
pub use story::Story;
pub use table::{MAIN_SIX, all, find};

/// How a program binds its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// To its host's first address.
    Explicit,
    /// To two addresses in its host's first network.
    Several,
    /// To none, which is all.
    Wildcard,
    /// An IPv6 socket, to its host's IPv4 address alone, mapped.
    Mapped,
    /// An IPv6 socket, to its host's IPv4 address and to the IPv6 one: the client's is in its host's second network.
    Both,
}

/// An SCTP stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// The kernel's.
    Kernel,
    /// usrsctp, in user space: the server is another echo server then.
    Usrsctp,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These addresses go, all at the same moment.
    Down(Vec<Place>),
    /// These addresses come, all at the same moment.
    Up(Vec<Place>),
    /// Time passes.
    Pass(Duration),
    /// As much time passes as an ordinary outage lasts ([`Options::outage`]).
    Outage,
    /// A message sent after all this comes back in every association, and the agents have nothing left to do.
    Recover,
    /// The agent of a host is killed with SIGKILL.
    KillAgent(Host),
    /// The agent of a host is started (again).
    StartAgent(Host),
    /// The registrar is ended.
    StopRegistrar,
    /// The registrar is started again.
    StartRegistrar,
    /// A registrar that lies is started where the registrar was.
    StartLiar,
    /// It is ended, and has to have told all its lies and forged answers.
    StopLiar,
    /// The programs are started and their association is up. Every plan has it once.
    StartPrograms,
    /// Another element of the pool is started, at the registrar's host.
    StartSpare,
    /// The server is killed with SIGKILL.
    KillServer,
    /// Each daemon speaks to the registrar over the association over which it did when the programs had started.
    SameAtRegistrar,
}

/// The programs at the two ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programs {
    /// The built-in traffic program, with so many associations.
    Traffic(u16),
    /// The user of a pool and its element.
    Session {
        /// So many sessions.
        count: u16,
        /// After so long an element that does not answer is left; without it, it is waited for.
        answer: Option<Duration>,
    },
    /// Other programs.
    Foreign(Foreign),
}

/// Programs that nobody here wrote, as shell command lines in which {local} (own addresses), {peer}, {port},
/// {registrar} (address and port), {in} and {out} (files) are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// At host A.
    pub client: Line,
    /// At host B.
    pub server: Line,
    /// What {in} holds, and has to be found in {out} in the end.
    pub input: Input,
}

/// A command line, and the program in it that has the sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// For `sh -c`.
    pub command: String,
    /// Its name, looked up in PATH, or its path.
    pub program: String,
    /// The port that its socket is bound to, if that is known.
    pub port: Option<u16>,
}

/// What foreign programs carry over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Nothing that we know of.
    Unknown,
    /// A file of so many octets; {out} has to be the same.
    File(u64),
    /// So many lines; {out} has to have each once, in order, whatever else stands between or before them.
    Lines(u64),
}

/// One round of a scenario: a network of its own and what happens in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// What distinguishes it from the others; may be empty.
    pub label: String,
    /// How the client at A is bound.
    pub client: Binding,
    /// How the server at B is bound.
    pub server: Binding,
    /// What carries the built-in server's association.
    pub server_stack: Stack,
    /// The hosts with an agent.
    pub agents: Vec<Host>,
    /// The hosts whose programs are pool elements.
    pub registered: Vec<Host>,
    /// The hosts on which nftables is not installed.
    pub without_nftables: Vec<Host>,
    /// The agents run as a user of their own with the rights that their unit gives them.
    pub as_service: bool,
    /// What happens.
    pub steps: Vec<Step>,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, as `run` takes it.
    pub name: String,
    /// What it shows, in a sentence.
    pub shows: String,
    /// Addresses of the mobile hosts.
    pub family: Ip,
    /// The programs.
    pub programs: Programs,
    /// Loss in percent, unless the command line says otherwise.
    pub loss_percent: f64,
    /// The links' rate in kbit/s.
    pub rate_kbit: Option<u32>,
    /// It is played by every `check`, not only by `check --all`.
    pub quick: bool,
    /// What happens.
    pub rounds: Vec<Round>,
}

/// The address family of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4,
    /// IPv6, with duplicate address detection.
    V6,
}

impl Ip {
    /// The same for sockets.
    pub const fn family(self) -> Family {
        match self {
            Self::V4 => Family::V4,
            Self::V6 => Family::V6,
        }
    }
}
