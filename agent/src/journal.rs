//! What we added to the host, written down before it is done, so that nothing outlives us.
//!
//! A file in the runtime directory (memory, gone with the host), one JSON line for each addition and one for
//! each removal. Appended in one write each, read and compacted at the start; a line cut short by a crash is
//! dropped, which is right, since what it announces was never done.

mod cleanup;
mod entry;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

pub use self::cleanup::{Cleaned, cleanup};
pub use self::entry::Entry;

/// Identifies an entry from its recording to its forgetting.
pub type EntryId = u64;

/// Forgotten lines after which the file is written anew.
const STALE_LINES: usize = 4096;

/// The journal, open for one process at a time. Clones are handles on the same.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another daemon (or a cleanup) has it.
    #[error(
        "{} is in use by {}; stop it first (`systemctl stop roamd`, or by its process), or name another --runtime-dir",
        .directory.display(),
        .pid.map_or_else(|| "another roamd".to_owned(), |pid| format!("roamd, process {pid}"))
    )]
    InUse {
        /// The runtime directory.
        directory: PathBuf,
        /// The process that has it, where that can be told.
        pid: Option<i32>,
    },
    /// A file or directory of the runtime directory.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    entries: BTreeMap<EntryId, Entry>,
    next: EntryId,
    stale: usize,
    // Held for as long as the journal is open; released by the kernel however we end.
    _lock: Flock<File>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: EntryId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<serde_json::Value>,
}

impl Journal {
    /// Opens the journal in the runtime directory, which is made if need be, and locks it.
    ///
    /// # Errors
    /// Another process has it open, or the directory cannot be written.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| JournalError::Io { path, cause }
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(directory).map_err(at(directory))?;
        let lock_path = directory.join("lock");
        let lock = private(&lock_path).map_err(at(&lock_path))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| {
            let pid = std::fs::read_to_string(&lock_path).ok().and_then(|text| text.trim().parse().ok());
            JournalError::InUse { directory: directory.to_owned(), pid }
        })?;
        // For whoever finds it locked.
        lock.set_len(0).and_then(|()| writeln!(&*lock, "{}", std::process::id())).map_err(at(&lock_path))?;
        let path = directory.join("journal");
        let (entries, next) = match std::fs::read(&path) {
            Ok(bytes) => replay(&bytes),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => (BTreeMap::new(), 1),
            Err(cause) => return Err(at(&path)(cause)),
        };
        let file = rewrite(&path, &entries).map_err(at(&path))?;
        let inner = Inner { path, file, entries, next, stale: 0, _lock: lock };
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Writes an entry down. Do what it says only after this has returned.
    ///
    /// # Errors
    /// The file cannot be written; then do not do it.
    pub fn record(&self, entry: Entry) -> io::Result<EntryId> {
        Ok(self.record_all(vec![entry])?[0])
    }

    /// Writes several entries down in one go.
    ///
    /// # Errors
    /// As [`Journal::record`].
    pub fn record_all(&self, entries: Vec<Entry>) -> io::Result<Vec<EntryId>> {
        let mut inner = self.lock();
        let first = inner.next;
        let numbered: Vec<_> = (first..).zip(entries).collect();
        let mut bytes = Vec::new();
        for (id, entry) in &numbered {
            write_line(&mut bytes, *id, Some(entry));
        }
        inner.file.write_all(&bytes)?;
        let ids: Vec<_> = numbered.iter().map(|(id, _)| *id).collect();
        inner.next += ids.len() as u64;
        inner.entries.extend(numbered);
        Ok(ids)
    }

    /// Strikes an entry: what it says is undone. An unknown one is no error.
    ///
    /// # Errors
    /// The file cannot be written; the entry then stays, and is undone once more at the next start.
    pub fn forget(&self, id: EntryId) -> io::Result<()> {
        let mut inner = self.lock();
        if !inner.entries.contains_key(&id) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        write_line(&mut bytes, id, None);
        inner.file.write_all(&bytes)?;
        inner.entries.remove(&id);
        inner.stale += 1;
        if inner.stale >= STALE_LINES {
            inner.file = rewrite(&inner.path, &inner.entries)?;
            inner.stale = 0;
        }
        Ok(())
    }

    /// All entries not forgotten, oldest first.
    pub fn pending(&self) -> Vec<(EntryId, Entry)> {
        self.lock().entries.iter().map(|(id, entry)| (*id, entry.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn write_line(bytes: &mut Vec<u8>, id: EntryId, entry: Option<&Entry>) {
    let line = Line { id, add: entry.map(Entry::to_value) };
    // Neither numbers nor maps with string keys can fail to be written to memory.
    if serde_json::to_writer(&mut *bytes, &line).is_ok() {
        bytes.push(b'\n');
    }
}

/// What is left after all lines of a journal, and the next free number.
fn replay(bytes: &[u8]) -> (BTreeMap<EntryId, Entry>, EntryId) {
    let (mut entries, mut next) = (BTreeMap::new(), 1);
    // Without its end a line was not written whole.
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    for line in bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(Line { id, add }) = serde_json::from_slice(line) else {
            tracing::warn!(target: "journal", "a damaged line is left out");
            continue;
        };
        next = next.max(id.saturating_add(1));
        match add {
            Some(value) => entries.insert(id, Entry::from_value(value)),
            None => entries.remove(&id),
        };
    }
    (entries, next)
}

/// Writes a fresh file beside the old one, puts it in its place and leaves it open for appending.
fn rewrite(path: &Path, entries: &BTreeMap<EntryId, Entry>) -> io::Result<File> {
    let mut bytes = Vec::new();
    for (id, entry) in entries {
        write_line(&mut bytes, *id, Some(entry));
    }
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = private(&fresh)?;
    file.write_all(&bytes)?;
    std::fs::rename(&fresh, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
