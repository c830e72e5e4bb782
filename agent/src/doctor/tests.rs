//! Each check by itself: a host on which all is well, with one thing wrong.

use super::*;
use crate::control::{
    AssociationReport, AssociationState, ElementReport, NetworkReport, PeerReport, PoolsReport, StatusReport,
};
use crate::net::Unusable;

/// Two uplinks, a daemon, a registrar with an element and a peer: nothing to complain of.
fn healthy() -> Facts {
    let address = |address: &str, interface: &str| AddressFacts {
        address: address.parse().unwrap(),
        prefix: 24,
        interface: interface.into(),
        verdict: Ok(()),
        gateway: Some("10.1.0.1".parse().unwrap()),
        leaves_by: Some(Ok(interface.into())),
    };
    let interface = |name: &str| InterfaceFacts {
        name: name.into(),
        carrier: true,
        rp_filter: 2,
        arp_filter: false,
        arp_ignore: 0,
        ignores_linkdown: false,
        promotes_secondaries: false,
    };
    let element = ElementReport {
        handle: "robot-1".into(),
        id: 7,
        port: 7001,
        registered: true,
        addresses: vec!["10.1.0.2".parse().unwrap()],
        confirmed_ms: Some(12_000),
        life_ms: 300_000,
        why: String::new(),
    };
    let peer = PeerReport {
        handle: "robot-2".into(),
        port: Some(7000),
        addresses: vec!["10.3.0.2".parse().unwrap()],
        known: true,
    };
    Facts {
        daemon: running(|_| {}, vec![association()], &[]),
        manages_routes: true,
        addresses: vec![address("10.1.0.2", "u1"), address("10.2.0.2", "u2")],
        interfaces: vec![interface("u1"), interface("u2")],
        pools: PoolFacts {
            configured: true,
            needed: true,
            report: Some(PoolsReport {
                registrar: Some("10.9.0.2:3863".into()),
                elements: vec![element],
                peers: vec![peer],
            }),
            answered: None,
        },
        ..Facts::default()
    }
}

fn association() -> AssociationReport {
    AssociationReport {
        pid: 7,
        executable: None,
        local_port: 7001,
        peer_port: 7000,
        binding: None,
        local: vec!["10.1.0.2".parse().unwrap()],
        peer: vec!["10.3.0.2".parse().unwrap()],
        state: AssociationState::Settled,
        why: String::new(),
        add_ip: Some(true),
        in_state_ms: 0,
        moves: 0,
        last_move_ms: None,
    }
}

fn running(
    change: impl FnOnce(&mut StatusReport),
    associations: Vec<AssociationReport>,
    lacks: &[&str],
) -> Daemon {
    let mut status = StatusReport { version: env!("CARGO_PKG_VERSION").into(), ..StatusReport::default() };
    change(&mut status);
    let lacks = lacks.iter().map(|name| (*name).to_owned()).collect();
    Daemon::Running { status: Box::new(status), associations, lacks }
}

type Change = Box<dyn Fn(&mut Facts)>;

