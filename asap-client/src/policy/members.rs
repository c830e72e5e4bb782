//! Members in order of their identifiers, kept close together.
//!
//! Most pools have few members, and whoever selects some of them wants those that follow one another: a short run of
//! memory holds them, and a single one needs no memory of its own. Only large pools have a tree, of runs. Nothing costs
//! more than the logarithm of the number of members, beside a run that is moved.

use std::collections::{BTreeMap, btree_map};
use std::slice;

use super::Circle;

/// The most members of a run.
const RUN: usize = 32;

/// Places of a run: all those of its members.
const PLACES: usize = RUN;

/// Members of a pool, each with what is known of it.
#[derive(Clone, Debug)]
pub struct Members<T>(Kept<T>);

type Member<T> = (u32, T);

#[derive(Clone, Debug)]
enum Kept<T> {
    One(Member<T>),
    /// At most [`RUN`], perhaps none.
    Few(Vec<Member<T>>),
    Many(Box<Runs<T>>),
}

/// Runs, and their places by a number that none of a run's members is below, and all of those in the runs before are.
/// There is one for 0.
#[derive(Clone, Debug)]
struct Runs<T> {
    runs: Vec<Vec<Member<T>>>,
    order: BTreeMap<u32, usize>,
    /// Places of runs that are not used.
    free: Vec<usize>,
    members: usize,
}

fn find<T>(run: &[Member<T>], id: u32) -> Result<usize, usize> {
    run.binary_search_by_key(&id, |(id, _)| *id)
}

/// Takes one in, without more room than it may need soon, or in the place of what is there.
fn set<T>(run: &mut Vec<Member<T>>, id: u32, value: T) -> Option<T> {
    match find(run, id) {
        Ok(at) => run.get_mut(at).map(|(_, before)| std::mem::replace(before, value)),
        Err(at) => {
            if run.len() == run.capacity() {
                run.reserve_exact((run.len() / 2).clamp(1, 4));
            }
            run.insert(at, (id, value));
            None
        }
    }
}

/// Takes one out, and gives room back where much is left.
fn take<T>(run: &mut Vec<Member<T>>, at: usize) -> T {
    let (_, value) = run.remove(at);
    if run.len() < run.capacity() / 2 {
        run.shrink_to_fit();
    }
    value
}

impl<T> Runs<T> {
    /// Of one run that has become too long.
    fn new(run: Vec<Member<T>>) -> Self {
        let members = run.len();
        let mut runs = Self { runs: vec![run], order: BTreeMap::from([(0, 0)]), free: Vec::new(), members };
        runs.divide(0);
        runs
    }

    /// Makes two runs of one that has become too long.
    fn divide(&mut self, place: usize) {
        let Some(run) = self.runs.get_mut(place).filter(|run| run.len() > RUN) else { return };
        let upper = run.split_off(RUN / 2);
        run.shrink_to_fit();
        let Some((bound, _)) = upper.first() else { return };
        let bound = *bound;
        let place = self.free.pop().unwrap_or(self.runs.len());
        match self.runs.get_mut(place) {
            Some(free) => *free = upper,
            None => self.runs.push(upper),
        }
        self.order.insert(bound, place);
    }

    /// The bound and the place of the run in which this member is or would be.
    fn place(&self, id: u32) -> (u32, usize) {
        self.order.range(..=id).next_back().map_or((0, 0), |(bound, place)| (*bound, *place))
    }

    fn run(&self, place: usize) -> &[Member<T>] {
        self.runs.get(place).map_or(&[], Vec::as_slice)
    }

    fn run_mut(&mut self, id: u32) -> Option<&mut Vec<Member<T>>> {
        let (_, place) = self.place(id);
        self.runs.get_mut(place)
    }

    fn insert(&mut self, id: u32, value: T) -> Option<T> {
        let (_, place) = self.place(id);
        let run = self.runs.get_mut(place)?;
        let before = set(run, id, value);
        if before.is_some() {
            return before;
        }
        self.members += 1;
        self.divide(place);
        None
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        let (bound, place) = self.place(id);
        let run = self.runs.get_mut(place)?;
        let value = take(run, find(run, id).ok()?);
        if run.is_empty() && bound != 0 {
            self.order.remove(&bound);
            self.free.push(place);
        }
        self.members -= 1;
        Some(value)
    }

    /// All in one run.
    fn into_run(mut self) -> Vec<Member<T>> {
        let mut all = Vec::with_capacity(self.members);
        for place in self.order.into_values() {
            all.append(self.runs.get_mut(place).unwrap_or(&mut Vec::new()));
        }
        all
    }
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self(Kept::Few(Vec::new()))
    }
}

