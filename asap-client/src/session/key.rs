//! The key that the elements of a pool share to seal their cookies.

use std::collections::BTreeMap;
use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Octets of a nonce.
pub(super) const NONCE: usize = 24;

/// Octets of the tag behind what is sealed.
pub(super) const TAG: usize = 16;

/// The keys of a pool's elements, each by its identifier: one that new cookies are sealed with, and others that are
/// still good for opening. Whoever has one can make cookies that every element of the pool believes.
///
/// To change keys without losing a session: give the new key to all elements with [`Self::accept`], then have them
/// seal with it, then take the old one away once the longest life of a cookie has passed.
#[derive(Clone)]
pub struct KeyRing {
    sealing: u32,
    keys: BTreeMap<u32, XChaCha20Poly1305>,
}

impl KeyRing {
    /// Octets of a key.
    pub const KEY: usize = 32;

    /// A ring whose only key this is: 256 bits from a good source, the same at all elements of the pool.
    pub fn new(id: u32, key: &[u8; Self::KEY]) -> Self {
        Self { sealing: id, keys: BTreeMap::from([(id, XChaCha20Poly1305::new(&(*key).into()))]) }
    }

    /// Also opens what this key has sealed. A key of the same identifier is replaced.
    #[must_use]
    pub fn accept(mut self, id: u32, key: &[u8; Self::KEY]) -> Self {
        self.keys.insert(id, XChaCha20Poly1305::new(&(*key).into()));
        self
    }

    /// The identifier of the key that seals.
    pub fn sealing(&self) -> u32 {
        self.sealing
    }

    /// Is there a key of this identifier?
    pub(super) fn knows(&self, id: u32) -> bool {
        self.keys.contains_key(&id)
    }

    /// Seals `plain` under the sealing key, bound to `clear`. `None`: too much, which no cookie's size limit allows.
    pub(super) fn seal(&self, nonce: [u8; NONCE], clear: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.get(&self.sealing)?;
        key.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: clear }).ok()
    }

    /// Opens what [`Self::seal`] made of the same `nonce` and `clear`.
    pub(super) fn open(&self, id: u32, nonce: [u8; NONCE], clear: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.get(&id)?;
        key.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: clear }).ok()
    }
}

/// Without the keys.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("sealing", &self.sealing)
            .field("keys", &self.keys.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Numbers that are never given twice: a random beginning, chosen once for each machine, and a count behind it. They
/// are no secret.
#[derive(Clone, Debug)]
pub(super) struct Unique {
    beginning: [u8; 16],
    count: u64,
}

impl Unique {
    pub(super) fn new(beginning: [u8; 16]) -> Self {
        Self { beginning, count: 0 }
    }

    pub(super) fn draw(&mut self) -> [u8; NONCE] {
        self.count += 1;
        let mut number = [0; NONCE];
        number[..16].copy_from_slice(&self.beginning);
        number[16..].copy_from_slice(&self.count.to_be_bytes());
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_shows_its_keys_names_and_never_the_keys() {
        let ring = KeyRing::new(7, &[0x41; 32]).accept(6, &[0x42; 32]);
        assert_eq!(format!("{ring:?}"), "KeyRing { sealing: 7, keys: [6, 7] }");
    }

    #[test]
    fn what_is_unique_is_never_given_twice() {
        let (mut one, mut other) = (Unique::new([1; 16]), Unique::new([2; 16]));
        let mut all: Vec<_> = (0..100).flat_map(|_| [one.draw(), other.draw()]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200);
    }
}
