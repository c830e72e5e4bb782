//! The translation table is put back when others delete it, as a firewall does that is loaded anew. Rules and routes are
//! put back by [`super::host`], of which the monitor hears.

use std::time::{Duration, Instant};

use super::Daemon;
use crate::translate::TableWatch;

/// From one time to the next: whoever deletes it again and again does not keep the daemon.
const INTERVAL: Duration = Duration::from_millis(500);

/// Watches the table.
pub(super) struct Table {
    /// With the port of whoever changes it here; none: there is nothing to watch.
    watch: Option<(TableWatch, u32)>,
    restored: Option<Instant>,
    /// Something may be gone, and it is not yet time.
    pending: bool,
}

impl Table {
    /// Begins, if addresses are translated on this host.
    pub(super) fn watch(daemon: &Daemon) -> Self {
        let watch = daemon.host.translator_port().and_then(|port| match TableWatch::open() {
            Ok(watch) => Some((watch, port)),
            Err(error) => {
                tracing::info!(%error, "nftables cannot be watched; a table that others delete is not put back");
                None
            }
        });
        Self { watch, restored: None, pending: false }
    }

    /// Waits until something of it may be gone, and it may be put back. Nothing is lost when this is dropped while it
    /// waits.
    pub(super) async fn deleted(&mut self) {
        let Some((watch, port)) = &mut self.watch else { return std::future::pending().await };
        if !self.pending
            && let Err(error) = watch.deleted(*port).await
        {
            tracing::warn!(%error, "nftables cannot be watched any more");
            self.watch = None;
            return std::future::pending().await;
        }
        // What was heard is not forgotten when this is dropped.
        self.pending = true;
        if let Some(last) = self.restored {
            tokio::time::sleep_until((last + INTERVAL).into()).await;
        }
    }

    /// Puts it back.
    pub(super) fn restore(&mut self, daemon: &mut Daemon) {
        let Some((watch, _)) = &mut self.watch else { return };
        (self.restored, self.pending) = (Some(Instant::now()), false);
        match daemon.host.restore_translation() {
            Ok(()) => {
                daemon.story.warn("somebody has deleted the table `inet roam`, or some of it: it is put back")
            }
            Err(error) => {
                daemon.story.warn(&format!("the table `inet roam` was deleted by somebody: {error}"))
            }
        }
        watch.forget();
    }
}
