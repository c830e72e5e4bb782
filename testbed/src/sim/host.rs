//! A host: its kernel, its edge, and the daemon that carries out what the planner wants.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use roam_agent::handover::{Action, Binding, Identity, Input, Planner, Saved, Timers, Tuning};
use roam_agent::translate::Rule;

use super::kernel::{Begin, Kernel, Refusal};
use super::packet::{MS, Time};

/// How long address events that are not meant for the kernel take to pass.
const REST: Time = 500 * MS;

/// Virtual time as the planner sees it.
#[expect(clippy::disallowed_methods, reason = "one reading is the origin of virtual time")]
pub(super) fn instant(now: Time) -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now) + Duration::from_micros(now)
}

/// The first virtual time at which an instant is over.
pub(super) fn time(at: Instant) -> Time {
    Time::try_from(at.duration_since(instant(0)).as_nanos().div_ceil(1_000)).unwrap_or(Time::MAX)
}

/// One end.
#[derive(Debug)]
pub struct Host {
    /// The kernel.
    pub kernel: Kernel,
    /// The rules installed.
    pub rules: BTreeSet<Rule>,
    /// The planner of the running daemon.
    pub planner: Option<Planner>,
    /// Actions planned and not carried out yet.
    pub actions: VecDeque<Action>,
    identity: Identity,
    held: BTreeSet<IpAddr>,
    copies: Vec<IpAddr>,
    rest_until: Time,
    /// What is written down of the planner, before anything is done that it wants.
    written: Option<Saved>,
    /// A daemon has run here.
    known: bool,
}

impl Host {
    /// A host without a daemon yet.
    #[must_use]
    pub fn new(identity: Identity, begin: Begin) -> Self {
        Self {
            kernel: Kernel::new(begin),
            rules: BTreeSet::new(),
            planner: None,
            actions: VecDeque::new(),
            identity,
            held: BTreeSet::new(),
            copies: Vec::new(),
            rest_until: 0,
            written: None,
            known: false,
        }
    }

    /// The daemon starts, or starts again where the one before stopped.
    pub fn start(&mut self, now: Time) {
        let (at, identity, facts) = (instant(now), self.identity.clone(), self.kernel.facts());
        self.rest_until = self.rest_until.max(if now > 0 { now + REST } else { 0 });
        let written = self.written.clone();
        self.rules = written.as_ref().map(|saved| saved.rules.clone()).unwrap_or_default();
        let held = written.as_ref().map(|saved| saved.held.clone()).unwrap_or_default();
        if std::mem::replace(&mut self.known, true) && self.identity.binding == Binding::Wildcard {
            // It may have been switched on after the last word was written down.
            let _ = self.kernel.set_auto_asconf(false);
        }
        self.planner = Some(match written {
            None => Planner::new(at, identity, facts, Tuning::default()),
            Some(saved) => Planner::resume(at, identity, facts, Tuning::default(), saved),
        });
        let usable = self.kernel.interfaces.clone();
        self.tell(now, Input::Usable(usable));
        self.drop_orphans(now, &held);
    }

    /// What is on lo for no association goes (`Host::drop_inheritance`): each address there is written down before it
    /// gets there, whatever is written of the association.
    fn drop_orphans(&mut self, now: Time, wanted: &BTreeSet<IpAddr>) {
        let wants = |action: &Action, copy: IpAddr| match action {
            Action::Hold { address, .. } | Action::Prepare(address) => *address == copy,
            _ => false,
        };
        let copies: BTreeSet<IpAddr> = self.held.iter().copied().chain(self.copies.drain(..)).collect();
        for copy in copies {
            if !wanted.contains(&copy) && !self.actions.iter().any(|action| wants(action, copy)) {
                self.held.remove(&copy);
                self.kernel.copy_down(now, copy);
            }
        }
    }

    /// The daemon is killed: what it planned is lost, what it did stays.
    pub fn kill(&mut self) {
        self.planner = None;
        self.actions.clear();
    }

    /// The daemon stops in good order: nothing of it stays.
    pub fn stop(&mut self, now: Time) {
        self.let_go(now);
        self.planner = None;
        self.known = false;
    }

