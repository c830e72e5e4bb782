//! Many seeds, each played by itself.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Plays a run; a panic in a machine is a failure like any other.
pub(super) fn guarded<T>(play: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a machine panics: {}", text.unwrap_or_default()))
    })
}

/// Plays each seed, on all processors; what came of them, in the order of the seeds.
pub(super) fn side_by_side<T: Send>(seeds: Range<u64>, play: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let (next, all) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let came = play(seed);
                    all.lock().unwrap_or_else(PoisonError::into_inner).push((seed, came));
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|(seed, _)| *seed);
    all.into_iter().map(|(_, came)| came).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_played_once_and_told_in_order() {
        assert_eq!(side_by_side(3..40, |seed| seed * 2), (3..40).map(|seed| seed * 2).collect::<Vec<_>>());
        assert!(side_by_side(5..5, |seed| seed).is_empty());
    }

    #[test]
    fn a_panic_is_a_failure_with_its_words() {
        let failed = guarded(|| -> Result<(), String> { panic!("no {}", "owner") });
        assert_eq!(failed, Err("a machine panics: no owner".to_owned()));
    }
}
