//! What an operator does with the daemon itself: reload, explain, wait, and a second daemon by mistake.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roam_agent::control::protocol::{Reply, Request};
use roam_agent::control::{Client, ConfigurationReport};
use serde_json::Value;

use super::adoption::{Program, listens, roam, until};

/// A namespace with an uplink u1 that has 10.1.0.2 and 10.1.0.3, and a daemon in it.
struct Site {
    directory: tempfile::TempDir,
    daemon: Program,
}

fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split_whitespace()).status().unwrap().success(), "ip {words}");
}

impl Site {
    fn start(config: &str) -> Self {
        Self::prepare();
        Self::here(config)
    }

    /// A namespace with an uplink.
    fn prepare() {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root: it makes a network namespace");
        ip("link set lo up");
        ip("link add u1 type veth peer name p1");
        ip("link set p1 up");
        ip("link set u1 up");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("addr add 10.1.0.3/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
    }

    /// A daemon in the namespace of this thread.
    fn here(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("agent.d")).unwrap();
        std::fs::write(directory.path().join("agent.toml"), config).unwrap();
        let daemon = Self::daemon(&directory.path().join("run"), &directory.path().join("agent.toml"));
        let site = Self { directory, daemon };
        let waited = site.roam("wait --timeout 60s");
        assert!(waited.status.success(), "{waited:?}");
        site
    }

