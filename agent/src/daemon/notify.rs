//! What the service manager is told (sd_notify(3)), if it waits for it.

use std::time::Duration;

use sd_notify::NotifyState;

/// The daemon is ready, or has taken its configuration over.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; systemd wants to know when that was.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now().ok();
    tell(&[Some(NotifyState::Reloading), now].into_iter().flatten().collect::<Vec<_>>());
}

/// The daemon is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The daemon's loop goes on.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the manager is to be told that it does, if it wants to be (`WatchdogSec=`): twice in that time.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, ?states, "the service manager could not be told");
    }
}
