//! Who is connected to since a datagram came from it. Anybody can send one, with any source: so that nobody has us
//! connect here and there, it is not done often, and not soon again to the same place.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Connections in a second.
const RATE: u32 = 16;

/// Between two connections to one place.
const PAUSE: Duration = Duration::from_secs(3);

/// What was tried lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers {
    /// When each was tried; only those of the last pause.
    tried: BTreeMap<SocketAddr, Instant>,
    /// When the second began that is counted, and how often one was tried in it.
    second: Option<(Instant, u32)>,
}

impl Strangers {
    /// Whether `remote` may be connected to now; if so, that is taken as done.
    pub(super) fn may_connect(&mut self, now: Instant, remote: SocketAddr) -> bool {
        self.tried.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
        let second =
            self.second.filter(|(began, _)| now.saturating_duration_since(*began) < Duration::from_secs(1));
        let (began, count) = second.unwrap_or((now, 0));
        if count >= RATE || self.tried.contains_key(&remote) || !can_be_connected_to(&remote) {
            return false;
        }
        self.second = Some((began, count + 1));
        self.tried.insert(remote, now);
        true
    }
}

/// Link-local addresses say nothing without a link, and associations are not told theirs.
fn can_be_connected_to(remote: &SocketAddr) -> bool {
    let is_somebodys = match remote.ip() {
        IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    is_somebodys && !remote.ip().is_unspecified() && !remote.ip().is_multicast() && remote.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        Instant::now()
    }

    fn place(number: u32) -> SocketAddr {
        SocketAddr::new(IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + number)), 9901)
    }

    #[test]
    fn a_flood_of_announcements_brings_few_connections_and_takes_little_room() {
        let (start, mut strangers) = (now(), Strangers::default());
        let mut connections = 0;
        for number in 0..100_000 {
            let at = start + Duration::from_micros(u64::from(number) * 100);
            connections += u32::from(strangers.may_connect(at, place(number)));
            assert!(strangers.tried.len() <= 64);
        }
        assert_eq!(connections, 160, "in ten seconds");
    }

    #[test]
    fn one_place_is_not_tried_again_and_again() {
        let (start, mut strangers) = (now(), Strangers::default());
        assert!(strangers.may_connect(start, place(1)));
        assert!(!strangers.may_connect(start + Duration::from_secs(2), place(1)));
        assert!(strangers.may_connect(start + PAUSE, place(1)));
    }

    #[test]
    fn what_is_nobodys_address_is_not_connected_to() {
        let mut strangers = Strangers::default();
        for remote in
            ["0.0.0.0:9901", "224.0.1.185:9901", "255.255.255.255:9901", "10.0.0.1:0", "[fe80::1]:9901"]
        {
            assert!(!strangers.may_connect(now(), remote.parse().unwrap()), "{remote}");
        }
    }
}