    /// Other users may go where the socket is.
    fn let_others_in(&self) {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.directory.path(), open).unwrap();
    }

    fn daemon(run: &Path, file: &Path) -> Program {
        let (run, file) = (run.display().to_string(), file.display().to_string());
        Program::start(&[env!("CARGO_BIN_EXE_roamd"), "--config", &file, "--runtime-dir", &run])
    }

    fn run(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    fn roam(&self, words: &str) -> Output {
        roam(&self.run(), &words.split_whitespace().collect::<Vec<_>>())
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_slice(&self.roam(&format!("--json {words}")).stdout).unwrap()
    }

    fn configure(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn configuration(&self) -> ConfigurationReport {
        match Client::connect(&self.run()).unwrap().ask(Request::Configuration).unwrap() {
            Reply::Configuration(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    fn value(&self, key: &str) -> String {
        let settings = self.configuration().settings;
        settings.into_iter().find(|setting| setting.key == key).unwrap().value
    }

    /// How an association was told to stand, one after the other.
    fn stood(&self, association: &str) -> Vec<String> {
        let document = self.json(&format!("explain {association} --last 1000"));
        let texts = document["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["text"].as_str().unwrap().to_owned());
        texts.filter(|text| ["stranded", "settled"].contains(&text.as_str())).collect()
    }

    /// The own ports of the associations that are looked after.
    fn ports(&self) -> Vec<u64> {
        let document = self.json("associations");
        document["associations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["local_port"].as_u64().unwrap())
            .collect()
    }

    /// A server at 10.1.0.2:7001 and a client from 10.1.0.3:7000; both stay for as long as they are held.
    fn association(&self) -> (Program, Program) {
        let server = Program::start(&["socat", "SCTP-LISTEN:7001,bind=10.1.0.2", "EXEC:sleep 600"]);
        until("the server listens", || listens(7001));
        let client =
            Program::start(&["socat", "SCTP:10.1.0.2:7001,bind=10.1.0.3,sourceport=7000", "EXEC:sleep 600"]);
        until("the association is looked after", || self.ports().contains(&7001));
        (server, client)
    }
}

/// Somebody listens where daemons find each other.
fn name_is_taken() -> bool {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/unix").unwrap();
    sockets.lines().any(|line| line.ends_with("@roamd"))
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_reload_takes_over_what_is_good_and_changes_nothing_if_it_is_bad_or_would_drop_associations() {
    let site = Site::start("[[manage]]\nport = 7001\n");
    let _programs = site.association();
    assert_eq!(site.ports(), [7001]);

    site.configure("agent.d/bad.toml", "[agent]\npoll = \"1h\"\n");
    let bad = site.roam("reload");
    assert_eq!(bad.status.code(), Some(2), "{}", says(&bad));
    assert!(says(&bad).contains("bad.toml:2:8: agent.poll"), "{}", says(&bad));
    assert_eq!(site.value("agent.poll"), "\"250ms\"");
    assert!(says(&site.roam("status")).contains("bad.toml:2:8"), "the mistake is shown until it is mended");
    assert_eq!(site.roam("status --check").status.code(), Some(4));

    site.configure("agent.d/bad.toml", "[agent]\npoll = \"100ms\"\noffline = \"20m\"\nnice = 3\n");
    let good = site.roam("reload");
    assert!(good.status.success(), "{}", says(&good));
    for line in ["\"250ms\" -> \"100ms\"", "\"10m\" -> \"20m\"", "-15 -> 3, from the next start on"] {
        assert!(says(&good).contains(line), "{line}: {}", says(&good));
    }
    assert_eq!(site.value("agent.poll"), "\"100ms\"");
    assert_eq!(site.roam("status --check").status.code(), Some(0), "{}", says(&site.roam("status")));

    site.configure("agent.toml", "[[manage]]\nport = 9\n");
    let refused = site.roam("reload");
    assert_eq!(refused.status.code(), Some(1));
    assert!(says(&refused).contains(":7001-7000") && says(&refused).contains("--drop"), "{}", says(&refused));
    assert_eq!(site.value("manage[0].port"), "7001");
    assert_eq!(site.ports(), [7001]);
    let dropped = site.roam("reload --drop");
    assert!(dropped.status.success() && says(&dropped).contains("left alone"), "{}", says(&dropped));
    assert_eq!(site.ports(), Vec::<u64>::new());

    // Now the other way round, by the signal.
    site.configure("agent.toml", "");
    kill(Pid::from_raw(site.daemon.pid().parse().unwrap()), Signal::SIGHUP).unwrap();
    until("everybody's associations are looked after", || {
        let mut ports = site.ports();
        ports.sort_unstable();
        ports == [7000, 7001]
    });
}

#[test]
fn without_any_file_everybodys_associations_are_looked_after_on_every_real_interface() {
    let mut site = Site::start("manage = []\n");
    assert!(!Path::new("/etc/roam").exists(), "this test is about a host without configuration");
    let run = site.run().display().to_string();
    site.daemon = Program::start(&["true"]); // the first one ends
    site.daemon = Program::start(&[env!("CARGO_BIN_EXE_roamd"), "--runtime-dir", &run]);
    assert!(site.roam("wait --paths 2 --timeout 60s").status.success());
    assert_eq!(site.configuration().files, Vec::<String>::new());
    let _programs = site.association();
    until("both ends are looked after", || site.ports().len() == 2);
    assert_eq!(site.roam("status --check").status.code(), Some(0), "{}", says(&site.roam("status")));
}

#[test]
fn a_reload_that_takes_the_last_address_away_has_to_be_meant_and_moves_nothing_by_itself() {
    let site = Site::start("");
    let _programs = site.association();
    site.configure("agent.toml", "[interfaces]\ndeny = [\"u*\"]\n");
    let refused = site.roam("reload");
    assert_eq!(refused.status.code(), Some(1), "{}", says(&refused));
    assert!(says(&refused).contains("without an address: "), "{}", says(&refused));
    assert_eq!(site.json("status")["stranded"], 0);
    assert!(site.roam("reload --drop").status.success());
    until("the associations have no usable address", || site.json("status")["stranded"] == 2);
    assert_eq!(site.roam("status --check").status.code(), Some(4));
    site.configure("agent.toml", "");
    assert!(site.roam("reload").status.success());
    let settled = site.roam("wait --settled --paths 2 --timeout 30s");
    assert!(settled.status.success(), "{}", says(&settled));
    assert_eq!(site.stood("7001-7000"), ["stranded", "settled"]);
}

#[test]
fn addresses_and_associations_are_explained_with_what_was_decided_and_why() {
    let site = Site::start("");
    let _programs = site.association();
    // It may be told the newer address of the two, and then use that.
    until("its address is told to be used", || {
        let association = site.json("explain 7001-7000");
        let own = association["associations"][0]["local"][0].as_str().unwrap().to_owned();
        let why = site.json(&format!("explain {own}"))["why"].as_str().unwrap().to_owned();
        why.starts_with("usable") && why.contains("used by ")
    });
    let decided = |document: &Value, text: &str| {
        document["decisions"].as_array().unwrap().iter().any(|it| it["text"].as_str().unwrap().contains(text))
    };
    let association = site.json("explain 7001-7000");
    assert!(decided(&association, "adopted"), "{association}");
    assert!(association["why"].as_str().unwrap().contains("settled"), "{association}");

    ip("link set u1 down");
    until("the reason is told", || {
        let document = site.json("explain 10.1.0.2");
        document["why"].as_str().unwrap().contains("is down") && decided(&document, "is down")
    });
    ip("addr del 10.1.0.3/24 dev u1");
    until("it is told that they are stranded", || site.stood("7001-7000").contains(&"stranded".to_owned()));
    until("it is told that it is gone", || {
        let document = site.json("explain 10.1.0.3");
        document["why"].as_str().is_some_and(|why| why.contains("lost it") || why.contains("any more"))
    });
    assert_eq!(site.roam("explain 192.0.2.77").status.code(), Some(10));
    assert_eq!(site.roam("explain 1-2").status.code(), Some(10));
    let waited = site.roam("wait --paths 1 --timeout 200ms");
    assert_eq!(waited.status.code(), Some(3), "{}", says(&waited));
}

#[test]
fn the_doctor_finds_what_is_wrong_and_its_command_mends_it() {
    let site = Site::start("");
    let _programs = site.association();
    let diagnosis = |name: &str| -> Value {
        let document = site.json("doctor");
        let checks = document["checks"].as_array().unwrap();
        let mut of_name = checks.iter().filter(|check| check["name"] == name);
        let bad = of_name.clone().find(|check| check["level"] != "ok");
        bad.or_else(|| of_name.next()).unwrap().clone()
    };
    let before = site.roam("doctor");
    assert_eq!(before.status.code(), Some(0), "{}", says(&before));
    assert_eq!(diagnosis("source-route")["level"], "ok", "{}", says(&before));
    for (name, harm) in [
        ("addip-enable", "sysctl -w net.sctp.addip_enable=0"),
        ("rp-filter", "sysctl -w net.ipv4.conf.u1.rp_filter=1"),
        ("auto-asconf", "sysctl -w net.sctp.default_auto_asconf=1"),
        ("usable", "ip link set u1 down"),
    ] {
        let run =
            |words: &str| assert!(Command::new("sh").args(["-c", words]).output().unwrap().status.success());
        run(harm);
        until(name, || diagnosis(name)["level"] != "ok");
        let mend = diagnosis(name)["mend"].as_str().unwrap().to_owned();
        run(&mend);
        if name == "usable" {
            ip("route replace default via 10.1.0.1 dev u1"); // gone with the link
        }
        until(&format!("{name} is mended by {mend}"), || diagnosis(name)["level"] == "ok");
    }
    assert_eq!(site.roam("doctor").status.code(), Some(0));
}

#[test]
fn the_questions_of_one_user_are_spread_and_root_is_answered_meanwhile() {
    let site = Site::start("");
    site.let_others_in();
    #[expect(clippy::disallowed_methods, reason = "the test is about a time")]
    let begin = std::time::Instant::now();
    let socket = format!("UNIX-CONNECT:{}", site.run().join("ctl.sock").display());
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let mut hasty = Command::new(nobody[0])
        .args(&nobody[1..])
        .args(["socat", "-t60", "-", &socket])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = hasty.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, "{\"request\":\"status\"}\n".repeat(250).as_bytes()).unwrap();
    drop(input);
    assert!(site.roam("status").status.success());
    let output = hasty.wait_with_output().unwrap();
    let lines = output.stdout.iter().filter(|octet| **octet == b'\n').count();
    assert_eq!(lines, 251, "all are answered, after the greeting");
    assert!(begin.elapsed() >= std::time::Duration::from_millis(200 * 20), "{:?}", begin.elapsed());
}

#[test]
fn one_user_has_only_his_share_of_the_connections() {
    let site = Site::start("");
    site.let_others_in();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let socket = format!("UNIX-CONNECT:{}", site.run().join("ctl.sock").display());
    let hoard = || Program::start(&[&nobody[..], &["socat", &socket, "EXEC:sleep 600"]].concat());
    let run = site.run().display().to_string();
    let as_nobody = || {
        let mut command = Command::new(nobody[0]);
        command.args(&nobody[1..]).arg(env!("CARGO_BIN_EXE_roam")).args(["--runtime-dir", &run, "status"]);
        command.output().unwrap()
    };
    let first = as_nobody();
    assert!(first.status.success(), "{}", says(&first));
    let hoarded: Vec<Program> = (0..8).map(|_| hoard()).collect();
    // The listening socket has the name, and each that was accepted from it.
    let open = || {
        let sockets = std::fs::read_to_string("/proc/thread-self/net/unix").unwrap();
        sockets.lines().filter(|line| line.ends_with("/run/ctl.sock")).count()
    };
    until("he has eight", || open() == 9);
    until("he has no more", || says(&as_nobody()).contains("too many connections"));
    assert!(site.roam("status").status.success(), "root has");
    drop(hoarded);
    until("he has given them back", || as_nobody().status.success());
}

#[test]
fn a_user_who_takes_the_daemons_name_does_not_keep_it_from_starting() {
    Site::prepare();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let _squatter =
        Program::start(&[&nobody[..], &["socat", "ABSTRACT-LISTEN:roamd,fork", "EXEC:sleep 600"]].concat());
    until("the name is taken", name_is_taken);
    let site = Site::here("");
    assert!(site.roam("status").status.success());
}

#[test]
fn a_daemon_that_runs_as_a_user_of_its_own_is_found_by_roots_too() {
    Site::prepare();
    let rights = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin", "--"];
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let holder = ["socat", "ABSTRACT-LISTEN:roamd,fork", "EXEC:sleep 600"];
    let first = Program::start(&[&user[..], &rights[..], &holder[..]].concat());
    until("the name is taken", name_is_taken);
    let directory = tempfile::tempdir().unwrap();
    let mut second = Command::new(env!("CARGO_BIN_EXE_roamd"));
    let output = second.arg("--runtime-dir").arg(directory.path()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", says(&output));
    assert!(says(&output).contains(&format!("process {}", first.pid())), "{}", says(&output));
}

#[test]
fn a_second_daemon_refuses_and_names_the_first() {
    let site = Site::start("");
    let file = site.directory.path().join("agent.toml");
    // With the runtime directory of the first, and with another one.
    for run in [site.run(), site.directory.path().join("elsewhere")] {
        let mut second = Command::new(env!("CARGO_BIN_EXE_roamd"));
        second.arg("--config").arg(&file).arg("--runtime-dir").arg(&run).stdin(Stdio::null());
        let output = second.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", says(&output));
        let named = format!("process {}", site.daemon.pid());
        assert!(says(&output).contains(&named), "{named}: {}", says(&output));
    }
    assert!(site.roam("status").status.success(), "the first one goes on");
    let pid = Pid::from_raw(site.daemon.pid().parse().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    let _third = Site::daemon(&site.run(), &file);
    let waited = site.roam("wait --timeout 60s");
    assert!(waited.status.success(), "{}", says(&waited));
}
