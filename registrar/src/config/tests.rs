//! The configuration file, its bounds and its messages.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("registrar.toml"), text)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn the_shipped_file_shows_every_key_with_its_default() {
    let shipped = include_str!("../../registrar.toml");
    let uncommented: String = shipped
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n");
    let config = parse(&uncommented).unwrap();
    assert_eq!(Config { identifier: None, ..config }, Config::default());
    for key in [
        "listen",
        "identifier",
        "runtime_dir",
        "max_bad_pe_report",
        "keep_alive_interval",
        "keep_alive_timeout",
        "keep_alives_per_second",
        "adoption_timeout",
        "move_timeout",
        "push_interval",
        "allow_loopback",
        "unread_timeout",
        "tcp_message_timeout",
        "tcp_idle_timeout",
        "associations",
        "pools",
        "elements",
        "elements_per_pool",
        "peers",
        "elements_per_peer",
        "updates_per_second",
        "pool_handles_octets",
        "elements_per_association",
        "subscriptions",
        "subscriptions_per_association",
        "pool_handle_octets",
        "element_octets",
        "resolution_items",
        "outstanding_octets_per_association",
        "outstanding_octets",
        "rto_initial",
        "rto_min",
        "rto_max",
        "association_max_retransmissions",
        "path_max_retransmissions",
        "heartbeat_interval",
        "connections",
        "hosts",
        "peer_heartbeat_cycle",
        "max_time_last_heard",
        "max_time_no_response",
        "mentor_discovery",
        "takeover_timeout",
        "mentor_retry",
        "reconnect",
        "list_cycle",
        "resync_spacing",
        "table_session",
        "suggest_takeovers",
        "accept_takeover_suggestions",
        "verify_timeout",
        "log",
        "asap",
        "enrp",
        "asap_groups",
        "enrp_groups",
        "interfaces",
        "ttl",
        "t6_serverannounce",
    ] {
        assert!(shipped.lines().any(|line| line.starts_with(&format!("#{key} = "))), "{key} is not shown");
    }
    // What is not the default is shown as an example.
    assert!(shipped.contains("\n# listen = \"127.0.0.1:8080\"\n"));
    assert!(shipped.contains("\n# listen_tcp = []\n"));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_allowed_ones() {
    let message = refusal("[asap]\nkeep_alive_timeout = \"1s\"\n  interval = \"1s\"\n");
    assert!(message.starts_with("registrar.toml:3:3: unknown field `interval`"), "{message}");
    assert!(message.contains("`keep_alive_interval`"), "{message}");
}

#[test]
fn a_wrong_type_is_refused_with_its_place() {
    let message = refusal("[asap]\nallow_loopback = \"yes\"\n");
    assert!(message.starts_with("registrar.toml:2:18: invalid type"), "{message}");
    assert!(message.contains("boolean"), "{message}");
}

