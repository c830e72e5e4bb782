//! The echo server on usrsctp (`foreign/usrsctp_echo.c`), a peer whose stack is not the kernel's: building it,
//! and what two kernels have to leave to it.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::guest;
use crate::process::Program;
use crate::topology::{A1, A2, Host, Network};

const SOURCE: &str = include_str!("../../foreign/usrsctp_echo.c");
/// What building and running it takes: a program or file, and Debian's package.
const NEEDED: [(&str, &str); 4] = [
    ("cc", "gcc"),
    ("/usr/include/usrsctp.h", "libusrsctp-dev"),
    ("ethtool", "ethtool"),
    ("nft", "nftables"),
];

/// Builds it beside this very program, so that the guest finds it too; first where packages can be installed.
///
/// # Errors
/// Something that it takes cannot be had, or it does not compile.
pub(super) fn build() -> Result<()> {
    let program = program()?;
    let source = program.with_extension("c");
    if program.exists() && fs::read_to_string(&source).is_ok_and(|built| built == SOURCE) {
        return Ok(());
    }
    guest::require(&NEEDED)?;
    let fresh = program.with_extension(std::process::id().to_string());
    let mut compiler = Command::new("cc")
        .args(["-O1", "-Wall", "-x", "c", "-", "-o"])
        .arg(&fresh)
        .args(["-lusrsctp", "-lpthread"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cc")?;
    if let Some(mut input) = compiler.stdin.take() {
        input.write_all(SOURCE.as_bytes())?;
    }
    let output = compiler.wait_with_output()?;
    if !output.status.success() {
        bail!("foreign/usrsctp_echo.c: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&fresh, &program).with_context(|| program.display().to_string())?;
    fs::write(&source, SOURCE).with_context(|| source.display().to_string())
}

fn program() -> Result<PathBuf> {
    Ok(std::env::current_exe().context("this program's own path")?.with_file_name("usrsctp_echo"))
}

/// The command that starts it.
pub(super) fn command(local: &[IpAddr], port: u16) -> Result<Command> {
    build()?;
    let local = local.first().context("an address for the server")?;
    let mut command = Command::new(program()?);
    command.args([local.to_string(), port.to_string()]);
    Ok(command)
}

/// Whether it has said that it listens.
pub(super) fn listens(server: &Program) -> bool {
    server.output().lines().any(|line| line == "listening")
}

/// Readies the network: the client's kernel computes its checksums itself, which over veth it would leave to hardware
/// that is not there, and the server's kernel, which knows nothing of the association, is kept from aborting it.
///
/// # Errors
/// A program is missing or refuses.
pub(super) fn ready(network: &Network) -> Result<()> {
    for place in [A1, A2] {
        let interface = place.interface();
        let mut command = Command::new("ethtool");
        command.args(["-K", &interface, "tx-checksum-sctp", "off"]).stdin(Stdio::null());
        let output = network.host(Host::A).enter(|| command.output()).context("ethtool")?;
        if !output.status.success() {
            bail!("ethtool -K {interface}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    let rules = "add table inet foreign; \
                 add chain inet foreign out { type filter hook output priority 0; }; \
                 add rule inet foreign out sctp chunk abort exists drop";
    let output = network.host(Host::B).enter(|| Command::new("nft").arg(rules).output()).context("nft")?;
    if !output.status.success() {
        bail!("nft: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
