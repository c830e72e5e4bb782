//! Pool elements whose host changes networks.

use std::net::IpAddr;
use std::process::Command;

use anyhow::{Result, ensure};
use roam_registrar::driver::fetch_dump;

use super::Stage;
use super::stage::CLIENT_PORT;
use crate::clock;
use crate::scenario::beside;
use crate::topology::{A1, A2, Host};

const REGISTRAR: &str = "10.9.0.2:3863";
const HANDLE: &str = "robot";

fn tables(more: &str) -> String {
    format!(
        "{more}\n[[element]]\nhandle = {HANDLE:?}\nport = {CLIENT_PORT}\n[registrars]\nstatic = [{REGISTRAR:?}]"
    )
}

fn registrar(stage: &mut Stage) -> Result<std::path::PathBuf> {
    let runtime = stage.path("registrar");
    let mut command = Command::new(beside("roam-registrar")?);
    command.args(["--listen", REGISTRAR, "--runtime-dir"]).arg(&runtime);
    stage.start_at_registrar("registrar", &mut command)?;
    stage.until("the registrar", |_| fetch_dump(&runtime).ok().map(|_| ()))?;
    Ok(runtime)
}

/// Waits until exactly one element is registered, with exactly this address.
fn until_registered(stage: &mut Stage, runtime: &std::path::Path, at: &str) -> Result<()> {
    let at: IpAddr = at.parse()?;
    stage.until(&format!("a registration at {at} alone"), |_| {
        let dump = fetch_dump(runtime).ok()?;
        let pool = dump.pools.iter().find(|pool| pool.handle == HANDLE)?;
        let [element] = &pool.elements[..] else { return None };
        (element.addresses.iter().collect::<Vec<_>>() == [&at]).then_some(())
    })
}

pub(super) fn change_meanwhile(stage: &mut Stage) -> Result<String> {
    let runtime = registrar(stage)?;
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", &tables(""))?;
    stage.talk()?;
    until_registered(stage, &runtime, "10.1.0.2")?;
    stage.note("the host moves again and again, faster than it can register");
    for _ in 0..3 {
        stage.network.down(Host::A, &[A1])?;
        stage.network.up(Host::A, &[A2])?;
        stage.network.down(Host::A, &[A2])?;
        stage.network.up(Host::A, &[A1])?;
    }
    stage.network.down(Host::A, &[A1])?;
    stage.network.up(Host::A, &[A2])?;
    let last = clock::now();
    until_registered(stage, &runtime, "10.2.0.2")?;
    let took = clock::ms_between(last, clock::now());
    stage.until_flows()?;
    stage.finish()?;
    Ok(format!("registered at the last address, and nowhere else, after {took:.0} ms"))
}

pub(super) fn by_backup_alone(stage: &mut Stage) -> Result<String> {
    let runtime = registrar(stage)?;
    stage.network.up(Host::A, &[A1, A2])?;
    stage.shell(
        stage.network.router(),
        "nft add table inet dropped && \
         nft 'add chain inet dropped forward { type filter hook forward priority 0; }' && \
         nft add rule inet dropped forward iifname ra1 ip daddr 10.9.0.2 drop",
    )?;
    stage.start_daemon("", &tables("[[interface]]\nname = \"a2\"\nrole = \"backup\"\nstandby = \"cold\""))?;
    stage.talk()?;
    let from = clock::now();
    stage.until("a registration", |_| {
        let dump = fetch_dump(&runtime).ok()?;
        dump.pools.iter().any(|pool| pool.handle == HANDLE && pool.elements.len() == 1).then_some(())
    })?;
    let took = clock::ms_between(from, clock::now());
    let said = stage.asconfs(from);
    ensure!(said.is_empty(), "the association itself has no reason to move: {said:?}");
    stage.finish()?;
    Ok(format!("registered by way of the backup after {took:.0} ms"))
}
