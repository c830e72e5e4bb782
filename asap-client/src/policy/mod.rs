//! Pool member selection policies (RFC 5356; those of draft-dreibholz-rserpool-delay and of rsplib beside them).
//!
//! A [`Selector`] keeps the members of one pool in the order, or by the chances, that the pool's policy gives them.
//! Taking a member in, changing it or taking it out costs O(log n), naming k of n members O(k log n).
//!
//! Every policy has a file of its own. There are four ways to select, behind one trait:
//! - a circular list ([`RoundRobin`](Policy::RoundRobin)),
//! - a circular list with shares ([`WeightedRoundRobin`](Policy::WeightedRoundRobin)),
//! - a ranking, for the policies that name the best members in order,
//! - a lottery without replacement, for those that draw them.
//!
//! What the RFC leaves open is decided as follows:
//! - **Weight 0** means no service (3.2): such a member is never named, not even if the pool has no other.
//! - **A load of 100 %** in the randomised policies leaves the least chance, not none: the member does give service.
//! - **Round Robin among equals** holds for all rankings, and for each group of equals in a response by itself.
//! - **Sums** of loads, degradations and penalties are not capped: of two overloaded members, the less loaded is better.

mod least_used;
mod least_used_degradation;
mod least_used_degradation_dpf;
mod least_used_dpf;
mod lottery;
mod members;
mod priority;
mod priority_least_used;
mod priority_least_used_degradation;
mod random;
mod randomized_least_used;
mod randomized_least_used_degradation;
mod randomized_priority_least_used;
mod randomized_priority_least_used_degradation;
mod ranking;
mod round_robin;
mod weighted_random;
mod weighted_random_dpf;
mod weighted_round_robin;

use std::fmt;

use crate::wire::Policy;
use lottery::Lottery;
pub use members::{Members, Range};
use ranking::Ranking;
use round_robin::RoundRobin;

/// How the members of one pool are selected. Members are named by their pool element identifiers; what is kept of
/// them by others is `members`.
trait Selection: fmt::Debug + Send + Sync {
    /// A member registered, for the first time or again. One whose policy is of another type gets no service.
    fn set(&mut self, member: u32, policy: &Policy);

    /// A member left. One that is not there is no mistake.
    fn remove(&mut self, member: u32);

    /// At most `count` members, each once, in the order in which a response names them. It is nobody's turn yet:
    /// whether the choice was used is told to [`Self::returned`].
    fn choose(&mut self, members: &dyn Circle, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32>;

    /// A response named these members, which [`Self::choose`] has just given: turns move on, degradation grows.
    fn returned(&mut self, members: &dyn Circle, named: &[u32]);

    /// A copy of the whole.
    fn boxed_clone(&self) -> Box<dyn Selection>;
}

/// Members as a circular list in order of their identifiers.
trait Circle {
    /// Once round from the first that is not below `head`, but at most `count`. `place` is where that one may be, to
    /// find it without a search; afterwards it is where it was found.
    fn once_round(&self, head: u32, place: &mut u32, count: usize) -> Vec<u32>;

    /// The member behind one that was found at this place; itself, if there is no other.
    fn next_after(&self, member: u32, place: u32) -> u32;
}

/// The most common policy needs so little that a box would only be a detour.
#[derive(Debug)]
enum Way {
    RoundRobin(RoundRobin),
    Other(Box<dyn Selection>),
}

impl Way {
    fn selection(&mut self) -> &mut dyn Selection {
        match self {
            Self::RoundRobin(selection) => selection,
            Self::Other(selection) => selection.as_mut(),
        }
    }

