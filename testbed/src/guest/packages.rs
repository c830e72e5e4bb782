//! Programs that the testbed needs and Debian has.

use std::path::Path;
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
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
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
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output();
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
