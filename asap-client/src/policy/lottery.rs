//! What all policies share that draw members by chance: sampling without replacement over a tree of weights.

use std::collections::BTreeMap;
use std::fmt;

use super::{Circle, Selection};
use crate::random::below;
use crate::wire::Policy;

/// A member's values, and the chance that they give it.
pub(super) trait Weigh: Copy + fmt::Debug + Send + Sync + 'static {
    /// Whether being returned changes a member's weight.
    const DEGRADES: bool = false;

    /// The values in a policy of this type; `None`: it is of another.
    fn read(policy: &Policy) -> Option<Self>;

    /// Its chance in relation to the others'; 0: none. `returned` tells how often it was returned since it
    /// registered last.
    fn weight(&self, returned: u64) -> u32;
}

/// Full load or whole weight less what is to come off, but never nothing: 0 would mean no service.
pub(super) fn what_is_left(whole: u32, less: u128) -> u32 {
    u32::try_from(u128::from(whole).saturating_sub(less)).unwrap_or(u32::MAX).max(1)
}

/// Sums of weights over ranges of places (a Fenwick tree). Place i is at index i.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// At index i: the sum over the places from i + 1 - s to i, s being the lowest bit of i + 1.
    tree: Vec<u64>,
    total: u64,
}

fn lowest_bit(n: usize) -> usize {
    n & n.wrapping_neg()
}

impl Sums {
    fn push(&mut self, weight: u32) {
        let end = self.tree.len() + 1;
        let start = end - lowest_bit(end);
        let mut sum = u64::from(weight);
        let mut part = end - 1;
        while part > start {
            sum += self.tree.get(part - 1).copied().unwrap_or(0);
            part -= lowest_bit(part);
        }
        self.tree.push(sum);
        self.total += u64::from(weight);
    }

    /// Takes the last place away.
    fn pop(&mut self, weight: u32) {
        self.tree.pop();
        self.total -= u64::from(weight);
    }

    fn change(&mut self, place: usize, from: u32, to: u32) {
        let change = |sum: &mut u64| *sum = *sum + u64::from(to) - u64::from(from);
        let mut end = place + 1;
        while let Some(sum) = self.tree.get_mut(end - 1) {
            change(sum);
            end += lowest_bit(end);
        }
        change(&mut self.total);
    }

    /// The place into which `target` falls when the weights are put in a row; below the total.
    fn find(&self, mut target: u64) -> usize {
        let mut place = 0;
        let mut step = self.tree.len().checked_ilog2().map_or(0, |bits| 1 << bits);
        while step > 0 {
            if let Some(sum) = self.tree.get(place + step - 1)
                && *sum <= target
            {
                target -= sum;
                place += step;
            }
            step /= 2;
        }
        place
    }
}

#[derive(Clone, Copy, Debug)]
struct Ticket<W> {
    member: u32,
    values: W,
    returned: u64,
}

impl<W: Weigh> Ticket<W> {
    fn weight(&self) -> u32 {
        self.values.weight(self.returned)
    }
}

/// Members, each with its chance.
#[derive(Clone, Debug)]
pub(super) struct Lottery<W> {
    places: BTreeMap<u32, usize>,
    tickets: Vec<Ticket<W>>,
    sums: Sums,
}

impl<W> Default for Lottery<W> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), tickets: Vec::new(), sums: Sums::default() }
    }
}

impl<W: Weigh> Lottery<W> {
    fn change(&mut self, place: usize, change: impl FnOnce(&mut Ticket<W>)) {
        if let Some(ticket) = self.tickets.get_mut(place) {
            let before = ticket.weight();
            change(ticket);
            self.sums.change(place, before, ticket.weight());
        }
    }
}

impl<W: Weigh> Selection for Lottery<W> {
    fn set(&mut self, member: u32, policy: &Policy) {
        let Some(values) = W::read(policy) else { return self.remove(member) };
        let ticket = Ticket { member, values, returned: 0 };
        match self.places.get(&member) {
            Some(place) => self.change(*place, |before| *before = ticket),
            None => {
                self.places.insert(member, self.tickets.len());
                self.tickets.push(ticket);
                self.sums.push(ticket.weight());
            }
        }
    }

    /// The last one takes the place of the one that leaves.
    fn remove(&mut self, member: u32) {
        let Some(place) = self.places.remove(&member) else { return };
        let Some(last) = self.tickets.pop() else { return };
        self.sums.pop(last.weight());
        if last.member != member {
            self.places.insert(last.member, place);
            self.change(place, |ticket| *ticket = last);
        }
    }

    /// Who was drawn is put aside until the draw is over.
    fn choose(&mut self, _: &dyn Circle, count: usize, random: &mut dyn FnMut() -> u64) -> Vec<u32> {
        let mut drawn = Vec::with_capacity(count.min(self.tickets.len()));
        while drawn.len() < count && self.sums.total > 0 {
            let place = self.sums.find(below(random(), self.sums.total));
            let Some(ticket) = self.tickets.get(place) else { break };
            self.sums.change(place, ticket.weight(), 0);
            drawn.push(place);
        }
        let tickets = &self.tickets;
        let members = drawn.into_iter().filter_map(|place| {
            let ticket = tickets.get(place)?;
            self.sums.change(place, 0, ticket.weight());
            Some(ticket.member)
        });
        members.collect()
    }

    fn returned(&mut self, _: &dyn Circle, named: &[u32]) {
        if W::DEGRADES {
            for member in named {
                if let Some(place) = self.places.get(member) {
                    self.change(*place, |ticket| ticket.returned += 1);
                }
            }
        }
    }

    fn boxed_clone(&self) -> Box<dyn Selection> {
        Box::new(self.clone())
    }
}
