//! Which part of the handlespace a client looks at: the query of a URL.

use asap_client::wire::PoolHandle;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use std::fmt::Write;

use crate::query::Range;

/// Elements on a page.
pub(super) const ELEMENTS: usize = 200;

/// The longest query that is put into a link: its request's head has to be within the limit.
const LINK_LIMIT: usize = 6144;

/// What stays as it is in a query's value.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// `?pool=HANDLE&after=HANDLE&element=NUMBER`, each of them optional: the elements of this pool, or of all, that come
/// after the named one. `after` alone: after all of that pool; `pool` and `element`: after that element of the pool.
///
/// # Errors
/// What is wrong with it. Keys that mean nothing are passed over.
pub(super) fn parse(query: &str) -> Result<Range, &'static str> {
    let (mut pool, mut after, mut element) = (None, None, None);
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "pool" => pool = Some(handle(value)?),
            "after" => after = Some(handle(value)?),
            "element" => element = Some(value.parse().map_err(|_| "element: a number of 0 to 4294967295")?),
            _ => {}
        }
    }
    let after = match (&pool, after, element) {
        (Some(pool), None, Some(element)) => Some((pool.clone(), element)),
        (_, Some(after), element) => Some((after, element.unwrap_or(u32::MAX))),
        (None, None, Some(_)) => return Err("element: only with the pool or with after"),
        (_, None, None) => None,
    };
    Ok(Range { pool, after, limit: ELEMENTS })
}

fn handle(value: &str) -> Result<PoolHandle, &'static str> {
    let spaced = value.replace('+', " ");
    PoolHandle::new(percent_decode_str(&spaced).collect::<Vec<u8>>()).map_err(|_| "a pool handle has octets")
}

/// A link to the range, if it is not too long to be asked for.
pub(super) fn link(pool: Option<&PoolHandle>, after: Option<(&PoolHandle, u32)>) -> Option<String> {
    let mut link = String::from("/");
    let mut add = |key: &str, value: &dyn std::fmt::Display| {
        let separator = if link.len() == 1 { '?' } else { '&' };
        // Writing to a string does not fail.
        let _ = write!(link, "{separator}{key}={value}");
    };
    if let Some(pool) = pool {
        add("pool", &percent_encode(pool.as_bytes(), ENCODED));
    }
    if let Some((handle, id)) = after {
        if pool != Some(handle) {
            add("after", &percent_encode(handle.as_bytes(), ENCODED));
        }
        if id != u32::MAX || pool == Some(handle) {
            add("element", &id);
        }
    }
    (link.len() <= LINK_LIMIT).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(octets: &[u8]) -> PoolHandle {
        PoolHandle::new(octets).unwrap()
    }

    #[test]
    fn a_link_leads_to_the_range_it_was_made_of_whatever_the_octets() {
        let all: Vec<u8> = (0..=255).collect();
        for (within, after) in [
            (None, None),
            (Some(pool(b"a b+c&d=e%41#?\xff\0\"<")), None),
            (Some(pool(&all)), Some((pool(&all), 7))),
            (Some(pool(b"p")), Some((pool(b"p"), u32::MAX))),
            (None, Some((pool(&all), 0))),
            (None, Some((pool(b"after whole"), u32::MAX))),
        ] {
            let link = link(within.as_ref(), after.as_ref().map(|(handle, id)| (handle, *id))).unwrap();
            assert!(link.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\".contains(&b)), "{link}");
            let query = link.strip_prefix("/").unwrap().trim_start_matches('?');
            assert_eq!(parse(query), Ok(Range { pool: within, after, limit: ELEMENTS }), "{link}");
        }
    }

    #[test]
    fn a_link_that_no_request_could_hold_is_not_made() {
        assert_eq!(link(Some(&pool(&[0xff; 3000])), None), None);
    }

    #[test]
    fn a_query_that_cannot_be_meant_is_refused_and_unknown_keys_are_not() {
        for query in ["pool=", "after=", "element=1", "pool=a&element=x", "pool=a&element=4294967296"] {
            assert!(parse(query).is_err(), "{query}");
        }
        assert_eq!(parse("x=1&&y&pool=a").unwrap().pool, Some(pool(b"a")));
    }
}
