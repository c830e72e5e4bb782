//! `roamd --check-config`: exit status and message, with nothing started.

use std::process::{Command, Output};

fn check(text: &str) -> (Output, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    let roamd = Command::new(env!("CARGO_BIN_EXE_roamd"))
        .args(["--check-config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    (roamd, directory)
}

#[test]
fn a_valid_file_passes() {
    let (output, _) = check("[agent]\noffline = \"1m\"\n[[manage]]\nport = 7000\n");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_readmes_example_is_valid() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    assert!(example.contains("[[element]]"));
    let (output, _) = check(example);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_is_allowed() {
    for (text, place, allowed) in [
        ("[agent]\n\nofline = \"1m\"\n", "agent.toml:3:1: agent.ofline", "`offline`"),
        ("[agent]\nmanage_routes = 1\n", "agent.toml:2:17: agent.manage_routes", "a boolean"),
        ("[agent]\npoll = \"1h\"\n", "agent.toml:2:8: agent.poll", "10ms to 60s"),
        ("[[manage]\nport = 1\n", "agent.toml:1:", "]"),
    ] {
        let (output, directory) = check(text);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        let expected = directory.path().join(place).display().to_string();
        assert!(message.contains(&expected) && message.contains(allowed), "{message}");
    }
}

#[test]
fn a_bad_configuration_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    let run = directory.path().join("run");
    std::fs::write(&file, format!("[agent]\nruntime_dir = \"{}\"\nx = 1\n", run.display())).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_roamd")).arg("--config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!run.exists());
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_roamd"))
        .args(["--check-config", "--config", "/nowhere/agent.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/agent.toml: cannot be read"));
}

#[test]
fn what_holds_is_printed_with_its_origin_and_can_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, "[agent]\noffline = \"1m\"\n").unwrap();
    std::fs::create_dir(directory.path().join("agent.d")).unwrap();
    let drop_in = directory.path().join("agent.d/port.toml");
    std::fs::write(&drop_in, "[[manage]]\nport = 7000\n").unwrap();
    let effective = |file: &std::path::Path| {
        let mut roamd = Command::new(env!("CARGO_BIN_EXE_roamd"));
        roamd.args(["--check-config", "--effective", "--runtime-dir", "/run/elsewhere", "--config"]);
        let output = roamd.arg(file).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = effective(&file);
    let said = |key: &str, origin: &str| {
        let line = printed.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{printed}"));
        assert!(line.ends_with(&format!("# {origin}")), "{line}");
    };
    said("offline = \"1m\"", &format!("{}:2", file.display()));
    said("port = 7000", &format!("{}:2", drop_in.display()));
    said("poll = \"250ms\"", "default");
    said("runtime_dir = \"/run/elsewhere\"", "--runtime-dir");
    let again = directory.path().join("again.toml");
    std::fs::write(&again, &printed).unwrap();
    let values = |text: &str| {
        text.lines().filter_map(|line| Some(line.split_once("  # ")?.0.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(values(&effective(&again)), values(&printed));
}

#[test]
fn a_mistake_in_a_drop_in_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir(directory.path().join("agent.d")).unwrap();
    let drop_in = directory.path().join("agent.d/a.toml");
    std::fs::write(&drop_in, "[agent]\nofline = \"1m\"\n").unwrap();
    let roamd =
        Command::new(env!("CARGO_BIN_EXE_roamd")).args(["--check-config", "--config"]).arg(&file).output();
    let output = roamd.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&format!("{}:2:1: agent.ofline", drop_in.display())), "{message}");
}
