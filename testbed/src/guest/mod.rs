//! The guest: a small virtual machine whose kernel has SCTP, for hosts whose kernel has none. No KVM is needed:
//! software emulation boots in a few seconds.
//!
//! The guest sees this machine's file system read-only under a throw-away overlay, so everything built or installed
//! here runs there; only the share directory (`/share` in the guest) is written through. The kernel is Debian's own,
//! unpacked into the cache and not installed.

mod boot;
pub mod command;
mod kernel;
mod packages;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use kernel::Series;
pub use packages::require;

/// Set in the guest, and to be set by whoever wants no guest: commands run where they are.
pub const INSIDE: &str = "ROAM_TESTBED_INSIDE";

/// How a command is to be run in the guest.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which kernel.
    pub kernel: Series,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Time in the guest is the number of instructions of its one processor, 2 ns each, and passes at once where there is
    /// nothing to do: so figures are the same whatever else this machine does.
    pub by_instructions: bool,
    /// The longest that the command may take, boot included.
    pub limit: Duration,
    /// What is `/share` in the guest; a fresh temporary directory when not given.
    pub share: Option<PathBuf>,
    /// Others use the terminal, too: it has no input, and its output comes out in whole lines.
    pub beside_others: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel: Series::default(),
            memory: 2048,
            cpus: 2,
            by_instructions: false,
            limit: Duration::from_secs(3600),
            share: None,
            beside_others: false,
        }
    }
}

/// Whether commands that need SCTP can run right here: as root, on a kernel that can open an SCTP socket.
#[must_use]
pub fn native() -> bool {
    std::env::var_os(INSIDE).is_some()
        || (nix::unistd::geteuid().is_root() && sctp_sys::probe::Probe::look().sctp)
}

/// What changes the host that it runs on must not run on one that stays.
///
/// # Errors
/// This is not the guest.
pub fn demand_throw_away() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    ensure!(is_thrown_away(&mounts), "this would change the host; it runs in the guest alone");
    Ok(())
}

/// Whether the root among these mounts is the guest's, of which nothing is kept.
fn is_thrown_away(mounts: &str) -> bool {
    mounts.lines().any(|mount| {
        let mut fields = mount.split(' ').skip(1);
        (fields.next(), fields.next()) == (Some("/"), Some("overlay"))
            && fields.next().is_some_and(|options| options.contains(kernel::OVERLAY))
    })
}

/// Runs a command in the guest; its output comes out here. Returns its exit status, 124 if it took too long.
///
/// # Errors
/// Something that the guest needs cannot be had, or it does not boot.
pub fn run(options: &Options, command: &[OsString]) -> Result<i32> {
    let kernel = kernel::prepare(&options.kernel)?;
    boot::boot(&kernel, options, command)
}

/// Runs this very program with other arguments in the guest.
///
/// # Errors
/// As [`run`].
pub fn run_self(options: &Options, arguments: &[OsString]) -> Result<i32> {
    let program = std::env::current_exe().context("this program's own path")?;
    let mut command = vec![program.into_os_string()];
    command.extend_from_slice(arguments);
    run(options, &command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_guests_root_is_thrown_away() {
        let guest = format!("overlay / overlay rw,relatime,{},uuid=on 0 0\n", kernel::OVERLAY);
        assert!(is_thrown_away(&format!("proc /proc proc rw 0 0\n{guest}")));
        assert!(!is_thrown_away("/dev/vda / ext4 rw,relatime 0 0\n"));
        assert!(!is_thrown_away("overlay / overlay rw,lowerdir=/l,upperdir=/upper,workdir=/work 0 0\n"));
        assert!(!is_thrown_away(&guest.replace(" / ", " /mnt ")));
    }
}
