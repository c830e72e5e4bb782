//! A registrar that lies. It takes registrations as every registrar does, and says of each element that it is somewhere
//! else, at another place every moment: at a host that knows nothing of it, where nobody is, at the asking host itself,
//! where no host can be, nowhere; or it says what makes no sense. The host that it names answers what is sent to it with
//! ABORT, as every kernel does that knows nothing of an association, and with a forged answer to every ASCONF.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use asap_client::wire::{self, Cause, Decoded, Message, PoolElement, PoolHandle, Transport};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
use sctp_sys::checksum::crc32c;
use sctp_sys::sockopt::AssocId;
use sctp_sys::watch::{Seen, Sighting, Watch};
use sctp_sys::{Family, Received, SendInfo, Socket, Style};

use crate::clock;

/// For how long the same lie is told.
const LIE: Duration = Duration::from_millis(300);
/// The registrar's own identifier.
const SERVER: u32 = 0x6c69_6172;
/// What begins the line that tells of a forged answer.
const FORGED: &str = "forged an answer";

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// The element is at the liar's own host, which knows nothing of it.
    Stranger,
    /// It is where nobody is.
    Nobody,
    /// It is where the one is who asks.
    Yourself,
    /// It is where no host can be.
    Nowhere,
    /// No such element.
    Unknown,
    /// It makes no sense.
    Nonsense,
}

const LIES: [Lie; 6] = [Lie::Stranger, Lie::Nobody, Lie::Yourself, Lie::Nowhere, Lie::Unknown, Lie::Nonsense];

/// What a log has to tell of before its liar has lied enough: every lie, and forged answers.
pub(super) fn has_done_its_worst(log: &str) -> Result<()> {
    for lie in LIES {
        if !log.contains(&told(lie)) {
            bail!("the lying registrar had no occasion to tell the lie {lie:?}");
        }
    }
    if !log.contains(FORGED) {
        bail!("nobody sent an ASCONF where the lying registrar told him to");
    }
    Ok(())
}

fn told(lie: Lie) -> String {
    format!("told {lie:?}")
}

/// What the liar knows.
#[derive(Default)]
struct State {
    elements: HashMap<PoolHandle, PoolElement>,
    /// Who has asked for which pool handle, and from where.
    askers: Vec<(AssocId, PoolHandle, IpAddr)>,
    turn: usize,
}

struct Liar {
    socket: Socket,
    own: IpAddr,
    state: Mutex<State>,
}

/// Lies at this address until it is killed. IPv4 alone.
///
/// # Errors
/// The system's.
pub fn run(listen: SocketAddr) -> Result<()> {
    let socket = Socket::new(Style::OneToMany, Family::of(listen))?;
    socket.bind(listen)?;
    socket.listen(16)?;
    let watch = Watch::open()?;
    let forger = socket_for_forgeries()?;
    println!("listening on {listen}");
    let liar = Liar { socket, own: listen.ip(), state: Mutex::default() };
    thread::scope(|scope| {
        scope.spawn(|| liar.go_on_lying());
        scope.spawn(|| forge(watch, &forger));
        liar.serve()
    })
}

impl Liar {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) -> Result<()> {
        let mut buffer = Vec::new();
        loop {
            let Ok(Some(Received::Message(info))) = self.socket.recv(&mut buffer) else { continue };
            let Ok(Decoded { message, .. }) = wire::decode(&buffer) else { continue };
            match message {
                Message::Registration { handle, element } => {
                    let id = element.id;
                    self.state().elements.insert(handle.clone(), element);
                    let answer = Message::RegistrationResponse { rejected: false, handle, id, error: None };
                    self.send(info.assoc, &answer.encode());
                }
                Message::Deregistration { handle, id } => {
                    self.state().elements.remove(&handle);
                    let answer = Message::DeregistrationResponse { handle, id, error: None };
                    self.send(info.assoc, &answer.encode());
                }
                Message::HandleResolution { handle, .. } => {
                    let asker = (info.assoc, handle, info.from.ip());
                    let mut state = self.state();
                    state.askers.retain(|(assoc, handle, _)| (*assoc, handle) != (asker.0, &asker.1));
                    state.askers.push(asker.clone());
                    self.lie(&state, &asker);
                }
                _ => {}
            }
        }
    }

    /// One lie after the other, to all who have asked for the truth once.
    fn go_on_lying(&self) {
        while clock::pass(LIE).is_ok() {
            let mut state = self.state();
            state.turn = (state.turn + 1) % LIES.len();
            for asker in &state.askers {
                self.lie(&state, asker);
            }
        }
    }

    fn lie(&self, state: &State, (assoc, handle, asker): &(AssocId, PoolHandle, IpAddr)) {
        // Of an element that nobody has registered here the port is not known, without which nobody believes anything.
        let Some(element) = state.elements.get(handle) else { return };
        let lie = LIES[state.turn];
        let addresses = match lie {
            Lie::Stranger => vec![self.own],
            Lie::Nobody => vec![beside(self.own)],
            Lie::Yourself => vec![*asker],
            Lie::Nowhere => vec![
                Ipv4Addr::LOCALHOST.into(),
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv4Addr::BROADCAST.into(),
                [224, 0, 0, 1].into(),
            ],
            Lie::Unknown | Lie::Nonsense => Vec::new(),
        };
        println!("{} of {handle:?} to {asker}: {addresses:?}", told(lie));
        for message in messages(lie, handle, element, addresses) {
            self.send(*assoc, &message);
        }
    }

    fn send(&self, assoc: AssocId, message: &[u8]) {
        // Whoever has gone needs no lie.
        let info = SendInfo { ppid: wire::PPID, assoc, ..SendInfo::default() };
        let _ = self.socket.send(&info, message);
    }
}

