//! `roam adopt`, with the daemon itself: what it says of processes that it cannot look after.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sched::{CloneFlags, unshare};

/// Runs without the right to trace others.
const UNTRACED: [&str; 3] = ["setpriv", "--inh-caps=-sys_ptrace", "--bounding-set=-sys_ptrace"];

/// A program that ends with the test.
pub(super) struct Program(Child);

impl Program {
    pub(super) fn start(words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        Self(command.args(&words[1..]).stdin(Stdio::null()).spawn().unwrap())
    }

    pub(super) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn roam(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roam")).arg("--runtime-dir").arg(directory).args(words).output().unwrap()
}

/// Asks every 10 ms, for 30 s at most, until the answer is as it should be.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "the pause between two looks at the condition")]
    let pause = || std::thread::sleep(std::time::Duration::from_millis(10));
    let held = (0..3_000).any(|_| holds() || (pause(), false).1);
    assert!(held, "waited in vain: {what}");
}

/// The nice value of a process that has no spaces in its name (proc(5)).
fn nice(pid: &str) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.split_whitespace().nth(18).unwrap().parse().unwrap()
}

pub(super) fn listens(port: u16) -> bool {
    let endpoints = std::fs::read_to_string("/proc/thread-self/net/sctp/eps").unwrap();
    endpoints.split_whitespace().any(|word| word == port.to_string())
}

#[test]
fn adopting_what_is_not_there_or_not_ours_says_so_and_the_daemon_goes_on_with_the_others() {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root: it makes a network namespace");
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let directory = tempfile::tempdir().unwrap();
    let mut config = tempfile::NamedTempFile::new().unwrap();
    writeln!(config, "[agent]\nruntime_dir = {:?}", directory.path().display().to_string()).unwrap();
    let config = config.path().display().to_string();
    let as_daemon = |words: &[&str]| Program::start(&[&UNTRACED, words].concat());
    let daemon = as_daemon(&[env!("CARGO_BIN_EXE_roamd"), "--config", &config]);
    let ask = |words: &[&str]| roam(directory.path(), words);
    until("the daemon answers", || ask(&["status"]).status.success());
    assert_eq!(nice(&daemon.pid()), -15, "it comes first on a busy host");

    let refused = ask(&["adopt", "2147483646"]);
    assert_eq!(refused.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("2147483646"), "{refused:?}");

    let socat = |listen| ["socat", listen, "EXEC:cat"];
    let others = [
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"],
        &socat("SCTP-LISTEN:7001,fork")[..],
    ]
    .concat();
    let theirs = Program::start(&others);
    let ours = as_daemon(&socat("SCTP-LISTEN:7002,fork"));
    until("both programs listen", || listens(7001) && listens(7002));

    let refused = ask(&["adopt", &theirs.pid()]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("CAP_SYS_PTRACE") && text.contains("65534"), "{text}");

    let adopted = ask(&["--json", "adopt", &ours.pid()]);
    assert!(adopted.status.success(), "{adopted:?}");
    let report: serde_json::Value = serde_json::from_slice(&adopted.stdout).unwrap();
    assert!(report.to_string().contains("\"sockets\":1"), "{report}");
}
