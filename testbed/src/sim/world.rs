//! Two hosts, the networks between them, a registrar, and what happens to them, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use roam_agent::handover::{Change, Identity, Input, State};

use super::edge;
use super::host::{Host, time};
use super::kernel::Begin;
use super::packet::{Chunk, MS, Packet, SECOND, Time};

/// One of the two ends.
pub type End = usize;

/// Something that a script makes happen.
#[derive(Clone, Debug)]
pub enum Step {
    /// An end gets an address.
    Up(End, IpAddr),
    /// An end loses an address.
    Down(End, IpAddr),
    /// The daemon of an end is killed.
    Kill(End),
    /// The daemon of an end stops in good order.
    Leave(End),
    /// The daemon of an end starts again.
    Start(End),
    /// The registrar can be reached, or not.
    Registrar(bool),
    /// From now on the registrar says this of an end, or the truth.
    Lie(End, Option<Vec<IpAddr>>),
    /// From now on so many packets per thousand are lost.
    Loss(u64),
    /// From now on no more messages are sent.
    Enough,
}

/// Properties of the networks.
#[derive(Clone, Debug)]
pub struct Network {
    /// One way, least.
    pub delay: Time,
    /// On top of that, at most.
    pub jitter: Time,
    /// Lost packets per thousand.
    pub loss: u64,
    /// To the registrar and back, at most.
    pub registrar: Time,
    /// Which ends are registered.
    pub registered: [bool; 2],
    /// Addresses of hosts that answer an ASCONF with a forged acknowledgement.
    pub liars: Vec<IpAddr>,
    /// Addresses of hosts that know nothing of the association and answer with ABORT.
    pub strangers: Vec<IpAddr>,
    /// Between messages.
    pub interval: Time,
}

#[derive(Debug)]
enum Event {
    Arrive(Packet),
    Kernel(End),
    Planner(End),
    Act(End),
    Usable(End),
    Sight(End, Input),
    Poll(End),
    Message(End),
    Register(End),
    Ask(End),
    Located(End, Vec<IpAddr>),
    Script(Step),
}

/// The state of a run.
#[derive(Debug)]
pub struct World {
    /// The ends.
    pub hosts: [Host; 2],
    /// Messages sent by each.
    pub sent: [u32; 2],
    /// The clock.
    pub now: Time,
    /// What happened, if it is told.
    pub trace: Option<Vec<String>>,
    network: Network,
    registrar_up: bool,
    entries: [Vec<IpAddr>; 2],
    lies: [Option<Vec<IpAddr>>; 2],
    queue: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    order: u64,
    armed: [[Time; 2]; 2],
    acting: [bool; 2],
    last_sight: [Time; 2],
    enough: bool,
    /// At most one end may be mute: that is so by the rules that hold between two ends with agents.
    never_both_mute: bool,
    /// Until when an end's changes of addresses are put off.
    postponed: [Time; 2],
    dice: ChaCha8Rng,
}

impl World {
    /// The ends, with their daemons started, at the beginning of time.
    #[must_use]
    pub fn new(
        seed: u64,
        network: Network,
        hosts: [Host; 2],
        script: Vec<(Time, Step)>,
        trace: bool,
    ) -> Self {
        let never_both_mute =
            !hosts.iter().all(|host| host.identity().may_mute && !host.identity().translate);
        let entries = [hosts[0].kernel.interfaces.clone(), hosts[1].kernel.interfaces.clone()];
        let mut world = Self {
            hosts,
            sent: [0; 2],
            now: 0,
            trace: trace.then(Vec::new),
            network,
            registrar_up: true,
            entries,
            lies: [None, None],
            queue: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            order: 0,
            armed: [[Time::MAX; 2]; 2],
            acting: [false; 2],
            last_sight: [0; 2],
            enough: false,
            never_both_mute,
            postponed: [0; 2],
            dice: ChaCha8Rng::seed_from_u64(seed ^ 0x005e_ed0f_d1ce),
        };
        for (at, step) in script {
            world.at(at, Event::Script(step));
        }
        for end in 0..2 {
            world.hosts[end].start(0);
            let offset = world.roll(100 * MS);
            world.at(offset, Event::Message(end));
            world.at(offset, Event::Poll(end));
            world.at(offset, Event::Ask(end));
            world.after(end);
        }
        world
    }

