//! `roam top`: what is shown, and how it is drawn on a screen of a given size. Neither asks nor waits: see
//! `src/bin/roam.rs` for that.

use std::fmt::Write;
use std::net::IpAddr;

use crate::control::{
    AddressReport, AssociationReport, AssociationState, CountsReport, HistogramReport, StatusReport,
};
use crate::decisions::{Decision, Subject};
use crate::show::plain;

/// How a line is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As text.
    Plain,
    /// As the head of a table.
    Head,
    /// Something is wrong.
    Alarm,
    /// Something is under way.
    Busy,
}

/// A line of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it is to be seen.
    pub tone: Tone,
    /// The text, however wide.
    pub text: String,
}

/// The picture, before it is known how much of it there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// How the daemon is, what is wrong, and the addresses.
    pub summary: Vec<Line>,
    /// The names of the columns.
    pub head: Line,
    /// The associations, those first that need attention.
    pub associations: Vec<Line>,
    /// The last decisions, the newest last.
    pub decisions: Vec<Line>,
}

/// A screen's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How wide.
    pub columns: usize,
    /// How high.
    pub rows: usize,
}

/// What one asks the daemon for a picture.
#[derive(Debug, Clone, Copy)]
pub struct Answers<'a> {
    /// How the daemon is.
    pub status: &'a StatusReport,
    /// The host's associations.
    pub associations: &'a [AssociationReport],
    /// The host's addresses.
    pub addresses: &'a [AddressReport],
    /// The last decisions, oldest first.
    pub decisions: &'a [Decision],
}

impl View {
    /// The picture of these answers.
    #[must_use]
    pub fn of(answers: Answers<'_>) -> Self {
        let Answers { status, associations, addresses, decisions } = answers;
        let mut sorted: Vec<&AssociationReport> = associations.iter().collect();
        sorted.sort_by_key(|it| (urgency(it.state), it.pid, it.local_port, it.peer_port));
        let row = |it: &&AssociationReport| Line { tone: tone(it.state), text: row(it, decisions) };
        let last = decisions.iter().map(|it| line(plain(&it.to_string())));
        Self {
            summary: summary(status, addresses),
            head: Line { tone: Tone::Head, text: HEAD.to_owned() },
            associations: sorted.iter().map(row).collect(),
            decisions: last.collect(),
        }
    }

    /// Draws it: lines as wide as the screen at most, and no more of them than it has; without `size`, all of it. With
    /// `colours` in those of terminals (ECMA-48, SGR).
    #[must_use]
    pub fn draw(&self, size: Option<Size>, colours: bool) -> String {
        let rows = size.map_or(usize::MAX, |size| size.rows);
        let columns = size.map_or(usize::MAX, |size| size.columns);
        let mut text = String::new();
        let above = self.summary.len() + 1;
        // Decisions have a third of what is left besides a blank line and one for those that are hidden, and what associations
        // do not need. The first association goes before all of them.
        let left = rows.saturating_sub(above);
        let both = left.saturating_sub(2);
        let shown = (both - both / 3).max(left.saturating_sub(self.decisions.len() + 1)).max(left.min(1));
        let shown = shown.min(self.associations.len());
        let hidden = self.associations.len() - shown;
        let more = line(format!("({hidden} more, which need no attention as much)"));
        let room = left.saturating_sub(shown + usize::from(hidden > 0) + 1);
        let old = self.decisions.len().saturating_sub(room);
        let blank = line(String::new());
        let lines = self.summary.iter().chain([&self.head]).chain(&self.associations[..shown]);
        let lines = lines.chain((hidden > 0).then_some(&more)).chain([&blank]).chain(&self.decisions[old..]);
        for Line { tone, text: whole } in lines.take(rows) {
            let cut: String = whole.chars().take(columns).collect();
            let (on, off) = if colours { tone.escapes() } else { ("", "") };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{on}{cut}{off}");
        }
        text
    }
}

impl Tone {
    const fn escapes(self) -> (&'static str, &'static str) {
        const OFF: &str = "\x1b[0m";
        match self {
            Self::Plain => ("", ""),
            Self::Head => ("\x1b[7m", OFF),
            Self::Alarm => ("\x1b[31m", OFF),
            Self::Busy => ("\x1b[33m", OFF),
        }
    }
}

