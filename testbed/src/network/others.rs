//! Other programs change what is ours, or do the same as we.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::scenario::beside;
use crate::topology::{A1, A2, Host};

pub(super) fn rules_deleted(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    let a = stage.network.host(Host::A).name().to_owned();
    let ruled = |stage: &Stage| {
        let rules = stage
            .shell(stage.network.host(Host::A), "ip rule show priority 7600; ip route show table 7600")
            .ok()?;
        (rules.contains("from 10.1.0.2") && rules.contains("default via 10.1.0.1")).then_some(())
    };
    stage.until("our rule and table", ruled)?;
    stage.note(format!("somebody at {a} deletes our rule"));
    stage.ip(["rule del priority 7600"])?;
    stage.until("our rule to be put back", ruled)?;
    stage.ip(["route flush table 7600"])?;
    stage.until("our routes to be put back", ruled)?;
    stage.note("somebody deletes all of nftables");
    stage.shell(stage.network.host(Host::A), "nft flush ruleset")?;
    stage.until("our table to be put back", |stage| {
        let table = stage.shell(stage.network.host(Host::A), "nft list table inet roam 2>&1 || true").ok()?;
        table.contains("chain").then_some(())
    })?;
    stage.note("the host moves");
    let from = clock::now();
    stage.ip(["addr del 10.1.0.2/24 dev a1", "link set a1 down", "link set a2 up"])?;
    stage.ip(["addr add 10.2.0.2/24 dev a2", "route add default via 10.2.0.1 dev a2"])?;
    stage.until_flows()?;
    stage.until_at(&["10.2.0.2"])?;
    let record = stage.finish()?;
    Ok(format!("all was put back, and a move worked; it took {:.0} ms", gap(&record, from)))
}

pub(super) fn second_manager(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.shell(stage.network.host(Host::A), "sysctl -qw net.sctp.default_auto_asconf=1")?;
    stage.start_daemon("", "")?;
    let problems = stage.status().context("no answer")?.problems;
    ensure!(
        problems.iter().any(|it| it.contains("default_auto_asconf is 1")),
        "nothing is said of it: {problems:?}"
    );
    let file = stage.path("roamd.toml");
    let mut command = Command::new(beside("roamd")?);
    let mut second = stage.start(Host::A, "second", command.arg("--config").arg(&file))?;
    let status = second.wait(Duration::from_secs(20))?;
    let said = second.output();
    ensure!(
        !status.success() && said.contains(&stage.daemon()?.pid().to_string()),
        "the second agent: {status} {said}"
    );
    stage.talk_between(&["0.0.0.0".parse()?], &["10.3.0.2".parse()?])?;
    let from = clock::now();
    stage.network.down(Host::A, &[A1])?;
    clock::pass(Duration::from_millis(800))?;
    stage.network.up(Host::A, &[A2])?;
    let up = clock::now();
    stage.until_flows()?;
    let said = stage.asconfs(from);
    let record = stage.finish()?;
    Ok(format!("a second agent refused; a move with {} ASCONFs took {:.0} ms", said.len(), gap(&record, up)))
}
