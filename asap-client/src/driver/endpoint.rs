//! A port of the client, over SCTP or TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};

use sctp_sys::AssocId;

use super::port::{Inbox, Port};
use super::streams::Streams;
use super::{Over, Tuning};
use crate::client::{LinkId, PortId};

#[derive(Debug)]
pub(super) enum Endpoint {
    Sctp(Port),
    Tcp(Streams),
}

impl Endpoint {
    pub(super) fn bind(
        over: Over,
        id: PortId,
        local: &[IpAddr],
        tuning: &Tuning,
        inbox: &Inbox,
    ) -> io::Result<Self> {
        Ok(match over {
            Over::Sctp => Self::Sctp(Port::bind(id, local, tuning, inbox)?),
            Over::Tcp => Self::Tcp(Streams::new(id, local, tuning, inbox)),
        })
    }

    pub(super) fn open(&mut self, link: LinkId, remote: &[SocketAddr]) -> io::Result<AssocId> {
        match self {
            Self::Sctp(port) => port.open(link, remote),
            Self::Tcp(streams) => Ok(streams.open(link, remote)),
        }
    }

    pub(super) fn send(&self, assoc: AssocId, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Sctp(port) => port.send(assoc, bytes),
            Self::Tcp(streams) => streams.send(assoc, bytes),
        }
    }

    /// Begins to move an association to these addresses; whether that can be done.
    pub(super) fn carry(&self, assoc: AssocId, local: &[IpAddr]) -> io::Result<bool> {
        match self {
            Self::Sctp(port) => port.carry(assoc, local),
            Self::Tcp(_) => Ok(false),
        }
    }

    pub(super) fn close(&mut self, assoc: AssocId) {
        match self {
            Self::Sctp(port) => port.close(assoc),
            Self::Tcp(streams) => streams.close(assoc),
        }
    }

    pub(super) fn link(&self, assoc: AssocId) -> Option<LinkId> {
        match self {
            Self::Sctp(port) => port.link(assoc),
            Self::Tcp(streams) => streams.link(assoc),
        }
    }

    pub(super) fn forget(&mut self, assoc: AssocId) {
        match self {
            Self::Sctp(port) => drop(port.forget(assoc)),
            Self::Tcp(streams) => streams.close(assoc),
        }
    }

    pub(super) fn adopt(&mut self, assoc: AssocId, link: LinkId) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Sctp(port) => port.adopt(assoc, link),
            // Nobody connects to us over TCP.
            Self::Tcp(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// All links, which are lost with it.
    pub(super) fn into_links(self) -> Vec<LinkId> {
        match self {
            Self::Sctp(port) => port.into_links(),
            Self::Tcp(streams) => streams.links(),
        }
    }
}
