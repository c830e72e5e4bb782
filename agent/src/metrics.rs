//! What the daemon says of itself, in OpenMetrics' text format: for collectors of text files, or whoever asks over the
//! control socket (`roam metrics`).

use std::fmt::Write;

use crate::control::{
    AsconfReport, AssociationReport, BucketReport, CountsReport, DecisionReport, HistogramReport,
    NetworkReport, ProbeReport, RegistrationReport, StatusReport,
};

/// A sample's labels and its value.
type Sample<'a> = (Vec<(&'a str, String)>, String);

/// A metric family: its name, its kind, its unit, what it is, and its samples.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    unit: Option<&'a str>,
    help: &'a str,
    samples: Vec<Sample<'a>>,
    /// How long things took, in a family of that kind.
    histogram: Option<&'a HistogramReport>,
}

impl Family<'_> {
    fn write(&self, text: &mut String) {
        let Self { name, kind, unit, help, samples, histogram } = self;
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
        if let Some(HistogramReport { buckets, count, sum_ms }) = histogram {
            for BucketReport { le_ms, count } in buckets {
                let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", seconds(*le_ms));
            }
            let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{name}_count {count}\n{name}_sum {}", seconds(*sum_ms));
        }
    }
}

/// What has been counted since the daemon began.
fn counted(counts: &CountsReport) -> Vec<Family<'_>> {
    // Taken apart without `..`, so that none is forgotten here.
    let CountsReport { handovers, gap, delay, asconf, registrations, probes, decisions } = counts;
    let counter =
        |name, help, samples| Family { name, kind: "counter", unit: None, help, samples, histogram: None };
    let histogram = |name, help, report| Family {
        name,
        kind: "histogram",
        unit: Some("seconds"),
        help,
        samples: Vec::new(),
        histogram: Some(report),
    };
    let by = |key, values: &[(&str, u64)]| {
        values.iter().map(|&(label, value)| (vec![(key, label.to_owned())], value.to_string())).collect()
    };
    let handovers = handovers.iter().map(|it| {
        let labels = [("kind", it.kind.name()), ("outcome", it.outcome.name())];
        (labels.map(|(key, value)| (key, value.to_owned())).to_vec(), it.count.to_string())
    });
    let AsconfReport { accepted, refused, unanswered } = asconf;
    let refused = refused.iter().map(|it| {
        let labels = vec![("outcome", "refused".to_owned()), ("cause", format!("{:#06x}", it.cause))];
        (labels, it.count.to_string())
    });
    let others: Vec<Sample<'_>> = by("outcome", &[("accepted", *accepted), ("unanswered", *unanswered)]);
    let RegistrationReport { confirmed, refused: rejected, unanswered, expired } = *registrations;
    let ProbeReport { sent, lost } = *probes;
    let DecisionReport { daemon, address, association, handle } = *decisions;
    vec![
        counter(
            "roam_handovers",
            "Handovers of associations by kind (the peer moved as well: simultaneous) and outcome (moved: the peer has \
             accepted; returned: a lost address came back; lost: the association ended without a usable address)",
            handovers.collect(),
        ),
        histogram(
            "roam_handover_gap_seconds",
            "From the loss of an association's last usable address until the peer had accepted another one",
            gap,
        ),
        histogram(
            "roam_handover_delay_seconds",
            "The part of the gap after there was an address to move to: until the peer had accepted it",
            delay,
        ),
        counter(
            "roam_asconf",
            "ASCONFs of this host by what came of them; refused ones by the peer's causes (RFC 5061)",
            others.into_iter().chain(refused).collect(),
        ),
        counter(
            "roam_registrations",
            "Registrations of own pool elements, renewals included, by what came of them",
            by(
                "outcome",
                &[
                    ("confirmed", confirmed),
                    ("refused", rejected),
                    ("unanswered", unanswered),
                    ("expired", expired),
                ],
            ),
        ),
        counter("roam_path_probes", "Probes of paths that were sent", vec![(Vec::new(), sent.to_string())]),
        counter(
            "roam_path_probes_lost",
            "Probes of paths that nobody answered in time",
            vec![(Vec::new(), lost.to_string())],
        ),
        counter(
            "roam_decisions",
            "Decisions by what they are about",
            by(
                "about",
                &[("daemon", daemon), ("address", address), ("association", association), ("handle", handle)],
            ),
        ),
    ]
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
    let gauge =
        |name, help, samples| Family { name, kind: "gauge", unit: None, help, samples, histogram: None };
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
            histogram: None,
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
        histogram: None,
    }));
    families.extend(counted(&status.counts));
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
