//! What happened, for logs; and how often, for counters.

use asap_client::wire::PoolHandle;
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::Association;
use crate::faults::{Counter, Faults};

/// Why an element left its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It deregistered.
    Deregistered,
    /// Its registration life ended.
    Expired,
    /// The association that owned it ended.
    OwnerLost,
    /// It did not answer a keep-alive in time.
    NoAnswer,
    /// More than MAX-BAD-PE-REPORT reports said that it cannot be reached.
    Reported,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deregistered => "it deregistered",
            Self::Expired => "its registration life ended",
            Self::OwnerLost => "its association ended",
            Self::NoAnswer => "it did not answer a keep-alive",
            Self::Reported => "too many reports that it cannot be reached",
        })
    }
}

/// Why an association is ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are as many associations as there may be, and all of them hold something.
    TooMany,
    /// It held nothing, and its place was needed.
    PlaceNeeded,
    /// Its element moved to another association, and it did not answer when asked.
    Displaced,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many associations",
            Self::PlaceNeeded => "it held nothing and its place was needed",
            Self::Displaced => "its element registered from elsewhere and it is silent",
        })
    }
}

/// Something that happened, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An element joined a pool.
    Registered {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
        /// Its owner.
        owner: Association,
    },
    /// An element registered again and looks different now, or came over another association.
    Reregistered {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
        /// Its owner from now on.
        owner: Association,
        /// Its owner before, if that was another.
        from: Option<Association>,
    },
    /// A registration was refused.
    Refused {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
        /// Who asked.
        association: Association,
        /// The cause code of the answer.
        cause: u16,
    },
    /// An element left its pool.
    Removed {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
        /// Why.
        why: Why,
    },
    /// An element was to be deregistered by a stranger; refused.
    NotDeregistered {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
        /// Who asked.
        association: Association,
    },
    /// Two live associations claim the same element.
    Contested {
        /// The pool.
        handle: PoolHandle,
        /// The element.
        id: u32,
        /// Its owner, which it stays.
        owner: Association,
        /// The other one.
        other: Association,
    },
    /// An association sent something that is not ASAP, or asked what cannot be done.
    Malformed {
        /// Who.
        association: Association,
        /// What was wrong.
        what: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered { handle, id, owner } => {
                write!(f, "element {id:#010x} joined pool {handle} over association {owner}")
            }
            Self::Reregistered { handle, id, owner, from: Some(from) } => {
                write!(f, "element {id:#010x} of pool {handle} moved from association {from} to {owner}")
            }
            Self::Reregistered { handle, id, owner, from: None } => {
                write!(f, "element {id:#010x} of pool {handle} changed, over association {owner}")
            }
            Self::Refused { handle, id, association, cause } => write!(
                f,
                "element {id:#010x} was not let into pool {handle}: cause {cause:#x}, association {association}"
            ),
            Self::Removed { handle, id, why } => write!(f, "element {id:#010x} left pool {handle}: {why}"),
            Self::NotDeregistered { handle, id, association } => write!(
                f,
                "element {id:#010x} of pool {handle} was not deregistered: association {association} is a stranger to it"
            ),
            Self::Contested { handle, id, owner, other } => write!(
                f,
                "element {id:#010x} of pool {handle} is claimed by two that live: by association {owner}, whose it \
                 stays, and by {other}"
            ),
            Self::Malformed { association, what } => write!(f, "association {association}: {what}"),
        }
    }
}

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Messages that came.
    pub messages: u64,
    /// Those that were not as they should be.
    #[serde(flatten)]
    pub faults: Faults,
    /// Messages that are not for a registrar, or answers to what was not asked; ignored.
    pub unexpected: u64,
    /// ASAP Errors that came; never answered.
    pub errors_received: u64,
    /// ASAP Errors sent.
    pub errors_sent: u64,
    /// Registrations accepted, new ones and renewals.
    pub registrations: u64,
    /// Registrations refused.
    pub registrations_refused: u64,
    /// Deregistrations accepted.
    pub deregistrations: u64,
    /// Deregistrations refused: by strangers to the element.
    pub deregistrations_refused: u64,
    /// Handle resolutions answered with elements.
    pub resolutions: u64,
    /// Handle resolutions for a pool that is not there.
    pub unknown_handles: u64,
    /// Subscriptions refused: there are as many as there may be.
    pub subscriptions_refused: u64,
    /// Unasked responses sent to subscribers.
    pub pushes: u64,
    /// Keep-alives sent.
    pub keep_alives: u64,
    /// Keep-alives answered.
    pub keep_alives_answered: u64,
    /// Elements removed since they did not answer.
    pub keep_alives_missed: u64,
    /// Elements removed at the end of their registration life.
    pub expired: u64,
    /// Elements removed since their association ended.
    pub owners_lost: u64,
    /// Reports that an element cannot be reached.
    pub unreachable_reports: u64,
    /// Elements removed after too many reports.
    pub reported: u64,
    /// Times that two live associations were seen to claim one element.
    pub contested: u64,
    /// Associations ended by us to keep within the limits, or since they were displaced.
    pub aborted: u64,
}

impl Counters {
    /// All of them, each with its name and what it counts.
    pub fn named(&self) -> Vec<Counter> {
        // Taken apart without `..`, so that none is forgotten here.
        let Self {
            messages,
            faults,
            unexpected,
            errors_received,
            errors_sent,
            registrations,
            registrations_refused,
            deregistrations,
            deregistrations_refused,
            resolutions,
            unknown_handles,
            subscriptions_refused,
            pushes,
            keep_alives,
            keep_alives_answered,
            keep_alives_missed,
            expired,
            owners_lost,
            unreachable_reports,
            reported,
            contested,
            aborted,
        } = *self;
        let counter = Counter::new;
        let others = [
            counter(
                "unexpected",
                "Messages that are not for a registrar, or answers to what was not asked; ignored",
                unexpected,
            ),
            counter("errors_received", "ASAP Errors that came; never answered", errors_received),
            counter("errors_sent", "ASAP Errors sent", errors_sent),
            counter("registrations", "Registrations accepted, new ones and renewals", registrations),
            counter("registrations_refused", "Registrations refused", registrations_refused),
            counter("deregistrations", "Deregistrations accepted", deregistrations),
            counter(
                "deregistrations_refused",
                "Deregistrations refused: by strangers to the element",
                deregistrations_refused,
            ),
            counter("resolutions", "Handle resolutions answered with elements", resolutions),
            counter("unknown_handles", "Handle resolutions for a pool that is not there", unknown_handles),
            counter(
                "subscriptions_refused",
                "Subscriptions refused: there are as many as there may be",
                subscriptions_refused,
            ),
            counter("pushes", "Unasked responses sent to subscribers", pushes),
            counter("keep_alives", "Keep-alives sent", keep_alives),
            counter("keep_alives_answered", "Keep-alives answered", keep_alives_answered),
            counter("keep_alives_missed", "Elements removed since they did not answer", keep_alives_missed),
            counter("expired", "Elements removed at the end of their registration life", expired),
            counter("owners_lost", "Elements removed since their association ended", owners_lost),
            counter("unreachable_reports", "Reports that an element cannot be reached", unreachable_reports),
            counter("reported", "Elements removed after too many reports", reported),
            counter(
                "contested",
                "Times that two live associations were seen to claim one element",
                contested,
            ),
            counter(
                "aborted",
                "Associations ended by us to keep within the limits, or since they were displaced",
                aborted,
            ),
        ];
        let messages = counter("messages", "Messages that came", messages);
        [messages].into_iter().chain(faults.named()).chain(others).collect()
    }
}
