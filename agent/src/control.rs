//! The control socket: what `roam` asks of `roamd`.
//!
//! A Unix stream socket, `ctl.sock` in the runtime directory. The daemon says [`Hello`] in one JSON line; then
//! every line from the client is a [`Request`] (perhaps with an `id`, which comes back), every line to it a
//! [`Response`]. A client that begins with a hand-over of sockets (`sctp_sys::adopt::send_sockets`) sends
//! nothing but hand-overs; each is answered by a line.
//!
//! Everybody may read, hand over sockets, and have the sockets of the own processes adopted and released; all else is
//! for root and the daemon's own user, told by the credentials of the connection. Lines, connections, the sockets that are
//! handed over and the pace of questions are bounded for each user, so that none keeps the daemon from its work.

pub mod client;
mod connection;
mod pace;
pub mod protocol;
mod reports;
mod server;
mod target;

pub use self::client::{Client, ClientError};
pub use self::protocol::{
    AddressReport, AdoptReport, AssociationReport, AssociationState, Binding, ElementReport, Failure,
    FailureCode, Hello, NetworkReport, Reply, Request, Response, SCHEMA, StatusReport, StreamEvent,
};
pub use self::reports::{
    AsconfReport, BucketReport, CauseReport, ChangeReport, ConfigurationReport, CountsReport, DecisionReport,
    ExplainReport, HandoverReport, HistogramReport, PeerReport, PoolsReport, ProbeReport, RegistrationReport,
    ReloadReport, SettingReport,
};
pub use self::server::{Command, Control, Order, Requester, serve};
pub use self::target::{NoTarget, Target};

/// The control socket's name in the runtime directory.
pub const SOCKET: &str = "ctl.sock";
