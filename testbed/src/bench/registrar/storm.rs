//! Under a storm of resolutions elements stay registered, and registrations go through.
#![expect(clippy::disallowed_methods, reason = "how long registrations take is measured")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use asap_client::wire;
use sctp_sys::SendInfo;

use super::Tell;
use super::load::{Load, Run, Until, accepted, connect, elements};
use super::message::{Registration, resolution};
use super::site::{Server, Site, client};
use crate::bench::{Better, Figure};

/// How long the storm lasts: several keep-alive intervals.
const SPAN: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);
/// Associations that ask, and how many questions each has under way.
const STORMING: usize = 64;
const WINDOW: usize = 32;
const POOLS: u32 = 20;
const PER_POOL: u32 = 10;
/// A pool that is asked for, beside those of the elements that are watched.
const ASKED: u32 = 1;

/// What came of it at one registrar.
#[derive(Debug, Clone, Default)]
struct Weathered {
    /// Elements that were there before and are not any more.
    lost: f64,
    /// The 99th percentile of the time that a registration took, in milliseconds.
    registration_ms: f64,
    /// Resolutions answered in a second.
    resolutions: f64,
    /// Associations that the registrar ended although they read what they were sent.
    resets: f64,
    /// Questions and registrations that it never answered.
    unanswered: f64,
}

/// Measures both, and tells each figure.
pub(super) fn measure(site: &Site, tell: Tell<'_>) -> Result<()> {
    let asap = "keep_alive_interval = \"2s\"\nkeep_alive_timeout = \"2s\"";
    let ours = weather(site, &site.ours(1, asap, None)?)?;
    let rsplib = weather(site, &site.rsplib(2, KEEP_ALIVE, TIMEOUT)?)?;
    let mut compare = |what: &str, unit: &str, better, value: fn(&Weathered) -> f64| {
        let name = format!("registrar: storm of resolutions, {what}");
        let figure =
            Figure::compare(name, unit, better, Some(value(&ours)), "rspregistrar", Some(value(&rsplib)));
        println!("  {what}: {}", crate::bench::words(&figure));
        tell(figure)
    };
    compare("live elements lost of 200", "elements", Better::Lower, |it| it.lost)?;
    compare("registrations", "ms, 99th percentile", Better::Lower, |it| it.registration_ms)?;
    compare("answers", "per second", Better::Higher, |it| it.resolutions)?;
    compare("questions never answered", "questions", Better::Lower, |it| it.unanswered)?;
    compare("associations that read and were ended", "associations", Better::Lower, |it| it.resets)
}

fn weather(site: &Site, server: &Server) -> Result<Weathered> {
    site.enter(|| {
        let mut kept = Load::connect(client(), server.asap(), 4)?;
        register(&mut kept)?;
        let mut registering = Load::connect(client(), server.asap(), 1)?;
        let mut storming = Load::connect(client(), server.asap(), STORMING)?;
        let over = AtomicBool::new(false);
        let (storm, registrations) = std::thread::scope(|scope| {
            let elements = scope.spawn(|| kept.keep_alive_until(&over));
            let registrations = scope.spawn(|| registrations(&mut registering, &over));
            let deaf = scope.spawn(|| deaf(server, &over));
            let storm = storm(&mut storming);
            over.store(true, Ordering::SeqCst);
            let join = "a thread of the bench";
            deaf.join().ok().context(join)??;
            elements.join().ok().context(join)??;
            anyhow::Ok((storm?, registrations.join().ok().context(join)??))
        })?;
        Ok(Weathered {
            lost: f64::from(POOLS * PER_POOL) - count(server)? as f64,
            registration_ms: registrations.percentile_ms(99),
            resolutions: storm.per_second(),
            resets: (storm.resets + registrations.resets) as f64,
            unanswered: (storm.unanswered + registrations.unanswered) as f64,
        })
    })
}

fn register(load: &mut Load) -> Result<()> {
    let mut registration = Registration::new(client().ip())?;
    let mut next = 0;
    let mut ask = |_: usize, bytes: &mut Vec<u8>| {
        bytes.clear();
        bytes.extend_from_slice(registration.of(next / PER_POOL, next + 1));
        next += 1;
    };
    load.run(Until::Requests(u64::from(POOLS * PER_POOL)), 1, &mut ask, &mut accepted).map(drop)
}

/// One element after the other registers, as soon as the one before is answered.
fn registrations(load: &mut Load, over: &AtomicBool) -> Result<Run> {
    let mut registration = Registration::new(client().ip())?;
    let mut all = Run::default();
    let mut id = 0;
    while !over.load(Ordering::SeqCst) {
        let mut ask = |_: usize, bytes: &mut Vec<u8>| {
            id += 1;
            bytes.clear();
            bytes.extend_from_slice(registration.of(POOLS + id / PER_POOL, id));
        };
        all.add(load.run(Until::Requests(4), 1, &mut ask, &mut accepted)?);
    }
    Ok(all)
}

fn storm(load: &mut Load) -> Result<Run> {
    let request = resolution(ASKED, PER_POOL)?;
    let mut ask = |_: usize, bytes: &mut Vec<u8>| bytes.clone_from(&request);
    // Whether all elements are still there is looked at when it is over.
    load.run(Until::Time(SPAN), WINDOW, &mut ask, &mut |answer| elements(answer).map(drop))
}

/// Asks and never reads the answers.
fn deaf(server: &Server, over: &AtomicBool) -> Result<()> {
    let socket = connect(client(), server.asap()).context("one more association")?;
    socket.set_nonblocking(true)?;
    let request = resolution(ASKED, PER_POOL)?;
    let begun = Instant::now();
    while !over.load(Ordering::SeqCst) && begun.elapsed() < 2 * SPAN {
        match socket.send(&SendInfo { ppid: wire::PPID, ..SendInfo::default() }, &request) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let _ = crate::clock::pass(Duration::from_millis(5));
            }
            // It was dropped, as it should be.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// How many of the elements are still registered, as far as the registrar tells.
fn count(server: &Server) -> Result<u64> {
    let mut asking = Load::connect(client(), server.asap(), 1).context("an association after the storm")?;
    let (mut next, mut left) = (0, 0);
    let questions: Vec<_> = (0..POOLS).map(|pool| resolution(pool, PER_POOL)).collect::<Result<_, _>>()?;
    let mut ask = |_: usize, bytes: &mut Vec<u8>| {
        bytes.clone_from(&questions[next % questions.len()]);
        next += 1;
    };
    let run = asking.run(Until::Requests(POOLS.into()), 1, &mut ask, &mut |answer| {
        left += elements(answer)? as u64;
        Ok(())
    })?;
    if run.unanswered > 0 {
        println!("  {} does not answer after the storm", server.name());
    }
    Ok(left)
}