    /// The association ends, and another begins.
    pub fn renew(&mut self, now: Time, identity: Identity, begin: Begin) {
        self.let_go(now);
        let addresses = (self.kernel.interfaces.clone(), self.kernel.lo.clone());
        self.kernel = Kernel::new(begin);
        (self.kernel.interfaces, self.kernel.lo) = addresses;
        self.identity = identity;
        self.known = false;
        if self.planner.take().is_some() {
            self.start(now);
        }
    }

    /// The association is let go of (`Daemon::let_go`): what was added for it goes.
    fn let_go(&mut self, now: Time) {
        self.actions.clear();
        if let Some(planner) = self.planner.as_mut() {
            planner.release();
            self.take();
            while self.act(now).is_some() {}
        }
        self.rules.clear();
        self.written = None;
        self.drop_orphans(now, &BTreeSet::new());
    }

    /// What never changes in the life of the association.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is on the host, or in the kernel's socket, for the agent's sake alone; none: nothing is.
    #[must_use]
    pub fn left(&self) -> Option<String> {
        let kernel = &self.kernel;
        let lists = [("on lo", &kernel.lo), ("copied", &self.copies)];
        if let Some((what, list)) = lists.into_iter().find(|(_, list)| !list.is_empty()) {
            return Some(format!("{list:?} is {what}"));
        }
        let facts: [(bool, &dyn std::fmt::Debug); 5] = [
            (!self.held.is_empty(), &self.held),
            (!self.rules.is_empty(), &self.rules),
            (self.written.is_some(), &self.written),
            (!self.actions.is_empty(), &self.actions),
            (kernel.reacts_to_events(), &"auto-ASCONF is on"),
        ];
        facts.into_iter().find(|(left, _)| *left).map(|(_, what)| format!("{what:?} is left"))
    }

    /// Tells the planner, and takes what it wants.
    pub fn tell(&mut self, now: Time, input: Input) {
        if let Some(planner) = self.planner.as_mut() {
            planner.handle(instant(now), input);
        }
        self.take();
    }

    /// Lets the planner look at its clock.
    pub fn wake(&mut self, now: Time) {
        if let Some(planner) = self.planner.as_mut() {
            planner.handle_timeout(instant(now));
        }
        self.take();
    }

    /// Reads the kernel's lists.
    pub fn refresh(&mut self, now: Time) {
        let facts = self.kernel.facts();
        if self.planner.as_ref().is_some_and(|planner| *planner.facts() != facts) {
            self.tell(now, Input::Facts(facts));
        }
    }

    fn take(&mut self) {
        if let Some(planner) = self.planner.as_mut() {
            while let Some(planned) = planner.poll_output() {
                self.actions.push_back(planned.action);
            }
            self.written = Some(planner.saved()).filter(|saved| *saved != Saved::default());
        }
    }

    /// Carries out the next action. Returns it.
    pub fn act(&mut self, now: Time) -> Option<Action> {
        let action = self.actions.pop_front()?;
        match self.carry_out(now, &action) {
            Ok(()) => self.refresh(now),
            Err(_) => self.tell(now, Input::Failed(action.clone())),
        }
        Some(action)
    }