/// What is wrong, the check that tells, its level, what it says, and what mends it.
fn cases() -> Vec<(Change, &'static str, Level, &'static str, &'static str)> {
    use Level::{Fail, Warn};
    fn case(
        change: impl Fn(&mut Facts) + 'static,
        name: &'static str,
        level: Level,
        says: &'static str,
        mend: &'static str,
    ) -> (Change, &'static str, Level, &'static str, &'static str) {
        (Box::new(change), name, level, says, mend)
    }
    vec![
        case(|f| f.kernel.sctp = false, "sctp", Fail, "not loaded", "modprobe sctp"),
        case(
            |f| {
                f.kernel.sctp = false;
                f.kernel.blacklisted =
                    vec![("/etc/modprobe.d/sctp-blacklist.conf".into(), "blacklist sctp".into())];
            },
            "sctp",
            Fail,
            "/etc/modprobe.d/sctp-blacklist.conf keeps it",
            "sed -i 's/^blacklist sctp$/# &/' /etc/modprobe.d/sctp-blacklist.conf && modprobe sctp",
        ),
        case(
            |f| f.kernel.loaded_at_start = false,
            "module-at-start",
            Warn,
            "nothing loads",
            "modules-load.d",
        ),
        case(
            |f| f.kernel.addip = Some(false),
            "addip-enable",
            Fail,
            "cannot be moved",
            "net.sctp.addip_enable=1",
        ),
        case(
            |f| f.kernel.auth = Some(false),
            "auth-enable",
            Fail,
            "auth_enable is off",
            "net.sctp.auth_enable=1",
        ),
        case(
            |f| {
                f.kernel.auth = Some(false);
                f.kernel.addip_noauth = Some(true);
            },
            "auth-enable",
            Warn,
            "without authentication",
            "addip_noauth_enable=0",
        ),
        case(
            |f| f.kernel.auto_asconf = Some(true),
            "auto-asconf",
            Warn,
            "the kernel changes",
            "default_auto_asconf=0",
        ),
        case(
            |f| f.kernel.scope_policy = Some(0),
            "address-scope",
            Warn,
            "all addresses",
            "addr_scope_policy=1",
        ),
        case(|f| f.kernel.scope_policy = Some(3), "address-scope", Warn, "link-local", "addr_scope_policy=1"),
        case(|f| f.kernel.diag = false, "sctp-diag", Warn, "/proc/net/sctp", "modprobe sctp_diag"),
        case(|f| f.kernel.udp = (0, 9899), "udp-encapsulation", Fail, "answers get lost", "udp_port=9899"),
        case(
            |f| f.daemon = running(|s| s.version = "9.9.9".into(), vec![], &[]),
            "version",
            Warn,
            "roamd of 9.9.9",
            "systemctl restart roamd",
        ),
        case(
            |f| f.daemon = running(|_| {}, vec![], &["CAP_NET_RAW"]),
            "rights",
            Fail,
            "CAP_NET_RAW",
            "CAP_NET_RAW",
        ),
        case(
            |f| f.daemon = running(|_| {}, vec![], &["CAP_SYS_PTRACE"]),
            "rights",
            Warn,
            "hand their sockets over",
            "CAP_SYS_PTRACE",
        ),
        case(
            |f| {
                f.daemon =
                    running(|s| s.problems = vec!["rules are gone; `nft list ruleset`".into()], vec![], &[])
            },
            "problems",
            Fail,
            "rules are gone",
            "nft list ruleset",
        ),
        case(
            |f| {
                let network = NetworkReport { overruns: 3, ..NetworkReport::default() };
                f.daemon = running(|s| s.network = network, vec![], &[]);
            },
            "overruns",
            Warn,
            "lost 3 times",
            "ip monitor",
        ),
        case(
            |f| {
                let state = AssociationState::Unmanageable;
                let it = AssociationReport { state, why: "it came too early".into(), ..association() };
                f.daemon = running(|_| {}, vec![it], &[]);
            },
            "associations",
            Warn,
            "7:7001-7000: it came too early",
            "roam explain 7:7001-7000",
        ),
        case(
            |f| {
                let it = AssociationReport { state: AssociationState::Stranded, ..association() };
                f.daemon = running(|_| {}, vec![it], &[]);
            },
            "associations",
            Warn,
            "no usable address",
            "roam addresses",
        ),
        case(
            |f| f.configuration = Some("x.toml:1".into()),
            "configuration",
            Fail,
            "x.toml:1",
            "--check-config",
        ),
        case(|f| f.addresses.clear(), "any", Fail, "no address of this host is usable", "ip address"),
        case(
            |f| f.addresses[0].verdict = Err(Unusable::LinkDown),
            "usable",
            Warn,
            "is down",
            "ip link set u1 up",
        ),
        case(
            |f| f.addresses[0].verdict = Err(Unusable::NoCarrier),
            "usable",
            Warn,
            "no carrier",
            "ip link show u1",
        ),
        case(
            |f| f.addresses[0].verdict = Err(Unusable::Duplicate),
            "usable",
            Warn,
            "somebody else",
            "10.1.0.2/24",
        ),
        case(
            |f| f.addresses[0].verdict = Err(Unusable::NoRoute),
            "usable",
            Warn,
            "no route leads",
            "ip route add default via ROUTER dev u1",
        ),
        case(
            |f| f.addresses[1].leaves_by = Some(Ok("u1".into())),
            "source-route",
            Fail,
            "10.2.0.2 leave by u1, not by its interface u2",
            "ip rule",
        ),
        case(
            |f| {
                f.manages_routes = false;
                f.addresses[1].leaves_by = Some(Err("no route".into()));
            },
            "source-route",
            Fail,
            "do not leave: no route",
            "ip rule add from 10.2.0.2 lookup 7000 && ip route add default via 10.1.0.1 dev u2 table 7000",
        ),
        case(|f| f.interfaces[0].rp_filter = 1, "rp-filter", Warn, "strict on u1", "conf.u1.rp_filter=2"),
        case(
            |f| f.interfaces[1].carrier = false,
            "linkdown-routes",
            Warn,
            "through u2",
            "conf.u2.ignore_routes",
        ),
        case(
            |f| {
                f.addresses[1].interface = "u1".into();
                f.addresses[1].leaves_by = None;
                f.addresses[1].address = "10.1.0.3".parse().unwrap();
            },
            "promote-secondaries",
            Warn,
            "the first address of a network on u1",
            "conf.u1.promote_secondaries=1",
        ),
        case(
            |f| f.addresses[1].address = "10.1.0.3".parse().unwrap(),
            "arp-filter",
            Warn,
            "u1 and u2 are in one network",
            "conf.u2.arp_ignore=1",
        ),
        case(
            |f| {
                let it = AssociationReport { peer: vec!["9.9.9.9".parse().unwrap()], ..association() };
                f.daemon = running(|_| {}, vec![it], &[]);
            },
            "translation",
            Warn,
            "from a private address to a global one",
            "encap_port",
        ),
        case(
            |f| {
                let it = AssociationReport { peer: vec!["9.9.9.9".parse().unwrap()], ..association() };
                f.daemon = running(|_| {}, vec![it], &[]);
                f.kernel.udp = (9899, 9899);
            },
            "translation",
            Warn,
            "Linux cannot send an ASCONF with the wildcard address",
            "asap-client",
        ),
        case(
            |f| {
                let it =
                    NamespaceFacts { pid: 77, associations: 2, listening: 1, ..NamespaceFacts::default() };
                f.namespaces = vec![it];
            },
            "sockets-elsewhere",
            Warn,
            "2 associations and 1 listener in the network namespace of process 77",
            "nsenter --net=/proc/77/ns/net roamd",
        ),
        case(
            |f| {
                let name = Some("lab".to_owned());
                f.namespaces = vec![NamespaceFacts { name, associations: 1, ..NamespaceFacts::default() }];
            },
            "sockets-elsewhere",
            Warn,
            "1 association and 0 listeners in the network namespace lab",
            "systemctl start roamd@lab",
        ),
        case(|f| f.network.nft = false, "nftables", Fail, "nft is missing", "apt install nftables"),
        case(
            |f| {
                f.network.networkd = true;
                f.network.networkd_tolerant = false;
            },
            "networkd",
            Warn,
            "deletes rules and routes",
            "ManageForeignRoutingPolicyRules=no",
        ),
        case(
            |f| f.network.translations = vec!["oifname \"u1\" masquerade".into()],
            "translation",
            Warn,
            "masquerade",
            "nft list ruleset",
        ),
        case(
            |f| f.pools.report.as_mut().unwrap().registrar = None,
            "registrar",
            Fail,
            "no registrar answers",
            "roam-registrar",
        ),
        case(
            |f| {
                let report = f.pools.report.as_mut().unwrap();
                report.elements[0].registered = false;
                report.elements[0].why = "no program listens".into();
            },
            "element",
            Warn,
            "robot-1 (0x00000007) is not registered: no program listens",
            "port 7001",
        ),
        case(
            |f| {
                let report = f.pools.report.as_mut().unwrap();
                report.elements[0].registered = false;
                report.elements[0].why = "refused by the registrar".into();
            },
            "element",
            Fail,
            "refused",
            "roam monitor",
        ),
        case(
            |f| f.pools.report.as_mut().unwrap().elements[0].confirmed_ms = Some(301_000),
            "element",
            Warn,
            "confirmed 301 s ago for 300 s: it should have been renewed",
            "roam monitor",
        ),
        case(
            |f| f.pools.report.as_mut().unwrap().peers[0].addresses.clear(),
            "peer",
            Warn,
            "robot-2 is not registered",
            "handle = \"robot-2\"",
        ),
    ]
}

