//! The messages: 200 octets that say which association they belong to and which number they have in it.

/// Length of a message in octets.
pub(super) const LENGTH: usize = 200;

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    /// The client's number for the association, from 0.
    pub(super) association: u32,
    /// The message's number in it, from 0.
    pub(super) number: u64,
}

impl Message {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        let mut bytes = [0x5a; LENGTH];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.association.to_be_bytes());
        bytes
    }

    /// None: these bytes are no message of ours, whole and unchanged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let message = Self {
            number: u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
            association: u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?),
        };
        (bytes == message.encode()).then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_and_unchanged_message_is_understood() {
        let message = Message { association: 3, number: 70_000 };
        let mut bytes = message.encode();
        assert_eq!(Message::decode(&bytes), Some(message));
        assert_eq!(Message::decode(&bytes[..LENGTH - 1]), None);
        bytes[150] ^= 1;
        assert_eq!(Message::decode(&bytes), None);
    }
}
