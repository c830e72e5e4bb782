//! What a person sees at the command line, without a kernel that has SCTP.

use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roam-registrar"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn with_config(text: &str, arguments: &[&str]) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("registrar.toml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    let output = run(&[&["--config", file.as_str()], arguments].concat());
    (output, file)
}

#[test]
fn a_mistake_in_the_configuration_ends_it_with_file_line_and_what_is_allowed() {
    for check in [&["--check-config"][..], &[]] {
        let (output, file) = with_config("[asap]\n\nkeep_alive_timeout = \"1h\"\n", check);
        assert_eq!(output.status.code(), Some(2));
        let told = stderr(&output);
        assert!(told.contains(&format!("{file}:3:22: `1h` is out of range")), "{told}");
        assert!(told.contains("100ms to 10m"), "{told}");
        assert!(output.stdout.is_empty(), "nothing was started");
    }
}

#[test]
fn an_unknown_key_and_a_wrong_type_are_told_with_their_line() {
    let (output, file) = with_config("[limits]\nelement = 5\n", &["--check-config"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("{file}:2:1: unknown field `element`, expected one of")));
    let (output, file) = with_config("[limits]\nelements = \"5\"\n", &["--check-config"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("{file}:2:12: invalid type: string")), "{}", stderr(&output));
}

#[test]
fn a_good_configuration_is_checked_and_nothing_is_started() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("registrar.toml");
    let output = run(&["--config", shipped.to_str().unwrap(), "--check-config"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let output = run(&["--config", "/nowhere/registrar.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nowhere/registrar.toml: cannot be read"));
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["--listen", "10.0.0.1"][..],
        &["--listen", "10.0.0.1:0"],
        &["--lisen"],
        &["dumb"],
        &["drain", "--timeout", "0s"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn what_asks_a_daemon_ends_with_8_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["dump", "peers", "monitor", "drain"] {
        let output = run(&[command, "--runtime-dir", dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(8), "{command}");
        assert!(stderr(&output).contains("no registrar runs"), "{}", stderr(&output));
    }
}

#[test]
fn a_kernel_without_sctp_is_told_with_the_command_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    if sctp_sys::Socket::new(sctp_sys::Style::OneToMany, sctp_sys::Family::V4).is_ok() {
        // Where there is SCTP, an address that is not ours is what cannot be had.
        let dir = dir.path().to_str().unwrap();
        let output = run(&["--listen", "192.0.2.1:3863", "--runtime-dir", dir]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("cannot listen on 192.0.2.1:3863"), "{}", stderr(&output));
        return;
    }
    let output = run(&["--runtime-dir", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("modprobe sctp"), "{}", stderr(&output));
}
