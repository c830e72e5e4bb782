//! What travels: packets of the few SCTP chunks that matter to a handover.

use std::net::IpAddr;

use roam_agent::handover::Change;

/// Virtual time in microseconds since the start of a run.
pub type Time = u64;

/// One millisecond.
pub const MS: Time = 1_000;
/// One second.
pub const SECOND: Time = 1_000_000;

/// A chunk. Authenticity stands for the AUTH chunk before it: only the two ends can make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// A whole message.
    Data {
        /// Transmission sequence number.
        tsn: u32,
        /// The application's number of the message.
        message: u32,
    },
    /// An acknowledgement.
    Sack {
        /// All up to here.
        cumulative: u32,
        /// Beyond that.
        gaps: Vec<u32>,
    },
    /// A probe of a path.
    Heartbeat {
        /// The path, as its sender names it.
        path: IpAddr,
    },
    /// The answer to a probe.
    HeartbeatAck {
        /// The path that was probed.
        path: IpAddr,
    },
    /// A change of addresses.
    Asconf {
        /// Sequence number.
        serial: u32,
        /// The address parameter, by which an association is found.
        address: IpAddr,
        /// The changes; the position is the correlation id.
        changes: Vec<Change>,
        /// Made by the peer itself.
        authentic: bool,
    },
    /// The answer to a change of addresses.
    AsconfAck {
        /// Sequence number of the ASCONF.
        serial: u32,
        /// Refused changes: correlation id and cause.
        errors: Vec<(u32, u16)>,
        /// Made by the peer itself.
        authentic: bool,
    },
    /// The end of the association, with the receiver's own tag reflected.
    Abort,
}

/// A packet, with the addresses that it has at this point of its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Source.
    pub source: IpAddr,
    /// Destination.
    pub destination: IpAddr,
    /// Chunks.
    pub chunks: Vec<Chunk>,
}

impl Packet {
    /// Whether it carries what leaves before the peer has answered: ASCONF, its answer, the answer to a heartbeat.
    #[must_use]
    pub fn may_pass_restriction(&self) -> bool {
        let passes = |chunk: &Chunk| {
            matches!(chunk, Chunk::Asconf { .. } | Chunk::AsconfAck { .. } | Chunk::HeartbeatAck { .. })
        };
        self.chunks.iter().any(passes)
    }

    /// Whether it carries an answer to an ASCONF.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        self.chunks.iter().any(|chunk| matches!(chunk, Chunk::AsconfAck { .. }))
    }

    /// Whether it carries an answer to a heartbeat.
    #[must_use]
    pub fn has_heartbeat_ack(&self) -> bool {
        self.chunks.iter().any(|chunk| matches!(chunk, Chunk::HeartbeatAck { .. }))
    }

    /// Whether it carries an ABORT.
    #[must_use]
    pub fn has_abort(&self) -> bool {
        self.chunks.contains(&Chunk::Abort)
    }
}
