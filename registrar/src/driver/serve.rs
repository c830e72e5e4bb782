//! The service: what sockets say goes to the machine, what the machine says goes to sockets.

mod announces;
mod apart;
mod operate;
mod round;
mod sending;
mod streams;
#[cfg(test)]
mod tests;
mod thread;

use sctp_sys::event::{AssocChange, Notification};
use sctp_sys::sockopt;
use sctp_sys::{AssocId, Socket};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

pub(super) use thread::Running;

use super::command::Drained;
use super::intake::Intake;
use super::log::Log;
use super::multicast::{Announcements, Groups};
use super::outstanding::Outstanding;
use super::own::Own;
use super::reading::{Reading, Shares};
use super::socket::Role;
use super::tcp::{self, Listeners, Tcp};
use crate::announce::Announcer;
use crate::config::Config;
use crate::machine::{Input, Output, Registrar};
use crate::monitor::Feed;
use crate::numbered::Numbered;
use crate::query::{Query, Surroundings};
use crate::{Association, asap, enrp};

/// How soon it is tried again when the kernel's send buffer is full, and looked again whether somebody was heard.
const RETRY: Duration = Duration::from_millis(20);

/// An association as the kernel names it: the socket's place in the list, and the number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    socket: usize,
    assoc: AssocId,
}

/// What is served besides SCTP.
#[derive(Debug)]
pub(super) struct Others {
    pub(super) streams: Listeners,
    pub(super) groups: Groups,
}

/// The machine and all it talks to.
pub(super) struct Service {
    registrar: Registrar,
    sockets: Vec<(Role, Socket)>,
    /// Which of them may have something to be read; last, those with one association each.
    readable: Vec<bool>,
    /// How much was read from those that associations share.
    read: u64,
    /// Whose message was read last.
    last_heard: Option<Place>,
    /// How many messages before that one were of the same association, without one of another in between.
    in_a_row: u32,
    /// When it is looked again which can be read, at the latest.
    look_by: Instant,
    /// When it is looked again what is due, at the latest.
    wake_by: Instant,
    /// Until when each has been read.
    readings: Vec<Reading>,
    /// Who sends much over those of ASAP.
    shares: Shares,
    /// Those with one association each. Their numbers follow.
    own: Own,
    /// After one could not be had: when to try again.
    apart_again: Option<Instant>,
    places: Numbered<Place, Association>,
    associations: Numbered<Association, Place>,
    /// What was found last among the places: whoever sends a message often sends the next one too.
    last_known: Option<(Place, Association)>,
    /// Associations to other registrars that are being set up, and where they lead.
    connecting: BTreeMap<Place, Vec<SocketAddr>>,
    intake: Intake,
    tcp: Tcp,
    tcp_listening: Vec<SocketAddr>,
    announcements: Announcements,
    announcer: Announcer,
    outstanding: Outstanding,
    buffer: Vec<u8>,
    /// Reads in a row that failed.
    failures: u32,
    listening: Vec<String>,
    /// The time, as far as this round needs it.
    now: Instant,
    next: u64,
    /// The kernel refused something for lack of room: when to try again.
    retry: Option<Instant>,
    /// Questions are being answered.
    answering: bool,
    /// When full windows are looked at again.
    deaf_look: Option<Instant>,
    /// Answers are due that may have come, of associations that are not read now: when to look again.
    unheard_look: Option<Instant>,
    dropped: u64,
    /// Questions for which there was no room.
    unheard: u64,
    log: Log,
    feed: Feed,
    config: Config,
    /// Where HTTP is told under which names it may be asked for.
    hosts: watch::Sender<Vec<String>>,
    /// Who waits for the end of a drain.
    draining: Option<oneshot::Sender<Drained>>,
}

impl Service {
    pub(super) fn new(
        config: Config,
        sockets: Vec<(Role, Socket)>,
        others: Others,
        listening: Vec<String>,
        random: u64,
        feed: Feed,
        hosts: watch::Sender<Vec<String>>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let identifier = u32::try_from(random >> 32).unwrap_or(0).max(1);
        let limits = &config.limits;
        Ok(Self {
            registrar: Registrar::new(
                now,
                config.settings(identifier),
                config.enrp_settings(identifier),
                random,
            ),
            readable: Vec::new(),
            read: 0,
            last_heard: None,
            in_a_row: 0,
            look_by: now,
            wake_by: now,
            readings: sockets.iter().map(|_| Reading::new(now)).collect(),
            shares: Shares::default(),
            own: Own::new(now, sockets.len(), tcp::room(&config))?,
            apart_again: None,
            sockets,
            places: Numbered::default(),
            associations: Numbered::default(),
            last_known: None,
            connecting: BTreeMap::new(),
            intake: Intake::default(),
            buffer: Vec::new(),
            failures: 0,
            tcp_listening: others.streams.addresses(),
            tcp: Tcp::new(others.streams, &config),
            announcements: Announcements::new(others.groups),
            announcer: Announcer::new(
                now,
                config.settings(identifier).server,
                config.multicast.t6_serverannounce,
                random.rotate_left(17),
            ),
            outstanding: Outstanding::new(
                limits.outstanding_octets_per_association,
                limits.outstanding_octets,
            ),
            listening,
            now,
            next: 1,
            retry: None,
            answering: false,
            deaf_look: None,
            unheard_look: None,
            dropped: 0,
            unheard: 0,
            log: Log::default(),
            feed,
            hosts,
            draining: None,
            config,
        })
    }

