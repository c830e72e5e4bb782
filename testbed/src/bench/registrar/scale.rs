//! 100,000 elements: how soon a second registrar has them, what they take in memory, and what asking them whether they
//! are still there takes of the processor.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Tell;
use super::load::{Load, Until, accepted};
use super::message::Registration;
use super::site::{Server, Site, client};
use crate::bench::{Better, Figure};
use crate::clock;

const FEW: u32 = 10_000;
const MANY: u32 = 100_000;
const PER_POOL: u32 = 10;
const ASSOCIATIONS: usize = 16;
/// Each element is asked once in this time, and for so long it is watched: under emulation a registrar and this
/// program cannot exchange as much as the default of 5 s would ask for.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const SYNCHRONISED: Duration = Duration::from_secs(180);

/// A registrar, and the associations over which its elements are registered.
struct Full {
    server: Server,
    load: Load,
    empty: u64,
    registered: u32,
}

impl Full {
    fn new(server: Server) -> Result<Self> {
        let load = Load::connect(client(), server.asap(), ASSOCIATIONS)?;
        let empty = server.resident()?;
        Ok(Self { server, load, empty, registered: 0 })
    }

    /// Registers elements until there are so many; how many in a second.
    fn fill(&mut self, count: u32) -> Result<f64> {
        let mut registration = Registration::new(client().ip())?;
        let mut next = self.registered;
        let mut ask = |_: usize, bytes: &mut Vec<u8>| {
            next += 1;
            bytes.clear();
            bytes.extend_from_slice(registration.of(next / PER_POOL, next));
        };
        let requests = Until::Requests(u64::from(count - self.registered));
        let run = self.load.run(requests, 1, &mut ask, &mut accepted)?;
        if run.resets > 0 {
            println!(
                "  {} ended {} associations, and took their elements out",
                self.server.name(),
                run.resets
            );
        }
        self.registered = count;
        Ok(run.per_second())
    }

    /// Octets in memory for each element.
    fn octets(&self) -> Result<f64> {
        Ok(self.server.resident()?.saturating_sub(self.empty) as f64 / f64::from(self.registered))
    }

    /// How long one of ours that has just been started takes to know them all; `None`: too long.
    fn synchronise(&mut self, site: &Site, count: u32) -> Result<Option<f64>> {
        let begun = clock::now();
        let second = site.ours(5, "", Some(&self.server))?;
        let known = clock::until("the second registrar", SYNCHRONISED, || {
            // At first it may not tell yet.
            second.elements().ok().filter(|known| *known >= u64::from(count)).map(drop)
        });
        let seconds = clock::ms_between(begun, clock::now()) / 1e3;
        second.kill();
        match known {
            Ok(()) => Ok(Some(seconds)),
            Err(clock::Waited::TooLong { .. }) => Ok(None),
            Err(interrupted) => Err(interrupted.into()),
        }
    }
}

/// Measures all, and tells each figure as it is there.
pub(super) fn measure(site: &Site, tell: Tell<'_>) -> Result<()> {
    let ours = site.ours(1, "keep_alive_interval = \"60s\"\nkeep_alive_timeout = \"30s\"", None)?;
    let rsplib = site.rsplib(2, KEEP_ALIVE, Duration::from_secs(30))?;
    site.enter(|| {
        let (mut ours, mut rsplib) = (Full::new(ours)?, Full::new(rsplib)?);
        let mut compare = |name: &str, unit: &str, better, figures: [Option<f64>; 2], peer: &str| {
            let figure =
                Figure::compare(format!("registrar: {name}"), unit, better, figures[0], peer, figures[1]);
            println!("  {name}: {}", crate::bench::words(&figure));
            tell(figure)
        };
        ours.fill(FEW)?;
        rsplib.fill(FEW)?;
        let few = ours.synchronise(site, FEW)?;
        let theirs = rsplib.synchronise(site, FEW)?;
        let name = "10,000 elements are known to a second registrar";
        compare(name, "s", Better::Lower, [few, theirs], "from rspregistrar")?;

        let rates = [Some(ours.fill(MANY)?), Some(rsplib.fill(MANY)?)];
        let name = "registrations on the way from 10,000 to 100,000 elements, 16 assoc.";
        compare(name, "per second", Better::Higher, rates, "rspregistrar")?;
        let octets = [Some(ours.octets()?), Some(rsplib.octets()?)];
        compare("memory for each of 100,000 elements", "octets", Better::Lower, octets, "rspregistrar")?;

        // Before the second registrar comes, for it takes its part of the processor.
        let [ours_cpu, rsplib_cpu] = keep_alive([&mut ours, &mut rsplib])?;
        let name = "keep-alives, 100,000 elements, each asked once a minute";
        let cpu = [Some(ours_cpu), Some(rsplib_cpu)];
        compare(name, "s of processor's time a minute", Better::Lower, cpu, "rspregistrar")?;

        let many = ours.synchronise(site, MANY)?;
        let name = "100,000 elements are known to a second registrar";
        compare(name, "s", Better::Lower, [many, few.map(|few| 12.0 * few)], "12 times as long as 10,000")
    })
}

/// Answers keep-alives of both for a minute; what each has used of the processor in that time, in seconds.
fn keep_alive(both: [&mut Full; 2]) -> Result<[f64; 2]> {
    let mut used = [0.0; 2];
    let results: Vec<Result<f64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = both.into_iter().map(|full| scope.spawn(move || watch(full))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    for (used, result) in used.iter_mut().zip(results) {
        *used = result?;
    }
    Ok(used)
}

fn watch(full: &mut Full) -> Result<f64> {
    let (before, kept_alive) = (full.server.cpu()?, full.load.kept_alive);
    full.load.keep_alive(KEEP_ALIVE)?;
    let used = full.server.cpu().context("during keep-alives")?.saturating_sub(before);
    println!(
        "  {}: {} keep-alives in a minute; {} of {ASSOCIATIONS} associations are left, {} elements were removed",
        full.server.name(),
        full.load.kept_alive - kept_alive,
        full.load.associations(),
        full.load.removed,
    );
    Ok(used.as_secs_f64())
}
