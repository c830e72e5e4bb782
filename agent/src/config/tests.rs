//! The configuration file, its bounds and its messages.

use std::path::Path;
use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("agent.toml"), text)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn a_host_without_a_file_gets_the_defaults_of_an_empty_one() {
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(Config::default().agent.offline, Duration::from_secs(600));
}

#[test]
fn every_documented_key_is_understood() {
    let config = parse(
        r#"
        [agent]
        runtime_dir = "/run/roam-test"
        offline = "1m30s"
        enable_addip = false
        manage_routes = false
        nice = 0
        poll = "20ms"
        grace = "0s"
        settle_window = "50ms"
        return_after = "10s"
        flap_half_life = "0s"
        silence = "500ms"
        receive_buffer = 4096
        [interfaces]
        allow = ["eth*", "wl*"]
        deny = ["eth9"]
        [[interface]]
        name = "wwan*"
        role = "backup"
        standby = "cold"
        cost = 100
        [[interface]]
        kind = "wireguard"
        role = "never"
        [[manage]]
        port = 7000
        executable = "/usr/bin/socat"
        user = "root"
        process = 1234
        [[element]]
        handle = "robot-1"
        port = 7001
        life = "2m"
        policy = "round-robin"
        transport_use = "control"
        [[element]]
        handle = "robot-1b"
        executable = "/usr/bin/robot"
        [[peer]]
        handle = "robot-2"
        port = 7000
        [[peer]]
        handle = "robot-3"
        [registrars]
        static = ["10.9.0.2:3863", "[fd00::1]:3863"]
        groups = ["224.0.1.185:3863", "[ff05::133]:3863"]
        "#,
    )
    .unwrap();
    assert_eq!(config.agent.offline, Duration::from_secs(90));
    assert!(config.interfaces.admits("eth0") && !config.interfaces.admits("eth9"));
    assert_eq!(config.manage.as_ref().unwrap()[0].user.as_ref().unwrap().uid, 0);
    assert_eq!(config.elements[0].transport_use, TransportUse::Control);
    assert_eq!(config.elements[1].life, Duration::from_secs(300));
    assert_eq!(config.peers[1].port, None);
    assert_eq!(config.registrars.fixed[1], "[fd00::1]:3863".parse().unwrap());
    assert_eq!(config.registrars.groups[0], "224.0.1.185:3863".parse().unwrap());
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_allowed_ones() {
    let message = refusal("[agent]\noffline = \"10m\"\n  pol = \"1s\"\n");
    assert!(message.starts_with("agent.toml:3:3: agent.pol: unknown field `pol`"), "{message}");
    assert!(message.contains("`poll`") && message.contains("`runtime_dir`"), "{message}");
}

#[test]
fn an_unknown_table_is_refused() {
    let message = refusal("[agnet]\n");
    assert!(message.starts_with("agent.toml:1:2: agnet: unknown field `agnet`"), "{message}");
}

#[test]
fn a_wrong_type_is_refused_with_its_place() {
    let message = refusal("[agent]\nmanage_routes = \"yes\"\n");
    assert!(message.starts_with("agent.toml:2:17: agent.manage_routes: invalid type"), "{message}");
    assert!(message.contains("boolean"), "{message}");
}

#[test]
fn impossible_values_are_refused_with_what_is_allowed() {
    for (text, place, allowed) in [
        ("[agent]\noffline = \"0s\"", "2:11: agent.offline", "1s to 24h"),
        ("[agent]\noffline = \"25h\"", "2:11: agent.offline", "1s to 24h"),
        ("[agent]\noffline = \"ten\"", "2:11: agent.offline", "1s to 24h"),
        ("[agent]\noffline = 10", "2:11: agent.offline", "1s to 24h"),
        ("[agent]\noffline = \"99999999999999999999s\"", "2:11: agent.offline", "1s to 24h"),
        ("[agent]\npoll = \"1ms\"", "2:8: agent.poll", "10ms to 60s"),
        ("[agent]\nnice = -21", "2:8: agent.nice", "-20 to 19"),
        ("[agent]\nruntime_dir = \"run\"", "2:15: agent.runtime_dir", "from the root"),
        ("[[manage]]\nport = 0", "2:8: manage.port", "1 to 65535"),
        ("[[manage]]\nport = 65536", "2:8: manage.port", "1 to 65535"),
        ("[[manage]]\nport = \"http\"", "2:8: manage.port", "1 to 65535"),
        ("[[manage]]\nprocess = -4", "2:11: manage.process", "1 or more"),
        ("[[manage]]\nuser = \"nobody-of-this-name\"", "2:8: manage.user", "a user's name"),
        ("[[manage]]\nexecutable = \"socat\"", "2:14: manage.executable", "from the root"),
        ("[[element]]\nhandle = \"\"\nport = 1", "2:10: element.handle", "1 to 65531"),
        ("[[element]]\nhandle = \"x\"\nport = 1\npolicy = \"best\"", "4:10: element.policy", "round-robin"),
        ("[registrars]\nstatic = [\n  \"10.0.0.1\",\n]", "2:10: registrars.static", "ADDRESS:PORT"),
        ("[registrars]\nstatic = [\"0.0.0.0:3863\"]", "2:10: registrars.static", "ADDRESS:PORT"),
        ("[registrars]\ngroups = [\"10.9.0.2:3863\"]", "2:10: registrars.groups", "GROUP:PORT"),
        ("[registrars]\ngroups = [\"224.0.1.185:0\"]", "2:10: registrars.groups", "GROUP:PORT"),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(&format!("agent.toml:{place}: ")), "{message}");
        assert!(message.contains(allowed), "{message}");
    }
}

