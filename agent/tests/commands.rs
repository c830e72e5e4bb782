//! What `roam` says and how it ends, command by command, with a daemon's loop that only the tests have.

mod fake;

use std::process::{Command as Process, Output};
use std::time::{Duration, Instant};

use fake::{Fake, text};
use serde_json::Value;

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn an_address_is_explained_with_the_decisions_about_it() {
    let fake = Fake::start(true);
    let output = fake.roam("explain 10.1.0.2");
    assert_eq!(
        text(&output.stdout),
        "10.1.0.2: usable (by way of 10.1.0.1), and used by 1 association\n\n\
         ADDRESS      INTERFACE  USABLE  TABLE  WHY\n\
         10.1.0.2/24  u1         yes     7600   by way of 10.1.0.1\n\n\
         PID   PROGRAM  PORTS      STATE     FOR   LOCAL     PEER              WHY\n\
         1234  socat    7001-7000  stranded  1.2s  10.1.0.2  10.3.0.2,fd00::3  no usable address\n\n\
         decisions, the last one at the end (times in UTC):\n\
         22:13:20.123 association 1234:7001-7000: hold 10.1.0.2 on lo (its last address is gone)\n"
    );
    let unknown = fake.roam("explain 10.77.0.1");
    assert_eq!(code(&unknown), 10, "{unknown:?}");
    let nonsense = fake.roam("explain robot");
    assert_eq!(code(&nonsense), 2);
    assert!(text(&nonsense.stderr).contains("1234:7001-7000"), "{nonsense:?}");
}

#[test]
fn a_reload_shows_what_differs_and_one_that_would_drop_associations_has_to_be_meant() {
    let fake = Fake::start(true);
    let refused = fake.roam("reload");
    assert_eq!(code(&refused), 1);
    assert!(text(&refused.stderr).contains("left alone: 1234:7001-7000"), "{refused:?}");
    let done = fake.roam("reload --drop");
    assert_eq!(
        text(&done.stdout),
        "read          /etc/roam/agent.toml, /etc/roam/agent.d/x.toml\n\
         agent.nice            -15 -> 5, from the next start on  (/etc/roam/agent.toml:3)\n\
         agent.poll            \"250ms\" -> \"1s\"  (/etc/roam/agent.d/x.toml:2)\n\
         manage[0].port        7001 -> nothing\n\
         left alone    1234:7001-7000 (socat)\n"
    );
}

#[test]
fn the_pools_are_told_with_where_the_peers_are() {
    let fake = Fake::start(true);
    assert_eq!(
        text(&fake.roam("pools").stdout),
        "registrar     10.9.0.2:3863\n\
         element       robot-1 (port 7001, 0x00001234): registered at 10.2.0.2\n\
         peer          robot-2 (port 7000): at 10.3.0.2\n\
         peer          robot-3: nobody is registered\n\
         peer          robot-4: the registrar has not told yet\n"
    );
}

#[test]
fn a_check_of_the_status_tells_by_its_exit_status_that_something_is_wrong() {
    let fake = Fake::start(true);
    assert_eq!(code(&fake.roam("status")), 0);
    let checked = fake.roam("status --check");
    assert_eq!(code(&checked), 4);
    assert!(text(&checked.stdout).contains("problem "), "it is shown all the same");
}

#[test]
fn waiting_ends_when_all_holds_or_when_the_time_is_over() {
    let fake = Fake::start(true);
    assert_eq!(code(&fake.roam("wait --paths 1 --registered --timeout 10s")), 0);
    for (conditions, missing) in
        [("--paths 2", "1 of 2 addresses usable"), ("--settled", "1 associations stranded")]
    {
        let output = fake.roam(&format!("wait {conditions} --timeout 150ms"));
        assert_eq!(code(&output), 3, "{conditions}");
        assert!(text(&output.stderr).contains(missing), "{output:?}");
    }
    assert_eq!(code(&fake.roam("wait --timeout soon")), 2);
}

#[test]
fn a_daemon_that_is_not_there_yet_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let roam = |words: &[&str]| {
        let mut command = Process::new(env!("CARGO_BIN_EXE_roam"));
        command.arg("--runtime-dir").arg(directory.path()).args(words);
        command
    };
    #[expect(clippy::disallowed_methods, reason = "the test is about a time")]
    let begin = Instant::now();
    let output = roam(&["wait", "--timeout", "300ms"]).output().unwrap();
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert!(text(&output.stderr).contains("roamd is not running"), "{output:?}");
    let mut waiting = roam(&["wait", "--timeout", "60s"]).spawn().unwrap();
    let fake = Fake::start(true);
    std::fs::remove_dir(directory.path()).unwrap();
    std::os::unix::fs::symlink(fake.path(), directory.path()).unwrap();
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn programs_get_failures_as_documents_too() {
    let fake = Fake::start(true);
    for (words, kind) in
        [("adopt 404", "not-found"), ("reload", "would-drop"), ("wait --paths 9 --timeout 1ms", "timed-out")]
    {
        let output = fake.roam(&format!("--json {words}"));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&document["schema"], &document["error"]["code"]), (&Value::from(1), &Value::from(kind)));
        assert!(!document["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_doctor_works_without_the_daemon_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let roam = |words: &[&str]| {
        let mut command = Process::new(env!("CARGO_BIN_EXE_roam"));
        command.arg("--runtime-dir").arg(directory.path()).arg("doctor").args(words).output().unwrap()
    };
    let output = roam(&[]);
    assert_eq!(code(&output), 4, "{output:?}");
    let said = text(&output.stdout);
    assert!(said.starts_with("roamd does not answer: this is what can be seen without it\n"), "{said}");
    assert!(said.contains("FAIL  service    roamd is not running"), "{said}");
    assert!(said.contains("mend: systemctl start roamd"), "{said}");
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, "[agent]\npol = 1\n").unwrap();
    let output = roam(&["--json", "--config", file.to_str().unwrap()]);
    assert_eq!(code(&output), 4);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["schema"], &document["daemon"]), (&Value::from(1), &Value::from(false)));
    let checks = document["checks"].as_array().unwrap();
    let mistake = checks.iter().find(|check| check["name"] == "configuration").unwrap();
    assert_eq!(mistake["level"], "fail");
    assert!(mistake["text"].as_str().unwrap().contains("agent.toml:2:1: agent.pol"), "{mistake}");
}

