//! What the messages of all services have in common: type, flags and length, and numbers behind them.

use super::Unfit;

/// Octets of type, flags and length.
pub(super) const HEADER: usize = 4;

/// Takes a message apart: its type, its flags, and what is behind its length, which has to be that of the message.
pub(super) fn open(octets: &[u8]) -> Result<(u8, u8, Numbers<'_>), Unfit> {
    let (&[type_, flags, high, low], rest) = octets.split_first_chunk::<HEADER>().ok_or(Unfit::Length)?;
    if usize::from(u16::from_be_bytes([high, low])) != octets.len() {
        return Err(Unfit::Length);
    }
    Ok((type_, flags, Numbers(rest)))
}

/// Puts a message together. What does not fit into it is for the caller to avoid.
pub(super) fn message(type_: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[type_, flags, length[0], length[1]], body].concat()
}

/// Octets that are taken one number after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl Numbers<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unfit> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Unfit::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Unfit> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Unfit> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, Unfit> {
        self.array().map(f64::from_be_bytes)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Unfit> {
        if self.0.is_empty() { Ok(()) } else { Err(Unfit::Length) }
    }
}
