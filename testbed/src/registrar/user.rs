//! Asking a registrar, over an association of one's own.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use asap_client::wire::{self, Message, PoolElement, PoolHandle};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use sctp_sys::{Family, Received, SendInfo, Socket, Style};

use super::stage::{Stage, address};

/// The host that asks.
pub(crate) const USER: u8 = 90;

/// How long an answer may take, on a slow emulated machine.
const ANSWER: Duration = Duration::from_secs(10);

/// Where an element serves.
pub(crate) type Place = (u16, Vec<IpAddr>);

pub(super) fn handle(pool: &str) -> Result<PoolHandle> {
    PoolHandle::new(pool).context("a pool handle")
}

/// Has a socket not wait for ever.
pub(super) fn limit(socket: &Socket, time: Duration) -> io::Result<()> {
    let (seconds, micros) = (time.as_secs().cast_signed(), i64::from(time.subsec_micros()));
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::new(seconds, micros))?;
    setsockopt(socket, sockopt::SendTimeout, &TimeVal::new(seconds, micros))?;
    Ok(())
}

/// The elements of a pool, as the registrar at a host tells them.
///
/// # Errors
/// It cannot be reached, or does not answer.
pub(super) fn resolve(stage: &mut Stage, registrar: u8, pool: &str) -> Result<Vec<PoolElement>> {
    ask(&connect(stage, registrar)?, pool)
}

/// An association with the registrar at a host.
///
/// # Errors
/// It cannot be reached.
pub(super) fn connect(stage: &mut Stage, registrar: u8) -> Result<Socket> {
    stage.add_host(USER)?;
    let remote = SocketAddr::new(address(registrar), wire::PORT);
    let socket = stage.host(USER)?.enter(|| {
        let socket = Socket::new(Style::OneToOne, Family::V4)?;
        limit(&socket, ANSWER)?;
        socket.connect(remote)?;
        Ok(socket)
    })?;
    Ok(socket)
}

/// The elements of a pool, as the registrar at the other end tells them.
///
/// # Errors
/// It does not answer.
pub(super) fn ask(socket: &Socket, pool: &str) -> Result<Vec<PoolElement>> {
    let question = Message::HandleResolution { subscribe: false, handle: handle(pool)?, items: Some(100) };
    socket.send(&SendInfo { ppid: wire::PPID, ..SendInfo::default() }, &question.encode())?;
    let mut bytes = Vec::new();
    loop {
        match socket.recv(&mut bytes)? {
            Some(Received::Message(_)) => {}
            Some(_) => continue,
            None => bail!("the registrar has ended the association"),
        }
        if let Message::HandleResolutionResponse { elements, .. } = wire::decode(&bytes)?.message {
            return Ok(elements);
        }
    }
}

/// The elements of a pool by their identifiers; none where the registrar does not answer.
pub(crate) fn places(stage: &mut Stage, registrar: u8, pool: &str) -> BTreeMap<u32, Place> {
    let elements = resolve(stage, registrar, pool).unwrap_or_default();
    let place =
        |element: &PoolElement| (element.user.port().unwrap_or_default(), element.user.addresses().to_vec());
    elements.iter().map(|element| (element.id, place(element))).collect()
}
