//! The PE checksum (RFC 5353, 3.6.2): what a registrar's peers compare to see whether they agree on its elements.
//!
//! It is the Internet checksum (RFC 1071) over the blocks of all elements of one home registrar, a block being the
//! pool handle, padded with zeros to a multiple of four octets, and the identifier. The sum is kept unfolded: so an
//! element's block can be taken out of it again, which the folded sum with its two zeros does not allow.

use asap_client::wire::PoolHandle;

/// The unfolded sum of elements' blocks. An element adds at most 2^31, so that 64 bits never run over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChecksumSum(u64);

impl ChecksumSum {
    /// The block of one element.
    pub fn of(handle: &PoolHandle, id: u32) -> Self {
        let (words, rest) = handle.as_bytes().as_chunks::<2>();
        let words: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
        let rest = rest.first().map_or(0, |octet| u64::from(*octet) << 8);
        Self(words + rest + u64::from(id >> 16) + u64::from(id & 0xffff))
    }

    /// Takes a block in.
    pub fn add(&mut self, block: Self) {
        self.0 = self.0.saturating_add(block.0);
    }

    /// Takes a block out that was taken in before.
    pub fn remove(&mut self, block: Self) {
        self.0 = self.0.saturating_sub(block.0);
    }

    /// The checksum: 0xffff of nothing, and only of nothing.
    pub fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(handle: &str, id: u32) -> ChecksumSum {
        ChecksumSum::of(&PoolHandle::new(handle).unwrap(), id)
    }

    fn sum(blocks: &[ChecksumSum]) -> ChecksumSum {
        blocks.iter().fold(ChecksumSum::default(), |mut sum, block| {
            sum.add(*block);
            sum
        })
    }

    #[test]
    fn the_worked_examples_come_out() {
        let (a, b, c) = (block("EchoPool", 0x1a2b_3c4d), block("EchoPool", 0x9e8f_7a6b), block("abc", 7));
        assert_eq!(sum(&[]).fold(), 0xffff);
        assert_eq!((a.0, b.0, c.0), (0x1_c425, 0x2_86a7, 0xc469));
        assert_eq!([a, b, c].map(ChecksumSum::fold), [0x3bd9, 0x7956, 0x3b96]);
        assert_eq!(sum(&[a, b]).fold(), 0xb52f);
        assert_eq!(sum(&[b, c]).fold(), 0xb4ec);
        assert_eq!(sum(&[a, b, c]).fold(), 0xf0c5);
    }

    #[test]
    fn what_is_taken_out_leaves_no_trace() {
        let (a, b, c) = (block("EchoPool", 0x1a2b_3c4d), block("EchoPool", 0x9e8f_7a6b), block("abc", 7));
        let mut all = sum(&[a, b, c]);
        all.remove(a);
        assert_eq!(all.fold(), 0xb4ec);
        all.remove(b);
        all.remove(c);
        assert_eq!(all.fold(), 0xffff, "not the other zero");
    }
}
