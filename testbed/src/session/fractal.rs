//! A picture, computed by a pool whose elements die, or leave: the examples of `asap-client` as they are.

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::{RTT, example, until_registered};
use crate::clock;
use crate::process::Program;
use crate::registrar::{Kind, Member, PATIENCE, Stage, USER, members};

const POOL: &str = "FractalPool";
/// The pool of the one who computes alone.
const ALONE: &str = "AlonePool";

/// How many elements compute together, each at a host of its own, from this one on.
const ELEMENTS: u8 = 20;
const FIRST: u8 = 10;

/// The picture: some 200,000 iterations.
const WIDTH: u32 = 120;
const HEIGHT: u32 = 90;
const ITERATIONS: u32 = 60;

/// Iterations in a second: the slowest element's, and how much more each of the next two has. All together need some ten
/// seconds, and less than half of an emulated processor.
const CAPACITY: u32 = 1400;
const MORE: u32 = 600;

/// From one loss to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// At least so many elements are lost, and from one of them at least somebody goes on.
const LOSSES: usize = 6;

/// Of those that are gone, so many stay away; then the first of them comes back.
const AWAY: usize = 3;

/// How an element goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// Its program is killed.
    Killed,
    /// Its host is wanted back: it is told to end.
    Leaves,
}

pub(super) fn killed(stage: &mut Stage) -> Result<String> {
    play(stage, Goes::Killed)
}

pub(super) fn left(stage: &mut Stage) -> Result<String> {
    play(stage, Goes::Leaves)
}

fn play(stage: &mut Stage, goes: Goes) -> Result<String> {
    let mut registrar = members(&[Kind::Ours]).remove(0);
    registrar.start(stage)?;

    let words = [format!("width={WIDTH}"), format!("height={HEIGHT}"), format!("iterations={ITERATIONS}")];
    let alone = computed_alone(stage, &registrar, &words)?;

    let mut running = VecDeque::new();
    for host in FIRST..FIRST + ELEMENTS {
        running.push_back((host, computing(stage, host, &registrar)?));
    }
    until_registered(stage, &registrar, POOL, running.len())?;
    stage.note(format!("{ELEMENTS} elements are registered"));
    stage.delay(USER, RTT)?;

    let own = ["rows=1".to_owned(), format!("sessions={ELEMENTS}")];
    let mut user = client(stage, &registrar, POOL, "together", &[&words[..], &own].concat())?;
    let (mut losses, mut away) = (0, VecDeque::new());
    loop {
        clock::pass(PAUSE)?;
        if user.ended().is_some() {
            break;
        }
        let (host, mut program) = running.pop_front().context("no element is left")?;
        match goes {
            Goes::Killed => program.kill(),
            Goes::Leaves => program.signal(Signal::SIGTERM),
        }
        losses += 1;
        away.push_back((host, program));
        if away.len() > AWAY {
            let (host, mut program) = away.pop_front().context("nobody is away")?;
            // Who leaves has had its time for it.
            program.stop(PATIENCE);
            running.push_back((host, computing(stage, host, &registrar)?));
        }
    }
    let said = finished(&mut user)?;
    registrar.check()?;
    ensure!(picture(stage, "together")? == alone, "the picture is another one than that computed alone");
    let [lost, continued, twice] = numbers(&said).with_context(|| said.clone())?;
    let seen = format!("{losses} of {ELEMENTS} elements went, and the picture is the same: {said}");
    stage.note(&seen);
    ensure!(losses >= LOSSES, "it was done before {LOSSES} elements had gone: {seen}");
    if lost == 0 || continued == 0 {
        bail!("nobody was lost who computed, or nobody went on from there: {seen}");
    }
    ensure!(goes == Goes::Killed || twice == 0, "who left did not say all: {seen}");
    Ok(seen)
}

/// A picture as one element computes it, all in one, at the host of the first.
pub(super) fn computed_alone(stage: &mut Stage, registrar: &Member, words: &[String]) -> Result<Vec<u8>> {
    let mut one = element(stage, FIRST, registrar, ALONE, &[])?;
    until_registered(stage, registrar, ALONE, 1)?;
    let own = [format!("rows={}", u32::MAX), "sessions=1".to_owned()];
    let said = finished(&mut client(stage, registrar, ALONE, "alone", &[words, &own].concat())?)?;
    stage.note(format!("computed alone: {said}"));
    one.kill();
    picture(stage, "alone")
}

/// The octets of a picture.
pub(super) fn picture(stage: &Stage, name: &str) -> Result<Vec<u8>> {
    fs::read(stage.directory().join(format!("{name}.png"))).context("there is no picture")
}

/// An element of the pool, as fast as its host is.
fn computing(stage: &mut Stage, host: u8, registrar: &Member) -> Result<Program> {
    let capacity = CAPACITY + MORE * u32::from(host % 3);
    element(stage, host, registrar, POOL, &[format!("capacity={capacity}")])
}

pub(super) fn element(
    stage: &mut Stage,
    host: u8,
    registrar: &Member,
    pool: &str,
    words: &[String],
) -> Result<Program> {
    let mut command = example("fractal-server", host, registrar, pool)?;
    command.args(words);
    stage.start(host, &format!("element-{host}"), &mut command)
}

/// A user who has a picture of this name computed, with more words.
pub(super) fn client(
    stage: &mut Stage,
    registrar: &Member,
    pool: &str,
    picture: &str,
    words: &[String],
) -> Result<Program> {
    let mut command = example("fractal-client", USER, registrar, pool)?;
    command.arg(format!("file={picture}.png")).args(words);
    stage.start(USER, picture, &mut command)
}

/// Has a client come to its end; the last it said.
pub(super) fn finished(client: &mut Program) -> Result<String> {
    let status = client.wait(PATIENCE)?;
    let output = client.output();
    let last = output.lines().last().unwrap_or_default();
    ensure!(status.success(), "the client ended with {status}: {last}");
    Ok(last.to_owned())
}

/// How often an element was lost, how often another went on, and how many points came twice.
pub(super) fn numbers(said: &str) -> Option<[u64; 3]> {
    let (_, after) = said.split_once("; ")?;
    let mut parts = after.split(", ").map(|part| part.split(' ').next()?.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_says_at_its_end_is_read() {
        let said = "10800 points in 9.1 s; 11 times an element was lost, 10 times another went on from a cookie, \
                    7 points came twice";
        assert_eq!(numbers(said), Some([11, 10, 7]));
        assert_eq!(numbers("error: the pool is empty"), None);
    }
}
