//! Handle resolution (RFC 5352, 3.3) and what subscribers are told.

use asap_client::wire::{Cause, Message, MessageType, PoolHandle, Writer};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Instant;

use super::service::Registrar;
use crate::Association;
use crate::handlespace::{Place, Pool};

impl Registrar {
    /// HANDLE_RESOLUTION. `place` is that of the pool, if there is one.
    pub(super) fn resolve(
        &mut self,
        association: Association,
        handle: PoolHandle,
        place: Option<Place>,
        items: Option<u32>,
        subscribe: bool,
    ) {
        let items = items.filter(|wanted| *wanted != 0);
        let limit = self.settings.limits.resolution_items;
        let known = self.subscriptions.contains(association, &handle);
        let Some(pool) = place.and_then(|place| self.space.pool_at_mut(place)) else {
            self.counters.unknown_handles += 1;
            return self.send(association, &unknown(handle, known));
        };
        let limits = &self.settings.limits;
        let room = self.subscriptions.count(association) < limits.subscriptions_per_association
            && self.subscriptions.len() < limits.subscriptions
            && self.subscriptions.octets_with(&handle) <= limits.pool_handles_octets;
        let subscribed = known || (subscribe && room);
        let selected = pool.select(count(items, limit), &mut || self.random.draw());
        response(pool, &selected, subscribed, &mut self.written);
        if subscribe && subscribed {
            self.subscriptions.insert(association, pool.handle().clone(), items);
        }
        self.counters.resolutions += 1;
        self.send_bytes(association, Bytes::copy_from_slice(&self.written));
        if subscribe && !subscribed {
            // The response has the elements, so that why there is no subscription is said apart.
            self.counters.subscriptions_refused += 1;
            self.error(association, vec![Cause::bare(Cause::LACK_OF_RESOURCES)]);
        }
    }

    /// A pool looks different to its users now: those who subscribe to it are to be told.
    pub(super) fn has_changed(&mut self, handle: PoolHandle) {
        if self.subscriptions.len() > 0 {
            self.changed.insert(handle);
        }
    }

    /// Tells the subscribers of every pool that has changed, unless they were told just now: then they are told
    /// when the interval is over, whatever it is that has become of the pool by then.
    pub(super) fn push(&mut self, now: Instant) {
        while let Some(handle) = self.subscriptions.pop_due(now) {
            self.changed.insert(handle);
        }
        while let Some(handle) = self.changed.pop_first() {
            if self.subscriptions.may_push(now, self.settings.push_interval, &handle) {
                self.tell(&handle);
            }
        }
    }

    /// Tells the subscribers of a pool what it is now, all that want as many elements with the same octets.
    fn tell(&mut self, handle: &PoolHandle) {
        let limit = self.settings.limits.resolution_items;
        let subscribers: Vec<_> = self.subscriptions.of_pool(handle).collect();
        let mut made: BTreeMap<usize, Bytes> = BTreeMap::new();
        for (association, items) in subscribers {
            let count = count(items, limit);
            let bytes = made.entry(count).or_insert_with(|| {
                match self.space.pool_mut(handle) {
                    Some(pool) => {
                        let selected = pool.peek(count, &mut || self.random.draw());
                        response(pool, &selected, true, &mut self.written);
                    }
                    None => unknown(handle.clone(), true).encode_into(&mut self.written),
                }
                Bytes::copy_from_slice(&self.written)
            });
            let bytes = bytes.clone();
            self.counters.pushes += 1;
            self.send_bytes(association, bytes);
        }
    }
}

/// How many elements to name: all, unless fewer are asked for, and never more than the limit.
fn count(items: Option<u32>, limit: usize) -> usize {
    items.and_then(|wanted| usize::try_from(wanted).ok()).map_or(limit, |wanted| wanted.min(limit))
}

/// A [`Message::HandleResolutionResponse`] with these elements, written without a copy of them: this is what a registrar
/// does most.
fn response(pool: &Pool, selected: &[u32], subscribed: bool, buffer: &mut Vec<u8>) {
    let type_ = MessageType::HANDLE_RESOLUTION_RESPONSE.0;
    // Where it does not fit, nothing is in the buffer.
    let _ = Writer::message_into(buffer, type_, u8::from(subscribed), |w| pool.emit(selected, w));
}

fn unknown(handle: PoolHandle, subscribed: bool) -> Message {
    Message::HandleResolutionResponse {
        subscribed,
        handle,
        policy: None,
        elements: Vec::new(),
        error: Some(vec![Cause::bare(Cause::UNKNOWN_POOL_HANDLE)]),
    }
}
