//! `JSON.md` says what `roam --json` prints. `ROAM_BLESS=1` writes what is printed into it, to be looked at.

mod fake;

use std::collections::BTreeSet;

use fake::{Fake, decision, text};
use roam_agent::control::protocol::{Hello, Numbered, Request, Response};
use roam_agent::control::{SCHEMA, StreamEvent};
use roam_agent::doctor::Diagnosis;
use roam_agent::show;
use serde_json::Value;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/JSON.md");
const FENCE: &str = "```json\n";

/// A section about a command: the command's words, what is said of it, and its example with its place in the page.
struct Section {
    command: String,
    prose: String,
    example: Option<(usize, String)>,
}

fn sections(page: &str) -> Vec<Section> {
    let mut found = Vec::new();
    let (mut at, socket) = (0, page.find("\n# The control socket").unwrap());
    while let Some(start) = page[at..socket].find("\n## `roam ").map(|start| at + start) {
        let end = page[start + 1..socket].find("\n## ").map_or(socket, |end| start + 1 + end);
        let section = &page[start..end];
        let command = section["\n## `roam ".len()..].split('`').next().unwrap().to_owned();
        let example = section.find(FENCE).map(|fence| {
            let begin = start + fence + FENCE.len();
            (begin, page[begin..].split("```").next().unwrap().to_owned())
        });
        let prose = section.split(FENCE).next().unwrap().to_owned();
        found.push(Section { command, prose, example });
        at = end;
    }
    found
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// One document, or one in each line.
fn documents(text: &str) -> Vec<Value> {
    let whole = serde_json::from_str::<Value>(text).map(|value| vec![value]);
    whole.unwrap_or_else(|_| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn the_examples_are_what_is_printed() {
    let fake = Fake::start(true);
    let page = std::fs::read_to_string(FILE).unwrap();
    let mut blessed = page.clone();
    let mut compared = 0;
    for section in sections(&page).into_iter().rev() {
        let Some((at, example)) = section.example else { continue };
        let words = section.command.strip_prefix("--json ").unwrap_or(&section.command);
        let printed = match words {
            "monitor" => {
                [StreamEvent::Decision(decision()), StreamEvent::Missed(3)].iter().map(show::event).collect()
            }
            // What a host's doctor says depends on the host: the example has to be such a document, and whole.
            "doctor" => {
                let diagnosis: Diagnosis = serde_json::from_str(&example).unwrap();
                show::pretty(&show::versioned("checks", &diagnosis))
            }
            _ => text(&fake.roam(&section.command).stdout).to_owned(),
        };
        assert!(!printed.is_empty(), "{words}");
        blessed.replace_range(at..at + example.len(), &printed);
        if std::env::var_os("ROAM_BLESS").is_none() {
            assert_eq!(
                documents(&example),
                documents(&printed),
                "`roam {}` (ROAM_BLESS=1 writes it down)",
                section.command
            );
        }
        compared += 1;
    }
    assert!(compared >= 10);
    if std::env::var_os("ROAM_BLESS").is_some() {
        std::fs::write(FILE, blessed).unwrap();
    }
}

#[test]
fn every_member_of_the_examples_is_told_of() {
    let page = std::fs::read_to_string(FILE).unwrap();
    let mut told = String::new();
    for section in sections(&page) {
        told += &section.prose;
        let example = section.example.map(|(_, example)| documents(&example)).unwrap_or_default();
        for line in example {
            assert_eq!(line["schema"], SCHEMA, "{}", section.command);
            let mut members = BTreeSet::new();
            keys(&line, &mut members);
            members.remove("schema");
            for member in members {
                assert!(told.contains(&format!("`{member}`")), "{member} of `roam {}`", section.command);
            }
        }
    }
}

#[test]
fn the_lines_of_the_control_socket_are_understood_as_they_are_shown() {
    let page = std::fs::read_to_string(FILE).unwrap();
    let socket = &page[page.find("\n# The control socket").unwrap()..];
    let lines: Vec<&str> = socket.split(FENCE).nth(1).unwrap().split("```").next().unwrap().lines().collect();
    assert_eq!(serde_json::from_str::<Hello>(lines[0]).unwrap(), Hello::ours());
    let request: Numbered = serde_json::from_str(lines[1]).unwrap();
    assert!(matches!(request.request, Request::Explain { last: 5, .. }));
    for answer in [lines[2], lines[4]] {
        let response: Response = serde_json::from_str(answer).unwrap();
        assert_eq!(serde_json::to_string(&response).unwrap(), *answer);
    }
    assert!(matches!(
        serde_json::from_str::<Numbered>(lines[3]).unwrap().request,
        Request::Monitor { recent: 0 }
    ));
}
