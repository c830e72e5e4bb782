//! The table of `SECURITY.md` decides every requirement, and names tests that there are.

use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = include_str!("../SECURITY.md");

/// Number, decision, reason.
fn rows() -> Vec<(usize, &'static str, &'static str)> {
    let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
    let row = |cells: Vec<&'static str>| Some((cells.get(1)?.parse().ok()?, *cells.get(3)?, *cells.get(4)?));
    TABLE.lines().filter_map(|line| row(cells(line))).collect()
}

/// The functions of all Rust sources of the workspace.
fn functions(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            functions(&path, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_requirement_is_decided_once() {
    let numbers: Vec<usize> = rows().iter().map(|row| row.0).collect();
    assert_eq!(numbers, (1..=81).collect::<Vec<_>>());
    for (number, decision, why) in rows() {
        assert!(["met", "n/a", "open"].contains(&decision), "{number}: {decision}");
        assert!(!why.is_empty(), "{number} has no reason");
        assert!(decision != "met" || why.contains('`'), "{number} is met by no test");
        let waits_for_tls = why.contains("TLS") || why.starts_with("as ");
        assert!(decision != "open" || waits_for_tls, "{number} is open without a reason");
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut found = BTreeSet::new();
    functions(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(), &mut found);
    for (number, _, why) in rows() {
        for name in why.split('`').skip(1).step_by(2) {
            assert!(found.contains(name), "{number} names `{name}`, which is not there");
        }
    }
}
