//! The groups of ASAP and ENRP: what is announced there, and what comes from there.
//!
//! Datagrams are sent from the port where the protocol is served, since rsplib takes that for the port to connect to.
//! What comes is read only so fast: anybody can send to a group.

use bytes::Bytes;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::StartError;
use super::socket::Role;
use crate::config::{Config, Multicast};

/// Datagrams that were read and not yet handled.
const AHEAD: usize = 16;

/// The longest datagram that is understood: more than a link carries whole.
const LONGEST: usize = 2048;

/// So many datagrams of a group are handled in a period; what comes beyond is dropped.
const MOST: u32 = 200;
const PERIOD: Duration = Duration::from_secs(1);

/// After a socket could not be read.
const PAUSE: Duration = Duration::from_millis(100);

/// A datagram from a group.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) role: Role,
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
struct Sender {
    role: Role,
    group: SocketAddr,
    /// It does not block.
    socket: std::net::UdpSocket,
    /// It could not be sent to the last time: that is told once.
    fails: bool,
}

/// The sockets, not yet read.
#[derive(Debug, Default)]
pub(super) struct Groups {
    senders: Vec<Sender>,
    members: Vec<(Role, UdpSocket)>,
}

/// An interface, 0 for the one of the route, and the address to send from there.
type Place = (u32, IpAddr);

impl Groups {
    /// Joins every group that is configured. One that cannot be joined is told of; so a host without IPv6 needs no
    /// other configuration.
    ///
    /// # Errors
    /// No group of a protocol can be joined.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let Multicast { asap, enrp, asap_groups, enrp_groups, .. } = &config.multicast;
        let mut groups = Self::default();
        let wanted = [(*asap, Role::Asap, asap_groups), (*enrp, Role::Enrp, enrp_groups)];
        for (_, role, wanted) in wanted.into_iter().filter(|(on, ..)| *on) {
            let mut failed = None;
            for group in wanted {
                if let Err(error) = groups.join(config, role, *group) {
                    failed = Some((*group, error));
                }
            }
            let joined = groups.members.iter().any(|(of, _)| *of == role);
            match failed {
                Some((group, error)) if !joined => return Err(StartError::Multicast { group, error }),
                Some((group, error)) => tracing::warn!(%group, %error, "cannot be announced to"),
                None => {}
            }
        }
        Ok(groups)
    }

    fn join(&mut self, config: &Config, role: Role, group: SocketAddr) -> io::Result<()> {
        let listen = match role {
            Role::Asap => &config.listen,
            Role::Enrp => &config.enrp.listen,
        };
        // A group of a family in which nothing is served would lead nowhere.
        let own: Vec<_> = listen.iter().filter(|own| own.is_ipv4() == group.is_ipv4()).collect();
        let Some(port) = own.first().map(|own| own.port()) else { return Ok(()) };
        let own: Vec<IpAddr> = own.iter().filter(|own| own.port() == port).map(|own| own.ip()).collect();
        let places = places(&config.multicast.interfaces, &own)?;
        let member = member(group, &places)?;
        for (interface, source) in places {
            let socket = sender(SocketAddr::new(source, port), interface, config.multicast.ttl)?;
            self.senders.push(Sender { role, group, socket, fails: false });
        }
        self.members.push((role, member));
        Ok(())
    }
}

/// Where to be a member, and to send from.
fn places(interfaces: &[String], own: &[IpAddr]) -> io::Result<Vec<Place>> {
    let found: Vec<(String, IpAddr)> = getifaddrs()?
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let ip = v4.or_else(|| Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())))?;
            Some((interface.interface_name, ip))
        })
        .collect();
    let specific = |ip: &IpAddr| own.contains(ip);
    let any = match own.iter().any(IpAddr::is_ipv4) {
        true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        false => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let mut places: Vec<Place> = Vec::new();
    if interfaces.is_empty() {
        if own.contains(&any) {
            return Ok(vec![(0, any)]);
        }
        for (name, ip) in found.iter().filter(|(_, ip)| specific(ip)) {
            let index = if_nametoindex(name.as_str())?;
            if !places.iter().any(|(known, _)| *known == index) {
                places.push((index, *ip));
            }
        }
        // An address that is not there yet: the route decides.
        return Ok(if places.is_empty() {
            own.first().map(|ip| (0, *ip)).into_iter().collect()
        } else {
            places
        });
    }
    for name in interfaces {
        let here = found.iter().find(|(on, ip)| on == name && specific(ip)).map(|(_, ip)| *ip);
        let source = here.or(own.contains(&any).then_some(any));
        if let Some(source) = source.or(own.first().copied()) {
            places.push((if_nametoindex(name.as_str())?, source));
        }
    }
    Ok(places)
}

fn datagrams(v6: bool) -> io::Result<OwnedFd> {
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::DGRAM, flags, None)?;
    // Other programs of this host may be members too, and registrars at other addresses.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if v6 {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    Ok(fd)
}

/// A socket that hears a group and nothing else.
fn member(group: SocketAddr, places: &[Place]) -> io::Result<UdpSocket> {
    let fd = datagrams(group.is_ipv6())?;
    let mut bound = group;
    if let SocketAddr::V6(group) = group
        // Groups of a link belong to one: there everything that comes to the port is heard.
        && matches!(group.ip().segments()[0] & 0xf, 1 | 2)
    {
        bound = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, group.port(), 0, 0).into();
    }
    bind(&fd, &bound)?;
    for (interface, _) in places {
        match group.ip() {
            IpAddr::V4(v4) => {
                sockopt::set_ip_add_membership_with_ifindex(&fd, &v4, &Ipv4Addr::UNSPECIFIED, *interface)?
            }
            IpAddr::V6(v6) => sockopt::set_ipv6_add_membership(&fd, &v6, *interface)?,
        }
    }
    UdpSocket::from_std(fd.into())
}

