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

/// Places of a run: those of its members, and as many beyond them, which are those of the next ones.
const PLACES: usize = 2 * RUN;

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

/// A run of many, and the one behind it; behind the last is the first.
#[derive(Clone, Debug)]
struct Run<T> {
    members: Vec<Member<T>>,
    next: usize,
}

/// Runs, and their places by a number that none of a run's members is below, and all of those in the runs before are.
/// The one for 0 is the first, at place 0; it alone may be empty.
#[derive(Clone, Debug)]
struct Runs<T> {
    runs: Vec<Run<T>>,
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
                run.reserve_exact(run.len().clamp(1, 4));
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
        let run = Run { members: run, next: 0 };
        let mut runs = Self { runs: vec![run], order: BTreeMap::from([(0, 0)]), free: Vec::new(), members };
        runs.divide(0);
        runs
    }

    /// Makes two runs of one that has become too long.
    fn divide(&mut self, place: usize) {
        let above = self.free.last().copied().unwrap_or(self.runs.len());
        let Some(run) = self.runs.get_mut(place).filter(|run| run.members.len() > RUN) else { return };
        let upper = Run { members: run.members.split_off(RUN / 2), next: run.next };
        run.members.shrink_to_fit();
        run.next = above;
        let bound = upper.members.first().map_or(0, |(bound, _)| *bound);
        match self.runs.get_mut(above) {
            Some(free) => *free = upper,
            None => self.runs.push(upper),
        }
        self.free.pop();
        self.order.insert(bound, above);
    }

    /// The bound and the place of the run in which this member is or would be.
    fn place(&self, id: u32) -> (u32, usize) {
        self.order.range(..=id).next_back().map_or((0, 0), |(bound, place)| (*bound, *place))
    }

    fn run(&self, place: usize) -> &[Member<T>] {
        self.runs.get(place).map_or(&[], |run| run.members.as_slice())
    }

    fn next(&self, place: usize) -> usize {
        self.runs.get(place).map_or(0, |run| run.next)
    }

    /// The run in which the one is that is so far from the beginning of this run, and how far it is from that one's.
    fn go(&self, mut place: usize, mut at: usize) -> (usize, usize) {
        // No run is empty but one.
        for _ in 0..PLACES {
            let length = self.run(place).len();
            if at < length {
                return (place, at);
            }
            (place, at) = (self.next(place), at - length);
        }
        (0, 0)
    }

    fn run_mut(&mut self, id: u32) -> Option<&mut Vec<Member<T>>> {
        let (_, place) = self.place(id);
        self.runs.get_mut(place).map(|run| &mut run.members)
    }

    fn insert(&mut self, id: u32, value: T) -> Option<T> {
        let (_, place) = self.place(id);
        let run = self.runs.get_mut(place)?;
        let before = set(&mut run.members, id, value);
        if before.is_some() {
            return before;
        }
        self.members += 1;
        self.divide(place);
        None
    }

    fn remove(&mut self, id: u32) -> Option<T> {
        let (bound, place) = self.place(id);
        let Run { members: run, next } = self.runs.get_mut(place)?;
        let (value, next) = (take(run, find(run, id).ok()?), *next);
        if run.is_empty() && bound != 0 {
            self.order.remove(&bound);
            self.free.push(place);
            let (_, before) = self.place(bound);
            if let Some(before) = self.runs.get_mut(before) {
                before.next = next;
            }
        }
        self.members -= 1;
        Some(value)
    }

    /// All in one run.
    fn into_run(mut self) -> Vec<Member<T>> {
        let mut all = Vec::with_capacity(self.members);
        for place in self.order.into_values() {
            all.append(self.runs.get_mut(place).map_or(&mut Vec::new(), |run| &mut run.members));
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

    /// What is known of one of them, whichever is found at once; of none, if there are none.
    pub fn any(&self) -> Option<&T> {
        let one = match &self.0 {
            Kept::One(one) => Some(one),
            Kept::Few(run) => run.first(),
            Kept::Many(runs) => runs.runs.iter().find_map(|run| run.members.first()),
        };
        one.map(|(_, value)| value)
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
        self.members_at(place, count).map(|(id, value)| (*id, value))
    }

    /// As [`Self::at`], without a look at any of them: where each lies is known before it is in the processor's cache.
    pub fn ahead(&self, place: usize, count: usize) -> impl Iterator<Item = &T> {
        self.members_at(place, count).map(|(_, value)| value)
    }

    fn members_at(&self, place: usize, count: usize) -> impl Iterator<Item = &Member<T>> {
        let count = count.min(self.len());
        let (run, at) = self.run_at(place);
        let here = run.get(at..).unwrap_or(&[]);
        let beyond = here.len()..count;
        let beyond = beyond.filter_map(move |distance| {
            let (run, at) = self.run_at(place + distance);
            run.get(at)
        });
        here.iter().take(count).chain(beyond)
    }

    /// The run that a place is in, and where in it. A place that is none is that of anybody.
    fn run_at(&self, place: usize) -> (&[Member<T>], usize) {
        let run: &[Member<T>] = match &self.0 {
            Kept::One(one) => slice::from_ref(one),
            Kept::Few(run) => run,
            Kept::Many(runs) => {
                let (place, at) = runs.go(place / PLACES, place % PLACES);
                return (runs.run(place), at);
            }
        };
        let round = place.checked_sub(run.len());
        (run, round.map_or(place, |beyond| if beyond < run.len() { beyond } else { 0 }))
    }

    /// The same place, as that of a member.
    fn settled(&self, place: usize) -> usize {
        match &self.0 {
            Kept::Many(runs) => {
                let (place, at) = runs.go(place / PLACES, place % PLACES);
                place * PLACES + at
            }
            Kept::One(_) | Kept::Few(_) => self.run_at(place).1,
        }
    }

    /// The place of the first that is not below this one.
    fn place_of(&self, id: u32) -> usize {
        let at = find(self.run(id), id).unwrap_or_else(|at| at);
        self.settled(match &self.0 {
            Kept::One(_) | Kept::Few(_) => at,
            Kept::Many(runs) => runs.place(id).1 * PLACES + at,
        })
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
        let at = self.settled(usize::try_from(*place).unwrap_or(0));
        let (run, index) = self.run_at(at);
        let is = |index: usize, of: fn(u32, u32) -> bool| run.get(index).is_some_and(|(id, _)| of(*id, head));
        let known = is(index, |id, head| id == head)
            || (index > 0 && is(index - 1, |id, head| id < head) && is(index, |id, head| id > head));
        let mut at = if known { at } else { self.place_of(head) };
        *place = u32::try_from(at).unwrap_or(0);
        let mut round = Vec::with_capacity(count);
        while round.len() < count {
            let (run, index) = self.run_at(at);
            let here = run.get(index..).unwrap_or(&[]);
            if here.is_empty() {
                break;
            }
            round.extend(here.iter().take(count - round.len()).map(|(id, _)| *id));
            at = self.settled(at + here.len());
        }
        round
    }

    fn next_after(&self, member: u32, mut place: u32) -> u32 {
        let (run, at) = self.run_at(usize::try_from(place).unwrap_or(0));
        match run.get(at..) {
            Some([(here, _), (next, _), ..]) if *here == member => *next,
            _ => self.once_round(member.wrapping_add(1), &mut place, 1).first().copied().unwrap_or(member),
        }
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
                    assert_eq!(runs.runs.iter().map(|run| run.members.len()).sum::<usize>(), runs.members);
                    assert_eq!(runs.order.len() + runs.free.len(), runs.runs.len());
                    let next = runs.order.values().cycle().skip(1);
                    for ((bound, place), next) in runs.order.iter().zip(next) {
                        let Run { members: run, next: behind } = &runs.runs[*place];
                        assert_eq!(behind, next);
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
                prop_assert!(members.any().map_or(map.is_empty(), |any| map.values().any(|value| value == any)));
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
            prop_assert_eq!(members.once_round(head, &mut guess, count), &*round, "where it was found");
            if let Some(first) = round.first() {
                let next = map.keys().find(|id| *id > first).or(map.keys().next()).copied();
                prop_assert_eq!(Some(members.next_after(*first, guess)), next);
                prop_assert_eq!(Some(members.next_after(*first, place)), next, "wherever it is looked for");
            }
            // Behind that place they lie as they are named.
            let guess = usize::try_from(guess).unwrap();
            for (distance, id) in round.iter().enumerate().take(3) {
                prop_assert!(members.ahead(guess + distance, 1).eq([&map[id]]));
                prop_assert!(members.at(guess + distance, 1).eq([(*id, &map[id])]));
            }
        }
    }
}
