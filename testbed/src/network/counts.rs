//! What the agent counts is what was there to be seen.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roam_agent::tally::{Kind, Outcome};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, A2, Host};

/// How long the host has no address, in milliseconds.
const OUTAGE: u64 = 1000;
/// How much longer than the gap itself the program may be without an echo, in milliseconds: by what lies between the peer's
/// answer and an echo of what waited, on a busy emulated machine.
const SLACK: f64 = 1000.0;

pub(super) fn handovers(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    let begin = clock::now();

    stage.note("the host loses its address, and gets another");
    stage.network.down(Host::A, &[A1])?;
    clock::pass(Duration::from_millis(OUTAGE))?;
    stage.network.up(Host::A, &[A2])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let counts = stage.status().context("no answer")?.counts;
    let moved = [(Kind::BreakBeforeMake, Outcome::Moved, 1)];
    let told = |counts: &roam_agent::control::CountsReport| {
        counts.handovers.iter().map(|it| (it.kind, it.outcome, it.count)).collect::<Vec<_>>()
    };
    ensure!(told(&counts) == moved, "after a break: {:?}", counts.handovers);
    let (whole, part) = (counts.gap.sum_ms, counts.delay.sum_ms);
    ensure!(counts.gap.count == 1 && counts.delay.count == 1, "{:?}, {:?}", counts.gap, counts.delay);
    ensure!(whole >= OUTAGE && part < whole, "a gap of {whole} ms, of which {part} ms with an address");

    stage.note("the address is there and goes before the next one has come: the peer hears of nothing");
    stage.network.down(Host::A, &[A2])?;
    clock::pass(Duration::from_millis(OUTAGE))?;
    stage.network.up(Host::A, &[A2])?;
    stage.until_flows()?;
    stage.until_settled()?;
    let counts = stage.status().context("no answer")?.counts;
    let returned =
        [(Kind::BreakBeforeMake, Outcome::Moved, 1), (Kind::BreakBeforeMake, Outcome::Returned, 1)];
    ensure!(told(&counts) == returned, "after a return: {:?}", counts.handovers);
    ensure!(counts.gap.sum_ms == whole, "a return has no gap of a move: {:?}", counts.gap);

    stage.note("a new address comes before the old one goes");
    stage.network.up(Host::A, &[A1])?;
    // It moves on as soon as there is a newer network.
    stage.until_at(&["10.1.0.2"])?;
    stage.network.down(Host::A, &[A2])?;
    stage.until_flows()?;
    let status = stage.status().context("no answer")?;
    let overlap = [(Kind::MakeBeforeBreak, Outcome::Moved, 1), returned[0], returned[1]];
    ensure!(told(&status.counts) == overlap, "after an overlap: {:?}", status.counts.handovers);

    let counts = status.counts;
    let answers = stage.answers(begin);
    let refused = answers.iter().filter(|what| what.contains("refused")).count() as u64;
    let said: u64 = counts.asconf.refused.iter().map(|it| it.count).sum();
    let accepted = answers.len() as u64 - refused;
    ensure!(
        (counts.asconf.accepted, said, counts.asconf.unanswered) == (accepted, refused, 0),
        "{:?}, and the peer answered {answers:?}",
        counts.asconf
    );
    let decisions = stage.told("agent", begin).into_iter().filter(|it| it.starts_with("association")).count();
    ensure!(
        counts.decisions.association >= decisions as u64,
        "{decisions} decisions: {:?}",
        counts.decisions
    );
    let text = stage.metrics()?;
    for line in [
        "roam_handovers_total{kind=\"break-before-make\",outcome=\"moved\"} 1".to_owned(),
        format!("roam_asconf_total{{outcome=\"accepted\"}} {accepted}"),
        "roam_handover_gap_seconds_count 1".to_owned(),
    ] {
        ensure!(text.lines().any(|it| it == line), "`roam metrics` does not say {line}");
    }
    let record = stage.finish()?;
    let longest = gap(&record, begin);
    ensure!(
        longest + SLACK >= whole as f64,
        "the agent told of a gap of {whole} ms, and the program had none longer than {longest:.0} ms"
    );
    Ok(format!(
        "a gap of {whole} ms, {part} ms of it with an address, was told of; the program's longest was {longest:.0} ms; \
         {accepted} ASCONFs accepted and {refused} refused, as the peer answered"
    ))
}
