//! One user, three elements that come and go, a network and a registrar, on a virtual clock.
//!
//! Everything is drawn from one seed. Messages of one direction of an association keep their order; what is under way
//! when an association breaks is lost, or comes after the user has left it.

mod harm;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use asap_client::pool_user::Answer;
use asap_client::random::{SplitMix64, below};
use asap_client::session::service::{self, Service};
use asap_client::session::user::{self, Down, Exchange, Input, Output, User};
use asap_client::wire::{Policy, PoolElement, PoolHandle, Transport, TransportUse};
use bytes::Bytes;

use crate::app::App;

/// How many requests a run makes.
pub(crate) const REQUESTS: u64 = 1000;
const ELEMENTS: usize = 3;

/// What is put in wrong, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    Nothing,
    /// Cookies say that they include messages which have not gone into the state.
    CookieClaimsTooMuch,
    /// An answer comes twice.
    AnswerTwice,
    /// The first request behind an echo is lost.
    RequestDropped,
}

/// What a run has come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) counters: user::Counters,
    pub(crate) executed: u64,
    pub(crate) refused: u64,
    /// The longest time without an answer.
    pub(crate) pause: Duration,
}

#[derive(Debug)]
enum Happening {
    Reach(u64),
    Up(u64),
    Down(u64, Down),
    Unreachable(u64),
    ToElement(u64, Octets),
    ToUser(u64, Octets),
    Gone(u64),
    Work(u64),
    Answer(u64, [u8; 8]),
    Pool,
    Silence,
    Start(usize),
    Harm,
    Wake,
}

#[derive(Clone, Debug)]
enum Octets {
    Control(Bytes),
    Data(Bytes),
}

struct Host {
    service: Option<Service>,
    apps: BTreeMap<u64, App>,
    work: BTreeMap<u64, VecDeque<(u64, Bytes)>>,
    /// Since when it is up or down, for the registrar.
    since: Duration,
    /// Counts what is random and must not come twice.
    starts: u32,
    gone: bool,
}

struct Link {
    host: usize,
    starts: u32,
    /// Nothing gets through any more, either way.
    cut: bool,
    there: bool,
    to_element: Duration,
    to_user: Duration,
    packets: u64,
}

impl Link {
    /// How many packets have come, of which a link that works has one whenever somebody looks.
    fn look(&mut self) -> u64 {
        self.packets += u64::from(!self.cut);
        self.packets
    }
}

pub(crate) struct World {
    seed: u64,
    random: SplitMix64,
    plant: Plant,
    exchange: Exchange,
    start: Instant,
    now: Duration,
    order: u64,
    queue: BTreeMap<(Duration, u64), Happening>,
    user: User,
    hosts: Vec<Host>,
    links: BTreeMap<u64, Link>,
    asked: u64,
    seen: u64,
    expected: App,
    last: Duration,
    outcome: Outcome,
    harmful: bool,
    planted: bool,
    over: Option<user::End>,
    wrong: Option<String>,
}

fn pool() -> PoolHandle {
    "CountPool".parse().unwrap()
}

fn element(host: usize) -> PoolElement {
    let last = u8::try_from(host).unwrap() + 1;
    PoolElement {
        id: u32::from(last),
        home: 1,
        life: 300,
        user: Transport::Sctp {
            port: 7,
            use_: TransportUse::DataPlusControl,
            addresses: vec![[10, 0, 0, last].into()].into(),
        },
        policy: Policy::RoundRobin,
        asap: None,
    }
}

