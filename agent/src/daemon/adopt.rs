//! Taking associations under management and letting them go.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use sctp_sys::readdress;
use sctp_sys::sockopt::{self, AssocId, AssocState};

use super::Daemon;
use super::rights::TAKES_ADMIN;
use crate::associations::{Found, Handle, Jam, Key, Managed, Quiet, act, facts};
use crate::config::SocketFacts;
use crate::handover::{Binding, Facts, Identity, Input, Planner, State, Tuning, may_mute};
use crate::tally::Course;
use crate::translate::Pair;

/// From one search through all processes for a socket that nobody seems to have to the next.
const SEARCH: Duration = Duration::from_millis(100);

impl Daemon {
    /// Looks for new sockets, adopts what the configuration names, and lets go of what has ended.
    pub(super) fn look_around(&mut self) {
        self.look_due = None;
        let (begun, used) = (Instant::now(), processor_time());
        let (found, endpoints) = match self.survey.look() {
            Ok(lists) => lists,
            Err(error) => {
                tracing::warn!(%error, "the host's SCTP sockets cannot be listed");
                return;
            }
        };
        let mut alive = HashSet::new();
        for association in found {
            alive.extend(self.meet(association));
        }
        // A listing is no snapshot: the kernel may pass over an association whose addresses change meanwhile.
        let ended: Vec<Key> = self
            .associations
            .iter()
            .filter(|(key, managed)| !alive.contains(key) && !is_established(managed))
            .map(|(key, _)| *key)
            .collect();
        for key in ended {
            self.let_go(key, "the association has ended", false);
        }
        self.unmanageable.retain(|key, _| alive.contains(key));
        self.tell_of_peers();
        self.tend_listeners(endpoints);
        self.tend_paths(Instant::now());
        let took = processor_time().saturating_sub(used);
        self.pace.looked(begun, took, alive.len(), self.config.agent.poll);
    }

    /// Whom routes have to lead to.
    pub(super) fn tell_of_peers(&self) {
        let peers = self.associations.values().flat_map(|managed| managed.planner.facts().peers.iter());
        self.monitor.set_peers(peers.map(|&(peer, _)| peer).collect());
    }

    /// Takes an association that was found under management, if it is wanted and new, and notes how it fares. Gives its
    /// key, if it is wanted.
    pub(super) fn meet(&mut self, found: Found) -> Option<Key> {
        let executable = found.executable.as_deref();
        if !self.wanted(&found.handle, found.uid, found.local_port, executable)
            || found.peer.iter().all(IpAddr::is_loopback)
        {
            return None;
        }
        let (jammed, heard) = (found.jammed, found.heard);
        let key = self.take(found);
        self.look_at_jam(key, jammed);
        if let Some(managed) = self.associations.get_mut(&key) {
            managed.quiet.look(Instant::now(), heard.0, heard.1);
        }
        Some(key)
    }

    /// Whether the configuration, or a person, wants this socket managed.
    pub(super) fn wanted(
        &self,
        handle: &Handle,
        uid: u32,
        local_port: u16,
        executable: Option<&std::path::Path>,
    ) -> bool {
        // The associations with registrars are the registrar's client's, which moves them itself.
        if handle.pid.cast_unsigned() == std::process::id() {
            return false;
        }
        // Whoever hands a socket over has it, whoever made it.
        if handle.given.is_some() {
            return true;
        }
        match self.by_hand.get(&handle.pid) {
            Some(hand) if hand.only.is_none_or(|user| user == uid) => hand.adopt,
            _ => self.config.manages(&SocketFacts { local_port, pid: handle.pid, uid, executable }),
        }
    }

    /// Tells of an association whose data the kernel never sends again.
    fn look_at_jam(&mut self, key: Key, jammed: bool) {
        if let Some(managed) = self.associations.get_mut(&key)
            && managed.jam.look(Instant::now(), jammed)
        {
            self.story.jammed(managed);
        }
    }

