//! rsplib's five services, their clients and its dump, at our registrar alone.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use asap_client::wire::PoolElement;
use nix::sys::signal::Signal;
use sctp_sys::{Family, Received, SendInfo, Socket, Style};

use super::TooSlow;
use super::member::{Kind, asap, members};
use super::programs::{Listed, Service, hsdump, interrupt};
use super::stage::Stage;
use super::user::{self, USER, resolve};
use crate::process::Program;

/// The host of the services.
const SERVER: u8 = 10;

const ECHO: Service<'_> = Service { option: "-echo", pool: "EchoPool", id: 0xe1, more: &[] };
const PING: Service<'_> = Service { option: "-pingpong", pool: "PingPongPool", id: 0xe2, more: &[] };
const CALC: Service<'_> = Service {
    option: "-calcapp",
    pool: "CalcAppPool",
    id: 0xe3,
    more: &["-policy=LeastUsed", "-capcapacity=1000000"],
};
const FRACTAL: Service<'_> =
    Service { option: "-fractal", pool: "FractalGeneratorPool", id: 0xe4, more: &["-policy=LeastUsed"] };
const SCRIPTING: Service<'_> = Service {
    option: "-scripting",
    pool: "ScriptingPool",
    id: 0xe5,
    more: &["-policy=LeastUsedDegradation:0.5", "-sscachedirectory=."],
};

/// Lines that the terminal sends.
const LINES: usize = 20;
/// Pings and jobs that have to be answered.
const PINGS: usize = 20;
const JOBS: usize = 4;
/// rsplib's protocol of the fractal generator: its payload protocol identifier, and two of its messages.
const FGP: u32 = 32;
const PARAMETER: u8 = 1;
const DATA: u8 = 2;

pub(super) fn all(stage: &mut Stage) -> Result<String> {
    let mut registrar = members(&[Kind::Ours]).remove(0);
    registrar.start(stage)?;
    let services = [ECHO, PING, CALC, FRACTAL, SCRIPTING];
    let started: Result<Vec<_>> =
        services.iter().map(|service| service.start(stage, SERVER, &[registrar.number])).collect();
    let mut programs = started?;
    super::until("the registrations of all five", || {
        let dump = registrar.dump(stage)?;
        let there = |service: &Service<'_>| {
            let pool = dump.pools.iter().find(|pool| pool.handle == service.pool)?;
            pool.elements.iter().find(|element| element.id == service.id)
        };
        services.iter().all(|service| there(service).is_some()).then_some(())
    })?;
    stage.note("all five services are registered");

    echo(stage, registrar.number)?;
    let pings =
        until_counted(stage, registrar.number, "pingpongclient", PING, &["-interval=100"], "Ack #", PINGS)?;
    let jobs = ["-jobsize=100000", "-jobinterval=0.2", "-runtime=600"];
    let jobs = until_counted(stage, registrar.number, "calcappclient", CALC, &jobs, " completed:", JOBS)?;
    job(stage, registrar.number)?;
    fractal(stage, registrar.number)?;

    let shown: BTreeMap<_, _> =
        hsdump(stage, registrar.number)?.into_iter().map(|one| (one.pool.clone(), one)).collect();
    for (service, policy) in
        services.iter().zip(["RoundRobin", "RoundRobin", "LeastUsed", "LeastUsed", "LeastUsedDegradation"])
    {
        let listed =
            shown.get(service.pool).with_context(|| format!("hsdump does not show {}", service.pool))?;
        let Listed { id, home, .. } = *listed;
        ensure!(
            (id, home, listed.policy.as_str()) == (service.id, registrar.id(), policy),
            "hsdump: {listed:?}"
        );
    }

    // They register again and again; by now each has been asked whether it lives.
    super::until("keep-alives and registrations of all", || {
        let counters = registrar.dump(stage)?.counters;
        (counters.keep_alives_answered >= 5 && counters.registrations >= 10).then_some(())
    })?;
    for program in &mut programs {
        interrupt(program)?;
    }
    super::until("the end of all pools", || registrar.dump(stage)?.pools.is_empty().then_some(()))?;
    let counters = registrar.dump(stage).context("the registrar does not answer")?.counters;
    if counters.keep_alives_missed > 0 {
        bail!(TooSlow(format!("{} keep-alives were missed", counters.keep_alives_missed)));
    }
    registrar.check()?;
    Ok(format!(
        "{LINES} lines were echoed, {pings} pings answered, {jobs} jobs calculated, one script run, one picture begun, \
         all five shown by hsdump; {} registrations, {} keep-alives answered, none missed",
        counters.registrations, counters.keep_alives_answered
    ))
}

/// A user of rsplib's.
fn client(registrar: u8, name: &str, pool: &str) -> Command {
    let mut command = Command::new(name);
    command.args(["-asapannounce=off", "-logcolor=off"]);
    command.arg(format!("-registrar={}", asap(registrar))).arg(format!("-poolhandle={pool}"));
    command
}