/// Where nobody is, in the same network.
fn beside(own: IpAddr) -> IpAddr {
    match own {
        IpAddr::V4(own) => {
            let [a, b, c, _] = own.octets();
            [a, b, c, 77].into()
        }
        own => own,
    }
}

fn messages(lie: Lie, handle: &PoolHandle, element: &PoolElement, addresses: Vec<IpAddr>) -> Vec<Vec<u8>> {
    let answer = |elements: Vec<PoolElement>, error: Option<Vec<Cause>>| Message::HandleResolutionResponse {
        subscribed: true,
        handle: handle.clone(),
        policy: Some(element.policy.clone()),
        elements,
        error,
    };
    let at = |addresses: Vec<IpAddr>| {
        let port = element.user.port().unwrap_or_default();
        let user = Transport::Sctp { port, use_: element.user.use_(), addresses: addresses.into() };
        PoolElement { user, home: SERVER, asap: None, ..element.clone() }
    };
    match lie {
        Lie::Unknown => vec![answer(Vec::new(), None).encode()],
        Lie::Nonsense => {
            let many = (0..=255).map(|last| IpAddr::from([203, 0, 113, last])).collect();
            let long = answer(vec![at(many)], None).encode();
            let stranger = PoolHandle::new("nobody asked for this");
            let astray = stranger.map(|handle| Message::EndpointKeepAlive {
                home: true,
                server: SERVER,
                handle,
                id: None,
            });
            let beyond = [6, 1, 0xff, 0xff, 0, 9, 0, 200, 1, 2, 3];
            let mut nonsense =
                vec![Vec::from(beyond), vec![0xff; 1000], long[..long.len() / 2].to_vec(), long];
            nonsense.extend(astray.ok().map(|message| message.encode()));
            nonsense
        }
        _ => vec![answer(vec![at(addresses)], None).encode()],
    }
}

fn socket_for_forgeries() -> io::Result<rustix::fd::OwnedFd> {
    Ok(socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::SCTP))?)
}

/// Answers every ASCONF that comes as if it had been the peer who got it, as far as that can be done without the
/// association's key and tags.
fn forge(mut watch: Watch, raw: &impl AsFd) -> Result<()> {
    loop {
        let sighting = match watch.next_within(Duration::from_secs(1)) {
            Ok(sighting) if !sighting.outgoing => sighting,
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(error) => return Err(error).context("watching the wire"),
        };
        for chunk in &sighting.chunks {
            let Seen::Asconf { serial, .. } = chunk else { continue };
            let to = SocketAddr::new(sighting.source, 0);
            match sendto(raw, &answer_to(&sighting, *serial), SendFlags::empty(), &to) {
                Ok(_) => println!("{FORGED} to the ASCONF {serial} of {}", sighting.source),
                Err(error) => println!("could not forge an answer to {}: {error}", sighting.source),
            }
        }
    }
}

/// An SCTP packet that says that all is done which the ASCONF asked for.
fn answer_to(asconf: &Sighting, serial: u32) -> Vec<u8> {
    const ASCONF_ACK: u8 = 0x80;
    let mut packet = Vec::new();
    packet.extend(asconf.destination_port.to_be_bytes());
    packet.extend(asconf.source_port.to_be_bytes());
    packet.extend(asconf.vtag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([ASCONF_ACK, 0, 0, 8]);
    packet.extend(serial.to_be_bytes());
    let sum = crc32c(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use asap_client::wire::{Policy, TransportUse};

    fn element() -> PoolElement {
        let user = Transport::Sctp {
            port: 7000,
            use_: TransportUse::DataOnly,
            addresses: vec![[10, 3, 0, 2].into()].into(),
        };
        PoolElement { id: 7, home: 0, life: 300, user, policy: Policy::RoundRobin, asap: None }
    }

    #[test]
    fn a_lie_is_an_answer_like_a_true_one_but_for_its_addresses() {
        let handle = PoolHandle::new("host-b").unwrap();
        let lie: IpAddr = [10, 9, 0, 2].into();
        let [octets] = &messages(Lie::Stranger, &handle, &element(), vec![lie])[..] else { panic!() };
        let Message::HandleResolutionResponse { elements, error: None, subscribed: true, .. } =
            wire::decode(octets).unwrap().message
        else {
            panic!("{octets:?}")
        };
        assert_eq!((elements[0].id, elements[0].user.port()), (7, Some(7000)));
        assert_eq!(elements[0].user.addresses(), [lie]);
    }

    #[test]
    fn only_a_log_of_every_lie_and_of_forgery_tells_of_the_worst() {
        let mut log: String = LIES.iter().map(|lie| format!("{} of x\n", told(*lie))).collect();
        assert!(has_done_its_worst(&log).is_err());
        log += FORGED;
        assert!(has_done_its_worst(&log).is_ok());
        assert!(has_done_its_worst(&log.replace("Nowhere", "")).is_err());
    }
}