    /// Takes a found association under management. Returns its key.
    fn take(&mut self, found: Found) -> Key {
        let key = |assoc| Key {
            inode: found.handle.inode,
            local_port: found.local_port,
            peer_port: found.peer_port,
            assoc,
        };
        let single = key(0);
        if self.associations.contains_key(&single) {
            self.inherit(single, &found.handle, found.executable.as_ref());
            return single;
        }
        if self.unmanageable.contains_key(&single) {
            return single;
        }
        // A socket that carries many is known by the identifiers of its associations.
        let of_socket = Key { local_port: 0, peer_port: 0, ..key(AssocId::MIN) };
        let end = Key { local_port: u16::MAX, peer_port: u16::MAX, ..key(AssocId::MAX) };
        let known = self.associations.range(of_socket..=end).find(|(key, managed)| {
            key.peer_port == found.peer_port
                && found.peer.iter().any(|peer| managed.planner.facts().has_peer(*peer))
        });
        if let Some((&known, _)) = known {
            self.inherit(known, &found.handle, found.executable.as_ref());
            return known;
        }
        match self.adopt(&found, key) {
            Ok(key) => key,
            Err(why) => {
                self.story.unmanageable(&found, &why);
                self.unmanageable.insert(single, (found, why));
                single
            }
        }
    }

    /// The socket of an association is now another process's: it was passed on, or inherited by a child.
    fn inherit(&mut self, key: Key, heir: &Handle, executable: Option<&PathBuf>) {
        let Some(managed) = self.associations.get_mut(&key) else { return };
        if managed.handle.pid == heir.pid && managed.handle.fd == heir.fd {
            managed.handle.given.clone_from(&heir.given);
            return;
        }
        // A duplicate of it in another process is nobody's business.
        if managed.handle.is_held() && heir.given.is_none() {
            return;
        }
        let before = std::mem::replace(&mut managed.handle, heir.clone()).pid;
        managed.executable = executable.cloned();
        if before != heir.pid {
            self.story.inherited(managed, before);
        }
    }

    /// Before something is done to a socket: whoever had it may have it no longer.
    pub(super) fn follow_socket(&mut self, key: Key) {
        let Some(managed) = self.associations.get(&key) else { return };
        if managed.handle.is_held() {
            return;
        }
        let (now, inode) = (Instant::now(), managed.handle.inode);
        let search = self.searched.is_none_or(|at| now >= at + SEARCH);
        if let Some((heir, executable)) = self.survey.heir(inode, search) {
            self.inherit(key, &heir, executable.as_ref());
        } else if search {
            self.searched = Some(now);
        }
    }

    fn adopt(&mut self, found: &Found, key: impl Fn(AssocId) -> Key) -> Result<Key, String> {
        let socket = found.handle.open().map_err(|error| error.to_string())?;
        let fd = socket.as_fd();
        let one_to_many =
            sockopt::socket_type(fd).map_err(|error| error.to_string())? == libc::SOCK_SEQPACKET;
        let (assoc, facts) = if one_to_many {
            association_of(fd, found).ok_or("the association ended while it was looked at")?
        } else {
            // Without its identifier the kernel would speak of the endpoint, which may be bound to more.
            let assoc =
                sockopt::status(fd, 0).map_err(|error| format!("its state cannot be read: {error}"))?.assoc;
            (assoc, facts::read(fd, assoc).map_err(|error| format!("its addresses cannot be read: {error}"))?)
        };
        let text = |error: std::io::Error| error.to_string();
        let binding = facts::binding(fd).map_err(text)?;
        if binding == Binding::Wildcard && !self.rights.admin {
            return Err(TAKES_ADMIN.to_owned());
        }
        let add_ip = readdress::is_possible(fd, assoc).map_err(text)?;
        let key = key(if one_to_many { assoc } else { 0 });
        let known = self.host.found_before(key);
        // An earlier daemon may have ended between switching it on and writing that down.
        let left_on = known.is_some() && binding == Binding::Wildcard;
        if known.is_some() && add_ip && binding == Binding::Explicit && !one_to_many {
            act::mend(fd, assoc, found.local_port).map_err(text)?;
        }
        let before = match known {
            Some(before) => before,
            None => act::found(fd, assoc).map_err(text)?,
        };
        // Listener and accepted sockets share a port; without this the second of them could not add an address.
        sockopt::set_reuse_port(fd, true).map_err(text)?;
        if before.auto_asconf || left_on {
            // Two that move the same association would get into each other's way.
            sockopt::set_auto_asconf(fd, false).map_err(text)?;
        }
        let pair = Pair { local_port: found.local_port, peer_port: found.peer_port };
        let identity = Identity {
            pair,
            binding,
            may_mute: may_mute(
                pair,
                facts.local.first().copied(),
                facts.peers.first().map(|&(peer, _)| peer),
            ),
            translate: self.host.can_translate(),
        };
        let tuning = Tuning { grace: self.config.agent.grace, ..Tuning::default() };
        let saved = self.host.take_over(key);
        self.host.write_down(key, found.handle.pid, &before, saved.clone().unwrap_or_default());
        act::tune(fd, assoc, &before, self.config.agent.offline.as_secs())
            .map_err(|error| format!("its retransmission limits cannot be set: {error}"))?;
        drop(socket);
        // An earlier daemon may have had nftables, which has been removed since.
        if add_ip && self.host.can_translate() {
            self.host.rules(key, saved.as_ref().map(|saved| saved.rules.clone()).unwrap_or_default())?;
        }
        let now = Instant::now();
        let course = Course::new(&facts.local);
        let planner = match saved {
            Some(saved) => Planner::resume(now, identity, facts, tuning, saved),
            None => Planner::new(now, identity, facts, tuning),
        };
        self.associations.insert(
            key,
            Managed {
                handle: found.handle.clone(),
                // One that an earlier daemon left stranded is told to be so.
                stood: State::Settled,
                was_stranded: false,
                uid: found.uid,
                executable: found.executable.clone(),
                assoc,
                local_port: found.local_port,
                peer_port: found.peer_port,
                binding,
                one_to_many,
                add_ip,
                before,
                planner,
                since: now,
                copies: Vec::new(),
                moves: 0,
                moving_since: None,
                last_move_ms: None,
                course,
                jam: Jam::default(),
                quiet: Quiet::default(),
                offered: Vec::new(),
                kept_out: Vec::new(),
            },
        );
        self.story.adopted(&self.associations[&key]);
        if add_ip {
            self.offer_to(key);
            if let Some(addresses) = self.where_is_peer_of(&key) {
                self.tell(key, Input::Located(addresses));
            }
        }
        Ok(key)
    }

