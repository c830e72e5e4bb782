//! Carrying out what planners want. A failed action is told to its planner, which decides what then.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Instant;

use sctp_sys::sockopt;

use super::Daemon;
use crate::associations::{Key, Managed, act, facts};
use crate::handover::{Action, Binding, Input, Planned, State};

impl Daemon {
    /// Gives an association's planner an input and carries out what follows.
    pub(super) fn tell(&mut self, key: Key, input: Input) {
        // One that cannot change addresses can only be watched.
        if let Some(managed) = self.associations.get_mut(&key).filter(|managed| managed.add_ip) {
            managed.planner.handle(Instant::now(), input);
            self.carry_out(key);
        }
    }

    /// Carries out everything that an association's planner wants, until it wants nothing more.
    pub(super) fn carry_out(&mut self, key: Key) {
        // A planner that answers each failure with the same wish at once would keep the daemon; they wait, so a
        // bound is only a safety net.
        for _ in 0..64 {
            let Some(managed) = self.associations.get_mut(&key) else { return };
            let Some(Planned { action, reason }) = managed.planner.poll_output() else { break };
            self.story.about(managed, &action, &reason);
            self.follow_socket(key);
            // Whoever carries on after a kill has to know what may have been done.
            self.write_down(key);
            let changes_lists = matches!(
                action,
                Action::Add(_) | Action::Remove(_) | Action::SetPeerPrimary(_) | Action::Swap { .. }
            );
            let result = self.act(key, &action);
            if result.is_ok() {
                self.note_unseen(key, &action);
            }
            let Some(managed) = self.associations.get_mut(&key) else { return };
            if let Err(error) = result {
                self.story.failed(managed, &action, &error);
                managed.planner.handle(Instant::now(), Input::Failed(action));
            } else if changes_lists {
                self.refresh(key);
            }
        }
        self.note_state(key);
        self.write_down(key);
    }

    fn write_down(&mut self, key: Key) {
        if let Some(managed) = self.associations.get(&key) {
            self.host.write_down(key, managed.handle.pid, &managed.before, managed.planner.saved());
        }
    }

    /// Reads the kernel's lists again and tells the planner; an association that is gone is let go of later, by the
    /// survey.
    pub(super) fn refresh(&mut self, key: Key) {
        self.follow_socket(key);
        let Some(managed) = self.associations.get_mut(&key) else { return };
        let Ok(socket) = managed.handle.open() else { return };
        if let Ok(facts) = facts::read(socket.as_fd(), managed.assoc) {
            drop(socket);
            if facts != *managed.planner.facts() {
                managed.planner.handle(Instant::now(), Input::Facts(facts));
            }
        }
    }

    /// Notes since when an association stands as it does, how often and for how long it moved.
    fn note_state(&mut self, key: Key) {
        if let Some(managed) = self.associations.get_mut(&key)
            && managed.planner.state() != managed.stood
        {
            let now = Instant::now();
            managed.since = now;
            managed.stood = managed.planner.state();
            let facts = managed.planner.facts();
            let peers = facts.peers.iter().map(|&(peer, _)| peer);
            managed.course.stands(&mut self.tally, now, &managed.stood, &facts.local, peers);
            match managed.stood {
                State::Moving => {
                    managed.moving_since.get_or_insert(now);
                }
                State::Settled => {
                    let was_stranded = std::mem::take(&mut managed.was_stranded);
                    if let Some(since) = managed.moving_since.take() {
                        managed.moves += 1;
                        managed.last_move_ms = u64::try_from(now.duration_since(since).as_millis()).ok();
                        let took = managed.last_move_ms.unwrap_or(u64::MAX);
                        self.story.stands(managed, "settled", &format!("it has moved within {took} ms"));
                    } else if was_stranded {
                        self.story.stands(managed, "settled", "one of its addresses is usable again");
                    }
                }
                State::Stranded => {
                    managed.was_stranded = true;
                    self.story.stands(managed, "stranded", "none of its addresses is usable");
                }
                State::Changing => {}
            }
        }
    }

