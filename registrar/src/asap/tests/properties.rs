use super::*;
use proptest::prelude::*;

/// One thing that can happen.
#[derive(Clone, Debug)]
enum Step {
    Up(u64, Vec<u8>),
    Addresses(u64, Vec<u8>),
    Down(u64),
    Say(u64, Message),
    Garbage(u64, u32, Vec<u8>),
    /// A message with some octets changed.
    Damaged(u64, Message, Vec<(u16, u8)>),
    Pass(u64),
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn pool() -> impl Strategy<Value = PoolHandle> {
    prop::sample::select(vec!["a", "b", "c", "a longer one"]).prop_map(handle)
}

fn message() -> impl Strategy<Value = Message> {
    let element = (0u32..4, prop::sample::select(vec![-1, 0, 1, 5, 60]), 1u8..6, 0u8..12).prop_map(
        |(id, life, at, kind)| {
            let user = match kind {
                0 => Transport::Tcp { port: 1, address: address(at) },
                1 => Transport::Opaque(vec![at; 5]),
                _ => Transport::Sctp {
                    port: 1,
                    use_: TransportUse::DataOnly,
                    addresses: vec![address(at)].into(),
                },
            };
            let load = u32::from(at) << 29;
            let policy = match kind {
                3..6 => Policy::LeastUsedDegradation { load, degradation: load },
                6..8 => Policy::RandomizedLeastUsed { load },
                8 => Policy::Unknown { code: 9, data: vec![at] },
                _ => Policy::RoundRobin,
            };
            PoolElement { id, home: 0, life, user, policy, asap: None }
        },
    );
    prop_oneof![
        6 => (pool(), element).prop_map(|(handle, element)| Message::Registration { handle, element }),
        1 => (pool(), 0u32..4).prop_map(|(handle, id)| Message::Deregistration { handle, id }),
        3 => (pool(), any::<bool>(), prop::option::of(0u32..4))
            .prop_map(|(handle, subscribe, items)| Message::HandleResolution { subscribe, handle, items }),
        3 => (pool(), 0u32..4).prop_map(|(handle, id)| Message::EndpointKeepAliveAck { handle, id }),
        1 => (pool(), 0u32..4).prop_map(|(handle, id)| Message::EndpointUnreachable { handle, id }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0u64..6;
    let addresses = || prop::collection::vec(1u8..6, 1..3);
    prop_oneof![
        3 => (who.clone(), addresses()).prop_map(|(a, list)| Step::Up(a, list)),
        1 => (who.clone(), addresses()).prop_map(|(a, list)| Step::Addresses(a, list)),
        1 => who.clone().prop_map(Step::Down),
        12 => (who.clone(), message()).prop_map(|(a, m)| Step::Say(a, m)),
        1 => (who.clone(), prop::sample::select(vec![11u32, 0, 12]), prop::collection::vec(any::<u8>(), 0..64))
            .prop_map(|(a, ppid, bytes)| Step::Garbage(a, ppid, bytes)),
        2 => (who, message(), prop::collection::vec(any::<(u16, u8)>(), 1..4))
            .prop_map(|(a, m, changes)| Step::Damaged(a, m, changes)),
        4 => (1u64..8_000).prop_map(Step::Pass),
    ]
}

impl World {
    fn take(&mut self, step: Step) {
        let list = |numbers: Vec<u8>| numbers.into_iter().map(address).collect::<Vec<_>>();
        match step {
            Step::Up(a, numbers) => {
                let addresses = list(numbers);
                self.give(Input::Up { association: Association(a), from: addresses[0], port: 9, addresses });
            }
            Step::Addresses(a, numbers) => {
                self.give(Input::Addresses { association: Association(a), addresses: list(numbers) });
            }
            Step::Down(a) => self.down(Association(a)),
            Step::Say(a, message) => self.say(Association(a), &message),
            Step::Garbage(a, ppid, bytes) => {
                self.give(Input::Message { association: Association(a), ppid, bytes });
            }
            Step::Damaged(a, message, changes) => {
                let mut bytes = message.encode();
                for (at, value) in changes {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] = value;
                }
                self.bytes(Association(a), bytes);
            }
            Step::Pass(ms) => self.pass(Duration::from_millis(ms)),
        }
    }
}

proptest! {
    /// `World` checks all orders and bounds after every step.
    #[test]
    fn whatever_happens_in_whatever_order_the_orders_agree_and_the_bounds_hold(
        steps in prop::collection::vec(step(), 1..120)
    ) {
        let limits = Limits {
            associations: 4,
            elements: 6,
            pools: 3,
            elements_per_pool: 4,
            pool_handles_octets: 13,
            elements_per_association: 3,
            subscriptions: 5,
            subscriptions_per_association: 2,
            resolution_items: 4,
            ..Limits::default()
        };
        let mut world = World::with(Settings { limits, ..Settings::default() });
        for step in steps {
            world.take(step);
        }
    }

    #[test]
    fn arbitrary_octets_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut world = World::new();
        world.up(A, &["10.0.0.1"]);
        world.up(B, &["10.0.0.2"]);
        world.registered(A, "some pool", element(1, "10.0.0.1"));
        world.bytes(B, bytes);
        prop_assert_eq!(world.seen("some pool").len(), 1);
    }

    #[test]
    fn an_answer_is_never_much_longer_than_the_question(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut world = World::new();
        world.up(A, &["10.0.0.1"]);
        let asked = bytes.len();
        world.bytes(A, bytes);
        let answered: usize = world.heard(A).iter().map(|m| m.encode().len()).sum();
        prop_assert!(answered <= 2 * asked + 64);
    }
}

impl Registrar {
    /// Every order says the same, and no bound is exceeded.
    pub(crate) fn check(&self) {
        let limits = &self.settings.limits;
        self.space.check();
        assert!(self.timers.consistent() && self.subscriptions.consistent());
        assert!(self.clients.len() <= limits.associations);
        assert!(self.space.count_of_home(self.settings.server) <= limits.elements);
        assert!(self.space.pool_count() <= limits.pools);
        assert!(self.space.handle_octets() <= limits.pool_handles_octets);
        assert!(self.space.pools().all(|pool| pool.len() <= limits.elements_per_pool));
        assert!(self.subscriptions.len() <= limits.subscriptions);
        let clients = self.clients.keys().map(|association| self.clients.get(&association).unwrap());
        assert_eq!(self.over_tcp(), clients.filter(|client| client.tcp).count());
        for client in self.clients.keys() {
            let has = self.space.count_owned_by(client) + self.newcomers.count(client);
            assert!(has <= limits.elements_per_association);
            assert!(self.subscriptions.count(client) <= limits.subscriptions_per_association);
        }
        for (pool, element) in self.space.pools().flat_map(|p| p.elements().map(move |e| (p, e))) {
            let Some(owner) = element.owner else { continue };
            assert!(self.clients.contains_key(&owner), "an owner is an association that is there");
            let key = self.space.key(pool.handle(), element.id).unwrap();
            let watched = [super::super::timers::Timer::KeepAlive, super::super::timers::Timer::Answer]
                .iter()
                .filter(|timer| self.timers.get((**timer, key)).is_some())
                .count();
            let periodic = self.settings.keep_alive_interval.is_some();
            assert!(watched <= 1 && (watched == 1 || !periodic), "one timer watches each element");
        }
        assert!(self.timers.len() <= 4 * self.space.len());
        for (key, older) in self.displaced.all().chain(self.earlier.all()) {
            assert!(self.space.get(key).is_some() && self.clients.contains_key(&older));
        }
        let elements = self.space.pools().flat_map(|pool| pool.elements());
        let reports: usize = elements.map(|element| element.bad_reports as usize).sum();
        assert_eq!(reports, self.reporters.len(), "what is counted is how many hosts said so");
        for (key, _) in &self.reporters {
            let of_it = self.reporters.iter().filter(|(of, _)| of == key).count();
            let counted = self.space.get(*key).map(|(_, element)| element.bad_reports as usize);
            assert_eq!(counted, Some(of_it));
        }
        for (key, newcomer) in self.newcomers.all() {
            let owner = self.space.get(key).and_then(|(_, element)| element.owner).unwrap();
            assert!(self.are_apart(owner, newcomer) && self.clients.contains_key(&newcomer));
            assert!(self.timers.get((super::super::timers::Timer::Newcomer, key)).is_some());
        }
        assert!(self.changed.is_empty(), "every change has been told");
    }
}