    /// Something that is to happen.
    pub fn schedule(&mut self, at: Time, step: Step) {
        self.at(at, Event::Script(step));
    }

    /// The programs end their association and set up another one. What was under way for the old one is lost.
    pub fn renew(&mut self, ends: [(Identity, Begin); 2]) {
        for event in &mut self.events {
            if matches!(event, Some(Event::Arrive(_) | Event::Sight(..))) {
                *event = None;
            }
        }
        let now = self.now;
        for (end, (identity, begin)) in ends.into_iter().enumerate() {
            self.hosts[end].renew(now, identity, begin);
            self.sent[end] = 0;
            self.after(end);
            self.push(end);
        }
    }

    /// What must never be: the association is dead, a message came twice or out of order, or both ends are mute.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        let kernels = || self.hosts.iter().map(|host| &host.kernel).enumerate();
        let dead = kernels().find_map(|(end, kernel)| Some((end, kernel.dead.as_ref()?)));
        if let Some((end, why)) = dead {
            return Some(format!("the association of end {end} died: {why}"));
        }
        if let Some((end, wrong)) = kernels().find_map(|(end, kernel)| Some((end, kernel.wrong.as_ref()?))) {
            return Some(format!("end {end}: {wrong}"));
        }
        (self.never_both_mute && kernels().all(|(_, kernel)| kernel.is_mute()))
            .then(|| "both ends are mute".to_owned())
    }

    /// Runs until then, or until something is [wrong](Self::wrong).
    pub fn run(&mut self, until: Time) {
        while let Some(&Reverse((at, _, slot))) = self.queue.peek()
            && at <= until
            && self.wrong().is_none()
        {
            self.queue.pop();
            self.now = at;
            if let Some(event) = self.events[slot].take() {
                self.free.push(slot);
                self.happen(event);
            }
        }
        if self.wrong().is_none() {
            self.now = until;
        }
    }

    fn roll(&mut self, bound: u64) -> u64 {
        self.dice.next_u64() % bound.max(1)
    }

    fn at(&mut self, at: Time, event: Event) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.events.push(None);
                self.events.len() - 1
            }
        };
        self.events[slot] = Some(event);
        self.order += 1;
        self.queue.push(Reverse((at, self.order, slot)));
    }

    fn tell(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>10.3} {}", self.now as f64 / MS as f64, text(self));
            if let Some(trace) = self.trace.as_mut() {
                trace.push(line);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Arrive(packet) => self.arrive(packet),
            Event::Kernel(end) => {
                if self.armed[end][0] == now {
                    self.armed[end][0] = Time::MAX;
                }
                self.hosts[end].kernel.expire(now);
                self.after(end);
            }
            Event::Planner(end) => {
                if self.armed[end][1] == now {
                    self.armed[end][1] = Time::MAX;
                }
                self.hosts[end].wake(now);
                self.after(end);
            }
            Event::Act(end) => {
                self.acting[end] = false;
                if let Some(action) = self.hosts[end].act(now) {
                    self.tell(|_| format!("{end} does {action:?}"));
                }
                self.after(end);
            }
            Event::Usable(end) => {
                let usable = self.hosts[end].kernel.interfaces.clone();
                self.hosts[end].tell(now, Input::Usable(usable));
                self.after(end);
                let delay = self.roll(self.network.registrar);
                self.at(now + delay, Event::Register(end));
            }
            Event::Sight(end, input) => {
                self.hosts[end].refresh(now);
                self.hosts[end].tell(now, input);
                self.after(end);
            }
            Event::Poll(end) => {
                self.hosts[end].refresh(now);
                self.after(end);
                self.at(now + SECOND, Event::Poll(end));
            }
            Event::Message(end) => {
                if !self.enough {
                    self.sent[end] += 1;
                    let message = self.sent[end];
                    self.hosts[end].kernel.send(now, message);
                    self.after(end);
                    self.at(now + self.network.interval, Event::Message(end));
                }
            }
            Event::Register(end) => self.register(end),
            Event::Ask(end) => self.ask(end),
            Event::Located(end, addresses) => {
                // What was asked for while the host had an address comes only if it still has one.
                if !self.hosts[end].kernel.interfaces.is_empty() {
                    self.hosts[end].tell(now, Input::Located(addresses));
                    self.after(end);
                }
            }
            Event::Script(step) => self.step(step),
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        self.tell(|_| format!("=== {step:?}"));
        match step {
            Step::Up(end, _) if now < self.postponed[end] => {
                self.at(self.postponed[end], Event::Script(step));
            }
            Step::Down(end, _) if now < self.postponed[end] || self.races_the_tick(&step) => {
                self.postponed[end] = self.postponed[end].max(now + 40 * MS);
                self.at(self.postponed[end], Event::Script(step));
            }
            Step::Up(end, address) => {
                self.hosts[end].kernel.address_up(now, address);
                self.changed(end);
            }
            Step::Down(end, address) => {
                self.hosts[end].kernel.address_down(now, address);
                self.changed(end);
            }
            // See `races_the_tick`.
            Step::Kill(end) if self.hosts[end].kernel.is_losing_an_address() => {}
            Step::Kill(end) => {
                self.hosts[end].kill();
                // While auto-ASCONF is on the kernel acts by itself, and without a daemon for long it would delete
                // all that it has: the one thing that no next daemon can mend. systemd starts it again in 100 ms.
                if self.hosts[end].kernel.reacts_to_events() {
                    self.at(now + 100 * MS, Event::Script(Step::Start(end)));
                }
            }
            Step::Leave(end) => {
                self.hosts[end].stop(now);
                self.after(end);
            }
            Step::Start(end) => {
                if self.hosts[end].planner.is_none() {
                    self.hosts[end].start(now);
                    self.changed(end);
                }
            }
            Step::Registrar(up) => self.registrar_up = up,
            Step::Lie(end, lie) => self.lies[end] = lie,
            Step::Loss(loss) => self.network.loss = loss,
            Step::Enough => self.enough = true,
        }
    }

    /// An address that vanishes while auto-ASCONF is on is deleted by the kernel itself at the tick. If it is the
    /// last one, and the tick comes before the daemon can hold it, the association has no source left, ever:
    /// `sctp_send_asconf_del_ip` marks it though all others are being deleted, `sctp_v4_get_dst` takes no address that
    /// is marked, and only the answer to an ASCONF, which then cannot leave, takes the mark away. Nothing mends that;
    /// runs keep clear of it, as of a daemon that is killed between such a loss and its answer.
    fn races_the_tick(&self, step: &Step) -> bool {
        let Step::Down(end, _) = *step else { return false };
        let host = &self.hosts[end];
        host.kernel.reacts_to_events()
            && (host.planner.is_none() || host.kernel.next_tick().is_some_and(|at| at < self.now + 40 * MS))
    }

    /// An end's addresses have changed: netlink tells its daemon.
    fn changed(&mut self, end: End) {
        let delay = MS + self.roll(15 * MS);
        self.at(self.now + delay, Event::Usable(end));
        self.after(end);
    }

    fn register(&mut self, end: End) {
        if !self.network.registered[end] || self.hosts[end].planner.is_none() {
            return;
        }
        let present = self.hosts[end].kernel.interfaces.clone();
        if present.is_empty() || present == self.entries[end] {
            return;
        }
        if self.registrar_up {
            self.entries[end] = present;
            self.push(1 - end);
        } else {
            self.at(self.now + 500 * MS, Event::Register(end));
        }
    }

    /// What the registrar says of an end's peer is on its way to it.
    fn push(&mut self, end: End) {
        let peer = 1 - end;
        if self.network.registered[peer] {
            let addresses = self.lies[peer].clone().unwrap_or_else(|| self.entries[peer].clone());
            let delay = MS + self.roll(self.network.registrar);
            self.at(self.now + delay, Event::Located(end, addresses));
        }
    }

    fn ask(&mut self, end: End) {
        let host = &self.hosts[end];
        let lost = |state| matches!(state, State::Stranded | State::Moving);
        let wants = host.planner.as_ref().is_some_and(|planner| lost(planner.state()));
        if wants && self.registrar_up && !host.kernel.interfaces.is_empty() {
            self.push(end);
        }
        self.at(self.now + 400 * MS, Event::Ask(end));
    }

    /// What a host's kernel and planner want after something happened to it.
    fn after(&mut self, end: End) {
        let now = self.now;
        for packet in std::mem::take(&mut self.hosts[end].kernel.out) {
            self.leave(end, packet);
        }
        if let Some(at) = self.hosts[end].kernel.next_timer()
            && at < self.armed[end][0]
        {
            self.armed[end][0] = at.max(now);
            self.at(at.max(now), Event::Kernel(end));
        }
        let wake = self.hosts[end].planner.as_ref().and_then(|planner| planner.poll_timeout()).map(time);
        if let Some(at) = wake
            && at < self.armed[end][1]
        {
            self.armed[end][1] = at.max(now);
            self.at(at.max(now), Event::Planner(end));
        }
        if !self.acting[end] && !self.hosts[end].actions.is_empty() {
            self.acting[end] = true;
            let delay = 50 + self.roll(2 * MS);
            self.at(now + delay, Event::Act(end));
        }
    }

    /// The watch on the wire sees an ASCONF or an answer; it sees them in order.
    fn sight(&mut self, end: End, input: Input) {
        let delay = 100 + self.roll(4 * MS);
        let at = (self.now + delay).max(self.last_sight[end]);
        self.last_sight[end] = at;
        self.at(at, Event::Sight(end, input));
    }

    fn leave(&mut self, end: End, packet: Packet) {
        let Some(packet) = edge::leaving(&self.hosts[end].rules, packet) else { return };
        for chunk in &packet.chunks {
            if let Chunk::Asconf { serial, changes, .. } = chunk {
                let changes = (0..).zip(changes.iter().copied()).collect();
                self.sight(end, Input::OwnAsconf { serial: *serial, changes });
            }
        }
        // Networks take only packets that come from addresses which they have given out.
        let given = self.hosts[end].kernel.interfaces.contains(&packet.source);
        let lost = self.roll(1000) < self.network.loss;
        self.tell(|_| {
            let fate = if !given {
                " (not taken)"
            } else if lost {
                " (lost)"
            } else {
                ""
            };
            format!("{end} sends {} -> {} {:?}{fate}", packet.source, packet.destination, packet.chunks)
        });
        if given && !lost {
            self.travel(packet);
        }
    }

    fn travel(&mut self, packet: Packet) {
        let delay = self.network.delay + self.roll(self.network.jitter);
        self.at(self.now + delay, Event::Arrive(packet));
    }

    fn arrive(&mut self, packet: Packet) {
        let owner = (0..2).find(|&end| self.hosts[end].kernel.interfaces.contains(&packet.destination));
        let Some(end) = owner else {
            self.elsewhere(&packet);
            return;
        };
        for chunk in &packet.chunks {
            let (from, to) = (packet.source, packet.destination);
            match chunk {
                Chunk::AsconfAck { serial, errors, .. } => {
                    self.sight(end, Input::OwnAnswer { serial: *serial, errors: errors.clone(), from, to });
                }
                Chunk::Asconf { changes, .. } => {
                    let arrives = changes.contains(&Change::Add(from));
                    self.sight(end, Input::PeerAsconf { from, arrives });
                }
                _ => {}
            }
        }
        let wire = packet.source;
        let Some(packet) = edge::entering(&self.hosts[end].rules, packet) else { return };
        if self.hosts[end].kernel.is_local(packet.destination) {
            self.tell(|_| format!("  {end} gets {wire} ({}) {:?}", packet.source, packet.chunks));
            self.hosts[end].kernel.receive(self.now, &packet);
            self.after(end);
        }
    }

    /// A packet that reaches neither end.
    fn elsewhere(&mut self, packet: &Packet) {
        let answer = if self.network.liars.contains(&packet.destination) {
            packet.chunks.iter().find_map(|chunk| match chunk {
                Chunk::Asconf { serial, .. } => {
                    Some(Chunk::AsconfAck { serial: *serial, errors: Vec::new(), authentic: false })
                }
                _ => None,
            })
        } else {
            let strange = self.network.strangers.contains(&packet.destination);
            (strange && !packet.has_abort()).then_some(Chunk::Abort)
        };
        if let Some(chunk) = answer {
            self.travel(Packet {
                source: packet.destination,
                destination: packet.source,
                chunks: vec![chunk],
            });
        }
    }
}
