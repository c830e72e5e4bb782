//! What the load generator says: made once by the codec, and from then on only filled in, so that encoding is not
//! what is measured.

use std::net::IpAddr;

use anyhow::{Context, Result};
use asap_client::wire::{Message, Policy, PoolElement, PoolHandle, Transport, TransportUse};

/// Stands for a pool's number until that is filled in.
const POOL: [u8; 8] = *b"\x01pool~~\x02";
/// Stands for an element's identifier.
const ID: u32 = 0xfe01_ef02;
/// Registration life: an hour if it is read in milliseconds, six weeks in seconds.
const LIFE: i32 = 3_600_000;

/// A pool's name: eight characters.
fn name(pool: u32) -> [u8; 8] {
    let mut name = [b'p'; 8];
    let mut rest = pool;
    for digit in name[1..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name
}

/// A REGISTRATION for any pool and identifier.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    bytes: Vec<u8>,
    pool_at: usize,
    id_at: usize,
}

impl Registration {
    /// For elements at this address.
    pub(super) fn new(address: IpAddr) -> Result<Self> {
        let user =
            Transport::Sctp { port: 7000, use_: TransportUse::DataOnly, addresses: vec![address].into() };
        let element =
            PoolElement { id: ID, home: 0, life: LIFE, user, policy: Policy::RoundRobin, asap: None };
        let bytes = Message::Registration { handle: PoolHandle::new(POOL)?, element }.encode();
        let find = |what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
        let pool_at = find(&POOL).context("the pool in a registration")?;
        let id_at = find(&ID.to_be_bytes()).context("the identifier in a registration")?;
        Ok(Self { bytes, pool_at, id_at })
    }

    /// The octets for this element.
    pub(super) fn of(&mut self, pool: u32, id: u32) -> &[u8] {
        self.bytes[self.pool_at..self.pool_at + 8].copy_from_slice(&name(pool));
        self.bytes[self.id_at..self.id_at + 4].copy_from_slice(&id.to_be_bytes());
        &self.bytes
    }
}

/// A HANDLE_RESOLUTION that wants so many elements.
pub(super) fn resolution(pool: u32, items: u32) -> Result<Vec<u8>> {
    let handle = PoolHandle::new(name(pool))?;
    Ok(Message::HandleResolution { subscribe: false, handle, items: Some(items) }.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use asap_client::wire;

    #[test]
    fn a_registration_that_is_filled_in_is_the_one_that_would_be_encoded() {
        let mut registration = Registration::new("10.0.0.9".parse().unwrap()).unwrap();
        for (pool, id) in [(0, 1), (1234, 0xffff_ffff)] {
            let decoded = wire::decode(registration.of(pool, id)).unwrap().message;
            let Message::Registration { handle, element } = decoded else { panic!("{decoded:?}") };
            assert_eq!((handle.as_bytes(), element.id), (format!("p{pool:07}").as_bytes(), id));
        }
    }
}
