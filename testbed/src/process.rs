//! Programs that the testbed starts: each in a namespace, its output in a file, ended when dropped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;
use crate::netns::Namespace;

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts it in the namespace; standard output and error are appended to `log`.
    ///
    /// # Errors
    /// The program is not there, or the system's.
    pub fn start(namespace: &Namespace, name: &str, log: &Path, command: &mut Command) -> io::Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = namespace
            .enter(|| command.spawn())
            .map_err(|cause| io::Error::new(cause.kind(), format!("{:?}: {cause}", command.get_program())))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), status: None })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has said so far.
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let _ = kill(Pid::from_raw(self.pid()), signal);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It goes on, or somebody interrupts.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, clock::Waited> {
        let what = format!("the end of {}", self.name);
        clock::until(&what, limit, || self.ended())
    }

    /// Asks it to end and waits; kills it when it does not.
    pub fn stop(&mut self, limit: Duration) {
        self.signal(Signal::SIGTERM);
        if self.wait(limit).is_err() {
            self.kill();
        }
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
