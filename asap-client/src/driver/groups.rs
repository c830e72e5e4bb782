//! Hearing SERVER_ANNOUNCEs (RFC 5352 §3.6).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Over;
use crate::wire::{Message, PORT, Transport, decode};

/// The longest datagram that is understood: more than a link carries whole.
const LONGEST: usize = 2048;

/// After a socket could not be read.
const PAUSE: Duration = Duration::from_millis(100);

/// The groups of RFC 5352 §8.4 (IPv6 with the scope of a site), and rsplib's, each with ASAP's port.
pub fn known() -> Vec<SocketAddr> {
    vec![
        ([224, 0, 1, 185], PORT).into(),
        ([0xff05, 0, 0, 0, 0, 0, 0, 0x133], PORT).into(),
        ([239, 0, 0, 50], PORT).into(),
    ]
}

/// A registrar, and where it serves.
pub(super) type Heard = (u32, Vec<SocketAddr>);

/// Listens to groups until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Listening {
    _readers: JoinSet<()>,
}

impl Listening {
    /// Joins these groups on the networks of these addresses, as far as can be; what is heard goes to `sink`.
    pub(super) fn start(
        groups: &[SocketAddr],
        local: &[IpAddr],
        over: Over,
        sink: &mpsc::Sender<Heard>,
    ) -> Self {
        let mut readers = JoinSet::new();
        for group in groups {
            let own: Vec<_> = local.iter().filter(|own| own.is_ipv4() == group.is_ipv4()).collect();
            if own.is_empty() {
                continue;
            }
            match member(*group, &own) {
                Ok(socket) => drop(readers.spawn(read(socket, *group, over, sink.clone()))),
                Err(error) => tracing::debug!(%group, %error, "cannot be joined"),
            }
        }
        Self { _readers: readers }
    }
}

fn member(group: SocketAddr, own: &[&IpAddr]) -> io::Result<UdpSocket> {
    let family = if group.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd: OwnedFd = socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    bind(&fd, &group)?;
    match group.ip() {
        IpAddr::V4(group) => {
            let join = |own: &Ipv4Addr| sockopt::set_ip_add_membership(&fd, &group, own);
            let joined = own.iter().map(|own| match own {
                IpAddr::V4(own) => join(own),
                IpAddr::V6(_) => Ok(()),
            });
            // Two addresses may be of one network, and one may have gone meanwhile.
            let results: Vec<_> = joined.collect();
            if results.iter().all(Result::is_err)
                && let Some(Err(error)) = results.first()
            {
                return Err((*error).into());
            }
        }
        // By the route.
        IpAddr::V6(group) => sockopt::set_ipv6_add_membership(&fd, &group, 0)?,
    }
    UdpSocket::from_std(fd.into())
}

async fn read(socket: UdpSocket, group: SocketAddr, over: Over, sink: mpsc::Sender<Heard>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                if let Some(heard) = announced(&buffer[..length], from, group, over)
                    && sink.send(heard).await.is_err()
                {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a group could not be read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whom a datagram announces, and where it serves. Without transports it does over SCTP at the address that the
/// datagram came from: at ASAP's port in the RFC's groups, in others, as rsplib has it, at the port it came from.
fn announced(bytes: &[u8], from: SocketAddr, group: SocketAddr, over: Over) -> Option<Heard> {
    let Message::ServerAnnounce { server, transports } = decode(bytes).ok()?.message else { return None };
    let addresses = match over {
        Over::Sctp if transports.is_empty() => {
            let is_the_rfcs = match group.ip() {
                IpAddr::V4(v4) => v4.octets() == [224, 0, 1, 185],
                IpAddr::V6(v6) => {
                    v6.segments()[0] & 0xfff0 == 0xff00 && v6.segments()[1..] == [0, 0, 0, 0, 0, 0, 0x133]
                }
            };
            vec![SocketAddr::new(from.ip(), if is_the_rfcs { PORT } else { from.port() })]
        }
        Over::Sctp => {
            let sctp = transports.iter().find(|transport| matches!(transport, Transport::Sctp { .. }))?;
            let port = sctp.port()?;
            sctp.addresses().iter().map(|address| SocketAddr::new(address.to_canonical(), port)).collect()
        }
        Over::Tcp => transports
            .iter()
            .filter_map(|transport| match transport {
                Transport::Tcp { port, address } => Some(SocketAddr::new(address.to_canonical(), *port)),
                _ => None,
            })
            .collect(),
    };
    Some((server, addresses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TransportUse;

    #[test]
    fn an_announcement_without_transports_is_read_as_its_group_has_it() {
        let bytes = Message::ServerAnnounce { server: 7, transports: Vec::new() }.encode();
        let from: SocketAddr = "10.9.0.1:5000".parse().unwrap();
        let heard: Vec<_> =
            known().iter().map(|group| announced(&bytes, from, *group, Over::Sctp).unwrap().1).collect();
        let (asap, source) = (vec!["10.9.0.1:3863".parse().unwrap()], vec![from]);
        assert_eq!(heard, [asap.clone(), asap, source]);
        assert_eq!(announced(&bytes, from, known()[0], Over::Tcp), Some((7, Vec::new())), "it has no TCP");
        assert_eq!(announced(&[0x0a, 0, 0, 4], from, known()[0], Over::Sctp), None);
    }

    #[test]
    fn of_the_transports_those_are_taken_that_can_be_used() {
        let addresses: Vec<IpAddr> = vec!["10.9.0.1".parse().unwrap(), "fd09::1".parse().unwrap()];
        let sctp =
            Transport::Sctp { port: 3863, use_: TransportUse::DataOnly, addresses: addresses.clone().into() };
        let tcp = |address| Transport::Tcp { port: 3864, address };
        let transports = vec![tcp(addresses[0]), tcp(addresses[1]), sctp];
        let bytes = Message::ServerAnnounce { server: 7, transports }.encode();
        let from = "10.9.0.9:5000".parse().unwrap();
        let at = |port| addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        assert_eq!(announced(&bytes, from, known()[0], Over::Sctp), Some((7, at(3863))));
        assert_eq!(announced(&bytes, from, known()[0], Over::Tcp), Some((7, at(3864))));
    }
}
