//! What /proc says of a process.

use std::path::PathBuf;

/// The program that a process runs, if that can be read. One that was replaced on disk while it runs keeps its name.
#[must_use]
pub fn executable(pid: i32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = path.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}
