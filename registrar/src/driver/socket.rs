//! The SCTP sockets of the ASAP service, set for mobile peers.

use nix::sys::socket::{setsockopt, sockopt as os};
use nix::sys::time::TimeVal;
use sctp_sys::event::EventType;
use sctp_sys::sockopt::{self, AssocParams, InitMsg, PeerAddrParams, RtoInfo, SackInfo};
use sctp_sys::{FUTURE_ASSOC, Family, Socket, Style};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use super::StartError;
use crate::config::{Config, Sctp};

/// The longest ASAP message with its padding.
const MESSAGE_LIMIT: usize = 65_536;

/// ASAP uses one stream; few from the peer bound what it can leave half sent.
const STREAMS: u16 = 4;

/// What is asked for as the kernel's buffers. All associations share them.
const BUFFER: usize = 8 << 20;

/// Connections that wait to be taken; on one-to-many sockets the kernel only wants it above 0.
const BACKLOG: i32 = 1024;

/// What is acknowledged goes with the answer, which is there in less than this: a packet for each request is saved. What
/// has no answer is acknowledged well before any peer's RTO.Min (200 ms at ours) has passed.
const SACK: SackInfo = SackInfo { delay: 20, frequency: 2 };

/// That all is acknowledged is asked for by need: see [`super::outstanding`].
const EVENTS: [EventType; 4] =
    [EventType::AssocChange, EventType::PeerAddrChange, EventType::Shutdown, EventType::PartialDelivery];

/// How long a message is waited for at most where one is expected at once; the kernel makes it one or two of its ticks.
/// Otherwise the sockets are read and written without waiting.
const MOMENT: TimeVal = TimeVal::new(0, 2_000);

/// What is spoken over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// ASAP, with elements and users.
    Asap,
    /// ENRP, with other registrars.
    Enrp,
}

/// Opens one socket for each port of ASAP, and one for ENRP where that is spoken.
pub(super) fn open(config: &Config) -> Result<Vec<(Role, Socket)>, StartError> {
    let mut by_port: BTreeMap<u16, Vec<SocketAddr>> = BTreeMap::new();
    for address in &config.listen {
        by_port.entry(address.port()).or_default().push(*address);
    }
    let enrp = Some(&config.enrp.listen).filter(|addresses| !addresses.is_empty());
    let all = by_port.into_values().map(|addresses| (Role::Asap, addresses));
    all.chain(enrp.map(|addresses| (Role::Enrp, addresses.clone())))
        .map(|(role, addresses)| Ok((role, open_one(&addresses, &config.sctp)?)))
        .collect()
}

fn open_one(addresses: &[SocketAddr], sctp: &Sctp) -> Result<Socket, StartError> {
    let wildcard = |v6: bool| addresses.iter().find(|a| a.ip().is_unspecified() && a.is_ipv6() == v6);
    let v6 = addresses.iter().any(SocketAddr::is_ipv6);
    let socket = match Socket::new(Style::OneToMany, if v6 { Family::V6 } else { Family::V4 }) {
        // A host without IPv6 serves the wildcard of IPv4 alone.
        Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) && v6 => match wildcard(false) {
            Some(v4) => return open_one(&[*v4], sctp),
            None => return Err(StartError::Socket(error)),
        },
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(nix::libc::EPROTONOSUPPORT | nix::libc::ESOCKTNOSUPPORT)
            ) =>
        {
            return Err(StartError::NoSctp(error));
        }
        other => other.map_err(StartError::Socket)?,
    };
    set(&socket).and_then(|()| set_timers(&socket, sctp)).map_err(StartError::Socket)?;
    let bind = match (wildcard(true), wildcard(false)) {
        // The wildcard of IPv6 takes IPv4 too, unless that was not asked for.
        (Some(any), v4) => {
            let only = v4.is_none();
            sockopt::set_v6_only(socket.as_fd(), only).map_err(StartError::Socket)?;
            vec![*any]
        }
        (None, Some(any)) if v6 => vec![SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), any.port())],
        (None, Some(any)) => vec![*any],
        (None, None) => addresses.to_vec(),
    };
    let failed = |error| StartError::Bind { addresses: bind.clone(), error };
    socket.bind(bind[0]).map_err(failed)?;
    if bind.len() > 1 {
        socket.bindx_add(&bind[1..]).map_err(failed)?;
    }
    socket.listen(BACKLOG).map_err(failed)?;
    Ok(socket)
}

fn set(socket: &Socket) -> io::Result<()> {
    let fd = socket.as_fd();
    setsockopt(socket, os::ReceiveTimeout, &MOMENT)?;
    socket.set_message_limit(MESSAGE_LIMIT);
    // After a stop the port is held until the last peer, perhaps unreachable, has acknowledged. This lets the
    // next start have it; not beside a registrar that listens.
    sockopt::set_reuse_addr(fd, true)?;
    sockopt::set_events(fd, &EVENTS)?;
    sockopt::set_nodelay(fd, true)?;
    sockopt::set_sack_info(fd, FUTURE_ASSOC, SACK)?;
    let init = InitMsg { out_streams: STREAMS, max_in_streams: STREAMS, ..InitMsg::default() };
    sockopt::set_init_msg(fd, init)?;
    // A message that one association leaves half sent must not hold up those of others.
    sockopt::set_fragment_interleave(fd, 1)?;
    set_buffers(socket);
    // Associations of mobile peers move by ASCONF; that has to be on before they are set up.
    if let Err(error) = sockopt::set_auth_supported(fd, FUTURE_ASSOC, true)
        .and_then(|()| sockopt::set_asconf_supported(fd, FUTURE_ASSOC, true))
    {
        tracing::warn!(%error, "associations of peers that change addresses cannot move: Add-IP is not to be had");
    }
    Ok(())
}

/// What the configuration says of SCTP: for all associations that are set up from now on.
pub(super) fn set_timers(socket: &Socket, sctp: &Sctp) -> io::Result<()> {
    let fd = socket.as_fd();
    let rto = RtoInfo { initial: ms(sctp.rto_initial), max: ms(sctp.rto_max), min: ms(sctp.rto_min) };
    sockopt::set_rto_info(fd, FUTURE_ASSOC, rto)?;
    let paths = PeerAddrParams {
        heartbeat_interval: ms(sctp.heartbeat_interval),
        heartbeats: Some(true),
        path_max_retransmissions: sctp.path_max_retransmissions,
        ..PeerAddrParams::default()
    };
    sockopt::set_peer_addr_params(fd, FUTURE_ASSOC, &paths)?;
    let limits =
        AssocParams { max_retransmissions: sctp.association_max_retransmissions, ..AssocParams::default() };
    sockopt::set_assoc_params(fd, FUTURE_ASSOC, limits)
}

/// Large buffers, past the system's bound where that is allowed.
fn set_buffers(socket: &Socket) {
    if setsockopt(socket, os::RcvBufForce, &BUFFER).is_err() {
        let _ = setsockopt(socket, os::RcvBuf, &BUFFER);
    }
    if setsockopt(socket, os::SndBufForce, &BUFFER).is_err() {
        let _ = setsockopt(socket, os::SndBuf, &BUFFER);
    }
}

fn ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
