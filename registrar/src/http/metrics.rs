//! The registrar in OpenMetrics' text format.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::query::{State, Summary};

/// The format's media type.
pub(super) const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric family with one sample.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    unit: Option<&'a str>,
    help: &'a str,
    /// What follows the name in the sample: a suffix, and labels.
    suffix: &'a str,
    value: &'a dyn std::fmt::Display,
}

impl Family<'_> {
    fn write(&self, text: &mut String) {
        let Family { name, kind, unit, help, suffix, value } = self;
        let unit = unit.map(|unit| format!("# UNIT {name} {unit}\n")).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "# TYPE {name} {kind}\n{unit}# HELP {name} {help}.\n{name}{suffix} {value}\n");
    }
}

/// All metrics.
pub(super) fn text(summary: &Summary, started: SystemTime) -> String {
    let mut text = String::new();
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = format!("{}.{:03}", started.as_secs(), started.subsec_millis());
    Family {
        name: "process_start_time_seconds",
        kind: "gauge",
        unit: Some("seconds"),
        help: "When the process started, in seconds since 1970-01-01T00:00:00Z",
        suffix: "",
        value: &started,
    }
    .write(&mut text);
    let labels = format!(
        "_info{{version=\"{}\",identifier=\"{:#010x}\"}}",
        env!("CARGO_PKG_VERSION"),
        summary.identifier
    );
    Family {
        name: "roam_registrar",
        kind: "info",
        unit: None,
        help: "The registrar",
        suffix: &labels,
        value: &1,
    }
    .write(&mut text);
    for (name, help, value) in [
        (
            "ready",
            "Whether the registrar is in service, 1 or 0",
            usize::from(summary.state == State::InService),
        ),
        ("pools", "Pools", summary.pools),
        ("elements", "Pool elements in all pools", summary.elements),
        ("associations", "Associations with pool elements and pool users", summary.associations),
        ("associations_over_tcp", "TCP connections of pool users, counted in associations", summary.over_tcp),
        ("subscriptions", "Subscriptions of all associations", summary.subscriptions),
        ("own_elements", "Pool elements of which this registrar is the home", summary.own_elements),
        ("peers", "Other registrars that are known", summary.peers.known),
        ("peers_active", "Other registrars that live", summary.peers.active),
        ("takeovers_running", "Registrars that are being taken over, by whomever", summary.peers.taken_over),
    ] {
        let name = format!("roam_registrar_{name}");
        Family { name: &name, kind: "gauge", unit: None, help, suffix: "", value: &value }.write(&mut text);
    }
    let counters =
        summary.counters.named().into_iter().map(|counter| (counter.name, counter.what, counter.value));
    let dropped = [
        (
            "dropped_not_reading",
            "Associations aborted since they did not read what was sent to them",
            summary.dropped_not_reading,
        ),
        (
            "dropped_resolutions",
            "Resolutions dropped since more waited than can be answered",
            summary.dropped_resolutions,
        ),
    ];
    let asap = counters.into_iter().chain(dropped).map(|counter| ("", counter));
    let enrp = summary
        .enrp
        .named()
        .into_iter()
        .map(|counter| ("enrp_", (counter.name, counter.what, counter.value)));
    for (prefix, (name, help, value)) in asap.chain(enrp) {
        let name = format!("roam_registrar_{prefix}{name}");
        Family { name: &name, kind: "counter", unit: None, help, suffix: "_total", value: &value }
            .write(&mut text);
    }
    text.push_str("# EOF\n");
    text
}
