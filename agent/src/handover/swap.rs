//! Break-before-make without nftables: by socket options alone, for a socket with one explicit address. The kernel
//! then sends nothing but ASCONF until one is answered whole (it is *mute*), and two mute ends never speak again. So
//! it is done at one end only, the one that [`may_mute`](super::may_mute) names.

use std::net::IpAddr;
use std::time::Instant;

use super::own::Own;
use super::planner::Planner;
use super::types::{Action, Binding, Timers};

impl Planner {
    /// Plans for a stranded association where nothing can be translated.
    pub(super) fn swap(&mut self, now: Instant) {
        let Some(new) = self.target else {
            self.set_timers(
                Timers::Stranded,
                "no address is usable: no timer shall be far away when one comes",
            );
            return;
        };
        if let Some((to, at)) = self.swapping {
            if to == new
                && self.own.get(new) == Some(Own::Adding)
                && now.duration_since(at) >= 5 * self.tuning.retry
            {
                self.swapping = Some((new, now));
                self.push(
                    Action::SetPeerPrimary(new),
                    "no answer was seen: another ASCONF shows how far the peer is",
                );
            }
            self.wake_at(now + self.tuning.retry);
            return;
        }
        let Some(old) = self.swappable() else {
            // An earlier daemon has begun, and nobody has seen what became of it.
            if self.own.listed(new) {
                self.learn(now, new);
            }
            return;
        };
        self.swapping = Some((new, now));
        self.own.set(new, Own::Adding);
        self.set_timers(Timers::Moving, "an ASCONF is about to leave");
        self.push(Action::Swap { old, new }, "the only address is gone and nothing can be translated");
        self.wake_at(now + self.tuning.retry);
    }

    /// The address to leave, if this association may be moved by a swap.
    fn swappable(&self) -> Option<IpAddr> {
        let mut own = self.own.confirmed();
        let old = own.next()?;
        (self.identity.may_mute && self.identity.binding == Binding::Explicit && own.next().is_none())
            .then_some(old)
    }
}
