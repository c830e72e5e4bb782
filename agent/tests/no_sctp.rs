//! A host without SCTP is told from others, and what to do is said.

use std::process::Command;

use sctp_sys::probe::Probe;

#[test]
fn a_host_without_sctp_is_told_what_is_missing_and_with_an_exit_status_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("agent.toml");
    let sctp = Probe::look().sctp;
    // Where there is SCTP it must come further, to a runtime directory that cannot be made.
    let runtime = directory.path().join(if sctp { "agent.toml/run" } else { "run" });
    std::fs::write(&file, format!("[agent]\nruntime_dir = {:?}\n", runtime.display().to_string())).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_roamd")).arg("--config").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if sctp {
        assert!(output.status.code() == Some(1) && !said.contains("no SCTP"), "{said}");
    } else {
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("the kernel has no SCTP") && said.contains("modprobe sctp"), "{said}");
        assert!(!runtime.exists(), "nothing has been made");
    }
}
