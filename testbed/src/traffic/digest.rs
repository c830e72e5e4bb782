//! What an element answers: the request, and a digest of all requests of the session, which shows that no element knew of
//! more or of fewer of them, or of another order.

use super::message::{LENGTH, Message};

/// The digest of all requests so far; at first 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest(u64);

impl Digest {
    /// Takes the next request in.
    pub(super) fn take(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    }

    /// The answer to the request that was taken in last.
    pub(super) fn answer(self, request: Message) -> Vec<u8> {
        [&request.encode()[..], &self.state()].concat()
    }

    /// The number of the request that an answer belongs to, if it is the one to the request that was taken in last.
    pub(super) fn answered(self, answer: &[u8]) -> Option<u64> {
        let (request, state) = answer.split_at_checked(LENGTH)?;
        Message::decode(request).filter(|_| state == self.state()).map(|request| request.number)
    }

    /// As a cookie has it.
    pub(super) fn state(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// None: this is no state.
    pub(super) fn restored(state: &[u8]) -> Option<Self> {
        Some(Self(u64::from_be_bytes(state.try_into().ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(numbers: &[u64]) -> Digest {
        let mut digest = Digest::default();
        numbers.iter().for_each(|&number| digest.take(number));
        digest
    }

    #[test]
    fn an_answer_is_right_only_after_the_same_requests_in_the_same_order() {
        let request = Message { association: 0, number: 2 };
        let answer = after(&[0, 1, 2]).answer(request);
        assert_eq!(after(&[0, 1, 2]).answered(&answer), Some(2));
        for other in [&[0, 2][..], &[1, 0, 2], &[0, 1, 1, 2], &[0, 1, 2, 2], &[2], &[]] {
            assert_eq!(after(other).answered(&answer), None, "{other:?}");
        }
        assert_eq!(after(&[0, 1, 2]).answered(&answer[..LENGTH]), None);
        assert_eq!(after(&[0, 1, 2]).answered(b""), None);
    }

    #[test]
    fn a_state_goes_on_where_it_was_given() {
        let mut restored = Digest::restored(&after(&[0, 1]).state()).unwrap();
        restored.take(2);
        assert_eq!(restored, after(&[0, 1, 2]));
        assert_eq!(Digest::restored(b"short"), None);
    }
}