    fn carry_out(&mut self, now: Time, action: &Action) -> Result<(), Refusal> {
        let kernel = &mut self.kernel;
        match action {
            Action::Hold { address, .. } | Action::Prepare(address) => {
                if self.held.insert(*address) {
                    kernel.copy_up(now, *address);
                }
            }
            Action::Release(address) => {
                if self.held.remove(address) && !self.copies.contains(address) {
                    kernel.copy_down(now, *address);
                    self.rest_until = now + REST;
                }
            }
            Action::Rules(rules) => self.rules.clone_from(rules),
            Action::Add(address) => match self.identity.binding {
                Binding::Explicit => add(kernel, now, *address)?,
                Binding::Wildcard if now < self.rest_until => return Err(Refusal::Busy),
                Binding::Wildcard => kernel.set_auto_asconf(true)?,
            },
            Action::Remove(address) => match self.identity.binding {
                Binding::Explicit => remove(kernel, now, *address)?,
                Binding::Wildcard if now < self.rest_until => return Err(Refusal::Busy),
                Binding::Wildcard => {
                    kernel.set_auto_asconf(true)?;
                    if self.held.remove(address) {
                        kernel.copy_down(now, *address);
                    }
                }
            },
            Action::MakeEvent(address) => {
                kernel.copy_up(now, *address);
                self.copies.push(*address);
            }
            Action::EventsOff => {
                kernel.set_auto_asconf(false)?;
                for copy in self.copies.drain(..).filter(|copy| !self.held.contains(copy)) {
                    kernel.copy_down(now, copy);
                    self.rest_until = now + REST;
                }
            }
            Action::SetPeerPrimary(address) => kernel.set_peer_primary(now, *address)?,
            Action::Heartbeat(address) => kernel.heartbeat_now(now, *address),
            Action::Nudge { peer, .. } if kernel.peers().len() == 1 => kernel.mark_down(now, *peer),
            Action::Nudge { peer, left: true } => {
                let others = kernel.peers().into_iter().filter(|other| other != peer);
                for other in others {
                    kernel.mark_down(now, other);
                }
            }
            // With paths left that have not timed out, the kernel retransmits by itself, only later; here that is the
            // same.
            Action::Nudge { left: false, .. } => {}
            Action::SendTo { peer, alone } => {
                let other = |it: &IpAddr| *alone && it.is_ipv6() != peer.is_ipv6();
                for other in kernel.peers().into_iter().filter(other) {
                    kernel.mark_down(now, other);
                }
                kernel.send_to(*peer);
            }
            Action::Timers(timers) => {
                kernel.set_rto_max(match timers {
                    Timers::Calm => 1_000,
                    Timers::Stranded => 200,
                    Timers::Moving => 48,
                });
                if *timers != Timers::Calm {
                    for peer in kernel.peers() {
                        kernel.mark_down(now, peer);
                    }
                }
            }
            Action::Swap { old, new } => swap(kernel, now, *old, *new)?,
        }
        Ok(())
    }
}

/// Makes the association have the address. One that only the endpoint has (its deletion was answered after it had
/// come back) is taken from it silently first.
fn add(kernel: &mut Kernel, now: Time, address: IpAddr) -> Result<(), Refusal> {
    if kernel.association_has(address) {
        return Ok(());
    }
    if kernel.endpoint_has(address) {
        kernel.set_asconf(false);
        let result = kernel.bindx_remove(now, address);
        kernel.set_asconf(true);
        result?;
    }
    kernel.bindx_add(now, address, false)
}

/// Makes the association ask for the deletion. An address that the endpoint no longer has (an earlier deletion was
/// refused) is given to it silently first.
fn remove(kernel: &mut Kernel, now: Time, address: IpAddr) -> Result<(), Refusal> {
    if !kernel.association_has(address) {
        return Ok(());
    }
    if !kernel.endpoint_has(address) {
        kernel.set_asconf(false);
        let result = kernel.bindx_add(now, address, true);
        kernel.set_asconf(true);
        result?;
    }
    kernel.bindx_remove(now, address)
}

/// Break-before-make by socket options alone, as the agent does it.
fn swap(kernel: &mut Kernel, now: Time, old: IpAddr, new: IpAddr) -> Result<(), Refusal> {
    let spare = IpAddr::from([127, 0, 0, 1]);
    let silently = |kernel: &mut Kernel, act: &dyn Fn(&mut Kernel) -> Result<(), Refusal>| {
        kernel.set_asconf(false);
        let result = act(kernel);
        kernel.set_asconf(true);
        result
    };
    silently(kernel, &|kernel| kernel.bindx_add(now, spare, true))?;
    kernel.bindx_remove(now, old)?;
    let added = kernel.bindx_add(now, new, false).and_then(|()| kernel.set_peer_primary(now, new));
    let back = silently(kernel, &|kernel| {
        kernel.bindx_remove(now, spare)?;
        kernel.bindx_add(now, old, true)
    });
    added?;
    back?;
    kernel.bindx_remove(now, old)
}