impl<T> Members<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::One(_) => 1,
            Kept::Few(run) => run.len(),
            Kept::Many(runs) => runs.members,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The run in which this member is or would be.
    fn run(&self, id: u32) -> &[Member<T>] {
        match &self.0 {
            Kept::One(one) => slice::from_ref(one),
            Kept::Few(run) => run,
            Kept::Many(runs) => runs.run(runs.place(id).1),
        }
    }

    /// What is known of a member.
    pub fn get(&self, id: u32) -> Option<&T> {
        let run = self.run(id);
        run.get(find(run, id).ok()?).map(|(_, value)| value)
    }

    /// As [`Self::get`], of one that is at this place or the next, most likely: to be found without a search.
    pub fn get_near(&self, id: u32, place: usize) -> Option<&T> {
        let near = self.at(place, 2).find(|(near, _)| *near == id);
        near.map(|(_, value)| value).or_else(|| self.get(id))
    }

    /// Those that are at a place and behind it, as far as they are found without a search.
    pub fn at(&self, place: usize, count: usize) -> impl Iterator<Item = (u32, &T)> {
        let (run, at) = self.run_at(place);
        let (before, after) = run.split_at(at);
        let before = if self.few().is_some() { before } else { &[] };
        after.iter().chain(before).take(count).map(|(id, value)| (*id, value))
    }

    /// The one that is so far behind a place, in its run, which is once round: found by arithmetic alone, so that a
    /// processor can go on to the next while it waits for this one.
    pub fn behind(&self, place: usize, distance: usize) -> Option<&T> {
        let (run, at) = self.run_at(place);
        let at = at + distance;
        let at = if at < run.len() { at } else { at - run.len() };
        run.get(at).map(|(_, value)| value)
    }

    /// The run that a place is in, and where in it.
    fn run_at(&self, place: usize) -> (&[Member<T>], usize) {
        let (run, at) = match &self.0 {
            Kept::One(one) => (slice::from_ref(one), place),
            Kept::Few(run) => (run.as_slice(), place),
            Kept::Many(runs) => (runs.run(place / PLACES), place % PLACES),
        };
        (run, if at < run.len() { at } else { 0 })
    }

    /// The place of the member that is at an index of the run in which this one is or would be.
    fn place_of(&self, id: u32, at: usize) -> usize {
        match &self.0 {
            Kept::One(_) | Kept::Few(_) => at,
            Kept::Many(runs) => runs.place(id).1 * PLACES + at,
        }
    }

    /// All of them, unless they are many.
    fn few(&self) -> Option<&[Member<T>]> {
        match &self.0 {
            Kept::One(one) => Some(slice::from_ref(one)),
            Kept::Few(run) => Some(run),
            Kept::Many(_) => None,
        }
    }

    /// What is known of a member, to be changed.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let run = match &mut self.0 {
            Kept::One(one) => slice::from_mut(one),
            Kept::Few(run) => run,
            Kept::Many(runs) => runs.run_mut(id)?,
        };
        let at = find(run, id).ok()?;
        run.get_mut(at).map(|(_, value)| value)
    }

    /// Takes a member in, or what is new about it; gives back what was known before.
    pub fn insert(&mut self, id: u32, value: T) -> Option<T> {
        match &mut self.0 {
            Kept::One((one, before)) if *one == id => return Some(std::mem::replace(before, value)),
            Kept::Many(runs) => return runs.insert(id, value),
            Kept::Few(run) if !run.is_empty() && run.len() < RUN => return set(run, id, value),
            _ => {}
        }
        match std::mem::take(self).0 {
            Kept::One(one) => {
                let mut run = Vec::with_capacity(2);
                run.push(one);
                set(&mut run, id, value);
                self.0 = Kept::Few(run);
                None
            }
            Kept::Few(run) if run.is_empty() => {
                self.0 = Kept::One((id, value));
                None
            }
            Kept::Few(mut run) => {
                // A member that is there does not make it a tree.
                let before = set(&mut run, id, value);
                self.0 = if run.len() > RUN { Kept::Many(Box::new(Runs::new(run))) } else { Kept::Few(run) };
                before
            }
            many @ Kept::Many(_) => {
                self.0 = many;
                None
            }
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        match &mut self.0 {
            Kept::One((one, _)) if *one != id => None,
            Kept::One(_) => match std::mem::take(self).0 {
                Kept::One((_, value)) => Some(value),
                _ => None,
            },
            Kept::Few(run) => Some(take(run, find(run, id).ok()?)),
            Kept::Many(runs) => {
                let value = runs.remove(id)?;
                // Not where it became a tree, or one that comes and goes would make it one again and again.
                if runs.members <= RUN / 2
                    && let Kept::Many(runs) = std::mem::take(self).0
                {
                    self.0 = Kept::Few(runs.into_run());
                }
                Some(value)
            }
        }
    }

    /// All from an identifier on, in order.
    pub fn range(&self, first: u32) -> Range<'_, T> {
        let run = self.run(first);
        let at = find(run, first).unwrap_or_else(|at| at);
        let rest = match (&self.0, first.checked_add(1)) {
            // The run that holds `first` began at it or before.
            (Kept::Many(runs), Some(next)) => Some((&**runs, runs.order.range(next..))),
            _ => None,
        };
        Range { run: run.get(at..).unwrap_or(&[]).iter(), rest }
    }
}

/// Members in order. See [`Members::range`].
#[derive(Clone, Debug)]
pub struct Range<'a, T> {
    run: slice::Iter<'a, Member<T>>,
    rest: Option<(&'a Runs<T>, btree_map::Range<'a, u32, usize>)>,
}