/// A socket to send to groups through an interface.
fn sender(from: SocketAddr, interface: u32, ttl: u32) -> io::Result<std::net::UdpSocket> {
    let fd = datagrams(from.is_ipv6())?;
    bind(&fd, &from)?;
    // It is not read, and hears groups all the same.
    sockopt::set_socket_recv_buffer_size(&fd, 0)?;
    if from.is_ipv4() {
        sockopt::set_ip_multicast_ttl(&fd, ttl)?;
        if interface != 0 {
            let any = Ipv4Addr::UNSPECIFIED;
            sockopt::set_ip_multicast_if_with_ifindex(&fd, &any, &any, interface)?;
        }
    } else {
        sockopt::set_ipv6_multicast_hops(&fd, ttl)?;
        sockopt::set_ipv6_multicast_if(&fd, interface)?;
    }
    Ok(fd.into())
}

/// The groups while they are read.
#[derive(Debug)]
pub(super) struct Announcements {
    senders: Vec<Sender>,
    received: mpsc::Receiver<Datagram>,
    /// So that there is never an end to what is received.
    _sender: mpsc::Sender<Datagram>,
    _readers: JoinSet<()>,
}

impl Announcements {
    /// Reads from now on.
    pub(super) fn new(groups: Groups) -> Self {
        let (sender, received) = mpsc::channel(AHEAD);
        let mut readers = JoinSet::new();
        for (role, socket) in groups.members {
            readers.spawn(read(role, socket, sender.clone()));
        }
        Self { senders: groups.senders, received, _sender: sender, _readers: readers }
    }

    /// The next datagram. Never ends.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Datagram> {
        match ready!(self.received.poll_recv(cx)) {
            Some(datagram) => Poll::Ready(datagram),
            None => Poll::Pending,
        }
    }

    /// Whether anything is announced for a protocol.
    pub(super) fn has(&self, role: Role) -> bool {
        self.senders.iter().any(|sender| sender.role == role)
    }

    /// Sends a datagram to all groups of a protocol. What the kernel does not take is lost: there will be another.
    pub(super) fn send(&mut self, role: Role, bytes: &Bytes) {
        for sender in self.senders.iter_mut().filter(|sender| sender.role == role) {
            let group = sender.group;
            match sender.socket.send_to(bytes, group) {
                Ok(_) => sender.fails = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if !std::mem::replace(&mut sender.fails, true) => {
                    tracing::warn!(%group, %error, "cannot be announced to");
                }
                Err(_) => {}
            }
        }
    }
}

async fn read(role: Role, socket: UdpSocket, sink: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; LONGEST];
    let (mut began, mut count) = (Instant::now(), 0);
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "a group could not be read");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if began.elapsed() >= PERIOD {
            (began, count) = (Instant::now(), 0);
        }
        count += 1;
        if count <= MOST {
            let bytes = buffer[..length].to_vec();
            if sink.send(Datagram { role, from, bytes }).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Announcements of ASAP on the loopback interface, served at a port that is free.
    fn config(group: &str) -> (Config, SocketAddr) {
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut config = Config { listen: vec![free], ..Config::default() };
        config.multicast.asap = true;
        config.multicast.interfaces = vec!["lo".to_owned()];
        config.multicast.asap_groups = vec![SocketAddr::new(group.parse().unwrap(), free.port())];
        (config, free)
    }

    #[tokio::test]
    async fn members_hear_what_is_announced_and_from_where_it_is_served() {
        let (config, own) = config("239.255.7.1");
        let mut announcements = Announcements::new(Groups::open(&config).unwrap());
        assert!(announcements.has(Role::Asap) && !announcements.has(Role::Enrp));
        announcements.send(Role::Asap, &Bytes::from_static(b"here"));
        let heard = std::future::poll_fn(|cx| announcements.poll_next(cx));
        let heard = tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap();
        assert_eq!((heard.role, heard.from, heard.bytes.as_slice()), (Role::Asap, own, &b"here"[..]));
    }

    #[tokio::test]
    async fn announcements_stay_on_the_link_unless_they_are_allowed_further() {
        let (mut config, _) = config("239.255.7.2");
        for (ttl, expected) in [(None, 1), (Some(30), 30)] {
            config.multicast.ttl = ttl.unwrap_or(config.multicast.ttl);
            let groups = Groups::open(&config).unwrap();
            assert_eq!(sockopt::ip_multicast_ttl(&groups.senders[0].socket).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_group_that_cannot_be_joined_is_said_before_anything_is_served() {
        let (mut config, _) = config("239.255.7.3");
        config.multicast.interfaces = vec!["nowhere".to_owned()];
        let message = Groups::open(&config).unwrap_err().to_string();
        assert!(message.starts_with("cannot announce to 239.255.7.3:"), "{message}");
        // But one of several that can be is enough.
        config.multicast.interfaces = vec!["lo".to_owned()];
        config.multicast.asap_groups.push("192.0.2.1:1".parse().unwrap());
        assert_eq!(Groups::open(&config).unwrap().members.len(), 1);
    }
}
