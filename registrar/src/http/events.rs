//! The page's fragments as server-sent events, when they change.

use bytes::Bytes;
use futures::stream::{self, Stream};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Site, page};
use crate::query::{PoolPart, Range};

/// A connection on which nothing was to be told for so long is told that, so that one that is dead is noticed.
const SILENCE: Duration = Duration::from_secs(15);

/// What was told last.
#[derive(Debug, Default, PartialEq)]
struct Told {
    numbers: String,
    counters: String,
    elements: Option<(Vec<PoolPart>, bool, usize)>,
}

struct Watcher {
    site: Arc<Site>,
    range: Range,
    ticks: watch::Receiver<super::Rates>,
    told: Told,
    first: bool,
    _place: OwnedSemaphorePermit,
}

/// The events for someone who looks at `range`: everything first, then what has changed, at most once a second.
/// They are made only as fast as they are read.
pub(super) fn events(
    site: Arc<Site>,
    range: Range,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = io::Result<Bytes>> {
    let ticks = site.rates.clone();
    let watcher = Watcher { site, range, ticks, told: Told::default(), first: true, _place: place };
    stream::try_unfold(watcher, |mut watcher| async move {
        let text = match tokio::time::timeout(SILENCE, watcher.next()).await {
            Ok(text) => text?,
            Err(_) => ":\n\n".to_owned(),
        };
        Ok(Some((Bytes::from(text), watcher)))
    })
}

impl Watcher {
    /// Waits until there is something to tell.
    async fn next(&mut self) -> io::Result<String> {
        loop {
            if !std::mem::take(&mut self.first) {
                self.ticks.changed().await.map_err(io::Error::other)?;
            }
            let text = self.look().await?;
            if !text.is_empty() {
                return Ok(text);
            }
        }
    }

    async fn look(&mut self) -> io::Result<String> {
        let summary = self.site.queries.summary().await?;
        let elements = self.site.queries.elements(self.range.clone()).await?;
        let rates = self.ticks.borrow_and_update().per_second();
        let mut text = String::new();
        let numbers = page::numbers(&summary).into_string();
        if numbers != self.told.numbers {
            event(&mut text, "numbers", &numbers);
            self.told.numbers = numbers;
        }
        let counters = page::counters(&summary, rates.as_deref()).into_string();
        if counters != self.told.counters {
            event(&mut text, "counters", &counters);
            self.told.counters = counters;
        }
        // Times that run are not a change: who reads it lets them run.
        let same = self.told.elements.as_ref().is_some_and(|(pools, more, total)| {
            *pools == elements.pools && *more == elements.more && *total == summary.elements
        });
        if !same {
            let shown = page::elements(&self.range, &elements, summary.elements).into_string();
            event(&mut text, "elements", &shown);
            self.told.elements = Some((elements.pools, elements.more, summary.elements));
        }
        Ok(text)
    }
}

/// Appends an event, whatever line ends its data has.
fn event(text: &mut String, name: &str, data: &str) {
    text.push_str("event: ");
    text.push_str(name);
    for line in data.split(['\n', '\r']) {
        text.push_str("\ndata: ");
        text.push_str(line);
    }
    text.push_str("\n\n");
}
