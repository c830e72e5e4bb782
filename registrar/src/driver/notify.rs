//! What the service manager is told (sd_notify(3)), if it waits for it.

use sd_notify::NotifyState;

/// The registrar serves.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// The registrar is about to end.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