/// The terminal: every line comes back.
fn echo(stage: &mut Stage, registrar: u8) -> Result<()> {
    // The terminal shows only the first of several lines in a message: each line waits until the one before has come
    // back. Nor does it see the end of a pipe: it is ended after the last line.
    let script = format!(
        "{{ for i in $(seq {LINES}); do echo \"line $i.\"; until grep -qs \"line $i\\.\" terminal.out; do sleep 0.1; \
         done; done; kill \"$(cat terminal.pid)\"; }} | \
         sh -c 'echo $$ > terminal.pid; exec rspterminal -asapannounce=off -logcolor=off -registrar={} \
         -poolhandle={} > terminal.out'",
        asap(registrar),
        ECHO.pool
    );
    let mut terminal = stage.start(USER, "rspterminal", Command::new("sh").args(["-c", &script]))?;
    terminal.wait(super::PATIENCE).with_context(|| terminal.output())?;
    let out = fs::read(stage.directory().join("terminal.out"))?;
    let out = String::from_utf8_lossy(&out);
    let back = (1..=LINES).filter(|number| out.contains(&format!("line {number}."))).count();
    ensure!(back == LINES, "{back} of {LINES} lines came back to rspterminal");
    stage.note(format!("rspterminal: {back} lines came back"));
    Ok(())
}

/// A client that goes on until it has said something often enough; gives how often that was.
fn until_counted(
    stage: &mut Stage,
    registrar: u8,
    name: &str,
    service: Service<'_>,
    more: &[&str],
    word: &str,
    wanted: usize,
) -> Result<usize> {
    let mut program = stage.start(USER, name, client(registrar, name, service.pool).args(more))?;
    let count = |program: &Program| program.output().matches(word).count();
    let waited = super::until(&format!("{wanted} times “{word}” of {name}"), || {
        (count(&program) >= wanted || program.ended().is_some()).then_some(())
    });
    let counted = count(&program);
    program.signal(Signal::SIGINT);
    waited?;
    ensure!(counted >= wanted, "{name} ended after {counted} of {wanted}: {}", program.output());
    stage.note(format!("{name}: {counted} times “{word}”"));
    Ok(counted)
}

/// The scripting service runs a script, and what that made comes back.
fn job(stage: &mut Stage, registrar: u8) -> Result<()> {
    const MADE: &str = "made by the job";
    let script = stage.directory().join("ssrun");
    fs::write(&script, format!("#!/bin/sh\necho '{MADE}' > result.txt\ntar czf \"$1\" result.txt\n"))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let tar =
        |arguments: &[&str]| Command::new("tar").args(arguments).current_dir(stage.directory()).output();
    let packed = tar(&["czf", "in.tar.gz", "ssrun"])?;
    ensure!(packed.status.success(), "tar: {}", String::from_utf8_lossy(&packed.stderr));
    let mut command = client(registrar, "scriptingclient", SCRIPTING.pool);
    command.args(["-input=in.tar.gz", "-output=out.tar.gz", "-quiet"]);
    let mut program = stage.start(USER, "scriptingclient", &mut command)?;
    let status = program.wait(super::PATIENCE)?;
    let result = Command::new("tar")
        .args(["xzOf", "out.tar.gz", "result.txt"])
        .current_dir(stage.directory())
        .output()?;
    let result = String::from_utf8_lossy(&result.stdout).into_owned();
    ensure!(result.trim() == MADE, "scriptingclient ({status}) brought {result:?}: {}", program.output());
    stage.note("scriptingclient: the script's result came back");
    Ok(())
}

/// The fractal generator: its client is graphical, so that a picture is asked for by hand, over the element that the
/// registrar tells.
fn fractal(stage: &mut Stage, registrar: u8) -> Result<()> {
    let elements = resolve(stage, registrar, FRACTAL.pool)?;
    let [PoolElement { id: 0xe4, user, .. }] = &elements[..] else {
        anyhow::bail!("pool {} has {elements:?}", FRACTAL.pool)
    };
    let port = user.port().context("it has no port")?;
    let address = *user.addresses().first().context("it has no address")?;
    let socket = stage.host(USER)?.enter(|| {
        let socket = Socket::new(Style::OneToOne, Family::V4)?;
        user::limit(&socket, super::PATIENCE)?;
        socket.connect(SocketAddr::new(address, port))?;
        Ok(socket)
    })?;
    let mut parameter = vec![PARAMETER, 0, 0, 60];
    for number in [32_u32, 32, 64, 1] {
        parameter.extend(number.to_be_bytes());
    }
    for number in [-1.5_f64, 1.5, 1.5, -1.5, 2.0] {
        parameter.extend(number.to_be_bytes());
    }
    socket.send(&SendInfo { ppid: FGP, ..SendInfo::default() }, &parameter)?;
    let mut bytes = Vec::new();
    loop {
        match socket.recv(&mut bytes)?.context("the fractal generator has ended the association")? {
            Received::Message(info) if info.ppid == FGP && bytes.first() == Some(&DATA) => break,
            _ => {}
        }
    }
    stage.note(format!("the fractal generator sends data, {} octets at first", bytes.len()));
    Ok(())
}
