//! systemd's units of the daemons: what they grant is what the scenarios run with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The mobility agent's.
pub const AGENT: &str = include_str!("../../agent/packaging/roamd.service");

/// What is added to it so that the agent may borrow the sockets of others' programs.
pub const ADOPTION: &str = include_str!("../../agent/packaging/adoption.conf");

/// The registrar's.
pub const REGISTRAR: &str = include_str!("../../registrar/packaging/roam-registrar.service");

/// The settings of a section in a unit and its drop-ins; a key that is there several times has all its values, in order.
pub fn section<'a>(files: &[&'a str], name: &str) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut settings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files {
        let mut here = false;
        for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                here = section == name;
            } else if let Some((key, value)) = line.split_once('=').filter(|_| here) {
                settings.entry(key).or_default().push(value);
            }
        }
    }
    settings
}

/// The capabilities that the agent has as a service by these files, as setpriv(1) names them: without `CAP_`, in lower
/// case.
pub fn capabilities_of_the_agent(files: &[&str]) -> Vec<String> {
    let service = section(files, "Service");
    let all =
        service.get("AmbientCapabilities").into_iter().flatten().flat_map(|value| value.split_whitespace());
    all.filter_map(|name| name.strip_prefix("CAP_")).map(str::to_lowercase).collect()
}

/// How long after its death the agent is started again; none: the unit does not say so in milliseconds.
pub fn restart_of_the_agent() -> Option<Duration> {
    let service = section(&[AGENT], "Service");
    service.get("RestartSec")?.last()?.strip_suffix("ms")?.parse().ok().map(Duration::from_millis)
}

/// A program as the agent's unit starts it: as this user, with what the unit grants and nothing else. The files: the unit
/// and its drop-ins.
pub fn as_the_agent(files: &[&str], user: u32, group: u32, program: &Path) -> Command {
    let granted = capabilities_of_the_agent(files).iter().fold("-all".to_owned(), |all, it| all + ",+" + it);
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]);
    command.args(["--clear-groups", "--no-new-privs"]);
    command.args(["--inh-caps", "--ambient-caps", "--bounding-set"].map(|set| format!("{set}={granted}")));
    command.arg(program);
    command
}
