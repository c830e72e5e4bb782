//! Own pool elements kept registered where they really are; peers found where the registrar says that they are.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use super::Daemon;
use crate::associations::Key;
use crate::handover::{Input, State};
use crate::locate::{Located, Program};

impl Daemon {
    /// Tells the registrar's client what has changed: where the host is, and which programs listen.
    pub(super) fn follow(&mut self) {
        let listening = self.listeners.values().map(|listener| (listener.port, &listener.executable));
        // A program that only connects serves its peer, too, as long as it has an association.
        let connected = self.associations.values().map(|managed| (managed.local_port, &managed.executable));
        let programs: BTreeSet<_> = listening.chain(connected).collect();
        let program =
            |(port, executable): (u16, &Option<PathBuf>)| Program { port, executable: executable.clone() };
        let programs: Vec<Program> = programs.into_iter().map(program).collect();
        let usable = self.narrow.look(Instant::now(), !self.locate.is_looking(), &self.offer.usable);
        let now = (usable, programs);
        if self.followed.as_ref() != Some(&now) {
            self.locate.follow(&now.0, &now.1);
            self.followed = Some(now);
        }
        self.urge();
    }

    /// A registrar that does not push is asked again only while somebody waits for the answer.
    fn urge(&mut self) {
        for peer in &self.config.peers {
            let waits = self.associations.values().any(|managed| {
                peer.port.is_none_or(|port| port == managed.peer_port)
                    && matches!(managed.planner.state(), State::Moving | State::Stranded)
            });
            if self.urged.contains(&peer.handle) != waits {
                self.locate.urge(&peer.handle, waits);
                if waits {
                    self.urged.insert(peer.handle.clone());
                } else {
                    self.urged.remove(&peer.handle);
                }
            }
        }
    }

    /// The registrar has said where a peer is.
    pub(super) fn located(&mut self, located: Located) {
        let Located { handle, port, addresses } = located;
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let text = if list.is_empty() {
            "nobody is registered".to_owned()
        } else {
            format!("is at {}", list.join(", "))
        };
        self.story.handle(&handle, &text);
        self.host.note_met(&handle, &addresses);
        self.located.insert(handle, (addresses, port));
        let keys: Vec<Key> = self.associations.keys().copied().collect();
        for key in keys {
            if let Some(addresses) = self.where_is_peer_of(&key) {
                self.tell(key, Input::Located(addresses));
            }
        }
    }
}