impl<'a, T> Iterator for Range<'a, T> {
    type Item = (u32, &'a T);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((id, value)) = self.run.next() {
                return Some((*id, value));
            }
            let (runs, rest) = self.rest.as_mut()?;
            self.run = runs.run(*rest.next()?.1).iter();
        }
    }
}

impl<T> Circle for Members<T> {
    fn once_round(&self, head: u32, place: &mut u32, count: usize) -> Vec<u32> {
        let count = count.min(self.len());
        let (mut run, mut at) = self.run_at(usize::try_from(*place).unwrap_or(0));
        let is = |at: usize, of: fn(u32, u32) -> bool| run.get(at).is_some_and(|(id, _)| of(*id, head));
        let known = is(at, |id, head| id == head)
            || (at > 0 && is(at - 1, |id, head| id < head) && is(at, |id, head| id > head));
        if !known {
            run = self.run(head);
            at = find(run, head).unwrap_or_else(|at| at);
            *place = u32::try_from(self.place_of(head, at)).unwrap_or(0);
        }
        let mut round = Vec::with_capacity(count);
        let here = run.get(at..).unwrap_or(&[]).iter().take(count);
        round.extend(here.map(|(id, _)| *id));
        if let Some(missing) = count.checked_sub(round.len()).filter(|missing| *missing > 0) {
            if self.few().is_some() {
                round.extend(run.iter().take(missing).map(|(id, _)| *id));
                return round;
            }
            let next = round.last().map_or(Some(head), |last| last.checked_add(1));
            let rest = next.into_iter().flat_map(|next| self.range(next)).chain(self.range(0));
            round.extend(rest.take(missing).map(|(id, _)| id));
        }
        round
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl<T> Members<T> {
        /// What the parts promise each other.
        fn check(&self) {
            match &self.0 {
                Kept::One(_) => {}
                Kept::Few(run) => {
                    assert!(run.len() <= RUN && run.is_sorted_by(|a, b| a.0 < b.0));
                    assert!(run.capacity() <= 2 * run.len() + 4, "{} of {}", run.len(), run.capacity());
                }
                Kept::Many(runs) => {
                    assert!(runs.order.contains_key(&0) && runs.members > RUN / 2);
                    assert_eq!(runs.runs.iter().map(Vec::len).sum::<usize>(), runs.members);
                    assert_eq!(runs.order.len() + runs.free.len(), runs.runs.len());
                    for (bound, place) in &runs.order {
                        let run = &runs.runs[*place];
                        assert!(run.len() <= RUN && (!run.is_empty() || *bound == 0));
                        assert!(run.capacity() <= 2 * run.len() + 4, "{} of {}", run.len(), run.capacity());
                        assert!(run.first().is_none_or(|(id, _)| id >= bound));
                    }
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32, u8),
        Remove(u32),
        /// Many at once, so that trees come and go.
        Fill(u32, u32),
        Clear(u32, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = || prop_oneof![8 => 0u32..200, 1 => Just(u32::MAX), 1 => Just(u32::MAX - 1)];
        prop_oneof![
            4 => (id(), any::<u8>()).prop_map(|(id, value)| Step::Insert(id, value)),
            4 => id().prop_map(Step::Remove),
            1 => (0u32..200, 1u32..100).prop_map(|(from, count)| Step::Fill(from, count)),
            1 => (0u32..200, 1u32..200).prop_map(|(from, count)| Step::Clear(from, count)),
        ]
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_of_them_would_be(
            steps in prop::collection::vec(step(), 1..60), head in 0u32..220, count in 0usize..50, place in 0u32..400
        ) {
            let (mut members, mut map) = (Members::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(id, value) => prop_assert_eq!(members.insert(id, value), map.insert(id, value)),
                    Step::Remove(id) => prop_assert_eq!(members.remove(id), map.remove(&id)),
                    Step::Fill(from, count) => {
                        for id in from..from + count {
                            prop_assert_eq!(members.insert(id, 7), map.insert(id, 7));
                        }
                    }
                    Step::Clear(from, count) => {
                        for id in from..from + count {
                            prop_assert_eq!(members.remove(id), map.remove(&id));
                        }
                    }
                }
                members.check();
                prop_assert_eq!((members.len(), members.is_empty()), (map.len(), map.is_empty()));
            }
            prop_assert!(members.range(head).eq(map.range(head..).map(|(id, value)| (*id, value))));
            prop_assert!(members.range(u32::MAX).eq(map.range(u32::MAX..).map(|(id, value)| (*id, value))));
            for id in (0..320).chain([u32::MAX]) {
                prop_assert_eq!(members.get(id), map.get(&id));
                prop_assert_eq!(members.get_near(id, count * 7), map.get(&id));
                prop_assert_eq!(members.get_mut(id).copied(), map.get(&id).copied());
            }
            let round: Vec<u32> = map.range(head..).chain(map.range(..head)).take(count).map(|(id, _)| *id).collect();
            let mut guess = place;
            prop_assert_eq!(members.once_round(head, &mut guess, count), &*round);
            prop_assert_eq!(members.once_round(head, &mut guess, count), round, "where it was found");
        }
    }
}
