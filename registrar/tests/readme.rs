//! The table of timers in `README.md` says what the configuration says.

const README: &str = include_str!("../README.md");
const SHOWN: &str = include_str!("../registrar.toml");

/// Key and default of each row that has a key.
fn rows() -> Vec<(&'static str, &'static str)> {
    let table = README.split("## Timers").nth(1).expect("the section");
    let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
    let row = |cells: Vec<&'static str>| {
        Some((cells.get(2)?.strip_prefix('`')?.strip_suffix('`')?, *cells.get(3)?))
    };
    table.lines().filter_map(|line| row(cells(line))).collect()
}

/// The keys of a section of the shown configuration whose values are durations, with their defaults.
fn durations(section: &str) -> Vec<(&'static str, &'static str)> {
    let start = SHOWN.find(&format!("\n[{section}]\n")).expect("the section") + 2;
    let lines = SHOWN[start..].lines().skip(1).take_while(|line| !line.starts_with('['));
    let pairs = lines.filter_map(|line| line.strip_prefix('#')?.split_once(" = "));
    pairs
        .filter(|(key, _)| !key.starts_with(' '))
        .filter_map(|(key, value)| Some((key, value.strip_prefix('"')?.strip_suffix('"')?)))
        .filter(|(_, value)| {
            value.starts_with(|c: char| c.is_ascii_digit()) && value.ends_with(['s', 'm', 'h'])
        })
        .collect()
}

#[test]
fn every_default_in_the_table_is_that_of_the_configuration() {
    let rows = rows();
    assert!(rows.len() >= 15, "{rows:?}");
    for (key, value) in rows {
        let there = [format!("#{key} = \"{value}\""), format!("#{key} = {value}")];
        assert!(SHOWN.lines().any(|line| there.iter().any(|there| there == line)), "{key} is not {value}");
    }
}

#[test]
fn every_time_of_asap_and_enrp_that_can_be_set_is_in_the_table() {
    let rows = rows();
    for section in ["asap", "enrp"] {
        let durations = durations(section);
        assert!(durations.len() >= 4, "{section}: {durations:?}");
        for pair in durations {
            assert!(rows.contains(&pair), "{pair:?} is not in the table");
        }
    }
}
