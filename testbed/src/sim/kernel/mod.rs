//! A model of the rules that Linux's SCTP (6.12) has for the addresses of one association. Each rule names the
//! kernel's function that it stands for, so that a test in the guest can hold it true.

pub mod asconf;
mod auto;
mod calls;
mod data;
mod path;
mod receive;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use roam_agent::handover::{Change, Facts, PathState};

use super::packet::{Chunk, MS, Packet, SECOND, Time};
pub use calls::Refusal;
pub use path::{Path, Standing};

/// State of a local address (`SCTP_ADDR_NEW`, `SCTP_ADDR_SRC`, `SCTP_ADDR_DEL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Being added: not yet a source.
    New,
    /// A source.
    Source,
    /// Being deleted: no longer a source.
    Deleting,
}

/// An ASCONF as the kernel keeps it.
#[derive(Clone, Debug)]
struct Asconf {
    serial: u32,
    address: IpAddr,
    changes: Vec<Change>,
    /// The path it was last sent on (`chunk->transport`).
    path: Option<IpAddr>,
}

/// A message sent and not acknowledged.
#[derive(Clone, Debug)]
struct Sent {
    message: u32,
    /// The path it was sent on; none: it is to be sent again.
    path: Option<IpAddr>,
    /// Acknowledgements of later ones.
    missed: u32,
}

/// One host's network stack with the one association of interest.
#[derive(Debug)]
pub struct Kernel {
    /// Addresses on interfaces, the one that routes prefer first.
    pub interfaces: Vec<IpAddr>,
    /// Addresses (and copies) on lo.
    pub lo: Vec<IpAddr>,
    /// What the kernel has to send, with its own addresses.
    pub out: Vec<Packet>,
    /// Why the association is dead.
    pub dead: Option<String>,
    /// Messages delivered to the program.
    pub delivered: u32,
    /// What was wrong with a delivered message.
    pub wrong: Option<String>,

    /// Address events that wait for the tick (`addr_waitq`): address, and whether it came.
    events: Vec<(IpAddr, bool)>,
    tick: Option<Time>,
    /// The endpoint is bound to the wildcard address.
    wildcard: bool,
    /// Addresses of an endpoint bound explicitly.
    endpoint: Vec<IpAddr>,
    /// `ep->asconf_enable`.
    asconf_enable: bool,
    /// `sp->do_auto_asconf`.
    auto_asconf: bool,

    /// `asoc->base.bind_addr`.
    bound: Vec<(IpAddr, AddressState)>,
    /// `asoc->src_out_of_asoc_ok`: mute.
    mute: bool,
    /// `asoc->asconf_addr_del_pending`.
    delete_pending: Option<IpAddr>,

    paths: Vec<Path>,
    primary: IpAddr,
    active: IpAddr,
    retransmit_path: IpAddr,
    last_data_from: Option<IpAddr>,

    next_serial: u32,
    last_asconf: Option<Asconf>,
    asconfs: VecDeque<Asconf>,
    t4: Option<Time>,
    peer_serial: u32,
    answer: Option<(u32, Vec<(u32, u16)>)>,
    /// Control chunks that muteness keeps back, with the destination asked for.
    kept_back: Vec<(Chunk, Option<IpAddr>)>,

    rto_max: Time,
    next_tsn: u32,
    unacknowledged: BTreeMap<u32, Sent>,
    /// SACKs received, and the gaps in them.
    sacks: u64,
    gaps: u64,
    waiting: VecDeque<u32>,
    received: u32,
    received_beyond: BTreeMap<u32, u32>,
    dice: u64,
}

/// How the association begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The socket is bound to the wildcard address.
    pub wildcard: bool,
    /// Own addresses.
    pub local: Vec<IpAddr>,
    /// The peer's addresses.
    pub peers: Vec<IpAddr>,
    /// For the kernel's own random numbers.
    pub seed: u64,
}

impl Kernel {
    /// An association that has just been set up over these addresses.
    #[must_use]
    pub fn new(begin: Begin) -> Self {
        let first = begin.peers[0];
        let mut kernel = Self {
            interfaces: begin.local.clone(),
            lo: Vec::new(),
            out: Vec::new(),
            dead: None,
            delivered: 0,
            wrong: None,
            events: Vec::new(),
            tick: None,
            wildcard: begin.wildcard,
            endpoint: begin.local.clone(),
            asconf_enable: true,
            auto_asconf: false,
            bound: begin.local.iter().map(|&address| (address, AddressState::Source)).collect(),
            mute: false,
            delete_pending: None,
            paths: Vec::new(),
            primary: first,
            active: first,
            retransmit_path: first,
            last_data_from: None,
            next_serial: 1,
            last_asconf: None,
            asconfs: VecDeque::new(),
            t4: None,
            peer_serial: 0,
            answer: None,
            kept_back: Vec::new(),
            rto_max: SECOND,
            next_tsn: 1,
            unacknowledged: BTreeMap::new(),
            sacks: 0,
            gaps: 0,
            waiting: VecDeque::new(),
            received: 0,
            received_beyond: BTreeMap::new(),
            dice: begin.seed | 1,
        };
        for peer in begin.peers {
            kernel.paths.push(Path::new(peer, Standing::Active, SECOND));
        }
        kernel
    }

