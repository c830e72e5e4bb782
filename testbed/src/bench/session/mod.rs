//! What a session costs for each message, beside a program that uses SCTP by itself.

mod client;
mod server;

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::registrar::{Site, Tell, client};
use super::{Better, Figure};
use crate::clock::Nanos;
use client::Client;
use server::Server;

/// Octets of a message.
const SIZE: usize = 1024;
/// What a link of the usual kind takes in a packet; loopback by itself takes 64 of these messages at once.
const MTU: &str = "1500";
/// Messages from cookie to cookie.
const COOKIE_EVERY: u64 = 32;
/// Requests under way at a time, where there are several.
const WINDOW: u64 = 32;

/// How long is measured at a time, about: so short that most turns have the machine to themselves.
const SPAN: Duration = Duration::from_millis(40);
/// How often each is measured, in turns with what it is compared with.
const TURNS: usize = 60;
/// What a session may cost of the throughput, in per cent.
const ALLOWED: f64 = 15.0;

/// What is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// Messages one way.
    Stream,
    /// Messages with an answer of the same size, so many under way at a time.
    Requests(u64),
}

const LOADS: [(Load, &str); 3] = [
    (Load::Stream, "stream"),
    (Load::Requests(WINDOW), "requests, 32 at a time"),
    (Load::Requests(1), "requests, one at a time"),
];

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    per_second: f64,
    /// Processor's time of both ends for each message, in microseconds.
    cpu_us: f64,
}

/// Measures each load with and without a session, in turns, and tells each figure as it is there.
pub(super) fn measure(tell: Tell<'_>) -> Result<()> {
    let site = Site::new()?;
    site.mtu(MTU)?;
    let registrar = site.ours(1, "", None)?;
    site.enter(|| {
        share_a_processor()?;
        let server = Server::start(client().ip(), registrar.asap())?;
        let client = Client::start(registrar.asap(), server.plain())?;
        println!(
            "  Messages of {SIZE} octets per second with both ends on one processor, and its time for each; medians of \
             {TURNS} turns"
        );
        println!("  {:<36}{:^22}{:^22}cost, of {ALLOWED} % allowed", "", "plain SCTP", "session");
        for (load, name) in LOADS {
            for cookies in [false, true] {
                let name = if cookies { format!("{name}, cookies") } else { name.to_owned() };
                compare(&client, load, cookies, &name, tell)?;
            }
        }
        Ok(())
    })
}

/// Has this thread and those that it starts run on the same processor: what either end costs counts then, and nothing is
/// done at the same time.
fn share_a_processor() -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let first = (0..CpuSet::count()).find(|&at| allowed.is_set(at).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(first.context("there is no processor")?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

fn compare(client: &Client, load: Load, cookies: bool, name: &str, tell: Tell<'_>) -> Result<()> {
    let users = [client.plain()?, client.session(load, cookies)?];
    let take = |at: usize, count| client.exchange(&users[at], load, cookies, count);
    let mut count = COOKIE_EVERY;
    // As many as take about that long; the first ones are for the caches, too.
    while count as f64 / take(0, count)?.per_second < SPAN.as_secs_f64() {
        count *= 2;
    }
    take(1, count)?;
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let mut runs = [Run::default(); 2];
        // Who is first has the machine as the other one left it.
        for at in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
            runs[at] = take(at, count)?;
        }
        turns.push(runs);
    }
    let middle = |value: &dyn Fn(&[Run; 2]) -> f64| median(turns.iter().map(value).collect());
    let [plain, session] = [0, 1].map(|at| middle(&|runs| runs[at].per_second));
    let cpu = [0, 1].map(|at| middle(&|runs| runs[at].cpu_us));
    // Of what was measured at about the same time: what the machine did besides falls on both.
    let cost = 100.0 * (1.0 - middle(&|runs| runs[1].per_second / runs[0].per_second));
    println!(
        "  {name:<36}{plain:>8.0}/s{:>7.1} us   {session:>8.0}/s{:>7.1} us {cost:>8.1} %",
        cpu[0], cpu[1],
    );
    let name = format!("session: {name}");
    tell(Figure::compare(name, "per second", Better::Higher, Some(session), "plain SCTP", Some(plain)))
}

/// Of at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The processor's time that both ends have used so far.
fn used() -> Nanos {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0, |time| Duration::from(time).as_nanos() as Nanos)
}

/// A message, whose first octet says what the server is to do.
fn message(wants: u8) -> Vec<u8> {
    let mut octets = vec![0; SIZE];
    octets[0] = wants;
    octets
}

/// The server is to answer with the same message.
const ANSWER: u8 = 1;
/// The service is to give its state.
const COOKIE: u8 = 2;

/// What the server is to do about a message of a load, by its number and how many there are.
fn wants(load: Load, cookies: bool, number: u64, count: u64) -> u8 {
    let answer = load != Load::Stream || number == count;
    let cookie = cookies && number.is_multiple_of(COOKIE_EVERY);
    u8::from(answer) * ANSWER + u8::from(cookie) * COOKIE
}