    pub(super) fn act(&mut self, key: Key, action: &Action) -> Result<(), String> {
        match action {
            Action::Hold { address, via } => self.host.hold(key, *address, *via),
            Action::Prepare(address) => {
                if self.associations.values().any(|other| other.planner.looks()) {
                    return Err("another socket looks, and would take it for a new address".into());
                }
                let held = self.host.hold(key, *address, None);
                self.host.let_events_rest();
                held
            }
            Action::Release(address) => {
                if self.host.release(key, *address)? {
                    self.host.let_events_rest();
                }
                self.let_vanish(None, *address).map(|_| ())
            }
            Action::Rules(rules) => self.host.rules(key, rules.clone()),
            Action::Remove(address) => self.remove(key, *address),
            Action::MakeEvent(address) => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                managed.copies.push(*address);
                self.host.copy(*address)
            }
            Action::EventsOff => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let copies = std::mem::take(&mut managed.copies);
                on_socket(managed, |fd, _| sockopt::set_auto_asconf(fd, false))?;
                for address in copies {
                    self.host.uncopy(address)?;
                }
                Ok(())
            }
            Action::Add(address) => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let port = managed.local_port;
                match managed.binding {
                    Binding::Explicit => {
                        on_socket(managed, |fd, assoc| act::ask_to_add(fd, assoc, *address, port))
                    }
                    Binding::Wildcard => {
                        if self.host.events_must_rest(Instant::now()) {
                            return Err("address events made a moment ago have to pass first".into());
                        }
                        on_socket(managed, |fd, _| sockopt::set_auto_asconf(fd, true))
                    }
                }
            }
            Action::SetPeerPrimary(address) => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let own = SocketAddr::new(*address, managed.local_port);
                on_socket(managed, |fd, assoc| act::ask_to_prefer(fd, assoc, own))
            }
            Action::Heartbeat(address) => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let peer = SocketAddr::new(*address, managed.peer_port);
                on_socket(managed, |fd, assoc| sockopt::heartbeat_now(fd, assoc, peer))
            }
            Action::Nudge { peer, left } => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let peer = SocketAddr::new(*peer, managed.peer_port);
                on_socket(managed, |fd, assoc| act::nudge(fd, assoc, peer, *left))
            }
            Action::SendTo { peer, alone } => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let peer = SocketAddr::new(*peer, managed.peer_port);
                on_socket(managed, |fd, assoc| act::send_to(fd, assoc, peer, *alone))
            }
            Action::Timers(timers) => {
                let offline = self.config.agent.offline.as_secs();
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let before = managed.before.clone();
                on_socket(managed, |fd, assoc| act::timers(fd, assoc, &before, *timers, offline))
            }
            Action::Swap { old, new } => {
                let Some(managed) = self.associations.get_mut(&key) else { return Ok(()) };
                let port = managed.local_port;
                on_socket(managed, |fd, assoc| act::swap(fd, assoc, *old, *new, port))
            }
        }
    }

    fn remove(&mut self, key: Key, address: IpAddr) -> Result<(), String> {
        let Some(managed) = self.associations.get(&key) else { return Ok(()) };
        // A socket's addresses are those of all its associations: one that still needs this one as its source would
        // fall silent for good.
        let inode = managed.handle.inode;
        let needed = self.associations.iter().any(|(other, others)| {
            *other != key
                && others.handle.inode == inode
                && others.planner.facts().local.contains(&address)
                && matches!(others.planner.state(), State::Moving | State::Stranded)
        });
        if needed {
            return Err("other associations of the socket still need it".into());
        }
        let port = managed.local_port;
        match managed.binding {
            Binding::Explicit => on_socket(managed, |fd, assoc| act::ask_to_remove(fd, assoc, address, port)),
            Binding::Wildcard => {
                if self.host.events_must_rest(Instant::now()) {
                    return Err("address events made a moment ago have to pass first".into());
                }
                self.host.depart(key, address);
                if !self.let_vanish(Some(key), address)?
                    && let Some(managed) = self.associations.get_mut(&key)
                {
                    managed.planner.handle(Instant::now(), Input::Postponed(address));
                }
                Ok(())
            }
        }
    }

    /// The copy of an address on lo vanishes once all associations that hold it want to see that; returns whether it
    /// does. The kernel makes one event of it, at which all their sockets have to look: had one of them to repeat it
    /// alone, it would undo the event that another waits for. `asks`: who need not be told.
    fn let_vanish(&mut self, asks: Option<Key>, address: IpAddr) -> Result<bool, String> {
        let holders = self.host.holders(address);
        let ready = |holder: &Key| {
            self.host.departs(*holder, address)
                && self.associations.get(holder).is_some_and(|managed| {
                    !matches!(managed.planner.state(), State::Moving | State::Stranded)
                })
        };
        if holders.is_empty() || self.host.events_must_rest(Instant::now()) || !holders.iter().all(ready) {
            return Ok(false);
        }
        let look = |managed: &Managed| on_socket(managed, |fd, _| sockopt::set_auto_asconf(fd, true));
        // Whoever asks first: if it cannot look, nothing has happened yet.
        if let Some(managed) = asks.and_then(|key| self.associations.get(&key)) {
            look(managed)?;
        }
        for holder in holders.iter().filter(|holder| asks != Some(**holder)) {
            let Some(managed) = self.associations.get_mut(holder) else { continue };
            match look(managed) {
                Ok(()) => managed.planner.handle(Instant::now(), Input::Vanishes(address)),
                Err(error) => tracing::debug!(key = ?holder, error, "cannot look at an address event"),
            }
        }
        for holder in &holders {
            self.host.release(*holder, address)?;
        }
        for holder in holders.into_iter().filter(|holder| asks != Some(*holder)) {
            self.carry_out(holder);
        }
        Ok(true)
    }
}

/// Opens the association's socket for one act.
fn on_socket(
    managed: &Managed,
    act: impl FnOnce(std::os::fd::BorrowedFd<'_>, sockopt::AssocId) -> std::io::Result<()>,
) -> Result<(), String> {
    let socket = managed.handle.open().map_err(|error| error.to_string())?;
    act(socket.as_fd(), managed.assoc).map_err(|error| error.to_string())
}
