//! Programs that the testbed needs and Debian has.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Makes sure that these programs are there: `(program, package)`. What is missing is installed by apt, after saying
/// so.
///
/// # Errors
/// apt is missing or fails.
pub fn require(wanted: &[(&str, &str)]) -> Result<()> {
    let mut missing: Vec<&str> =
        wanted.iter().filter(|(program, _)| !installed(program)).map(|&(_, package)| package).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("testbed: installing {} (apt-get install)", missing.join(", "));
    if install(&missing).is_err() {
        apt(&["update", "-qq"])?;
        install(&missing)?;
    }
    Ok(())
}

/// Whether a program (or, with a slash, a file) is there.
fn installed(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    find(program).is_some()
}

/// Where to look for programs: PATH, and where the administrator's are, which not everybody's PATH names.
fn directories() -> impl Iterator<Item = PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    paths.into_iter().chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
}

/// The value of PATH for everything that is started.
pub(super) fn search_path() -> OsString {
    std::env::join_paths(directories()).unwrap_or_default()
}

/// Where a program is.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    directories().map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// A program to be started, without standard input.
pub(super) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", search_path()).stdin(Stdio::null());
    command
}

fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "-yqq", "--no-install-recommends"];
    arguments.extend_from_slice(packages);
    apt(&arguments)
}

/// Runs apt-get quietly.
///
/// # Errors
/// It is missing, or failed; its words are in the error.
pub(super) fn apt(arguments: &[&str]) -> Result<()> {
    let output = program("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "apt-get {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it gave no reason")
        ),
        Err(error) => bail!("apt-get cannot be run ({error}); install by hand what the README names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed() {
        assert!(installed("sh") && installed("/bin/sh"));
        assert!(!installed("no-such-program-here") && !installed("/no/such/file"));
        require(&[("sh", "no-such-package")]).unwrap();
    }

    #[test]
    fn the_administrators_programs_are_looked_for_whatever_the_path() {
        assert!(directories().any(|directory| directory == Path::new("/usr/sbin")));
        assert!(search_path().to_string_lossy().contains("/usr/sbin"));
    }
}
