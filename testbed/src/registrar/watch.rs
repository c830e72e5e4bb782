//! Asking a registrar again and again, over one association: what it does not tell any more, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use sctp_sys::Socket;

use super::stage::Stage;
use super::user;
use crate::clock::{self, Nanos};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Seen {
    /// What it told last, of each pool.
    told: BTreeMap<String, BTreeSet<u32>>,
    /// Since when it does not tell an element any more.
    gone: BTreeMap<u32, Nanos>,
    /// Elements that it did not tell for a while: how long in milliseconds.
    gaps: Vec<(u32, f64)>,
    answers: u64,
    ended: bool,
}

impl Seen {
    /// Takes what the registrar tells of a pool at this moment.
    fn take(&mut self, pool: &str, ids: BTreeSet<u32>, now: Nanos) {
        self.answers += 1;
        let before = self.told.insert(pool.to_owned(), ids.clone()).unwrap_or_default();
        for id in before.difference(&ids) {
            self.gone.insert(*id, now);
        }
        for id in ids.difference(&before) {
            if let Some(since) = self.gone.remove(id) {
                self.gaps.push((*id, clock::ms_between(since, now)));
            }
        }
    }
}

/// The watch, until dropped.
#[derive(Debug)]
pub(super) struct Watch {
    registrar: u8,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    asker: Option<JoinHandle<()>>,
}

impl Watch {
    /// Asks a registrar for these pools from now on; the first answers are there.
    ///
    /// # Errors
    /// It cannot be reached, or does not answer.
    pub(super) fn start(stage: &mut Stage, registrar: u8, pools: &[&str]) -> Result<Self> {
        let socket = user::connect(stage, registrar)?;
        let pools: Vec<String> = pools.iter().map(|&pool| pool.to_owned()).collect();
        let mut first = Seen::default();
        for pool in &pools {
            let ids = user::ask(&socket, pool)?.iter().map(|element| element.id).collect();
            first.take(pool, ids, clock::now());
        }
        let (seen, stop) = (Arc::new(Mutex::new(first)), Arc::new(AtomicBool::new(false)));
        let asker = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            Some(thread::spawn(move || ask(&socket, &pools, &seen, &stop)))
        };
        Ok(Self { registrar, seen, stop, asker })
    }

    /// Since when it has not told an element that it told before.
    pub(super) fn gone(&self, id: u32) -> Option<Nanos> {
        self.seen().gone.get(&id).copied()
    }

    /// The registrar has ended the association, or does not answer any more.
    pub(super) fn has_ended(&self) -> bool {
        self.seen().ended
    }

    /// How often it has answered.
    pub(super) fn answers(&self) -> u64 {
        self.seen().answers
    }

    /// What it did not tell at some time, if anything, in words.
    pub(super) fn missed(&self) -> Option<String> {
        let seen = self.seen();
        let gaps = seen.gaps.iter().map(|(id, ms)| format!("element {id:#x} for {ms:.0} ms"));
        let gone = seen.gone.keys().map(|id| format!("element {id:#x} any more"));
        let missed: Vec<_> = gaps.chain(gone).collect();
        (!missed.is_empty())
            .then(|| format!("registrar {} did not tell {}", self.registrar, missed.join(", ")))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(asker) = self.asker.take() {
            let _ = asker.join();
        }
    }
}

fn ask(socket: &Socket, pools: &[String], seen: &Mutex<Seen>, stop: &AtomicBool) {
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    while !stop.load(Ordering::SeqCst) && clock::pass(PAUSE).is_ok() {
        for pool in pools {
            match user::ask(socket, pool) {
                Ok(elements) => {
                    let ids = elements.iter().map(|element| element.id).collect();
                    lock().take(pool, ids, clock::now());
                }
                Err(_) => {
                    lock().ended = true;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_for_a_while_is_known_and_what_is_not_told_any_more() {
        let mut seen = Seen::default();
        let answers = [vec![1, 2, 3], vec![1, 3], vec![1, 2], vec![1, 2, 4]];
        for (at, ids) in (0..).zip(answers) {
            seen.take("pool", ids.into_iter().collect(), at * 1_000_000);
            seen.take("other", [9].into(), at * 1_000_000);
        }
        assert_eq!(seen.gaps, [(2, 1.0)]);
        assert_eq!(seen.gone, [(3, 2_000_000)].into());
    }
}
