//! A host among two registrars, with everything going wrong at random and then right again: however it went, the host
//! ends up registered at its home from where it is, subscribed, and knowing what its registrar knows. Associations can
//! be moved, or cannot, or that fails on the way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;

const HERE: [&[u8]; 4] = [&[], &[1], &[2], &[1, 2]];
const DELAY: Duration = Duration::from_millis(20);
/// How long the kernel tries before it gives an association up.
const LOSS: Duration = Duration::from_secs(6);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Up(LinkId),
    Down(LinkId),
    Moved(LinkId, Vec<IpAddr>),
    ToRegistrar(LinkId, Vec<u8>),
    ToHost(LinkId, Vec<u8>),
}

#[derive(Debug, Default)]
struct Registrar {
    dead: bool,
    /// Lives, but answers nothing.
    mute: bool,
    elements: BTreeMap<u32, (LinkId, WireElement)>,
    subscribers: Vec<LinkId>,
}

#[derive(Debug)]
struct Link {
    port: PortId,
    registrar: usize,
    local: Vec<IpAddr>,
    /// It was begun while nobody answered, or its registrar has died since: it will end, nothing travels on it.
    doomed: bool,
}

struct Chaos {
    client: Client,
    now: Instant,
    random: u64,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
    registrars: [Registrar; 2],
    ports: BTreeMap<PortId, Vec<IpAddr>>,
    links: BTreeMap<LinkId, Link>,
    here: Vec<IpAddr>,
    /// Who is in the pool that the host subscribes to: known to both registrars, as by ENRP.
    peer: Option<u8>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let registrars = vec![vec![registrar(1)], vec![registrar(2)]];
        let seed_of_client = (!seed.is_multiple_of(3)).then_some(seed);
        Self {
            client: Client::new(Config { registrars, timers: Timers::mobile(), seed: seed_of_client }),
            now: Instant::now(),
            random: seed,
            queue: BinaryHeap::new(),
            sequence: 0,
            registrars: Default::default(),
            ports: BTreeMap::new(),
            links: BTreeMap::new(),
            here: Vec::new(),
            peer: Some(1),
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn later(&mut self, delay: Duration, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + delay, self.sequence, what)));
    }

    fn give(&mut self, input: Input) {
        self.client.handle(self.now, input);
        self.carry_out();
    }

    /// Does the network carry packets of this link?
    fn reaches(&self, link: LinkId) -> bool {
        let Some(link) = self.links.get(&link) else { return false };
        !link.doomed
            && !self.registrars[link.registrar].dead
            && link.local.iter().any(|local| self.here.contains(local))
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Bind { port, local } => {
                    assert!(!local.is_empty());
                    assert_eq!(self.ports.insert(port, local), None);
                }
                Output::Unbind(port) => {
                    assert!(self.ports.remove(&port).is_some());
                }
                Output::Open { link, port, remote } => {
                    let registrar = usize::from(remote == [super::registrar(2)]);
                    let local = self.ports[&port].clone();
                    let same = self.links.values().filter(|l| (l.registrar, &l.local) == (registrar, &local));
                    // A predecessor stays ten seconds, and a silent successor two.
                    assert!(same.count() < 16, "associations pile up: {:?}", self.links);
                    self.links.insert(link, Link { port, registrar, local, doomed: false });
                    if self.reaches(link) {
                        self.later(2 * DELAY, Happening::Up(link));
                    } else {
                        self.doom(link);
                    }
                }
                Output::Send { link, bytes } => {
                    if self.reaches(link) {
                        self.later(4 * DELAY, Happening::ToRegistrar(link, bytes));
                    }
                }
                Output::Carry { link, local } => {
                    let chance = self.random(4);
                    if chance > 0 {
                        // The socket moves at once, the association once it is agreed, if it ever is.
                        self.ports.insert(self.links[&link].port, local.clone());
                        self.client.handle(self.now, Input::Carried(link));
                    }
                    if chance > 1 {
                        self.later(4 * DELAY, Happening::Moved(link, local));
                    }
                }
                Output::Close(link) => {
                    if self.reaches(link) {
                        self.ended(link);
                    }
                    assert!(self.links.remove(&link).is_some());
                }
                Output::Event(_) => {}
            }
        }
    }

    fn doom(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.doomed = true;
            self.later(LOSS, Happening::Down(id));
        }
    }

    /// The registrar sees the end of an association.
    fn ended(&mut self, link: LinkId) {
        let Some(registrar) = self.links.get(&link).map(|link| link.registrar) else { return };
        let registrar = &mut self.registrars[registrar];
        registrar.subscribers.retain(|subscriber| *subscriber != link);
        registrar.elements.retain(|_, (owner, _)| *owner != link);
    }

    fn members(&self, subscribed: bool) -> Message {
        match self.peer {
            Some(peer) => push(subscribed, &[peer]),
            None => Message::HandleResolutionResponse {
                subscribed: false,
                handle: peers(),
                policy: None,
                elements: vec![],
                error: Some(vec![Cause::bare(Cause::UNKNOWN_POOL_HANDLE)]),
            },
        }
    }

    fn answer(&mut self, link: LinkId, bytes: &[u8]) {
        let subscribable = self.peer.is_some();
        let Some(index) = self.links.get(&link).map(|link| link.registrar) else { return };
        if !self.reaches(link) || self.registrars[index].mute {
            return;
        }
        let registrar = &mut self.registrars[index];
        let answer = match decode(bytes).unwrap().message {
            Message::Registration { handle, element } => {
                let id = element.id;
                registrar.elements.insert(id, (link, element));
                Message::RegistrationResponse { rejected: false, handle, id, error: None }
            }
            Message::HandleResolution { subscribe: true, .. } => {
                if subscribable && !registrar.subscribers.contains(&link) {
                    registrar.subscribers.push(link);
                }
                self.members(subscribable)
            }
            other => panic!("{other}"),
        };
        self.later(DELAY, Happening::ToHost(link, answer.encode()));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Up(link) if self.links.contains_key(&link) => self.give(Input::Up(link)),
            Happening::Down(link) if self.links.contains_key(&link) => {
                self.ended(link);
                self.links.remove(&link);
                self.give(Input::Down(link));
            }
            Happening::Moved(id, local) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.local = local;
                }
            }
            Happening::ToRegistrar(link, bytes) => self.answer(link, &bytes),
            Happening::ToHost(link, bytes) if self.reaches(link) => self.give(Input::Received(link, bytes)),
            _ => {}
        }
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timeout = self.client.poll_timeout();
            let next = self.queue.peek().map(|Reverse((at, ..))| *at);
            let Some(at) = timeout.into_iter().chain(next).min().filter(|at| *at <= end) else { break };
            self.now = at.max(self.now);
            if next == Some(at) {
                let Reverse((.., what)) = self.queue.pop().unwrap();
                self.happen(what);
            } else {
                self.client.handle_timeout(self.now);
                self.carry_out();
            }
        }
        self.now = end;
    }

    fn go(&mut self, here: usize) {
        self.here = HERE[here].iter().map(|last| ip(*last)).collect();
        let here = self.here.clone();
        self.give(Input::Local(here));
    }

    /// Everybody who subscribes to a registrar that can speak hears who is in the pool.
    fn change_peer(&mut self, peer: Option<u8>) {
        self.peer = peer;
        let message = self.members(true).encode();
        for registrar in 0..2 {
            for link in self.registrars[registrar].subscribers.clone() {
                if self.reaches(link) {
                    self.later(DELAY, Happening::ToHost(link, message.clone()));
                }
            }
            if peer.is_none() {
                self.registrars[registrar].subscribers.clear();
            }
        }
    }

    fn die(&mut self, registrar: usize) {
        let links: Vec<_> =
            self.links.iter().filter(|(_, l)| l.registrar == registrar).map(|(link, _)| *link).collect();
        for link in links {
            // Its kernel aborts them, if that arrives; else they are lost after a while.
            if self.reaches(link) {
                self.later(DELAY, Happening::Down(link));
            }
            self.doom(link);
        }
        self.registrars[registrar] = Registrar { dead: true, ..Registrar::default() };
    }

    fn step(&mut self) {
        let registrar = usize::try_from(self.random(2)).unwrap();
        match self.random(8) {
            0..=2 => {
                let here = usize::try_from(self.random(4)).unwrap();
                self.go(here);
            }
            3 if !self.registrars[registrar].dead => self.die(registrar),
            3 | 4 => self.registrars[registrar].dead = false,
            5 => self.registrars[registrar].mute = !self.registrars[registrar].mute,
            6 => {
                let peer = self.random(4);
                self.change_peer(u8::try_from(peer).ok().filter(|peer| *peer > 0));
            }
            _ => {
                let links: Vec<_> = self.links.keys().copied().collect();
                if !links.is_empty() {
                    let link = links[usize::try_from(self.random(links.len() as u64)).unwrap()];
                    self.later(DELAY, Happening::Down(link));
                }
            }
        }
        let pause = [1, 10, 30, 70, 150, 1000, 4000, 10_000][usize::try_from(self.random(8)).unwrap()];
        self.pass(Duration::from_millis(pause));
    }

    /// Registered at a registrar from where the host is, over an association that lives.
    fn assert_whole(&self, seed: u64) {
        let whole = self.registrars.iter().any(|registrar| {
            registrar.elements.get(&9).is_some_and(|(link, element)| {
                self.links.contains_key(link) && {
                    let mut registered = element.user.addresses().to_vec();
                    registered.sort_unstable();
                    registered == self.here
                }
            })
        });
        assert!(whole, "seed {seed}: {:?} {:?} {:?}", self.here, self.registrars, self.links);
        let subscribed = self.registrars.iter().flat_map(|registrar| &registrar.subscribers);
        let is_subscribed = subscribed.into_iter().any(|link| self.links.contains_key(link));
        assert!(is_subscribed, "seed {seed}: {:?} {:?}", self.registrars, self.links);
        let (_, answer) = self.client.cached(&peers()).unwrap();
        let known: Vec<_> = answer.elements.iter().map(|element| element.id).collect();
        assert_eq!(known, [u32::from(self.peer.unwrap())], "seed {seed}");
        assert_eq!(self.links.len(), 2, "seed {seed}: nothing is left behind: {:?}", self.links);
        assert_eq!(self.ports.len(), 2, "seed {seed}: {:?}", self.ports);
    }
}

#[test]
fn however_it_went_the_host_is_registered_and_informed_again_soon_after() {
    for seed in 0..2000 {
        let mut chaos = Chaos::new(seed);
        chaos.give(Input::Register(element()));
        chaos.give(Input::Subscribe(peers()));
        for _ in 0..40 {
            chaos.step();
        }
        for registrar in &mut chaos.registrars {
            (registrar.dead, registrar.mute) = (false, false);
        }
        if chaos.here.is_empty() {
            chaos.go(1);
        }
        if chaos.peer.is_none() {
            chaos.change_peer(Some(2));
        }
        chaos.pass(Duration::from_secs(30));
        chaos.assert_whole(seed);
    }
}
