//! Networks that do what SCTP never does: to show that it would be noticed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use asap_client::wire::MessageType;
use roam_registrar::enrp::wire as enrp;

use super::network::Host;

/// What a network does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trick {
    /// What SCTP does.
    #[default]
    None,
    /// A new association between two registrars brings updates once more that came over an earlier one.
    Resurrect,
    /// Every so many acknowledgements of a keep-alive are lost for good.
    Deaf(u64),
}

/// So many updates are brought once more.
const MEMORY: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Mischief {
    trick: Trick,
    count: u64,
    /// The last updates from one host to another.
    kept: HashMap<(Host, Host), VecDeque<Arc<[u8]>>>,
}

impl Mischief {
    pub(super) fn of(trick: Trick) -> Self {
        Self { trick, ..Self::default() }
    }

    /// A message comes to a host's port.
    pub(super) fn seen(&mut self, from: Option<Host>, to: Host, port: u16, bytes: &Arc<[u8]>) {
        let is_update = port == enrp::PORT && bytes.first() == Some(&enrp::MessageType::HANDLE_UPDATE.0);
        if self.trick != Trick::Resurrect || !is_update {
            return;
        }
        let Some(from) = from else { return };
        let kept = self.kept.entry((from, to)).or_default();
        kept.push_back(Arc::clone(bytes));
        if kept.len() > MEMORY {
            kept.pop_front();
        }
    }

    /// What a new association brings of earlier ones.
    pub(super) fn haunting(&mut self, from: Host, to: Host) -> Vec<Arc<[u8]>> {
        self.kept.get(&(from, to)).into_iter().flatten().cloned().collect()
    }

    /// Whether a message never comes to this port.
    pub(super) fn swallows(&mut self, port: u16, bytes: &[u8]) -> bool {
        let Trick::Deaf(every) = self.trick else { return false };
        let is_answer = port != enrp::PORT && bytes.first() == Some(&MessageType::ENDPOINT_KEEP_ALIVE_ACK.0);
        self.count += u64::from(is_answer);
        is_answer && self.count.is_multiple_of(every.max(1))
    }
}