    /// What the lists say (`SCTP_GET_LOCAL_ADDRS`, `SCTP_GET_PEER_ADDRS`, `SCTP_GET_PEER_ADDR_INFO`, `SCTP_STATUS`).
    #[must_use]
    pub fn facts(&self) -> Facts {
        let state = |path: &Path| match path.standing {
            Standing::Active | Standing::PotentiallyFailed => PathState::Active,
            Standing::Inactive => PathState::Inactive,
            Standing::Unconfirmed => PathState::Unconfirmed,
        };
        Facts {
            local: self.bound.iter().map(|&(address, _)| address).collect::<BTreeSet<_>>(),
            peers: self.paths.iter().map(|path| (path.address, state(path))).collect(),
            primary: Some(self.primary),
            unacknowledged: !self.unacknowledged.is_empty(),
            sacks: self.sacks,
            gaps: self.gaps,
        }
    }

    /// Whether the host has the address, on an interface or on lo.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.interfaces.contains(&address) || self.lo.contains(&address)
    }

    /// Whether the kernel keeps everything but ASCONF back.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.mute
    }

    /// What the kernel sends from, and what it knows of the peer, for traces.
    #[must_use]
    pub fn describe(&self) -> String {
        let paths: Vec<_> = self
            .paths
            .iter()
            .map(|path| {
                let mark = if path.address == self.active { "*" } else { "" };
                format!("{}{mark}:{:?}", path.address, path.standing)
            })
            .collect();
        format!(
            "bound {:?} mute {} outstanding {:?} queued {} paths {paths:?} unacked {} waiting {} auto {} events {:?}",
            self.bound,
            self.mute,
            self.last_asconf,
            self.asconfs.len(),
            self.unacknowledged.len(),
            self.waiting.len(),
            self.auto_asconf,
            self.events,
        )
    }

    /// The source of packets to `destination`: the address that the route prefers, if it is a source of the
    /// association; else any source that the host has, one on an interface first. None: the packet cannot leave.
    ///
    /// Kernel: `sctp_v4_get_dst`, `sctp_v6_get_dst`. Routes are looked up for every packet here, not cached.
    fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        let family = |address: &&IpAddr| address.is_ipv6() == destination.is_ipv6();
        let preferred = self.interfaces.iter().find(family).copied()?;
        let usable = self.bound.iter().any(|&(address, state)| {
            address == preferred && (state == AddressState::Source || state == AddressState::New && self.mute)
        });
        if usable {
            return Some(preferred);
        }
        let sources = || {
            self.bound
                .iter()
                .filter(|&&(_, state)| state == AddressState::Source)
                .map(|(address, _)| address)
                .filter(family)
        };
        sources()
            .find(|address| self.interfaces.contains(address))
            .or_else(|| sources().find(|address| self.lo.contains(address)))
            .copied()
    }

    /// Hands a packet to IP (`sctp_packet_transmit`: dropped when there is no route).
    fn transmit(&mut self, destination: IpAddr, chunks: Vec<Chunk>) {
        if let Some(source) = self.source(destination) {
            self.out.push(Packet { source, destination, chunks });
        }
    }

    /// A control chunk on its way out. A mute association keeps all but ASCONF back (`sctp_outq_flush_ctrl`).
    fn control(&mut self, chunk: Chunk, destination: Option<IpAddr>) {
        if self.mute && !matches!(chunk, Chunk::Asconf { .. }) {
            if !self.kept_back.contains(&(chunk.clone(), destination)) {
                self.kept_back.push((chunk, destination));
            }
            return;
        }
        let to = self.choose_path(&chunk, destination);
        self.transmit(to, vec![chunk]);
    }

    /// The path of a control chunk: the one asked for, if it is known; the active one for all but heartbeats and
    /// answers where that path does not work; the active one when none is asked for (`sctp_outq_select_transport`).
    fn choose_path(&self, chunk: &Chunk, asked: Option<IpAddr>) -> IpAddr {
        let Some(path) = asked.and_then(|asked| self.paths.iter().find(|path| path.address == asked)) else {
            return self.active;
        };
        let stays =
            matches!(chunk, Chunk::Heartbeat { .. } | Chunk::HeartbeatAck { .. } | Chunk::AsconfAck { .. });
        if path.standing == Standing::Active || stays { path.address } else { self.active }
    }

    /// When [`expire`](Self::expire) wants to be called.
    #[must_use]
    pub fn next_timer(&self) -> Option<Time> {
        let paths = self.paths.iter().flat_map(|path| [path.t3, Some(path.heartbeat)]).flatten();
        if self.dead.is_some() {
            return None;
        }
        paths.chain(self.t4).chain(self.tick).min()
    }

    /// Runs the timers that are due.
    pub fn expire(&mut self, now: Time) {
        if self.dead.is_some() {
            return;
        }
        if self.tick.is_some_and(|at| at <= now) {
            self.tick = None;
            self.address_tick(now);
        }
        if self.t4.is_some_and(|at| at <= now) {
            self.repeat_asconf(now);
        }
        self.expire_paths(now);
    }

    /// A number below `bound`.
    fn roll(&mut self, bound: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % bound.max(1)
    }
}

/// Least interval of heartbeats (`sctp_transport_timeout`: HZ / 5).
const LEAST_HEARTBEAT: Time = 200 * MS;
