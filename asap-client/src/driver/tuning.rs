//! What the ASAP associations ask of the kernel.

use std::io;
use std::os::fd::BorrowedFd;

use sctp_sys::FUTURE_ASSOC;
use sctp_sys::sockopt::{self, AssocParams, InitMsg, PeerAddrParams, RtoInfo, SackInfo};

/// Retransmission and liveliness of associations. The defaults are for those to registrars: a lost packet costs little,
/// and a registrar that is gone is known within ten seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Before a round trip was measured, for INIT too: milliseconds. 250.
    pub rto_initial: u32,
    /// Lower bound of the retransmission timeout: milliseconds. 100.
    pub rto_min: u32,
    /// Upper bound of the retransmission timeout, for INIT too: milliseconds, at most 65535. 1000.
    pub rto_max: u32,
    /// How often INIT is sent. The hunt gives up earlier. 20.
    pub init_attempts: u16,
    /// Retransmissions in a row before a path is taken for gone. 4.
    pub path_retransmissions: u16,
    /// Retransmissions in a row before the association is lost. 8.
    pub association_retransmissions: u16,
    /// Between heartbeats on an idle path: milliseconds. 2000.
    pub heartbeat: u32,
    /// How long the acknowledgement of a message may wait for a second one: milliseconds, at most 500; 0: not at all. 0.
    pub ack_delay: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            rto_initial: 250,
            rto_min: 100,
            rto_max: 1000,
            init_attempts: 20,
            path_retransmissions: 4,
            association_retransmissions: 8,
            heartbeat: 2000,
            ack_delay: 0,
        }
    }
}

impl Tuning {
    /// For the associations of sessions: an element whose host is gone is known as such within about a second, also where
    /// nothing is being said, and acknowledgements do not cost a packet for each message.
    pub fn session() -> Self {
        Self { rto_max: 500, path_retransmissions: 2, heartbeat: 500, ack_delay: 20, ..Self::default() }
    }

    /// Sets a socket's defaults for its future associations: also for programs that use the library only to find
    /// servers.
    ///
    /// # Errors
    /// The kernel's; EINVAL for what it does not take.
    pub fn apply(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        sockopt::set_nodelay(socket, true)?;
        let frequency = if self.ack_delay == 0 { 1 } else { 2 };
        sockopt::set_sack_info(socket, FUTURE_ASSOC, SackInfo { delay: self.ack_delay, frequency })?;
        let rto = RtoInfo { initial: self.rto_initial, max: self.rto_max, min: self.rto_min };
        sockopt::set_rto_info(socket, FUTURE_ASSOC, rto)?;
        let init = InitMsg {
            max_attempts: self.init_attempts,
            max_timeout: u16::try_from(self.rto_max).unwrap_or(u16::MAX),
            ..InitMsg::default()
        };
        sockopt::set_init_msg(socket, init)?;
        let paths = PeerAddrParams {
            heartbeat_interval: self.heartbeat,
            heartbeats: Some(true),
            path_max_retransmissions: self.path_retransmissions,
            ..PeerAddrParams::default()
        };
        sockopt::set_peer_addr_params(socket, FUTURE_ASSOC, &paths)?;
        let limits =
            AssocParams { max_retransmissions: self.association_retransmissions, ..AssocParams::default() };
        sockopt::set_assoc_params(socket, FUTURE_ASSOC, limits)
    }
}
