//! The registrar beside rsplib's, on one host with the same load generator.

mod load;
mod message;
mod rates;
mod scale;
mod site;
mod storm;

use anyhow::Result;

use super::Figure;
pub use site::echo;
pub(super) use site::{Site, client};

/// What takes figures as they come.
pub(super) type Tell<'a> = &'a mut (dyn FnMut(Figure) -> Result<()> + Send);

/// Resolutions and registrations per second.
pub(super) fn rates(tell: Tell<'_>) -> Result<()> {
    rates::measure(&Site::new()?, tell)
}

/// The same where the kernel gives a send buffer of its own to each association of a socket.
pub(super) fn rates_with_buffers(tell: Tell<'_>) -> Result<()> {
    let site = Site::new()?;
    site.sysctl("sndbuf_policy", "1")?;
    rates::measure(&site, tell)
}

/// 100,000 elements.
pub(super) fn scale(tell: Tell<'_>) -> Result<()> {
    scale::measure(&Site::new()?, tell)
}

/// A storm of resolutions.
pub(super) fn storm(tell: Tell<'_>) -> Result<()> {
    storm::measure(&Site::new()?, tell)
}

/// rsplib's registrar, and its package.
pub(super) const RSPLIB: (&str, &str) = ("rspregistrar", "rsplib-registrar");
