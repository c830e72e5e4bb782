//! Taking another configuration over while associations live.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::Daemon;
use super::report::report;
use crate::associations::{Key, Managed, act};
use crate::config::{Config, Loaded, Role, SocketFacts};
use crate::control::{ChangeReport, ConfigurationReport, Failure, FailureCode, ReloadReport};
use crate::handover::State;

impl Daemon {
    /// Reads the configuration again and takes it over. With `drop` also if associations suffer.
    ///
    /// # Errors
    /// The new one has a mistake, or associations would suffer; then nothing has changed.
    pub(super) fn reload(&mut self, drop: bool) -> Result<ReloadReport, Failure> {
        super::notify::reloading();
        let outcome = self.try_reload(drop);
        super::notify::ready();
        match &outcome {
            Ok(report) => {
                for change in &report.changes {
                    let origin = change.origin.as_deref().unwrap_or("said no more");
                    let waits = if change.applied { "" } else { ", from the next start on" };
                    let now = change.new.as_deref().unwrap_or("nothing");
                    self.story.configured(&format!("{} is {now} now{waits}", change.key), origin);
                }
                if report.changes.is_empty() {
                    self.story.configured("nothing has changed", "the configuration was read again");
                }
            }
            Err(failure) => {
                self.story.warn(&format!("the configuration stays as it was: {}", failure.message));
            }
        }
        outcome
    }

    fn try_reload(&mut self, drop: bool) -> Result<ReloadReport, Failure> {
        let loaded = match self.sources.load() {
            Ok(loaded) => loaded,
            Err(error) => {
                self.mistake =
                    Some(format!("{error}; what was read before holds; `roam reload` once it is mended"));
                return Err(Failure::new(FailureCode::Configuration, error.to_string()));
            }
        };
        self.mistake = None;
        let (loaded, differences) = self.loaded.reloaded(loaded);
        let (left, stranded) = self.victims(&loaded.config);
        let suffer = !left.is_empty() || !stranded.is_empty();
        if suffer && !drop {
            let list = |what: &str, keys: &[Key]| {
                let named = keys.iter().filter_map(|key| self.associations.get(key)).map(name);
                named.map(|name| format!("\n  {what}: {name}")).collect::<String>()
            };
            let text = format!(
                "live associations would suffer:{}{}\n`roam reload --drop` takes it over nevertheless",
                list("left alone", &left),
                list("without an address", &stranded)
            );
            return Err(Failure::new(FailureCode::WouldDrop, text));
        }
        let dropped = left.iter().filter_map(|key| self.associations.get(key)).map(report).collect();
        self.take_over(loaded, left)?;
        Ok(ReloadReport {
            files: self.file_names(),
            changes: differences.into_iter().map(|(it, applied)| ChangeReport::new(it, applied)).collect(),
            dropped,
        })
    }

    /// The associations that would be left alone with another configuration, and those that would lose their last
    /// usable address by it.
    fn victims(&self, new: &Config) -> (Vec<Key>, Vec<Key>) {
        let names = |config: &Config, managed: &Managed| {
            config.manages(&SocketFacts {
                local_port: managed.local_port,
                pid: managed.handle.pid,
                uid: managed.uid,
                executable: managed.executable.as_deref(),
            })
        };
        let by_hand = |managed: &Managed| {
            let hand = self.by_hand.get(&managed.handle.pid);
            managed.handle.given.is_some()
                || hand.is_some_and(|hand| hand.only.is_none_or(|user| user == managed.uid))
        };
        // What kind an interface is of is not known here: what a name alone takes away is seen.
        let admits = |config: &Config, interface: &str| {
            config.interfaces.admits(interface) && config.standing(interface, "?").role != Role::Never
        };
        let usable = |v6: bool, config: &Config| {
            self.view.usable().any(|it| it.address.is_ipv6() == v6 && admits(config, &it.interface))
        };
        let loses = |managed: &Managed| {
            let families = [false, true]
                .into_iter()
                .filter(|v6| managed.planner.facts().peers.iter().any(|(peer, _)| peer.is_ipv6() == *v6));
            let mut families = families.filter(|v6| usable(*v6, &self.config)).peekable();
            families.peek().is_some() && !families.any(|v6| usable(v6, new))
        };
        let (mut left, mut stranded) = (Vec::new(), Vec::new());
        for (key, managed) in &self.associations {
            if !by_hand(managed) && !names(new, managed) {
                left.push(*key);
            } else if managed.add_ip && managed.planner.state() != State::Stranded && loses(managed) {
                stranded.push(*key);
            }
        }
        (left, stranded)
    }

    fn take_over(&mut self, loaded: Loaded, left: Vec<Key>) -> Result<(), Failure> {
        let old = Arc::clone(&self.config);
        let new = Arc::new(loaded.config.clone());
        self.config = Arc::clone(&new);
        self.loaded = loaded;
        for key in left {
            self.let_go(key, "the configuration names it no more", true);
        }
        self.unmanageable.clear();
        self.monitor.set_config(&new);
        if old.agent.offline != new.agent.offline || old.agent.grace != new.agent.grace {
            self.retune(&new);
        }
        let located = self.locate.reconfigure(&old, &new);
        let known = |handle: &String| new.peers.iter().any(|peer| peer.handle == *handle);
        self.located.retain(|handle, _| known(handle));
        self.urged.retain(known);
        self.look_around();
        self.followed = None;
        self.follow();
        located.map_err(|error| {
            let text = format!("pool elements and peers could not all be taken over: {error}; restart roamd");
            Failure::new(FailureCode::Failed, text)
        })
    }

    /// Gives living associations the new limits. Those without an address get them when they have one again.
    fn retune(&mut self, new: &Config) {
        for (key, managed) in &mut self.associations {
            managed.planner.set_grace(new.agent.grace);
            if matches!(managed.planner.state(), State::Moving | State::Stranded) {
                continue;
            }
            let offline = new.agent.offline.as_secs();
            let tuned = managed.handle.open().map_err(|error| error.to_string()).and_then(|socket| {
                let tuned = act::tune(socket.as_fd(), managed.assoc, &managed.before, offline);
                tuned.map_err(|error| error.to_string())
            });
            if let Err(error) = tuned {
                tracing::warn!(?key, error, "the association keeps its old limits");
            }
        }
    }

    /// What holds.
    pub(super) fn configuration(&self) -> ConfigurationReport {
        ConfigurationReport::new(self.file_names(), &self.loaded.effective)
    }

    fn file_names(&self) -> Vec<String> {
        self.loaded.files.iter().map(|file| file.display().to_string()).collect()
    }
}

/// What people call an association: process, ports, program.
fn name(managed: &Managed) -> String {
    let program =
        managed.executable.as_ref().map_or_else(|| "?".to_owned(), |path| path.display().to_string());
    format!("{}:{}-{} ({program})", managed.handle.pid, managed.local_port, managed.peer_port)
}
