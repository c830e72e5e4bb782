//! Values with bounds, each refused with what is allowed.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A duration in quotes, of `MIN` to `MAX` milliseconds.
pub(super) fn duration<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<Duration, D::Error> {
    milliseconds_in(from, |ms| (MIN..=MAX).contains(&ms), || format!("{} to {}", written(MIN), written(MAX)))
        .map(Duration::from_millis)
}

/// As [`duration`], but `"0s"` is allowed too and means: never.
pub(super) fn duration_or_never<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    let allowed = || format!("{} to {}, or 0s for never", written(MIN), written(MAX));
    let ms = milliseconds_in(from, |ms| ms == 0 || (MIN..=MAX).contains(&ms), allowed)?;
    Ok((ms != 0).then(|| Duration::from_millis(ms)))
}

fn milliseconds_in<'de, D: Deserializer<'de>>(
    from: D,
    fits: impl Fn(u64) -> bool,
    allowed: impl Fn() -> String,
) -> Result<u64, D::Error> {
    let text = String::deserialize(from).map_err(|cause| {
        D::Error::custom(format!("{cause}; allowed: a duration in quotes, {}", allowed()))
    })?;
    let refuse = |what: &str| {
        let units = "a number with a unit (ms, s, m, h)";
        Err(D::Error::custom(format!("`{text}` {what}; allowed: {units}, {}", allowed())))
    };
    match milliseconds(&text) {
        None => refuse("is no duration"),
        Some(ms) if !fits(ms) => refuse("is out of range"),
        Some(ms) => Ok(ms),
    }
}

/// Reads a duration as the configuration has it, for the command line.
///
/// # Errors
/// It is none, or out of bounds; what is allowed.
pub fn duration_between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let found = milliseconds(text).map(Duration::from_millis).filter(|time| (least..=most).contains(time));
    let in_words = |time: Duration| written(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    found.ok_or_else(|| {
        let (least, most) = (in_words(least), in_words(most));
        format!("`{text}`; allowed: a number with a unit (ms, s, m, h), {least} to {most}")
    })
}

/// What is logged, as tracing's filters have it.
pub(super) fn log_filter<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let allowed = "allowed: error, warn, info, debug, trace, or TARGET=LEVEL, separated by commas";
            Err(D::Error::custom(format!("`{text}` is no filter ({error}); {allowed}")))
        }
    }
}

/// `"1m30s"` as milliseconds: whole numbers, each with its unit.
fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let unit = match unit {
            "ms" => 1,
            "s" => SECOND,
            "m" | "min" => MINUTE,
            "h" => HOUR,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after;
    }
    Some(total)
}

fn written(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(HOUR) => format!("{}h", ms / HOUR),
        _ if ms.is_multiple_of(MINUTE) => format!("{}m", ms / MINUTE),
        _ if ms.is_multiple_of(SECOND) => format!("{}s", ms / SECOND),
        _ => format!("{ms}ms"),
    }
}

/// A whole number of `MIN` to `MAX`.
fn whole<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(from: D) -> Result<u64, D::Error> {
    let allowed = format!("allowed: a whole number, {MIN} to {MAX}");
    let number = i64::deserialize(from).map_err(|cause| D::Error::custom(format!("{cause}; {allowed}")))?;
    match u64::try_from(number) {
        Ok(number) if (MIN..=MAX).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format!("{number} is out of range; {allowed}"))),
    }
}

/// A number of things or octets.
pub(super) fn count<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<usize, D::Error> {
    let number = whole::<D, MIN, MAX>(from)?;
    usize::try_from(number).map_err(|_| D::Error::custom("too large for this machine"))
}

/// A number of 32 bits.
pub(super) fn number<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<u32, D::Error> {
    let number = whole::<D, MIN, MAX>(from)?;
    u32::try_from(number).map_err(|_| D::Error::custom("too large for 32 bits"))
}

/// A number of 16 bits.
pub(super) fn small<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<u16, D::Error> {
    let number = whole::<D, MIN, MAX>(from)?;
    u16::try_from(number).map_err(|_| D::Error::custom("too large for 16 bits"))
}

/// The registrar's identifier.
pub(super) fn identifier<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    number::<D, 1, 0xffff_ffff>(from).map(Some)
}

/// A path from the root.
pub(super) fn absolute_path<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!("`{}` is no path from the root; allowed: /DIRECTORY/...", path.display())))
}

/// Names of hosts, as they stand in the Host header of HTTP, without a port.
pub(super) fn host_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let allowed = "allowed: a list of host names in quotes, without a port, as \"registrar.example\"";
    let names =
        Vec::<String>::deserialize(from).map_err(|cause| D::Error::custom(format!("{cause}; {allowed}")))?;
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        !name.is_empty() && name.len() <= 253 && name.chars().all(fits) && !name.ends_with('.')
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(D::Error::custom(format!("`{name}` is no host name; {allowed}"))),
        None => Ok(names),
    }
}

/// Where to listen.
pub(super) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let allowed = "allowed: a list of ADDRESS:PORT in quotes, as \"0.0.0.0:3863\" or \"[::]:3863\"";
    listed(Vec::deserialize(from), allowed)
}

/// As [`addresses`], but the list may be empty.
pub(super) fn addresses_or_none<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<SocketAddr>>, D::Error> {
    let allowed = "allowed: a list of ADDRESS:PORT in quotes, as \"0.0.0.0:3863\", or an empty one";
    match Vec::deserialize(from) {
        Ok(texts) if texts.is_empty() => Ok(Some(Vec::new())),
        texts => listed(texts, allowed).map(Some),
    }
}

/// As [`addresses`], but a single one needs no list.
pub(super) fn one_or_more_addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "neither a string nor a list of strings")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let texts = OneOrMore::deserialize(from).map(|texts| match texts {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    });
    listed(texts, "allowed: ADDRESS:PORT in quotes, as \"127.0.0.1:8080\", or a list of them")
}

/// Multicast groups with their ports.
pub(super) fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let allowed = "allowed: a list of GROUP:PORT in quotes, as \"224.0.1.185:3863\" or \"[ff05::133]:3863\"";
    let texts = Vec::<String>::deserialize(from);
    let texts = texts.map_err(|cause| D::Error::custom(format!("{cause}; {allowed}")))?;
    let group = |text: &String| match text.parse() {
        Ok(SocketAddr::V4(group)) if group.ip().is_multicast() && group.port() != 0 => Ok(group.into()),
        Ok(SocketAddr::V6(group)) if group.ip().is_multicast() && group.port() != 0 => Ok(group.into()),
        _ => Err(D::Error::custom(format!("`{text}` is no GROUP:PORT; {allowed}"))),
    };
    texts.iter().map(group).collect()
}

fn listed<E: serde::de::Error>(texts: Result<Vec<String>, E>, allowed: &str) -> Result<Vec<SocketAddr>, E> {
    let texts = texts.map_err(|cause| E::custom(format!("{cause}; {allowed}")))?;
    let mut addresses = Vec::new();
    for text in texts {
        let address = listen_address(&text).map_err(|what| E::custom(format!("{what}; {allowed}")))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(E::custom(format!("the list is empty; {allowed}")));
    }
    Ok(addresses)
}

/// An address to listen on: a port other than 0, and an address that can be one's own.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("`{text}` is no ADDRESS:PORT"))?;
    let ip = address.ip();
    let broadcast = matches!(ip, std::net::IpAddr::V4(v4) if v4.is_broadcast());
    if address.port() == 0 || ip.is_multicast() || broadcast {
        return Err(format!("`{text}` is no address to listen on"));
    }
    Ok(address)
}
