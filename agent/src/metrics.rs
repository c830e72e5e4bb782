//! What the daemon says of itself, in OpenMetrics' text format: for collectors of text files, or whoever asks over the
//! control socket (`roam metrics`).

use std::fmt::Write;

use crate::control::{AssociationReport, NetworkReport, StatusReport};

/// A metric family: its name, its kind, its unit, what it is, and its samples with their labels.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    unit: Option<&'a str>,
    help: &'a str,
    samples: Vec<(Vec<(&'a str, String)>, String)>,
}

impl Family<'_> {
    fn write(&self, text: &mut String) {
        let Self { name, kind, unit, help, samples } = self;
        let suffix = match *kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let unit = unit.map(|unit| format!("# UNIT {name} {unit}\n")).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "# TYPE {name} {kind}\n{unit}# HELP {name} {help}.\n");
        for (labels, value) in samples {
            let labels: Vec<_> =
                labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{suffix}{labels} {value}");
        }
    }
}

/// As a label's value has to be.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Milliseconds in seconds.
fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// All metrics.
pub fn text(status: &StatusReport, associations: &[AssociationReport]) -> String {
    let gauge = |name, help, samples| Family { name, kind: "gauge", unit: None, help, samples };
    let plain = |value: String| vec![(Vec::new(), value)];
    let by = |key, values: &[(&str, usize)]| {
        values.iter().map(|(label, value)| (vec![(key, (*label).to_owned())], value.to_string())).collect()
    };
    let of = |value: &dyn Fn(&AssociationReport) -> Option<String>| {
        let labels = |it: &AssociationReport| {
            vec![
                ("pid", it.pid.to_string()),
                ("local_port", it.local_port.to_string()),
                ("peer_port", it.peer_port.to_string()),
            ]
        };
        associations.iter().filter_map(|it| Some((labels(it), value(it)?))).collect::<Vec<_>>()
    };
    let StatusReport { settled, stranded, moving, unmanageable, .. } = *status;
    let unusable = status.addresses.saturating_sub(status.usable_addresses);
    let elements = status.elements.iter().map(|element| {
        let labels = vec![("handle", element.handle.clone()), ("id", format!("{:#010x}", element.id))];
        (labels, u8::from(element.registered).to_string())
    });
    let mut families = vec![
        Family {
            name: "roam",
            kind: "info",
            unit: None,
            help: "The daemon",
            samples: vec![(vec![("version", status.version.clone())], "1".to_owned())],
        },
        Family {
            unit: Some("seconds"),
            ..gauge(
                "roam_uptime_seconds",
                "How long the daemon has been running",
                plain(seconds(status.uptime_ms)),
            )
        },
        gauge(
            "roam_associations",
            "Associations by how they stand: settled, being moved, without a usable address, out of our hands",
            by(
                "state",
                &[
                    ("settled", settled),
                    ("moving", moving),
                    ("stranded", stranded),
                    ("unmanageable", unmanageable),
                ],
            ),
        ),
        gauge(
            "roam_addresses",
            "Addresses of the host, by whether associations may use them",
            by("usable", &[("yes", status.usable_addresses), ("no", unusable)]),
        ),
        gauge(
            "roam_addresses_held",
            "Addresses that are gone and held on the loopback interface",
            plain(status.held.len().to_string()),
        ),
        gauge(
            "roam_problems",
            "What is wrong with the host, by count",
            plain(status.problems.len().to_string()),
        ),
        gauge(
            "roam_registrar_found",
            "Whether a registrar is in use",
            plain(u8::from(status.registrar.is_some()).to_string()),
        ),
        gauge(
            "roam_element_registered",
            "Whether a pool element of the host is registered",
            elements.collect(),
        ),
        gauge(
            "roam_association_moves",
            "How often an association that is there was moved",
            of(&|it| Some(it.moves.to_string())),
        ),
        Family {
            unit: Some("seconds"),
            ..gauge(
                "roam_association_last_move_seconds",
                "How long the last move of an association took, from its first action to the end",
                of(&|it| it.last_move_ms.map(seconds)),
            )
        },
    ];
    // Taken apart without `..`, so that none is forgotten here.
    let NetworkReport { events, ignored, overruns, resyncs, listed, changes } = status.network;
    let counters = [
        ("roam_network_events", "Changes of the network that were heard of", events),
        ("roam_network_events_ignored", "Bundles of them that did not matter", ignored),
        ("roam_network_overruns", "How often the kernel's receive buffer ran over", overruns),
        ("roam_network_resyncs", "How often everything was looked at", resyncs),
        ("roam_network_listed", "Links, addresses, rules and routes that the kernel listed for that", listed),
        ("roam_network_changes", "Changes of what associations may use", changes),
    ];
    families.extend(counters.map(|(name, help, value)| Family {
        name,
        kind: "counter",
        unit: None,
        help,
        samples: plain(value.to_string()),
    }));
    let mut text = String::new();
    families.iter().for_each(|family| family.write(&mut text));
    text + "# EOF\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_hold_anything() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }

    #[test]
    fn milliseconds_are_told_in_seconds() {
        assert_eq!([0, 7, 61_050].map(seconds), ["0.000", "0.007", "61.050"]);
    }
}
