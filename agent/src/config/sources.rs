//! From where the configuration comes: a file, the drop-ins beside it and the command line, merged, each value with
//! its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::error::{ConfigError, line_and_column};
use super::{Config, DEFAULT_FILE};

/// The configuration with every key at its default, and what each means.
pub const SHIPPED: &str = include_str!("../../agent.toml");

/// Keys of list entries that have a default: table, key, and the value as it is written.
pub(super) const ENTRY_DEFAULTS: [(&str, &str, &str); 6] = [
    ("element", "life", "\"5m\""),
    ("element", "policy", "\"round-robin\""),
    ("element", "transport_use", "\"data\""),
    ("interface", "role", "\"primary\""),
    ("interface", "standby", "\"warm\""),
    ("interface", "cost", "0"),
];

/// What is read for the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    file: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
}

/// A configuration that has been read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The files that were read, in this order.
    pub files: Vec<PathBuf>,
    /// Every value that holds, with its origin.
    pub effective: Effective,
}

/// Every value that holds, by its key: `agent.poll`, `element[0].handle`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effective(pub BTreeMap<String, Setting>);

/// A value and who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As TOML.
    pub value: String,
    /// Who said it.
    pub origin: Origin,
}

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// By this option.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}

impl Sources {
    /// `file`: what `--config` names; none: [`DEFAULT_FILE`], if it is there. `runtime_dir` overrides what the files say.
    pub fn new(file: Option<PathBuf>, runtime_dir: Option<PathBuf>) -> Self {
        Self { file, runtime_dir }
    }

    /// The runtime directory where the files are not to be relied upon: the option's, else the default.
    pub fn runtime_dir(&self) -> PathBuf {
        self.runtime_dir.clone().unwrap_or_else(|| Config::default().agent.runtime_dir)
    }

    /// Reads everything. The host need not have any file.
    ///
    /// # Errors
    /// A named file is not there, one cannot be read, or says something that is not allowed; the error names the place.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let main = self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let mut files = Vec::new();
        if self.file.is_some() || main.exists() {
            files.push(main.clone());
        }
        files.extend(drop_ins(&main)?);
        let mut texts = Vec::new();
        for path in files {
            let text =
                std::fs::read_to_string(&path).map_err(|cause| ConfigError::unreadable(&path, &cause))?;
            texts.push((path, text));
        }
        let mut loaded = merge(&texts)?;
        if let Some(directory) = &self.runtime_dir {
            loaded.config.agent.runtime_dir.clone_from(directory);
            let value = Value::String(directory.display().to_string()).to_string();
            let origin = Origin::CommandLine("--runtime-dir");
            loaded.effective.0.insert("agent.runtime_dir".to_owned(), Setting { value, origin });
        }
        Ok(loaded)
    }
}

/// The directory of drop-ins of a file: `agent.d` beside `agent.toml`.
fn drop_in_directory(main: &Path) -> PathBuf {
    match main.extension() {
        Some(extension) if extension == "toml" => main.with_extension("d"),
        _ => {
            let mut name = main.as_os_str().to_owned();
            name.push(".d");
            name.into()
        }
    }
}

