//! Ancillary data (RFC 6458, 5.3), built and walked as bytes.
//!
//! A header is a length (machine word), a level and a type; data and the next header are aligned to a word.

const WORD: usize = size_of::<usize>();
/// Octets of a header.
pub(crate) const HEADER: usize = size_of::<libc::cmsghdr>();
const _: () = assert!(HEADER == WORD + 8 && HEADER.is_multiple_of(WORD));

const fn align(len: usize) -> usize {
    (len + WORD - 1) & !(WORD - 1)
}

/// Room that data of `len` octets takes with its header.
pub(crate) const fn space(len: usize) -> usize {
    HEADER + align(len)
}

/// A control buffer, aligned as the kernel's headers are.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Buffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Buffer<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Adds one item. The buffer's size is chosen for what is put in: a full one is a mistake of this crate.
    pub(crate) fn push(&mut self, level: i32, type_: i32, data: &[u8]) {
        let room = &mut self.bytes[self.len..self.len + space(data.len())];
        room[..WORD].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[WORD + 4..HEADER].copy_from_slice(&type_.to_ne_bytes());
        room[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.len += space(data.len());
    }

    /// What was put in.
    pub(crate) fn filled(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// All of it, for the kernel to write to.
    pub(crate) fn all(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// One item of ancillary data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) level: i32,
    pub(crate) type_: i32,
    pub(crate) data: &'a [u8],
}

/// Walks a control buffer; ends at the first item that does not fit.
pub(crate) fn items(bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header: &[u8; HEADER] = rest.first_chunk()?;
        let (len, numbers) = header.split_first_chunk::<WORD>()?;
        let len = usize::from_ne_bytes(*len);
        let (level, type_) = numbers.split_first_chunk::<4>()?;
        let item = Item {
            level: i32::from_ne_bytes(*level),
            type_: i32::from_ne_bytes(*type_.first_chunk()?),
            data: rest.get(HEADER..len)?,
        };
        rest = len.checked_next_multiple_of(WORD).and_then(|next| rest.get(next..)).unwrap_or(&[]);
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_put_in_is_walked() {
        let mut buffer: Buffer<{ space(5) + space(16) }> = Buffer::new();
        buffer.push(132, 2, b"hello");
        buffer.push(1, 1, &[7; 16]);
        let got: Vec<_> = items(buffer.filled()).collect();
        assert_eq!(
            got,
            [Item { level: 132, type_: 2, data: b"hello" }, Item { level: 1, type_: 1, data: &[7; 16] }]
        );
    }

    #[test]
    fn an_item_longer_than_the_buffer_ends_the_walk() {
        let mut buffer: Buffer<{ space(8) }> = Buffer::new();
        buffer.push(132, 2, &[0; 8]);
        assert_eq!(items(&buffer.filled()[..HEADER + 7]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(items(&bytes).count() <= bytes.len() / HEADER + 1);
        }

        #[test]
        fn small_lengths_are_walked_to_an_end(lengths in proptest::collection::vec(0usize..40, 0..8)) {
            let mut bytes = Vec::new();
            for len in lengths {
                bytes.extend_from_slice(&len.to_ne_bytes());
                bytes.extend_from_slice(&[0; 20]);
            }
            prop_assert!(items(&bytes).count() <= bytes.len() / HEADER + 1);
        }
    }
}
