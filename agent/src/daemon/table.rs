//! The translation table is put back when others delete it, as a firewall does that is loaded anew. Rules and routes are
//! put back by [`super::host`], of which the monitor hears.

use std::time::{Duration, Instant};

use super::Daemon;
use crate::translate::{Loss, TableWatch};

/// From one time to the next: whoever deletes it again and again does not keep the daemon.
const INTERVAL: Duration = Duration::from_millis(500);

/// Watches the table.
pub(super) struct Table {
    /// None: there is nothing to watch.
    watch: Option<TableWatch>,
    restored: Option<Instant>,
    /// Something may be gone, and it is not yet time.
    pending: Option<Loss>,
}

impl Table {
    /// Begins, if addresses are translated on this host.
    pub(super) fn watch(daemon: &Daemon) -> Self {
        let watch = daemon.host.translator_port().and_then(|port| match TableWatch::open(port) {
            Ok(watch) => Some(watch),
            Err(error) => {
                tracing::info!(%error, "nftables cannot be watched; a table that others delete is not put back");
                None
            }
        });
        Self { watch, restored: None, pending: None }
    }

    /// Waits until something of it may be gone, and it may be put back. Nothing is lost when this is dropped while it
    /// waits.
    pub(super) async fn deleted(&mut self) {
        let Some(watch) = &mut self.watch else { return std::future::pending().await };
        if self.pending.is_none() {
            match watch.loss().await {
                // What was heard is not forgotten when this is dropped.
                Ok(loss) => self.pending = Some(loss),
                Err(error) => {
                    tracing::warn!(%error, "nftables cannot be watched any more");
                    self.watch = None;
                    return std::future::pending().await;
                }
            }
        }
        if let Some(last) = self.restored {
            tokio::time::sleep_until((last + INTERVAL).into()).await;
        }
    }

    /// Puts it back.
    pub(super) fn restore(&mut self, daemon: &mut Daemon) {
        let (Some(watch), Some(loss)) = (&mut self.watch, self.pending.take()) else { return };
        self.restored = Some(Instant::now());
        let what = match loss {
            Loss::Deleted => "somebody has deleted the table `inet roam`, or some of it",
            Loss::Unheard => {
                "others change so much of nftables at once that the table `inet roam` may have suffered"
            }
        };
        match daemon.host.restore_translation() {
            Ok(true) => {}
            Ok(false) => daemon.story.warn(&format!("{what}: it is put back")),
            Err(error) => daemon.story.warn(&format!("{what}, and cannot be put back: {error}")),
        }
        watch.forget();
    }
}
