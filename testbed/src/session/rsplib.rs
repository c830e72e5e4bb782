//! Pictures, jobs and packages: the examples of `asap-client` as they are, with rsplib's services and clients.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::Whose::{self, Ours, Rsplibs};
use super::{RTT, at, example, fractal, until_registered};
use crate::clock;
use crate::process::Program;
use crate::registrar::{Kind, Member, PATIENCE, Service, Stage, USER, asap, members};

const POOL: &str = "ComputingPool";

/// Where the two servers are.
const HOSTS: [u8; 2] = [10, 11];

/// A picture of some forty million iterations: about a second of an emulated processor. Cookies come ten times a second, as
/// often as rsplib's elements can give them.
const PICTURE: [&str; 3] = ["width=160", "height=120", "iterations=9000"];
/// So much of it has come before the first element dies, and before the second, in hundredths.
const COME: [u64; 2] = [30, 60];

/// Calculations in a second, and those of a job; of rsplib's client it is the mean.
const CAPACITY: u32 = 1_000_000;
const JOB: u32 = 5_000_000;
/// So long a job is calculated before its element dies: cookies come twice a second.
const CALCULATED: Duration = Duration::from_millis(1200);

/// How long a package is worked on, in seconds, and how long rsplib's client waits until it goes elsewhere, in
/// milliseconds.
const WORK: u32 = 3;
const RETRY: u32 = 500;

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trade {
    Pictures,
    Jobs,
    Packages,
}

pub(super) fn pictures(stage: &mut Stage) -> Result<String> {
    our_pictures(stage, [Rsplibs, Rsplibs])
}

pub(super) fn pictures_mixed(stage: &mut Stage) -> Result<String> {
    our_pictures(stage, [Ours, Rsplibs])
}

pub(super) fn jobs(stage: &mut Stage) -> Result<String> {
    our_jobs(stage, [Rsplibs, Rsplibs])
}

pub(super) fn jobs_mixed(stage: &mut Stage) -> Result<String> {
    our_jobs(stage, [Ours, Rsplibs])
}

pub(super) fn rsplibs_jobs(stage: &mut Stage) -> Result<String> {
    their_jobs(stage, [Ours, Ours])
}

pub(super) fn rsplibs_jobs_mixed(stage: &mut Stage) -> Result<String> {
    their_jobs(stage, [Ours, Rsplibs])
}

/// A server, and what it has said in all its lives.
struct Server {
    host: u8,
    whose: Whose,
    trade: Trade,
    program: Program,
}

impl Server {
    fn start(stage: &mut Stage, registrar: &Member, trade: Trade, whose: Whose, host: u8) -> Result<Self> {
        let words = |words: &[String]| [words, &["plain".to_owned()]].concat();
        let program = match (whose, trade) {
            (Ours, Trade::Pictures) => {
                let words = words(&["telling=100".to_owned()]);
                fractal::element(stage, host, registrar, POOL, &words)?
            }
            (Ours, Trade::Jobs) => {
                let words = words(&[format!("capacity={CAPACITY}")]);
                ours(stage, "calculator-server", host, registrar, &words)?
            }
            (Ours, Trade::Packages) => {
                ours(stage, "scripting-server", host, registrar, &[format!("seconds={WORK}")])?
            }
            (Rsplibs, Trade::Packages) => anyhow::bail!("there is no round with it"),
            (Rsplibs, Trade::Pictures) => {
                let more = ["-policy=LeastUsed", "-fgpcookiemaxtime=100", "-fgpcookiemaxpackets=1"];
                rsplibs(stage, "-fractal", host, registrar, &more)?
            }
            (Rsplibs, Trade::Jobs) => {
                let capacity = format!("-capcapacity={CAPACITY}");
                let more = ["-policy=LeastUsed", "-capcookiemaxtime=0.5", &capacity];
                rsplibs(stage, "-calcapp", host, registrar, &more)?
            }
        };
        Ok(Self { host, whose, trade, program })
    }

    /// Has it end in good order, and looks whether it has gone on from another's cookie.
    fn has_continued(mut self) -> Result<bool> {
        self.program.signal(Signal::SIGINT);
        if self.program.wait(PATIENCE).is_err() {
            self.program.kill();
        }
        let said = self.program.output();
        Ok(match (self.whose, self.trade) {
            (Ours, _) => said.contains("continued: ") && !said.contains("continued: 0"),
            (Rsplibs, Trade::Pictures) => said.contains("Got CookieEcho"),
            (Rsplibs, _) => said.contains("accepted from cookie echo"),
        })
    }
}

