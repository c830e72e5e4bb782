//! Agents that may not take the sockets of others' programs: those hand them over. And agents of users, for their own.

use std::fs::{self, File, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use sctp_sys::Family::V4;

use super::kinds::{MANY, OUTAGE};
use super::talk::{PATIENCE, Pair, Talk, finish, until_all_flow, until_all_up, until_b_sees, until_settled};
use crate::clock;
use crate::network::Stage;
use crate::result::Agent;
use crate::scenario::{SERVICE, beside, by_descriptor};
use crate::topology::{A1, A2, B1, Host};
use crate::unit;

/// Two users that nobody is.
const USERS: [u32; 2] = [64_401, 64_402];

/// What a program is started with by a user that has no rights.
fn as_user(user: u32, program: &Path) -> Vec<String> {
    let words = [
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={user}"),
        "--clear-groups".to_owned(),
        "--no-new-privs".to_owned(),
        "--inh-caps=-all".to_owned(),
        "--bounding-set=-all".to_owned(),
    ];
    words.into_iter().chain([program.display().to_string()]).collect()
}

/// Users have their files there.
fn open_to_all(stage: &Stage) -> Result<()> {
    Ok(fs::set_permissions(stage.path(""), Permissions::from_mode(0o777))?)
}

/// What `roam` says to this user.
fn roam(stage: &Stage, user: u32, runtime: &Path, words: &[&str]) -> Result<Output> {
    let file = File::open(beside("roam")?)?;
    let program = by_descriptor(&file)?;
    let line = as_user(user, &program);
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]).arg("--runtime-dir").arg(runtime).args(words);
    Ok(stage.network.host(Host::A).enter(|| command.output())?)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether the agent says that it looks after the associations of this client.
fn is_known(stage: &Stage, talk: &Talk) -> bool {
    let own = if talk.pair.server_at == Host::A { talk.pair.port } else { talk.pair.port + talk.pair.first };
    stage.associations().unwrap_or_default().iter().any(|it| it.local_port == own)
}

pub(super) fn handed_over(stage: &mut Stage) -> Result<String> {
    let (a1, a2, b1) = (A1.address(V4), A2.address(V4), B1.address(V4));
    stage.network.up(Host::A, &[A1])?;
    open_to_all(stage)?;
    let runtime = stage.runtime();
    fs::create_dir_all(&runtime)?;
    std::os::unix::fs::chown(&runtime, Some(SERVICE), Some(SERVICE))?;
    let daemon = File::open(beside("roamd")?)?;
    // Without the drop-in for adoption.
    let mut command = unit::as_the_agent(&[unit::AGENT], SERVICE, SERVICE, &by_descriptor(&daemon)?);
    let file = stage.configure("", "")?;
    stage.start_daemon_as(command.arg("--config").arg(&file))?;
    let own = File::open(std::env::current_exe()?)?;
    let own = by_descriptor(&own).map(|path| (path, own))?;
    let hand_over = match stage.agent {
        Agent::Roam => vec!["--hand-over".to_owned(), runtime.display().to_string()],
        Agent::None | Agent::AutoAsconf => Vec::new(),
    };
    let hand_over: Vec<&str> = hand_over.iter().map(String::as_str).collect();
    let start = |stage: &mut Stage, user: u32, pair: Pair| pair.start_in(stage, None, &as_user(user, &own.0));
    let served = |name, port| Pair::of(name, port, &[a1], &[b1]).served_by_a(2, a1).server_with(&hand_over);
    let mut talks = vec![
        start(stage, USERS[0], Pair::of("handed over", 7000, &[a1], &[b1]).client_with(&hand_over))?,
        start(stage, USERS[0], served("accepted, handed over", 7010))?,
        start(stage, USERS[1], served("one-to-many, handed over", 7020).server_with(&MANY))?,
    ];
    let mut killed =
        vec![start(stage, USERS[1], Pair::of("killed", 7030, &[a1], &[b1]).client_with(&hand_over))?];
    let mut kept = vec![start(stage, USERS[0], Pair::of("kept", 7040, &[a1], &[b1]))?];
    until_all_up(stage, &mut talks)?;
    until_all_up(stage, &mut killed)?;
    until_all_up(stage, &mut kept)?;
    until_settled(stage, &talks, &[])?;
    until_settled(stage, &killed, &[])?;
    if stage.agent == Agent::Roam {
        ensure!(!is_known(stage, &kept[0]), "the agent has what nobody handed over");
        let report = roam(stage, USERS[0], &runtime, &["doctor"])?;
        let said = words(&report);
        ensure!(said.contains("have to hand their sockets over"), "the doctor does not say it: {said}");
        // Another user may neither have them left alone nor adopted.
        let pid = talks[0].client.pid().to_string();
        for what in ["release", "adopt"] {
            let answer = roam(stage, USERS[1], &runtime, &[what, &pid])?;
            let said = words(&answer);
            ensure!(!answer.status.success() && said.contains("only root"), "{what} by another: {said}");
        }
        ensure!(is_known(stage, &talks[0]), "another user has had it left alone");
        let answer = roam(stage, USERS[1], &runtime, &["release", &killed[0].client.pid().to_string()])?;
        ensure!(answer.status.success(), "the user himself may not: {}", words(&answer));
        ensure!(!is_known(stage, &killed[0]), "it is not left alone");
    }
    finish(kept, clock::now())?;
    finish(killed, clock::now())?;
    let ends = Pair::of("ends", 7050, &[a1], &[b1]).client_with(&hand_over);
    let mut ends = vec![start(stage, USERS[1], ends)?];
    until_all_up(stage, &mut ends)?;
    until_settled(stage, &ends, &[])?;
    stage.note("a program whose socket the agent has is killed");
    ends[0].client.kill();
    let mut still = String::new();
    let gone = clock::until("the end of its association", PATIENCE, || {
        let snapshot = stage.network.host(Host::B).enter(sctp_sys::diag::snapshot).ok()?;
        still = format!("{:?}", snapshot.associations.iter().find(|it| it.local_port == 7050));
        snapshot.associations.iter().all(|it| it.local_port != 7050).then_some(())
    });
    ensure!(gone.is_ok(), "its peer still has it: {still}");

    let begin = clock::now();
    stage.note("the host moves");
    stage.network.down(Host::A, &[A1])?;
    clock::pass(OUTAGE)?;
    stage.network.up(Host::A, &[A2])?;
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, &talks, &[a2])?;
    let silence = finish(talks, begin)?;
    stage.stop_daemon()?;
    let overhead = silence - OUTAGE.as_secs_f64() * 1000.0;
    Ok(format!(
        "what two users' programs handed over moved, overhead at most {overhead:.0} ms; what nobody handed over was let \
         alone, one user's sockets were kept from the other, and a killed program's association ended"
    ))
}

