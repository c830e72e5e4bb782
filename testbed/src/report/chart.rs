//! One run drawn as SVG: messages sent and echoes come back over time, outages shaded.

use std::fmt::Write as _;

use crate::result::Course;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 16.0;

/// The part of a run that is drawn, in milliseconds: a run without answer need not be shown for all of its silence.
fn span(course: &Course, longest: f64) -> (f64, f64) {
    let last = |times: &mut dyn Iterator<Item = f64>| times.fold(0.0, f64::max);
    let sent = last(&mut course.messages.iter().map(|message| message.sent_ms));
    let echoed = last(&mut course.messages.iter().filter_map(|message| message.echoed_ms));
    (0.0, sent.max(echoed).clamp(1.0, longest))
}

/// The drawing; none for a run whose messages are not known. `longest`: milliseconds that are drawn at most.
pub(super) fn chart(course: &Course, longest: f64) -> Option<String> {
    let count = course.messages.len();
    if count == 0 {
        return None;
    }
    let (from, to) = span(course, longest);
    let x = |ms: f64| LEFT + (ms.clamp(from, to) - from) / (to - from) * (WIDTH - LEFT - 8.0);
    let shown = course.messages.iter().filter(|message| message.sent_ms <= to).count().max(1);
    let y = |number: usize| HEIGHT - BOTTOM - number as f64 / shown as f64 * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"messages sent and echoed over time\">\n"
    );
    for &(begin, end) in &course.outages {
        if begin < to {
            let _ = writeln!(
                svg,
                "<rect class=\"outage\" x=\"{:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>no usable address at one end at least: {:.0} ms</title></rect>",
                x(begin),
                (x(end) - x(begin)).max(1.0),
                HEIGHT - BOTTOM - TOP,
                end - begin
            );
        }
    }
    axes(&mut svg, from, to, shown, &x);
    let sent: Vec<(f64, usize)> =
        course.messages.iter().take(shown).enumerate().map(|(n, message)| (message.sent_ms, n + 1)).collect();
    let mut echoes: Vec<f64> =
        course.messages.iter().filter_map(|message| message.echoed_ms).filter(|ms| *ms <= to).collect();
    echoes.sort_by(f64::total_cmp);
    let echoed: Vec<(f64, usize)> = echoes.iter().enumerate().map(|(n, &ms)| (ms, n + 1)).collect();
    for (class, line) in [("sent", &sent), ("echoed", &echoed)] {
        let mut path = format!("M{:.1} {:.1}", x(from), y(0));
        for &(ms, number) in line {
            let _ = write!(path, "H{:.1}V{:.1}", x(ms), y(number));
        }
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}H{:.1}\"/>", x(to));
    }
    let mut number = 0;
    for happening in course.happenings.iter().filter(|happening| drawn(&happening.kind)) {
        if happening.at_ms < from || happening.at_ms > to {
            continue;
        }
        number += 1;
        let _ = writeln!(
            svg,
            "<g class=\"{}\"><line x1=\"{1:.1}\" x2=\"{1:.1}\" y1=\"{TOP}\" y2=\"{2:.1}\"/><title>{3:.0} ms, {4}: {5}</title></g>",
            escape(&happening.kind),
            x(happening.at_ms),
            HEIGHT - BOTTOM,
            happening.at_ms,
            escape(&happening.host),
            escape(&happening.what)
        );
        if number >= 400 {
            break;
        }
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// Kinds of happenings that have a mark in the drawing; all are in the list below it.
fn drawn(kind: &str) -> bool {
    matches!(kind, "link" | "wire")
}

fn axes(svg: &mut String, from: f64, to: f64, count: usize, x: &impl Fn(f64) -> f64) {
    let floor = HEIGHT - BOTTOM;
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{floor}H{}\"/>", WIDTH - 8.0);
    let step = [500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 60_000.0]
        .into_iter()
        .find(|step| (to - from) / step <= 10.0);
    let step = step.unwrap_or(600_000.0);
    let mut tick = (from / step).ceil() * step;
    while tick <= to {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} s</text>",
            x(tick),
            HEIGHT - 8.0,
            tick / 1000.0
        );
        tick += step;
    }
    let _ =
        writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{count}</text>", LEFT - 5.0, TOP + 8.0);
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{floor}\" text-anchor=\"end\">0</text>", LEFT - 5.0);
}

/// Text for HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::outcome;
    use super::*;
    use crate::result::Agent;

    #[test]
    fn both_lines_end_where_the_run_ends() {
        let svg = chart(&outcome("simultaneous", Agent::None, 40).course, 60_000.0).unwrap();
        for class in ["sent", "echoed", "outage"] {
            assert!(svg.contains(&format!("class=\"{class}\"")), "{svg}");
        }
        assert_eq!(svg.matches("H892.0\"/>").count(), 2, "{svg}");
    }

    #[test]
    fn a_long_silence_is_cut() {
        let mut course = outcome("simultaneous", Agent::None, 40).course;
        course.messages.iter_mut().skip(50).for_each(|message| message.sent_ms += 100_000.0);
        assert!(!chart(&course, 5_000.0).unwrap().contains("100 s"));
    }

    #[test]
    fn what_programs_say_is_text_and_nothing_else() {
        let svg = chart(&outcome("simultaneous", Agent::Roam, 100).course, 60_000.0).unwrap();
        assert!(svg.contains("10.1.0.2 &lt;gone&gt;") && !svg.contains("<gone>"));
    }

    #[test]
    fn a_run_whose_messages_are_not_known_is_not_drawn() {
        assert_eq!(chart(&Course::default(), 1000.0), None);
    }
}
