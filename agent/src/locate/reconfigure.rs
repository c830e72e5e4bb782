//! Taking another configuration over while elements are registered and peers subscribed to.

use std::io;

use super::{Locate, Own, PATIENCE, handle, random_identifier, registrar_client};
use crate::config::Config;
use crate::journal::Entry;

impl Locate {
    /// From now on `new` holds, in place of `old`. What is the same in both is not touched; where the registrars are
    /// others, this host's elements leave the old ones' pools and join anew. Call [`Locate::follow`] after it: new
    /// elements have no program yet.
    ///
    /// # Errors
    /// The journal cannot be written, or the kernel gives no random numbers; what has been taken over until then holds.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn reconfigure(&mut self, old: &Config, new: &Config) -> io::Result<()> {
        if old.registrars != new.registrars {
            self.leave()?;
            self.client = registrar_client(&new.registrars);
            self.home = None;
        }
        self.keep_elements(new)?;
        self.keep_peers(new)
    }

    /// Leaves the registrars, in the background.
    fn leave(&mut self) -> io::Result<()> {
        if let Some((client, events)) = self.client.take() {
            drop(events);
            tokio::spawn(client.close(PATIENCE));
        }
        // The new registrars may share their handlespace with the old ones: what is taken out there must not be what is
        // registered here.
        for entry in self.elements.drain(..).filter_map(|own| own.entry) {
            self.journal.forget(entry)?;
        }
        self.peers.clear();
        self.told.clear();
        self.news.clear();
        Ok(())
    }

    fn keep_elements(&mut self, new: &Config) -> io::Result<()> {
        let Some((client, _)) = &self.client else { return Ok(()) };
        let mut before = std::mem::take(&mut self.elements);
        for element in &new.elements {
            let same = before.iter().position(|own| own.config == *element);
            if let Some(same) = same {
                self.elements.push(before.remove(same));
                continue;
            }
            let id = random_identifier()?;
            let entry = self.journal.record(Entry::Element { handle: element.handle.clone(), id })?;
            self.elements.push(Own::new(element.clone(), handle(&element.handle)?, id, entry));
        }
        for own in before {
            if own.port.is_some() {
                client.deregister(own.handle, own.id);
            }
            if let Some(entry) = own.entry {
                self.journal.forget(entry)?;
            }
        }
        Ok(())
    }

    fn keep_peers(&mut self, new: &Config) -> io::Result<()> {
        let Some((client, _)) = &self.client else { return Ok(()) };
        let told = std::mem::take(&mut self.told);
        let before: Vec<_> = std::mem::take(&mut self.peers).into_iter().zip(told).collect();
        let known = |name: &str| before.iter().any(|(peer, _)| peer.handle == name);
        for peer in &new.peers {
            let same = before.iter().find(|(old, _)| old == peer);
            if same.is_none() {
                // Also for a handle that is subscribed to: the new entry has to hear what its pool holds now.
                if known(&peer.handle) {
                    client.unsubscribe(handle(&peer.handle)?);
                }
                client.subscribe(handle(&peer.handle)?);
            }
            self.told.push(same.and_then(|(_, told)| told.clone()));
            self.peers.push(peer.clone());
        }
        for (old, _) in &before {
            if !new.peers.iter().any(|peer| peer.handle == old.handle) {
                client.unsubscribe(handle(&old.handle)?);
            }
        }
        Ok(())
    }
}
