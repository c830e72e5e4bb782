//! Network namespaces by name, below `/run/netns` so that `ip -n NAME` finds them, removed when dropped.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

const DIRECTORY: &str = "/run/netns";

/// A network namespace. Dropping it takes its name away; it is gone with the last process inside.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes one; its name begins with `label` and is like no other on this host.
    ///
    /// # Errors
    /// Not root, or the system's.
    pub fn create(label: &str) -> io::Result<Self> {
        Self::named(label, || unshare(CloneFlags::CLONE_NEWNET))
    }

    /// Gives the one in which this process is a name, such as [`create`](Self::create) gives.
    ///
    /// # Errors
    /// As there.
    pub fn own(label: &str) -> io::Result<Self> {
        Self::named(label, || Ok(()))
    }

    /// The one in which a thread is that has done this.
    fn named(label: &str, enter: impl FnOnce() -> nix::Result<()> + Send) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("roam-{}-{count}-{label}", std::process::id());
        fs::create_dir_all(DIRECTORY)?;
        let path = PathBuf::from(DIRECTORY).join(&name);
        File::create_new(&path)?;
        let made = in_thread(|| {
            enter()?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            File::open(&path)
        });
        match made {
            Ok(file) => Ok(Self { name, file }),
            Err(cause) => {
                let _ = umount2(&path, MntFlags::MNT_DETACH);
                let _ = fs::remove_file(&path);
                Err(cause)
            }
        }
    }

    /// Its name, as `ip -n` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `act` in a thread that has entered the namespace. What is opened or spawned there belongs to it.
    ///
    /// # Errors
    /// What `act` gives; the system's on entering.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            act()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let path = PathBuf::from(DIRECTORY).join(&self.name);
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&path);
    }
}

/// A thread may change its namespace; the process stays where it is.
fn in_thread<T: Send>(act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        scope.spawn(act).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