/// An element that is an example of `asap-client`. Each life has a log of its own.
fn ours(stage: &mut Stage, name: &str, host: u8, registrar: &Member, words: &[String]) -> Result<Program> {
    let mut command = example(name, host, registrar, POOL)?;
    command.args(words);
    stage.start(host, &format!("{name}-{host}-{}", clock::now()), &mut command)
}

fn rsplibs(stage: &mut Stage, option: &str, host: u8, registrar: &Member, more: &[&str]) -> Result<Program> {
    Service { option, pool: POOL, id: 0xe0 + u32::from(host), more }.start(stage, host, &[registrar.number])
}

/// A pool of two servers, with its registrar; the user's packets take their time.
struct Pool {
    registrar: Member,
    servers: Vec<Server>,
}

impl Pool {
    fn start(stage: &mut Stage, trade: Trade, whose: [Whose; 2]) -> Result<Self> {
        let mut registrar = members(&[Kind::Ours]).remove(0);
        registrar.start(stage)?;
        let mut pool = Self { registrar, servers: Vec::new() };
        for (host, whose) in HOSTS.into_iter().zip(whose) {
            pool.servers.push(Server::start(stage, &pool.registrar, trade, whose, host)?);
        }
        until_registered(stage, &pool.registrar, POOL, pool.servers.len())?;
        stage.delay(USER, RTT)?;
        Ok(pool)
    }

    /// Kills the server where the user is, and waits until it is at the other one.
    fn kill(&mut self, stage: &Stage) -> Result<(Whose, u8)> {
        let here = until("a session", || at(stage, &HOSTS))?;
        let dies = self.servers.iter().position(|server| server.host == here).context("nobody serves")?;
        let Server { whose, mut program, .. } = self.servers.remove(dies);
        program.kill();
        let next = until("a session elsewhere", || at(stage, &HOSTS).filter(|host| *host != here))?;
        stage.note(format!("the server at host {here} is killed, and the client is at host {next}"));
        Ok((whose, here))
    }

    /// Starts a server again that was killed.
    fn restart(&mut self, stage: &mut Stage, trade: Trade, (whose, host): (Whose, u8)) -> Result<()> {
        until_registered(stage, &self.registrar, POOL, self.servers.len())?;
        self.servers.push(Server::start(stage, &self.registrar, trade, whose, host)?);
        until_registered(stage, &self.registrar, POOL, self.servers.len())
    }

    /// All have gone on from a cookie.
    fn finish(mut self) -> Result<()> {
        self.registrar.check()?;
        for server in self.servers {
            let (host, whose) = (server.host, server.whose);
            ensure!(
                server.has_continued()?,
                "the server at host {host} ({whose:?}) has not gone on from a cookie"
            );
        }
        Ok(())
    }
}

/// Looks every few milliseconds: what is waited for may be over soon.
fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> Result<T> {
    Ok(clock::until(what, PATIENCE, condition)?)
}

/// Waits for what a program has said.
fn until_said(program: &mut Program, what: &str, condition: impl Fn(&str) -> bool) -> Result<()> {
    until(what, || {
        if condition(&program.output()) {
            return Some(Ok(()));
        }
        let status = program.ended()?;
        Some(Err(anyhow::anyhow!("{} ended: {status}\n{}", program.name(), program.output())))
    })?
}

/// Our client has a picture computed, all in one; both servers die, each when it is there.
fn our_pictures(stage: &mut Stage, whose: [Whose; 2]) -> Result<String> {
    let words = PICTURE.map(str::to_owned);
    let mut pool = Pool::start(stage, Trade::Pictures, whose)?;
    let alone = fractal::computed_alone(stage, &pool.registrar, &words)?;
    let own = ["rows=1000000", "sessions=1"].map(str::to_owned);
    let mut client = fractal::client(stage, &pool.registrar, POOL, "together", &[&words[..], &own].concat())?;
    for (death, come) in COME.into_iter().enumerate() {
        until_said(&mut client, &format!("{come} % of the picture"), |said| percent(said) >= come)?;
        let killed = pool.kill(stage)?;
        if death == 0 {
            pool.restart(stage, Trade::Pictures, killed)?;
        }
    }
    let said = fractal::finished(&mut client)?;
    ensure!(
        fractal::picture(stage, "together")? == alone,
        "the picture is another one than that computed alone: {said}"
    );
    let [_, continued, _] = fractal::numbers(&said).with_context(|| said.clone())?;
    // A cookie of rsplib's may tell of points that were never sent: they are asked for again at the end.
    ensure!(continued >= 2, "no other element went on from a cookie: {said}");
    pool.finish()?;
    stage.note(&said);
    Ok(said)
}

/// How far our client is.
fn percent(said: &str) -> u64 {
    let percent = |line: &str| line.split_once(" %: ")?.0.parse().ok();
    said.lines().rev().find_map(percent).unwrap_or_default()
}

