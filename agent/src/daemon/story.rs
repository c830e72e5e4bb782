//! What the daemon says of its decisions: one sentence each, with its cause, to the log and to whoever monitors.

use std::net::IpAddr;

use sctp_sys::watch::{Seen, Sighting};

use crate::associations::{Endpoint, Found, Handle, Managed};
use crate::decisions::{Decisions, Subject};
use crate::handover::Action;

/// Tells decisions.
#[derive(Debug, Default)]
pub(super) struct Story(pub(super) Decisions);

impl Story {
    /// A planner's action.
    pub(super) fn about(&self, managed: &Managed, action: &Action, reason: &str) {
        let text = describe(action);
        let (pid, association) = (managed.handle.pid, name(managed));
        tracing::info!(target: "plan", %association, pid, decision = text, cause = reason, "{text}: {reason}");
        self.0.note(subject(managed), text, reason);
    }

    /// An association stands otherwise than before.
    pub(super) fn stands(&self, managed: &Managed, state: &str, why: &str) {
        let (pid, association) = (managed.handle.pid, name(managed));
        tracing::info!(target: "assoc", %association, pid, decision = state, cause = why, "{state}: {why}");
        self.0.note(subject(managed), state, why);
    }

    /// An association was taken under management.
    pub(super) fn adopted(&self, managed: &Managed) {
        let text = if managed.add_ip { "adopted" } else { CAME_TOO_EARLY };
        let (pid, association) = (managed.handle.pid, name(managed));
        tracing::info!(target: "assoc", %association, pid, decision = text, "{text}");
        self.0.note(subject(managed), text, "");
    }

    /// An association cannot be managed.
    pub(super) fn unmanageable(&self, found: &Found, why: &str) {
        let (pid, port) = (found.handle.pid, found.local_port);
        let association = format!("{port} -> {}", found.peer_port);
        let decision = "cannot be managed";
        tracing::warn!(target: "assoc", %association, pid, decision, cause = why, "{decision}: {why}");
        let subject = Subject::Association {
            pid: found.handle.pid,
            local_port: found.local_port,
            peer_port: Some(found.peer_port),
        };
        self.0.note(subject, "cannot be managed", why);
    }

    /// The kernel sends no data of an association any more.
    pub(super) fn jammed(&self, managed: &Managed) {
        let (pid, association) = (managed.handle.pid, name(managed));
        tracing::warn!(target: "assoc", %association, pid, decision = JAMMED, "{JAMMED}");
        self.0.note(subject(managed), JAMMED, "");
    }

    /// An own address is not offered to an association, or is again.
    pub(super) fn reaches(&self, managed: &Managed, address: IpAddr, reaches: bool) {
        let (text, why) = if reaches {
            (format!("{address} may be used"), "the peer answers there")
        } else {
            (format!("{address} is not used"), "the peer does not answer there")
        };
        let (pid, association) = (managed.handle.pid, name(managed));
        tracing::info!(target: "path", %association, pid, %address, decision = text, cause = why, "{text}: {why}");
        self.0.note(subject(managed), text, why);
    }

    /// An ASCONF or its answer passed by: what is decided next is decided by that.
    pub(super) fn passed_by(&self, managed: &Managed, sighting: &Sighting, chunk: &Seen) {
        let (source, destination) = (sighting.source, sighting.destination);
        tracing::debug!(target: "wire", association = %name(managed), pid = managed.handle.pid, %source, %destination, "{chunk:?}");
    }

    /// An action of a planner was not possible.
    pub(super) fn failed(&self, managed: &Managed, action: &Action, error: &str) {
        tracing::debug!(target: "plan", association = %name(managed), pid = managed.handle.pid, ?action, error, "failed");
    }

    /// The socket of an association is now another process's than this one's.
    pub(super) fn inherited(&self, managed: &Managed, before: i32) {
        let why = format!("process {before} has its socket no longer");
        tracing::info!(target: "assoc", association = %name(managed), pid = managed.handle.pid, "goes on: {why}");
        self.0.note(subject(managed), "goes on", &why);
    }

