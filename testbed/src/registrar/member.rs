//! A registrar of a cluster: ours or rsplib's, each with its own defaults.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use roam_registrar::driver::fetch_dump;
use roam_registrar::dump::Dump;
use sctp_sys::diag;

use super::stage::{Stage, address};
use super::{programs, user};
use crate::clock::{self, Nanos};
use crate::process::Program;
use crate::scenario::beside;

const START: Duration = Duration::from_secs(60);
const ENRP_PORT: u16 = 9901;

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Rsplib,
}

/// A registrar. Its number is its host's, and its identifier.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) number: u8,
    pub(crate) kind: Kind,
    others: Vec<u8>,
    /// More words of its command line (rsplib's), or lines of its configuration (ours).
    pub(crate) more: &'static [&'static str],
    program: Option<Program>,
    /// It runs, and its host reaches nobody.
    is_cut_off: bool,
}

/// Where registrars speak ENRP, as command lines have it.
pub(crate) fn enrp(number: u8) -> String {
    SocketAddr::new(address(number), ENRP_PORT).to_string()
}

/// Where registrars serve elements and users.
pub(crate) fn asap(number: u8) -> String {
    SocketAddr::new(address(number), asap_client::wire::PORT).to_string()
}

/// Registrars 1, 2, ... of these kinds, each knowing the others' addresses; not started.
pub(crate) fn members(kinds: &[Kind]) -> Vec<Member> {
    let numbers: Vec<u8> = (1..).take(kinds.len()).collect();
    let others = |own: u8| numbers.iter().copied().filter(|number| *number != own).collect();
    let member = |(&number, &kind)| {
        let (others, more) = (others(number), &[][..]);
        Member { number, kind, others, more, program: None, is_cut_off: false }
    };
    numbers.iter().zip(kinds).map(member).collect()
}

impl Member {
    /// For people.
    pub(crate) fn name(&self) -> String {
        let whose = match self.kind {
            Kind::Ours => "ours",
            Kind::Rsplib => "rsplib's",
        };
        format!("registrar {} ({whose})", self.number)
    }

    pub(crate) fn id(&self) -> u32 {
        self.number.into()
    }

    fn runtime(&self, stage: &Stage) -> PathBuf {
        stage.directory().join(format!("registrar-{}", self.number))
    }

    /// Starts it, and waits until it serves elements and users.
    pub(crate) fn start(&mut self, stage: &mut Stage) -> Result<()> {
        let mut command = match self.kind {
            Kind::Ours => {
                let mut command = Command::new(beside("roam-registrar")?);
                let file = stage.directory().join(format!("registrar-{}.toml", self.number));
                fs::write(&file, self.configuration())?;
                command.arg("--config").arg(file).arg("--runtime-dir").arg(self.runtime(stage));
                command
            }
            Kind::Rsplib => {
                let mut command = Command::new("rspregistrar");
                command.args(["-asapannounce=off", "-enrpannounce=off", "-loglevel=3", "-logcolor=off"]);
                command.arg(format!("-identifier={:#010x}", self.id()));
                command.arg(format!("-asap={}", asap(self.number)));
                command.arg(format!("-enrp={}", enrp(self.number)));
                command.args(self.others.iter().map(|other| format!("-peer={}", enrp(*other))));
                command.args(self.more);
                command
            }
        };
        let mut program = stage.start(self.number, &format!("registrar-{}", self.number), &mut command)?;
        let name = self.name();
        let host = stage.host(self.number)?;
        clock::until(&format!("the start of {name}"), START, || {
            if let Some(status) = program.ended() {
                return Some(Err(anyhow::anyhow!("{name} ended at once: {status}\n{}", program.output())));
            }
            let endpoints = host.enter(diag::snapshot_by_sock_diag).ok()?.endpoints;
            let listens = |port| endpoints.iter().any(|one| one.listening && one.local_port == port);
            (listens(asap_client::wire::PORT) && listens(ENRP_PORT)).then_some(Ok(()))
        })??;
        self.program = Some(program);
        stage.note(format!("{name} is started"));
        Ok(())
    }

    /// What the registrar is told: where it is and who the others are, nothing else.
    fn configuration(&self) -> String {
        let mut text = format!(
            "listen = [{:?}]\nidentifier = {}\n[enrp]\nlisten = {:?}\n",
            asap(self.number),
            self.id(),
            enrp(self.number)
        );
        for other in &self.others {
            let _ = write!(text, "[[enrp.peer]]\naddress = {:?}\n", enrp(*other));
        }
        for line in self.more {
            text += line;
            text.push('\n');
        }
        text
    }

    /// It runs, and can be asked.
    pub(crate) fn is_up(&self) -> bool {
        self.program.is_some() && !self.is_cut_off
    }