/// Our client has a job done; both servers die, each when it is there.
fn our_jobs(stage: &mut Stage, whose: [Whose; 2]) -> Result<String> {
    let mut pool = Pool::start(stage, Trade::Jobs, whose)?;
    let mut command = example("calculator-client", USER, &pool.registrar, POOL)?;
    command.args([format!("size={JOB}"), "parts=1".to_owned()]);
    let mut client = stage.start(USER, "calculator-client", &mut command)?;
    until_said(&mut client, "the job's beginning", |said| said.contains("begins at"))?;
    for death in [1, 2] {
        clock::pass(CALCULATED)?;
        let killed = pool.kill(stage)?;
        if death == 1 {
            pool.restart(stage, Trade::Jobs, killed)?;
        }
    }
    let said = fractal::finished(&mut client)?;
    ensure!(said.starts_with(&format!("{JOB} calculations")), "{said}");
    let times = client.output().matches(": goes on at").count();
    ensure!(times == 2, "{times} times another element went on from a cookie:\n{}", client.output());
    pool.finish()?;
    stage.note(&said);
    Ok(said)
}

/// rsplib's client has jobs done; both servers die, each when it is there with a job.
fn their_jobs(stage: &mut Stage, whose: [Whose; 2]) -> Result<String> {
    let mut pool = Pool::start(stage, Trade::Jobs, whose)?;
    let mut command = rsplibs_client("calcappclient", &pool.registrar);
    command.args([format!("-jobsize={JOB}"), "-jobinterval=0.1".to_owned(), "-runtime=600".to_owned()]);
    let mut client = stage.start(USER, "calcappclient", &mut command)?;
    for death in [1, 2] {
        // Its jobs are of random sizes: one that is soon done is not waited for.
        let begun = loop {
            let all = done(&client.output()) + 1;
            until_said(&mut client, "a job", |said| accepted(said) >= all)?;
            clock::pass(CALCULATED)?;
            if accepted(&client.output()) > done(&client.output()) {
                break all;
            }
        };
        let killed = pool.kill(stage)?;
        until_said(&mut client, "the end of the job", |said| done(said) >= begun)?;
        if death == 1 {
            pool.restart(stage, Trade::Jobs, killed)?;
        }
    }
    let jobs = done(&client.output());
    client.signal(Signal::SIGINT);
    client.wait(PATIENCE)?;
    pool.finish()?;
    let said = format!("{jobs} jobs were done");
    stage.note(&said);
    Ok(said)
}

fn rsplibs_client(name: &str, registrar: &Member) -> Command {
    // Into a file it would write only what fills a page.
    let mut command = Command::new("stdbuf");
    command.args(["-oL", name, "-asapannounce=off", "-logcolor=off"]);
    command.arg(format!("-registrar={}", asap(registrar.number))).arg(format!("-poolhandle={POOL}"));
    command
}

/// Jobs that rsplib's client has begun: one is accepted again where it goes on.
fn accepted(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("Request for job #")).count()
}

/// Jobs that were done for rsplib's client.
fn done(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("Job #") && line.ends_with(" completed:")).count()
}

/// rsplib's client has a package worked on, and its server dies meanwhile: it begins again at the other.
pub(super) fn packages(stage: &mut Stage) -> Result<String> {
    let package: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
    fs::write(stage.directory().join("package.in"), &package)?;
    let mut pool = Pool::start(stage, Trade::Packages, [Ours, Ours])?;
    let mut command = rsplibs_client("scriptingclient", &pool.registrar);
    command.args(["-input=package.in", "-output=package.out"]).arg(format!("-retrydelay={RETRY}"));
    let mut client = stage.start(USER, "scriptingclient", &mut command)?;
    until_said(&mut client, "the work", |said| said.contains("is processing"))?;
    pool.kill(stage)?;
    let status = client.wait(PATIENCE)?;
    ensure!(status.success(), "the client ended with {status}: {}", client.output());
    let made = fs::read(stage.directory().join("package.out")).context("nothing came back")?;
    ensure!(made == package, "{} octets came back of {}", made.len(), package.len());
    pool.registrar.check()?;
    let said = format!("a package of {} octets came back", package.len());
    stage.note(&said);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_clients_are_is_read() {
        assert_eq!(
            percent("3 %: 1 of 30 points\n17 %: 5 of 30 points\nrows from 0: element 1 is lost: x\n"),
            17
        );
        assert_eq!(percent(""), 0);
        let said = "Request for job #1 (job size 5)\nJob #1 accepted\nJob #1 accepted\nJob #1 completed:\n   JobSize\n\
                    Request for job #2 (job size 7)\n";
        assert_eq!((accepted(said), done(said)), (2, 1));
    }
}