    /// An association is no longer managed.
    pub(super) fn let_go(&self, managed: &Managed, why: &str) {
        let (pid, association) = (managed.handle.pid, name(managed));
        tracing::info!(target: "assoc", %association, pid, decision = "let go", cause = why, "let go: {why}");
        self.0.note(subject(managed), "let go", why);
    }

    /// A listener cannot be prepared.
    pub(super) fn listener(&self, endpoint: &Endpoint, why: &str) {
        self.listens(&endpoint.handle, endpoint.port, "cannot be prepared", why);
    }

    /// A listener changed its addresses, or could not.
    pub(super) fn listener_moved(&self, handle: &Handle, port: u16, text: &str) {
        self.listens(handle, port, text, "new associations shall find the host where it is");
    }

    fn listens(&self, handle: &Handle, port: u16, text: &str, why: &str) {
        let pid = handle.pid;
        tracing::info!(target: "assoc", pid, port, decision = text, cause = why, "listener: {text}: {why}");
        self.0.note(Subject::Association { pid: handle.pid, local_port: port, peer_port: None }, text, why);
    }

    /// An address became usable, or stopped being so.
    pub(super) fn address(&self, address: IpAddr, text: &str) {
        tracing::info!(target: "net", %address, decision = text, "{text}");
        self.0.note(Subject::Address { address }, text, "");
    }

    /// Something about a pool handle.
    pub(super) fn handle(&self, handle: &str, text: &str) {
        tracing::info!(target: "pool", handle, decision = text, "{text}");
        self.0.note(Subject::Handle { handle: handle.to_owned() }, text, "");
    }

    /// A key of the configuration has changed.
    pub(super) fn configured(&self, text: &str, why: &str) {
        tracing::info!(target: "daemon", decision = text, cause = why, "{text} ({why})");
        self.0.note(Subject::Daemon, text, why);
    }

    /// Something that a person should know.
    pub(super) fn warn(&self, text: &str) {
        tracing::warn!(target: "daemon", decision = text, "{text}");
        self.0.note(Subject::Daemon, text, "");
    }
}

/// Why an association without Add-IP cannot be moved.
pub(super) const CAME_TOO_EARLY: &str =
    "cannot be moved: it began while Add-IP or AUTH was off at one of its ends; it can only be watched";

/// What is said of an association whose data the kernel never sends again.
pub(super) const JAMMED: &str =
    "sends nothing any more: the kernel has lost count of what is under way; only a new association helps";

fn subject(managed: &Managed) -> Subject {
    Subject::Association {
        pid: managed.handle.pid,
        local_port: managed.local_port,
        peer_port: Some(managed.peer_port),
    }
}

/// What an association is called: its ports and the peer's present primary address.
fn name(managed: &Managed) -> String {
    let peer = managed.planner.facts().primary.map_or_else(|| "?".to_owned(), |primary| primary.to_string());
    format!("{} -> {}:{}", managed.local_port, peer, managed.peer_port)
}

/// An action in words.
pub(super) fn describe(action: &Action) -> String {
    match action {
        Action::Hold { address, via: None } => format!("hold {address} on lo"),
        Action::Hold { address, via: Some(via) } => format!("hold {address} on lo, routed as {via}"),
        Action::Prepare(address) => format!("hold {address} on lo once more"),
        Action::Release(address) => format!("release {address}"),
        Action::Rules(rules) if rules.is_empty() => "translate nothing".to_owned(),
        Action::Rules(rules) => format!("{} rules at the edge", rules.len()),
        Action::Add(address) => format!("add {address}"),
        Action::Remove(address) => format!("delete {address}"),
        Action::MakeEvent(address) => format!("make an address event of {address}"),
        Action::EventsOff => "address events off".to_owned(),
        Action::SetPeerPrimary(address) => format!("ask the peer to send to {address}"),
        Action::Heartbeat(address) => format!("heartbeat to {address}"),
        Action::Nudge { peer, .. } => format!("nudge the path to {peer}"),
        Action::SendTo { peer, .. } => format!("send to {peer}"),
        Action::Timers(timers) => format!("timers {timers:?}").to_lowercase(),
        Action::Swap { old, new } => format!("swap {old} for {new}"),
    }
}
