//! The page: one file, nothing loaded from elsewhere.

use std::fmt::Write as _;

use super::chart::{chart, escape};
use super::{cell, groups};
use crate::result::{Agent, Outcome};

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --back: #fff; --line: #d0d7de; --sent: #8c959f; --echoed: #0969da;
  --outage: #ffebe9; --link: #cf222e; --wire: #8250df; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --line: #30363d; --sent: #8b949e;
  --echoed: #58a6ff; --outage: #3d1416; --link: #ff7b72; --wire: #d2a8ff; --good: #3fb950; --bad: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .95rem; } th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid var(--line); }
.good { color: var(--good); } .bad { color: var(--bad); }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--text); }
.axis { fill: none; stroke: var(--line); } .sent, .echoed { fill: none; stroke-width: 2; } .sent { stroke: var(--sent); } .echoed { stroke: var(--echoed); }
.outage { fill: var(--outage); } .link line { stroke: var(--link); } .wire line { stroke: var(--wire); stroke-dasharray: 2 3; }
.key span { margin-right: 1.2rem; } .key i { display: inline-block; width: 1.4rem; height: .2rem; vertical-align: middle; margin-right: .3rem; }
details { margin: .3rem 0 1.5rem; } ol { font-size: .85rem; font-family: ui-monospace, monospace; list-style: none; padding: 0; overflow-wrap: anywhere; }
";

/// Milliseconds of a run that are drawn at most where nothing more happens.
const TAIL: f64 = 6000.0;

/// The page of these runs.
pub fn page(title: &str, outcomes: &[Outcome]) -> String {
    let title = escape(title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    tables(&mut html, outcomes);
    html.push_str(
        "<p class=\"key\"><span><i style=\"background:var(--sent)\"></i>messages sent</span>\
         <span><i style=\"background:var(--echoed)\"></i>echoes come back</span>\
         <span><i style=\"background:var(--outage);height:.8rem\"></i>one end at least has no usable address</span>\
         <span><i style=\"background:var(--link)\"></i>an address goes or comes</span>\
         <span><i style=\"background:var(--wire)\"></i>ASCONF on the wire</span></p>\n",
    );
    let mut names: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !names.contains(&outcome.result.scenario.as_str()) {
            names.push(&outcome.result.scenario);
        }
    }
    for name in names {
        let runs: Vec<_> = outcomes.iter().filter(|outcome| outcome.result.scenario == name).collect();
        scenario(&mut html, name, &runs);
    }
    html.push_str("</body></html>\n");
    html
}

fn tables(html: &mut String, outcomes: &[Outcome]) {
    for group in groups(outcomes.iter().map(|outcome| &outcome.result)) {
        let Some(first) = group.runs.first() else { continue };
        let _ = write!(
            html,
            "<p>Kernel {}, round trip {} ms. Messages whose echo came back; what the handover added to the outage.</p>\n<table><tr><th>scenario</th>",
            escape(&first.kernel),
            first.rtt_ms
        );
        for agent in &group.agents {
            let _ = write!(html, "<th>{}</th>", heading(*agent));
        }
        html.push_str("</tr>\n");
        for name in &group.scenarios {
            let _ = write!(html, "<tr><td><a href=\"#{0}\">{0}</a></td>", escape(name));
            for agent in &group.agents {
                let run = group.find(name, *agent);
                let class = run.map_or("", |run| if run.passed { "good" } else { "bad" });
                let text = run.map_or(String::new(), |run| escape(&cell(run)));
                let _ = write!(html, "<td class=\"{class}\">{text}</td>");
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</table>\n");
    }
}

const fn heading(agent: Agent) -> &'static str {
    match agent {
        Agent::Roam => "with Roam",
        Agent::None => "the kernel alone",
        Agent::AutoAsconf => "the kernel's auto-ASCONF",
    }
}

fn scenario(html: &mut String, name: &str, runs: &[&Outcome]) {
    let _ = writeln!(html, "<h2 id=\"{0}\">{0}</h2>", escape(name));
    if let Some(play) = crate::scenario::play(name) {
        let _ = writeln!(html, "<p>{}</p>", escape(play.shows()));
    }
    // The same time for all, so that they can be compared: until the last that recovered has.
    let recovered = |outcome: &&&Outcome| outcome.result.passed;
    let end = |outcome: &&Outcome| {
        let messages = &outcome.course.messages;
        messages.iter().filter_map(|message| message.echoed_ms).fold(0.0, f64::max)
    };
    let outages = runs.iter().flat_map(|outcome| outcome.course.outages.iter().map(|outage| outage.0));
    let longest =
        runs.iter().filter(recovered).map(end).fold(0.0, f64::max).max(outages.fold(0.0, f64::max) + TAIL);
    for outcome in runs {
        let result = &outcome.result;
        let class = if result.passed { "good" } else { "bad" };
        let _ = writeln!(
            html,
            "<h3>{}</h3>\n<p class=\"{class}\">{}</p>",
            heading(result.agent),
            escape(&result.why)
        );
        if let Some(svg) = chart(&outcome.course, longest) {
            html.push_str(&svg);
        }
        parts(html, outcome);
        story(html, outcome);
    }
}

fn parts(html: &mut String, outcome: &Outcome) {
    if outcome.course.parts.is_empty() {
        return;
    }
    let parts = outcome.course.parts.iter().map(|(name, ms)| format!("{} {ms:.0} ms", escape(name)));
    let _ = writeln!(html, "<p>Of which: {}.</p>", parts.collect::<Vec<_>>().join(", "));
}

fn story(html: &mut String, outcome: &Outcome) {
    if outcome.course.happenings.is_empty() {
        return;
    }
    html.push_str("<details><summary>what happened</summary><ol>\n");
    for happening in &outcome.course.happenings {
        let _ = writeln!(
            html,
            "<li>{:9.3} s&ensp;{}&ensp;{}&ensp;{}</li>",
            happening.at_ms / 1000.0,
            escape(&happening.host),
            escape(&happening.kind),
            escape(&happening.what)
        );
    }
    html.push_str("</ol></details>\n");
}

#[cfg(test)]
mod tests {
    use super::super::tests::outcome;
    use super::*;

    #[test]
    fn the_page_has_the_table_the_drawings_and_the_story_and_loads_nothing() {
        let outcomes = [outcome("simultaneous", Agent::None, 40), outcome("simultaneous", Agent::Roam, 100)];
        let html = page("Runs & more", &outcomes);
        assert_eq!(html.matches("<svg").count(), 2);
        assert!(html.contains("all 100, +85 ms") && html.contains("40 of 100"));
        assert!(html.contains("<h1>Runs &amp; more</h1>") && html.contains("10.1.0.2 &lt;gone&gt;"));
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
