//! A tiny registrar under a test's control.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use asap_client::wire::{Cause, Message, PPID, Policy, PoolElement, PoolHandle, decode};
use sctp_sys::event::{AssocChange, EventType, Notification};
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, Family, Received, SendInfo, Socket, Style};
use tokio::sync::mpsc;

use crate::world::{PATIENCE, World, enter};

/// What a test tells it.
enum Order {
    /// Set up an association to this address and say this over it.
    Call(SocketAddr, Message),
    /// An element of somebody else's comes into a pool.
    Put(PoolHandle, PoolElement),
    Die,
}

/// What it heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) from: SocketAddr,
    pub(crate) message: Message,
}

pub(crate) struct Registrar {
    orders: mpsc::UnboundedSender<Order>,
    heard: std_mpsc::Receiver<Heard>,
    ended: std_mpsc::Receiver<u16>,
    thread: Option<JoinHandle<()>>,
}

impl Registrar {
    /// Starts one in the registrars' namespace; it listens when this returns.
    pub(crate) fn start(world: &World, address: &str) -> Self {
        let (orders, ordered) = mpsc::unbounded_channel();
        let (tell, heard) = std_mpsc::channel();
        let (end, ended) = std_mpsc::channel();
        let (ready, is_ready) = std_mpsc::channel();
        let (namespace, address) = (world.registrars.clone(), address.parse().unwrap());
        let thread = std::thread::spawn(move || {
            enter(&namespace);
            crate::world::run(async {
                let mut state = State::new(address, tell, end);
                ready.send(()).unwrap();
                state.serve(ordered).await;
            });
        });
        is_ready.recv_timeout(PATIENCE).unwrap();
        Self { orders, heard, ended, thread: Some(thread) }
    }

    /// The next message that fits; others are thrown away.
    pub(crate) fn hear(&self, fits: impl Fn(&Message) -> bool) -> Heard {
        loop {
            let heard = self.heard.recv_timeout(PATIENCE).expect("heard in vain");
            if fits(&heard.message) {
                return heard;
            }
        }
    }

    /// Waits until the association with this peer has ended and everything of it is gone.
    pub(crate) fn wait_for_end_of(&self, peer: SocketAddr) {
        while self.ended.recv_timeout(PATIENCE).expect("waited for in vain") != peer.port() {}
    }

    /// The next registration.
    pub(crate) fn hear_registration(&self) -> (SocketAddr, PoolElement) {
        let heard = self.hear(|message| matches!(message, Message::Registration { .. }));
        let Message::Registration { element, .. } = heard.message else { unreachable!() };
        (heard.from, element)
    }

    pub(crate) fn call(&self, address: SocketAddr, message: Message) {
        self.orders.send(Order::Call(address, message)).ok().unwrap();
    }

    pub(crate) fn put(&self, handle: PoolHandle, element: PoolElement) {
        self.orders.send(Order::Put(handle, element)).ok().unwrap();
    }

    /// As if killed: its kernel ends its associations.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // An error: it has ended already.
            let _ = self.orders.send(Order::Die);
            thread.join().unwrap();
        }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.end();
    }
}

struct State {
    socket: AsyncSocket,
    pools: BTreeMap<PoolHandle, BTreeMap<u32, (PoolElement, AssocId)>>,
    subscribers: Vec<(AssocId, PoolHandle)>,
    to_say: BTreeMap<AssocId, Message>,
    heard: std_mpsc::Sender<Heard>,
    ports: BTreeMap<AssocId, u16>,
    ended: std_mpsc::Sender<u16>,
}

impl State {
    fn new(address: SocketAddr, heard: std_mpsc::Sender<Heard>, ended: std_mpsc::Sender<u16>) -> Self {
        let socket = Socket::new(Style::OneToMany, Family::of(address)).unwrap();
        sockopt::set_reuse_addr(socket.as_fd(), true).unwrap();
        sockopt::set_linger(socket.as_fd(), Some(0)).unwrap();
        sockopt::set_nodelay(socket.as_fd(), true).unwrap();
        sockopt::set_events(socket.as_fd(), &[EventType::AssocChange]).unwrap();
        socket.bind(address).unwrap();
        socket.listen(8).unwrap();
        let socket = AsyncSocket::new(socket).unwrap();
        let (pools, subscribers, to_say, ports) = Default::default();
        Self { socket, pools, subscribers, to_say, heard, ports, ended }
    }