#[test]
fn impossible_values_are_refused_with_what_is_allowed() {
    for (text, place, allowed) in [
        ("identifier = 0", "1:14", "1 to 4294967295"),
        ("identifier = 4294967296", "1:14", "1 to 4294967295"),
        ("listen = []", "1:10", "ADDRESS:PORT"),
        ("listen = [\"0.0.0.0\"]", "1:10", "ADDRESS:PORT"),
        ("listen = [\"0.0.0.0:0\"]", "1:10", "ADDRESS:PORT"),
        ("listen = [\"224.0.1.185:3863\"]", "1:10", "ADDRESS:PORT"),
        ("listen = \"0.0.0.0:3863\"", "1:10", "ADDRESS:PORT"),
        ("listen_tcp = [\"0.0.0.0:0\"]", "1:14", "ADDRESS:PORT"),
        ("[asap]\ntcp_idle_timeout = \"0s\"", "2:20", "100ms to 24h"),
        ("[asap]\nunread_timeout = \"11m\"", "2:18", "100ms to 10m"),
        ("runtime_dir = \"run\"", "1:15", "/DIRECTORY"),
        ("[asap]\nmax_bad_pe_report = -1", "2:21", "0 to 1000"),
        ("[asap]\nkeep_alive_interval = \"1ms\"", "2:23", "100ms to 1h, or 0s for never"),
        ("[asap]\nkeep_alive_timeout = \"0s\"", "2:22", "100ms to 10m"),
        ("[asap]\nkeep_alives_per_second = 0", "2:26", "1 to 1000000"),
        ("[asap]\nadoption_timeout = \"11m\"", "2:20", "100ms to 10m"),
        ("[asap]\nkeep_alive_timeout = 5", "2:22", "100ms to 10m"),
        ("[asap]\nkeep_alive_timeout = \"5\"", "2:22", "100ms to 10m"),
        ("[asap]\nkeep_alive_timeout = \"99999999999999999999s\"", "2:22", "100ms to 10m"),
        ("[asap]\nmove_timeout = \"2m\"", "2:16", "0s to 1m"),
        ("log = \"roam=loud\"", "1:7", "error, warn, info"),
        ("[asap]\nverify_timeout = \"0s\"", "2:18", "100ms to 10m"),
        ("[enrp]\nmentor_retry = \"10ms\"", "2:16", "50ms to 10m"),
        ("[enrp]\nreconnect = \"11m\"", "2:13", "50ms to 10m"),
        ("[enrp]\nlist_cycle = \"2h\"", "2:14", "100ms to 1h"),
        ("[enrp]\nresync_spacing = \"61s\"", "2:18", "100ms to 1m"),
        ("[enrp]\ntable_session = \"5\"", "2:17", "100ms to 10m"),
        ("[asap]\npush_interval = \"11s\"", "2:17", "0s to 10s"),
        ("[limits]\npools = 0", "2:9", "1 to 10000000"),
        ("[limits]\nelements_per_pool = 0", "2:21", "1 to 10000000"),
        ("[limits]\npeers = 0", "2:9", "1 to 100000"),
        ("[limits]\nelements_per_peer = 0", "2:21", "1 to 10000000"),
        ("[limits]\nupdates_per_second = 0", "2:22", "1 to 1000000"),
        ("[limits]\npool_handle_octets = 65532", "2:22", "1 to 65531"),
        ("[limits]\npool_handles_octets = 1", "2:23", "65536 to 1073741824"),
        ("[limits]\nelements = 0", "2:12", "1 to 10000000"),
        ("[limits]\nelements = 1.5", "2:12", "1 to 10000000"),
        ("[http]\nlisten = []", "2:10", "ADDRESS:PORT"),
        ("[http]\nlisten = \"localhost\"", "2:10", "ADDRESS:PORT"),
        ("[http]\nlisten = \"127.0.0.1:0\"", "2:10", "ADDRESS:PORT"),
        ("[http]\nlisten = 8080", "2:10", "ADDRESS:PORT"),
        ("[http]\nconnections = 1", "2:15", "2 to 10000"),
        ("[http]\nhosts = \"registrar.example\"", "2:9", "list of host names"),
        ("[http]\nhosts = [\"registrar.example:80\"]", "2:9", "without a port"),
        ("[http]\nhosts = [\"\"]", "2:9", "list of host names"),
        ("[multicast]\nasap_groups = [\"10.0.0.1:3863\"]", "2:15", "GROUP:PORT"),
        ("[multicast]\nenrp_groups = [\"[ff05::133]:0\"]", "2:15", "GROUP:PORT"),
        ("[multicast]\nttl = 0", "2:7", "1 to 255"),
        ("[multicast]\nt6_serverannounce = \"1ms\"", "2:21", "100ms to 1m"),
        ("[multicast]\nenrp = true", "2:1", "both"),
        ("[sctp]\nrto_max = \"61s\"", "2:11", "10ms to 1m"),
        (
            "[sctp]\nheartbeat_interval = \"2s\"\nrto_max = \"300ms\"",
            "3:1",
            "rto_min <= rto_initial <= rto_max",
        ),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(&format!("registrar.toml:{place}: ")), "{message}");
        assert!(message.contains(allowed), "{message}");
    }
}

#[test]
fn durations_are_written_with_units() {
    let config = parse("[asap]\nkeep_alive_timeout = \"1m30s\"\nkeep_alive_interval = \"0s\"\n").unwrap();
    assert_eq!(config.asap.keep_alive_timeout, Duration::from_secs(90));
    assert_eq!(config.asap.keep_alive_interval, None);
}

