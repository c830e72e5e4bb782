//! What can be set about the ASAP service.

use std::time::Duration;

use crate::handlespace::Bounds;

/// Times, thresholds and limits of the ASAP service. The configuration names bounds and defaults.
///
/// By the defaults an element that does not answer any more is removed within three seconds: one and a half times the
/// interval, and the time for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our own identifier (Server Identifier of keep-alives, home of the elements).
    pub server: u32,
    /// MAX-BAD-PE-REPORT: an element is removed when more reports than this say that it cannot be reached.
    pub max_bad_pe_report: u32,
    /// The mean time between two ENDPOINT_KEEP_ALIVEs to an element, spread by half of it either way; `None`: never.
    /// 1 s.
    pub keep_alive_interval: Option<Duration>,
    /// How long an element may take to answer one. 1 s.
    pub keep_alive_timeout: Duration,
    /// Elements that are asked in a second. Where there are more than can be asked in time, each is asked less often. As
    /// many of a dead registrar's elements are told that we are their home now; more, if they answer at once. 5000.
    pub keep_alives_per_second: u32,
    /// How long an element whose registrar has died may take to answer us, each of two times. 5 s: it may be some time
    /// until it can be reached.
    pub adoption_timeout: Duration,
    /// How long the owner of an element has to answer a keep-alive when the element registers over a new association
    /// from other addresses: only if it does not, it has moved. 0: it is not asked.
    pub move_timeout: Duration,
    /// How long after one push to the subscribers of a pool the next one may be; 0: every change is pushed.
    pub push_interval: Duration,
    /// How long an element may take to answer when another registrar says that it is its own now. 1 s.
    pub verify_timeout: Duration,
    /// Elements may register loopback addresses from anywhere.
    pub allow_loopback: bool,
    /// Bounds on what clients can make us keep.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: 0,
            max_bad_pe_report: 3,
            keep_alive_interval: Some(Duration::from_secs(1)),
            keep_alive_timeout: Duration::from_secs(1),
            keep_alives_per_second: 5000,
            adoption_timeout: Duration::from_secs(5),
            move_timeout: Duration::from_millis(300),
            push_interval: Duration::from_millis(50),
            verify_timeout: Duration::from_secs(1),
            allow_loopback: false,
            limits: Limits::default(),
        }
    }
}

/// Bounds on what clients can make the registrar keep. Every one is reached without harm to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Associations at a time. A newcomer beyond takes the place of the one that was silent longest and holds
    /// neither elements nor subscriptions; if there is none, the newcomer is refused.
    pub associations: usize,
    /// Pools.
    pub pools: usize,
    /// Elements that are registered here, in all pools.
    pub elements: usize,
    /// Elements of one pool.
    pub elements_per_pool: usize,
    /// Elements that one association owns.
    pub elements_per_association: usize,
    /// Subscriptions of all associations.
    pub subscriptions: usize,
    /// Subscriptions of one association.
    pub subscriptions_per_association: usize,
    /// Octets of the longest pool handle that can be registered.
    pub pool_handle_octets: usize,
    /// Octets of all pools' handles together; and of all handles that are subscribed to.
    pub pool_handles_octets: usize,
    /// Octets that one element's transport may take.
    pub element_octets: usize,
    /// Elements that one response names at most, whatever the client asks for.
    pub resolution_items: usize,
}

impl Limits {
    /// Those of the handlespace as a whole.
    pub fn space(&self) -> Bounds {
        Bounds {
            pools: self.pools,
            elements_per_pool: self.elements_per_pool,
            handle_octets: self.pool_handles_octets,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            associations: 16_384,
            pools: 100_000,
            elements: 100_000,
            elements_per_pool: 100_000,
            elements_per_association: 1_024,
            subscriptions: 100_000,
            subscriptions_per_association: 256,
            pool_handle_octets: 61_440,
            pool_handles_octets: 64 << 20,
            element_octets: 2_048,
            resolution_items: 1_024,
        }
    }
}
