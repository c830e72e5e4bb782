//! systemd's units of the daemons: what they grant is what the scenarios run with.

use std::collections::BTreeMap;

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

/// The capabilities that the agent has as a service, as setpriv(1) names them: without `CAP_`, in lower case.
pub fn capabilities_of_the_agent() -> Vec<String> {
    let service = section(&[AGENT, ADOPTION], "Service");
    let all =
        service.get("AmbientCapabilities").into_iter().flatten().flat_map(|value| value.split_whitespace());
    all.filter_map(|name| name.strip_prefix("CAP_")).map(str::to_lowercase).collect()
}