    async fn serve(&mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut bytes = Vec::new();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Call(address, message)) => {
                        let assoc = self.socket.connectx(&[address]).await.unwrap();
                        self.to_say.insert(assoc, message);
                    }
                    Some(Order::Put(handle, element)) => {
                        self.pools.entry(handle.clone()).or_default().insert(element.id, (element, -1));
                        self.push(&handle);
                    }
                    Some(Order::Die) | None => return,
                },
                received = self.socket.recv(&mut bytes) => match received.unwrap().unwrap() {
                    Received::Message(info) => {
                        assert_eq!(info.ppid, PPID);
                        let message = decode(&bytes).unwrap().message;
                        self.ports.insert(info.assoc, info.from.port());
                        self.answer(info.assoc, &message);
                        // The test may have ended.
                        let _ = self.heard.send(Heard { from: info.from, message });
                    }
                    Received::Notification(Notification::AssocChange { state, assoc, .. }) => {
                        self.changed(state, assoc);
                    }
                    other => panic!("{other:?}"),
                },
            }
        }
    }

    fn changed(&mut self, state: AssocChange, assoc: AssocId) {
        match state {
            AssocChange::CommUp => {
                if let Some(message) = self.to_say.remove(&assoc) {
                    self.say(assoc, &message);
                }
            }
            AssocChange::CommLost | AssocChange::ShutdownComplete => {
                self.subscribers.retain(|(subscriber, _)| *subscriber != assoc);
                let handles: Vec<_> = self.pools.keys().cloned().collect();
                for handle in handles {
                    self.change(&handle, |pool| pool.retain(|_, (_, owner)| *owner != assoc));
                }
                // The test may have ended.
                let _ = self.ended.send(self.ports.remove(&assoc).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn say(&self, assoc: AssocId, message: &Message) {
        let info = SendInfo { assoc, ppid: PPID, ..SendInfo::default() };
        // The association may just have ended.
        let _ = self.socket.get_ref().send(&info, &message.encode());
    }

    fn answer(&mut self, assoc: AssocId, message: &Message) {
        match message.clone() {
            Message::Registration { handle, element } => {
                let id = element.id;
                self.say(
                    assoc,
                    &Message::RegistrationResponse {
                        rejected: false,
                        handle: handle.clone(),
                        id,
                        error: None,
                    },
                );
                self.change(&handle, |pool| drop(pool.insert(id, (element, assoc))));
            }
            Message::Deregistration { handle, id } => {
                self.change(&handle, |pool| drop(pool.remove(&id)));
                self.say(assoc, &Message::DeregistrationResponse { handle, id, error: None });
            }
            Message::HandleResolution { subscribe, handle, .. } => {
                let known = self.pools.contains_key(&handle);
                if subscribe && known {
                    self.subscribers.push((assoc, handle.clone()));
                }
                self.say(assoc, &self.members(&handle, subscribe && known));
            }
            _ => {}
        }
    }

    fn change(
        &mut self,
        handle: &PoolHandle,
        change: impl FnOnce(&mut BTreeMap<u32, (PoolElement, AssocId)>),
    ) {
        let pool = self.pools.entry(handle.clone()).or_default();
        let before = pool.clone();
        change(pool);
        let changed = *pool != before;
        if pool.is_empty() {
            self.pools.remove(handle);
        }
        if changed {
            self.push(handle);
        }
    }

    fn push(&self, handle: &PoolHandle) {
        for (subscriber, _) in self.subscribers.iter().filter(|(_, pool)| pool == handle) {
            self.say(*subscriber, &self.members(handle, true));
        }
    }

    fn members(&self, handle: &PoolHandle, subscribed: bool) -> Message {
        let pool = self.pools.get(handle);
        Message::HandleResolutionResponse {
            subscribed,
            handle: handle.clone(),
            policy: pool.map(|_| Policy::RoundRobin),
            elements: pool.into_iter().flatten().map(|(_, (element, _))| element.clone()).collect(),
            error: pool.is_none().then(|| vec![Cause::bare(Cause::UNKNOWN_POOL_HANDLE)]),
        }
    }
}