const HEAD: &str = "STATE        SINCE   MOVES  LAST     PROCESS                 PATH; LAST DECISION";

fn line(text: String) -> Line {
    Line { tone: Tone::Plain, text }
}

/// Lower comes first.
const fn urgency(state: AssociationState) -> u8 {
    match state {
        AssociationState::Stranded => 0,
        AssociationState::Moving => 1,
        AssociationState::Unmanageable => 2,
        AssociationState::Settled => 3,
    }
}

const fn tone(state: AssociationState) -> Tone {
    match state {
        AssociationState::Stranded => Tone::Alarm,
        AssociationState::Moving | AssociationState::Unmanageable => Tone::Busy,
        AssociationState::Settled => Tone::Plain,
    }
}

fn row(it: &AssociationReport, decisions: &[Decision]) -> String {
    let program = it.executable.as_deref().and_then(|path| path.file_name());
    let program = program.map_or_else(|| "?".to_owned(), |name| plain(&name.to_string_lossy()));
    let process: String = format!("{} {program}", it.pid).chars().take(22).collect();
    let list = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let took = it.last_move_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let subject =
        Subject::Association { pid: it.pid, local_port: it.local_port, peer_port: Some(it.peer_port) };
    let last = decisions.iter().rev().find(|decision| decision.subject == subject);
    let last = last.map(|decision| format!("; {}", plain(&decision.text))).unwrap_or_default();
    let (state, since, moves) = (it.state, time(it.in_state_ms), it.moves);
    let (local, peer) = (list(&it.local), list(&it.peer));
    let (own_port, peer_port) = (it.local_port, it.peer_port);
    format!(
        "{state:<13}{since:<8}{moves:<7}{took:<9}{process:<24}{local}:{own_port} > {peer}:{peer_port}{last}"
    )
}

/// Milliseconds in few characters.
fn time(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms}ms"),
        seconds @ 1..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

fn summary(status: &StatusReport, addresses: &[AddressReport]) -> Vec<Line> {
    let CountsReport { handovers, gap, delay, asconf, registrations, .. } = &status.counts;
    let mean = |report: &HistogramReport| report.sum_ms.checked_div(report.count).unwrap_or_default();
    let moves: Vec<String> =
        handovers.iter().map(|it| format!("{} {} {}", it.count, it.kind.name(), it.outcome.name())).collect();
    let moves = if moves.is_empty() { "none".to_owned() } else { moves.join(", ") };
    let refused: u64 = asconf.refused.iter().map(|it| it.count).sum();
    let StatusReport { settled, moving, stranded, unmanageable, .. } = *status;
    let tone = if stranded > 0 { Tone::Alarm } else { Tone::Plain };
    let mut lines = vec![
        Line {
            tone,
            text: format!(
                "roamd {} for {}: {settled} settled, {moving} moving, {stranded} stranded, {unmanageable} unmanageable",
                plain(&status.version),
                time(status.uptime_ms)
            ),
        },
        line(format!(
            "handovers: {moves}; mean gap {} ms, {} ms of it with an address",
            mean(gap),
            mean(delay)
        )),
        line(format!(
            "ASCONF: {} accepted, {refused} refused, {} unanswered; registrar: {}; {} registrations",
            asconf.accepted,
            asconf.unanswered,
            status.registrar.as_deref().map_or_else(|| "none".to_owned(), plain),
            registrations.confirmed
        )),
    ];
    let usable: Vec<String> = addresses
        .iter()
        .filter(|it| it.usable)
        .map(|it| format!("{} ({})", it.address, plain(&it.interface)))
        .collect();
    let usable = if usable.is_empty() { "none".to_owned() } else { usable.join(", ") };
    let held: Vec<String> = status.held.iter().map(ToString::to_string).collect();
    let held = if held.is_empty() { String::new() } else { format!("; held: {}", held.join(", ")) };
    lines.push(line(format!("usable addresses: {usable}{held}")));
    lines.extend(status.problems.iter().map(|text| Line { tone: Tone::Alarm, text: plain(text) }));
    lines.push(line(String::new()));
    lines
}

#[cfg(test)]
mod tests;