#[test]
fn an_element_must_say_which_program_it_is() {
    let message = refusal("[registrars]\nstatic = [\"10.0.0.1:1\"]\n[[element]]\nhandle = \"x\"\n");
    assert!(message.starts_with("agent.toml:3:1: element: a pool element needs `port`"), "{message}");
}

#[test]
fn elements_and_peers_need_a_registrar_or_a_group_in_which_one_is_heard() {
    let both = ["[[element]]\nhandle = \"x\"\nport = 1\n", "[[peer]]\nhandle = \"x\"\n"];
    for (text, what) in
        both.iter().zip(["element: a pool element needs a registrar", "peer: peers are found"])
    {
        let message = refusal(text);
        assert!(message.starts_with(&format!("agent.toml:1:1: {what}")), "{message}");
        assert!(message.contains("registrars.static") && message.contains("registrars.groups"), "{message}");
        for known in ["static = [\"10.0.0.1:3863\"]", "groups = [\"224.0.1.185:3863\"]"] {
            assert!(parse(&format!("{text}[registrars]\n{known}\n")).is_ok(), "{text}{known}");
        }
    }
}

#[test]
fn no_more_groups_are_listened_to_than_is_of_any_use() {
    let of = |count: usize| format!("[registrars]\ngroups = {:?}\n", vec!["224.0.1.185:3863"; count]);
    assert_eq!(parse(&of(16)).unwrap().registrars.groups.len(), 16);
    assert!(refusal(&of(17)).contains("16 at most"));
}

#[test]
fn an_element_without_a_handle_is_refused() {
    assert!(refusal("[[element]]\nport = 1\n").contains("missing field `handle`"));
}

#[test]
fn a_missing_named_file_is_an_error() {
    let message = Sources::new(Some("/nowhere/agent.toml".into()), None).load().unwrap_err().to_string();
    assert!(message.starts_with("/nowhere/agent.toml: cannot be read: "), "{message}");
}

#[test]
fn without_manage_everything_is_adopted_and_with_an_empty_list_nothing() {
    let socket = SocketFacts { local_port: 7000, pid: 5, uid: 0, executable: None };
    assert!(Config::default().manages(&socket));
    assert!(!parse("manage = []").unwrap().manages(&socket));
    assert!(parse("[[manage]]\n").unwrap().manages(&socket));
}

#[test]
fn every_given_key_of_a_manage_entry_must_fit() {
    let config =
        parse("[[manage]]\nport = 7000\nuser = \"0\"\n[[manage]]\nexecutable = \"/bin/cat\"\n").unwrap();
    let cat = std::fs::canonicalize("/bin/cat").unwrap();
    let root = SocketFacts { local_port: 7000, pid: 5, uid: 0, executable: None };
    assert!(config.manages(&root));
    assert!(!config.manages(&SocketFacts { uid: 1, ..root }));
    assert!(!config.manages(&SocketFacts { local_port: 7001, ..root }));
    assert!(config.manages(&SocketFacts { local_port: 7001, executable: Some(&cat), ..root }));
}

#[test]
fn interfaces_of_containers_are_left_alone_by_default() {
    let interfaces = Interfaces::default();
    for name in ["docker0", "veth1a2b3c4", "br-2f7d", "virbr0", "cali12345"] {
        assert!(!interfaces.admits(name), "{name}");
    }
    for name in ["eth0", "wlan0", "a1", "veth0", "wwan0", "enp3s0f1"] {
        assert!(interfaces.admits(name), "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]a-z=\"0-9é\\n .,-]{0,80}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }
}

#[test]
fn the_first_entry_that_fits_an_interface_decides_what_it_is_for() {
    let config = parse(
        r#"
        [[interface]]
        name = "eth1"
        role = "never"
        [[interface]]
        kind = "physical"
        cost = 7
        [[interface]]
        name = "eth*"
        kind = "veth"
        role = "backup"
        standby = "cold"
        "#,
    )
    .unwrap();
    assert_eq!(config.standing("eth1", "").role, Role::Never);
    assert_eq!(config.standing("eth2", "").cost, 7);
    let backup = Standing { role: Role::Backup, standby: Standby::Cold, cost: 0, named: true };
    assert_eq!(config.standing("eth2", "veth"), backup);
    assert_eq!(config.standing("pod2", "veth"), Standing::default());
}

#[test]
fn an_interface_is_refused_that_is_not_named_or_costs_too_much() {
    assert!(refusal("[[interface]]\nrole = \"never\"").contains("needs `name`, `kind` or both"));
    assert!(refusal("[[interface]]\nname = \"e\"\ncost = 1000001").contains("0 to 1000000"));
    assert!(refusal("[[interface]]\nname = \"e\"\ncost = -1").contains("0 to 1000000"));
    assert!(refusal("[[interface]]\nkind = \"\"").contains("an empty kind"));
    assert!(refusal("[[interface]]\nname = \"e\"\nrole = \"spare\"").contains("unknown variant"));
    assert!(refusal("[agent]\nreturn_after = \"2h\"").contains("0s to 1h"));
    assert!(refusal("[agent]\nsilence = \"50ms\"").contains("100ms to 60s"));
    assert!(refusal("[agent]\nreceive_buffer = 100").contains("2304 to 67108864"));
    assert!(refusal("[agent]\nflap_half_life = \"2h\"").contains("0s to 1h"));
}
