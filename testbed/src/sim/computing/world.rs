//! Jobs arrive, elements join, leave and die.

use asap_client::random::SplitMix64;
use asap_client::wire::{PoolHandle, Transport, TransportUse};
use roam_registrar::handlespace::{self, ElementKey, Handlespace};

use super::super::pools::timeline::Timeline;
use super::super::{SECOND, Time};
use super::element::{Computed, Element, Number};
use super::{Seen, Shape};

/// The registrar, of which there is one.
const HOME: u32 = 1;

#[derive(Debug)]
enum What {
    /// The next job comes.
    Arrival,
    /// A job reaches the registrar, which says where it is to go.
    Ask(Number),
    /// A job reaches an element.
    Offer(Number, usize),
    /// An element has done something, if that is still its version.
    Finish(usize, u64),
    /// The registration of an element that computes so many jobs reaches the registrar.
    Register(usize, usize),
    Leave(usize),
    Join(usize),
}

/// Times in microseconds, sizes in seconds of an element of mean speed.
#[derive(Debug)]
struct Job {
    arrived: Time,
    size: f64,
    left: f64,
    has_begun: bool,
}

pub(super) struct World<'a> {
    shape: &'a Shape,
    random: SplitMix64,
    now: Time,
    timeline: Timeline<What>,
    space: Handlespace,
    handle: PoolHandle,
    user: Transport,
    keys: Vec<Option<ElementKey>>,
    elements: Vec<Element>,
    jobs: Vec<Job>,
    /// The capacity of the elements that are here, and what it came to until then.
    present: f64,
    offered: f64,
    until: Time,
    lost: f64,
    /// Of the jobs that are counted.
    sizes: f64,
    seen: Seen,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, shape: &'a Shape) -> Self {
        let capacities = shape.capacities.of(shape.elements);
        let most = |capacity: f64| ((capacity * f64::from(shape.at_a_time)).round() as usize).max(1);
        let elements: Vec<_> = capacities.iter().map(|&it| Element::new(it, most(it))).collect();
        let mut world = Self {
            shape,
            random: SplitMix64::new(seed),
            now: 0,
            timeline: Timeline::default(),
            space: Handlespace::default(),
            handle: PoolHandle::new("pool").expect("it is neither empty nor long"),
            user: Transport::Sctp {
                port: 7,
                use_: TransportUse::DataOnly,
                addresses: vec![[10, 0, 0, 1].into()].into(),
            },
            keys: vec![None; shape.elements],
            elements,
            jobs: Vec::with_capacity(shape.jobs),
            present: capacities.iter().sum(),
            offered: 0.0,
            until: 0,
            lost: 0.0,
            sizes: 0.0,
            seen: Seen::default(),
        };
        for element in 0..shape.elements {
            world.register(element, 0);
            if let Some((stay, _)) = shape.churn {
                let at = world.draw(stay as f64) as Time;
                world.timeline.add(at, What::Leave(element));
            }
        }
        world.timeline.add(0, What::Arrival);
        world
    }

    pub(super) fn play(mut self) -> Seen {
        while self.seen.done < self.shape.jobs {
            // Jobs that are not done are somewhere.
            let Some((at, what)) = self.timeline.next(Time::MAX) else { break };
            self.now = at;
            self.happens(what);
        }
        self.account();
        let worked: f64 = self.elements.iter().map(|element| element.worked).sum();
        let counted = (self.shape.jobs - self.shape.jobs / 10).max(1) as f64;
        Seen {
            utilisation: worked / self.offered.max(f64::MIN_POSITIVE),
            waiting: self.seen.waiting / counted,
            handling: self.seen.handling / counted,
            slowdown: self.seen.handling / self.sizes.max(f64::MIN_POSITIVE),
            lost: self.lost / worked.max(f64::MIN_POSITIVE),
            ..self.seen
        }
    }

    /// Exponentially distributed.
    fn draw(&mut self, mean: f64) -> f64 {
        let part = ((self.random.draw() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        -part.ln() * mean
    }

    fn happens(&mut self, what: What) {
        match what {
            What::Arrival => self.arrival(),
            What::Ask(job) => self.ask(job),
            What::Offer(job, element) => self.offer(job, element),
            What::Finish(element, version) => {
                if self.elements[element].version == version {
                    self.finish(element);
                }
            }
            What::Register(element, jobs) => self.register(element, jobs),
            What::Leave(element) => self.leave(element),
            What::Join(element) => {
                self.account();
                self.present += self.elements[element].capacity;
                self.elements[element].is_here = true;
                self.timeline.add(self.now + self.shape.way, What::Register(element, 0));
                if let Some((stay, _)) = self.shape.churn {
                    let at = self.now + self.draw(stay as f64) as Time;
                    self.timeline.add(at, What::Leave(element));
                }
            }
        }
    }

    fn arrival(&mut self) {
        let mean = self.shape.job as f64 / SECOND as f64;
        let size = self.draw(mean);
        let job = self.jobs.len();
        self.jobs.push(Job { arrived: self.now, size, left: size, has_begun: false });
        self.timeline.add(self.now + self.shape.way, What::Ask(job));
        if self.jobs.len() < self.shape.jobs {
            // As much as the elements that are there in the mean can do to that part.
            let here = self.shape.churn.map_or(1.0, |(stay, away)| stay as f64 / (stay + away) as f64);
            let capacity = self.shape.elements as f64 * here;
            let pause = self.draw(self.shape.job as f64 / (capacity * self.shape.demand));
            self.timeline.add(self.now + pause as Time, What::Arrival);
        }
    }

    fn ask(&mut self, job: Number) {
        let random = &mut self.random;
        let pool = self.space.pool_mut(&self.handle);
        let chosen = pool.and_then(|pool| pool.select(1, &mut || random.draw()).first().copied());
        match chosen {
            // There and back, and on to the element.
            Some(id) => {
                let at = self.now + 2 * self.shape.way;
                self.timeline.add(at, What::Offer(job, id as usize - 1));
            }
            None => self.timeline.add(self.now + self.shape.pause, What::Ask(job)),
        }
    }

    fn offer(&mut self, number: Number, element: usize) {
        let job = &mut self.jobs[number];
        if !self.elements[element].take(self.now, number, job.left) {
            self.seen.refused += 1;
            let again = self.now + self.shape.way + self.shape.pause;
            self.timeline.add(again, What::Ask(number));
            return;
        }
        if !std::mem::replace(&mut job.has_begun, true) && number >= self.shape.jobs / 10 {
            self.seen.waiting += (self.now - job.arrived) as f64 / SECOND as f64;
        }
        self.changed(element);
    }

    fn finish(&mut self, element: usize) {
        for number in self.elements[element].finish(self.now) {
            let job = &self.jobs[number];
            self.seen.done += 1;
            if number >= self.shape.jobs / 10 {
                let took = (self.now + self.shape.way - job.arrived) as f64 / SECOND as f64;
                self.seen.handling += took;
                self.sizes += job.size;
            }
        }
        self.changed(element);
    }

    /// The jobs of an element are others: what comes next, and what it has to register.
    fn changed(&mut self, element: usize) {
        let it = &self.elements[element];
        let jobs = it.jobs();
        if let Some(at) = it.next() {
            self.timeline.add(at, What::Finish(element, it.version));
        }
        if self.shape.policy.adapts() {
            self.timeline.add(self.now + self.shape.way, What::Register(element, jobs));
        }
    }

    fn register(&mut self, element: usize, jobs: usize) {
        let it = &self.elements[element];
        if !it.is_here {
            return;
        }
        let policy = self.shape.policy.policy(jobs, it.most);
        let registered = handlespace::Element {
            id: u32::try_from(element + 1).unwrap_or(u32::MAX),
            home: HOME,
            life: -1,
            user: self.user.clone(),
            policy,
            asap: self.user.clone(),
            owner: None,
            expires: None,
            bad_reports: 0,
        };
        let (key, _) = self.space.insert(self.handle.clone(), registered);
        self.keys[element] = Some(key);
    }

    fn leave(&mut self, element: usize) {
        self.account();
        self.present -= self.elements[element].capacity;
        let dies = self.shape.deaths > 0 && self.random.draw().is_multiple_of(self.shape.deaths);
        let cookie = self.shape.cookie * self.shape.job as f64 / SECOND as f64;
        let wait = if dies { self.shape.notice } else { self.shape.way };
        for Computed { job: number, left } in self.elements[element].leave(self.now) {
            let job = &mut self.jobs[number];
            let done = (job.left - left).max(0.0);
            // Of what was done at this element, that of the last cookie is kept.
            let kept = if dies { (done / cookie).floor() * cookie } else { done };
            job.left -= kept;
            self.lost += done - kept;
            self.seen.interrupted += 1;
            self.timeline.add(self.now + wait, What::Ask(number));
        }
        if let Some(key) = self.keys[element].take() {
            // One that leaves deregisters; that one is dead its association tells.
            self.space.remove(key);
        }
        if let Some((_, away)) = self.shape.churn {
            let at = self.now + self.draw(away as f64) as Time;
            self.timeline.add(at, What::Join(element));
        }
    }

    /// What the elements that are here could have done by now.
    fn account(&mut self) {
        self.offered += self.present * (self.now - self.until) as f64 / SECOND as f64;
        self.until = self.now;
    }
}