    /// Cuts its host off; says when.
    pub(crate) fn cut_off(&mut self, stage: &Stage) -> Result<Nanos> {
        stage.link(self.number, false)?;
        let at = clock::now();
        self.is_cut_off = true;
        stage.note(format!("{} is cut off", self.name()));
        Ok(at)
    }

    /// Connects its host again.
    pub(crate) fn reconnect(&mut self, stage: &Stage) -> Result<()> {
        stage.link(self.number, true)?;
        self.is_cut_off = false;
        stage.note(format!("{} is connected again", self.name()));
        Ok(())
    }

    /// Ours: has it hand its elements to others and stop, for so many seconds at most. The program ends when that is
    /// over.
    pub(crate) fn drain(&self, stage: &mut Stage, seconds: u32) -> Result<Program> {
        let mut command = Command::new(beside("roam-registrar")?);
        command.arg("--runtime-dir").arg(self.runtime(stage)).arg("drain");
        command.arg(format!("--timeout={seconds}s"));
        let program = stage.start(self.number, &format!("drain-{}", self.number), &mut command)?;
        stage.note(format!("{} is drained", self.name()));
        Ok(program)
    }

    /// Waits until it has ended as it was told to.
    pub(crate) fn until_ended(&mut self, stage: &Stage) -> Result<()> {
        let name = self.name();
        if let Some(mut program) = self.program.take() {
            let status = program.wait(super::PATIENCE)?;
            if !status.success() {
                bail!("{name} has ended with {status}: {}", program.output());
            }
        }
        stage.note(format!("{name} has ended"));
        Ok(())
    }

    /// Sends it SIGTERM.
    pub(crate) fn terminate(&mut self, stage: &Stage) {
        if let Some(program) = &mut self.program {
            program.signal(Signal::SIGTERM);
        }
        stage.note(format!("{} is ended (SIGTERM)", self.name()));
    }

    /// Kills it with SIGKILL; says when.
    pub(crate) fn kill(&mut self, stage: &Stage) -> Nanos {
        let at = clock::now();
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
        stage.note(format!("{} is killed (SIGKILL)", self.name()));
        at
    }

    /// Fails if it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let name = self.name();
        match self.program.as_mut().and_then(Program::ended) {
            Some(status) => bail!("{name} ended by itself: {status}"),
            None => Ok(()),
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.program.as_ref().map(Program::output).unwrap_or_default()
    }

    /// Ours: what it knows.
    pub(crate) fn dump(&self, stage: &Stage) -> Option<Dump> {
        (self.kind == Kind::Ours).then(|| fetch_dump(&self.runtime(stage)).ok()).flatten()
    }

    /// The homes of a pool's elements by their identifiers, as it sees them. rsplib's registrar is asked by rsplib's own
    /// tool, which is a peer of all for some seconds afterwards.
    ///
    /// # Errors
    /// The tool cannot be started, or somebody interrupts.
    pub(crate) fn homes(&self, stage: &mut Stage, pool: &str) -> Result<BTreeMap<u32, u32>> {
        let homes = match self.kind {
            Kind::Ours => {
                let pools = self.dump(stage).map(|dump| dump.pools).unwrap_or_default();
                let own = pools.into_iter().filter(|one| one.handle == pool);
                own.flat_map(|one| one.elements).map(|element| (element.id, element.home)).collect()
            }
            Kind::Rsplib => {
                let listed = programs::hsdump(stage, self.number)?;
                let own = listed.into_iter().filter(|one| one.pool == pool);
                own.map(|one| (one.id, one.home)).collect()
            }
        };
        Ok(homes)
    }

    /// Waits until it tells these elements of a pool and no others.
    ///
    /// # Errors
    /// It does not, or somebody interrupts.
    pub(crate) fn until_told(
        &self,
        stage: &mut Stage,
        pool: &str,
        wanted: &BTreeMap<u32, user::Place>,
    ) -> Result<()> {
        let mut told = BTreeMap::new();
        let what = format!("pool {pool} at {}", self.name());
        let waited = super::until(&what, || {
            told = user::places(stage, self.number, pool);
            (told == *wanted).then_some(())
        });
        match waited {
            Err(clock::Waited::TooLong { .. }) => {
                bail!("{} tells {told:?} of pool {pool}, and not {wanted:?}", self.name())
            }
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roam_registrar::config::Config;

    #[test]
    fn our_registrar_takes_the_configuration_that_is_written_for_it() {
        let members = members(&[Kind::Ours, Kind::Rsplib, Kind::Ours]);
        let config = Config::parse("registrar.toml".as_ref(), &members[2].configuration()).unwrap();
        assert_eq!(config.listen, ["10.0.0.3:3863".parse().unwrap()]);
        let peers: Vec<_> = config.enrp.peer.iter().flat_map(|peer| &peer.address).collect();
        assert_eq!(peers, [&"10.0.0.1:9901".parse().unwrap(), &"10.0.0.2:9901".parse().unwrap()]);
    }
}