#[test]
fn http_is_served_at_no_address_at_one_or_at_several() {
    let listen = |text: &str| parse(text).unwrap().http.listen;
    let addresses =
        |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    assert_eq!(listen("[http]\nconnections = 2"), []);
    assert_eq!(listen("[http]\nlisten = \"127.0.0.1:8080\""), addresses(&["127.0.0.1:8080"]));
    let both = ["127.0.0.1:8080", "[::1]:8080"];
    assert_eq!(listen("[http]\nlisten = [\"127.0.0.1:8080\", \"[::1]:8080\"]"), addresses(&both));
}

#[test]
fn tcp_is_served_where_sctp_is_unless_another_place_or_none_is_named() {
    let tcp = |text: &str| parse(text).unwrap().tcp_addresses().to_vec();
    assert_eq!(tcp(""), Config::default().listen);
    let here: SocketAddr = "10.0.0.1:3863".parse().unwrap();
    assert_eq!(tcp("listen = [\"10.0.0.1:3863\"]"), [here]);
    assert_eq!(tcp("listen_tcp = [\"10.0.0.1:3863\"]"), [here]);
    assert_eq!(tcp("listen_tcp = []"), []);
}

#[test]
fn a_named_file_that_is_not_there_is_an_error() {
    let message = Config::load(Some(Path::new("/nowhere/registrar.toml"))).unwrap_err().to_string();
    assert!(message.starts_with("/nowhere/registrar.toml: cannot be read: "), "{message}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[\\[\\]a-z=\"0-9é\\n .,_-]{0,80}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }
}

#[test]
fn registrars_are_peers_where_enrp_is_spoken() {
    let config = parse(
        "[enrp]\nlisten = \"10.0.0.1:9901\"\n[[enrp.peer]]\naddress = \"10.0.0.2:9901\"\nprofile = \"rsplib\"\n",
    )
    .unwrap();
    let settings = config.enrp_settings(7);
    assert_eq!((settings.server, settings.peers.len()), (7, 1));
    assert_eq!(settings.peers[0].addresses, ["10.0.0.2:9901".parse().unwrap()]);
    assert!(refusal("[[enrp.peer]]\naddress = \"10.0.0.2:9901\"\n").contains("allowed: both"));
    assert!(refusal("[enrp]\npeer_heartbeat_cycle = \"1s\"\n").contains("more than two cycles"));
    assert!(refusal("[enrp]\nlisten = [\"10.0.0.1:9901\", \"10.0.0.2:9902\"]\n").contains("one port"));
}

#[test]
fn what_cannot_change_while_it_runs_is_named_and_stays_and_all_else_is_taken_over() {
    let before = parse("identifier = 1\n[enrp]\nlisten = \"10.0.0.1:9901\"\n").unwrap();
    let changed = parse(
        "identifier = 2\nlisten = [\"10.0.0.2:3863\"]\nruntime_dir = \"/run/other\"\nlog = \"debug\"\n\
         [asap]\nkeep_alive_timeout = \"9s\"\n[limits]\nelements = 7\n[sctp]\nrto_initial = \"600ms\"\n\
         [http]\nlisten = \"127.0.0.1:80\"\nconnections = 5\nhosts = [\"a.example\"]\n\
         [enrp]\nlisten = \"10.0.0.2:9901\"\nreconnect = \"1s\"\n[[enrp.peer]]\naddress = \"10.0.0.3:9901\"\n",
    )
    .unwrap();
    let (taken, fixed) = before.reloaded(changed.clone());
    let names = ["listen", "identifier", "runtime_dir", "enrp.listen", "http.listen", "http.connections"];
    assert_eq!(fixed, names);
    let expected = Config {
        listen: before.listen.clone(),
        identifier: before.identifier,
        runtime_dir: before.runtime_dir.clone(),
        enrp: Enrp { listen: before.enrp.listen.clone(), ..changed.enrp.clone() },
        http: Http { hosts: changed.http.hosts.clone(), ..before.http.clone() },
        ..changed
    };
    assert_eq!(taken, expected);
    let (same, fixed) = before.reloaded(before.clone());
    assert_eq!((same, fixed), (before, vec![]));
}
