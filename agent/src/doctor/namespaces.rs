//! Programs with SCTP in other network namespaces, as in containers: a daemon looks after one namespace.

use super::{Check, Facts};

const GROUP: &str = "namespaces";

/// A network namespace other than ours, in which programs have SCTP sockets.
#[derive(Debug, Clone, Default)]
pub struct NamespaceFacts {
    /// Its name below /run/netns, if it has one.
    pub name: Option<String>,
    /// One of its processes.
    pub pid: i32,
    /// That one's program.
    pub program: String,
    /// Associations.
    pub associations: usize,
    /// Listening sockets.
    pub listening: usize,
    /// A roamd is there.
    pub has_daemon: bool,
}

pub(super) fn check(facts: &Facts) -> Vec<Check> {
    if facts.namespaces.is_empty() {
        return vec![Check::ok(
            GROUP,
            "sockets-elsewhere",
            "no program has SCTP sockets in another network namespace",
        )];
    }
    facts.namespaces.iter().map(one).collect()
}

fn one(it: &NamespaceFacts) -> Check {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let called = match &it.name {
        Some(name) => format!("the network namespace {name}"),
        None => format!("the network namespace of process {} ({})", it.pid, it.program),
    };
    let (associations, listening) = (count(it.associations, "association"), count(it.listening, "listener"));
    if it.has_daemon {
        let text = format!("{associations} and {listening} in {called} are looked after by a roamd there");
        return Check::ok(GROUP, "sockets-elsewhere", text);
    }
    let text = format!(
        "{associations} and {listening} in {called} are not looked after: each network namespace takes a roamd of its own"
    );
    let mend = match &it.name {
        Some(name) => format!(
            "systemctl start roamd@{name}  # or: ip netns exec {name} roamd --runtime-dir /run/roam-{name}"
        ),
        None => format!("nsenter --net=/proc/{0}/ns/net roamd --runtime-dir /run/roam-{0}", it.pid),
    };
    Check::warn(GROUP, "sockets-elsewhere", text, mend)
}
