//! Fuzzing on stable Rust, without any tool: what is kept is replayed, then damaged in many ways.
//!
//! A case is a sequence of pieces of octets; a line of a corpus file is a case, its pieces in hexadecimal. `cargo test`
//! replays the corpus and tries a few thousand damaged cases from a fixed seed. `ROAM_FUZZ_SECONDS=60 cargo test fuzz`
//! goes on for so long, from a seed that it prints (`ROAM_FUZZ_SEED=n` chooses one). A target answers with the kind of
//! what happened; a case of a kind that was not seen before is damaged further. `ROAM_FUZZ_KEEP=file` has those appended to a
//! file, for the corpus. A case that fails is cut down and printed as a line for the corpus.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use asap_client::random::{SplitMix64, below};

/// A sequence of pieces.
pub(crate) type Case = Vec<Vec<u8>>;

/// Draws a number below another.
pub(crate) type Draw<'a> = &'a mut dyn FnMut(usize) -> usize;

/// What is fuzzed.
pub(crate) struct Target<'a> {
    /// What it is called where something is printed.
    pub(crate) name: &'a str,
    /// The cases to begin with.
    pub(crate) corpus: Vec<Case>,
    /// How many octets of a piece come before its message.
    pub(crate) before: usize,
    /// Makes a piece that is as it should be, from numbers that are drawn below others; no octets: there are none of
    /// this target. Damage alone hardly ever makes a message that means something and is another one.
    pub(crate) made: &'a dyn Fn(Draw<'_>) -> Vec<u8>,
    /// How many damaged cases are tried where no time is given.
    pub(crate) rounds: u64,
    /// Does something with a case; panics if that is not as it should be, else says of what kind it was.
    pub(crate) run: &'a dyn Fn(&[Vec<u8>]) -> u64,
}

/// The cases of a corpus file; what follows a `#` is for people.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let cases = lines.map(|line| line.split_whitespace().map(octets).collect::<Case>());
    cases.filter(|case| !case.is_empty()).collect()
}

fn octets(hex: &str) -> Vec<u8> {
    if hex == "-" {
        return Vec::new();
    }
    assert!(hex.len().is_multiple_of(2) && hex.is_ascii(), "{hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn line(case: &[Vec<u8>]) -> String {
    let mut line = String::new();
    for piece in case {
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(if piece.is_empty() { "-" } else { "" });
        for octet in piece {
            let _ = write!(line, "{octet:02x}");
        }
    }
    line
}

/// The corpus as it is kept, then as much of it damaged as there is time for.
#[expect(clippy::disallowed_methods, reason = "it ends by the clock where that was asked for")]
pub(crate) fn fuzz(target: Target<'_>) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let end = number("ROAM_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let of_the_day = end.map(|_| u64::from(std::process::id()) << 20 | u64::from(target.rounds as u32));
    let seed = number("ROAM_FUZZ_SEED").or(of_the_day).unwrap_or(1);
    let mut pool = target.corpus.clone();
    let mut kinds = BTreeSet::new();
    for case in &pool {
        kinds.extend(attempt(&target, case));
    }
    let kept = kinds.len();
    let mut random = SplitMix64::new(seed);
    let mut tried = 0;
    while end.map_or(tried < target.rounds, |end| Instant::now() < end) {
        let case = damaged(&pool, &target, &mut random);
        let kind = attempt(&target, &case);
        tried += 1;
        if kind.is_some_and(|kind| kinds.insert(kind)) {
            keep(&case);
            pool.push(case);
        }
    }
    let Target { name, .. } = target;
    eprintln!("{name}: {tried} damaged cases from seed {seed}, {} kinds, {kept} of them kept", kinds.len());
}

fn keep(case: &[Vec<u8>]) {
    let Ok(file) = std::env::var("ROAM_FUZZ_KEEP") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
    writeln!(file.unwrap(), "{}", line(case)).unwrap();
}

/// Runs a case. One that fails is cut down first.
fn attempt(target: &Target<'_>, case: &[Vec<u8>]) -> Option<u64> {
    let fails = |case: &[Vec<u8>]| catch_unwind(AssertUnwindSafe(|| (target.run)(case)));
    let panic = match fails(case) {
        Ok(kind) => return Some(kind),
        Err(panic) => panic,
    };
    let mut small = case.to_vec();
    let mut at = 0;
    while at < small.len() {
        let removed = small.remove(at);
        if fails(&small).is_ok() {
            small.insert(at, removed);
            at += 1;
        }
    }
    eprintln!("{} fails; a line for its corpus:\n{}", target.name, line(&small));
    resume_unwind(panic)
}

/// Values at which lengths and numbers go wrong.
const EDGES: [u16; 10] = [0, 1, 3, 4, 5, 8, 0x7fff, 0x8000, 0xfffe, 0xffff];

/// The longest case that is made, in pieces and in octets of one.
const PIECES: usize = 60;
const OCTETS: usize = 3000;

fn damaged(pool: &[Case], target: &Target<'_>, random: &mut SplitMix64) -> Case {
    let before = target.before;
    let mut draw = |bound: usize| usize::try_from(below(random.draw(), bound.max(1) as u64)).unwrap_or(0);
    let mut case = pool[draw(pool.len())].clone();
    for _ in 0..=draw(4) {
        let other = &pool[draw(pool.len())];
        let donor = other.get(draw(other.len())).cloned().unwrap_or_default();
        let (at, count) = (draw(case.len()), case.len());
        match draw(24) {
            0 if count > 1 => drop(case.remove(at)),
            1 if count > 1 => {
                let with = draw(count);
                case.swap(at, with);
            }
            2 if count < PIECES => case.insert(at, donor),
            3 if count > 1 && count < PIECES => case.insert(at, case[draw(count)].clone()),
            4 if count > 1 => case.truncate(at + 1),
            5 if count > 1 && count + other.len() < PIECES => case.extend(other.iter().cloned()),
            6..=13 if count < PIECES => {
                let made = (target.made)(&mut draw);
                if !made.is_empty() {
                    case.insert(at + draw(2), made);
                }
            }
            _ => {
                let Some(piece) = case.get_mut(at) else { continue };
                damage(piece, &donor, &mut draw);
                piece.truncate(OCTETS);
                // Mostly the message's own length is right: else nothing behind it would be looked at.
                if draw(8) > 0 && piece.len() >= before + 4 {
                    let length = u16::try_from(piece.len() - before).unwrap_or(u16::MAX);
                    piece[before + 2..before + 4].copy_from_slice(&length.to_be_bytes());
                }
            }
        }
    }
    case
}

fn damage(piece: &mut Vec<u8>, donor: &[u8], draw: &mut impl FnMut(usize) -> usize) {
    let (at, length) = (draw(piece.len()), piece.len());
    let span = at..(at + 1 + draw(24)).min(length).max(at);
    let from = draw(donor.len());
    let lent = donor[from..(from + 1 + draw(40)).min(donor.len())].to_vec();
    match draw(9) {
        0 if length > 0 => piece[at] ^= 1 << draw(8),
        1 if length > 0 => piece[at] = u8::try_from(draw(256)).unwrap_or(0),
        2 if at + 2 <= length => piece[at..at + 2].copy_from_slice(&EDGES[draw(EDGES.len())].to_be_bytes()),
        3 => drop(piece.drain(span)),
        4 => {
            let twice = piece[span].to_vec();
            piece.splice(at..at, twice);
        }
        5 => drop(piece.splice(at..at, lent)),
        6 => drop(piece.splice(span, lent)),
        7 => piece.truncate(at),
        _ => piece.extend(std::iter::repeat_n(0, 1 + draw(4))),
    }
}
