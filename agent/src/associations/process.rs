//! What /proc says of a process.

use std::path::PathBuf;

/// The user whose process this is, as far as the kernel would let the user look into it: all its user ids are his, and it
/// has not gained rights beyond his.
#[must_use]
pub fn owner(pid: i32) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    // The directory is root's where the process may not be traced by its user.
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = ids.split_whitespace().map(str::parse);
    ids.all(|id| id == Ok(owner)).then_some(owner)
}

/// The capabilities that a process has in effect (capabilities(7)), one bit each.
#[must_use]
pub fn effective_capabilities(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// The program that a process runs, if that can be read. One that was replaced on disk while it runs keeps its name.
#[must_use]
pub fn executable(pid: i32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = path.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_process_is_told_and_of_one_that_is_not_there_nobody() {
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!(owner(std::process::id().cast_signed()), Some(own));
        assert_eq!(owner(i32::MAX), None);
    }
}
