//! A dump as JSON, piece by piece: neither the service loop nor the memory ever holds a whole one.

use futures::stream::{self, Stream};
use serde::Serialize;
use std::io;

use asap_client::wire::PoolHandle;

use super::{ElementDump, PeerDump, Peers, SCHEMA, State};
use crate::Association;
use crate::asap::Counters;
use crate::enrp;
use crate::query::{Associations, Elements, Queries, Range, SLICE, Summary};

/// What comes before the tables; the keys of [`super::Dump`].
#[derive(Serialize)]
struct Head<'a> {
    schema: u32,
    version: &'a str,
    identifier: u32,
    listening: &'a [String],
    state: State,
    peers: &'a [PeerDump],
    enrp: &'a enrp::Counters,
    counters: &'a Counters,
    dropped_not_reading: u64,
    dropped_resolutions: u64,
}

/// How far the text goes.
enum Position {
    Start,
    /// In the pools, after this element.
    Pools(Option<(PoolHandle, u32)>),
    /// In the associations, after this one.
    Associations(Option<Association>),
    End,
}

/// The pieces of a [`super::Dump`]'s JSON form. It ends early with an error if the service loop does not answer.
pub(crate) fn json(queries: Queries) -> impl Stream<Item = io::Result<Vec<u8>>> {
    stream::try_unfold(Position::Start, move |position| {
        let queries = queries.clone();
        async move {
            let mut text = Vec::new();
            let next = match position {
                Position::Start => {
                    head(&mut text, &queries.summary().await?, &queries.peers().await?)?;
                    Position::Pools(None)
                }
                Position::Pools(after) => {
                    let range = Range { pool: None, after: after.clone(), limit: SLICE };
                    pools(&mut text, after, &queries.elements(range).await?)?
                }
                Position::Associations(after) => {
                    associations(&mut text, after, &queries.associations(after).await?)?
                }
                Position::End => return Ok(None),
            };
            Ok(Some((text, next)))
        }
    })
}

fn write(text: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(text, value).map_err(Into::into)
}

fn head(text: &mut Vec<u8>, summary: &Summary, peers: &Peers) -> io::Result<()> {
    let head = Head {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        identifier: summary.identifier,
        listening: &summary.listening,
        state: peers.state,
        peers: &peers.peers,
        enrp: &peers.counters,
        counters: &summary.counters,
        dropped_not_reading: summary.dropped_not_reading,
        dropped_resolutions: summary.dropped_resolutions,
    };
    write(text, &head)?;
    text.pop(); // the brace: the object goes on
    text.extend(b",\"pools\":[");
    Ok(())
}

fn pools(text: &mut Vec<u8>, after: Option<(PoolHandle, u32)>, slice: &Elements) -> io::Result<Position> {
    let mut pool = after.as_ref().map(|(handle, _)| handle);
    for part in &slice.pools {
        let mut separator = ",";
        if pool != Some(&part.handle) {
            if pool.is_some() {
                text.extend(b"]},");
            }
            text.extend(b"{\"handle\":");
            write(text, &part.handle.to_string())?;
            text.extend(format!(",\"policy\":{},\"elements\":[", part.policy.code()).as_bytes());
            separator = "";
        }
        for row in &part.elements {
            text.extend(separator.as_bytes());
            write(text, &ElementDump::new(row, slice.now))?;
            separator = ",";
        }
        pool = Some(&part.handle);
    }
    if slice.more {
        let last = slice.last().map(|(handle, id)| (handle.clone(), id));
        return Ok(Position::Pools(last.or(after)));
    }
    if pool.is_some() {
        text.extend(b"]}");
    }
    text.extend(b"],\"associations\":[");
    Ok(Position::Associations(None))
}

fn associations(
    text: &mut Vec<u8>,
    mut after: Option<Association>,
    slice: &Associations,
) -> io::Result<Position> {
    for dump in &slice.associations {
        if after.is_some() {
            text.push(b',');
        }
        write(text, dump)?;
        after = Some(dump.association);
    }
    if slice.more {
        return Ok(Position::Associations(after));
    }
    text.extend(b"]}");
    Ok(Position::End)
}
