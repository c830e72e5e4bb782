//! `roamd` that is told of no registrar finds those that announce themselves by multicast (RFC 5352 §3.6).

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use roam_agent::control::StatusReport;
use roam_agent::control::protocol::{Reply, Request};
use sctp_sys::diag;

use super::member::{Kind, asap, members};
use super::stage::{Stage, address};
use super::user;
use crate::clock::Waited;
use crate::link::batch;
use crate::process::Program;
use crate::scenario::beside;
use Kind::{Ours, Rsplib};

/// The pool of the mobile host's program, and its port.
const HANDLE: &str = "robot";
const PORT: u16 = 7000;
/// The mobile host, by the address that it has at first, and by the one that it has later.
const FIRST: u8 = 40;
const LATER: u8 = 140;

const OURS: u8 = 1;
const RSPLIBS: u8 = 2;

pub(super) fn by_announcements(stage: &mut Stage) -> Result<String> {
    let mut registrars = members(&[Ours, Rsplib]);
    registrars[0].more = &["[multicast]", "asap = true"];
    registrars[1].more = &["-asapannounce=239.0.0.50:3863"];
    registrars[0].start(stage)?;
    let mut server = server(stage)?;
    let mut daemon = daemon(stage)?;
    until_at(stage, OURS, FIRST)?;
    until_home(stage, OURS)?;
    stage.note("roamd has found our registrar, and is registered there");

    // It moves: the new address is registered.
    readdress(stage, FIRST, LATER)?;
    until_at(stage, OURS, LATER)?;
    stage.note("the host has another address, and is registered with it");

    // That registrar dies, and there is one of rsplib's.
    registrars[1].start(stage)?;
    registrars[0].kill(stage);
    until_at(stage, RSPLIBS, LATER)?;
    until_home(stage, RSPLIBS)?;
    stage.note("it has found rsplib's registrar, and is registered there");

    daemon.signal(Signal::SIGTERM);
    super::until("the end of the registration", || {
        user::places(stage, RSPLIBS, HANDLE).is_empty().then_some(())
    })?;
    let status = daemon.wait(super::PATIENCE)?;
    if !status.success() {
        bail!("roamd has ended with {status}: {}", daemon.output());
    }
    server.stop(Duration::from_secs(10));
    registrars[1].check()?;
    Ok("roamd without a configured registrar found ours, registered a new address there, then found rsplib's"
        .to_owned())
}

/// A program that listens at the mobile host.
fn server(stage: &mut Stage) -> Result<Program> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["traffic", "server", "--local", "0.0.0.0", "--port"]).arg(PORT.to_string());
    let program = stage.start(FIRST, "server", &mut command)?;
    let host = stage.host(FIRST)?;
    super::until("a listening server", || {
        let endpoints = host.enter(diag::snapshot_by_sock_diag).ok()?.endpoints;
        endpoints.iter().any(|one| one.listening && one.local_port == PORT).then_some(())
    })?;
    Ok(program)
}

/// The mobile host's daemon. It knows groups, and no registrar.
fn daemon(stage: &mut Stage) -> Result<Program> {
    let file = stage.directory().join("roamd.toml");
    fs::write(&file, configuration(stage.directory()))?;
    let mut command = Command::new(beside("roamd")?);
    command.arg("--config").arg(&file);
    stage.start(FIRST, "roamd", &mut command)
}

fn configuration(directory: &Path) -> String {
    format!(
        "[agent]\nruntime_dir = {:?}\n[[element]]\nhandle = {HANDLE:?}\nport = {PORT}\n\
         [registrars]\ngroups = [\"224.0.1.185:3863\", \"239.0.0.50:3863\"]\n",
        directory.join("roamd").display().to_string()
    )
}

fn status(directory: &Path) -> Option<StatusReport> {
    let mut client = roam_agent::control::Client::connect(&directory.join("roamd")).ok()?;
    match client.ask(Request::Status).ok()? {
        Reply::Status(report) => Some(*report),
        _ => None,
    }
}

/// Waits until a registrar tells one element, at this address.
fn until_at(stage: &mut Stage, registrar: u8, host: u8) -> Result<()> {
    let wanted: (u16, Vec<IpAddr>) = (PORT, vec![address(host)]);
    let mut told = Vec::new();
    let waited = super::until("a registration", || {
        told = user::places(stage, registrar, HANDLE).into_values().collect();
        (told == [wanted.clone()]).then_some(())
    });
    match waited {
        Err(Waited::TooLong { .. }) => {
            let says = status(stage.directory()).map(|status| (status.registrar, status.elements));
            bail!("registrar {registrar} tells {told:?}, and not {wanted:?}; roamd says {says:?}")
        }
        other => Ok(other?),
    }
}

/// Waits until the daemon says that this registrar is its home.
fn until_home(stage: &Stage, registrar: u8) -> Result<()> {
    let wanted = asap(registrar);
    let is_home = || status(stage.directory())?.registrar.is_some_and(|home| home == wanted).then_some(());
    Ok(super::until(&format!("{wanted} as roamd's home"), is_home)?)
}

/// The mobile host gets another address in place of the one that it has.
fn readdress(stage: &Stage, from: u8, to: u8) -> Result<()> {
    let lines = [
        format!("addr del {}/24 dev e0", address(from)),
        format!("addr add {}/24 dev e0", address(to)),
        // The first address took its route along.
        "route replace default dev e0".to_owned(),
    ];
    batch(stage.host(from)?, "ip", &lines)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use roam_agent::config::Config;

    #[test]
    fn the_daemon_takes_a_configuration_with_groups_and_no_registrar() {
        let config = Config::parse(Path::new("roamd.toml"), &configuration(Path::new("/tmp/x"))).unwrap();
        assert!(config.registrars.fixed.is_empty());
        assert_eq!((config.registrars.groups.len(), config.elements.len()), (2, 1));
    }
}
