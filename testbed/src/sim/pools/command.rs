//! `roam-testbed simulate`: many runs, large ones, and a single one told in full; and with `--hours` two hosts in place of
//! clusters.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::crowd::{Crowd, serve};
use super::mischief::{TRICKS, Trick};
use super::{Seen, Shape, replay, run};
use crate::clock;
use crate::sim::life;
use crate::sim::seeds::{guarded, side_by_side};

/// How many small runs there are.
pub const SEEDS: u64 = 2_000;

/// The large ones: so many registrars, so many elements.
const LARGE: [(usize, usize); 2] = [(50, 5_000), (4, 100_000)];

/// In so many runs at most each trick is noticed.
const TRIES: u64 = 200;

/// What `simulate` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Play this seed alone, and tell all that happens.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// How many small clusters of each kind are played.
    #[arg(long, default_value_t = SEEDS, conflicts_with = "seed")]
    seeds: u64,
    /// Only small clusters whose hosts list only some of the registrars.
    #[arg(long, conflicts_with_all = ["large", "size", "crowd"])]
    some_listed: bool,
    /// Then play the large ones, and a crowd of subscribers.
    #[arg(long, conflicts_with = "seed")]
    large: bool,
    /// Play one large cluster alone, of so many registrars and elements, as 50x5000 or 4x100000: minutes, and up to some
    /// gigabytes. With a seed, tell all that happens.
    #[arg(long, value_name = "REGISTRARSxELEMENTS", value_parser = size)]
    size: Option<(usize, usize)>,
    /// Play a crowd of so many subscribers alone.
    #[arg(long, value_name = "SUBSCRIBERS", conflicts_with_all = ["seed", "large", "size"])]
    crowd: Option<usize>,
    /// In place of clusters, two hosts that move, flap, restart their daemons and programs, for so many hours: with a seed
    /// its life alone, and what happened before anything went wrong; else lives of as many seeds as there are to be.
    #[arg(long, value_name = "HOURS", conflicts_with_all = ["large", "size", "crowd", "some_listed"])]
    hours: Option<u64>,
}

fn size(text: &str) -> Result<(usize, usize)> {
    let (registrars, elements) = text.split_once('x').context("REGISTRARSxELEMENTS, as 50x1000")?;
    Ok((registrars.parse()?, elements.parse()?))
}

/// One thing that was shown, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What was played.
    pub name: String,
    /// What was wrong, and how to see it again.
    pub failed: Option<String>,
}

/// Plays small clusters on all processors; what they came to, and those that failed, in order.
#[must_use]
pub fn small(seeds: Range<u64>, some_listed: bool) -> (Seen, Vec<(u64, String)>) {
    let play = |seed| {
        let shape = Shape { some_listed, ..Shape::small(seed) };
        (seed, guarded(|| run(seed, &shape)))
    };
    let (mut all, mut failed) = (Seen::default(), Vec::new());
    for (seed, result) in side_by_side(seeds, play) {
        match result {
            Ok(seen) => all.add(&seen),
            Err(what) => failed.push((seed, what)),
        }
    }
    (all, failed)
}

/// The first run in which a trick is noticed for this reason.
///
/// # Errors
/// There is none.
pub(super) fn noticed(trick: Trick, why: &str) -> Result<u64, String> {
    let is_noticed = |seed: &u64| {
        let shape = Shape { trick, ..Shape::small(*seed) };
        guarded(|| run(*seed, &shape)).is_err_and(|what| what.contains(why))
    };
    (0..TRIES).find(is_noticed).ok_or_else(|| format!("nobody says in {TRIES} runs: {why}"))
}

fn crowd(crowd: &Crowd) -> Shown {
    let (begin, name) = (clock::now(), format!("{} subscribers", crowd.subscribers));
    let result = guarded(|| serve(0, crowd));
    told(&name, begin, &result);
    Shown { name, failed: result.err() }
}

/// One large cluster.
fn large((registrars, elements): (usize, usize)) -> Shown {
    let (begin, name) = (clock::now(), format!("{registrars} registrars, {elements} elements"));
    let result = guarded(|| run(0, &Shape::large(registrars, elements)));
    told(&name, begin, &result);
    let again = format!("again: cargo testbed simulate --seed 0 --size {registrars}x{elements}");
    Shown { name, failed: result.err().map(|what| format!("{what}; {again}")) }
}

fn told(name: &str, begin: u64, result: &dyn std::fmt::Debug) {
    println!("simulate: {name}: {result:?}, {:.1} s", clock::ms_between(begin, clock::now()) / 1000.0);
}

fn many(seeds: u64, some_listed: bool) -> Shown {
    let begin = clock::now();
    let (seen, failed) = small(0..seeds, some_listed);
    let name = format!("{seeds} small clusters{}", if some_listed { ", some registrars listed" } else { "" });
    told(&name, begin, &seen);
    let option = if some_listed { " --some-listed" } else { "" };
    let failed = failed.first().map(|(seed, what)| {
        let again = format!("again: cargo testbed simulate --seed {seed}{option}");
        format!("{} failed; seed {seed}: {what}; {again}", failed.len())
    });
    Shown { name, failed }
}

/// Plays so many small clusters of each kind.
pub(super) fn small_of_each_kind(seeds: u64) -> Vec<Shown> {
    [false, true].map(|some_listed| many(seeds, some_listed)).into()
}

/// Plays so many small clusters of each kind and, if they are wanted, the large ones; says what was shown.
#[must_use]
pub fn all(seeds: u64, with_large: bool) -> Vec<Shown> {
    let mut shown = small_of_each_kind(seeds);
    for (trick, why) in TRICKS {
        let (begin, name) = (clock::now(), format!("what is noticed of {trick:?}"));
        let result = noticed(trick, why);
        told(&name, begin, &result);
        shown.push(Shown { name, failed: result.err() });
    }
    if !with_large {
        return shown;
    }
    shown.extend(LARGE.map(large));
    shown.push(crowd(&Crowd::default()));
    shown
}

/// Carries out `simulate`.
///
/// # Errors
/// None: what is wrong is told.
pub fn execute(arguments: &Arguments) -> Result<ExitCode> {
    let shown = match (arguments.seed, arguments.size) {
        (seed, None) if arguments.hours.is_some() => {
            let hours = arguments.hours.unwrap_or_default();
            seed.map_or_else(|| life::all(0..arguments.seeds, hours), |seed| vec![life::one(seed, hours)])
        }
        (None, None) if arguments.crowd.is_some() => {
            let subscribers = arguments.crowd.unwrap_or_default();
            vec![crowd(&Crowd { subscribers, ..Crowd::default() })]
        }
        (None, None) if arguments.some_listed => vec![many(arguments.seeds, true)],
        (None, None) => all(arguments.seeds, arguments.large),
        (None, Some(size)) => vec![large(size)],
        (Some(seed), size) => {
            let small = || Shape { some_listed: arguments.some_listed, ..Shape::small(seed) };
            let shape = size.map_or_else(small, |(r, e)| Shape::large(r, e));
            let (begin, name) = (clock::now(), format!("seed {seed}"));
            let (result, trace) = replay(seed, &shape);
            for line in trace {
                println!("{line}");
            }
            told(&name, begin, &result);
            vec![Shown { name, failed: result.err() }]
        }
    };
    let failures: Vec<_> = shown
        .iter()
        .filter_map(|one| Some(format!("FAILED {}: {}", one.name, one.failed.as_ref()?)))
        .collect();
    for failure in &failures {
        println!("{failure}");
    }
    println!("{} passed, {} failed", shown.len() - failures.len(), failures.len());
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
