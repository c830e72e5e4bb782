//! Values with bounds, each refused with what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

const MS: u64 = 1;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

pub(super) fn offline<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, SECOND..=24 * HOUR, "1s to 24h")
}

pub(super) fn poll<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, 10 * MS..=60 * SECOND, "10ms to 60s")
}

pub(super) fn grace<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, 0..=60 * SECOND, "0s to 60s")
}

pub(super) fn window<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, 0..=10 * SECOND, "0s to 10s")
}

pub(super) fn return_after<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, 0..=HOUR, "0s to 1h")
}

pub(super) fn flap_half_life<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, 0..=HOUR, "0s to 1h")
}

pub(super) fn silence<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let silence = duration(from, 0..=60 * SECOND, "0s, or 100ms to 60s")?;
    if !silence.is_zero() && silence < Duration::from_millis(100) {
        return Err(D::Error::custom("too short; allowed: 0s, or 100ms to 60s"));
    }
    Ok(silence)
}

pub(super) fn receive_buffer<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    const ALLOWED: RangeInclusive<usize> = 2304..=64 << 20;
    let number = i64::deserialize(from)?;
    match usize::try_from(number) {
        Ok(octets) if ALLOWED.contains(&octets) => Ok(octets),
        _ => Err(D::Error::custom(format!("`{number}` is out of range; allowed: 2304 to 67108864 octets"))),
    }
}

/// The highest cost of an interface.
const COST: u32 = 1_000_000;

pub(super) fn cost<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let number = i64::deserialize(from)?;
    match u32::try_from(number) {
        Ok(cost) if cost <= COST => Ok(cost),
        _ => Err(D::Error::custom(format!("`{number}` is out of range; allowed: 0 to {COST}"))),
    }
}

pub(super) fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let kind = String::deserialize(from)?;
    if kind.is_empty() {
        return Err(D::Error::custom("an empty kind; allowed: a word as `veth`, or `physical` for hardware"));
    }
    Ok(Some(kind))
}

pub(super) fn life<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration(from, SECOND..=24 * HOUR, "1s to 24h")
}

pub(super) fn default_life() -> Duration {
    Duration::from_secs(300)
}

pub(super) fn nice<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    const ALLOWED: RangeInclusive<i32> = -20..=19;
    let nice = i32::deserialize(from)?;
    if ALLOWED.contains(&nice) {
        return Ok(nice);
    }
    Err(D::Error::custom(format!("`{nice}` is out of range; allowed: -20 to 19")))
}

fn duration<'de, D: Deserializer<'de>>(
    from: D,
    bounds: RangeInclusive<u64>,
    allowed: &str,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)
        .map_err(|cause| D::Error::custom(format!("{cause}; allowed: a duration in quotes, {allowed}")))?;
    let refuse = |what: &str| {
        let units = "a number with a unit (ms, s, m, h)";
        Err(D::Error::custom(format!("`{text}` {what}; allowed: {units}, {allowed}")))
    };
    match milliseconds(&text) {
        None => refuse("is no duration"),
        Some(ms) if !bounds.contains(&ms) => refuse("is out of range"),
        Some(ms) => Ok(Duration::from_millis(ms)),
    }
}

/// Understands `"1m30s"`: whole numbers, each with its unit (ms, s, m, h).
pub fn parse_duration(text: &str) -> Option<Duration> {
    milliseconds(text).map(Duration::from_millis)
}

/// `"1m30s"` as milliseconds: whole numbers, each with its unit.
fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match &rest[..letters] {
            "ms" => MS,
            "s" => SECOND,
            "m" | "min" => 60 * SECOND,
            "h" => HOUR,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    Some(total)
}

pub(super) fn port<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let refuse = |what: String| D::Error::custom(format!("{what}; allowed: a port, 1 to 65535"));
    let number = i64::deserialize(from).map_err(|cause| refuse(cause.to_string()))?;
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(refuse(format!("{number} is no port"))),
    }
}

pub(super) fn process<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
    let refuse = |what: String| D::Error::custom(format!("{what}; allowed: a process id, 1 or more"));
    let number = i64::deserialize(from).map_err(|cause| refuse(cause.to_string()))?;
    match i32::try_from(number) {
        Ok(pid) if pid > 0 => Ok(Some(pid)),
        _ => Err(refuse(format!("{number} is no process id"))),
    }
}

pub(super) fn absolute_path<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!("`{}` is not absolute; allowed: a path from the root", path.display())))
}

pub(super) fn executable<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    absolute_path(from).map(Some)
}

pub(super) fn handle<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let handle = String::deserialize(from)?;
    match handle.len() {
        1..=65531 => Ok(handle),
        length => Err(D::Error::custom(format!("a pool handle has 1 to 65531 octets, not {length}"))),
    }
}

pub(super) fn registrars<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let list = Vec::<Registrar>::deserialize(from)?;
    Ok(list.into_iter().map(|Registrar(address)| address).collect())
}

/// The most multicast groups that are listened to.
const GROUPS: usize = 16;

pub(super) fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let list = Vec::<Group>::deserialize(from)?;
    if list.len() > GROUPS {
        return Err(D::Error::custom(format!("{} groups; allowed: {GROUPS} at most", list.len())));
    }
    Ok(list.into_iter().map(|Group(group)| group).collect())
}

struct Group(SocketAddr);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.parse::<SocketAddr>() {
            Ok(group) if group.port() > 0 && group.ip().is_multicast() => Ok(Self(group)),
            _ => Err(D::Error::custom(format!(
                "`{text}` is no multicast group; allowed: GROUP:PORT, as 224.0.1.185:3863 or [ff05::133]:3863"
            ))),
        }
    }
}

struct Registrar(SocketAddr);

impl<'de> Deserialize<'de> for Registrar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() > 0 && !address.ip().is_unspecified() => Ok(Self(address)),
            _ => Err(D::Error::custom(format!(
                "`{text}` is no registrar; allowed: ADDRESS:PORT, as 10.9.0.2:3863 or [fd00::1]:3863"
            ))),
        }
    }
}
