//! What the service loop is told to do from outside.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;

/// What to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Hand the elements to other registrars, and say when it is over.
    Drain { patience: Duration, answer: oneshot::Sender<Drained> },
    /// Take over what can be changed.
    Reload(Box<Config>),
}

/// How a drain ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Drained {
    /// All elements have another home, and the registrar stops.
    Done {
        /// How many were handed over.
        handed_over: usize,
    },
    /// The time is over, and the registrar stops.
    TimedOut {
        /// How many were handed over.
        handed_over: usize,
        /// How many were not.
        left: usize,
    },
    /// It was not begun, and the registrar goes on.
    Refused {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { handed_over } => {
                write!(f, "handed over all elements, {handed_over} of them; the registrar stops")
            }
            Self::TimedOut { handed_over, left } => write!(
                f,
                "timed out: handed over {handed_over} elements, {left} are left to be taken over; the registrar stops"
            ),
            Self::Refused { why } => write!(f, "not drained: {why}; the registrar goes on"),
        }
    }
}

/// Gives a running server another configuration.
#[derive(Clone, Debug)]
pub struct Reloader(pub(super) mpsc::Sender<Command>);

impl Reloader {
    /// What can be changed while it runs, changes; what cannot is named in the log. Does nothing when the server has
    /// ended.
    pub async fn reload(&self, config: Config) {
        let _ = self.0.send(Command::Reload(Box::new(config))).await;
    }
}
