//! The unit files for systemd.

use std::time::Duration;

use roam_testbed::unit::{
    ADOPTION, AGENT, REGISTRAR, capabilities_of_the_agent, restart_of_the_agent, section,
};

/// What both have in common: rights that neither needs.
const CONFINED: [(&str, &str); 8] = [
    ("Type", "notify"),
    ("Restart", "on-failure"),
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("PrivateTmp", "yes"),
    ("RestrictNamespaces", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
];

fn has(file: &str, settings: &[(&str, &str)]) {
    let service = section(&[file], "Service");
    for (key, value) in settings {
        assert_eq!(service.get(key).map(|values| values.join("\n")).as_deref(), Some(*value), "{key}");
    }
    assert_eq!(section(&[file], "Install")["WantedBy"], ["multi-user.target"]);
}

#[test]
fn the_registrar_runs_as_nobody_in_particular_and_without_privileges() {
    has(REGISTRAR, &CONFINED);
    has(
        REGISTRAR,
        &[
            ("DynamicUser", "yes"),
            // A mistake is told by whoever looks for it, before the daemon does.
            ("ExecReload", "/usr/sbin/roam-registrar --check-config\nkill -HUP $MAINPID"),
            ("RestartPreventExitStatus", "2"),
            ("RuntimeDirectory", "roam-registrar"),
            ("CapabilityBoundingSet", ""),
            ("AmbientCapabilities", ""),
            ("PrivateDevices", "yes"),
            ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
            ("SystemCallFilter", "@system-service\n~@privileged @resources"),
        ],
    );
}

#[test]
fn the_registrars_directories_are_those_of_its_defaults() {
    use roam_registrar::config::{DEFAULT_FILE, DEFAULT_RUNTIME_DIR};
    let service = section(&[REGISTRAR], "Service");
    assert_eq!(format!("/run/{}", service["RuntimeDirectory"][0]), DEFAULT_RUNTIME_DIR);
    assert_eq!(format!("/etc/{}/registrar.toml", service["ConfigurationDirectory"][0]), DEFAULT_FILE);
}

#[test]
fn the_agent_is_a_user_of_its_own_and_has_the_right_to_borrow_sockets_only_by_a_file_that_can_be_removed() {
    has(AGENT, &CONFINED);
    let network = "CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_SYS_NICE";
    has(
        AGENT,
        &[
            ("User", "roam"),
            ("ExecReload", "/usr/bin/roam --runtime-dir ${RUNTIME_DIRECTORY} reload"),
            // What the daemon starts in order to clean up is not told to stop.
            ("KillMode", "mixed"),
            ("AmbientCapabilities", network),
            ("CapabilityBoundingSet", network),
            // Not after a kill: the next one carries on. After 2 and 4 (RestartPreventExitStatus) there is no next one.
            (
                "ExecStopPost",
                "-/bin/sh -c 'case \"$$SERVICE_RESULT$$EXIT_STATUS\" in success*|timeout*|exit-code[24]) exec /usr/sbin/roamd --cleanup;; esac'",
            ),
            ("RestartSec", "100ms"),
            ("RestartPreventExitStatus", "2 4"),
            // A journal that went with a daemon that was killed could not be cleaned up by the next.
            ("RuntimeDirectoryPreserve", "yes"),
        ],
    );
    assert_eq!(section(&[AGENT], "Unit")["StartLimitIntervalSec"], ["0"]);
    // So long scenarios wait in which daemons are killed.
    assert_eq!(restart_of_the_agent(), Some(Duration::from_millis(100)));
    let adoption = section(&[ADOPTION], "Service");
    assert_eq!(adoption["AmbientCapabilities"], adoption["CapabilityBoundingSet"]);
    assert_eq!(adoption["AmbientCapabilities"], ["CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"]);
    let all = capabilities_of_the_agent(&[AGENT, ADOPTION]);
    assert_eq!(
        all,
        ["net_admin", "net_raw", "net_bind_service", "sys_nice", "sys_ptrace", "dac_read_search"]
    );
}

#[test]
fn the_agents_directories_are_those_of_its_defaults() {
    let service = section(&[AGENT], "Service");
    let config = roam_agent::config::Config::default();
    assert_eq!(
        format!("/run/{}", service["RuntimeDirectory"][0]),
        config.agent.runtime_dir.display().to_string()
    );
    assert_eq!(
        format!("/etc/{}/agent.toml", service["ConfigurationDirectory"][0]),
        roam_agent::config::DEFAULT_FILE
    );
}

#[test]
fn the_agent_of_a_namespace_has_the_rights_of_the_hosts_own() {
    let template = include_str!("../../agent/packaging/roamd@.service");
    let (host, mut namespace) = (section(&[AGENT], "Service"), section(&[template], "Service"));
    assert_eq!(namespace.remove("NetworkNamespacePath"), Some(vec!["/run/netns/%i"]));
    assert_eq!(namespace.get("RuntimeDirectory"), Some(&vec!["roam-%i"]));
    for key in ["RuntimeDirectory", "ExecStart", "ExecStopPost"] {
        let mut bare: Vec<String> = namespace[key].iter().map(|value| (*value).to_owned()).collect();
        bare.iter_mut().for_each(|it| *it = it.replace(" --runtime-dir /run/roam-%i", "").replace("-%i", ""));
        assert_eq!(bare, host[key], "{key}");
        namespace.insert(key, host[key].clone());
    }
    assert_eq!(namespace, host);
}
