//! rsplib's services, users and tools, as Debian has them.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::member::{asap, enrp};
use super::stage::Stage;
use super::user::USER;
use crate::clock;
use crate::process::Program;

/// An element of rsplib's: one of the services of rspserver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service<'a> {
    /// The service's option, such as `-echo`.
    pub(crate) option: &'a str,
    pub(crate) pool: &'a str,
    pub(crate) id: u32,
    /// More options.
    pub(crate) more: &'a [&'a str],
}

/// How often rsplib's elements register again, in milliseconds; their life is three times as long.
pub(crate) const REREGISTRATION: u32 = 5000;

impl Service<'_> {
    /// Starts it at a host, with these registrars to choose from. It registers by itself.
    pub(crate) fn start(&self, stage: &mut Stage, host: u8, registrars: &[u8]) -> Result<Program> {
        let mut command = Command::new("rspserver");
        command.arg(self.option).args(["-asapannounce=off", "-loglevel=3", "-logcolor=off"]);
        command.args(registrars.iter().map(|number| format!("-registrar={}", asap(*number))));
        command.arg(format!("-poolhandle={}", self.pool)).arg(format!("-identifier={:#x}", self.id));
        command.arg(format!("-rereginterval={REREGISTRATION}")).args(self.more);
        let program = stage.start(host, &format!("rspserver-{:x}", self.id), &mut command)?;
        stage.note(format!("rsplib's element {:#x} is started, for pool {}", self.id, self.pool));
        Ok(program)
    }
}

/// Ends a program as a user does at a terminal.
pub(crate) fn interrupt(program: &mut Program) -> Result<()> {
    program.signal(Signal::SIGINT);
    if program.wait(Duration::from_secs(20)).is_err() {
        // rsplib's scripting service does not end while a session is open.
        program.kill();
    }
    Ok(())
}

/// An element as hsdump lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) pool: String,
    pub(crate) policy: String,
    pub(crate) id: u32,
    pub(crate) home: u32,
    /// In milliseconds.
    pub(crate) life: u64,
}

/// What rsplib's hsdump shows of the handlespace of a registrar.
///
/// # Errors
/// It cannot be started or goes on for ever.
pub(crate) fn hsdump(stage: &mut Stage, registrar: u8) -> Result<Vec<Listed>> {
    let name = format!("hsdump-{registrar}-{}", clock::now());
    let mut program = stage.start(USER, &name, Command::new("hsdump").arg(enrp(registrar)))?;
    program.wait(super::PATIENCE)?;
    Ok(listed(&program.output()))
}

/// The elements of hsdump's index.
fn listed(text: &str) -> Vec<Listed> {
    let mut found: Vec<Listed> = Vec::new();
    let (mut pool, mut policy, mut id) = (String::new(), String::new(), None);
    // The same follows once more in the order of selection.
    let index = text.split("*-- Index:").nth(1).unwrap_or_default();
    let index = index.split("*-- Selection:").next().unwrap_or_default();
    for line in index.lines() {
        let mut quoted = line.split('"');
        if line.contains("+-- Pool \"") {
            pool = quoted.nth(1).unwrap_or_default().to_owned();
            policy = quoted.nth(1).unwrap_or_default().to_owned();
        } else if line.contains("- idx:#") {
            id = line.split_whitespace().find_map(|word| number(word.strip_prefix('$')?));
        } else if let (Some(own), Some(home)) = (id, field(line, "home=$")) {
            let life = line.split("life=").nth(1).and_then(|rest| rest.split("ms").next()?.parse().ok());
            let (pool, policy, life) = (pool.clone(), policy.clone(), life.unwrap_or_default());
            found.extend(number(home).map(|home| Listed { pool, policy, id: own, home, life }));
            id = None;
        }
    }
    found
}

/// What follows `key` on a line, up to a space.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(key).nth(1)?.split_whitespace().next()
}

fn number(hexadecimal: &str) -> Option<u32> {
    u32::from_str_radix(hexadecimal, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_that_hsdump_shows_are_read() {
        let text = r#"Got 1 pools, 2 PEs => now having 1 pools, 2 PEs
PeerList of $c5237eea (1 peers)
 +-- Peers by Index:
   - idx:#0001: $00000002 upd=1795277834616016 chsum=$0000b576 flags=[new][dynamic][fromPeer]
        addrs: {10.0.0.2} 9901/SCTP
Handlespace[home=$c5237eea]: (1 Pools, 2 PoolElements, 0 Owned)
*-- Index:
 +-- Pool "Echo Pool", Policy "RoundRobin", Protocol SCTP, CtrlCh=yes: (2 nodes)
 +-- Index:
   - idx:#0001: $000000e1 flags=[new][updated]
     chsum=$00005b3b home=$00000002 life=12000ms ur=0 
     t=$01 [w=0 l=0.000%($00000000)]
   - idx:#0002: $000000e2 flags=[new][updated]
     chsum=$00005a3b home=$00000001 life=300000ms ur=0 
*-- Selection:
 +-- Pool "Echo Pool", Policy "RoundRobin", Protocol SCTP, CtrlCh=yes: (2 nodes)
   - sel:#0001: $000000e1 flags=[new][updated]
     chsum=$00005b3b home=$00000002 life=12000ms ur=0 
"#;
        let one = |id, home, life| {
            let (pool, policy) = ("Echo Pool".to_owned(), "RoundRobin".to_owned());
            Listed { pool, policy, id, home, life }
        };
        assert_eq!(listed(text), [one(0xe1, 2, 12_000), one(0xe2, 1, 300_000)]);
        assert_eq!(listed(""), []);
    }
}
