//! Programs that the testbed starts: each in a namespace, its output in a file, ended when dropped.

use std::fs::{self, File};
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

    fn proc(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.pid().to_string()).join(file)
    }

    /// The processor's time that its threads have used, in user and kernel.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut used = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            // One that has ended meanwhile does nothing any more.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            // In nanoseconds; then come the time that it waited for a processor and how often it had one.
            used += text.split_whitespace().next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(used))
    }

    /// Octets of it that are in memory.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.proc("status"))?;
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        Ok(kib.unwrap_or(0u64) * 1024)
    }

    /// How often its first thread has gone to sleep, and so was woken.
    ///
    /// # Errors
    /// It has ended.
    pub fn sleeps(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.proc("status"))?;
        let count =
            text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok());
        Ok(count.unwrap_or(0))
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
