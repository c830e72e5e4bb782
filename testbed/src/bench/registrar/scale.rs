//! 100,000 elements: how soon a second registrar has them, what they take in memory, and what asking them whether they
//! are still there takes of the processor.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

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
        let name = self.server.name();
        if run.resets > 0 {
            println!("  {name} ended {} associations, and took their elements out", run.resets);
        }
        // What is measured of so many elements would be of fewer.
        ensure!(run.unanswered == 0, "{name} never answered {} registrations", run.unanswered);
        self.registered = count;
        Ok(run.per_second())
    }

    /// Octets in memory for each element.
    fn octets(&self) -> Result<f64> {
        Ok(self.server.resident()?.saturating_sub(self.empty) as f64 / f64::from(self.registered))
    }

    /// How long one of ours that has just been started takes to know them all; `None`: too long. The elements go on
    /// answering meanwhile.
    fn synchronise(&mut self, site: &Site, count: u32) -> Result<Option<f64>> {
        let (server, load) = (&self.server, &mut self.load);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let kept = scope.spawn(|| load.keep_alive_until(&over));
            let known = known(site, server, count);
            over.store(true, Ordering::SeqCst);
            kept.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            known
        })
    }
}

/// How long a second registrar takes from its start until it knows so many elements.
fn known(site: &Site, of: &Server, count: u32) -> Result<Option<f64>> {
    let begun = clock::now();
    let second = site.ours(5, "", Some(of))?;
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

/// What was measured at one registrar.
struct Scaled {
    few: Option<f64>,
    per_second: f64,
    octets: f64,
    /// Scaled to one keep-alive to each element; `None`: none was answered.
    keep_alives: Option<f64>,
    many: Option<f64>,
}

fn scaled(site: &Site, server: Server) -> Result<Scaled> {
    site.enter(|| {
        let mut full = Full::new(server)?;
        full.fill(FEW)?;
        let few = full.synchronise(site, FEW)?;
        let per_second = full.fill(MANY)?;
        let octets = full.octets()?;
        // Before the second registrar comes, for it takes its part of the processor.
        let keep_alives = watch(&mut full)?;
        let many = full.synchronise(site, MANY)?;
        full.server.kill();
        Ok(Scaled { few, per_second, octets, keep_alives, many })
    })
}

/// Measures all, one registrar after the other, and tells each figure.
pub(super) fn measure(site: &Site, tell: Tell<'_>) -> Result<()> {
    let ours = site.ours(1, "keep_alive_interval = \"60s\"\nkeep_alive_timeout = \"30s\"", None)?;
    let ours = scaled(site, ours)?;
    let rsplib = scaled(site, site.rsplib(2, KEEP_ALIVE, Duration::from_secs(30))?)?;
    let mut compare = |name: &str, unit: &str, better, figures: [Option<f64>; 2], peer: &str| {
        let figure =
            Figure::compare(format!("registrar: {name}"), unit, better, figures[0], peer, figures[1]);
        println!("  {name}: {}", crate::bench::words(&figure));
        tell(figure)
    };
    let mut both = |name: &str, unit: &str, better, of: fn(&Scaled) -> Option<f64>| {
        compare(name, unit, better, [of(&ours), of(&rsplib)], "rspregistrar")
    };
    let rate = "registrations on the way from 10,000 to 100,000 elements, 16 assoc.";
    both(rate, "per second", Better::Higher, |it| Some(it.per_second))?;
    both("memory for each of 100,000 elements", "octets", Better::Lower, |it| Some(it.octets))?;
    let keep_alives = "keep-alives to 100,000 elements, each asked once a minute";
    both(keep_alives, "s of processor's time a minute", Better::Lower, |it| it.keep_alives)?;
    both("10,000 elements are known to a second registrar", "s", Better::Lower, |it| it.few)?;
    let many = "100,000 elements are known to a second registrar";
    both(many, "s", Better::Lower, |it| it.many)?;
    let most = ours.few.map(|few| 12.0 * few);
    compare(many, "s", Better::Lower, [ours.many, most], "12 times as long as 10,000")
}

/// Answers keep-alives for a minute; what the registrar uses of the processor, in seconds, for one to each element. In a
/// single minute it may ask more or fewer.
fn watch(full: &mut Full) -> Result<Option<f64>> {
    let (before, kept_alive) = (full.server.cpu()?, full.load.kept_alive);
    full.load.keep_alive(KEEP_ALIVE)?;
    let used = full.server.cpu().context("during keep-alives")?.saturating_sub(before);
    let kept_alive = full.load.kept_alive - kept_alive;
    println!(
        "  {}: {kept_alive} keep-alives in a minute, {:.2} s of the processor's time; {} of {ASSOCIATIONS} associations \
         are left, {} elements were removed",
        full.server.name(),
        used.as_secs_f64(),
        full.load.associations(),
        full.load.removed,
    );
    let each = used.as_secs_f64() / kept_alive as f64;
    Ok((kept_alive > 0).then(|| each * f64::from(full.registered)))
}
