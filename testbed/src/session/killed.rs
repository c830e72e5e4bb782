//! The element where the session is dies, again and again: its program is killed, or its host reaches nobody any more.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::RTT;
use super::daemon::Daemon;
use super::pool::Pool;
use crate::clock::{self, Nanos, ms_between};
use crate::measure::{Window, cost};
use crate::registrar::{Stage, TooSlow, address};

/// Where the elements are.
const HOSTS: [u8; 3] = [10, 11, 12];

/// Requests, at least.
const REQUESTS: u64 = 1000;

/// Losses, at least; and each element is lost once, at least.
const LOSSES: usize = 6;
/// As many losses as that takes even with the most unequal choice.
const MOST_LOSSES: usize = 20;

/// How long requests and answers flow undisturbed between two deaths.
const STEADY: Duration = Duration::from_millis(500);

/// What the kernel reports is got over in six round trips and this time, in milliseconds.
const REPORTED: f64 = 200.0;
/// What it does not report is got over in this time, with default settings, in milliseconds.
const SILENT: f64 = 2000.0;

/// A machine whose answers pause for longer by themselves, in milliseconds, is too busy to measure anything.
const STANDSTILL: f64 = 100.0;

/// How an element dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Its program is killed: its kernel ends the associations.
    Killed,
    /// Its host reaches nobody any more: it is silent.
    CutOff,
}

pub(super) fn killed(stage: &mut Stage) -> Result<String> {
    die(stage, Death::Killed, None, 6.0 * RTT + REPORTED)
}

pub(super) fn cut_off(stage: &mut Stage) -> Result<String> {
    die(stage, Death::CutOff, None, SILENT)
}

/// The kernel does not report anything, since a daemon has it give up no association.
pub(super) fn cut_off_from_daemon(stage: &mut Stage) -> Result<String> {
    let daemon = Daemon::start(stage)?;
    die(stage, Death::CutOff, Some(daemon), SILENT)
}

/// `bound`: of the pause, in milliseconds.
fn die(stage: &mut Stage, death: Death, mut daemon: Option<Daemon>, bound: f64) -> Result<String> {
    let mut pool = Pool::start(stage, &HOSTS, RTT)?;
    let (mut lost, mut windows) = (BTreeSet::new(), Vec::new());
    while windows.len() < LOSSES || lost.len() < HOSTS.len() {
        ensure!(windows.len() < MOST_LOSSES, "of {HOSTS:?} only {lost:?} were ever used");
        pool.until_answered(clock::now())?;
        clock::pass(STEADY)?;
        let (at, visits) = (pool.at()?, pool.visits());
        if let Some(daemon) = &mut daemon {
            daemon.until_adopted(address(at))?;
        }
        let from = match death {
            Death::Killed => pool.element(at)?.kill(),
            Death::CutOff => {
                let from = clock::now();
                stage.link(at, false)?;
                from
            }
        };
        let next = pool.until_elsewhere(visits)?;
        pool.until_answered(from)?;
        windows.push(Window { from, to: clock::now() });
        stage.note(format!("the session went from element {at} to element {next}"));
        lost.insert(at);
        if death == Death::CutOff {
            pool.element(at)?.kill();
            stage.link(at, true)?;
        }
        pool.restart(stage, at)?;
    }
    pool.until_sent(REQUESTS)?;
    let record = pool.finish(stage)?;
    let arrivals: Vec<Nanos> = record.echoed.iter().flatten().copied().collect();
    let pauses: Option<Vec<f64>> =
        windows.iter().map(|&window| Some(cost(window, &[], &arrivals)?.silence_ms)).collect();
    let pauses = pauses.context("no answer ever came")?;
    let longest = pauses.iter().copied().fold(0.0, f64::max);
    let own = undisturbed(&arrivals, &windows);
    let listed: Vec<_> = pauses.iter().map(|pause| format!("{pause:.0}")).collect();
    let seen = format!(
        "all {} requests were answered once and in order; {} losses of an element, after which answers paused for {} ms, \
         where {bound:.0} ms are allowed; otherwise for {own:.0} ms at most",
        record.sent.len(),
        pauses.len(),
        listed.join(", ")
    );
    stage.note(&seen);
    // As long as the machine stood still while nobody died, it may have stood still in between, too.
    if longest > bound + own {
        if own > STANDSTILL {
            bail!(TooSlow(seen));
        }
        bail!(seen);
    }
    Ok(seen)
}

/// The longest pause while no element had died, in milliseconds: the machine's own.
fn undisturbed(arrivals: &[Nanos], windows: &[Window]) -> f64 {
    let touches = |from: Nanos, to: Nanos| windows.iter().any(|window| to > window.from && from < window.to);
    let pauses = arrivals.windows(2).filter(|pair| !touches(pair[0], pair[1]));
    pauses.map(|pair| ms_between(pair[0], pair[1])).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_while_an_element_dies_is_not_the_machines_own() {
        const MS: Nanos = 1_000_000;
        let arrivals = [0, 10, 40, 50, 350, 360].map(|ms| ms * MS);
        let dies = Window { from: 55 * MS, to: 355 * MS };
        assert_eq!(undisturbed(&arrivals, &[dies]), 30.0);
        assert_eq!(undisturbed(&arrivals, &[]), 300.0);
        assert_eq!(undisturbed(&[], &[]), 0.0);
    }
}