impl World {
    pub(crate) fn new(start: Instant, seed: u64, exchange: Exchange, plant: Plant) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut config = user::Config::new(pool(), exchange);
        config.limits.messages = 1 + usize::try_from(below(random.draw(), 64)).unwrap();
        config.waits.patience = Duration::from_secs(60);
        config.waits.answer = Some(Duration::from_millis(400));
        config.waits.connect = Duration::from_millis(200);
        config.waits.stranded = Duration::from_millis(100);
        config.waits.silent = Some(Duration::from_millis(300));
        config.waits.resolve = Duration::from_millis(300);
        config.waits.pause_most = Duration::from_millis(500);
        config.seed = seed;
        let host = |_| Host {
            service: None,
            apps: BTreeMap::new(),
            work: BTreeMap::new(),
            since: Duration::ZERO,
            starts: 0,
            gone: false,
        };
        let mut world = Self {
            seed,
            plant,
            exchange,
            user: User::new(start, config),
            start,
            now: Duration::ZERO,
            order: 0,
            queue: BTreeMap::new(),
            hosts: (0..ELEMENTS).map(host).collect(),
            links: BTreeMap::new(),
            asked: 0,
            seen: 0,
            expected: App::new(exchange),
            last: Duration::ZERO,
            outcome: Outcome::default(),
            // Where the service has a state, a session that begins afresh has lost it.
            harmful: exchange == Exchange::Requests && below(random.draw(), 4) == 0,
            planted: false,
            over: None,
            wrong: None,
            random,
        };
        for host in 0..ELEMENTS {
            world.start_host(host);
        }
        let first = world.between(5, 40);
        world.at(first, Happening::Harm);
        world
    }

    /// Runs until every request is answered, or something is wrong.
    pub(crate) fn run(mut self) -> Result<Outcome, String> {
        self.follow_user();
        while self.wrong.is_none() && self.over.is_none() {
            if self.seen == REQUESTS {
                let ending = Input::End { graceful: true };
                self.give(ending);
                continue;
            }
            let Some(((at, _), happening)) = self.queue.pop_first() else {
                return Err(format!("seed {}: nothing more happens after answer {}", self.seed, self.seen));
            };
            if at > self.last + Duration::from_secs(30) {
                return Err(format!("seed {}: still waiting behind answer {}", self.seed, self.seen));
            }
            self.now = at;
            self.happen(happening);
            self.ask_more();
        }
        self.outcome.counters = self.user.counters();
        match (self.wrong, self.over) {
            (Some(wrong), _) => Err(format!("seed {}: {wrong}", self.seed)),
            (None, Some(user::End::Done)) if self.seen == REQUESTS => Ok(self.outcome),
            (None, end) => Err(format!("seed {}: ended as {end:?} behind answer {}", self.seed, self.seen)),
        }
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least) + Duration::from_micros(below(self.random.draw(), (most - least) * 1000))
    }

    fn one_in(&mut self, many: u64) -> bool {
        below(self.random.draw(), many) == 0
    }

    fn at(&mut self, span: Duration, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now + span, self.order), happening);
    }

    fn clock(&self) -> Instant {
        self.start + self.now
    }

    fn give(&mut self, input: Input) {
        let now = self.clock();
        // Only what the program sends can be refused, and it is sent elsewhere.
        self.user.handle(now, input).expect("nothing else is refused");
        self.follow_user();
    }

    fn ask_more(&mut self) {
        while self.asked < REQUESTS {
            let octets = Bytes::copy_from_slice(&App::request(self.asked + 1));
            let send = Input::Send { octets, options: user::SendOptions::default() };
            match self.user.handle(self.clock(), send) {
                Ok(()) => self.asked += 1,
                Err(user::Refused::Full) => break,
                Err(other) => panic!("{other}"),
            }
        }
        self.follow_user();
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Reach(link) => self.reach(link),
            Happening::Up(link) => self.give(Input::Up(link)),
            Happening::Down(link, down) => self.give(Input::Down(link, down)),
            Happening::Unreachable(link) => self.give(Input::Reachable(link, false)),
            Happening::ToUser(link, Octets::Control(octets)) => self.give(Input::Control { link, octets }),
            Happening::ToUser(link, Octets::Data(octets)) => self.give(Input::Data { link, ppid: 0, octets }),
            Happening::ToElement(link, octets) => self.reach_element(link, octets),
            Happening::Gone(link) => self.serve(link, service::Input::Down(link)),
            Happening::Work(link) => self.work(link),
            Happening::Answer(link, answer) => self.answer(link, &answer, None),
            Happening::Pool => self.pool(),
            Happening::Silence => self.give(Input::Unanswered),
            Happening::Start(host) => self.start_host(host),
            Happening::Harm => self.harm(),
            Happening::Wake => {
                let now = self.clock();
                if self.user.poll_timeout().is_some_and(|due| due <= now) {
                    self.user.handle_timeout(now);
                    self.follow_user();
                }
            }
        }
    }

    fn follow_user(&mut self) {
        while let Some(output) = self.user.poll_output() {
            match output {
                Output::Resolve { .. } => {
                    let (span, lost) = (self.between(1, 5), self.one_in(10));
                    self.at(span, if lost { Happening::Silence } else { Happening::Pool });
                }
                Output::Open { link, element } => {
                    let host = usize::try_from(element.id).unwrap() - 1;
                    let starts = self.hosts[host].starts;
                    let zero = Duration::ZERO;
                    let new = Link {
                        host,
                        starts,
                        cut: false,
                        there: false,
                        to_element: zero,
                        to_user: zero,
                        packets: 0,
                    };
                    self.links.insert(link, new);
                    let span = self.between(0, 3);
                    self.at(span, Happening::Reach(link));
                }
                Output::Control { link, octets } => self.send(link, Octets::Control(octets.into())),
                Output::Data { link, message } => self.send(link, Octets::Data(message.octets)),
                Output::Abort(link) | Output::Shutdown(link) => {
                    // The element may notice much later.
                    let span = if self.one_in(3) { self.between(100, 3000) } else { self.between(0, 3) };
                    self.at(span, Happening::Gone(link));
                }
                // A link over which nothing comes is looked at as long as nobody tells of it.
                Output::Look(link) => {
                    let packets = self.links.get_mut(&link).map_or(0, Link::look);
                    self.give(Input::Looked { link, packets, unacknowledged: false });
                }
                Output::Unreachable { .. } | Output::Probe(_) => {}
                Output::Event(event) => self.event(event),
            }
        }
        if let Some(due) = self.user.poll_timeout() {
            let span = due.saturating_duration_since(self.clock());
            self.at(span, Happening::Wake);
        }
    }

    fn event(&mut self, event: user::Event) {
        match event {
            user::Event::Answer { number, octets, .. } => {
                if number != self.seen + 1 {
                    self.wrong = Some(format!("answer {number} came behind answer {}", self.seen));
                }
                self.seen = number;
                let right = self.expected.execute(&App::request(number));
                if octets != right[..] {
                    self.wrong = Some(format!("answer {number} is another one's"));
                }
                self.outcome.pause = self.outcome.pause.max(self.now - self.last);
                self.last = self.now;
            }
            user::Event::Ended(end) => self.over = Some(end),
            user::Event::Afresh if !self.harmful => {
                self.wrong = Some(format!("a good cookie was refused behind answer {}", self.seen));
            }
            user::Event::Returned(message) => {
                self.wrong = Some(format!("message {} was given back", message.number));
            }
            user::Event::Nonsense(nonsense) if self.plant == Plant::Nothing => {
                self.wrong = Some(format!("nonsense: {nonsense}"));
            }
            _ => {}
        }
    }

    /// Sends to the element, behind what was sent before.
    fn send(&mut self, link: u64, octets: Octets) {
        let span = self.between(0, 2);
        let behind_echo = self.links.get(&link).is_some_and(|it| it.to_element > Duration::ZERO);
        if self.plant == Plant::RequestDropped
            && self.user.counters().echoes > 0
            && behind_echo
            && matches!(octets, Octets::Data(_))
            && !std::mem::replace(&mut self.planted, true)
        {
            return;
        }
        let Some(it) = self.links.get_mut(&link) else { return };
        it.to_element = it.to_element.max(self.now + span);
        let span = it.to_element - self.now;
        self.at(span, Happening::ToElement(link, octets));
    }

    fn reach_user(&mut self, link: u64, happening: impl Fn(u64) -> Happening) {
        let span = self.between(0, 2);
        let Some(it) = self.links.get_mut(&link) else { return };
        if !it.cut {
            it.to_user = it.to_user.max(self.now + span);
            let span = it.to_user - self.now;
            self.at(span, happening(link));
        }
    }

    fn reach(&mut self, link: u64) {
        let it = &self.links[&link];
        let host = it.host;
        if self.hosts[host].gone || it.cut {
            return;
        }
        if self.hosts[host].service.is_none() {
            return self.reach_user(link, |link| Happening::Down(link, Down::Lost));
        }
        let starts = self.hosts[host].starts;
        let it = self.links.get_mut(&link).unwrap();
        (it.there, it.starts) = (true, starts);
        self.reach_user(link, Happening::Up);
        self.serve(link, service::Input::Accepted { link, user: b"alice".to_vec() });
    }

    fn reach_element(&mut self, link: u64, octets: Octets) {
        if !self.links[&link].cut {
            let input = match octets {
                Octets::Control(octets) => service::Input::Control { link, octets },
                Octets::Data(octets) => service::Input::Data { link, ppid: 0, octets },
            };
            self.serve(link, input);
        }
    }

    /// Gives the element of a link something, if it is still the one that the link was made to.
    fn serve(&mut self, link: u64, input: service::Input) {
        let (host, now) = (self.links[&link].host, self.clock());
        if self.hosts[host].starts != self.links[&link].starts || !self.links[&link].there {
            return;
        }
        let Some(service) = &mut self.hosts[host].service else { return };
        service.handle(now, input).expect("the link is there");
        self.follow_service(host);
    }

    fn follow_service(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].service.as_mut().and_then(Service::poll_output) {
            match output {
                service::Output::Control { link, octets } => {
                    let octets = Bytes::from(self.harmed(octets));
                    self.reach_user(link, |link| Happening::ToUser(link, Octets::Control(octets.clone())));
                }
                service::Output::Data { link, octets, .. } => {
                    self.reach_user(link, |link| Happening::ToUser(link, Octets::Data(octets.clone())));
                    let twice = self.plant == Plant::AnswerTwice && self.seen > 100;
                    if twice && !std::mem::replace(&mut self.planted, true) {
                        self.reach_user(link, |link| Happening::ToUser(link, Octets::Data(octets.clone())));
                    }
                }
                service::Output::Abort(link) | service::Output::Shutdown(link) => {
                    self.reach_user(link, |link| Happening::Down(link, Down::Lost));
                }
                service::Output::Event(event) => self.service_event(host, event),
            }
        }
    }

    fn service_event(&mut self, host: usize, event: service::Event) {
        match event {
            service::Event::Started { link, restored, .. } => {
                let state = restored.map(|restored| restored.state);
                let mut app = state.map_or_else(|| App::new(self.exchange), |state| App::restored(&state));
                let owed = app.owed();
                self.hosts[host].apps.insert(link, app);
                self.hosts[host].work.insert(link, VecDeque::new());
                for octets in owed {
                    self.reply(host, link, octets);
                }
            }
            service::Event::Data { link, number, octets, .. } => {
                let work = self.hosts[host].work.get_mut(&link).expect("the session has started");
                work.push_back((number, octets));
                if work.len() == 1 {
                    let span = self.between(0, 1);
                    self.at(span, Happening::Work(link));
                }
            }
            service::Event::Ended { link, .. } => {
                self.hosts[host].apps.remove(&link);
                self.hosts[host].work.remove(&link);
            }
            service::Event::Refused { why, .. } => {
                self.outcome.refused += 1;
                if !self.harmful {
                    self.wrong = Some(format!("a cookie was refused: {why}"));
                }
            }
            service::Event::Card { .. } | service::Event::Nonsense { .. } => {}
        }
    }

    fn reply(&mut self, host: usize, link: u64, octets: Vec<u8>) {
        let now = self.clock();
        let Some(service) = &mut self.hosts[host].service else { return };
        let send = service::Input::Send { link, ppid: 0, octets: octets.into(), unordered: false };
        service.handle(now, send).expect("the session is there");
    }

    /// The element of a link with a session, if it is still the one that the link was made to.
    fn serving(&self, link: u64) -> Option<usize> {
        let host = self.links[&link].host;
        let same = self.hosts[host].starts == self.links[&link].starts;
        (same && self.hosts[host].apps.contains_key(&link)).then_some(host)
    }

    /// The service executes one request; gives a cookie now and then, before or after it answers.
    fn work(&mut self, link: u64) {
        let Some(host) = self.serving(link) else { return };
        let (often, before) = (self.one_in(6), self.one_in(2));
        let Host { work, apps, .. } = &mut self.hosts[host];
        let (work, app) = (&work[&link], apps.get_mut(&link).unwrap());
        let Some((number, request)) = work.front() else { return };
        let newest = work.back().map_or(*number, |(number, _)| *number);
        let answer = app.execute(request);
        self.outcome.executed += 1;
        // One that gives no cookie when it has nothing to do has its user wait for it.
        let give = often || (work.len() == 1 && self.exchange == Exchange::Transactions);
        let state = app.state(if before { &answer } else { &[] });
        let claimed = if self.plant == Plant::CookieClaimsTooMuch { newest } else { *number };
        let cookie = give.then_some((state, claimed));
        if before && cookie.is_some() {
            self.cookie(host, link, cookie);
            let span = self.between(0, 1);
            self.at(span, Happening::Answer(link, answer));
        } else {
            self.answer(link, &answer, cookie);
        }
    }

    fn cookie(&mut self, host: usize, link: u64, cookie: Option<(Vec<u8>, u64)>) {
        let now = self.clock();
        if let (Some((state, includes)), Some(service)) = (cookie, &mut self.hosts[host].service) {
            let give = service::Input::Cookie { link, state, includes: Some(includes) };
            service.handle(now, give).expect("the session is there");
            self.follow_service(host);
        }
    }

    fn answer(&mut self, link: u64, answer: &[u8], cookie: Option<(Vec<u8>, u64)>) {
        let Some(host) = self.serving(link) else { return };
        self.reply(host, link, answer.to_vec());
        self.cookie(host, link, cookie);
        self.follow_service(host);
        let work = self.hosts[host].work.get_mut(&link).unwrap();
        work.pop_front();
        if !work.is_empty() {
            let span = self.between(0, 1);
            self.at(span, Happening::Work(link));
        }
    }

    fn pool(&mut self) {
        // The registrar takes a while to notice.
        let listed = |host: &Host| {
            let since = self.now.saturating_sub(host.since);
            let up = host.service.is_some() && !host.gone;
            (up && since > Duration::from_millis(20)) || (!up && since < Duration::from_millis(200))
        };
        let mut elements: Vec<_> =
            (0..ELEMENTS).filter(|host| listed(&self.hosts[*host])).map(element).collect();
        self.random.shuffle(&mut elements);
        let answer = Answer { policy: Policy::RoundRobin, elements, error: None };
        self.give(Input::Pool(answer));
    }
}
