//! What systemd is asked and told, by its own programs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::clock;

/// Longer than anything here takes on a slow emulated machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program; whether it has done what it was asked for, and its words.
pub(super) fn asked(program: &str, arguments: &[&str]) -> Result<(bool, String)> {
    let output = Command::new(program)
        .args(arguments)
        .env("NO_COLOR", "1")
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .output()
        .context(program.to_owned())?;
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), words.into_owned()))
}

/// Runs a program that has to do what it is asked for; its words.
pub(super) fn done(program: &str, arguments: &[&str]) -> Result<String> {
    let (done, words) = asked(program, arguments)?;
    ensure!(done, "{program} {}: {words}", arguments.join(" "));
    Ok(words)
}

/// Has systemctl do it.
pub(super) fn systemctl(arguments: &[&str]) -> Result<String> {
    done("systemctl", arguments)
}

/// A unit.
#[derive(Debug, Clone)]
pub(super) struct Unit(pub(super) String);

impl Unit {
    /// One of its properties.
    pub(super) fn property(&self, name: &str) -> Result<String> {
        Ok(systemctl(&["show", "--property", name, "--value", &self.0])?.trim().to_owned())
    }

    /// Its main process.
    pub(super) fn process(&self) -> Result<i32> {
        self.property("MainPID")?.parse().context("the main process")
    }

    pub(super) fn kill(&self, signal: &str) -> Result<()> {
        systemctl(&["kill", "--signal", signal, &self.0]).map(|_| ())
    }

    /// Sends a signal to its processes, and waits until systemd has started it again because of that and it is ready.
    pub(super) fn restarts_after(&self, signal: &str) -> Result<()> {
        let restarts = |told: &str| -> Option<u32> {
            told.lines().find_map(|line| line.strip_prefix("NRestarts="))?.trim().parse().ok()
        };
        let ask = || systemctl(&["show", "--property", "ActiveState,SubState,NRestarts,Result", &self.0]);
        let mut told = ask()?;
        let before = restarts(&told).with_context(|| told.clone())?;
        self.kill(signal)?;
        let waited = clock::until(&format!("the restart of {} after {signal}", self.0), PATIENCE, || {
            let _ = clock::pass(Duration::from_millis(50));
            told = ask().ok()?;
            (told.lines().any(|line| line == "ActiveState=active") && restarts(&told)? > before).then_some(())
        });
        waited.with_context(|| told)
    }

    /// Adds settings to it, which hold from its next start on.
    pub(super) fn with(&self, name: &str, settings: &str) -> Result<()> {
        let directory = Path::new("/run/systemd/system").join(format!("{}.d", self.0));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{name}.conf")), format!("[Service]\n{settings}\n"))?;
        systemctl(&["daemon-reload"]).map(|_| ())
    }

    /// Its main process is of another user than root and has these capabilities (as setpriv names them) and no others,
    /// cannot get more, and may make some system calls only.
    pub(super) fn is_confined(&self, capabilities: &[String]) -> Result<()> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process()?))?;
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let users = field("Uid");
        ensure!(!users.split_whitespace().any(|user| user == "0"), "{} runs as root: {users}", self.0);
        let wanted = capabilities.iter().try_fold(0u64, |set, name| Some(set | 1 << number(name)?));
        let wanted =
            format!("{:016x}", wanted.with_context(|| format!("an unknown one of {capabilities:?}"))?);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            ensure!(field(set) == wanted, "{} has {set} {} in place of {wanted}", self.0, field(set));
        }
        for (name, wanted) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
            ensure!(field(name) == wanted, "{} has {name} {}", self.0, field(name));
        }
        Ok(())
    }
}

/// The number of a capability (linux/capability.h), of those that the units name.
fn number(name: &str) -> Option<u32> {
    Some(match name {
        "dac_read_search" => 2,
        "net_bind_service" => 10,
        "net_admin" => 12,
        "net_raw" => 13,
        "sys_ptrace" => 19,
        "sys_nice" => 23,
        _ => return None,
    })
}