    fn notification(&mut self, now: Instant, socket: usize, notification: &Notification) {
        match *notification {
            Notification::AssocChange { state, assoc, .. } => {
                let place = Place { socket, assoc };
                match state {
                    AssocChange::CommUp => {
                        self.known(now, place);
                    }
                    // Perhaps another program by now: nothing that was registered holds any more.
                    AssocChange::Restart => {
                        self.gone(now, place);
                        self.known(now, place);
                    }
                    AssocChange::CommLost | AssocChange::ShutdownComplete | AssocChange::CantStart => {
                        self.gone(now, place);
                        self.own.close(socket);
                    }
                    AssocChange::Other(_) => {}
                }
            }
            Notification::Shutdown { assoc } => self.gone(now, Place { socket, assoc }),
            Notification::PeerAddrChange { assoc, .. } => {
                let place = Place { socket, assoc };
                if let Some(association) = self.places.get(&place).copied() {
                    self.addresses(now, place, association);
                }
            }
            Notification::SenderDry { assoc } => {
                if let Some(association) = self.places.get(&Place { socket, assoc }).copied() {
                    self.outstanding.dry(association);
                    self.tell_when_dry(association, false);
                    self.flush(now, association);
                }
            }
            _ => {}
        }
    }

    /// The association at a place, taken up if it is new. `None` if it has ended meanwhile.
    fn known(&mut self, now: Instant, place: Place) -> Option<Association> {
        if let Some((_, association)) = self.last_known.filter(|(known, _)| *known == place) {
            return Some(association);
        }
        if let Some(association) = self.places.get(&place) {
            self.last_known = Some((place, *association));
            return Some(*association);
        }
        self.connecting.remove(&place);
        let fd = self.socket(place.socket)?.as_fd();
        let peers = peers(fd, place.assoc)?;
        let first = *peers.first()?;
        let from = sockopt::status(fd, place.assoc).ok().and_then(|status| status.primary.address);
        let association = Association(self.next);
        self.next += 1;
        self.places.insert(place, association);
        self.associations.insert(association, place);
        if self.is_own(place) {
            self.outstanding.own(association);
        }
        let (from, port) = (from.unwrap_or(first).ip().to_canonical(), first.port());
        tracing::debug!(%association, %from, port, "association up");
        let input = match self.role(place) {
            Role::Asap => {
                let addresses = peers.iter().map(SocketAddr::ip).collect();
                Input::Asap(asap::Input::Up { association, from, port, addresses })
            }
            Role::Enrp => Input::Enrp(enrp::Input::Up { association, addresses: peers }),
        };
        self.registrar.handle(now, input);
        // It may be refused at once.
        self.drain();
        self.associations.contains_key(&association).then_some(association)
    }

    fn addresses(&mut self, now: Instant, place: Place, association: Association) {
        let Some(socket) = self.socket(place.socket) else { return };
        let Some(peers) = peers(socket.as_fd(), place.assoc) else { return };
        let input = match self.role(place) {
            Role::Asap => {
                let addresses = peers.iter().map(SocketAddr::ip).collect();
                Input::Asap(asap::Input::Addresses { association, addresses })
            }
            Role::Enrp => Input::Enrp(enrp::Input::Addresses { association, addresses: peers }),
        };
        self.registrar.handle(now, input);
    }

    fn role(&self, place: Place) -> Role {
        self.sockets.get(place.socket).map_or(Role::Asap, |(role, _)| *role)
    }

    /// Tells ENRP the addresses that other registrars are to be told.
    fn tell_where_we_are(&mut self) {
        let Some(socket) = self.sockets.iter().position(|(role, _)| *role == Role::Enrp) else { return };
        let addresses = self.usable(socket);
        if addresses.is_empty() {
            return;
        }
        self.registrar.handle(Instant::now(), Input::Enrp(enrp::Input::Local { addresses }));
    }

