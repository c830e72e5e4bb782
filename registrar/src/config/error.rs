//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A mistake in a configuration file: `FILE:LINE:COLUMN: what is wrong; allowed: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line and column, both counted from 1; none when the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, cause: &std::io::Error) -> Self {
        Self { file: file.to_owned(), place: None, what: format!("cannot be read: {cause}") }
    }

    pub(super) fn at(file: &Path, text: &str, span: Option<Range<usize>>, what: &str) -> Self {
        let place = span.map(|span| line_and_column(text, span.start));
        Self { file: file.to_owned(), place, what: what.trim_end().replace('\n', "; ") }
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before: &[u8] = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let last = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    (line, String::from_utf8_lossy(last).chars().count() + 1)
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for ConfigError {}
