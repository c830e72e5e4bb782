//! What the service is told to do from outside: to hand its elements over and stop, and to take up another
//! configuration.

use std::time::{Duration, Instant};
use tokio::sync::oneshot;

use super::Service;
use crate::config::Config;
use crate::driver::command::{Command, Drained};
use crate::driver::socket;

impl Service {
    pub(super) fn obey(&mut self, command: Command) {
        match command {
            Command::Drain { patience, answer } => self.begin_to_hand_over(patience, answer),
            Command::Reload(config) => self.reload(*config),
        }
    }

    fn begin_to_hand_over(&mut self, patience: Duration, answer: oneshot::Sender<Drained>) {
        let begun = match self.draining {
            Some(_) => Err("it is being drained already".to_owned()),
            None => self.registrar.drain(Instant::now(), patience).map_err(|error| error.to_string()),
        };
        match begun {
            Ok(()) => self.draining = Some(answer),
            // Who does not wait for the answer any more does not need it.
            Err(why) => drop(answer.send(Drained::Refused { why })),
        }
    }

    /// A drain is over: whoever asked for it hears of it, and stops the registrar.
    pub(super) fn handed_over(&mut self, handed_over: usize, left: usize) {
        let outcome = match left {
            0 => Drained::Done { handed_over },
            left => Drained::TimedOut { handed_over, left },
        };
        if let Some(answer) = self.draining.take() {
            drop(answer.send(outcome));
        }
    }

    /// Takes over what can be changed.
    fn reload(&mut self, config: Config) {
        let (config, fixed) = self.config.reloaded(config);
        for key in fixed {
            tracing::warn!("{key} has changed in the configuration; it is as before until the next start");
        }
        let identifier = self.registrar.asap().settings().server;
        let (asap, enrp) = (config.settings(identifier), config.enrp_settings(identifier));
        self.registrar.reconfigure(Instant::now(), asap, enrp);
        let limits = &config.limits;
        self.outstanding.set_bounds(limits.outstanding_octets_per_association, limits.outstanding_octets);
        for (_, socket) in &self.sockets {
            if let Err(error) = socket::set_timers(socket, &config.sctp) {
                tracing::warn!(%error, "the SCTP timers could not be changed");
            }
        }
        self.hosts.send_replace(config.http.hosts.clone());
        self.config = config;
        tracing::info!("the configuration was read again");
        self.feed.registrar("reloaded", "the configuration was read again");
    }
}
