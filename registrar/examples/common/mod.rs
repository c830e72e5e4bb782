//! What the examples measure with.

use asap_client::random::{SplitMix64, below};
use asap_client::wire::PoolHandle;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Operations that are made ready together, so that what makes them ready is not measured.
pub(crate) const BATCH: u32 = 1000;
pub(crate) const BATCHES: u32 = 300;

/// Questions that are looked up together: as many as the registrar's driver takes at a time.
pub(crate) const AHEAD: usize = 64;

/// The handle of a pool, by its number.
pub(crate) fn handle(pool: u32) -> PoolHandle {
    PoolHandle::new(format!("pool {pool:08}")).expect("it is short")
}

/// The identifier of an element, by its number: each has another.
pub(crate) fn identifier(element: u32) -> u32 {
    element.wrapping_mul(0x9e37_79b1)
}

/// A number below another, all alike.
pub(crate) fn any(random: &mut SplitMix64, bound: u32) -> u32 {
    u32::try_from(below(random.draw(), bound.into())).unwrap_or(0)
}

/// The processor's time that this program has used: what else runs on the machine does not count.
pub(crate) fn used() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every Linux has this clock");
    time.into()
}

/// Octets of this process that are in memory.
pub(crate) fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
