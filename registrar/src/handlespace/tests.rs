use super::*;
use asap_client::random::SplitMix64;
use asap_client::wire::{Policy, TransportUse, Writer};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Handlespace {
    /// Every order says the same.
    pub(crate) fn check(&self) {
        let mut owned = BTreeSet::new();
        let mut lengths = BTreeMap::new();
        let mut looks = BTreeSet::new();
        let mut clock = self.looks.clone();
        let mut homes: BTreeMap<u32, (ChecksumSum, Vec<ElementKey>)> = BTreeMap::new();
        let mut all = Vec::new();
        let pools: Vec<_> = self.homes.pools(None).collect();
        assert!(pools.is_sorted_by(|a, b| a.0 < b.0), "each once, in order");
        assert_eq!((pools.len(), self.names.len()), (self.pools.len(), self.pools.len()));
        for (handle, slot) in &pools {
            let (place, pool) = self.pools.in_slot(*slot).unwrap();
            assert_eq!(self.names.find(handle, &self.pools), Some(place));
            assert_eq!(pool.handle(), *handle);
            assert!(pool.len() > 0, "an empty pool does not exist");
            lengths.insert(*slot, pool.len());
            let ids: Vec<u32> = pool.elements().map(|element| element.id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b));
            for element in pool.elements() {
                let key = ElementKey { pool: place, id: element.id };
                assert_eq!(self.key(handle, element.id), Some(key));
                all.push(key);
                let at = pool.kept(element.id).unwrap().owned_at();
                owned.extend(element.owner.map(|owner| (owner, key.in_slot(), at)));
                let look = pool.kept(element.id).unwrap().look();
                let expires = clock.moment(element.expires);
                assert!((look == Moment::NEVER) == (expires == Moment::NEVER) && look <= expires);
                if look != Moment::NEVER {
                    looks.insert((look, key.in_slot()));
                }
                let said = |emit: &dyn Fn(&mut Writer)| {
                    let mut writer = Writer::new();
                    emit(&mut writer);
                    writer.finish().unwrap()
                };
                let kept = said(&|w| pool.kept(element.id).unwrap().emit(element.id, w));
                assert_eq!(
                    kept,
                    said(&|w| element.as_wire().emit(w)),
                    "what is kept to be told is the element"
                );
                let home = homes.entry(element.home).or_default();
                home.0.add(ChecksumSum::of(handle, element.id));
                home.1.push(key);
                assert_eq!(element.policy.code(), pool.policy().code());
                assert_eq!(element.user.type_(), pool.transport().unwrap().type_());
                assert_eq!(element.user.use_(), pool.transport().unwrap().use_());
            }
            let mut selected = pool.clone().peek(usize::MAX, &mut || 0);
            selected.sort_unstable();
            let no_service = |element: &Element| {
                matches!(
                    element.policy,
                    Policy::WeightedRoundRobin { weight: 0 }
                        | Policy::WeightedRandom { weight: 0 }
                        | Policy::WeightedRandomDpf { weight: 0, .. }
                )
            };
            let serving = pool.elements().filter(|element| !no_service(element)).map(|element| element.id);
            assert_eq!(selected, serving.collect::<Vec<_>>(), "nobody is named twice, and nobody left out");
        }
        assert_eq!(all.len(), self.elements);
        let octets: usize =
            pools.iter().map(|(handle, _)| handle).map(|handle| handle.as_bytes().len()).sum();
        assert_eq!(octets, self.handle_octets());
        assert_eq!(self.page(None, None, usize::MAX), all);
        assert_eq!(owned, self.owners.all());
        self.homes.check(&lengths);
        assert!(looks.is_subset(&self.looks.all().collect()));
        assert_eq!(self.looks.all().count(), looks.len() + self.looks.stale());
        assert!(!self.looks.is_untidy());
        assert!(self.homes().eq(homes.keys().copied()));
        for (home, (sum, keys)) in homes {
            assert_eq!(self.checksum(home), sum.fold());
            assert!(self.of_home(home).eq(keys.iter().copied()));
            assert_eq!(self.page(Some(home), None, usize::MAX), keys);
        }
    }

    fn names(&self, keys: &[ElementKey]) -> Vec<(String, u32)> {
        keys.iter().map(|key| (self.get(*key).unwrap().0.handle().to_string(), key.id)).collect()
    }
}

fn handle(name: &str) -> PoolHandle {
    PoolHandle::new(name).unwrap()
}

fn element(id: u32, home: u32, owner: Option<u64>) -> Element {
    let transport = Transport::Sctp {
        port: 7000,
        use_: TransportUse::DataOnly,
        addresses: vec!["10.0.0.1".parse().unwrap()].into(),
    };
    Element {
        id,
        home,
        life: -1,
        user: transport.clone(),
        policy: Policy::RoundRobin,
        asap: transport,
        owner: owner.map(Association),
        expires: None,
        bad_reports: 0,
    }
}

fn space(elements: &[(&str, u32, u32)]) -> Handlespace {
    let mut space = Handlespace::default();
    for (pool, id, home) in elements {
        space.insert(handle(pool), element(*id, *home, None));
    }
    space.check();
    space
}

