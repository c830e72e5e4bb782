//! The page and its fragments. Everything that came from the network is escaped by the template.

use asap_client::wire::{PoolHandle, Transport};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::net::{IpAddr, SocketAddr};

use super::view;
use crate::dump::{self, ElementDump, PeerDump, Peers};
use crate::query::{Elements, PoolPart, Range, Row, Summary};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the page may do: its own style and script, known by their SHA-256, and connections to where it came from.
pub(super) const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-JCv5QQdiYDR0x1R8WRRxYQVZRFz/68ZXfsBgmUmdbR0='; \
    script-src 'sha256-0fikMlAxZlY0vOClSQVqNmUE7qG51BkJNBl5y8MGo9o='; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Characters of a handle, and addresses of an element, that are shown.
const HANDLE_CHARS: usize = 128;
const ADDRESSES: usize = 8;

/// The whole page.
pub(super) fn page(
    summary: &Summary,
    peers: &Peers,
    rates: Option<&[f64]>,
    range: &Range,
    slice: &Elements,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                noscript { meta http-equiv="refresh" content="5"; }
                title { "Registrar " (format!("{:#010x}", summary.identifier)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 {
                    "Registrar " (format!("{:#010x}", summary.identifier)) " "
                    small #live {}
                }
                p {
                    "Roam " (env!("CARGO_PKG_VERSION")) ", listening on " (summary.listening.join(", ")) " (SCTP). "
                    a href="/metrics" { "Metrics" } " " a href="/dump" { "Dump" }
                }
                section #numbers { (numbers(summary)) }
                section #peers { (self::peers(peers)) }
                section #elements { (elements(range, slice, summary.elements)) }
                section #counters { (counters(summary, rates)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// How many there are of what.
pub(super) fn numbers(summary: &Summary) -> Markup {
    let numbers = [
        ("Pools", summary.pools),
        ("Pool elements", summary.elements),
        ("Associations", summary.associations),
        ("of them users over TCP", summary.over_tcp),
        ("Subscriptions", summary.subscriptions),
    ];
    html! {
        dl {
            @for (name, number) in numbers { div { dt { (name) } dd { (number) } } }
            div { dt { "State" } dd { (summary.state) } }
        }
    }
}

/// The other registrars, the takeovers that are under way, and what was counted of ENRP.
pub(super) fn peers(peers: &Peers) -> Markup {
    let counted = peers.counters.named().into_iter().filter(|counter| counter.value != 0);
    html! {
        h2 { "Registrars" }
        @if peers.peers.is_empty() { p { "No other registrar is known." } }
        @else {
            table {
                thead {
                    tr {
                        th { "Identifier" } th { "Addresses" } th { "State" } th.n { "Heard" } th { "Profile" }
                        th.n { "Elements" } th { "Checksum" }
                    }
                }
                tbody { @for peer in &peers.peers { (self::peer(peer)) } }
            }
        }
        p {
            "This registrar is home to " (peers.elements) " elements. Registrars taken over since the start: "
            (peers.counters.takeovers) "."
        }
        @if peers.counters.messages != 0 {
            details #enrp {
                summary { "Counters of ENRP" }
                table { tbody { @for counter in counted { tr { td { (counter.what) } td.n { (counter.value) } } } } }
            }
        }
    }
}

fn peer(peer: &PeerDump) -> Markup {
    let (shown, more) = peer.addresses.split_at(peer.addresses.len().min(ADDRESSES));
    let addresses: Vec<_> = shown.iter().map(ToString::to_string).collect();
    html! {
        tr {
            td { (format!("{:#010x}", peer.identifier)) }
            td { (addresses.join(", ")) @if !more.is_empty() { " and " (more.len()) " more" } }
            td { (dump::state(peer)) @if !peer.connected { ", not connected" } }
            // Seconds: what is heard twice a second would change all the time.
            td.n { @match peer.heard_ms { Some(ms) => { (ms / 1000) " s ago" }, None => "never" } }
            td { (dump::profile(peer)) }
            td.n { (peer.elements) }
            td { (dump::checksum(peer)) }
        }
    }
}

/// What happened since the start, and how often in the last seconds.
pub(super) fn counters(summary: &Summary, rates: Option<&[f64]>) -> Markup {
    html! {
        h2 { "Counters" }
        table {
            thead { tr { th { "What" } th.n { "Since the start" } th.n { "Per second" } } }
            tbody {
                @for (place, counter) in summary.counters.named().iter().enumerate() {
                    tr {
                        td { (counter.what) }
                        td.n { (counter.value) }
                        td.n { @if let Some(rate) = rates.and_then(|rates| rates.get(place)) { (format!("{rate:.1}")) } }
                    }
                }
                tr {
                    td { "Associations aborted since they did not read what was sent to them" }
                    td.n { (summary.dropped_not_reading) }
                    td {}
                }
                tr {
                    td { "Resolutions dropped since more waited than can be answered" }
                    td.n { (summary.dropped_resolutions) }
                    td {}
                }
            }
        }
    }
}

/// The elements of a range, by pool, and where to go on.
pub(super) fn elements(range: &Range, slice: &Elements, total: usize) -> Markup {
    let shown: usize = slice.pools.iter().map(|part| part.elements.len()).sum();
    html! {
        h2 {
            @match &range.pool {
                Some(pool) => { "Pool " (name(pool)) },
                None => "Pools",
            }
        }
        p {
            (shown) " of " (slice.pools.first().filter(|_| range.pool.is_some()).map_or(total, |part| part.len))
            " pool elements are shown. "
            @if range.pool.is_some() || range.after.is_some() { a href="/" { "From the first pool on" } " " }
            @if slice.more {
                @match view::link(range.pool.as_ref(), slice.last()) {
                    Some(link) => a href=(link) rel="next" { "Next page" },
                    None => "The next page's pool handle is too long for a link; the dump has all.",
                }
            }
        }
        @if slice.pools.is_empty() { p { "There are none." } }
        @else {
            table {
                thead {
                    tr {
                        th { "Identifier" } th { "Transport" } th { "Policy" } th.n { "Life left" }
                        th { "Home registrar" } th.n { "Keep-alive answered" } th.n { "Reported unreachable" }
                    }
                }
                @for part in &slice.pools { (pool(part, slice)) }
            }
        }
    }
}

fn pool(part: &PoolPart, slice: &Elements) -> Markup {
    html! {
        tbody {
            tr {
                th scope="rowgroup" colspan="7" {
                    @match view::link(Some(&part.handle), None) {
                        Some(link) => a href=(link) { (name(&part.handle)) },
                        None => (name(&part.handle)),
                    }
                    ", " (part.policy) ", " (part.len) @if part.len == 1 { " element " } @else { " elements " }
                    @if let Some(link) = view::link(None, Some((&part.handle, u32::MAX))) {
                        a href=(link) { small { "after it" } }
                    }
                }
            }
            @for row in &part.elements { (element(row, slice)) }
        }
    }
}

fn element(row: &Row, slice: &Elements) -> Markup {
    let dump = ElementDump::new(row, slice.now);
    html! {
        tr {
            td { (format!("{:#010x}", dump.id)) }
            td { (dump.transport) @if dump.port.is_some() { " " (addresses(&row.element.user)) } }
            td { (dump.policy) }
            @match dump.life_left_ms {
                Some(left) => td.n data-step="-1" data-seconds=(left / 1000) { (left / 1000) " s" },
                None => td.n { "no end" },
            }
            td { (format!("{:#010x}", dump.home)) @if dump.association.is_none() { " (not here)" } }
            @match dump.keep_alive_answered_ms {
                Some(ago) => td.n { span data-step="1" data-seconds=(ago / 1000) { (ago / 1000) " s" } " ago" },
                None => td.n { "never" },
            }
            td.n { (dump.bad_reports) }
        }
    }
}

fn addresses(transport: &Transport) -> String {
    let port = transport.port().unwrap_or_default();
    let all: &[IpAddr] = transport.addresses();
    let mut text: Vec<_> =
        all.iter().take(ADDRESSES).map(|ip| SocketAddr::new(*ip, port).to_string()).collect();
    if all.len() > ADDRESSES {
        text.push(format!("and {} more", all.len() - ADDRESSES));
    }
    text.join(", ")
}

/// A handle as it is read: text as text, anything else as hexadecimal digits. What cannot be seen, or changes how
/// the text around it is read, is no text.
pub(super) fn name(handle: &PoolHandle) -> String {
    let octets = handle.as_bytes();
    let text = std::str::from_utf8(octets).ok().filter(|text| !text.chars().any(deceives));
    let digits = || octets.iter().take(HANDLE_CHARS).map(|octet| format!("{octet:02x}")).collect::<String>();
    let mut shown = match text {
        Some(text) => text.chars().take(HANDLE_CHARS).collect(),
        None => format!("0x{}", digits()),
    };
    let cut = text.map_or(octets.len(), |text| text.chars().count()) > HANDLE_CHARS;
    if cut {
        shown.push_str(&format!("… ({} octets)", octets.len()));
    }
    shown
}

/// Controls, and characters of Unicode that are invisible or turn the direction of writing.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_names_exactly_the_style_and_the_script_of_the_page() {
        for (directive, text) in [("style-src", STYLE), ("script-src", SCRIPT)] {
            let hash = STANDARD.encode(Sha256::digest(text));
            assert!(POLICY.contains(&format!("{directive} 'sha256-{hash}';")), "{directive}: it is {hash}");
        }
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn a_handle_that_is_no_text_is_shown_in_hexadecimal_and_a_long_one_is_cut() {
        let name = |octets: &[u8]| name(&PoolHandle::new(octets).unwrap());
        assert_eq!(name("écho pool".as_bytes()), "écho pool");
        assert_eq!(name(b"\xff\x00a"), "0xff0061");
        assert_eq!(name(b"a\nb"), "0x610a62");
        assert_eq!(name("a\u{202e}b".as_bytes()), "0x61e280ae62");
        assert_eq!(name(&[b'x'; 60_000]), format!("{}… (60000 octets)", "x".repeat(128)));
        assert_eq!(name(&[0; 60_000]), format!("0x{}… (60000 octets)", "00".repeat(128)));
    }
}
