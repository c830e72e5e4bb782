//! Which element of a pool is next (RFC 5352 §6.5.2, RFC 5356; RFC 5351 §4.1 calls it primary and next server).
//!
//! Of use by itself for programs that have their own connections: [`Candidates::set`] what was resolved,
//! [`Candidates::choose`] the primary, [`Candidates::fail`] it and choose the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::Selector;
use crate::pool_user::Answer;
use crate::random::SplitMix64;
use crate::wire::{Policy, PoolElement, PoolHandle, Transport};

/// The most elements of a business card that are kept.
pub const MOST_OF_A_CARD: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It served and was lost: it is taken if there is no other.
    Lost,
    /// The same, and none was lost after it: the others have had longer to come back.
    LostLast,
    /// It could not be reached.
    Failed,
}

/// The elements of one pool, for one user.
///
/// Who is next: the element that was asked for; then those of the last business card, in its order; then the others,
/// by the pool's policy. What has failed is left out, and what was lost comes last, the last one at the very end. With a
/// randomised policy the next is drawn. With any other the registrar's order is the order; for the two Round Robins it is walked in turn.
#[derive(Clone, Debug)]
pub struct Candidates {
    policy: Policy,
    elements: Vec<PoolElement>,
    standing: BTreeMap<u32, (Standing, Transport)>,
    card: Vec<u32>,
    wanted: Option<u32>,
    turn: usize,
    random: SplitMix64,
}

impl Candidates {
    /// None as yet. `seed` is for the randomised policies; `turn` is how many users of this program have walked the same
    /// list before, so that they do not all begin with the same element.
    pub fn new(seed: u64, turn: usize) -> Self {
        Self {
            policy: Policy::RoundRobin,
            elements: Vec::new(),
            standing: BTreeMap::new(),
            card: Vec::new(),
            wanted: None,
            turn,
            random: SplitMix64::new(seed),
        }
    }

    /// Takes the pool's elements in, instead of those before. Elements that are not to be reached over SCTP are left
    /// out. One that failed is a candidate again only if it is to be reached in another way now.
    pub fn set(&mut self, answer: &Answer) {
        let mut seen = BTreeSet::new();
        let usable = |element: &&PoolElement| {
            matches!(element.user, Transport::Sctp { .. }) && element.id != 0 && seen.insert(element.id)
        };
        self.policy = answer.policy.clone();
        self.elements = answer.elements.iter().filter(usable).cloned().collect();
        let elements = &self.elements;
        self.standing.retain(|id, (_, transport)| {
            elements.iter().any(|element| element.id == *id && element.user == *transport)
        });
    }

    /// Takes in a business card (RFC 5352 §3.9): these first, in this order, as far as they are in the pool. Says
    /// whether it was of use: it has to be for this pool and name an element other than 0.
    pub fn prefer(&mut self, pool: &PoolHandle, handle: &PoolHandle, elements: &[PoolElement]) -> bool {
        let mut seen = BTreeSet::from([0]);
        let ids: Vec<u32> = elements.iter().map(|element| element.id).filter(|id| seen.insert(*id)).collect();
        if pool != handle || ids.is_empty() {
            return false;
        }
        self.card = ids;
        self.card.truncate(MOST_OF_A_CARD);
        true
    }

    /// Does the last business card name an element that is not known?
    pub fn lacks_preferred(&self) -> bool {
        self.card.iter().any(|id| self.get(*id).is_none())
    }

    /// This element next, if it is there and has not failed.
    pub fn want(&mut self, id: u32) {
        self.wanted = Some(id);
    }

    /// This element could not be reached.
    pub fn fail(&mut self, id: u32) {
        self.stand(id, Standing::Failed);
    }

    /// This element served and was lost.
    pub fn lose(&mut self, id: u32) {
        for (standing, _) in
            self.standing.values_mut().filter(|(standing, _)| *standing == Standing::LostLast)
        {
            *standing = Standing::Lost;
        }
        self.stand(id, Standing::LostLast);
    }

    /// This element serves.
    pub fn reached(&mut self, id: u32) {
        self.standing.remove(&id);
    }

    /// Every element is as good as any other again.
    pub fn forgive(&mut self) {
        self.standing.clear();
    }

    /// An element by its identifier.
    pub fn get(&self, id: u32) -> Option<&PoolElement> {
        self.elements.iter().find(|element| element.id == id)
    }

    /// All elements, as the registrar listed them.
    pub fn elements(&self) -> &[PoolElement] {
        &self.elements
    }

    /// Is this element in the pool, has not failed and was not lost?
    pub fn is_good(&self, id: u32) -> bool {
        self.get(id).is_some() && self.standing_of(id).is_none()
    }

