//! The packages are installed, used and removed, as root on a host that is thrown away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{clock, guest, unit};

/// Where packages leave things that are not their files.
const PLACES: [&str; 3] = ["/etc", "/run", "/var/lib"];

/// What the package manager and the system keep for themselves: its own books, caches, and the copies that are made of
/// the books of users before they are changed.
const BOOKS: [&str; 14] = [
    "/var/lib/dpkg",
    "/var/lib/systemd",
    "/run/systemd",
    "/run/log",
    "/run/credentials",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/subuid-",
    "/etc/subgid-",
    "/etc/.pwd.lock",
    "/run/adduser",
    "/etc/ld.so.cache",
];

/// What comes with them.
const INSTALLED: [&str; 18] = [
    "/usr/sbin/roamd",
    "/usr/bin/roam",
    "/etc/roam/agent.toml",
    "/etc/systemd/system/roamd.service.d/adoption.conf",
    "/usr/lib/systemd/system/roamd.service",
    "/usr/lib/modules-load.d/roam.conf",
    "/usr/lib/sysctl.d/60-roam.conf",
    "/usr/share/man/man8/roamd.8",
    "/usr/share/man/man1/roam.1",
    "/usr/share/man/man5/agent.toml.5",
    "/usr/share/bash-completion/completions/roam",
    "/usr/sbin/roam-registrar",
    "/usr/lib/systemd/system/roam-registrar.service",
    "/usr/share/man/man8/roam-registrar.8",
    "/usr/share/man/man5/registrar.toml.5",
    "/usr/share/bash-completion/completions/roam-registrar",
    "/usr/bin/roam-testbed",
    "/usr/share/man/man1/roam-testbed.1",
];

const PACKAGES: [&str; 3] = ["roam-tools", "roam-agent", "roam-registrar"];

/// How long a daemon may take to answer.
const START: Duration = Duration::from_secs(60);

/// Installs the packages of a directory, uses and removes them.
///
/// # Errors
/// What was not as it should be.
pub fn run(directory: &Path) -> Result<ExitCode> {
    guest::demand_throw_away()?;
    leave_the_index_of_manuals_alone()?;
    let before = everything()?;
    let mut packages: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    dpkg("--install", packages.iter().map(|path| path.as_os_str()))?;
    for file in INSTALLED {
        ensure!(Path::new(file).is_file(), "{file} is not installed");
    }
    let listed =
        Command::new("dpkg-query").arg("--listfiles").args(PACKAGES).output().context("dpkg-query")?;
    says("/usr/sbin/roamd", &["--check-config"], "valid")?;
    says("/usr/sbin/roam-registrar", &["--check-config"], "")?;
    serves()?;
    dpkg("--purge", PACKAGES.map(AsRef::as_ref).into_iter())?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let left: Vec<_> = listed.lines().filter(|path| Path::new(path).is_file()).collect();
    ensure!(
        listed.lines().count() > INSTALLED.len() && left.is_empty(),
        "left after their removal: {left:?}"
    );
    let changed = changes(&before, &everything()?);
    ensure!(changed.is_empty(), "after their removal there are other files than before: {changed:?}");
    Ok(ExitCode::SUCCESS)
}

/// The daemon with the user and the rights of its unit.
fn serves() -> Result<()> {
    let runtime = Path::new("/run/roam");
    let before = ruleset()?;
    let (user, group) = user("roam")?;
    // As RuntimeDirectory= does.
    fs::create_dir_all(runtime)?;
    std::os::unix::fs::chown(runtime, Some(user), Some(group))?;
    let mut command =
        unit::as_the_agent(&[unit::AGENT, unit::ADOPTION], user, group, Path::new("/usr/sbin/roamd"));
    let mut daemon = Daemon(command.stdin(Stdio::null()).process_group(0).spawn()?);
    clock::until("the daemon's answer", START, || {
        if let Ok(Some(status)) = daemon.0.try_wait() {
            return Some(Err(anyhow::anyhow!("roamd has ended: {status}")));
        }
        says("/usr/bin/roam", &["status"], "roamd").is_ok().then_some(Ok(()))
    })??;
    says("/usr/bin/roam", &["doctor"], "OK")?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(daemon.0.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )?;
    let status = daemon.0.wait()?;
    ensure!(status.success(), "roamd ended with {status}");
    let left = ruleset()?;
    ensure!(left == before, "nftables' rules are not as before: {left}");
    fs::remove_dir_all(runtime).context("the runtime directory")
}

/// nftables' rules. The guest has some of its own.
fn ruleset() -> Result<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().context("nft")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its number and its group's.
fn user(name: &str) -> Result<(u32, u32)> {
    let book = fs::read_to_string("/etc/passwd")?;
    let line = book.lines().find(|line| line.split(':').next() == Some(name));
    let mut fields = line.with_context(|| format!("there is no user {name}"))?.split(':').skip(2);
    let mut next = || fields.next().and_then(|field| field.parse().ok());
    next().zip(next()).with_context(|| format!("the user {name} has no numbers"))
}

/// A program's words have this among them, and it has done what it was asked for, if it says nothing.
fn says(program: &str, arguments: &[&str], wanted: &str) -> Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let done = output.status.success() || !wanted.is_empty();
    ensure!(done && words.contains(wanted), "{program} {}: {}: {words}", arguments.join(" "), output.status);
    Ok(())
}

/// The index of all manual pages takes minutes on an emulated processor, and is none of ours (man-db asks for this file).
pub(super) fn leave_the_index_of_manuals_alone() -> Result<()> {
    let wish = Path::new("/var/lib/man-db/auto-update");
    if wish.exists() {
        fs::remove_file(wish)?;
    }
    Ok(())
}

/// Has dpkg do it.
pub(super) fn dpkg<'a>(action: &str, arguments: impl Iterator<Item = &'a std::ffi::OsStr>) -> Result<()> {
    let mut command = Command::new("dpkg");
    // A host may leave documentation out, as images of containers do.
    command
        .args(["--path-include=/usr/share/*", action])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    println!("dpkg {action}");
    let output = command.stdin(Stdio::null()).output().context("dpkg")?;
    if !output.status.success() {
        bail!("dpkg {action}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Files, each with what is known of it.
type Files = BTreeMap<PathBuf, String>;

/// The files that are not as they were before, that are new, and that are gone.
pub(super) fn changes(before: &Files, after: &Files) -> Vec<String> {
    before
        .iter()
        .filter(|(path, was)| after.get(*path) != Some(was))
        .chain(after.iter().filter(|(path, _)| !before.contains_key(*path)))
        .map(|(path, _)| path.display().to_string())
        .collect()
}

/// Every file there, by its kind, rights, owner and size; of the books of users also what they say.
pub(super) fn everything() -> Result<Files> {
    let mut found = BTreeMap::new();
    let mut todo: Vec<PathBuf> = PLACES.iter().map(PathBuf::from).collect();
    while let Some(path) = todo.pop() {
        if BOOKS.iter().any(|book| path == Path::new(book)) {
            continue;
        }
        // It may have gone meanwhile, or not be there at all.
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        let mut words = format!("{:o} {}:{}", about.mode(), about.uid(), about.gid());
        if about.is_dir() {
            let entries = fs::read_dir(&path).with_context(|| path.display().to_string())?;
            todo.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
        } else {
            words += &format!(" {}", about.len());
            if ["/etc/passwd", "/etc/group", "/etc/shadow"].iter().any(|book| path == Path::new(book)) {
                words += &fs::read_to_string(&path)?;
            }
        }
        found.insert(path, words);
    }
    Ok(found)
}
