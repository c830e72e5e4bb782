//! Messages in a stream of octets, as over TCP (RFC 5352 §2.1, RFC 5354 §4).
//!
//! The length in a message's header says where it ends. By the RFC the padding behind the message does not count;
//! rsplib counts it. Both are read alike: the next message begins where the length, rounded up to a multiple of 4,
//! ends. So padding that does not count has to be sent all the same, and a sender that leaves it out cannot be
//! understood.

use super::error::Problem;

const HEADER: usize = 4;

/// Room that is kept for the next message once the last one has been taken.
const KEPT: usize = 4096;

/// Cuts a stream into messages. It holds no more than has come and not been taken yet.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Where the next message begins.
    at: usize,
    /// Octets of padding behind the last message that have still to come.
    padding: usize,
}

impl Stream {
    /// A stream of which nothing has come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in octets that have come.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = self.padding.min(bytes.len());
        self.padding -= skipped;
        if self.at > 0 {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
        self.bytes.extend_from_slice(&bytes[skipped..]);
    }

    /// The next message that is whole, from its header to the end that its length names; `None`: more has to come.
    /// The padding behind it need not have come.
    ///
    /// # Errors
    /// A message's length is less than its header: nothing can be read behind it, and it is the same ever after.
    /// [`Self::rest`] is what has come of it.
    pub fn message(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let Some(&[_, _, high, low]) = self.rest().first_chunk::<HEADER>() else { return Ok(None) };
        let stated = usize::from(u16::from_be_bytes([high, low]));
        if stated < HEADER {
            return Err(Problem::Length { stated, available: self.rest().len() });
        }
        let Some(message) = self.rest().get(..stated).map(<[u8]>::to_vec) else { return Ok(None) };
        let padded = stated.next_multiple_of(4);
        let there = padded.min(self.rest().len());
        self.padding = padded - there;
        self.at += there;
        Ok(Some(message))
    }

    /// What has come and is not a whole message yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Whether a message has begun to come.
    pub fn is_within_message(&self) -> bool {
        !self.rest().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Message, PoolHandle, decode};
    use super::*;
    use proptest::prelude::*;

    fn resolution(handle: &str) -> Message {
        Message::HandleResolution { subscribe: false, handle: PoolHandle::new(handle).unwrap(), items: None }
    }

    fn all(stream: &mut Stream) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| stream.message().unwrap()).collect()
    }

    #[test]
    fn a_message_is_there_with_its_last_octet_and_its_padding_is_skipped_when_it_comes() {
        let mut stream = Stream::new();
        let bytes = resolution("abc").encode();
        assert_eq!((bytes.len(), bytes[3]), (12, 11), "one octet of padding that does not count");
        stream.push(&bytes[..10]);
        assert_eq!(stream.message(), Ok(None));
        assert!(stream.is_within_message());
        stream.push(&bytes[10..11]);
        assert_eq!(stream.message(), Ok(Some(bytes[..11].to_vec())));
        assert!(!stream.is_within_message());
        stream.push(&[0]);
        assert!(!stream.is_within_message());
        stream.push(&bytes);
        assert_eq!(all(&mut stream), [bytes[..11].to_vec()]);
    }

    #[test]
    fn padding_that_is_counted_is_read_as_well() {
        let mut counted = resolution("abc").encode();
        counted[3] = 12;
        let mut stream = Stream::new();
        stream.push(&[counted.clone(), resolution("abcd").encode()].concat());
        let messages = all(&mut stream);
        let decoded: Vec<_> = messages.iter().map(|bytes| decode(bytes).unwrap()).collect();
        assert_eq!(decoded[0].message, resolution("abc"));
        assert!(decoded[0].padded_lengths);
        assert_eq!(decoded[1].message, resolution("abcd"));
    }

    #[test]
    fn a_length_below_the_headers_is_the_end_of_it() {
        let mut stream = Stream::new();
        stream.push(&[5, 0, 0, 3, 9, 9]);
        for _ in 0..2 {
            assert_eq!(stream.message(), Err(Problem::Length { stated: 3, available: 6 }));
            assert_eq!(stream.rest(), [5, 0, 0, 3, 9, 9]);
        }
    }

    #[test]
    fn what_is_announced_takes_no_room_before_it_comes() {
        let mut stream = Stream::new();
        stream.push(&[5, 0, 0xff, 0xff]);
        assert_eq!(stream.message(), Ok(None));
        assert!(stream.bytes.capacity() <= 64, "{}", stream.bytes.capacity());
        let mut whole = vec![5, 0, 0xff, 0xff];
        whole.resize(0xffff, 7);
        stream.push(&whole[4..]);
        assert_eq!(stream.message(), Ok(Some(whole)));
        stream.push(&[0]);
        assert!(stream.bytes.capacity() <= KEPT, "{}", stream.bytes.capacity());
    }

    proptest! {
        #[test]
        fn any_split_of_the_octets_gives_the_same_messages(
            handles in prop::collection::vec("[a-z]{1,300}", 0..12),
            counted in prop::collection::vec(any::<bool>(), 12),
            cuts in prop::collection::vec(1_usize..700, 1..40),
        ) {
            let mut octets = Vec::new();
            let mut lengths = Vec::new();
            for (handle, counted) in handles.iter().zip(counted) {
                let mut bytes = resolution(handle).encode();
                if counted {
                    let padded = u16::try_from(bytes.len()).unwrap();
                    bytes[2..4].copy_from_slice(&padded.to_be_bytes());
                }
                lengths.push(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])));
                octets.extend(bytes);
            }
            let mut stream = Stream::new();
            let mut messages = Vec::new();
            let mut rest = octets.as_slice();
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                stream.push(now);
                messages.extend(all(&mut stream));
                // No more is held than has come, give or take what growing by doubling brings.
                prop_assert!(stream.bytes.capacity() <= KEPT.max(2 * octets.len()));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(!stream.is_within_message());
            let came: Vec<_> = messages.iter().map(Vec::len).collect();
            prop_assert_eq!(came, lengths);
            let decoded: Vec<_> = messages.iter().map(|bytes| decode(bytes).unwrap().message).collect();
            let sent: Vec<_> = handles.iter().map(|handle| resolution(handle)).collect();
            prop_assert_eq!(decoded, sent);
        }

        #[test]
        fn octets_that_mean_nothing_do_no_harm(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..50),
        ) {
            let (mut stream, mut came, mut taken) = (Stream::new(), 0, 0);
            for piece in &pieces {
                came += piece.len();
                stream.push(piece);
                while let Ok(Some(message)) = stream.message() {
                    taken += message.len();
                }
                prop_assert!(taken + stream.rest().len() <= came);
            }
        }
    }
}
