//! `roamd` at the user's host, which has the kernel give up no association.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use roam_agent::control::protocol::{Reply, Request};
use roam_agent::control::{AssociationReport, AssociationState, Client};

use crate::process::Program;
use crate::registrar::{Stage, USER, until};
use crate::scenario::beside;

/// A daemon that looks after all associations of the user's host.
#[derive(Debug)]
pub(super) struct Daemon {
    program: Program,
    runtime: PathBuf,
}

impl Daemon {
    /// Starts it; it answers then.
    pub(super) fn start(stage: &mut Stage) -> Result<Self> {
        let (file, runtime) = (stage.directory().join("roamd.toml"), stage.directory().join("roamd"));
        fs::write(&file, format!("[agent]\nruntime_dir = {:?}\n", runtime.display().to_string()))?;
        let mut command = Command::new(beside("roamd")?);
        command.arg("--config").arg(&file);
        let program = stage.start(USER, "roamd", &mut command)?;
        let mut daemon = Self { program, runtime };
        daemon.until("the start of roamd", |_| Some(()))?;
        stage.note("roamd looks after the associations of the user's host");
        Ok(daemon)
    }

    /// Waits until it looks after an association with this address.
    pub(super) fn until_adopted(&mut self, peer: IpAddr) -> Result<()> {
        self.until("roamd to look after the session's association", |found| {
            let found = found.iter().find(|it| it.peer.contains(&peer))?;
            (found.state == AssociationState::Settled).then_some(())
        })
    }

    fn until<T>(&mut self, what: &str, fits: impl Fn(&[AssociationReport]) -> Option<T>) -> Result<T> {
        until(what, || {
            if let Some(status) = self.program.ended() {
                return Some(Err(anyhow::anyhow!("it ended: {status}\n{}", self.program.output())));
            }
            match Client::connect(&self.runtime).ok()?.ask(Request::Associations).ok()? {
                Reply::Associations(found) => fits(&found).map(Ok),
                other => Some(Err(anyhow::anyhow!("{other:?} is no list of associations"))),
            }
        })?
    }
}
