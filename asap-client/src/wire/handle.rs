//! The pool handle (RFC 5354 §3.9).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use super::code::ParameterType;
use super::error::Problem;
use super::tlv::{Parameter, Writer};

/// The name of a pool: 1 to 65531 octets of any kind, compared as octets. Cheap to clone.
///
/// rsplib's registrar dies of handles above 32 octets; keep to that where it may be the peer.
#[derive(Clone)]
pub struct PoolHandle(Octets);

/// Short ones, which nearly all are, are kept in place: whoever looks for a pool compares them without a detour.
#[derive(Clone)]
enum Octets {
    Short { length: u8, octets: [u8; SHORT] },
    Long(Arc<[u8]>),
}

/// What fits beside the length and the mark of the variant into three machine words.
const SHORT: usize = 22;

/// A pool handle has to have 1 to 65531 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a pool handle has 1 to 65531 octets, not {0}")]
pub struct BadHandle(pub usize);

impl PoolHandle {
    /// The most octets that a handle may have.
    pub const MAX: usize = 65_531;

    /// A handle of these octets.
    ///
    /// # Errors
    /// There are none or more than [`PoolHandle::MAX`].
    pub fn new(octets: impl AsRef<[u8]>) -> Result<Self, BadHandle> {
        let octets = octets.as_ref();
        if octets.is_empty() || octets.len() > Self::MAX {
            return Err(BadHandle(octets.len()));
        }
        if octets.len() > SHORT {
            return Ok(Self(Octets::Long(octets.into())));
        }
        let mut short = [0; SHORT];
        short[..octets.len()].copy_from_slice(octets);
        let length = u8::try_from(octets.len()).unwrap_or(0);
        Ok(Self(Octets::Short { length, octets: short }))
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Octets::Short { length, octets } => &octets[..usize::from(*length).min(SHORT)],
            Octets::Long(octets) => octets,
        }
    }

    /// Reads a Pool Handle parameter.
    ///
    /// # Errors
    /// It is empty.
    pub fn parse(parameter: &Parameter<'_>) -> Result<Self, Problem> {
        let mut value = parameter.value;
        Self::new(value.rest()).map_err(|_| parameter.invalid("a handle has at least one octet"))
    }

    /// Writes a Pool Handle parameter.
    pub fn emit(&self, writer: &mut Writer) {
        writer.parameter(ParameterType::POOL_HANDLE, |w| w.bytes(self.as_bytes()));
    }
}

/// The same order, in steps that a processor takes at once.
fn words(octets: &[u8; SHORT]) -> (u128, u64) {
    let ([first @ .., _, _, _, _, _, _], [.., a, b, c, d, e, f]) = (octets, octets);
    (u128::from_be_bytes(*first), u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]))
}

impl PartialEq for PoolHandle {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Octets::Short { length, octets },
                Octets::Short { length: other_length, octets: other_octets },
            ) => length == other_length && octets == other_octets,
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for PoolHandle {}

impl PartialOrd for PoolHandle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PoolHandle {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            // Where both are filled up with zeros, which come before all else, only the length can tell what is longer.
            (
                Octets::Short { length, octets },
                Octets::Short { length: other_length, octets: other_octets },
            ) => (words(octets), length).cmp(&(words(other_octets), other_length)),
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

impl Hash for PoolHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl FromStr for PoolHandle {
    type Err = BadHandle;

    fn from_str(text: &str) -> Result<Self, BadHandle> {
        Self::new(text)
    }
}

/// Printable characters as they are, all others (and the backslash) as `\xNN`.
impl fmt::Display for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '\\' || c.is_control() {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        write!(f, "\\x{byte:02x}")?;
                    }
                } else {
                    fmt::Write::write_char(f, c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_neither_empty_nor_longer_than_a_parameter() {
        assert_eq!(PoolHandle::new(""), Err(BadHandle(0)));
        assert_eq!(PoolHandle::new(vec![0; 65_532]), Err(BadHandle(65_532)));
        assert!(PoolHandle::new(vec![0; 65_531]).is_ok());
    }

    #[test]
    fn handles_compare_as_their_octets_whatever_their_length() {
        let of = |length: usize| PoolHandle::new(vec![7; length]).unwrap();
        assert_eq!(size_of::<PoolHandle>(), 3 * size_of::<usize>());
        for length in [1, SHORT - 1, SHORT, SHORT + 1, 60_000] {
            assert_eq!(of(length).as_bytes(), vec![7; length]);
            assert_eq!(of(length), of(length));
            assert!(of(length) < of(length + 1));
            assert!(PoolHandle::new([8]).unwrap() > of(length));
        }
    }

    #[test]
    fn handles_are_in_the_order_of_their_octets_zeros_and_all() {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for length in [1, 2, 15, 16, 17, SHORT - 1, SHORT, SHORT + 1] {
            for last in [0, 1, 255] {
                let mut octets = vec![0; length];
                octets[length - 1] = last;
                all.push(octets.clone());
                octets[0] = 7;
                all.push(octets);
            }
        }
        for one in &all {
            for other in &all {
                let handles = [one, other].map(|octets| PoolHandle::new(octets).unwrap());
                assert_eq!(handles[0].cmp(&handles[1]), one.cmp(other), "{one:?} {other:?}");
                assert_eq!(handles[0] == handles[1], one == other);
            }
        }
    }

    #[test]
    fn a_handle_of_any_octets_is_printable() {
        let handle = PoolHandle::new(b"a\\b\n\x00\xff\xc3\xa9").unwrap();
        assert_eq!(handle.to_string(), r"a\x5cb\x0a\x00\xffé");
    }
}
