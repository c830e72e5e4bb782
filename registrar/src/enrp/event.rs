//! What happened between registrars, for logs; and how often, for counters.

use std::fmt;

use asap_client::wire::PoolHandle;
use serde::{Deserialize, Serialize};

use super::wire::Profile;
use crate::Association;
use crate::faults::{Counter, Faults};

/// Why an association with a peer is ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are as many associations as there may be.
    TooMany,
    /// It speaks for more than one registrar, or for one that speaks elsewhere.
    Identity,
    /// It never said for which registrar it speaks.
    Nameless,
    /// The registrar at its other end seems dead: what it still has queued must not come later.
    Dead,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "too many associations or registrars",
            Self::Identity => "it speaks for a registrar that is another's",
            Self::Nameless => "it never said for which registrar it speaks",
            Self::Dead => "its registrar seems dead",
        })
    }
}

/// Something that happened, for the log. Registrars are named by their identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the registrars, pools and elements that the variants' texts name"
)]
pub enum Event {
    /// The handlespace is as complete as it can be: `mentor` gave it, or nobody was there.
    Ready { mentor: Option<u32> },
    /// A registrar is known now.
    PeerUp { peer: u32 },
    /// A registrar that was believed dead has spoken again.
    PeerBack { peer: u32 },
    /// A registrar is silent and was asked.
    PeerSilent { peer: u32 },
    /// A registrar does not answer.
    PeerDead { peer: u32 },
    /// We took over the elements of `target`.
    TookOver { target: u32, elements: usize },
    /// `by` took over the elements of `target`.
    TakenOver { target: u32, by: u32, elements: usize },
    /// Our elements are being handed to other registrars.
    Draining { elements: usize },
    /// That is over; `left` elements are still ours.
    Drained { handed_over: usize, left: usize },
    /// `by` wants to have taken over `target`, which lives.
    TakeoverRefused { target: u32, by: u32 },
    /// The tables of a peer and ours disagree; it is asked for its elements.
    Resync { peer: u32 },
    /// The elements that `peer` does not own any more were removed.
    Purged { peer: u32, elements: usize },
    /// `by` claims an element that lives here, or with a registrar that lives.
    Claimed { handle: PoolHandle, id: u32, by: u32 },
    /// An element that was ours is `by`'s now.
    Conceded { handle: PoolHandle, id: u32, by: u32 },
    /// What a peer does shows how it reads the RFCs.
    ProfileFound { peer: u32, profile: Profile },
    /// An association speaks for a registrar that is another's, or for us.
    Impostor { association: Association, claimed: u32 },
    /// A peer sent something that is not ENRP, or what cannot be done.
    Malformed { association: Association, what: String },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { mentor: Some(mentor) } => {
                write!(f, "in service, with the handlespace of registrar {mentor:#010x}")
            }
            Self::Ready { mentor: None } => f.write_str("in service, without a mentor"),
            Self::PeerUp { peer } => write!(f, "registrar {peer:#010x} is a peer now"),
            Self::PeerBack { peer } => write!(f, "registrar {peer:#010x} is back"),
            Self::PeerSilent { peer } => write!(f, "registrar {peer:#010x} is silent, and asked"),
            Self::PeerDead { peer } => write!(f, "registrar {peer:#010x} does not answer"),
            Self::TookOver { target, elements } => {
                write!(f, "took over {elements} elements of registrar {target:#010x}")
            }
            Self::TakenOver { target, by, elements } => {
                write!(f, "registrar {by:#010x} took over {elements} elements of registrar {target:#010x}")
            }
            Self::Draining { elements } => write!(f, "handing {elements} elements to other registrars"),
            Self::Drained { handed_over, left: 0 } => {
                write!(f, "handed over all elements, {handed_over} of them")
            }
            Self::Drained { handed_over, left } => {
                write!(f, "handed over {handed_over} elements; {left} were not taken in time")
            }
            Self::TakeoverRefused { target, by } => {
                write!(f, "registrar {by:#010x} wants to take over registrar {target:#010x}, which lives")
            }
            Self::Resync { peer } => {
                write!(f, "registrar {peer:#010x} owns other elements than we know; asking for them")
            }
            Self::Purged { peer, elements } => {
                write!(f, "{elements} elements are registrar {peer:#010x}'s no more; removed")
            }
            Self::Claimed { handle, id, by } => write!(
                f,
                "registrar {by:#010x} claims element {id:#010x} of pool {handle}, which is another's"
            ),
            Self::Conceded { handle, id, by } => {
                write!(f, "element {id:#010x} of pool {handle} is registrar {by:#010x}'s now")
            }
            Self::ProfileFound { peer, profile } => {
                write!(f, "registrar {peer:#010x} reads the RFCs as {profile:?} does")
            }
            Self::Impostor { association, claimed } => write!(
                f,
                "association {association} speaks for registrar {claimed:#010x}, which speaks elsewhere"
            ),
            Self::Malformed { association, what } => write!(f, "ENRP association {association}: {what}"),
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
    /// Answers to what was not asked; ignored.
    pub unexpected: u64,
    /// Messages to another registrar, from ourselves, or from an impostor; dropped.
    pub misdirected: u64,
    /// ERRORs that came; never answered.
    pub errors_received: u64,
    /// ERRORs sent.
    pub errors_sent: u64,
    /// HANDLE_UPDATEs that came and were followed.
    pub updates: u64,
    /// HANDLE_UPDATEs dropped since they came too fast.
    pub updates_dropped: u64,
    /// Updates and table entries refused: not the sender's own element, or it does not fit.
    pub updates_refused: u64,
    /// HANDLE_UPDATEs sent, to each peer.
    pub updates_sent: u64,
    /// Checksums that disagreed.
    pub checksum_mismatches: u64,
    /// Resynchronisations begun.
    pub resyncs: u64,
    /// Elements removed since their home owns them no more.
    pub purged: u64,
    /// Handle tables served to the end.
    pub tables_served: u64,
    /// Registrars that we took over.
    pub takeovers: u64,
    /// Elements that another registrar claimed.
    pub claims: u64,
    /// Claims that were answered by announcing the element again.
    pub claims_refuted: u64,
    /// Elements of ours that moved to another registrar.
    pub conceded: u64,
}

