//! What `roam` prints: tables and sentences for people, documents for programs.

mod words;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::control::{Failure, Reply, SCHEMA, StreamEvent};

pub use self::words::words;

/// A reply as a document: an object with `schema` and what the reply holds. Lists stand under the name of their command.
pub fn document(reply: &Reply) -> String {
    let value = match reply {
        Reply::Status(report) => versioned("status", report),
        Reply::Associations(reports) => versioned("associations", reports),
        Reply::Addresses(reports) => versioned("addresses", reports),
        Reply::Pools(report) => versioned("pools", report),
        Reply::Adopted(report) | Reply::Released(report) | Reply::HandedOver(report) => {
            versioned("process", report)
        }
        Reply::Explained(report) => versioned("explained", report),
        Reply::Reloaded(report) => versioned("reloaded", report),
        Reply::Configuration(report) => versioned("configuration", report),
        Reply::Decisions(decisions) => versioned("decisions", decisions),
    };
    pretty(&value)
}

/// An event as a document of one line.
pub fn event(event: &StreamEvent) -> String {
    versioned("event", event).to_string() + "\n"
}

/// A failure as a document; what the standard error says is the same.
pub fn failure(failure: &Failure) -> String {
    pretty(&versioned(
        "error",
        &Value::from_iter([("error", serde_json::to_value(failure).unwrap_or_default())]),
    ))
}

/// Puts the version of the schema into an object; anything else becomes the object's member `name`.
pub fn versioned(name: &str, what: &impl Serialize) -> Value {
    let mut document = Map::new();
    match serde_json::to_value(what).unwrap_or_default() {
        Value::Object(members) => document.extend(members),
        other => {
            document.insert(name.to_owned(), other);
        }
    }
    document.insert("schema".to_owned(), SCHEMA.into());
    Value::Object(document)
}

/// JSON for people who look at it.
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// Text from elsewhere as it may stand in a line for people: programs' names, handles and the like must not move the
/// cursor, or pretend to be other lines.
pub fn plain(text: &str) -> String {
    let clean = |c: char| match c {
        c if c.is_control() => c.escape_default().collect(),
        // Marks that reverse the direction of what follows.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => c.escape_default().collect(),
        c => c.to_string(),
    };
    text.chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_stays_on_its_line() {
        assert_eq!(plain("\u{1b}[2Jrobot\n é"), "\\u{1b}[2Jrobot\\n é");
        assert_eq!(plain("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn every_document_has_a_version() {
        for document in [document(&Reply::Associations(vec![])), event(&StreamEvent::Missed(3))] {
            let value: Value = serde_json::from_str(&document).unwrap();
            assert_eq!(value["schema"], SCHEMA, "{document}");
        }
    }
}
