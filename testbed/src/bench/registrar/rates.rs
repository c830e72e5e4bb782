//! Handle resolutions and registrations per second, what they cost the registrar, and how long they take.

use std::time::Duration;

use anyhow::Result;

use super::Tell;
use super::load::{Load, Run, Until, accepted, resolved};
use super::message::{Registration, resolution};
use super::site::{Server, Site, client};
use crate::bench::{Better, Figure};

/// How long is measured at a time.
const SPAN: Duration = Duration::from_millis(400);
/// How often each is measured, in turns; the best counts: whatever else runs on the machine only takes away.
const TIMES: usize = 2;
const ASSOCIATIONS: [usize; 4] = [1, 16, 64, 256];
/// Elements of the pools that are asked for, which are called by their numbers.
const POOLS: [u32; 2] = [10, 1000];
const ITEMS: [u32; 2] = [1, 3];
/// Registrations go to pools of so many elements.
const PER_POOL: u32 = 10;

/// What was measured at one server.
#[derive(Debug, Clone, Default)]
struct Measured {
    per_second: f64,
    /// Processor's time of the server for each request, in microseconds.
    cpu_us: f64,
    p99_ms: f64,
    /// Octets of an answer.
    octets: u64,
    /// Associations that it ended.
    resets: u64,
    /// Requests that it never answered.
    unanswered: u64,
}

impl Measured {
    /// Takes what is better of each.
    fn take(&mut self, run: &Run, cpu: Duration) {
        let first = self.per_second == 0.0;
        let least = |old: f64, new: f64| if first { new } else { old.min(new) };
        self.cpu_us = least(self.cpu_us, cpu.as_secs_f64() * 1e6 / run.answers.max(1) as f64);
        self.p99_ms = least(self.p99_ms, run.percentile_ms(99));
        self.per_second = self.per_second.max(run.per_second());
        self.octets = run.octets / run.answers.max(1);
        self.resets += run.resets;
        self.unanswered += run.unanswered;
    }
}

/// A server and the associations with it.
struct Bed {
    server: Server,
    load: Load,
    /// The next element to be registered.
    next: u32,
}

impl Bed {
    fn connect(&mut self, associations: usize) -> Result<()> {
        // What was registered over the old ones goes with them.
        self.load = Load::connect(client(), self.server.asap(), associations)?;
        Ok(())
    }

    fn measure(
        &mut self,
        into: &mut Measured,
        ask: &mut dyn FnMut(usize, &mut Vec<u8>),
        check: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let before = self.server.cpu()?;
        let run = self.load.run(Until::Time(SPAN), 1, ask, check)?;
        into.take(&run, self.server.cpu()?.saturating_sub(before));
        Ok(())
    }

    fn resolutions(&mut self, into: &mut Measured, pool: u32, items: u32) -> Result<()> {
        let request = resolution(pool, items)?;
        let mut ask = |_: usize, bytes: &mut Vec<u8>| bytes.clone_from(&request);
        self.measure(into, &mut ask, &mut resolved(items as usize))
    }

    fn registrations(
        &mut self,
        into: &mut Measured,
        check: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut registration = Registration::new(client().ip())?;
        let mut next = self.next;
        let mut ask = |_: usize, bytes: &mut Vec<u8>| {
            next += 1;
            bytes.clear();
            bytes.extend_from_slice(registration.of(10_000 + next / PER_POOL, next));
        };
        self.measure(into, &mut ask, check)?;
        self.next = next;
        Ok(())
    }

    fn echoes(&mut self, into: &mut Measured, items: u32) -> Result<()> {
        let request = resolution(0, items)?;
        let mut ask = |_: usize, bytes: &mut Vec<u8>| bytes.clone_from(&request);
        self.measure(into, &mut ask, &mut |_| Ok(()))
    }
}

