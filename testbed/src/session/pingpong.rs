//! Ping-pong: the examples of `asap-client` as they are, rsplib's service and its client, and both together.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::{RTT, Whose, at, example, until_registered};
use crate::process::Program;
use crate::registrar::{Kind, Member, PATIENCE, Service, Stage, TooSlow, USER, asap, members, until};

const POOL: &str = "PingPongPool";

/// Where the two servers are.
const HOSTS: [u8; 2] = [10, 11];

/// Milliseconds from ping to ping.
const INTERVAL: u32 = 30;

/// Pongs before the first death, and after each.
const PONGS: usize = 20;

/// Pings of our client, which ends after them: more than are sent until both servers have died.
const PINGS: usize = 400;

use Whose::{Ours, Rsplibs};

pub(super) fn ours(stage: &mut Stage) -> Result<String> {
    play(stage, Ours, [Ours, Ours])
}

pub(super) fn our_client(stage: &mut Stage) -> Result<String> {
    play(stage, Ours, [Rsplibs, Rsplibs])
}

pub(super) fn our_client_mixed(stage: &mut Stage) -> Result<String> {
    play(stage, Ours, [Ours, Rsplibs])
}

pub(super) fn our_servers(stage: &mut Stage) -> Result<String> {
    play(stage, Rsplibs, [Ours, Ours])
}

pub(super) fn rsplibs_client_mixed(stage: &mut Stage) -> Result<String> {
    play(stage, Rsplibs, [Ours, Rsplibs])
}

pub(super) fn rsplibs(stage: &mut Stage) -> Result<String> {
    play(stage, Rsplibs, [Rsplibs, Rsplibs])
}

/// A server.
#[derive(Debug, Clone, Copy)]
struct Server {
    host: u8,
    whose: Whose,
    /// All of the pool, and its users, are ours.
    sealed: bool,
}

impl Server {
    fn start(self, stage: &mut Stage, registrar: &Member) -> Result<Program> {
        match self.whose {
            Ours => {
                let mut command = example("pingpong-server", self.host, registrar, POOL)?;
                command.args((!self.sealed).then_some("plain"));
                stage.start(self.host, &format!("pingpong-server-{}", self.host), &mut command)
            }
            Rsplibs => {
                let service =
                    Service { option: "-pingpong", pool: POOL, id: 0xe0 + u32::from(self.host), more: &[] };
                service.start(stage, self.host, &[registrar.number])
            }
        }
    }
}

/// A client, and what it says.
struct Client {
    whose: Whose,
    program: Program,
}

impl Client {
    fn start(stage: &mut Stage, whose: Whose, registrar: &Member) -> Result<Self> {
        let mut command = match whose {
            Ours => {
                let mut command = example("pingpong-client", USER, registrar, POOL)?;
                command.args([PINGS.to_string(), INTERVAL.to_string()]);
                command
            }
            Rsplibs => {
                // Into a file it would write only what fills a page.
                let mut command = Command::new("stdbuf");
                command.args(["-oL", "pingpongclient", "-asapannounce=off", "-logcolor=off"]);
                command.arg(format!("-registrar={}", asap(registrar.number)));
                command.arg(format!("-poolhandle={POOL}")).arg(format!("-interval={INTERVAL}"));
                command
            }
        };
        let program = stage.start(USER, "client", &mut command)?;
        Ok(Self { whose, program })
    }

    /// Pongs that have come.
    fn pongs(&self) -> usize {
        let output = self.program.output();
        match self.whose {
            Ours => output.lines().filter(|line| line.starts_with("pong ")).count(),
            Rsplibs => acks(&output).len(),
        }
    }

    /// Waits until so many more pongs have come.
    fn until_more(&mut self, more: usize) -> Result<()> {
        let wanted = self.pongs() + more;
        until(&format!("{more} more pongs"), || {
            if self.pongs() >= wanted {
                return Some(Ok(()));
            }
            self.program.ended().map(|status| {
                if status.success() {
                    return Err(TooSlow("all pings were sent before both servers had died".to_owned()).into());
                }
                Err(anyhow::anyhow!("the client ended: {status}\n{}", self.program.output()))
            })
        })?
    }

    /// Has it come to its end; what it has seen.
    ///
    /// # Errors
    /// It has noticed something.
    fn finish(mut self) -> Result<String> {
        match self.whose {
            Ours => {
                let status = self.program.wait(PATIENCE)?;
                let output = self.program.output();
                let last = output.lines().last().unwrap_or_default();
                ensure!(
                    status.success() && last.contains(" pongs in order"),
                    "it ended with {status}: {last}"
                );
                Ok(last.split(", Counters").next().unwrap_or_default().to_owned())
            }
            Rsplibs => {
                self.program.signal(Signal::SIGINT);
                self.program.wait(PATIENCE)?;
                in_order(&acks(&self.program.output()))
            }
        }
    }
}

