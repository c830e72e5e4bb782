//! The unit file for systemd.

use std::collections::BTreeMap;

const UNIT: &str = include_str!("../roam-registrar.service");

/// The settings of a section; a key that stands there several times has all its values, one a line.
fn section(name: &str) -> BTreeMap<&'static str, String> {
    let mut settings: BTreeMap<_, String> = BTreeMap::new();
    let mut current = "";
    for line in UNIT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[') {
            current = section.strip_suffix(']').unwrap();
        } else if current == name {
            let (key, value) = line.split_once('=').unwrap();
            let all = settings.entry(key).or_default();
            if !all.is_empty() {
                all.push('\n');
            }
            all.push_str(value);
        }
    }
    settings
}

#[test]
fn the_service_runs_as_nobody_in_particular_and_without_privileges() {
    let service = section("Service");
    for (key, value) in [
        ("Type", "notify"),
        ("Restart", "on-failure"),
        ("DynamicUser", "yes"),
        ("RuntimeDirectory", "roam-registrar"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateDevices", "yes"),
        ("PrivateTmp", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
        ("RestrictNamespaces", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("SystemCallFilter", "@system-service\n~@privileged @resources"),
    ] {
        assert_eq!(service.get(key).map(String::as_str), Some(value), "{key}");
    }
    // SIGHUP: the configuration is read again.
    assert_eq!(service["ExecReload"], "kill -HUP $MAINPID");
    assert_eq!(section("Install")["WantedBy"], "multi-user.target");
}

#[test]
fn the_directories_are_those_of_the_defaults() {
    use roam_registrar::config::{DEFAULT_FILE, DEFAULT_RUNTIME_DIR};
    let service = section("Service");
    assert_eq!(format!("/run/{}", service["RuntimeDirectory"]), DEFAULT_RUNTIME_DIR);
    assert_eq!(format!("/etc/{}/registrar.toml", service["ConfigurationDirectory"]), DEFAULT_FILE);
}