#[test]
fn on_a_host_on_which_all_is_well_there_is_nothing_to_mend() {
    let diagnosis = diagnose(&healthy());
    let bad: Vec<_> = diagnosis.checks.iter().filter(|check| check.level != Level::Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(diagnosis.checks.len() > 20 && diagnosis.daemon, "{diagnosis}");
    assert!(diagnosis.checks.iter().all(|check| check.mend.is_none()));
}

#[test]
fn each_thing_that_is_wrong_is_told_once_with_what_mends_it() {
    for (change, name, level, says, mend) in cases() {
        let mut facts = healthy();
        change(&mut facts);
        let diagnosis = diagnose(&facts);
        let bad: Vec<_> = diagnosis.checks.iter().filter(|check| check.level != Level::Ok).collect();
        let [check] = bad[..] else { panic!("{name}: {bad:#?}") };
        assert_eq!((check.name.as_str(), check.level), (name, level), "{check:?}");
        assert!(check.text.contains(says), "{says:?}: {check:?}");
        assert!(check.mend.as_ref().is_some_and(|it| it.contains(mend)), "{mend:?}: {check:?}");
        assert_eq!(
            (diagnosis.warnings, diagnosis.failures),
            if level == Level::Warn { (1, 0) } else { (0, 1) }
        );
    }
}

#[test]
fn sockets_in_a_namespace_with_a_daemon_of_its_own_are_looked_after() {
    let mut facts = healthy();
    facts.namespaces =
        vec![NamespaceFacts { has_daemon: true, associations: 1, ..NamespaceFacts::default() }];
    let diagnosis = diagnose(&facts);
    let check = diagnosis.checks.iter().find(|check| check.name == "sockets-elsewhere").unwrap();
    assert_eq!(check.level, Level::Ok, "{check:?}");
    assert!(check.text.contains("looked after by a roamd there"), "{check:?}");
}

#[test]
fn without_the_daemon_that_is_said_and_what_it_would_do_is_no_failure() {
    let mut facts = healthy();
    let why = "roamd is not running (/run/roam/ctl.sock: No such file); `systemctl start roamd` starts it";
    facts.daemon = Daemon::Silent { why: why.into(), elsewhere: false };
    facts.kernel.addip = Some(false);
    facts.addresses[1].leaves_by = Some(Ok("u1".into()));
    facts.pools = PoolFacts { configured: true, needed: true, report: None, answered: Some(true) };
    let diagnosis = diagnose(&facts);
    let failed: Vec<_> = diagnosis.checks.iter().filter(|check| check.level == Level::Fail).collect();
    let [running] = failed[..] else { panic!("{failed:#?}") };
    assert_eq!((running.name.as_str(), running.mend.as_deref()), ("running", Some("systemctl start roamd")));
    let text = diagnosis.to_string();
    assert!(text.starts_with("roamd does not answer: this is what can be seen without it\n"), "{text}");
    assert!(text.contains("roamd switches it on at its start"), "{text}");
    assert!(text.contains("roamd keeps a rule for that when it runs"), "{text}");
    facts.daemon = Daemon::Silent { why: why.into(), elsewhere: true };
    assert!(diagnose(&facts).to_string().contains("another runtime directory"));
}

#[test]
fn a_diagnosis_is_one_line_a_check_and_one_more_for_what_mends_it() {
    let mut facts = healthy();
    facts.network.nft = false;
    let diagnosis = diagnose(&facts);
    let text = diagnosis.to_string();
    assert!(text.contains("\nFAIL  network    the program nft is missing"), "{text}");
    assert!(text.contains("\n                 mend: apt install nftables\n"), "{text}");
    assert!(text.ends_with(&format!("{} checks, 0 warnings, 1 failure\n", diagnosis.checks.len())), "{text}");
    assert_eq!(text.lines().count(), diagnosis.checks.len() + 2);
}
