//! The task behind a client: machine, sockets, timers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use sctp_sys::AssocId;
use sctp_sys::event::{AssocChange, Notification};
use tokio::sync::{mpsc, oneshot};

use super::endpoint::Endpoint;
use super::groups::{Heard, Listening};
use super::port::{Inbox, Incoming};
use super::{Command, Over, ResolveError, Tuning};
use crate::client::{Client, Event, Input, LinkId, Output, PortId};
use crate::pool_user::Answer;
use crate::wire::{Cause, PPID, PoolHandle};

type Reply = oneshot::Sender<Result<Answer, ResolveError>>;

pub(super) struct Task {
    machine: Client,
    over: Over,
    groups: Vec<SocketAddr>,
    listening: Listening,
    herald: mpsc::Sender<Heard>,
    heard: mpsc::Receiver<Heard>,
    tuning: Tuning,
    events: mpsc::Sender<Event>,
    inbox: Inbox,
    arrivals: mpsc::Receiver<(PortId, Incoming)>,
    /// What each port is to be bound to, and its socket once that has worked.
    ports: HashMap<PortId, (Vec<std::net::IpAddr>, Option<Endpoint>)>,
    links: HashMap<LinkId, (PortId, AssocId)>,
    accepted: u64,
    resolving: HashMap<PoolHandle, Vec<Reply>>,
    closing: Option<(Instant, oneshot::Sender<()>)>,
}

impl Task {
    pub(super) fn new(
        machine: Client,
        over: Over,
        groups: Vec<SocketAddr>,
        tuning: Tuning,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (inbox, arrivals) = mpsc::channel(64);
        let (herald, heard) = mpsc::channel(16);
        Self {
            machine,
            over,
            groups,
            listening: Listening::default(),
            herald,
            heard,
            tuning,
            events,
            inbox,
            arrivals,
            ports: HashMap::new(),
            links: HashMap::new(),
            accepted: 0,
            resolving: HashMap::new(),
            closing: None,
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            self.carry_out().await;
            if let Some((until, _)) = &self.closing
                && (self.machine.is_withdrawn() || *until <= Instant::now())
            {
                return self.end();
            }
            let timeout =
                self.machine.poll_timeout().into_iter().chain(self.closing.iter().map(|c| c.0)).min();
            tokio::select! {
                biased;
                command = commands.recv(), if self.closing.is_none() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                arrival = self.arrivals.recv() => {
                    if let Some((port, incoming)) = arrival {
                        self.arrived(port, incoming);
                    }
                }
                heard = self.heard.recv() => {
                    if let Some((server, addresses)) = heard {
                        self.give(Input::Announced { server, addresses });
                    }
                }
                () = until(timeout) => self.machine.handle_timeout(Instant::now()),
            }
        }
    }

    fn end(self) {
        if let Some((_, done)) = self.closing {
            // Whoever asked may not wait any more.
            let _ignored = done.send(());
        }
    }

    fn give(&mut self, input: Input) {
        self.machine.handle(Instant::now(), input);
    }

    async fn command(&mut self, command: Command) {
        match command {
            // An element has to use SCTP.
            Command::Input(Input::Register(element)) if self.over == Over::Tcp => {
                let causes = vec![Cause::bare(Cause::SECURITY)];
                self.tell(Event::Rejected { handle: element.handle, id: element.id, causes }).await;
            }
            Command::Input(input) => {
                if let Input::Local(local) = &input {
                    // Other networks, other neighbours.
                    self.listening = Listening::start(&self.groups, local, self.over, &self.herald);
                }
                self.give(input);
            }
            Command::Resolve { handle, fresh, reply } => {
                self.resolving.entry(handle.clone()).or_default().push(reply);
                self.give(Input::Resolve { handle, fresh });
            }
            Command::Close { patience, done } => {
                self.closing = Some((Instant::now() + patience, done));
                self.give(Input::DeregisterAll);
                if !self.machine.is_home_up() {
                    // Nobody would answer.
                    self.closing = self.closing.take().map(|(_, done)| (Instant::now(), done));
                }
            }
        }
    }