    /// Is an element left that has not failed and was not lost?
    pub fn has_more(&self) -> bool {
        self.elements.iter().any(|element| self.is_good(element.id))
    }

    /// The next element, if there is one left.
    pub fn choose(&mut self) -> Option<PoolElement> {
        let wanted = self.wanted.take();
        let id = [None, Some(Standing::Lost), Some(Standing::LostLast)].into_iter().find_map(|standing| {
            let preferred = wanted.into_iter().chain(self.card.iter().copied());
            let is_next = |id: &u32| self.get(*id).is_some() && self.standing_of(*id) == standing;
            let preferred = preferred.clone().find(is_next);
            preferred.or_else(|| self.by_policy(standing))
        })?;
        self.get(id).cloned()
    }

    fn stand(&mut self, id: u32, standing: Standing) {
        if let Some(transport) = self.get(id).map(|element| element.user.clone()) {
            self.standing.insert(id, (standing, transport));
        }
    }

    fn standing_of(&self, id: u32) -> Option<Standing> {
        self.standing.get(&id).map(|(standing, _)| *standing)
    }

    fn by_policy(&mut self, standing: Option<Standing>) -> Option<u32> {
        let count = self.elements.len();
        let in_turn = matches!(self.policy, Policy::RoundRobin | Policy::WeightedRoundRobin { .. });
        let begin = if in_turn { self.turn.checked_rem(count)? } else { 0 };
        let mut order = (begin..count).chain(0..begin);
        if in_turn || !is_randomised(&self.policy) {
            let next = order.find(|at| self.standing_of(self.elements[*at].id) == standing)?;
            if in_turn {
                self.turn = next + 1;
            }
            return Some(self.elements[next].id);
        }
        let mut selector = Selector::<()>::new(&self.policy)?;
        for element in &self.elements {
            if self.standing_of(element.id) == standing {
                selector.set(element.id, (), &element.policy);
            }
        }
        let random = &mut self.random;
        selector.select(1, &mut || random.draw()).first().copied()
    }
}

