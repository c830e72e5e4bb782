//! What is wrong with a configuration, and where.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A mistake in a configuration file: `FILE:LINE:COLUMN: KEY: what is wrong and what is allowed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {}{what}", .file.display(), Position(.place), Key(.key))]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line and column, both counted from 1; none when the file as a whole is meant.
    pub place: Option<(usize, usize)>,
    /// The key with its table (`agent.poll`), where one can be told.
    pub key: Option<String>,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, cause: &std::io::Error) -> Self {
        let what = format!("cannot be read: {cause}");
        Self { file: file.to_owned(), place: None, key: None, what }
    }

    pub(super) fn parse(file: &Path, text: &str, span: Option<Range<usize>>, what: &str) -> Self {
        let start = span.map(|span| floor_boundary(text, span.start));
        Self {
            file: file.to_owned(),
            place: start.map(|at| line_and_column(text, at)),
            key: start.and_then(|at| key_at(text, at)),
            what: what.trim_end().replace('\n', "; "),
        }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The dotted key that byte `at` belongs to: its line's key (or that of a line above, in a list over several
/// lines) and the last table header before it.
fn key_at(text: &str, at: usize) -> Option<String> {
    let line_end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    let mut key = None;
    for line in text[..line_end].lines().rev().map(str::trim) {
        if line.starts_with('[') && line.ends_with(']') && !line.contains(['"', ',']) {
            let table = line.trim_matches(['[', ']']).trim();
            return Some(key.map_or_else(|| table.to_owned(), |key: &str| format!("{table}.{key}")));
        }
        if key.is_none() {
            key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| !key.starts_with(['#', '"']));
        }
    }
    key.map(str::to_owned)
}

struct Position<'a>(&'a Option<(usize, usize)>);

impl std::fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
    }
}

struct Key<'a>(&'a Option<String>);

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |key| write!(f, "{key}: "))
    }
}
