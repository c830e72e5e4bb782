//! The journal over crashes, damage and a second daemon.

use serde_json::json;

use super::*;

fn held(n: u8) -> Entry {
    Entry::Held { address: [10, 0, 0, n].into() }
}

fn entries(journal: &Journal) -> Vec<Entry> {
    journal.pending().into_iter().map(|(_, entry)| entry).collect()
}

#[test]
fn what_is_recorded_and_not_forgotten_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let first = journal.record(held(1)).unwrap();
    journal.record(held(2)).unwrap();
    journal.forget(first).unwrap();
    drop(journal);
    let journal = Journal::open(directory.path()).unwrap();
    assert_eq!(entries(&journal), [held(2)]);
    assert!(journal.record(held(3)).unwrap() > 2);
}

#[test]
fn every_kind_of_entry_survives_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let all = vec![
        held(1),
        Entry::Rule { from: "fd00::1".parse().unwrap(), table: 7600 },
        Entry::Table { table: 7600 },
        Entry::Nftables { family: "inet".to_owned(), name: "roam".to_owned() },
        Entry::Sysctl { name: "net.sctp.addip_enable".to_owned(), old: "0".to_owned(), new: "1".to_owned() },
        Entry::SocketOption { pid: 7, inode: u64::MAX, option: "rto".to_owned(), old: json!({"max": 60000}) },
        Entry::Element { handle: "robot \"1\"\n".to_owned(), id: u32::MAX },
        Entry::Other { what: "planner".to_owned(), data: json!([1, "two", null]) },
    ];
    let ids = Journal::open(directory.path()).unwrap().record_all(all.clone()).unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    assert_eq!(journal.pending(), ids.into_iter().zip(all).collect::<Vec<_>>());
}

#[test]
fn a_line_cut_short_by_a_crash_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    journal.record_all(vec![held(1), held(2)]).unwrap();
    drop(journal);
    let path = directory.path().join("journal");
    let bytes = std::fs::read(&path).unwrap();
    let first_line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    for cut in first_line + 1..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(entries(&Journal::open(directory.path()).unwrap()), [held(1)], "{cut}");
    }
}

#[test]
fn damaged_lines_in_the_middle_do_not_hide_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let line = |id| format!("{{\"id\":{id},\"add\":{{\"kind\":\"held\",\"address\":\"10.0.0.{id}\"}}}}\n");
    let text = format!("{}\u{0}garbage{{\n[]\n{}", line(1), line(2));
    std::fs::write(directory.path().join("journal"), text).unwrap();
    assert_eq!(entries(&Journal::open(directory.path()).unwrap()), [held(1), held(2)]);
}

#[test]
fn an_entry_of_a_later_version_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let value = json!({"kind": "tunnel", "name": "t0"});
    let text = format!("{}\n", json!({"id": 4, "add": value}));
    std::fs::write(directory.path().join("journal"), text).unwrap();
    drop(Journal::open(directory.path()).unwrap());
    let journal = Journal::open(directory.path()).unwrap();
    let Entry::Other { data, .. } = &entries(&journal)[0] else { panic!("lost") };
    assert!(data == &value || data["data"] == value, "{data}");
}

#[test]
fn a_second_daemon_is_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let first = Journal::open(directory.path()).unwrap();
    assert!(matches!(Journal::open(directory.path()), Err(JournalError::InUse { pid: Some(_), .. })));
    drop(first);
    Journal::open(directory.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let message = Journal::open(&file.join("run")).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}/run: ", file.display())), "{message}");
}

#[test]
fn the_file_does_not_grow_with_what_is_long_undone() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    journal.record(held(1)).unwrap();
    for _ in 0..3 * STALE_LINES {
        let id = journal.record(held(2)).unwrap();
        journal.forget(id).unwrap();
    }
    let lines = std::fs::read_to_string(directory.path().join("journal")).unwrap().lines().count();
    assert!(lines <= 2 * STALE_LINES + 1, "{lines}");
    assert_eq!(entries(&journal), [held(1)]);
}
