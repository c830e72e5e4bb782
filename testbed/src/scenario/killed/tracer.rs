//! A daemon's steps counted, and the daemon killed at one of them: each is a system call, and SIGKILL comes right before
//! the kernel carries it out, or right after.
//!
//! It is the daemon as it is shipped that is killed; nothing in it knows of this.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::call::{Call, Sieve};

/// A step: what is done, and the how manieth of those it is, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Step {
    pub(super) what: String,
    pub(super) number: usize,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.what, self.number)
    }
}

/// On which side of a step the daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The step is not done.
    Before,
    /// It is done, and nothing more.
    After,
}

impl Side {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// Counts a process's steps, until [`end`](Self::end) or until it is killed.
#[derive(Debug)]
pub(super) struct Tracer {
    pid: Pid,
    thread: JoinHandle<io::Result<Vec<Step>>>,
    enough: Arc<AtomicBool>,
    killed: Arc<AtomicBool>,
}

impl Tracer {
    /// Begins, and is to kill the process there. Only its first thread is looked at, which is the one that does
    /// everything. `programs`: the inodes of the sockets that it looks after.
    ///
    /// # Errors
    /// It may not be traced.
    pub(super) fn begin(pid: i32, programs: BTreeSet<u64>, at: Option<(Step, Side)>) -> Result<Self> {
        let pid = Pid::from_raw(pid);
        let (enough, killed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (begun, begins) = mpsc::channel();
        let trace = Trace {
            pid,
            at,
            sieve: Sieve::new(pid.as_raw(), programs),
            counts: HashMap::new(),
            steps: Vec::new(),
            dies: false,
            enough: Arc::clone(&enough),
            killed: Arc::clone(&killed),
        };
        // The kernel knows a tracer by its thread.
        let thread = std::thread::spawn(move || trace.follow(&begun));
        if begins.recv().is_err() {
            match thread.join() {
                Ok(Err(error)) => return Err(error).context("the daemon cannot be traced"),
                _ => bail!("the daemon ended"),
            }
        }
        Ok(Self { pid, thread, enough, killed })
    }

    /// Whether the process was killed.
    pub(super) fn killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }

    /// Lets go of the process, if it lives. Gives its steps.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn end(self) -> Result<Vec<Step>> {
        self.enough.store(true, Ordering::SeqCst);
        // Nobody minds this signal, but whoever is traced stops at it.
        let _ = kill(self.pid, Signal::SIGWINCH);
        match self.thread.join() {
            Ok(steps) => Ok(steps?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Trace {
    pid: Pid,
    at: Option<(Step, Side)>,
    sieve: Sieve,
    counts: HashMap<String, usize>,
    steps: Vec<Step>,
    /// At the end of the present call.
    dies: bool,
    enough: Arc<AtomicBool>,
    killed: Arc<AtomicBool>,
}

impl Trace {
    fn follow(mut self, begun: &mpsc::Sender<()>) -> io::Result<Vec<Step>> {
        ptrace::seize(self.pid, Options::PTRACE_O_TRACESYSGOOD)?;
        ptrace::interrupt(self.pid)?;
        loop {
            let signal = match waitpid(self.pid, Some(WaitPidFlag::__WALL))? {
                WaitStatus::PtraceSyscall(_) => {
                    if self.is_the_end()? {
                        self.killed.store(true, Ordering::SeqCst);
                        kill(self.pid, Signal::SIGKILL)?;
                        // Who started it waits for its end.
                        return Ok(self.steps);
                    }
                    None
                }
                WaitStatus::PtraceEvent(..) => {
                    let _ = begun.send(());
                    None
                }
                WaitStatus::Stopped(_, signal) => Some(signal).filter(|signal| *signal != Signal::SIGWINCH),
                _ => return Ok(self.steps),
            };
            if self.enough.load(Ordering::SeqCst) {
                ptrace::detach(self.pid, signal)?;
                return Ok(self.steps);
            }
            ptrace::syscall(self.pid, signal)?;
        }
    }

    /// Looks at the call that begins or ends; whether the process is to be killed now.
    fn is_the_end(&mut self) -> io::Result<bool> {
        let Some(call) = beginning(self.pid)? else { return Ok(self.dies) };
        let Some(what) = self.sieve.step(call) else { return Ok(false) };
        let number = self.counts.entry(what.clone()).or_default();
        *number += 1;
        let step = Step { what, number: *number };
        let side = self.at.as_ref().filter(|(wanted, _)| *wanted == step).map(|(_, side)| *side);
        self.steps.push(step);
        self.dies = side == Some(Side::After);
        Ok(side == Some(Side::Before))
    }
}

/// The call that begins; none: one ends.
#[cfg(target_arch = "x86_64")]
fn beginning(pid: Pid) -> io::Result<Option<Call>> {
    if ptrace::syscall_info(pid)?.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    let registers = ptrace::getregs(pid)?;
    let arguments = [registers.rdi, registers.rsi, registers.rdx];
    Ok(Some(Call { number: registers.orig_rax.cast_signed(), arguments }))
}

#[cfg(not(target_arch = "x86_64"))]
fn beginning(_pid: Pid) -> io::Result<Option<Call>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "system calls are looked at on x86-64 only"))
}
