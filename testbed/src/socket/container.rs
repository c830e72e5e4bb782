//! Sockets in another network namespace of the host, as containers have them.

use std::process::Command;
use std::slice;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roam_agent::control::Client;
use roam_agent::control::protocol::{Reply, Request};
use sctp_sys::Family::V4;
use serde_json::Value;

use super::kinds::OUTAGE;
use super::talk::{PATIENCE, Pair, finish, until_all_flow, until_all_up, until_b_sees, until_settled};
use crate::clock;
use crate::link::batch;
use crate::netns::Namespace;
use crate::network::Stage;
use crate::process::Program;
use crate::result::Agent;
use crate::scenario::{beside, leftovers};
use crate::topology::{A1, A2, B1, Host};

/// What the doctor at A says of sockets in another namespace: verdict, sentence, and what mends it.
fn said_of(stage: &Stage, name: &str) -> Result<(String, String, String)> {
    let roam = beside("roam")?;
    let runtime = stage.runtime();
    let command =
        || Command::new(&roam).arg("--runtime-dir").arg(&runtime).args(["doctor", "--json"]).output();
    let output = stage.network.host(Host::A).enter(command)?;
    let report: Value = serde_json::from_slice(&output.stdout).context("what the doctor says")?;
    let checks = report["checks"]["checks"].as_array().or_else(|| report["checks"].as_array());
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let is_it = |check: &&Value| check["name"] == "sockets-elsewhere" && word(check, "text").contains(name);
    let check = checks.into_iter().flatten().find(is_it);
    let check = check.with_context(|| format!("the doctor says nothing of {name}: {report}"))?;
    let word = |key: &str| word(check, key);
    Ok((word("level"), word("text"), word("mend")))
}

pub(super) fn own_agent(stage: &mut Stage) -> Result<String> {
    let (a1, a2, b1) = (A1.address(V4), A2.address(V4), B1.address(V4));
    stage.network.up(Host::A, &[A1])?;
    let inside = Namespace::create("container")?;
    let name = inside.name().to_owned();
    // As `docker network create -d macvlan` gives them: on the host's links, with addresses of their own.
    stage.ip(["link set a2 up"])?;
    stage.ip(["a1 c1", "a2 c2"].map(|pair| {
        let (link, child) = pair.split_once(' ').unwrap_or_default();
        format!("link add {child} link {link} netns {name} type macvlan mode bridge")
    }))?;
    let ip = |lines: &[&str]| {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        batch(&inside, "ip", &lines)
    };
    ip(&[
        "link set lo up",
        "link set c1 up",
        "addr add 10.1.0.50/24 dev c1",
        "route add default via 10.1.0.1 dev c1",
    ])?;
    // The settings are each namespace's own.
    stage.shell(&inside, "sysctl -qw net.sctp.addip_enable=1 net.sctp.auth_enable=1")?;
    stage.start_daemon("", "")?;
    let host = Pair::of("at the host", 7000, &[a1], &[b1]).start(stage)?;
    let container = Pair::of("in the container", 7010, &["10.1.0.50".parse()?], &[b1]);
    let mut talks = vec![host, container.start_in(stage, Some(&inside), &[])?];
    until_all_up(stage, &mut talks)?;

    let runtime = stage.path("roamd-inside");
    let mut second = None;
    if stage.agent == Agent::Roam {
        let (level, text, mend) = said_of(stage, &name)?;
        ensure!(
            level == "warn"
                && text.contains("1 association")
                && mend.contains(&format!("ip netns exec {name} roamd")),
            "the doctor does not say that the container's socket is not looked after: {level} {text} {mend}"
        );
        stage.note(format!("the doctor: {text}; mend: {mend}"));
        // As it says.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name]).arg(beside("roamd")?).arg("--runtime-dir").arg(&runtime);
        let log = stage.log("roamd-inside");
        second =
            Some(Program::start(stage.network.host(Host::A), "the container's roamd", &log, &mut command)?);
        stage.until("the container's agent to look after its association", |_| {
            match Client::connect(&runtime).ok()?.ask(Request::Status).ok()? {
                Reply::Status(status) => (status.settled == 1).then_some(()),
                _ => None,
            }
        })?;
        let (level, text, _) = said_of(stage, &name)?;
        ensure!(level == "ok", "the doctor still complains: {text}");
        until_settled(stage, &talks[..1], &[])?;
        let own = stage.status().context("no answer")?;
        ensure!(own.settled == 1, "the host's agent looks after {} associations", own.settled);
    }
    let begin = clock::now();
    stage.note("the host and its container move");
    stage.network.down(Host::A, &[A1])?;
    ip(&["addr del 10.1.0.50/24 dev c1"])?;
    clock::pass(OUTAGE)?;
    stage.network.up(Host::A, &[A2])?;
    ip(&["link set c2 up", "addr add 10.2.0.50/24 dev c2", "route add default via 10.2.0.1 dev c2"])?;
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, slice::from_ref(&talks[0]), &[a2])?;
    until_b_sees(stage, slice::from_ref(&talks[1]), &["10.2.0.50".parse()?])?;
    let silence = finish(talks, begin)?;
    if let Some(mut second) = second {
        second.stop(PATIENCE.min(Duration::from_secs(10)));
    }
    let left = leftovers::of(&inside)?;
    ensure!(left.is_empty(), "the container's agent has left something there: {left:?}");
    stage.stop_daemon()?;
    let overhead = silence - OUTAGE.as_secs_f64() * 1000.0;
    Ok(format!("host and container moved, each by its own agent; overhead at most {overhead:.0} ms"))
}