    /// Ends the management of an association. `put_back`: it lives on, so what adoption changed is undone.
    pub(super) fn let_go(&mut self, key: Key, why: &str, put_back: bool) {
        let Some(managed) = self.associations.get_mut(&key) else { return };
        managed.planner.release();
        self.carry_out(key);
        let Some(managed) = self.associations.remove(&key) else { return };
        if put_back
            && let Ok(socket) = managed.handle.open()
            && let Err(error) = act::restore(socket.as_fd(), managed.assoc, &managed.before)
        {
            tracing::warn!(?key, %error, "the association's options could not be put back");
        }
        self.host.forget(key);
        self.story.let_go(&managed, why);
        if !put_back {
            managed.course.ended(&mut self.tally);
        }
    }

    /// Where the registrar says that the association's peer is.
    pub(super) fn where_is_peer_of(&self, key: &Key) -> Option<Vec<IpAddr>> {
        let managed = self.associations.get(key)?;
        let of_port = |port: Option<u16>| port.is_none_or(|port| port == managed.peer_port);
        // A pool handle is this peer's if its elements have, or once had, an address of it; where only one handle is
        // configured for the port, it is.
        let candidates: Vec<_> = self
            .config
            .peers
            .iter()
            .filter(|peer| of_port(peer.port))
            .filter_map(|peer| self.located.get(&peer.handle).map(|place| (peer, place)))
            .filter(|(_, (_, port))| of_port(*port))
            .collect();
        let by_address = candidates.iter().find(|(peer, (addresses, _))| {
            addresses.iter().any(|address| managed.planner.facts().has_peer(*address))
                || self.host.once_met(&peer.handle, managed.planner.facts())
        });
        let found = by_address.or_else(|| (candidates.len() == 1).then(|| &candidates[0]))?;
        Some(found.1.0.clone())
    }
}

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Whether the association's own socket says that it lives.
fn is_established(managed: &Managed) -> bool {
    // The duplicate that a program has handed over does not outlive it: it would keep the association from ending.
    if managed.handle.given.is_some() && !managed.handle.is_held() {
        return false;
    }
    let status = managed.handle.open().ok().and_then(|fd| sockopt::status(fd.as_fd(), managed.assoc).ok());
    status.is_some_and(|status| status.state == AssocState::Established)
}

/// The association of a socket that carries many, found by its peer.
fn association_of(fd: std::os::fd::BorrowedFd<'_>, found: &Found) -> Option<(AssocId, Facts)> {
    sockopt::assoc_ids(fd).ok()?.into_iter().find_map(|assoc| {
        let peers = sockopt::peer_addrs(fd, assoc).ok()?;
        if !peers.iter().any(|peer| peer.port() == found.peer_port && found.peer.contains(&peer.ip())) {
            return None;
        }
        Some((assoc, facts::read(fd, assoc).ok()?))
    })
}
