//! A pool of our elements, each at a host of its own, and a user who sends requests at a steady pace.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::clock::{self, Nanos};
use crate::process::Program;
use crate::registrar::{Kind, Member, PATIENCE, Stage, USER, address, asap, members, until};
use crate::traffic::{AssociationRecord, ClientRecord, Progress, elements};

/// Where elements serve.
const PORT: u16 = 7000;

/// From request to request: shorter than what is measured, and no work for an emulated processor.
const INTERVAL: Duration = Duration::from_millis(10);

/// An element. Its host's number is in its identifier.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) host: u8,
    program: Program,
}

impl Element {
    /// Starts it; it is registered then.
    pub(super) fn start(stage: &mut Stage, host: u8, registrar: &Member) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["traffic", "element", "--registrar", &asap(registrar.number)]);
        command.args(["--local", &address(host).to_string(), "--port", &PORT.to_string()]);
        command.args(["--id", &u32::from(host).to_string()]);
        // Each run has a log of its own: what the one before said is no answer.
        let name = format!("element-{host}-{}", clock::now());
        let mut program = stage.start(host, &name, &mut command)?;
        until(&format!("the registration of element {host}"), || {
            if let Some(status) = program.ended() {
                return Some(Err(anyhow::anyhow!("it ended at once: {status}\n{}", program.output())));
            }
            program.output().contains("registered at").then_some(Ok(()))
        })??;
        Ok(Self { host, program })
    }

    /// Ends it with SIGKILL; says when.
    pub(super) fn kill(&mut self) -> Nanos {
        let at = clock::now();
        self.program.kill();
        at
    }
}

/// The pool, with its registrar and its user.
#[derive(Debug)]
pub(super) struct Pool {
    registrar: Member,
    elements: Vec<Element>,
    user: Program,
}

impl Pool {
    /// Starts the registrar, elements at these hosts and a user, whose session is at one of them then. `rtt_ms`: the
    /// round trip between the user and all others.
    pub(super) fn start(stage: &mut Stage, hosts: &[u8], rtt_ms: f64) -> Result<Self> {
        let mut registrar = members(&[Kind::Ours]).remove(0);
        registrar.start(stage)?;
        let started: Result<Vec<_>> =
            hosts.iter().map(|&host| Element::start(stage, host, &registrar)).collect();
        let elements = started?;
        stage.note(format!("{} elements are registered", elements.len()));
        stage.delay(USER, rtt_ms)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["traffic", "user", "--registrar", &asap(registrar.number)]);
        command.args(["--local", &address(USER).to_string()]);
        command.args(["--interval", &INTERVAL.as_millis().to_string()]);
        command.arg("--json").arg(stage.directory().join("user.json"));
        let user = stage.start(USER, "user", &mut command)?;
        let mut pool = Self { registrar, elements, user };
        let first = pool.until_elsewhere(0)?;
        stage.note(format!("the session is at element {first}"));
        Ok(pool)
    }
}

impl Pool {
    /// How many elements the session has been at, each time counted.
    pub(super) fn visits(&self) -> usize {
        elements(&self.user.output()).len()
    }

    /// The host of the element where the session is.
    pub(super) fn at(&self) -> Result<u8> {
        let last = elements(&self.user.output()).last().copied();
        Ok(u8::try_from(last.context("the session is at no element")?)?)
    }

    /// The element at a host.
    pub(super) fn element(&mut self, host: u8) -> Result<&mut Element> {
        let found = self.elements.iter_mut().find(|element| element.host == host);
        found.with_context(|| format!("there is no element at host {host}"))
    }

    /// Has an element's program end, if it has not, and starts it again; it is registered then.
    pub(super) fn restart(&mut self, stage: &mut Stage, host: u8) -> Result<()> {
        self.elements.retain(|element| element.host != host);
        self.elements.push(Element::start(stage, host, &self.registrar)?);
        Ok(())
    }

    /// Waits until the session has been at more elements than these; at which host it is then.
    pub(super) fn until_elsewhere(&mut self, visits: usize) -> Result<u8> {
        self.until("the session to be at another element", |pool| (pool.visits() > visits).then_some(()))?;
        self.at()
    }

    /// Waits until a request that was sent after this moment is answered.
    pub(super) fn until_answered(&mut self, since: Nanos) -> Result<()> {
        self.until("an answer", |pool| (pool.progress()?.reached > since).then_some(()))
    }

    /// Waits until so many requests were sent.
    pub(super) fn until_sent(&mut self, requests: u64) -> Result<()> {
        self.until("all requests", |pool| (pool.progress()?.sent >= requests).then_some(()))
    }

    fn until<T>(&mut self, what: &str, mut condition: impl FnMut(&Self) -> Option<T>) -> Result<T> {
        until(what, || {
            if let Some(status) = self.user.ended() {
                return Some(Err(anyhow::anyhow!("the user ended: {status}\n{}", self.user.output())));
            }
            condition(self).map(Ok)
        })?
    }

    /// How far the user says it is.
    fn progress(&self) -> Option<Progress> {
        self.user.output().lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    /// Has the user end once all is answered, and looks whether each answer has come once and in order.
    ///
    /// # Errors
    /// It has not.
    pub(super) fn finish(mut self, stage: &Stage) -> Result<AssociationRecord> {
        self.user.signal(Signal::SIGTERM);
        let status = self.user.wait(PATIENCE)?;
        ensure!(status.success(), "the user ended with {status}: {}", self.user.output());
        self.registrar.check()?;
        let json = fs::read(stage.directory().join("user.json")).context("the user left no account")?;
        let mut record: ClientRecord = serde_json::from_slice(&json)?;
        let record = record.associations.pop().context("the user had no session")?;
        let AssociationRecord { lost, out_of_order, duplicates, foreign, .. } = record;
        if lost || !record.complete() || out_of_order + duplicates + foreign > 0 {
            bail!(
                "{} of {} requests were answered, {out_of_order} out of order, {duplicates} twice, {foreign} wrongly; \
                 the session ended before: {lost}",
                record.echoes(),
                record.sent.len()
            );
        }
        Ok(record)
    }
}