impl Counters {
    /// All of them, each with its name and what it counts.
    pub fn named(&self) -> Vec<Counter> {
        // Taken apart without `..`, so that none is forgotten here.
        let Self {
            messages,
            faults,
            unexpected,
            misdirected,
            errors_received,
            errors_sent,
            updates,
            updates_dropped,
            updates_refused,
            updates_sent,
            checksum_mismatches,
            resyncs,
            purged,
            tables_served,
            takeovers,
            claims,
            claims_refuted,
            conceded,
        } = *self;
        let counter = Counter::new;
        let others = [
            counter("unexpected", "Answers to what was not asked; ignored", unexpected),
            counter(
                "misdirected",
                "Messages to another registrar, from ourselves, or from an impostor; dropped",
                misdirected,
            ),
            counter("errors_received", "ERRORs that came", errors_received),
            counter("errors_sent", "ERRORs sent", errors_sent),
            counter("updates", "HANDLE_UPDATEs that came and were followed", updates),
            counter("updates_dropped", "HANDLE_UPDATEs dropped since they came too fast", updates_dropped),
            counter(
                "updates_refused",
                "Updates and table entries refused: not the sender's own element, or it does not fit",
                updates_refused,
            ),
            counter("updates_sent", "HANDLE_UPDATEs sent, to each peer", updates_sent),
            counter("checksum_mismatches", "Checksums that disagreed", checksum_mismatches),
            counter("resyncs", "Resynchronisations begun", resyncs),
            counter("purged", "Elements removed since their home owns them no more", purged),
            counter("tables_served", "Handle tables served to the end", tables_served),
            counter("takeovers", "Registrars that we took over", takeovers),
            counter("claims", "Elements that another registrar claimed", claims),
            counter(
                "claims_refuted",
                "Claims that were answered by announcing the element again",
                claims_refuted,
            ),
            counter("conceded", "Elements of ours that moved to another registrar", conceded),
        ];
        let messages = counter("messages", "Messages that came", messages);
        [messages].into_iter().chain(faults.named()).chain(others).collect()
    }
}
