//! The page's fragments as server-sent events, when they change.
//!
//! Whoever looks at the same part of the handlespace shares one rendering: for each part that somebody looks at, one
//! task asks the service loop once a second, however many look.

use bytes::Bytes;
use futures::stream::{self, Stream};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Rates, page};
use crate::query::{PoolPart, Queries, Range};

/// A connection on which nothing was to be told for so long is told that, so that one that is dead is noticed.
const SILENCE: Duration = Duration::from_secs(15);

/// The fragments, by the identifiers of their places in the page and the names of their events.
pub(super) const FRAGMENTS: [&str; 4] = ["numbers", "peers", "counters", "elements"];

/// A fragment as an event.
#[derive(Clone, Debug, Default)]
struct Fragment {
    /// Grows with each change that is told.
    version: u64,
    event: Arc<str>,
}

/// All fragments, in the order of [`FRAGMENTS`].
type Shown = [Fragment; FRAGMENTS.len()];

/// The parts of the handlespace that somebody looks at.
#[derive(Debug)]
pub(super) struct Views {
    queries: Queries,
    /// Changes once a second.
    rates: watch::Receiver<Rates>,
    shown: Mutex<HashMap<Range, watch::Sender<Shown>>>,
}

impl Views {
    pub(super) fn new(queries: Queries, rates: watch::Receiver<Rates>) -> Self {
        Self { queries, rates, shown: Mutex::default() }
    }

    /// What is shown of a range, kept up to date as long as somebody has it.
    fn of(self: &Arc<Self>, range: Range) -> watch::Receiver<Shown> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = shown.get(&range) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Shown::default());
        shown.insert(range.clone(), sender.clone());
        tokio::spawn(Arc::clone(self).keep(range, sender));
        receiver
    }

    /// Keeps a range up to date until nobody has it, or the service loop does not answer any more.
    async fn keep(self: Arc<Self>, range: Range, sender: watch::Sender<Shown>) {
        let mut ticks = self.rates.clone();
        let mut view = View::default();
        while self.look(&range, &mut view, &mut ticks).await.is_ok() {
            sender.send_if_modified(|shown| view.show(shown));
            if ticks.changed().await.is_err() || self.is_left(&range, &sender) {
                break;
            }
        }
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(&range);
    }

    /// Whether nobody looks any more; who comes after that is served anew.
    fn is_left(&self, range: &Range, sender: &watch::Sender<Shown>) -> bool {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let left = sender.receiver_count() == 0;
        if left {
            shown.remove(range);
        }
        left
    }

    async fn look(
        &self,
        range: &Range,
        view: &mut View,
        ticks: &mut watch::Receiver<Rates>,
    ) -> io::Result<()> {
        let summary = self.queries.summary().await?;
        let peers = self.queries.peers().await?;
        let elements = self.queries.elements(range.clone()).await?;
        let rates = ticks.borrow_and_update().per_second();
        let texts = [
            page::numbers(&summary),
            page::peers(&peers),
            page::counters(&summary, rates.as_deref()),
            page::elements(range, &elements, summary.elements),
        ];
        view.texts = texts.map(maud::Markup::into_string);
        view.table = (elements.pools, elements.more, summary.elements);
        Ok(())
    }
}

/// The elements of a range without the times that run; whether there are more, and how many in all.
type Table = (Vec<PoolPart>, bool, usize);

/// A range as it was looked at.
#[derive(Default)]
struct View {
    texts: [String; FRAGMENTS.len()],
    table: Table,
    /// What was shown last: all but the last text, and what that one was made of.
    before: Option<([String; FRAGMENTS.len() - 1], Table)>,
}

impl View {
    /// Takes over what is new; says whether anything is to be told.
    fn show(&mut self, shown: &mut Shown) -> bool {
        let mut told = false;
        for (place, fragment) in shown.iter_mut().enumerate() {
            let text = &self.texts[place];
            let same = self.before.as_ref().is_some_and(|(texts, table)| match texts.get(place) {
                Some(before) => before == text,
                // Times that run are not a change: who reads it lets them run. Who comes later gets those of now.
                None => *table == self.table,
            });
            fragment.version += u64::from(!same);
            told |= !same;
            fragment.event = event(FRAGMENTS[place], text).into();
        }
        let [numbers, peers, counters, _] = std::mem::take(&mut self.texts);
        self.before = Some(([numbers, peers, counters], std::mem::take(&mut self.table)));
        told
    }
}

struct Watcher {
    shown: watch::Receiver<Shown>,
    /// The versions that were told last.
    told: [u64; FRAGMENTS.len()],
    _place: OwnedSemaphorePermit,
}

/// The events for someone who looks at `range`: everything first, then what has changed, at most once a second.
/// They are made only as fast as they are read.
pub(super) fn events(
    views: &Arc<Views>,
    range: Range,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let watcher = Watcher { shown: views.of(range), told: Default::default(), _place: place };
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
            let text = self.untold();
            if !text.is_empty() {
                return Ok(text);
            }
            self.shown.changed().await.map_err(io::Error::other)?;
        }
    }

    fn untold(&mut self) -> String {
        let mut text = String::new();
        let shown = self.shown.borrow_and_update();
        for (fragment, told) in shown.iter().zip(&mut self.told) {
            if fragment.version != *told {
                text.push_str(&fragment.event);
                *told = fragment.version;
            }
        }
        text
    }
}

/// An event, whatever line ends its data has.
fn event(name: &str, data: &str) -> String {
    let mut text = format!("event: {name}");
    for line in data.split(['\n', '\r']) {
        text.push_str("\ndata: ");
        text.push_str(line);
    }
    text.push_str("\n\n");
    text
}