#[test]
fn the_doctor_asks_the_daemon_if_it_runs() {
    let fake = Fake::start(true);
    let output = fake.roam("doctor");
    let said = text(&output.stdout);
    assert!(said.contains("OK    service    roamd 0.1.0 runs (process 7)"), "{said}");
    assert!(said.contains("rp_filter is strict on u1"), "its problems are told: {said}");
    assert!(said.contains("peer robot-3 is not registered"), "{said}");
}

#[test]
fn a_debug_report_holds_what_the_daemon_and_the_host_say_and_no_environment() {
    let fake = Fake::start(true);
    fake.decisions.note(roam_agent::decisions::Subject::Daemon, "began", "it was started");
    let file = fake.path().join("report.json");
    let report = || {
        let mut roam = Process::new(env!("CARGO_BIN_EXE_roam"));
        roam.arg("--runtime-dir").arg(fake.path()).args(["debug-report", "--output"]).arg(&file);
        roam.env("ROAM_TEST_PASSWORD", "verysecret").output().unwrap()
    };
    let output = report();
    assert_eq!(code(&output), 0, "{output:?}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(!written.contains("verysecret"));
    let document: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(document["daemon"]["status"]["pid"], 7);
    assert_eq!(document["daemon"]["decisions"][0]["text"], "began");
    assert!(!document["doctor"]["checks"].as_array().unwrap().is_empty());
    assert!(document["commands"]["ip rule"].as_str().unwrap().contains("from all lookup"), "{written}");
    assert!(document["files"]["/proc/version"].as_str().unwrap().contains("Linux"));
    let again = report();
    assert_eq!(code(&again), 1, "nothing is overwritten");
    assert!(text(&again.stderr).contains("report.json"), "{again:?}");
    let missing = Process::new(env!("CARGO_BIN_EXE_roam"))
        .args(["--runtime-dir", "/nowhere", "debug-report", "--output", "-"])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&missing.stdout).unwrap();
    assert!(document["daemon"]["error"].as_str().unwrap().contains("not running"), "also without the daemon");
}

#[test]
fn man_pages_and_completions_are_made_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let roam = |words: &[&str]| Process::new(env!("CARGO_BIN_EXE_roam")).args(words).output().unwrap();
    let pages = directory.path().join("man");
    assert_eq!(code(&roam(&["man", pages.to_str().unwrap()])), 0);
    let mut names: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["agent.toml.5", "roam.1", "roamd.8"]);
    assert!(text(&roam(&["completions", "bash"]).stdout).contains("complete -F _roam"));
    assert!(text(&roam(&["completions", "zsh", "roamd"]).stdout).starts_with("#compdef roamd"));
    assert_eq!(code(&roam(&["completions", "cobol"])), 2);
}

#[test]
fn metrics_are_openmetrics_with_a_type_and_a_sentence_for_each_family() {
    let fake = Fake::start(true);
    let output = fake.roam("metrics");
    assert_eq!(code(&output), 0, "{output:?}");
    let text = text(&output.stdout);
    for line in [
        "roam_associations{state=\"stranded\"} 1",
        "roam_addresses{usable=\"no\"} 3",
        "roam_element_registered{handle=\"robot-1\",id=\"0x00001234\"} 1",
        "roam_network_events_total 120",
        "# UNIT roam_uptime_seconds seconds",
        "roam_uptime_seconds 3661.000",
        "roam_handovers_total{kind=\"simultaneous\",outcome=\"moved\"} 2",
        "roam_handover_gap_seconds_bucket{le=\"1.000\"} 0",
        "roam_handover_gap_seconds_bucket{le=\"+Inf\"} 2",
        "roam_handover_gap_seconds_sum 2.481",
        "roam_handover_delay_seconds_count 2",
        "roam_asconf_total{outcome=\"refused\",cause=\"0x00a4\"} 1",
        "roam_registrations_total{outcome=\"confirmed\"} 5",
        "roam_path_probes_lost_total 3",
        "roam_network_overruns_total 0",
        "roam_decisions_total{about=\"association\"} 61",
        "roam_association_moves{pid=\"1234\",local_port=\"7001\",peer_port=\"7000\"}",
    ] {
        assert!(text.lines().any(|it| it.starts_with(line)), "{line}: {text}");
    }
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    // Every sample belongs to the family before it, which has told its kind and what it is.
    let (mut family, mut told) = (String::new(), 0);
    for line in text.lines().filter(|line| *line != "# EOF") {
        match line.strip_prefix("# ").map(|rest| rest.split(' ').collect::<Vec<_>>()) {
            Some(words) if words[0] == "TYPE" => (family, told) = (words[1].to_owned(), 1),
            Some(words) => {
                assert_eq!(words[1], family, "{line}");
                told += usize::from(words[0] == "HELP" && line.ends_with('.'));
            }
            None => assert!(told == 2 && line.starts_with(&family), "{line}"),
        }
    }
}