    /// Where among the members the next one may be.
    fn place(&self) -> usize {
        match self {
            Self::RoundRobin(selection) => selection.place(),
            Self::Other(_) => 0,
        }
    }
}

impl Clone for Way {
    fn clone(&self) -> Self {
        match self {
            Self::RoundRobin(selection) => Self::RoundRobin(selection.clone()),
            Self::Other(selection) => Self::Other(selection.boxed_clone()),
        }
    }
}

/// The members of one pool, by its policy, each with what is known of it. Members are named by their pool element
/// identifiers.
#[derive(Clone, Debug)]
#[repr(C)] // The way behind the members.
pub struct Selector<T> {
    members: Members<T>,
    way: Way,
}

impl<T> Selector<T> {
    /// A selector without members for pools of this policy's type; its values do not matter. `None` if the type is
    /// not known here.
    pub fn new(policy: &Policy) -> Option<Self> {
        let selection: Box<dyn Selection> = match policy {
            Policy::RoundRobin => return Some(Self::default()),
            Policy::WeightedRoundRobin { .. } => Box::<weighted_round_robin::WeightedRoundRobin>::default(),
            Policy::Random => Box::<Lottery<random::Random>>::default(),
            Policy::WeightedRandom { .. } => Box::<Lottery<weighted_random::WeightedRandom>>::default(),
            Policy::Priority { .. } => Box::<Ranking<priority::Priority>>::default(),
            Policy::LeastUsed { .. } => Box::<Ranking<least_used::LeastUsed>>::default(),
            Policy::LeastUsedDegradation { .. } => {
                Box::<Ranking<least_used_degradation::LeastUsedDegradation>>::default()
            }
            Policy::PriorityLeastUsed { .. } => {
                Box::<Ranking<priority_least_used::PriorityLeastUsed>>::default()
            }
            Policy::RandomizedLeastUsed { .. } => {
                Box::<Lottery<randomized_least_used::RandomizedLeastUsed>>::default()
            }
            Policy::RandomizedPriorityLeastUsed { .. } => {
                Box::<Lottery<randomized_priority_least_used::RandomizedPriorityLeastUsed>>::default()
            }
            Policy::RandomizedLeastUsedDegradation { .. } => {
                Box::<Lottery<randomized_least_used_degradation::RandomizedLeastUsedDegradation>>::default()
            }
            Policy::PriorityLeastUsedDegradation { .. } => {
                Box::<Ranking<priority_least_used_degradation::PriorityLeastUsedDegradation>>::default()
            }
            Policy::RandomizedPriorityLeastUsedDegradation { .. } => Box::<
                Lottery<randomized_priority_least_used_degradation::RandomizedPriorityLeastUsedDegradation>,
            >::default(),
            Policy::WeightedRandomDpf { .. } => {
                Box::<Lottery<weighted_random_dpf::WeightedRandomDpf>>::default()
            }
            Policy::LeastUsedDpf { .. } => Box::<Ranking<least_used_dpf::LeastUsedDpf>>::default(),
            Policy::LeastUsedDegradationDpf { .. } => {
                Box::<Ranking<least_used_degradation_dpf::LeastUsedDegradationDpf>>::default()
            }
            Policy::Unknown { .. } => return None,
        };
        Some(Self { members: Members::default(), way: Way::Other(selection) })
    }

    /// The members in order of their identifiers.
    pub fn members(&self) -> &Members<T> {
        &self.members
    }

    /// What is known of a member, to change anything but its policy.
    pub fn get_mut(&mut self, member: u32) -> Option<&mut T> {
        self.members.get_mut(member)
    }

    /// Takes a member in, or what is new about it; gives back what was known before. Its degradation starts anew
    /// (RFC 5356, 5.2). A policy of another type than the selector's gets no service, except by Round Robin, which asks
    /// for no values.
    pub fn set(&mut self, member: u32, known: T, policy: &Policy) -> Option<T> {
        self.way.selection().set(member, policy);
        self.members.insert(member, known)
    }

    /// As [`Self::set`], of a member that is there: what is known of it, to put into it what is new. `None`: it is not there,
    /// and nothing has changed.
    pub fn renew(&mut self, member: u32, policy: &Policy) -> Option<&mut T> {
        let known = self.members.get_mut(member)?;
        self.way.selection().set(member, policy);
        Some(known)
    }

    /// Takes a member out.
    pub fn remove(&mut self, member: u32) -> Option<T> {
        self.way.selection().remove(member);
        self.members.remove(member)
    }

    /// Selects at most `count` members for a response, in its order, nobody twice. `random` gives 64 random bits at
    /// each call; only the randomised policies call it.
    pub fn select(&mut self, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        let named = self.peek(count, random);
        self.way.selection().returned(&self.members, &named);
        named
    }

    /// What is known of members that were just selected.
    pub fn named<'a>(&'a self, selected: &'a [u32]) -> impl Iterator<Item = (u32, &'a T)> {
        // The turn has moved on by one since, or it has not.
        let start = self.way.place().saturating_sub(1);
        let placed = selected.iter().zip(start..);
        placed.filter_map(|(member, place)| Some((*member, self.members.get_near(*member, place)?)))
    }

    /// What is known of the members whose turn is next, at most `count`, where a selector can tell that without a choice
    /// (Round Robin): to have it at hand when they are selected. They may be others that are named.
    pub fn next(&self, count: usize) -> impl Iterator<Item = &T> {
        self.members.ahead(self.way.place(), count)
    }

    /// As [`Self::select`], but it is nobody's turn yet: the next selection goes on as if this had not been.
    pub fn peek(&mut self, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.way.selection().choose(&self.members, count, random)
    }
}

/// Round Robin, which everybody has to support (RFC 5356, 4.1.1).
impl<T> Default for Selector<T> {
    fn default() -> Self {
        Self { members: Members::default(), way: Way::RoundRobin(RoundRobin::default()) }
    }
}

#[cfg(test)]
mod tests;