    /// Opens an association from the port where the role is served.
    fn connect(&mut self, role: Role, remote: Vec<SocketAddr>) {
        let Some((index, (_, socket))) = self.sockets.iter().enumerate().find(|(_, (own, _))| *own == role)
        else {
            return;
        };
        // Nobody is waited for: it is told when the association is up.
        let done = socket.set_nonblocking(true).and_then(|()| socket.connectx(&remote));
        let _ = socket.set_nonblocking(false);
        match done {
            Ok(assoc) if role == Role::Enrp => {
                self.connecting.insert(Place { socket: index, assoc }, remote);
            }
            Ok(_) => {}
            // It is up, or on its way, whoever began.
            Err(error) if matches!(error.raw_os_error(), Some(nix::libc::EISCONN | nix::libc::EALREADY)) => {}
            Err(error) => {
                tracing::debug!(?remote, %error, "cannot be connected to");
                if role == Role::Enrp {
                    self.registrar.handle(Instant::now(), Input::Enrp(enrp::Input::Unreachable { remote }));
                }
            }
        }
    }

    /// An association is no more.
    fn down(&mut self, now: Instant, role: Role, association: Association) {
        self.registrar.handle(
            now,
            match role {
                Role::Asap => Input::Asap(asap::Input::Down { association }),
                Role::Enrp => Input::Enrp(enrp::Input::Down { association }),
            },
        );
    }

    fn gone(&mut self, now: Instant, place: Place) {
        if let Some(association) = self.places.get(&place).copied() {
            tracing::debug!(%association, "association down");
            self.forget(association);
            self.down(now, self.role(place), association);
        } else if let Some(remote) = self.connecting.remove(&place) {
            self.registrar.handle(now, Input::Enrp(enrp::Input::Unreachable { remote }));
        }
    }

    fn forget(&mut self, association: Association) {
        if let Some(place) = self.associations.remove(&association) {
            self.places.remove(&place);
            self.last_known = None;
        }
        self.intake.forget(association);
        self.outstanding.forget(association);
    }

    /// Ends an association that the machine still knows.
    fn give_up(&mut self, now: Instant, association: Association) {
        let role = self.associations.get(&association).map_or(Role::Asap, |place| self.role(*place));
        self.abort(association);
        self.down(now, role, association);
    }

    fn abort(&mut self, association: Association) {
        if self.tcp.abort(association) {
            return self.outstanding.forget(association);
        }
        let place = self.associations.get(&association).copied();
        if let Some(place) = place
            && let Some(socket) = self.socket(place.socket)
            && let Err(error) = socket.abort(place.assoc)
        {
            tracing::debug!(%association, %error, "cannot be aborted");
        }
        self.forget(association);
        if let Some(place) = place {
            self.own.close(place.socket);
        }
    }

    /// Something is due: the machine, another try at a full buffer, or a look at full windows.
    fn wake(&mut self) {
        let now = self.now;
        self.wake_by = now + round::UNLOOKED;
        if self.registrar.poll_timeout().is_some_and(|at| at <= now) {
            self.time_out(now);
        }
        self.announce(now);
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
            for association in self.outstanding.waiting() {
                self.flush(now, association);
            }
        }
        self.drop_deaf(now);
        self.drain();
    }

    /// Carries out what the machine wants.
    fn drain(&mut self) {
        while let Some(output) = self.registrar.poll_output() {
            match output {
                Output::Asap(asap::Output::Send { association, bytes })
                | Output::Enrp(enrp::Output::Send { association, bytes }) => self.send(association, bytes),
                Output::Asap(asap::Output::Connect { remote }) => self.connect(Role::Asap, remote),
                Output::Enrp(enrp::Output::Connect { remote }) => self.connect(Role::Enrp, remote),
                Output::Asap(asap::Output::Abort { association, reason }) => {
                    tracing::info!(%association, "aborted: {reason}");
                    self.abort(association);
                }
                Output::Enrp(enrp::Output::Abort { association, reason }) => {
                    tracing::info!(%association, "aborted: {reason}");
                    self.abort(association);
                }
                Output::Enrp(enrp::Output::Announce { bytes }) => self.announcements.send(Role::Enrp, &bytes),
                Output::Asap(asap::Output::Event(event)) => {
                    self.log.asap(self.now, &event);
                    self.feed.asap(&event);
                }
                Output::Enrp(enrp::Output::Event(event)) => {
                    self.log.enrp(self.now, &event);
                    self.feed.enrp(&event);
                    if let enrp::Event::Drained { handed_over, left } = event {
                        self.handed_over(handed_over, left);
                    }
                }
            }
        }
    }

    fn answer(&self, query: Query) {
        let outstanding = |association| self.outstanding.of(association);
        let around = Surroundings {
            listening: &self.listening,
            dropped_not_reading: self.dropped,
            dropped_resolutions: self.unheard,
            outstanding: &outstanding,
        };
        query.answer(&self.registrar, Instant::now(), &around);
    }
}

/// The peer's addresses, if the association is there.
fn peers(fd: std::os::fd::BorrowedFd<'_>, assoc: AssocId) -> Option<Vec<SocketAddr>> {
    let peers = sockopt::peer_addrs(fd, assoc).ok()?;
    Some(peers.into_iter().map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port())).collect())
}

/// Whether an address says nothing beyond this host or link.
fn confined(address: std::net::IpAddr) -> bool {
    match address.to_canonical() {
        std::net::IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}
