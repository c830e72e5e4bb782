//! systemd as the first process of namespaces of its own, as in a container.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock;

/// systemd itself.
pub(super) const SYSTEMD: &str = "/lib/systemd/systemd";

/// What it boots to. The rest of a host comes when a service wants it.
const TARGET: &str = "trial.target";

const TARGET_FILE: &str =
    "[Unit]\nDefaultDependencies=no\nWants=systemd-journald.socket systemd-journald.service\n";

/// Nothing of the kernel, and nothing on the disk.
const JOURNAL: &str = "[Journal]\nReadKMsg=no\nStorage=volatile\n";

/// Where targets name what they want.
const UNITS: [&str; 2] = ["/lib/systemd/system", "/etc/systemd/system"];

/// What services wait for, of which a trial needs little...
const TARGETS: [&str; 6] = ["sysinit", "basic", "local-fs", "sockets", "timers", "multi-user"];

/// ...namely the journal, and what the packages bring files for.
const WANTED: [&str; 6] = [
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-journald-dev-log.socket",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
    "systemd-journald-audit.socket",
];

/// What the first process of the namespaces does before it becomes systemd; its argument: a directory whose files
/// become those of /run.
const INIT: &str = "set -e
umount -l /sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
cp -a \"$1\"/. /run
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=roam \"$2\" --unit=\"$3\" --log-target=journal-or-kmsg";

/// How long that may take.
const START: Duration = Duration::from_secs(120);

/// A running systemd, until dropped.
#[derive(Debug)]
pub(super) struct Systemd {
    /// What has made the namespaces.
    maker: Child,
    /// The first process there, by its number here.
    first: u32,
}

impl Systemd {
    /// Starts it, in a network of its own.
    ///
    /// # Errors
    /// Not root, or it does not come up.
    pub(super) fn start() -> Result<Self> {
        let files = tempfile::tempdir()?;
        prepare(files.path()).context("systemd's files in /run")?;
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--mount", "--cgroup", "--fork", "--mount-proc", "--kill-child"]);
        command.args(["sh", "-c", INIT, "init"]).arg(files.path()).args([SYSTEMD, TARGET]);
        let maker = command.stdin(Stdio::null()).spawn().context("unshare")?;
        let mut systemd = Self { maker, first: 0 };
        let id = systemd.maker.id();
        systemd.first = clock::until("systemd's first process", START, || {
            if let Ok(Some(status)) = systemd.maker.try_wait() {
                return Some(Err(anyhow::anyhow!("systemd cannot be started: {status}")));
            }
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            let child = children.split_whitespace().next()?.parse().ok()?;
            let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            (name.trim() == "systemd").then_some(Ok(child))
        })??;
        clock::until("systemd to have booted", START, || {
            let _ = clock::pass(Duration::from_millis(100));
            let mut asked = systemd.enter(Path::new("systemctl"));
            let output = asked.args(["is-active", TARGET]).stderr(Stdio::null()).output().ok()?;
            output.status.success().then_some(())
        })?;
        Ok(systemd)
    }

    /// A command beside it.
    pub(super) fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.first)).args(["--net", "--pid", "--mount", "--cgroup"]);
        command.arg("--").arg(program);
        command
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // Its first process, and so all others, end with it.
        let _ = self.maker.kill();
        let _ = self.maker.wait();
    }
}

/// What stands in /run when systemd begins.
fn prepare(run: &Path) -> Result<()> {
    let units = run.join("systemd/system");
    let journal = run.join("systemd/journald.conf.d");
    for directory in [&units, &journal] {
        fs::create_dir_all(directory)?;
    }
    fs::write(journal.join("trial.conf"), JOURNAL)?;
    fs::write(units.join(TARGET), TARGET_FILE)?;
    for directory in UNITS.iter().flat_map(|place| TARGETS.map(|name| format!("{place}/{name}.target.wants")))
    {
        let Ok(wanted) = fs::read_dir(directory) else { continue };
        for unit in wanted {
            let name = unit?.file_name();
            let mask = units.join(&name);
            if !WANTED.iter().any(|wanted| *wanted == name) && mask.symlink_metadata().is_err() {
                symlink("/dev/null", mask)?;
            }
        }
    }
    Ok(())
}
