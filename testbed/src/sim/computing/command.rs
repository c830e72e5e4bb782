//! `roam-testbed compute`: the policies compared, as a table and as a page with curves.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::super::SECOND;
use super::{Capacities, Contender, Seen, Shape, curves, run};

/// The parts of the pool's capacity that jobs need, for which the curves are drawn.
const DEMANDS: [f64; 6] = [0.2, 0.4, 0.6, 0.7, 0.8, 0.9];

/// What `compute` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How many elements the pools have; 10000 take minutes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    elements: u32,
    /// Jobs for each element
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    jobs: u32,
    /// What the random numbers begin with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Elements stay for so many seconds in the mean, and are away for a quarter of that; else they stay for ever
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    stay: Option<u64>,
    /// How fast the elements are; all distributions if not given
    #[arg(long, value_enum)]
    capacities: Option<Capacities>,
    /// Write a page with the curves here
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// All of one distribution: the results of each policy at each demand.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    pub(super) capacities: Capacities,
    pub(super) demands: Vec<f64>,
    pub(super) of: Vec<(Contender, Vec<Seen>)>,
}

fn compare(arguments: &Arguments, capacities: Capacities) -> Compared {
    let played = |policy: Contender, demand: f64| {
        let mut shape = Shape::new(arguments.elements as usize, capacities, policy, demand);
        shape.jobs = shape.elements * arguments.jobs as usize;
        shape.churn = arguments.stay.map(|stay| (stay * SECOND, stay * SECOND / 4));
        run(arguments.seed, &shape)
    };
    let of = std::thread::scope(|scope| {
        let played = &played;
        // Each policy meets the same jobs: the seed is the same.
        let all = Contender::ALL.map(|policy| {
            (policy, scope.spawn(move || DEMANDS.map(|demand| played(policy, demand)).to_vec()))
        });
        all.into_iter().filter_map(|(policy, play)| Some((policy, play.join().ok()?))).collect()
    });
    Compared { capacities, demands: DEMANDS.to_vec(), of }
}

fn table(compared: &Compared) {
    println!("\nElements {}:", compared.capacities.name());
    println!(
        "{:28} {:>6} {:>9} {:>9} {:>8} {:>8} {:>6} {:>6}",
        "policy", "demand", "handling", "waiting", "slowdown", "refused", "used", "lost"
    );
    for (policy, all) in &compared.of {
        for (demand, seen) in compared.demands.iter().zip(all) {
            println!(
                "{:28} {:>5.0}% {:>7.2} s {:>7.3} s {:>8.2} {:>8} {:>5.1}% {:>5.2}%",
                policy.name(),
                demand * 100.0,
                seen.handling,
                seen.waiting,
                seen.slowdown,
                seen.refused,
                seen.utilisation * 100.0,
                seen.lost * 100.0
            );
        }
    }
}

/// Plays and shows it.
///
/// # Errors
/// The page cannot be written.
pub fn run_all(arguments: &Arguments) -> Result<ExitCode> {
    let all = arguments.capacities.map_or(Capacities::ALL.to_vec(), |one| vec![one]);
    let mut compared = Vec::new();
    for capacities in all {
        compared.push(compare(arguments, capacities));
        if let Some(last) = compared.last() {
            table(last);
        }
    }
    if let Some(file) = &arguments.page {
        let page = curves::page(&compared, arguments.elements, arguments.seed, arguments.stay);
        fs::write(file, page).with_context(|| format!("writing {}", file.display()))?;
        println!("\nthe curves are in {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
