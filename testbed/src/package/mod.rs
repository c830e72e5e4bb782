//! `roam-testbed package`: Debian packages, with the man pages and completions that the programs write themselves; and the
//! proof that they can be installed, used and removed.
//!
//! | file | what it holds |
//! |---|---|
//! | `documents` | man pages and completions |
//! | `trial` | what is done with them in the guest |
//! | `systemd` | what is done with them there under systemd |

pub mod documents;
pub mod systemd;
pub mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::checkout::Checkout;
use crate::guest;

/// The cargo packages that become Debian packages.
const PACKAGES: [&str; 3] = ["roam-agent", "roam-registrar", "roam-testbed"];

/// What puts the packages together, in a version whose output is known.
const CARGO_DEB: (&str, &str) = ("cargo-deb", "3.8.0");

/// What the packages depend on: there has to be something to install them beside.
pub(crate) const NEEDED: [(&str, &str); 8] = [
    ("dpkg", "dpkg"),
    ("adduser", "adduser"),
    ("nft", "nftables"),
    ("modprobe", "kmod"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
    systemd::NEEDED[0],
    systemd::NEEDED[1],
];

/// The arguments of `package`.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Where the packages are put
    #[arg(long, value_name = "DIRECTORY", default_value = "target/debian")]
    out: PathBuf,
    /// Also install, try and remove them, in the guest
    #[arg(long)]
    try_out: bool,
}

/// Builds everything for release and puts the packages into a directory.
///
/// # Errors
/// Not started by cargo, or something cannot be built.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(checkout) = Checkout::here()? else {
        bail!("`package` builds the programs: start it from a checkout, as `cargo testbed package`");
    };
    let checkout = checkout.with_profile("release");
    checkout.programs()?;
    let out = std::path::absolute(&arguments.out)?;
    for package in build(&checkout, &out)? {
        println!("{}", package.display());
    }
    if arguments.try_out {
        guest::require(&NEEDED)?;
        for trial in Trial::ALL {
            ensure!(trial.in_guest(&out)? == 0, "they could not be {}", trial.words());
            println!("in the guest {}", trial.words());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the packages of programs that are built; where they are.
///
/// # Errors
/// cargo-deb cannot be had or fails, or a program does not write its man pages.
pub fn build(checkout: &Checkout, out: &Path) -> Result<Vec<PathBuf>> {
    let tool = cargo_deb(checkout)?;
    documents(&checkout.programs_directory())?;
    // What is there from before is not to be taken for these.
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("{}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("{}", out.display()))?;
    for package in PACKAGES {
        let mut command = Command::new(&tool);
        command.args(["deb", "--no-build", "--quiet", "--package", package, "--profile", checkout.profile()]);
        // Where the profile keeps what debuggers need, that is ten times the rest.
        command.arg("--strip");
        command.arg("--output").arg(format!("{}/", out.display()));
        run_quietly(checkout.around(&mut command), &format!("cargo deb of {package}"))?;
    }
    let mut made: Vec<PathBuf> =
        fs::read_dir(out)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    made.sort();
    ensure!(made.len() == PACKAGES.len(), "{} packages in place of {}", made.len(), PACKAGES.len());
    Ok(made)
}

/// A proof that the packages are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Where no systemd runs, as in a container.
    Alone,
    /// Where systemd runs the services.
    Systemd,
}

impl Trial {
    /// Each.
    pub const ALL: [Self; 2] = [Self::Alone, Self::Systemd];

    /// What is done in it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Alone => "installed, used and removed",
            Self::Systemd => "installed, run and removed by systemd",
        }
    }

    /// Has it done in the guest with the packages of a directory; the exit status of that.
    ///
    /// # Errors
    /// The guest cannot be had.
    pub fn in_guest(self, packages: &Path) -> Result<i32> {
        // What the guest writes beside them is not theirs.
        let share = tempfile::tempdir()?;
        for package in fs::read_dir(packages).with_context(|| format!("{}", packages.display()))? {
            let package = package?;
            fs::copy(package.path(), share.path().join(package.file_name()))?;
        }
        let options = guest::Options {
            share: Some(share.path().to_owned()),
            beside_others: true,
            cpus: 1,
            limit: std::time::Duration::from_secs(600),
            ..guest::Options::default()
        };
        let command = match self {
            Self::Alone => "try-packages",
            Self::Systemd => "try-units",
        };
        guest::run_self(&options, &[command, "/share"].map(Into::into))
    }
}

/// The man pages and completions, beside the programs.
fn documents(programs: &Path) -> Result<()> {
    let (roam, testbed) = (programs.join("roam"), programs.join("roam-testbed"));
    let place = programs.join("packaging");
    let man = place.join("man");
    // What is there from before is not to be taken for these.
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("{}", place.display()))?;
    }
    fs::create_dir_all(&man)?;
    run_quietly(Command::new(testbed).arg("documents").arg(&place), "roam-testbed documents")?;
    run_quietly(Command::new(&roam).arg("man").arg(&man), "roam man")?;
    for (_, shell, prefix, suffix) in documents::SHELLS {
        for program in ["roam", "roamd"] {
            let text = run_quietly(
                Command::new(&roam).args(["completions", shell, program]),
                &format!("roam completions {shell}"),
            )?;
            fs::write(place.join(shell).join(format!("{prefix}{program}{suffix}")), text)?;
        }
    }
    Ok(())
}

/// Where cargo-deb is; installed beside what is built if it is nowhere.
fn cargo_deb(checkout: &Checkout) -> Result<PathBuf> {
    let (name, version) = CARGO_DEB;
    let own = checkout.target().join("tools");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let places = [own.join("bin")].into_iter().chain(std::env::split_paths(&paths));
    if let Some(found) = places.map(|place| place.join(name)).find(|path| path.is_file()) {
        return Ok(found);
    }
    eprintln!("testbed: building {name} {version} (cargo install, into {})", own.display());
    let status = checkout
        .cargo(&["install", "--quiet", "--locked", name, "--version", version, "--root"])
        .arg(&own)
        .status()
        .context("cargo")?;
    ensure!(status.success(), "{name} could not be built");
    Ok(own.join("bin").join(name))
}

/// What a program writes; its complaints are in the error.
fn run_quietly(command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| what.to_owned())?;
    ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}
