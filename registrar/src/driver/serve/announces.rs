//! What comes from multicast groups, for the machines; and what they announce there.

use asap_client::wire::{Transport, TransportUse};
use sctp_sys::sockopt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use super::super::multicast::Datagram;
use super::{Role, Service, confined};
use crate::enrp;
use crate::machine::Input;

/// The most addresses of one port that are announced.
const ADDRESSES: usize = 16;

impl Service {
    pub(super) fn announced(&mut self, datagram: Datagram) {
        let Datagram { role, from, bytes } = datagram;
        let now = Instant::now();
        match role {
            Role::Asap => self.announcer.heard(now, &bytes),
            Role::Enrp => self.registrar.handle(now, Input::Enrp(enrp::Input::Announcement { from, bytes })),
        }
    }

    /// When [`Self::announce`] is due, if ever.
    pub(super) fn next_announcement(&self) -> Option<Instant> {
        self.announcements.has(Role::Asap).then(|| self.announcer.poll_timeout())
    }

    /// Tells elements and users where they are served; not before there is something to serve.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.next_announcement().is_some_and(|at| at <= now) {
            let bytes = self.announcer.announcement(now, self.served_at()).into();
            if self.registrar.enrp().is_ready() {
                self.announcements.send(Role::Asap, &bytes);
            }
        }
    }

    /// The transports of ASAP at the moment.
    fn served_at(&self) -> Vec<Transport> {
        let specific = self.tcp_listening.iter().filter(|own| !own.ip().is_unspecified());
        let mut tcp: Vec<_> =
            specific.map(|own| Transport::Tcp { port: own.port(), address: own.ip() }).collect();
        let mut sctp: Vec<Transport> = Vec::new();
        for (index, _) in self.sockets.iter().enumerate().filter(|(_, (role, _))| *role == Role::Asap) {
            let mut addresses = self.usable(index);
            addresses.truncate(ADDRESSES);
            let Some(port) = addresses.first().map(SocketAddr::port) else { continue };
            let addresses: Vec<_> = addresses.iter().map(|address| address.ip().to_canonical()).collect();
            // Of a TCP wildcard, the addresses of the host, as SCTP has them.
            for own in self.tcp_listening.iter().filter(|own| own.ip().is_unspecified()) {
                let here = addresses.iter().copied().filter(|ip| own.is_ipv4() == ip.is_ipv4());
                let transports = here.map(|address| Transport::Tcp { port: own.port(), address });
                tcp.extend(transports.filter(|transport| !tcp.contains(transport)).collect::<Vec<_>>());
            }
            sctp.push(Transport::Sctp { port, use_: TransportUse::DataOnly, addresses: addresses.into() });
        }
        tcp.truncate(ADDRESSES);
        tcp.extend(sctp);
        tcp
    }

    /// The addresses of a socket that others can use: of a wildcard, those of this host.
    pub(super) fn usable(&self, socket: usize) -> Vec<SocketAddr> {
        let socket = self.sockets.get(socket);
        let Some(mut addresses) = socket.and_then(|(_, socket)| sockopt::local_addrs(socket.as_fd(), 0).ok())
        else {
            return Vec::new();
        };
        if addresses.iter().any(|address| !confined(address.ip())) {
            addresses.retain(|address| !confined(address.ip()));
        }
        addresses
    }
}