#[test]
fn the_checksum_of_a_home_is_that_of_its_elements_alone() {
    let mut space = space(&[("EchoPool", 0x1a2b_3c4d, 1), ("EchoPool", 0x9e8f_7a6b, 1), ("abc", 7, 1)]);
    space.insert(handle("abc"), element(8, 2, None));
    assert_eq!(space.checksum(1), 0xf0c5);
    space.remove(space.key(&handle("EchoPool"), 0x1a2b_3c4d).unwrap()).unwrap();
    assert_eq!(space.checksum(1), 0xb4ec);
    assert_eq!(space.checksum(3), 0xffff, "no elements");
    space.check();
}

#[test]
fn an_element_whose_home_changes_moves_with_its_checksum_and_its_owner() {
    let mut space = space(&[("abc", 7, 1), ("abc", 8, 1)]);
    let key = space.key(&handle("abc"), 7).unwrap();
    space.set_home(key, 2, Some(Association(5)));
    space.check();
    assert_eq!((space.checksum(2), space.count_owned_by(Association(5))), (0x3b96, 1));
    assert!(space.homes().eq([1, 2]));
    space.set_home(key, 1, None);
    space.check();
    assert_eq!((space.checksum(2), space.count_owned_by(Association(5))), (0xffff, 0));
    assert!(space.homes().eq([1]), "a home without elements is none");
    assert_eq!(space.get(key).unwrap().1.home, 1);
}

#[test]
fn pages_go_on_after_what_was_last_though_it_is_not_there_any_more() {
    let mut space =
        space(&[("a", 1, 1), ("a", u32::MAX, 2), ("b", 0, 1), ("b", 1, 1), ("c", 5, 1), ("c", 6, 2)]);
    let page = |space: &Handlespace, home, after: Option<(&str, u32)>, limit| {
        let after = after.map(|(pool, id)| (handle(pool), id));
        let keys = space.page(home, after.as_ref().map(|(handle, id)| (handle, *id)), limit);
        space.names(&keys)
    };
    let named = |list: &[(&str, u32)]| list.iter().map(|(p, id)| (p.to_string(), *id)).collect::<Vec<_>>();
    assert_eq!(page(&space, None, None, 2), named(&[("a", 1), ("a", u32::MAX)]));
    assert_eq!(page(&space, None, Some(("a", u32::MAX)), 2), named(&[("b", 0), ("b", 1)]));
    assert_eq!(page(&space, Some(1), None, 2), named(&[("a", 1), ("b", 0)]));
    space.remove(space.key(&handle("b"), 0).unwrap());
    space.insert(handle("aa"), element(1, 1, None));
    assert_eq!(page(&space, Some(1), Some(("b", 0)), 9), named(&[("b", 1), ("c", 5)]));
    assert_eq!(page(&space, None, Some(("b", 0)), 9), named(&[("b", 1), ("c", 5), ("c", 6)]));
    space.remove(space.key(&handle("b"), 1).unwrap());
    assert_eq!(page(&space, Some(2), Some(("b", 0)), 9), named(&[("c", 6)]));
    assert_eq!(page(&space, None, Some(("b", 0)), 1), named(&[("c", 5)]));
    assert!(page(&space, None, Some(("c", 6)), 9).is_empty());
    assert!(page(&space, Some(3), None, 9).is_empty());
}

#[test]
fn an_element_expires_at_the_end_of_its_last_registration_be_that_later_or_sooner() {
    #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut space = Handlespace::default();
    let register = |space: &mut Handlespace, end: Option<u64>| {
        space.insert(handle("p"), Element { expires: end.map(at), ..element(1, 1, None) });
        space.check();
    };
    register(&mut space, Some(10));
    register(&mut space, Some(20));
    assert_eq!(space.pop_expired(at(19)), None);
    space.check();
    assert_eq!(space.next_expiry(), Some(at(20)));
    register(&mut space, Some(15));
    assert_eq!(space.next_expiry(), Some(at(15)), "sooner than before");
    register(&mut space, None);
    assert_eq!((space.pop_expired(at(1000)), space.next_expiry()), (None, None));
    register(&mut space, Some(15));
    let key = space.pop_expired(at(15)).unwrap();
    assert_eq!(space.remove(key).unwrap().element.id, 1);
    space.check();
}

#[test]
fn elements_that_come_and_go_leave_nothing_behind_that_grows() {
    #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
    let start = Instant::now();
    let mut space = space(&[("p", 1, 1)]);
    for life in 1..=10_000 {
        let expires = Some(start + Duration::from_secs(1 << 20) + Duration::from_millis(life));
        let (key, _) = space.insert(handle("p"), Element { expires, ..element(2, 1, None) });
        if life % 2 == 0 {
            space.remove(key);
        }
        assert!(space.looks.all().count() <= 1026, "{}", space.looks.all().count());
    }
    space.check();
}

