//! The notifications of RFC 6458, 6.1, as the kernel writes them. Parsed from bytes by
//! [`event`](crate::event); here only for their sizes and offsets.

use libc::sockaddr_storage;

use super::{SndInfo, SndRcvInfo, kernel_structs};

kernel_structs! {
    /// SCTP_ASSOC_CHANGE; information (an ABORT's causes, or the peer's abilities) follows.
    AssocChange = "struct sctp_assoc_change", size 20, repr(C) {
        0 type_: u16 = "sac_type", 2 flags: u16 = "sac_flags", 4 length: u32 = "sac_length",
        8 state: u16 = "sac_state", 10 error: u16 = "sac_error",
        12 outbound_streams: u16 = "sac_outbound_streams", 14 inbound_streams: u16 = "sac_inbound_streams",
        16 assoc_id: i32 = "sac_assoc_id",
    }
    /// SCTP_PEER_ADDR_CHANGE.
    PeerAddrChange = "struct sctp_paddr_change", size 148, repr(C, packed(4)) {
        0 type_: u16 = "spc_type", 2 flags: u16 = "spc_flags", 4 length: u32 = "spc_length",
        8 aaddr: sockaddr_storage = "spc_aaddr", 136 state: i32 = "spc_state", 140 error: i32 = "spc_error",
        144 assoc_id: i32 = "spc_assoc_id",
    }
    /// SCTP_SEND_FAILED; the message follows.
    SendFailed = "struct sctp_send_failed", size 48, repr(C) {
        0 type_: u16 = "ssf_type", 2 flags: u16 = "ssf_flags", 4 length: u32 = "ssf_length",
        8 error: u32 = "ssf_error", 12 info: SndRcvInfo = "ssf_info", 44 assoc_id: i32 = "ssf_assoc_id",
    }
    /// SCTP_SEND_FAILED_EVENT; the message follows.
    SendFailedEvent = "struct sctp_send_failed_event", size 32, repr(C) {
        0 type_: u16 = "ssf_type", 2 flags: u16 = "ssf_flags", 4 length: u32 = "ssf_length",
        8 error: u32 = "ssf_error", 12 info: SndInfo = "ssfe_info", 28 assoc_id: i32 = "ssf_assoc_id",
    }
    /// SCTP_REMOTE_ERROR; the cause as received follows. The error code is in network order.
    RemoteError = "struct sctp_remote_error", size 16, repr(C) {
        0 type_: u16 = "sre_type", 2 flags: u16 = "sre_flags", 4 length: u32 = "sre_length",
        8 error: u16 = "sre_error", 12 assoc_id: i32 = "sre_assoc_id",
    }
    /// SCTP_SHUTDOWN_EVENT.
    Shutdown = "struct sctp_shutdown_event", size 12, repr(C) {
        0 type_: u16 = "sse_type", 2 flags: u16 = "sse_flags", 4 length: u32 = "sse_length",
        8 assoc_id: i32 = "sse_assoc_id",
    }
    /// SCTP_PARTIAL_DELIVERY_EVENT.
    PartialDelivery = "struct sctp_pdapi_event", size 24, repr(C) {
        0 type_: u16 = "pdapi_type", 2 flags: u16 = "pdapi_flags", 4 length: u32 = "pdapi_length",
        8 indication: u32 = "pdapi_indication", 12 assoc_id: i32 = "pdapi_assoc_id",
        16 stream: u32 = "pdapi_stream", 20 seq: u32 = "pdapi_seq",
    }
    /// SCTP_ADAPTATION_INDICATION.
    Adaptation = "struct sctp_adaptation_event", size 16, repr(C) {
        0 type_: u16 = "sai_type", 2 flags: u16 = "sai_flags", 4 length: u32 = "sai_length",
        8 indication: u32 = "sai_adaptation_ind", 12 assoc_id: i32 = "sai_assoc_id",
    }
    /// SCTP_AUTHENTICATION_EVENT.
    Authentication = "struct sctp_authkey_event", size 20, repr(C) {
        0 type_: u16 = "auth_type", 2 flags: u16 = "auth_flags", 4 length: u32 = "auth_length",
        8 keynumber: u16 = "auth_keynumber", 10 altkeynumber: u16 = "auth_altkeynumber",
        12 indication: u32 = "auth_indication", 16 assoc_id: i32 = "auth_assoc_id",
    }
    /// SCTP_SENDER_DRY_EVENT.
    SenderDry = "struct sctp_sender_dry_event", size 12, repr(C) {
        0 type_: u16 = "sender_dry_type", 2 flags: u16 = "sender_dry_flags", 4 length: u32 = "sender_dry_length",
        8 assoc_id: i32 = "sender_dry_assoc_id",
    }
    /// SCTP_STREAM_RESET_EVENT (RFC 6525, 6.1.1); the stream numbers follow.
    StreamReset = "struct sctp_stream_reset_event", size 12, repr(C) {
        0 type_: u16 = "strreset_type", 2 flags: u16 = "strreset_flags", 4 length: u32 = "strreset_length",
        8 assoc_id: i32 = "strreset_assoc_id",
    }
    /// SCTP_ASSOC_RESET_EVENT (RFC 6525, 6.1.2).
    AssocReset = "struct sctp_assoc_reset_event", size 20, repr(C) {
        0 type_: u16 = "assocreset_type", 2 flags: u16 = "assocreset_flags", 4 length: u32 = "assocreset_length",
        8 assoc_id: i32 = "assocreset_assoc_id", 12 local_tsn: u32 = "assocreset_local_tsn",
        16 remote_tsn: u32 = "assocreset_remote_tsn",
    }
    /// SCTP_STREAM_CHANGE_EVENT (RFC 6525, 6.1.3).
    StreamChange = "struct sctp_stream_change_event", size 16, repr(C) {
        0 type_: u16 = "strchange_type", 2 flags: u16 = "strchange_flags", 4 length: u32 = "strchange_length",
        8 assoc_id: i32 = "strchange_assoc_id", 12 instrms: u16 = "strchange_instrms",
        14 outstrms: u16 = "strchange_outstrms",
    }
}
