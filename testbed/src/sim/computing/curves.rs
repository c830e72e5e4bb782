//! The results as a page: for each distribution of capacities what was measured, a line for each policy.

use std::fmt::Write as _;

use super::Seen;
use super::command::Compared;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;

/// Something that was measured.
struct Measure {
    /// What the drawing shows, and in which unit.
    name: &'static str,
    value: fn(&Seen) -> f64,
    /// The top of the drawing at most: a policy that is far worse would press all the others together.
    most: f64,
}

const MEASURES: [Measure; 4] = [
    Measure {
        name: "What a job takes, in what it would take alone at an element of mean speed",
        value: |seen| seen.slowdown,
        most: 12.0,
    },
    Measure { name: "Waiting until a job is begun, in seconds", value: |seen| seen.waiting, most: 2.0 },
    Measure {
        name: "Capacity used, in percent of that of the elements that are there",
        value: |seen| seen.utilisation * 100.0,
        most: 100.0,
    },
    Measure {
        name: "Work that was lost with elements that died, in percent of all that was done",
        value: |seen| seen.lost * 100.0,
        most: 30.0,
    },
];

const COLOURS: [&str; 8] =
    ["#c0392b", "#e67e22", "#8e44ad", "#d4ac0d", "#16a085", "#2980b9", "#2c3e50", "#27ae60"];

/// The page. `stay`: for how many seconds elements stay in the mean, if they do not for ever.
pub(super) fn page(all: &[Compared], elements: u32, seed: u64, stay: Option<u64>) -> String {
    let stays = stay.map_or("stay for ever".to_owned(), |stay| {
        format!(
            "stay for {stay} s in the mean and are then away for a quarter of that; half of those that go die"
        )
    });
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Policies of pools that compute</title>\n\
         <style>body{{font:15px sans-serif;margin:2em auto;max-width:60em}}svg{{width:100%}}text{{font:12px sans-serif}}\
         .line{{fill:none;stroke-width:2}}.axis{{stroke:#888}}</style>\n\
         <h1>Policies of pools that compute</h1>\n<p>{elements} elements, which {stays}. Seed {seed}. To the right: the part \
         of the pool's capacity that jobs need.</p>\n"
    );
    for compared in all {
        let _ = writeln!(page, "<h2>Elements: {}</h2>", compared.capacities.name());
        for measure in &MEASURES {
            // Where nobody dies nothing is lost.
            let mut values = compared.of.iter().flat_map(|(_, all)| all.iter().map(measure.value));
            if values.any(|value| value > 0.0) {
                let _ = writeln!(page, "<h3>{}</h3>\n{}", measure.name, drawing(compared, measure));
            }
        }
    }
    page.push_str("</html>\n");
    page
}

fn drawing(compared: &Compared, measure: &Measure) -> String {
    let largest = compared.of.iter().flat_map(|(_, all)| all.iter().map(measure.value)).fold(0.0, f64::max);
    let top = largest.min(measure.most).max(f64::MIN_POSITIVE);
    let x = |demand: f64| LEFT + demand * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value.min(top) / top * (HEIGHT - BOTTOM - TOP);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", measure.name);
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{:.0} %</text>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{:.2}</text>",
            x(part),
            HEIGHT - 12.0,
            part * 100.0,
            LEFT - 6.0,
            y(part * top) + 4.0,
            part * top
        );
    }
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let _ = writeln!(svg, "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{bottom:.1}H{right:.1}\"/>");
    for (number, ((policy, all), colour)) in compared.of.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let mut path = String::new();
        for (demand, seen) in compared.demands.iter().zip(all) {
            let step = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1}", x(*demand), y((measure.value)(seen)));
        }
        let at = TOP + 18.0 * (number + 1) as f64;
        let _ = writeln!(
            svg,
            "<path class=\"line\" stroke=\"{colour}\" d=\"{path}\"/>\
             <text x=\"{:.0}\" y=\"{at:.0}\" fill=\"{colour}\">{}</text>",
            WIDTH - RIGHT + 16.0,
            policy.name()
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::super::{Capacities, Contender, Seen};
    use super::*;

    #[test]
    fn each_policy_has_its_line_and_what_is_too_slow_ends_at_the_top() {
        let seen = |slowdown| Seen { slowdown, ..Seen::default() };
        let compared = Compared {
            capacities: Capacities::Equal,
            demands: vec![0.5, 1.0],
            of: vec![
                (Contender::Random, vec![seen(2.0), seen(500.0)]),
                (Contender::LeastUsed, vec![seen(1.0), seen(1.5)]),
            ],
        };
        let drawn = drawing(&compared, &MEASURES[0]);
        assert_eq!(drawn.matches("class=\"line\"").count(), 2);
        assert!(drawn.contains(&format!("L{:.1} {TOP:.1}", WIDTH - RIGHT)), "{drawn}");
        let drawn = page(&[compared], 10, 1, Some(60));
        assert!(drawn.contains("Least Used</text>") && drawn.contains("stay for 60 s"));
        assert_eq!(drawn.matches("<svg").count(), 1, "nothing else was measured");
    }
}
