//! Networks that do what SCTP never does, and registrars with a defect: to show that it would be noticed.

use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};

use asap_client::wire::{Message, MessageType};
use roam_registrar::Association;
use roam_registrar::enrp::wire::{self as enrp, Body, UpdateAction};
use roam_registrar::machine::Registrar;

use super::network::Host;

/// What is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trick {
    /// Nothing.
    #[default]
    None,
    /// A new association between two registrars brings updates once more that came over an earlier one.
    Resurrect,
    /// Every so many acknowledgements of a keep-alive are lost for good.
    Deaf(u64),
    /// Registrars take their own elements out by the word of others, and those are not told.
    Credulous,
    /// Whoever has taken a registrar over does not listen to what that one says of its elements when it returns.
    Unmoved,
    /// Registrars announce for ever the checksum that they had at first.
    Stuck,
}

/// Every trick, and what is said of it when it is noticed.
pub(super) const TRICKS: [(Trick, &str); 5] = [
    (Trick::Resurrect, "is gone, no registrar has had it for long"),
    (Trick::Deaf(3), "takes out element"),
    (Trick::Credulous, "has forgotten"),
    (Trick::Unmoved, "not whole"),
    (Trick::Stuck, "hears checksum"),
];

/// So many updates are brought once more.
const MEMORY: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Mischief {
    trick: Trick,
    count: u64,
    /// The last updates from one host to another.
    kept: HashMap<(Host, Host), VecDeque<Bytes>>,
    /// Which registrar was taken over from which host.
    taken: HashSet<(u32, Host)>,
    /// The first checksum of each registrar.
    sums: HashMap<u32, u16>,
    /// Elements are not told that they are registered no more.
    pub(super) hushed: bool,
}

impl Mischief {
    pub(super) fn of(trick: Trick) -> Self {
        Self { trick, ..Self::default() }
    }

    /// A message comes to a host's port.
    pub(super) fn seen(&mut self, from: Option<Host>, to: Host, port: u16, bytes: &Bytes) {
        let is_update = port == enrp::PORT && bytes.first() == Some(&enrp::MessageType::HANDLE_UPDATE.0);
        if self.trick != Trick::Resurrect || !is_update {
            return;
        }
        let Some(from) = from else { return };
        let kept = self.kept.entry((from, to)).or_default();
        kept.push_back(bytes.clone());
        if kept.len() > MEMORY {
            kept.pop_front();
        }
    }

    /// What a new association brings of earlier ones.
    pub(super) fn haunting(&mut self, from: Host, to: Host) -> Vec<Bytes> {
        self.kept.get(&(from, to)).into_iter().flatten().cloned().collect()
    }

    /// What becomes of a message to a port of another host; `None`: it never comes.
    pub(super) fn pass(&mut self, from: Host, to: Host, port: u16, bytes: Bytes) -> Option<Bytes> {
        let is_enrp = port == enrp::PORT;
        let is = |type_: MessageType| !is_enrp && bytes.first() == Some(&type_.0);
        let comes = match self.trick {
            Trick::Deaf(every) if is(MessageType::ENDPOINT_KEEP_ALIVE_ACK) => {
                self.count += 1;
                !self.count.is_multiple_of(every.max(1))
            }
            Trick::Credulous => !(self.hushed && is(MessageType::DEREGISTRATION_RESPONSE)),
            Trick::Unmoved if is_enrp => self.is_listened_to(from, to, &bytes),
            Trick::Stuck if is_enrp => return Some(self.with_first_sum(&bytes).unwrap_or(bytes)),
            _ => true,
        };
        comes.then_some(bytes)
    }

    fn is_listened_to(&mut self, from: Host, to: Host, bytes: &[u8]) -> bool {
        let Ok(decoded) = enrp::decode(bytes) else { return true };
        let enrp::Message { sender, body, .. } = decoded.message;
        if let Body::TakeoverServer { target } = body {
            self.taken.insert((target, from));
        }
        let tells = matches!(body, Body::HandleUpdate { .. } | Body::HandleTableResponse { .. });
        !(tells && self.taken.contains(&(sender, to)))
    }

    fn with_first_sum(&mut self, bytes: &[u8]) -> Option<Bytes> {
        let mut message = enrp::decode(bytes).ok()?.message;
        let Body::Presence { checksum: Some(checksum), .. } = &mut message.body else { return None };
        *checksum = *self.sums.entry(message.sender).or_insert(*checksum);
        Some(message.encode().into())
    }

    /// What a registrar that believes everybody takes this for, and over which association: its own element says that
    /// it leaves.
    pub(super) fn believed(&self, machine: &Registrar, bytes: &[u8]) -> Option<(Association, Vec<u8>)> {
        if self.trick != Trick::Credulous {
            return None;
        }
        let Body::HandleUpdate { action: UpdateAction::Delete, handle, element, .. } =
            enrp::decode(bytes).ok()?.message.body
        else {
            return None;
        };
        let owner = machine.handlespace().pool(&handle)?.element(element.id)?.owner?;
        Some((owner, Message::Deregistration { handle, id: element.id }.encode()))
    }
}
