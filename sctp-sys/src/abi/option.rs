//! Structures of socket options and ancillary data (RFC 6458, 5 and 8), and of sock_diag.

use libc::sockaddr_storage;

use super::kernel_structs;

kernel_structs! {
    /// SCTP_RTOINFO.
    RtoInfo = "struct sctp_rtoinfo", size 16, repr(C) {
        0 assoc_id: i32 = "srto_assoc_id", 4 initial: u32 = "srto_initial", 8 max: u32 = "srto_max",
        12 min: u32 = "srto_min",
    }
    /// SCTP_ASSOCINFO.
    AssocParams = "struct sctp_assocparams", size 20, repr(C) {
        0 assoc_id: i32 = "sasoc_assoc_id", 4 asocmaxrxt: u16 = "sasoc_asocmaxrxt",
        6 number_peer_destinations: u16 = "sasoc_number_peer_destinations",
        8 peer_rwnd: u32 = "sasoc_peer_rwnd", 12 local_rwnd: u32 = "sasoc_local_rwnd",
        16 cookie_life: u32 = "sasoc_cookie_life",
    }
    /// SCTP_INITMSG.
    InitMsg = "struct sctp_initmsg", size 8, repr(C) {
        0 num_ostreams: u16 = "sinit_num_ostreams", 2 max_instreams: u16 = "sinit_max_instreams",
        4 max_attempts: u16 = "sinit_max_attempts", 6 max_init_timeo: u16 = "sinit_max_init_timeo",
    }
    /// SCTP_SET_PEER_PRIMARY_ADDR.
    SetPeerPrimary = "struct sctp_setpeerprim", size 132, repr(C, packed(4)) {
        0 assoc_id: i32 = "sspp_assoc_id", 4 addr: sockaddr_storage = "sspp_addr",
    }
    /// SCTP_PRIMARY_ADDR.
    Primary = "struct sctp_prim", size 132, repr(C, packed(4)) {
        0 assoc_id: i32 = "ssp_assoc_id", 4 addr: sockaddr_storage = "ssp_addr",
    }
    /// SCTP_PEER_ADDR_PARAMS.
    PeerAddrParams = "struct sctp_paddrparams", size 156, repr(C, packed(4)) {
        0 assoc_id: i32 = "spp_assoc_id", 4 address: sockaddr_storage = "spp_address",
        132 hbinterval: u32 = "spp_hbinterval", 136 pathmaxrxt: u16 = "spp_pathmaxrxt",
        138 pathmtu: Unaligned32 = "spp_pathmtu", 142 sackdelay: Unaligned32 = "spp_sackdelay",
        146 flags: Unaligned32 = "spp_flags", 150 ipv6_flowlabel: Unaligned32 = "spp_ipv6_flowlabel",
        154 dscp: u8 = "spp_dscp",
    }
    /// SCTP_GET_PEER_ADDR_INFO.
    PeerAddrInfo = "struct sctp_paddrinfo", size 152, repr(C, packed(4)) {
        0 assoc_id: i32 = "spinfo_assoc_id", 4 address: sockaddr_storage = "spinfo_address",
        132 state: i32 = "spinfo_state", 136 cwnd: u32 = "spinfo_cwnd", 140 srtt: u32 = "spinfo_srtt",
        144 rto: u32 = "spinfo_rto", 148 mtu: u32 = "spinfo_mtu",
    }
    /// SCTP_STATUS.
    Status = "struct sctp_status", size 176, repr(C) {
        0 assoc_id: i32 = "sstat_assoc_id", 4 state: i32 = "sstat_state", 8 rwnd: u32 = "sstat_rwnd",
        12 unackdata: u16 = "sstat_unackdata", 14 penddata: u16 = "sstat_penddata",
        16 instrms: u16 = "sstat_instrms", 18 outstrms: u16 = "sstat_outstrms",
        20 fragmentation_point: u32 = "sstat_fragmentation_point", 24 primary: PeerAddrInfo = "sstat_primary",
    }
    /// SCTP_DELAYED_SACK.
    SackInfo = "struct sctp_sack_info", size 12, repr(C) {
        0 assoc_id: i32 = "sack_assoc_id", 4 delay: u32 = "sack_delay", 8 freq: u32 = "sack_freq",
    }
    /// The options that carry one number per association.
    AssocValue = "struct sctp_assoc_value", size 8, repr(C) {
        0 assoc_id: i32 = "assoc_id", 4 value: u32 = "assoc_value",
    }
    /// SCTP_PEER_AUTH_CHUNKS, SCTP_LOCAL_AUTH_CHUNKS; the chunk types follow.
    AuthChunks = "struct sctp_authchunks", size 8, repr(C) {
        0 assoc_id: i32 = "gauth_assoc_id", 4 number_of_chunks: u32 = "gauth_number_of_chunks",
    }
    /// SCTP_AUTH_CHUNK.
    AuthChunk = "struct sctp_authchunk", size 1, repr(C) { 0 chunk: u8 = "sauth_chunk", }
    /// SCTP_AUTH_ACTIVE_KEY and its like.
    AuthKeyId = "struct sctp_authkeyid", size 8, repr(C) {
        0 assoc_id: i32 = "scact_assoc_id", 4 keynumber: u16 = "scact_keynumber",
    }
    /// SCTP_AUTH_KEY; the key follows.
    AuthKey = "struct sctp_authkey", size 8, repr(C) {
        0 assoc_id: i32 = "sca_assoc_id", 4 keynumber: u16 = "sca_keynumber", 6 keylength: u16 = "sca_keylength",
    }
    /// SCTP_HMAC_IDENT; the identifiers follow.
    HmacAlgo = "struct sctp_hmacalgo", size 4, repr(C) { 0 num_idents: u32 = "shmac_num_idents", }
    /// SCTP_GET_ASSOC_ID_LIST; the identifiers follow.
    AssocIds = "struct sctp_assoc_ids", size 4, repr(C) { 0 number_of_ids: u32 = "gaids_number_of_ids", }
    /// SCTP_GET_PEER_ADDRS, SCTP_GET_LOCAL_ADDRS; the packed addresses follow.
    GetAddrs = "struct sctp_getaddrs", size 8, repr(C) {
        0 assoc_id: i32 = "assoc_id", 4 addr_num: u32 = "addr_num",
    }
    /// SCTP_GET_ASSOC_STATS.
    AssocStats = "struct sctp_assoc_stats", size 256, repr(C) {
        0 assoc_id: i32 = "sas_assoc_id", 8 obs_rto_ipaddr: sockaddr_storage = "sas_obs_rto_ipaddr",
        136 maxrto: u64 = "sas_maxrto", 144 isacks: u64 = "sas_isacks", 152 osacks: u64 = "sas_osacks",
        160 opackets: u64 = "sas_opackets", 168 ipackets: u64 = "sas_ipackets",
        176 rtxchunks: u64 = "sas_rtxchunks", 184 outofseqtsns: u64 = "sas_outofseqtsns",
        192 idupchunks: u64 = "sas_idupchunks", 200 gapcnt: u64 = "sas_gapcnt",
        208 ouodchunks: u64 = "sas_ouodchunks", 216 iuodchunks: u64 = "sas_iuodchunks",
        224 oodchunks: u64 = "sas_oodchunks", 232 iodchunks: u64 = "sas_iodchunks",
        240 octrlchunks: u64 = "sas_octrlchunks", 248 ictrlchunks: u64 = "sas_ictrlchunks",
    }
    /// SCTP_SOCKOPT_PEELOFF.
    PeelOff = "sctp_peeloff_arg_t", size 8, repr(C) { 0 assoc_id: i32 = "associd", 4 sd: i32 = "sd", }
    /// SCTP_SOCKOPT_PEELOFF_FLAGS.
    PeelOffFlags = "sctp_peeloff_flags_arg_t", size 12, repr(C) {
        0 arg: PeelOff = "p_arg", 8 flags: u32 = "flags",
    }
    /// SCTP_PEER_ADDR_THLDS_V2 (RFC 7829, 7.2).
    PeerAddrThresholds = "struct sctp_paddrthlds_v2", size 144, repr(C) {
        0 assoc_id: i32 = "spt_assoc_id", 8 address: sockaddr_storage = "spt_address",
        136 pathmaxrxt: u16 = "spt_pathmaxrxt", 138 pathpfthld: u16 = "spt_pathpfthld",
        140 pathcpthld: u16 = "spt_pathcpthld",
    }
    /// SCTP_REMOTE_UDP_ENCAPS_PORT (RFC 6951, 6.1); the port is in network order.
    UdpEncaps = "struct sctp_udpencaps", size 144, repr(C) {
        0 assoc_id: i32 = "sue_assoc_id", 8 address: sockaddr_storage = "sue_address", 136 port: u16 = "sue_port",
    }
    /// SCTP_EVENT (RFC 6458, 6.2.2).
    Event = "struct sctp_event", size 8, repr(C) {
        0 assoc_id: i32 = "se_assoc_id", 4 type_: u16 = "se_type", 6 on: u8 = "se_on",
    }
    /// Ancillary data for sending (RFC 6458, 5.3.4).
    SndInfo = "struct sctp_sndinfo", size 16, repr(C) {
        0 sid: u16 = "snd_sid", 2 flags: u16 = "snd_flags", 4 ppid: u32 = "snd_ppid",
        8 context: u32 = "snd_context", 12 assoc_id: i32 = "snd_assoc_id",
    }
    /// Ancillary data for partial reliability (RFC 6458, 5.3.7).
    PrInfo = "struct sctp_prinfo", size 8, repr(C) {
        0 policy: u16 = "pr_policy", 4 value: u32 = "pr_value",
    }
    /// SCTP_DEFAULT_PRINFO.
    DefaultPrInfo = "struct sctp_default_prinfo", size 12, repr(C) {
        0 assoc_id: i32 = "pr_assoc_id", 4 value: u32 = "pr_value", 8 policy: u16 = "pr_policy",
    }
    /// SCTP_PR_ASSOC_STATUS, SCTP_PR_STREAM_STATUS.
    PrStatus = "struct sctp_prstatus", size 24, repr(C) {
        0 assoc_id: i32 = "sprstat_assoc_id", 4 sid: u16 = "sprstat_sid", 6 policy: u16 = "sprstat_policy",
        8 abandoned_unsent: u64 = "sprstat_abandoned_unsent", 16 abandoned_sent: u64 = "sprstat_abandoned_sent",
    }
    /// SCTP_STREAM_SCHEDULER_VALUE.
    StreamValue = "struct sctp_stream_value", size 8, repr(C) {
        0 assoc_id: i32 = "assoc_id", 4 stream_id: u16 = "stream_id", 6 stream_value: u16 = "stream_value",
    }
    /// SCTP_RESET_STREAMS; the streams follow.
    ResetStreams = "struct sctp_reset_streams", size 8, repr(C) {
        0 assoc_id: i32 = "srs_assoc_id", 4 flags: u16 = "srs_flags", 6 number_streams: u16 = "srs_number_streams",
    }
    /// SCTP_ADD_STREAMS.
    AddStreams = "struct sctp_add_streams", size 8, repr(C) {
        0 assoc_id: i32 = "sas_assoc_id", 4 instrms: u16 = "sas_instrms", 6 outstrms: u16 = "sas_outstrms",
    }
    /// Ancillary data: the key that a message is sent with (RFC 6458, 5.3.8).
    AuthInfo = "struct sctp_authinfo", size 2, repr(C) { 0 keynumber: u16 = "auth_keynumber", }
    /// Ancillary data of a received message (RFC 6458, 5.3.5).
    RcvInfo = "struct sctp_rcvinfo", size 28, repr(C) {
        0 sid: u16 = "rcv_sid", 2 ssn: u16 = "rcv_ssn", 4 flags: u16 = "rcv_flags", 8 ppid: u32 = "rcv_ppid",
        12 tsn: u32 = "rcv_tsn", 16 cumtsn: u32 = "rcv_cumtsn", 20 context: u32 = "rcv_context",
        24 assoc_id: i32 = "rcv_assoc_id",
    }
    /// The older form of both (RFC 6458, 5.3.2); inside SCTP_SEND_FAILED.
    SndRcvInfo = "struct sctp_sndrcvinfo", size 32, repr(C) {
        0 stream: u16 = "sinfo_stream", 2 ssn: u16 = "sinfo_ssn", 4 flags: u16 = "sinfo_flags",
        8 ppid: u32 = "sinfo_ppid", 12 context: u32 = "sinfo_context", 16 timetolive: u32 = "sinfo_timetolive",
        20 tsn: u32 = "sinfo_tsn", 24 cumtsn: u32 = "sinfo_cumtsn", 28 assoc_id: i32 = "sinfo_assoc_id",
    }
    /// What sock_diag's INET_DIAG_INFO holds for an association.
    Info = "struct sctp_info", size 368, repr(C) {
        0 tag: u32 = "sctpi_tag", 4 state: u32 = "sctpi_state", 8 rwnd: u32 = "sctpi_rwnd",
        12 unackdata: u16 = "sctpi_unackdata", 14 penddata: u16 = "sctpi_penddata",
        16 instrms: u16 = "sctpi_instrms", 18 outstrms: u16 = "sctpi_outstrms",
        20 fragmentation_point: u32 = "sctpi_fragmentation_point", 24 inqueue: u32 = "sctpi_inqueue",
        28 outqueue: u32 = "sctpi_outqueue", 32 overall_error: u32 = "sctpi_overall_error",
        36 max_burst: u32 = "sctpi_max_burst", 40 maxseg: u32 = "sctpi_maxseg",
        44 peer_rwnd: u32 = "sctpi_peer_rwnd", 48 peer_tag: u32 = "sctpi_peer_tag",
        52 peer_capable: u8 = "sctpi_peer_capable", 53 peer_sack: u8 = "sctpi_peer_sack",
        54 reserved1: u16 = "__reserved1",
        56 isacks: u64 = "sctpi_isacks", 64 osacks: u64 = "sctpi_osacks", 72 opackets: u64 = "sctpi_opackets",
        80 ipackets: u64 = "sctpi_ipackets", 88 rtxchunks: u64 = "sctpi_rtxchunks",
        96 outofseqtsns: u64 = "sctpi_outofseqtsns", 104 idupchunks: u64 = "sctpi_idupchunks",
        112 gapcnt: u64 = "sctpi_gapcnt", 120 ouodchunks: u64 = "sctpi_ouodchunks",
        128 iuodchunks: u64 = "sctpi_iuodchunks", 136 oodchunks: u64 = "sctpi_oodchunks",
        144 iodchunks: u64 = "sctpi_iodchunks", 152 octrlchunks: u64 = "sctpi_octrlchunks",
        160 ictrlchunks: u64 = "sctpi_ictrlchunks", 168 p_address: sockaddr_storage = "sctpi_p_address",
        296 p_state: i32 = "sctpi_p_state", 300 p_cwnd: u32 = "sctpi_p_cwnd", 304 p_srtt: u32 = "sctpi_p_srtt",
        308 p_rto: u32 = "sctpi_p_rto", 312 p_hbinterval: u32 = "sctpi_p_hbinterval",
        316 p_pathmaxrxt: u32 = "sctpi_p_pathmaxrxt", 320 p_sackdelay: u32 = "sctpi_p_sackdelay",
        324 p_sackfreq: u32 = "sctpi_p_sackfreq", 328 p_ssthresh: u32 = "sctpi_p_ssthresh",
        332 p_partial_bytes_acked: u32 = "sctpi_p_partial_bytes_acked",
        336 p_flight_size: u32 = "sctpi_p_flight_size", 340 p_error: u16 = "sctpi_p_error",
        342 reserved2: u16 = "__reserved2",
        344 s_autoclose: u32 = "sctpi_s_autoclose", 348 s_adaptation_ind: u32 = "sctpi_s_adaptation_ind",
        352 s_pd_point: u32 = "sctpi_s_pd_point", 356 s_nodelay: u8 = "sctpi_s_nodelay",
        357 s_disable_fragments: u8 = "sctpi_s_disable_fragments", 358 s_v4mapped: u8 = "sctpi_s_v4mapped",
        359 s_frag_interleave: u8 = "sctpi_s_frag_interleave", 360 s_type: u32 = "sctpi_s_type",
        364 reserved3: u32 = "__reserved3",
    }
}

/// A 32-bit number at an even offset that is no multiple of four, in the machine's byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Unaligned32([u8; 4]);

impl Unaligned32 {
    /// Stores a number.
    pub const fn new(value: u32) -> Self {
        Self(value.to_ne_bytes())
    }

    /// The number stored.
    pub const fn get(self) -> u32 {
        u32::from_ne_bytes(self.0)
    }
}

/// SCTP_SOCKOPT_CONNECTX3: holds a pointer, so it is neither plain nor of one size on all machines.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct GetAddrsOld {
    pub(crate) assoc_id: i32,
    /// The length of the packed list in octets (not a count, whatever the C name says).
    pub(crate) addr_num: i32,
    pub(crate) addrs: *const libc::c_void,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<GetAddrsOld>() == 16 && std::mem::offset_of!(GetAddrsOld, addrs) == 8);
