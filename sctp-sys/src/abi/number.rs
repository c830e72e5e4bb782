//! The numbers of `<linux/sctp.h>`.

macro_rules! numbers {
    ($( $(#[$doc:meta])* $name:ident = $value:expr; )*) => {
        $( $(#[$doc])* pub const $name: i32 = $value; )*
        /// All of them by their C names.
        pub const NUMBERS: &[(&str, i32)] = &[ $( (stringify!($name), $value), )* ];
    };
}

/// The protocol and the level of its options.
pub const IPPROTO_SCTP: i32 = 132;

numbers! {
    // Socket options of level 132.
    /// Socket option RTOINFO.
    SCTP_RTOINFO = 0;
    /// Socket option ASSOCINFO.
    SCTP_ASSOCINFO = 1;
    /// Socket option INITMSG.
    SCTP_INITMSG = 2;
    /// Socket option NODELAY.
    SCTP_NODELAY = 3;
    /// Socket option AUTOCLOSE.
    SCTP_AUTOCLOSE = 4;
    /// Socket option SET_PEER_PRIMARY_ADDR.
    SCTP_SET_PEER_PRIMARY_ADDR = 5;
    /// Socket option PRIMARY_ADDR.
    SCTP_PRIMARY_ADDR = 6;
    /// Socket option ADAPTATION_LAYER.
    SCTP_ADAPTATION_LAYER = 7;
    /// Socket option DISABLE_FRAGMENTS.
    SCTP_DISABLE_FRAGMENTS = 8;
    /// Socket option PEER_ADDR_PARAMS.
    SCTP_PEER_ADDR_PARAMS = 9;
    /// Socket option EVENTS.
    SCTP_EVENTS = 11;
    /// Socket option I_WANT_MAPPED_V4_ADDR.
    SCTP_I_WANT_MAPPED_V4_ADDR = 12;
    /// Socket option MAXSEG.
    SCTP_MAXSEG = 13;
    /// Socket option STATUS.
    SCTP_STATUS = 14;
    /// Socket option GET_PEER_ADDR_INFO.
    SCTP_GET_PEER_ADDR_INFO = 15;
    /// Socket option DELAYED_SACK.
    SCTP_DELAYED_SACK = 16;
    /// Socket option CONTEXT.
    SCTP_CONTEXT = 17;
    /// Socket option FRAGMENT_INTERLEAVE.
    SCTP_FRAGMENT_INTERLEAVE = 18;
    /// Socket option PARTIAL_DELIVERY_POINT.
    SCTP_PARTIAL_DELIVERY_POINT = 19;
    /// Socket option MAX_BURST.
    SCTP_MAX_BURST = 20;
    /// Socket option AUTH_CHUNK.
    SCTP_AUTH_CHUNK = 21;
    /// Socket option HMAC_IDENT.
    SCTP_HMAC_IDENT = 22;
    /// Socket option AUTH_KEY.
    SCTP_AUTH_KEY = 23;
    /// Socket option AUTH_ACTIVE_KEY.
    SCTP_AUTH_ACTIVE_KEY = 24;
    /// Socket option AUTH_DELETE_KEY.
    SCTP_AUTH_DELETE_KEY = 25;
    /// Socket option PEER_AUTH_CHUNKS.
    SCTP_PEER_AUTH_CHUNKS = 26;
    /// Socket option LOCAL_AUTH_CHUNKS.
    SCTP_LOCAL_AUTH_CHUNKS = 27;
    /// Socket option GET_ASSOC_NUMBER.
    SCTP_GET_ASSOC_NUMBER = 28;
    /// Socket option GET_ASSOC_ID_LIST.
    SCTP_GET_ASSOC_ID_LIST = 29;
    /// Socket option AUTO_ASCONF.
    SCTP_AUTO_ASCONF = 30;
    /// Socket option RECVRCVINFO.
    SCTP_RECVRCVINFO = 32;
    /// Socket option RECVNXTINFO.
    SCTP_RECVNXTINFO = 33;
    /// Socket option DEFAULT_SNDINFO.
    SCTP_DEFAULT_SNDINFO = 34;
    /// Socket option AUTH_DEACTIVATE_KEY.
    SCTP_AUTH_DEACTIVATE_KEY = 35;
    /// Socket option REUSE_PORT.
    SCTP_REUSE_PORT = 36;
    /// Socket option PEER_ADDR_THLDS_V2.
    SCTP_PEER_ADDR_THLDS_V2 = 37;
    /// Socket option BINDX_ADD.
    SCTP_SOCKOPT_BINDX_ADD = 100;
    /// Socket option BINDX_REM.
    SCTP_SOCKOPT_BINDX_REM = 101;
    /// Socket option PEELOFF.
    SCTP_SOCKOPT_PEELOFF = 102;
    /// Socket option GET_PEER_ADDRS.
    SCTP_GET_PEER_ADDRS = 108;
    /// Socket option GET_LOCAL_ADDRS.
    SCTP_GET_LOCAL_ADDRS = 109;
    /// Socket option CONNECTX.
    SCTP_SOCKOPT_CONNECTX = 110;
    /// Socket option CONNECTX3.
    SCTP_SOCKOPT_CONNECTX3 = 111;
    /// Socket option GET_ASSOC_STATS.
    SCTP_GET_ASSOC_STATS = 112;
    /// Socket option PR_SUPPORTED.
    SCTP_PR_SUPPORTED = 113;
    /// Socket option DEFAULT_PRINFO.
    SCTP_DEFAULT_PRINFO = 114;
    /// Socket option PR_ASSOC_STATUS.
    SCTP_PR_ASSOC_STATUS = 115;
    /// Socket option PR_STREAM_STATUS.
    SCTP_PR_STREAM_STATUS = 116;
    /// Socket option RECONFIG_SUPPORTED.
    SCTP_RECONFIG_SUPPORTED = 117;
    /// Socket option ENABLE_STREAM_RESET.
    SCTP_ENABLE_STREAM_RESET = 118;
    /// Socket option RESET_STREAMS.
    SCTP_RESET_STREAMS = 119;
    /// Socket option ADD_STREAMS.
    SCTP_ADD_STREAMS = 121;
    /// Socket option PEELOFF_FLAGS.
    SCTP_SOCKOPT_PEELOFF_FLAGS = 122;
    /// Socket option STREAM_SCHEDULER.
    SCTP_STREAM_SCHEDULER = 123;
    /// Socket option STREAM_SCHEDULER_VALUE.
    SCTP_STREAM_SCHEDULER_VALUE = 124;
    /// Socket option INTERLEAVING_SUPPORTED.
    SCTP_INTERLEAVING_SUPPORTED = 125;
    /// Socket option EVENT.
    SCTP_EVENT = 127;
    /// Socket option ASCONF_SUPPORTED.
    SCTP_ASCONF_SUPPORTED = 128;
    /// Socket option AUTH_SUPPORTED.
    SCTP_AUTH_SUPPORTED = 129;
    /// Socket option EXPOSE_POTENTIALLY_FAILED_STATE.
    SCTP_EXPOSE_POTENTIALLY_FAILED_STATE = 131;
    /// Socket option REMOTE_UDP_ENCAPS_PORT.
    SCTP_REMOTE_UDP_ENCAPS_PORT = 132;
    // Types of ancillary data.
    /// Ancillary data INIT.
    SCTP_INIT = 0;
    /// Ancillary data SNDRCV.
    SCTP_SNDRCV = 1;
    /// Ancillary data SNDINFO.
    SCTP_SNDINFO = 2;
    /// Ancillary data RCVINFO.
    SCTP_RCVINFO = 3;
    /// Ancillary data NXTINFO.
    SCTP_NXTINFO = 4;
    /// Ancillary data PRINFO.
    SCTP_PRINFO = 5;
    /// Ancillary data AUTHINFO.
    SCTP_AUTHINFO = 6;
    /// Ancillary data DSTADDRV4.
    SCTP_DSTADDRV4 = 7;
    /// Ancillary data DSTADDRV6.
    SCTP_DSTADDRV6 = 8;
    // Types of notifications.
    /// Notification DATA_IO_EVENT.
    SCTP_DATA_IO_EVENT = 0x8000;
    /// Notification ASSOC_CHANGE.
    SCTP_ASSOC_CHANGE = 0x8001;
    /// Notification PEER_ADDR_CHANGE.
    SCTP_PEER_ADDR_CHANGE = 0x8002;
    /// Notification SEND_FAILED.
    SCTP_SEND_FAILED = 0x8003;
    /// Notification REMOTE_ERROR.
    SCTP_REMOTE_ERROR = 0x8004;
    /// Notification SHUTDOWN_EVENT.
    SCTP_SHUTDOWN_EVENT = 0x8005;
    /// Notification PARTIAL_DELIVERY_EVENT.
    SCTP_PARTIAL_DELIVERY_EVENT = 0x8006;
    /// Notification ADAPTATION_INDICATION.
    SCTP_ADAPTATION_INDICATION = 0x8007;
    /// Notification AUTHENTICATION_EVENT.
    SCTP_AUTHENTICATION_EVENT = 0x8008;
    /// Notification SENDER_DRY_EVENT.
    SCTP_SENDER_DRY_EVENT = 0x8009;
    /// Notification STREAM_RESET_EVENT.
    SCTP_STREAM_RESET_EVENT = 0x800a;
    /// Notification ASSOC_RESET_EVENT.
    SCTP_ASSOC_RESET_EVENT = 0x800b;
    /// Notification STREAM_CHANGE_EVENT.
    SCTP_STREAM_CHANGE_EVENT = 0x800c;
    /// Notification SEND_FAILED_EVENT.
    SCTP_SEND_FAILED_EVENT = 0x800d;
    // Flags of a message sent or received.
    /// Message flag UNORDERED.
    SCTP_UNORDERED = 1;
    /// Message flag ADDR_OVER.
    SCTP_ADDR_OVER = 2;
    /// Message flag ABORT.
    SCTP_ABORT = 4;
    /// Message flag SACK_IMMEDIATELY.
    SCTP_SACK_IMMEDIATELY = 8;
    /// Message flag SENDALL.
    SCTP_SENDALL = 64;
    /// Message flag EOF.
    SCTP_EOF = 512;
    /// Message flag PR_SCTP_NONE.
    SCTP_PR_SCTP_NONE = 0;
    /// Message flag PR_SCTP_TTL.
    SCTP_PR_SCTP_TTL = 16;
    /// Message flag PR_SCTP_RTX.
    SCTP_PR_SCTP_RTX = 32;
    /// Message flag PR_SCTP_PRIO.
    SCTP_PR_SCTP_PRIO = 48;
    // Algorithms of AUTH.
    /// Algorithm HMAC-SHA-1.
    SCTP_AUTH_HMAC_ID_SHA1 = 1;
    /// Algorithm HMAC-SHA-256.
    SCTP_AUTH_HMAC_ID_SHA256 = 3;
    // What may be changed in an association.
    /// Streams may be reset.
    SCTP_ENABLE_RESET_STREAM_REQ = 1;
    /// The association may be reset.
    SCTP_ENABLE_RESET_ASSOC_REQ = 2;
    /// Streams may be added.
    SCTP_ENABLE_CHANGE_ASSOC_REQ = 4;
    /// Reset of streams from the peer.
    SCTP_STREAM_RESET_INCOMING = 1;
    /// Reset of streams to the peer.
    SCTP_STREAM_RESET_OUTGOING = 2;
    // Kinds of association changes.
    /// Association change COMM_UP.
    SCTP_COMM_UP = 0;
    /// Association change COMM_LOST.
    SCTP_COMM_LOST = 1;
    /// Association change RESTART.
    SCTP_RESTART = 2;
    /// Association change SHUTDOWN_COMP.
    SCTP_SHUTDOWN_COMP = 3;
    /// Association change CANT_STR_ASSOC.
    SCTP_CANT_STR_ASSOC = 4;
    // Kinds of changes of a peer's address.
    /// Change of a peer's address ADDR_AVAILABLE.
    SCTP_ADDR_AVAILABLE = 0;
    /// Change of a peer's address ADDR_UNREACHABLE.
    SCTP_ADDR_UNREACHABLE = 1;
    /// Change of a peer's address ADDR_REMOVED.
    SCTP_ADDR_REMOVED = 2;
    /// Change of a peer's address ADDR_ADDED.
    SCTP_ADDR_ADDED = 3;
    /// Change of a peer's address ADDR_MADE_PRIM.
    SCTP_ADDR_MADE_PRIM = 4;
    /// Change of a peer's address ADDR_CONFIRMED.
    SCTP_ADDR_CONFIRMED = 5;
    /// Change of a peer's address ADDR_POTENTIALLY_FAILED.
    SCTP_ADDR_POTENTIALLY_FAILED = 6;
    // States of a path.
    /// Path state INACTIVE.
    SCTP_INACTIVE = 0;
    /// Path state PF.
    SCTP_PF = 1;
    /// Path state ACTIVE.
    SCTP_ACTIVE = 2;
    /// Path state UNCONFIRMED.
    SCTP_UNCONFIRMED = 3;
    /// Path state UNKNOWN.
    SCTP_UNKNOWN = 0xffff;
    // Flags of SCTP_PEER_ADDR_PARAMS.
    /// Path parameter flag HB_ENABLE.
    SPP_HB_ENABLE = 1;
    /// Path parameter flag HB_DISABLE.
    SPP_HB_DISABLE = 2;
    /// Path parameter flag HB_DEMAND.
    SPP_HB_DEMAND = 4;
    /// Path parameter flag PMTUD_ENABLE.
    SPP_PMTUD_ENABLE = 8;
    /// Path parameter flag PMTUD_DISABLE.
    SPP_PMTUD_DISABLE = 16;
    /// Path parameter flag SACKDELAY_ENABLE.
    SPP_SACKDELAY_ENABLE = 32;
    /// Path parameter flag SACKDELAY_DISABLE.
    SPP_SACKDELAY_DISABLE = 64;
    /// Path parameter flag HB_TIME_IS_ZERO.
    SPP_HB_TIME_IS_ZERO = 128;
    /// In the flags of `recvmsg`: what was read is a notification.
    MSG_NOTIFICATION = 0x8000;
}
