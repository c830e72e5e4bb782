//! Drop-ins, origins, and the file that shows everything.

use std::collections::BTreeSet;
use std::fs;

use super::*;

/// A directory with these files, and what `agent.toml` in it leads to.
fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Loaded, ConfigError>) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("agent.d")).unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let loaded = Sources::new(Some(directory.path().join("agent.toml")), None).load();
    (directory, loaded)
}

/// The keys that are understood in a table, as a refusal names them; none if it is not one of this kind.
fn known_keys(header: &str) -> Option<BTreeSet<String>> {
    let message = Config::parse(Path::new("x"), &format!("{header}\nno-such-key = 1\n")).unwrap_err().what;
    let (_, expected) = message.split_once("unknown field `no-such-key`, expected ")?;
    Some(expected.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

#[test]
fn a_later_file_overrides_key_by_key_and_adds_entries() {
    let (directory, loaded) = load(&[
        ("agent.toml", "[agent]\npoll = \"1s\"\ngrace = \"1s\"\n[[manage]]\nport = 1\n"),
        (
            "agent.d/20-b.toml",
            "[agent]\npoll = \"3s\"\n[interfaces]\nallow = [\"eth*\"]\n[[manage]]\nport = 3\n",
        ),
        ("agent.d/10-a.toml", "[agent]\npoll = \"2s\"\n[[manage]]\nport = 2\n[[manage]]\nuser = \"0\"\n"),
        ("agent.d/notes.txt", "no toml"),
        ("agent.d/.#30-c.toml", "no toml"),
    ]);
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.agent.poll.as_secs(), 3);
    assert_eq!(loaded.config.agent.grace.as_secs(), 1);
    let ports: Vec<_> = loaded.config.manage.as_ref().unwrap().iter().map(|entry| entry.port).collect();
    assert_eq!(ports, [Some(1), Some(2), None, Some(3)]);
    assert!(loaded.config.interfaces.admits("eth0") && !loaded.config.interfaces.admits("wlan0"));
    let origin = |key: &str| loaded.effective.0[key].origin.to_string();
    let at = |place: &str| directory.path().join(place).display().to_string();
    assert_eq!(origin("agent.poll"), at("agent.d/20-b.toml:2"));
    assert_eq!(origin("agent.grace"), at("agent.toml:3"));
    assert_eq!(origin("agent.offline"), "default");
    assert_eq!(origin("manage[1].port"), at("agent.d/10-a.toml:4"));
    assert_eq!(origin("manage[3].port"), at("agent.d/20-b.toml:6"));
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn a_mistake_in_a_drop_in_is_told_with_its_file_line_and_key() {
    let (directory, loaded) =
        load(&[("agent.toml", "[agent]\n"), ("agent.d/x.toml", "\n[agent]\npoll = \"1h\"\n")]);
    let place = directory.path().join("agent.d/x.toml:3:8: agent.poll").display().to_string();
    assert!(loaded.unwrap_err().to_string().starts_with(&place));
    let (directory, loaded) = load(&[
        ("agent.toml", "[[manage]]\n"),
        ("agent.d/x.toml", "[[element]]\nhandle = \"x\"\nport = 1\n"),
    ]);
    let place = directory.path().join("agent.d/x.toml:1:1: element: a pool element needs a registrar");
    assert!(loaded.unwrap_err().to_string().starts_with(&place.display().to_string()));
}

#[test]
fn an_element_may_stand_in_one_file_and_its_registrar_in_another() {
    let (_directory, loaded) = load(&[
        ("agent.toml", "[[element]]\nhandle = \"x\"\nport = 1\n"),
        ("agent.d/site.toml", "[registrars]\nstatic = [\"10.9.0.2:3863\"]\n"),
    ]);
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.elements.len(), 1);
    assert_eq!(loaded.effective.0["element[0].life"].value, "\"5m\"");
}

#[test]
fn adopting_nothing_by_itself_and_then_something_is_that_something() {
    let (_directory, loaded) =
        load(&[("agent.toml", "manage = []\n"), ("agent.d/x.toml", "[[manage]]\nport = 7\n")]);
    assert_eq!(loaded.unwrap().config.manage.unwrap().len(), 1);
    let (_directory, loaded) =
        load(&[("agent.toml", "[[manage]]\nport = 7\n"), ("agent.d/x.toml", "manage = []\n")]);
    assert_eq!(loaded.unwrap().config.manage.unwrap().len(), 1, "entries are added, none is taken away");
}

#[test]
fn what_holds_is_printed_so_that_it_reads_back_as_the_same() {
    let mut entries = String::new();
    (0..12).for_each(|n| entries += &format!("[[element]]\nhandle = \"e{n}\"\nport = {}\n", n + 1));
    let (_directory, loaded) = load(&[
        ("agent.toml", "[agent]\nnice = 3\n[[manage]]\n[[manage]]\nprocess = 5\n"),
        ("agent.d/a.toml", &format!("{entries}[registrars]\nstatic = [\"[fd00::1]:3863\"]\n")),
    ]);
    let loaded = loaded.unwrap();
    let text = loaded.effective.to_string();
    assert_eq!(Config::parse(Path::new("printed"), &text).unwrap(), loaded.config, "{text}");
    assert!(text.contains("agent.d/a.toml:2\n") && text.contains("# default\n"), "{text}");
}

#[test]
fn only_what_holds_otherwise_is_a_difference() {
    let of = |text: &str| merge(&[("x".into(), text.to_owned())]).unwrap().effective;
    let (old, new) =
        (of("[agent]\npoll = \"1s\"\n"), of("\n\n[agent]\npoll = \"1s\"\ngrace = \"1s\"\n[[manage]]\n"));
    let keys: Vec<_> = old.difference(&new).into_iter().map(|it| it.key).collect();
    assert_eq!(keys, ["agent.grace", "manage[0]"]);
}

#[test]
fn the_shipped_file_shows_every_key_with_its_default() {
    let config = Config::parse(Path::new("agent.toml"), SHIPPED).unwrap();
    assert_eq!(config, Config::default(), "as it is shipped");
    let table: Table = toml::from_str(&uncommented(SHIPPED)).unwrap();
    assert_eq!(Config::deserialize(table.clone()).unwrap(), Config::default(), "with what it shows");
    let examples: String = SHIPPED
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .map(|line| format!("{line}\n"))
        .collect();
    let examples: Table = toml::from_str(&examples).unwrap();
    for name in known_keys("").unwrap() {
        let (known, shown) = match known_keys(&format!("[{name}]")) {
            Some(known) => (known, table.get(&name).and_then(Value::as_table)),
            None => {
                let entry = examples.get(&name).and_then(|entries| entries.get(0)).and_then(Value::as_table);
                (known_keys(&format!("[[{name}]]")).unwrap(), entry)
            }
        };
        let shown: BTreeSet<String> = shown.into_iter().flat_map(Table::keys).cloned().collect();
        assert_eq!(shown, known, "[{name}]");
    }
}

#[test]
fn entries_have_the_defaults_that_are_shown() {
    let registrar = "[registrars]\nstatic = [\"10.0.0.1:1\"]\n";
    for (table, least) in [("element", "handle = \"x\"\nport = 1\n"), ("interface", "name = \"x\"\n")] {
        let bare = format!("{registrar}[[{table}]]\n{least}");
        let mut said = bare.clone();
        for (_, key, value) in ENTRY_DEFAULTS.iter().filter(|(of, ..)| *of == table) {
            said += &format!("{key} = {value}\n");
            let is_shown = |line: &str| line.starts_with(&format!("#     {key} = {value}"));
            assert!(SHIPPED.lines().any(|line| is_shown(line) && line.contains("default")), "{key}");
        }
        assert_ne!(said, bare);
        let of = |text: &str| Config::parse(Path::new("x"), text).unwrap();
        assert_eq!(of(&said), of(&bare));
        let effective = merge(&[("x".into(), bare)]).unwrap().effective.to_string();
        for (_, key, value) in ENTRY_DEFAULTS.iter().filter(|(of, ..)| *of == table) {
            assert!(effective.contains(&format!("{key} = {value}")), "{key}: {effective}");
        }
    }
}

#[test]
fn drop_ins_lie_beside_the_file() {
    for (file, directory) in
        [("/etc/roam/agent.toml", "/etc/roam/agent.d"), ("/x/roam.conf", "/x/roam.conf.d")]
    {
        assert_eq!(drop_in_directory(Path::new(file)), Path::new(directory));
    }
}