/// Both servers die, one after the other, each when the client is there.
fn play(stage: &mut Stage, client: Whose, servers: [Whose; 2]) -> Result<String> {
    let mut registrar = members(&[Kind::Ours]).remove(0);
    registrar.start(stage)?;
    let sealed = client == Ours && servers == [Ours, Ours];
    let servers = [0, 1].map(|which| Server { host: HOSTS[which], whose: servers[which], sealed });
    let mut running = Vec::new();
    for server in servers {
        running.push((server, server.start(stage, &registrar)?));
    }
    until_registered(stage, &registrar, POOL, running.len())?;
    stage.delay(USER, RTT)?;
    let mut client = Client::start(stage, client, &registrar)?;
    client.until_more(PONGS)?;
    for death in [1, 2] {
        let here = until("a session", || at(stage, &HOSTS))?;
        let dies =
            running.iter().position(|(server, _)| server.host == here).context("there is no server")?;
        let (server, mut program) = running.remove(dies);
        program.kill();
        let next = until("a session elsewhere", || at(stage, &HOSTS).filter(|host| *host != here))?;
        client.until_more(PONGS)?;
        stage.note(format!("the server at host {here} is killed, and the client is at host {next}"));
        if death == 1 {
            until_registered(stage, &registrar, POOL, running.len())?;
            running.push((server, server.start(stage, &registrar)?));
            until_registered(stage, &registrar, POOL, running.len())?;
        }
    }
    let seen = client.finish()?;
    registrar.check()?;
    stage.note(&seen);
    Ok(seen)
}

/// A pong, as rsplib's client tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ack {
    /// Of the day, in milliseconds.
    at: f64,
    ping: u64,
    pong: u64,
}

/// The pongs of rsplib's client.
fn acks(output: &str) -> Vec<Ack> {
    let ack = |line: &str| {
        let (before, after) = line.split_once(": Ack #")?;
        let (ping, after) = after.split_once(' ')?;
        let pong = after.split_once("(reply #")?.1.split_once(')')?.0;
        let mut time = before.rsplit(' ').next()?.splitn(3, ':').map(str::parse::<f64>);
        let mut next = || time.next()?.ok();
        let (hours, minutes, seconds) = (next()?, next()?, next()?);
        let at = ((hours * 60.0 + minutes) * 60.0 + seconds) * 1000.0;
        Some(Ack { at, ping: ping.parse().ok()?, pong: pong.parse().ok()? })
    };
    output.lines().filter_map(ack).collect()
}

/// Whether the pongs go on through the servers' deaths. rsplib's client sends no ping again, so that one may be missing, and
/// a server whose last cookie did not come has its last pong told once more.
fn in_order(acks: &[Ack]) -> Result<String> {
    for pair in acks.windows(2) {
        let [before, after] = [pair[0], pair[1]];
        ensure!(after.ping > before.ping, "ping {} was answered after ping {}", after.ping, before.ping);
        if after.pong != before.pong + 1 && after.pong != before.pong {
            bail!("pong {} came after pong {}", after.pong, before.pong);
        }
    }
    let pauses = acks.windows(2).map(|pair| pair[1].at - pair[0].at);
    let longest = pauses.fold(0.0, f64::max);
    let last = acks.last().context("no pong came")?;
    Ok(format!("{} pongs to {} pings, longest pause {longest:.0} ms", acks.len(), last.ping))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Message #58 sent
\u{1b}[39;47mNotification: RSERPOOL_FAILOVER for session 1, state=RSERPOOL_FAILOVER_COMPLETE, cookie=yes\u{1b}[0m
\u{1b}[34m22-Nov-2026 07:03:02.2152: Ack #58 from PE $000000e2 (reply #57)\u{1b}[0m
\u{1b}[34m22-Nov-2026 07:03:03.2526: Ack #60 from PE $000000e2 (reply #58)\u{1b}[0m
";

    #[test]
    fn the_pongs_of_rsplibs_client_are_read() {
        let acks = acks(SAID);
        assert_eq!(acks.iter().map(|ack| (ack.ping, ack.pong)).collect::<Vec<_>>(), [(58, 57), (60, 58)]);
        assert_eq!(in_order(&acks).unwrap(), "2 pongs to 60 pings, longest pause 1037 ms");
    }

    #[test]
    fn a_server_that_does_not_know_what_was_before_is_noticed() {
        let ack = |ping, pong| Ack { at: 0.0, ping, pong };
        assert!(in_order(&[ack(1, 1), ack(2, 2), ack(3, 2), ack(5, 3)]).is_ok());
        assert!(in_order(&[ack(1, 1), ack(2, 2), ack(3, 1)]).is_err(), "it began anew");
        assert!(in_order(&[ack(1, 1), ack(2, 3)]).is_err());
        assert!(in_order(&[ack(2, 1), ack(2, 2)]).is_err());
        assert!(in_order(&[]).is_err());
    }
}