fn is_randomised(policy: &Policy) -> bool {
    matches!(
        policy,
        Policy::Random
            | Policy::WeightedRandom { .. }
            | Policy::RandomizedLeastUsed { .. }
            | Policy::RandomizedPriorityLeastUsed { .. }
            | Policy::RandomizedLeastUsedDegradation { .. }
            | Policy::RandomizedPriorityLeastUsedDegradation { .. }
            | Policy::WeightedRandomDpf { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TransportUse;

    fn pool() -> PoolHandle {
        "EchoPool".parse().unwrap()
    }

    fn element(id: u32, policy: &Policy) -> PoolElement {
        let addresses = vec![[10, 0, 0, u8::try_from(id).unwrap()].into()];
        PoolElement {
            id,
            home: 1,
            life: 300,
            user: Transport::Sctp {
                port: 7,
                use_: TransportUse::DataPlusControl,
                addresses: addresses.into(),
            },
            policy: policy.clone(),
            asap: None,
        }
    }

    fn answer(policy: Policy, ids: &[u32]) -> Answer {
        let elements = ids.iter().map(|id| element(*id, &policy)).collect();
        Answer { policy, elements, error: None }
    }

    fn of(policy: Policy, ids: &[u32]) -> Candidates {
        let mut candidates = Candidates::new(1, 0);
        candidates.set(&answer(policy, ids));
        candidates
    }

    fn next(candidates: &mut Candidates) -> Option<u32> {
        candidates.choose().map(|element| element.id)
    }

    fn card(candidates: &mut Candidates, ids: &[u32]) -> bool {
        let elements: Vec<_> = ids.iter().map(|id| element(*id, &Policy::RoundRobin)).collect();
        candidates.prefer(&pool(), &pool(), &elements)
    }

    #[test]
    fn the_registrars_order_is_walked_in_turn_by_round_robin() {
        let mut candidates = of(Policy::RoundRobin, &[3, 1, 2]);
        let order: Vec<_> = (0..4).map(|_| next(&mut candidates)).collect();
        assert_eq!(order, [Some(3), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn users_of_one_program_do_not_all_begin_with_the_same_element() {
        let first = |turn| {
            let mut candidates = Candidates::new(1, turn);
            candidates.set(&answer(Policy::RoundRobin, &[3, 1, 2]));
            next(&mut candidates)
        };
        assert_eq!([first(0), first(1), first(2), first(3)], [Some(3), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn the_best_element_is_chosen_again_and_again_by_a_ranking() {
        let mut candidates = of(Policy::LeastUsed { load: 0 }, &[3, 1, 2]);
        assert_eq!([next(&mut candidates), next(&mut candidates)], [Some(3), Some(3)]);
        candidates.fail(3);
        assert_eq!(next(&mut candidates), Some(1));
    }

    #[test]
    fn a_randomised_policy_draws_by_its_weights() {
        let mut candidates = of(Policy::WeightedRandom { weight: 1 }, &[1, 2]);
        candidates.elements[1].policy = Policy::WeightedRandom { weight: 3 };
        let drawn = (0..1000).filter(|_| next(&mut candidates) == Some(2)).count();
        assert!((700..800).contains(&drawn), "{drawn} of 1000, of 750 expected");
    }

    #[test]
    fn what_has_failed_is_left_out_and_what_was_lost_comes_last() {
        let mut candidates = of(Policy::RoundRobin, &[1, 2, 3]);
        candidates.lose(1);
        candidates.fail(2);
        assert_eq!(next(&mut candidates), Some(3));
        candidates.fail(3);
        assert_eq!(next(&mut candidates), Some(1));
        candidates.fail(1);
        assert_eq!(next(&mut candidates), None);
        candidates.forgive();
        assert!(next(&mut candidates).is_some());
    }

    #[test]
    fn what_was_lost_last_comes_at_the_very_end() {
        let mut candidates = of(Policy::RoundRobin, &[1, 2]);
        assert_eq!(next(&mut candidates), Some(1));
        candidates.lose(2);
        candidates.lose(1);
        candidates.turn = 0;
        assert_eq!(next(&mut candidates), Some(2), "it has had longer to come back");
        candidates.reached(2);
        candidates.lose(2);
        assert_eq!(next(&mut candidates), Some(1));
        candidates.fail(1);
        assert_eq!(next(&mut candidates), Some(2), "there is no other");
    }

    #[test]
    fn a_failed_element_is_a_candidate_again_once_it_is_elsewhere() {
        let mut candidates = of(Policy::RoundRobin, &[1]);
        candidates.fail(1);
        let mut moved = answer(Policy::RoundRobin, &[1]);
        candidates.set(&moved);
        assert_eq!(next(&mut candidates), None);
        moved.elements[0].user = element(9, &Policy::RoundRobin).user;
        candidates.set(&moved);
        assert_eq!(next(&mut candidates), Some(1));
    }

    #[test]
    fn a_business_card_goes_before_the_policy() {
        let mut candidates = of(Policy::RoundRobin, &[1, 2, 3]);
        assert!(card(&mut candidates, &[9, 3, 2]));
        assert!(candidates.lacks_preferred());
        assert_eq!(next(&mut candidates), Some(3));
        candidates.fail(3);
        assert_eq!(next(&mut candidates), Some(2));
        candidates.lose(2);
        assert_eq!(next(&mut candidates), Some(1));
    }

    #[test]
    fn a_business_card_with_nonsense_changes_nothing() {
        let mut candidates = of(Policy::RoundRobin, &[1, 2, 3]);
        assert!(card(&mut candidates, &[2]));
        assert!(!card(&mut candidates, &[]));
        assert!(!card(&mut candidates, &[0]));
        let other = "OtherPool".parse().unwrap();
        assert!(!candidates.prefer(&pool(), &other, &[element(3, &Policy::RoundRobin)]));
        assert_eq!(next(&mut candidates), Some(2));
    }

    #[test]
    fn of_a_long_business_card_only_so_much_is_kept() {
        let mut candidates = of(Policy::RoundRobin, &[1, 2, 3]);
        let ids: Vec<u32> = (1..=200).collect();
        assert!(card(&mut candidates, &ids));
        assert_eq!(candidates.card.len(), MOST_OF_A_CARD);
    }

    #[test]
    fn an_element_that_is_asked_for_goes_before_all_others_once() {
        let mut candidates = of(Policy::LeastUsed { load: 0 }, &[1, 2, 3]);
        candidates.want(2);
        assert_eq!([next(&mut candidates), next(&mut candidates)], [Some(2), Some(1)]);
        candidates.want(7);
        assert_eq!(next(&mut candidates), Some(1), "there is no such element");
    }

    #[test]
    fn what_is_not_to_be_reached_over_sctp_is_no_candidate() {
        let mut tcp = answer(Policy::RoundRobin, &[1, 2]);
        tcp.elements[0].user = Transport::Tcp { port: 7, address: [10, 0, 0, 1].into() };
        let mut candidates = Candidates::new(1, 0);
        candidates.set(&tcp);
        assert_eq!([next(&mut candidates), next(&mut candidates)], [Some(2), Some(2)]);
    }
}