    /// Does what the machine wants, until it wants nothing.
    async fn carry_out(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Bind { port, local } => {
                    let socket = self.bind(port, &local);
                    self.ports.insert(port, (local, socket));
                }
                Output::Unbind(port) => {
                    self.ports.remove(&port);
                }
                Output::Open { link, port, remote } => {
                    if let Err(error) = self.open(link, port, &remote) {
                        tracing::debug!(?remote, %error, "no association can be set up");
                        self.give(Input::Down(link));
                    }
                }
                Output::Send { link, bytes } => self.send(link, bytes),
                Output::Carry { link, local } => {
                    if self.carry(link, &local) {
                        self.give(Input::Carried(link));
                    }
                }
                Output::Close(link) => {
                    if let Some((port, assoc)) = self.links.remove(&link)
                        && let Some(port) = self.port(port)
                    {
                        port.close(assoc);
                    }
                }
                Output::Event(event) => self.tell(event).await,
            }
        }
    }

    async fn tell(&mut self, event: Event) {
        match &event {
            Event::Pool { handle, answer } => {
                for reply in self.resolving.remove(handle).unwrap_or_default() {
                    let _gone = reply.send(Ok(answer.clone()));
                }
            }
            Event::Unanswered { handle } => {
                for reply in self.resolving.remove(handle).unwrap_or_default() {
                    let _gone = reply.send(Err(ResolveError::Unanswered));
                }
            }
            _ => {}
        }
        // Nobody may be interested; and whoever waits for the end may not be reading.
        if self.closing.is_some() {
            let _unread = self.events.try_send(event);
        } else {
            let _dropped = self.events.send(event).await;
        }
    }

    fn bind(&self, port: PortId, local: &[std::net::IpAddr]) -> Option<Endpoint> {
        Endpoint::bind(self.over, port, local, &self.tuning, &self.inbox)
            .inspect_err(|error| tracing::debug!(?local, %error, "no socket can be bound"))
            .ok()
    }

    fn port(&mut self, port: PortId) -> Option<&mut Endpoint> {
        self.ports.get_mut(&port)?.1.as_mut()
    }

    fn open(&mut self, link: LinkId, id: PortId, remote: &[SocketAddr]) -> io::Result<()> {
        // What could not be bound a moment ago may be bound now.
        if self.port(id).is_none()
            && let Some((local, _)) = self.ports.get(&id)
        {
            let local = local.clone();
            let socket = self.bind(id, &local);
            self.ports.insert(id, (local, socket));
        }
        let port = self.port(id).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let assoc = port.open(link, remote)?;
        self.links.insert(link, (id, assoc));
        Ok(())
    }

    /// Begins to move an association; whether that can be done.
    fn carry(&mut self, link: LinkId, local: &[std::net::IpAddr]) -> bool {
        let Some(&(id, assoc)) = self.links.get(&link) else { return false };
        let moves = self.port(id).map_or(Ok(false), |port| port.carry(assoc, local));
        tracing::debug!(?link, ?local, ?moves, "the old association is to be moved");
        // Whoever binds it anew binds it there.
        if let (Ok(true), Some((bound, _))) = (&moves, self.ports.get_mut(&id)) {
            *bound = local.to_vec();
        }
        moves.unwrap_or(false)
    }

    fn send(&mut self, link: LinkId, bytes: Vec<u8>) {
        let Some(&(port, assoc)) = self.links.get(&link) else { return };
        let sent = self.port(port).map(|port| port.send(assoc, bytes));
        if let Some(Err(error)) = sent {
            tracing::debug!(%error, ?link, "a message cannot be sent");
            self.lost(port, assoc);
        }
    }

    /// An association has ended, or is to be taken for that.
    fn lost(&mut self, port: PortId, assoc: AssocId) {
        let Some(link) = self.port(port).and_then(|port| port.link(assoc)) else { return };
        self.links.remove(&link);
        if let Some(port) = self.port(port) {
            port.close(assoc);
        }
        self.give(Input::Down(link));
    }

    fn arrived(&mut self, id: PortId, incoming: Incoming) {
        match incoming {
            Incoming::Message(info, bytes) => {
                let link = self.port(id).and_then(|port| port.link(info.assoc));
                if let Some(link) = link.filter(|_| info.ppid == PPID) {
                    self.give(Input::Received(link, bytes));
                }
            }
            Incoming::Notification(Notification::AssocChange { state, assoc, .. }) => {
                self.changed(id, state, assoc);
            }
            Incoming::Notification(Notification::Shutdown { assoc }) => self.lost(id, assoc),
            Incoming::Notification(_) => {}
            Incoming::Octets(assoc, bytes) => {
                if let Some(link) = self.port(id).and_then(|port| port.link(assoc)) {
                    self.give(Input::Received(link, bytes));
                }
            }
            Incoming::Connected(assoc) => self.changed(id, AssocChange::CommUp, assoc),
            Incoming::Ended(assoc) => self.lost(id, assoc),
            Incoming::NotSent(assoc, error) => {
                tracing::debug!(%error, "a message cannot be sent");
                self.lost(id, assoc);
            }
            Incoming::Broken(error) => {
                tracing::debug!(%error, "a socket is broken");
                let port = self.ports.get_mut(&id).and_then(|(_, port)| port.take());
                for link in port.map(Endpoint::into_links).unwrap_or_default() {
                    self.links.remove(&link);
                    self.give(Input::Down(link));
                }
            }
        }
    }

    fn changed(&mut self, id: PortId, state: AssocChange, assoc: AssocId) {
        let Some(port) = self.port(id) else { return };
        let known = port.link(assoc);
        match (state, known) {
            (AssocChange::CommUp, Some(link)) => self.give(Input::Up(link)),
            (AssocChange::CommUp, None) => self.accepted(id, assoc),
            (AssocChange::Restart, Some(link)) => self.give(Input::Restarted(link)),
            (AssocChange::CommLost | AssocChange::ShutdownComplete | AssocChange::CantStart, Some(link)) => {
                port.forget(assoc);
                self.links.remove(&link);
                self.give(Input::Down(link));
            }
            _ => {}
        }
    }

    fn accepted(&mut self, id: PortId, assoc: AssocId) {
        self.accepted += 1;
        let link = LinkId::Theirs(self.accepted);
        // One of our own that was given up as it came up has no addresses any more.
        if let Some(port) = self.port(id)
            && let Ok(peer) = port.adopt(assoc, link)
        {
            self.links.insert(link, (id, assoc));
            self.give(Input::Accepted { link, port: id, peer });
        }
    }
}

/// Waits until then; `None`: for ever.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
