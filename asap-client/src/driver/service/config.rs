//! What an element's service over the kernel is made with.

use std::time::{Duration, Instant};

use super::super::{Tuning, random};
use crate::session::service::{self, Cookies};
use crate::wire::PoolHandle;

/// What an element's service is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pool, the element, cookies and bounds. Its `unique` and `clock` are set by the library.
    pub service: service::Config,
    /// What is asked of the kernel. [`Tuning::session`].
    pub tuning: Tuning,
    /// The longest message, either way, in octets; at most twice `net.core.wmem_max`. A user that sends a longer one is
    /// left. 128 KiB.
    pub longest: usize,
    /// How long a user may take, once its association is up, until the first message. 30 s.
    pub first: Duration,
    /// Sessions that may wait to be accepted. Of further ones the first message is read, and nothing else. 64.
    pub waiting: usize,
}

impl Config {
    /// An element with a random identifier, and with the defaults that the fields name.
    pub fn new(handle: PoolHandle, cookies: Cookies) -> Self {
        let id = u32::from_ne_bytes(random()).max(1);
        let clock = (Instant::now(), Duration::ZERO);
        Self {
            service: service::Config::new(handle, id, cookies, [0; 16], clock),
            tuning: Tuning::session(),
            longest: 1 << 17,
            first: Duration::from_secs(30),
            waiting: 64,
        }
    }
}
