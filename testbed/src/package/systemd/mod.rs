//! The packages under a systemd of their own: on a host that is thrown away it is started as the first process of new
//! namespaces, boots no more than is needed, and has the packages installed, used and removed.
//!
//! | file | what it holds |
//! |---|---|
//! | `boot` | starting it, and getting in |
//! | `manager` | what it is asked |
//! | `course` | what is done with the packages there |

mod boot;
mod course;
mod manager;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::guest;

pub use course::run as inside;

/// Programs that this needs, and the packages that have them.
pub(super) const NEEDED: [(&str, &str); 2] = [(boot::SYSTEMD, "systemd"), ("nsenter", "util-linux")];

/// Starts systemd and has this very program try the packages of the directory beside it.
///
/// # Errors
/// Not root, or systemd cannot be started.
pub fn run(directory: &Path) -> Result<ExitCode> {
    guest::demand_throw_away()?;
    let systemd = boot::Systemd::start()?;
    let status = systemd.enter(&std::env::current_exe()?).arg("try-units-inside").arg(directory).status()?;
    ensure!(status.success(), "the packages could not be installed, used and removed under systemd");
    Ok(ExitCode::SUCCESS)
}