/// Measures all, and tells each figure as it is there.
pub(super) fn measure(site: &Site, tell: Tell<'_>) -> Result<()> {
    let never = Duration::from_secs(36_000);
    let servers =
        [site.ours(1, "keep_alive_interval = \"0s\"", None)?, site.rsplib(2, never, never)?, site.echo(3)?];
    site.enter(|| {
        let mut elements: Vec<Load> = Vec::new();
        for server in &servers[..2] {
            elements.push(fill(server)?);
        }
        let mut beds = Vec::new();
        for server in servers {
            let load = Load::connect(client(), server.asap(), 1)?;
            beds.push(Bed { server, load, next: 0 });
        }
        let [ours, rsplib, echo] = &mut beds[..] else { return Ok(()) };
        println!(
            "  Answers per second, processor's time for each, the time below which 99 of 100 came, and octets of an answer"
        );
        println!("  {:<40}{:^28}{:^28}{:^13} times of need", "", "Roam", "rsplib", "echo");
        for associations in ASSOCIATIONS {
            for bed in [&mut *ours, &mut *rsplib, &mut *echo] {
                bed.connect(associations)?;
            }
            let mut bound = Measured::default();
            for _ in 0..TIMES {
                echo.echoes(&mut bound, 1)?;
            }
            for pool in POOLS {
                for items in ITEMS {
                    let mut measured = [Measured::default(), Measured::default()];
                    for _ in 0..TIMES {
                        ours.resolutions(&mut measured[0], pool, items)?;
                        rsplib.resolutions(&mut measured[1], pool, items)?;
                    }
                    let what = format!("resolutions, {associations} assoc., {pool} el., {items} items");
                    report(&what, &measured, &bound, tell)?;
                }
            }
            let mut measured = [Measured::default(), Measured::default()];
            let mut bound = Measured::default();
            for _ in 0..TIMES {
                echo.registrations(&mut bound, &mut |_| Ok(()))?;
                ours.registrations(&mut measured[0], &mut accepted)?;
                rsplib.registrations(&mut measured[1], &mut accepted)?;
            }
            report(&format!("registrations, {associations} assoc."), &measured, &bound, tell)?;
        }
        Ok(())
    })
}

/// Registers the pools that are asked for.
fn fill(server: &Server) -> Result<Load> {
    let mut load = Load::connect(client(), server.asap(), 4)?;
    let mut registration = Registration::new(client().ip())?;
    for pool in POOLS {
        let mut id = 0;
        let mut ask = |_: usize, bytes: &mut Vec<u8>| {
            id += 1;
            bytes.clear();
            bytes.extend_from_slice(registration.of(pool, id));
        };
        load.run(Until::Requests(pool.into()), 1, &mut ask, &mut accepted)?;
    }
    Ok(load)
}

fn report(what: &str, measured: &[Measured; 2], echo: &Measured, tell: Tell<'_>) -> Result<()> {
    let [ours, rsplib] = measured;
    let side = |m: &Measured| {
        format!("{:>5.0}/s{:>5.0} us{:>6.1} ms{:>4} B", m.per_second, m.cpu_us, m.p99_ms, m.octets)
    };
    let need = (2.0 * rsplib.per_second).min(0.9 * echo.per_second);
    println!(
        "  {what:<40}{}{}{:>5.0}/s{:>4.0} us {:>5.2} {:>7.2}",
        side(ours),
        side(rsplib),
        echo.per_second,
        echo.cpu_us,
        ours.per_second / rsplib.per_second,
        ours.per_second / need,
    );
    for (name, side) in [("Roam", ours), ("rsplib", rsplib)] {
        if side.resets > 0 {
            println!("    {name} ended {} associations meanwhile, which were set up again", side.resets);
        }
        if side.unanswered > 0 {
            println!("    {name} never answered {} requests", side.unanswered);
        }
    }
    let mut figure = |unit, better, value: fn(&Measured) -> f64| {
        let name = format!("registrar: {what}");
        tell(Figure::compare(name, unit, better, Some(value(ours)), "rspregistrar", Some(value(rsplib))))
    };
    figure("per second", Better::Higher, |m| m.per_second)?;
    figure("us of processor's time each", Better::Lower, |m| m.cpu_us)?;
    figure("ms, 99th percentile", Better::Lower, |m| m.p99_ms)?;
    let (name, need) = (format!("registrar: {what}"), Some(need));
    let least = "2 times rspregistrar or 0.9 times an echo server";
    tell(Figure::compare(name, "per second", Better::Higher, Some(ours.per_second), least, need))
}