pub(super) fn by_a_user(stage: &mut Stage) -> Result<String> {
    let (a1, a2, b1) = (A1.address(V4), A2.address(V4), B1.address(V4));
    let any: IpAddr = std::net::Ipv4Addr::UNSPECIFIED.into();
    stage.network.up(Host::A, &[A1])?;
    open_to_all(stage)?;
    let daemon = File::open(beside("roamd")?)?;
    let file = stage.configure("", "")?;
    let runtime = stage.runtime();
    fs::create_dir_all(&runtime)?;
    std::os::unix::fs::chown(&runtime, Some(USERS[0]), Some(USERS[0]))?;
    let line = as_user(USERS[0], &by_descriptor(&daemon)?);
    let mut command = Command::new(&line[0]);
    stage.start_daemon_as(command.args(&line[1..]).arg("--config").arg(&file))?;
    let own = File::open(std::env::current_exe()?)?;
    let path = by_descriptor(&own)?;
    let start = |stage: &mut Stage, user: u32, pair: Pair| pair.start_in(stage, None, &as_user(user, &path));
    let mut talks = vec![
        start(stage, USERS[0], Pair::of("his own", 7000, &[a1], &[b1]))?,
        start(stage, USERS[0], Pair::of("his own, one-to-many", 7010, &[a1], &[b1]).client_with(&MANY))?,
    ];
    let mut served =
        vec![start(stage, USERS[0], Pair::of("served by him", 7020, &[a1], &[b1]).served_by_a(2, a1))?];
    let mut others = vec![
        start(stage, USERS[0], Pair::of("bound to none", 7030, &[any], &[b1]))?,
        start(stage, USERS[1], Pair::of("another user's", 7040, &[a1], &[b1]))?,
    ];
    for some in [&mut talks, &mut served, &mut others] {
        until_all_up(stage, some)?;
    }
    until_settled(stage, &talks, &[])?;
    until_settled(stage, &served, &[])?;
    if stage.agent == Agent::Roam {
        ensure!(!is_known(stage, &others[1]), "the user's agent has another user's socket");
        let said = words(&roam(stage, USERS[0], &runtime, &["associations"])?);
        ensure!(said.contains("bound to no address"), "nothing is said of what cannot be moved: {said}");
        for what in ["status", "doctor"] {
            let said = words(&roam(stage, USERS[0], &runtime, &[what])?);
            for right in ["without CAP_NET_ADMIN", "without CAP_NET_RAW"] {
                ensure!(said.contains(right), "`roam {what}` does not say what is not done: {said}");
            }
        }
    }
    finish(others, clock::now())?;
    let begin = clock::now();
    stage.note("the host moves, without a break; it has source routes of its own");
    stage.network.up(Host::A, &[A2])?;
    stage.ip(["route add default via 10.2.0.1 dev a2 table 100", "rule add from 10.2.0.2 lookup 100"])?;
    until_settled(stage, &talks, &[a2])?;
    until_settled(stage, &served, &[a2])?;
    stage.network.down(Host::A, &[A1])?;
    for some in [&mut talks, &mut served] {
        until_all_flow(stage, some)?;
        until_b_sees(stage, some, &[a2])?;
    }
    finish(served, begin)?;
    until_settled(stage, &talks, &[])?;
    stage.note("the host moves, with a break");
    stage.network.down(Host::A, &[A2])?;
    clock::pass(OUTAGE)?;
    stage.network.up(Host::A, &[A1])?;
    until_all_flow(stage, &mut talks)?;
    until_b_sees(stage, &talks, &[a1])?;
    until_settled(stage, &talks, &[])?;
    let silence = finish(talks, begin)?;
    stage.stop_daemon()?;
    let overhead = silence - OUTAGE.as_secs_f64() * 1000.0;
    Ok(format!(
        "the user's own associations moved by socket options alone, overhead at most {overhead:.0} ms; it is said what \
         does not move, and another user's was let alone"
    ))
}