#[test]
fn a_key_does_not_outlive_its_pool() {
    let mut space = space(&[("abc", 7, 1)]);
    let key = space.key(&handle("abc"), 7).unwrap();
    assert!(space.remove(key).unwrap().pool_gone);
    space.insert(handle("xyz"), element(7, 1, None));
    assert!(space.get(key).is_none() && space.remove(key).is_none());
    space.check();
}

#[test]
fn a_pool_of_an_unknown_policy_is_served_in_turn() {
    let mut space = Handlespace::default();
    for id in 1..=3 {
        let policy = Policy::Unknown { code: 0x8000_0001, data: vec![1, 2, 3, 4] };
        space.insert(handle("p"), Element { policy, ..element(id, 9, None) });
    }
    let pool = space.pool_mut(&handle("p")).unwrap();
    assert_eq!(pool.select(9, &mut || 0), [1, 2, 3]);
    assert_eq!(pool.select(2, &mut || 0), [2, 3]);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u32, u32, Option<u64>, Option<u64>, u32),
    Remove(u8, u32),
    SetHome(u8, u32, u32, Option<u64>),
    Expire(u64),
    Select(u8, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let owner = || prop::option::of(0u64..3);
    prop_oneof![
        5 => (0u8..5, 0u32..6, 0u32..3, owner(), prop::option::of(1u64..30), 0u32..4)
            .prop_map(|(p, id, home, owner, life, value)| Step::Insert(p, id, home, owner, life, value)),
        2 => (0u8..5, 0u32..6).prop_map(|(p, id)| Step::Remove(p, id)),
        2 => (0u8..5, 0u32..6, 0u32..3, owner()).prop_map(|(p, id, home, owner)| Step::SetHome(p, id, home, owner)),
        1 => (1u64..30).prop_map(Step::Expire),
        2 => (0u8..5, 0usize..8).prop_map(|(p, count)| Step::Select(p, count)),
    ]
}

/// Each pool has a policy of its own.
fn policy(pool: u8, value: u32) -> Policy {
    match pool {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin { weight: value },
        2 => Policy::WeightedRandom { weight: value },
        3 => Policy::LeastUsedDegradation { load: value, degradation: 1 },
        _ => Policy::RandomizedLeastUsedDegradation { load: value, degradation: u32::MAX / 3 },
    }
}

proptest! {
    /// [`Handlespace::check`] computes every order anew from the elements, the checksums too.
    #[test]
    fn whatever_is_done_the_orders_and_checksums_are_those_of_the_elements(
        steps in prop::collection::vec(step(), 1..100)
    ) {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let start = Instant::now();
        let (mut space, mut random) = (Handlespace::default(), SplitMix64::new(1));
        let name = |pool: u8| handle(["a", "bb", "ccc", "dddd", "eeeee"][usize::from(pool)]);
        for step in steps {
            match step {
                Step::Insert(pool, id, home, owner, life, value) => {
                    let expires = life.map(|life| start + Duration::from_secs(life));
                    let policy = policy(pool, value);
                    space.insert(name(pool), Element { policy, expires, ..element(id, home, owner) });
                }
                Step::Remove(pool, id) => {
                    if let Some(key) = space.key(&name(pool), id) {
                        prop_assert_eq!(space.remove(key).unwrap().element.id, id);
                    }
                }
                Step::SetHome(pool, id, home, owner) => {
                    if let Some(key) = space.key(&name(pool), id) {
                        space.set_home(key, home, owner.map(Association));
                    }
                }
                Step::Expire(at) => {
                    let now = start + Duration::from_secs(at);
                    while let Some(key) = space.pop_expired(now) {
                        prop_assert!(space.remove(key).unwrap().element.expires.unwrap() <= now);
                    }
                    prop_assert!(space.next_expiry().is_none_or(|at| at > now));
                    let mut left = space.pools().flat_map(|pool| pool.elements());
                    prop_assert!(left.all(|element| element.expires.is_none_or(|at| at > now)));
                }
                Step::Select(pool, count) => {
                    if let Some(pool) = space.pool_mut(&name(pool)) {
                        let selected = pool.select(count, &mut || random.draw());
                        prop_assert_eq!(pool.named(&selected).count(), selected.len());
                        prop_assert!(selected.len() <= count.min(pool.len()));
                    }
                }
            }
            space.check();
        }
    }

    #[test]
    fn pages_of_any_size_make_up_the_whole(limit in 1usize..7, home in prop::option::of(0u32..3)) {
        let mut space = Handlespace::default();
        for number in 0..40u32 {
            space.insert(handle(&format!("pool {}", number % 7)), element(number, number % 3, None));
        }
        let (mut read, mut last): (Vec<ElementKey>, Option<(PoolHandle, u32)>) = (Vec::new(), None);
        loop {
            let page = space.page(home, last.as_ref().map(|(handle, id)| (handle, *id)), limit);
            prop_assert!(page.len() <= limit);
            let Some(end) = page.last() else { break };
            last = Some((space.get(*end).unwrap().0.handle().clone(), end.id));
            read.extend(page);
        }
        prop_assert_eq!(read, space.page(home, None, usize::MAX));
    }
}