fn drop_ins(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let directory = drop_in_directory(main);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(ConfigError::unreadable(&directory, &cause)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|cause| ConfigError::unreadable(&directory, &cause))?.path();
        // What editors leave, as `.#x.toml`, begins with a dot.
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where something was said: the number of the file, and the octets.
type Place = (usize, Range<usize>);

/// Merges what the files say, the last one on top, and looks at the whole.
pub(super) fn merge(files: &[(PathBuf, String)]) -> Result<Loaded, ConfigError> {
    let mut merged = Table::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (number, (path, text)) in files.iter().enumerate() {
        let at = |cause: &toml::de::Error| ConfigError::parse(path, text, cause.span(), cause.message());
        // By itself first: only so an error has its place.
        let _: Config = toml::from_str(text).map_err(|cause| at(&cause))?;
        let table: Table = toml::from_str(text).map_err(|cause| at(&cause))?;
        let spans = DeTable::parse(text).map_err(|cause| at(&cause))?;
        note_places(&mut places, &merged, spans.get_ref(), number, "");
        overlay(&mut merged, table);
    }
    let first = files.first().map_or(Path::new(DEFAULT_FILE), |(path, _)| path);
    let config = Config::deserialize(merged.clone())
        .map_err(|cause| ConfigError::parse(first, "", None, cause.message()))?;
    let refuse = |(key, what): (String, String)| match places.get(&key) {
        Some((number, span)) => {
            let (path, text) = &files[*number];
            ConfigError::parse(path, text, Some(span.clone()), &what)
        }
        None => ConfigError::parse(first, "", None, &what),
    };
    config.check().map_err(refuse)?;
    let mut all: Table = toml::from_str(&uncommented(SHIPPED)).unwrap_or_default();
    overlay(&mut all, merged);
    let mut effective = Effective::default();
    let origin = |key: &str| match places.get(key) {
        Some((number, span)) => {
            let (path, text) = &files[*number];
            Origin::File { path: path.clone(), line: line_and_column(text, span.start).0 }
        }
        None => Origin::Default,
    };
    flatten(&mut effective, &all, "", &origin);
    Ok(Loaded { config, files: files.iter().map(|(path, _)| path.clone()).collect(), effective })
}

/// The settings of [`SHIPPED`] without their comment signs.
pub(super) fn uncommented(text: &str) -> String {
    let setting = |line: &str| line.len() > 1 && line.starts_with('#') && !line.starts_with("# ");
    let lines = text.lines().map(|line| if setting(line) { &line[1..] } else { line });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// An array of tables, also an empty one.
fn is_list(value: &Value) -> bool {
    value.as_array().is_some_and(|entries| !entries.is_empty() && entries.iter().all(Value::is_table))
}

/// Puts `top` on `base`: tables key by key, entries of arrays of tables at the end, all else in place of what was there.
fn overlay(base: &mut Table, top: Table) {
    for (key, value) in top {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(top)) => overlay(base, top),
            (Some(base), top) if is_list(base) && (is_list(&top) || is_empty(&top)) => {
                if let (Value::Array(base), Value::Array(mut top)) = (base, top) {
                    base.append(&mut top);
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Notes where the keys of a file stand. `merged` is what the files before say: entries are counted on from there.
fn note_places(
    places: &mut BTreeMap<String, Place>,
    merged: &Table,
    table: &DeTable<'_>,
    number: usize,
    prefix: &str,
) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => note_places(places, merged, inner, number, &format!("{key}.")),
            DeValue::Array(entries)
                if prefix.is_empty()
                    && !entries.is_empty()
                    && entries.iter().all(|entry| entry.get_ref().is_table()) =>
            {
                let before = merged.get(&key).and_then(Value::as_array).map_or(0, Vec::len);
                for (index, entry) in (before..).zip(entries) {
                    let entry_key = format!("{key}[{index}]");
                    if let DeValue::Table(inner) = entry.get_ref() {
                        note_places(places, merged, inner, number, &format!("{entry_key}."));
                    }
                    places.insert(entry_key, (number, entry.span()));
                }
            }
            _ => {
                places.insert(key, (number, name.span()));
            }
        }
    }
}

fn flatten(effective: &mut Effective, table: &Table, prefix: &str, origin: &impl Fn(&str) -> Origin) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => flatten(effective, inner, &format!("{key}."), origin),
            Value::Array(entries) if is_list(value) => {
                for (index, entry) in entries.iter().enumerate() {
                    let mut entry = entry.as_table().cloned().unwrap_or_default();
                    let entry_prefix = format!("{key}[{index}].");
                    for (_, key, value) in ENTRY_DEFAULTS.iter().filter(|(table, ..)| table == name) {
                        let table = toml::from_str::<Table>(&format!("{key} = {value}"));
                        let default = table.ok().and_then(|mut table| table.remove(*key));
                        if let Some(default) = default.filter(|_| !entry.contains_key(*key)) {
                            entry.insert((*key).to_owned(), default);
                        }
                    }
                    if entry.is_empty() {
                        // `[[manage]]` alone fits everything.
                        let said = origin(entry_prefix.trim_end_matches('.'));
                        effective
                            .0
                            .insert(entry_prefix.clone(), Setting { value: String::new(), origin: said });
                    }
                    flatten(effective, &entry, &entry_prefix, origin);
                }
            }
            value => {
                let setting = Setting { value: value.to_string(), origin: origin(&key) };
                effective.0.insert(key, setting);
            }
        }
    }
}

/// TOML that can be read again, each value with its origin behind it.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let split = |key: &str| {
            key.rsplit_once('.')
                .map_or((String::new(), key.to_owned()), |(table, key)| (table.to_owned(), key.to_owned()))
        };
        let mut by_table: BTreeMap<(String, usize), Vec<(String, &Setting)>> = BTreeMap::new();
        for (key, setting) in &self.0 {
            let (table, key) = split(key);
            // `element[10]` comes after `element[9]`.
            let (name, index) = match table.strip_suffix(']').and_then(|table| table.rsplit_once('[')) {
                Some((name, index)) => (name.to_owned(), index.parse().map_or(0, |index: usize| index + 1)),
                None => (table, 0),
            };
            by_table.entry((name, index)).or_default().push((key, setting));
        }
        for (count, ((table, index), settings)) in by_table.iter().enumerate() {
            if count > 0 {
                writeln!(f)?;
            }
            match (table.as_str(), index) {
                ("", _) => {}
                (table, 0) => writeln!(f, "[{table}]")?,
                (table, _) => writeln!(f, "[[{table}]]")?,
            }
            for (key, Setting { value, origin }) in settings {
                let said = if key.is_empty() { String::new() } else { format!("{key} = {value}") };
                writeln!(f, "{said:40}  # {origin}")?;
            }
        }
        Ok(())
    }
}

/// A difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, as `agent.poll`.
    pub key: String,
    /// What held, if anything did.
    pub old: Option<Setting>,
    /// What is to hold, if anything is.
    pub new: Option<Setting>,
}

impl Effective {
    /// What differs in `new`, by key. Where a value was said is no difference.
    pub fn difference(&self, new: &Self) -> Vec<Difference> {
        let keys: std::collections::BTreeSet<&String> = self.0.keys().chain(new.0.keys()).collect();
        let value = |of: &Self, key: &String| of.0.get(key).map(|setting| setting.value.clone());
        keys.into_iter()
            .filter(|key| value(self, key) != value(new, key))
            .map(|key| Difference {
                key: key.trim_end_matches('.').to_owned(),
                old: self.0.get(key).cloned(),
                new: new.0.get(key).cloned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
