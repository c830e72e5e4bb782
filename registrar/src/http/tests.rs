//! The service over a machine without SCTP sockets, one promise a test.

#[cfg(feature = "browser-tests")]
mod browser;
mod content;
mod limits;
mod live;
mod peers;

use asap_client::wire::{self, Message, Policy, PoolElement, PoolHandle, Transport, TransportUse};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{Http, Patience};
use crate::Association;
use crate::asap::{Input, Limits, Settings};
use crate::machine::{self, Registrar};
use crate::query::{Queries, Query, Surroundings};
use crate::{config, enrp};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

const A: Association = Association(1);

type Step = Box<dyn FnOnce(&mut Registrar) + Send>;

/// A registrar that is served.
struct Served {
    address: SocketAddr,
    steps: mpsc::UnboundedSender<Step>,
    /// Questions for elements and associations that were answered.
    slices: Arc<AtomicUsize>,
    machine: tokio::task::JoinHandle<()>,
    #[cfg_attr(not(feature = "browser-tests"), expect(dead_code, reason = "only a browser sees it end"))]
    site: tokio::task::JoinHandle<()>,
}

/// An answer that has ended.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

fn pool(octets: impl AsRef<[u8]>) -> PoolHandle {
    PoolHandle::new(octets).unwrap()
}

fn element(id: u32, policy: Policy) -> PoolElement {
    let addresses = vec![IpAddr::from([10, 0, 0, 1])];
    let user =
        Transport::Sctp { port: 7000, use_: TransportUse::DataPlusControl, addresses: addresses.into() };
    PoolElement { id, home: 0, life: 300, user, policy, asap: None }
}

fn asap(registrar: &mut Registrar, input: Input) {
    registrar.handle(Instant::now(), machine::Input::Asap(input));
}

/// Gives the machine a message of the association A.
fn say(registrar: &mut Registrar, message: &Message) {
    let bytes = message.encode();
    asap(registrar, Input::Message { association: A, ppid: wire::PPID, bytes });
    while registrar.poll_output().is_some() {}
}

fn register(registrar: &mut Registrar, handle: PoolHandle, element: PoolElement) {
    let id = element.id;
    say(registrar, &Message::Registration { handle: handle.clone(), element });
    assert!(registrar.handlespace().key(&handle, id).is_some(), "{handle} was refused");
}

/// The loop around the machine, as the driver has it.
async fn machine(
    mut registrar: Registrar,
    mut queries: mpsc::Receiver<Query>,
    mut steps: mpsc::UnboundedReceiver<Step>,
    slices: Arc<AtomicUsize>,
) {
    loop {
        tokio::select! {
            Some(query) = queries.recv() => {
                if let Query::Elements(range, _) = &query {
                    assert!(range.limit <= super::view::ELEMENTS, "too much in one go");
                }
                slices.fetch_add(usize::from(!matches!(query, Query::Summary(_) | Query::Peers(_))), Ordering::Relaxed);
                let around = Surroundings {
                    listening: &["10.0.0.9:3863".to_owned()],
                    dropped_not_reading: 5,
                    dropped_resolutions: 6,
                    outstanding: &|_| 7,
                };
                query.answer(&registrar, Instant::now(), &around);
            }
            Some(step) = steps.recv() => step(&mut registrar),
            else => return,
        }
    }
}

impl Served {
    fn new() -> Self {
        Self::with(64, Patience { head: LONG, write: LONG })
    }

    fn with(connections: usize, patience: Patience) -> Self {
        Self::around(connections, patience, Vec::new())
    }

    /// A registrar with these addresses of others in its configuration.
    fn around(connections: usize, patience: Patience, peers: Vec<enrp::Contact>) -> Self {
        let hosts = vec!["test".to_owned()];
        let config = config::Http { listen: vec!["127.0.0.1:0".parse().unwrap()], connections, hosts };
        let http = Http { patience, ..Http::bind(&config).unwrap() };
        let address = http.listeners[0].local_addr().unwrap();
        let limits = Limits { elements_per_association: 100_000, ..Limits::default() };
        let settings = Settings { server: 0xabcd, keep_alive_interval: None, limits, ..Settings::default() };
        let enrp = enrp::Settings { server: 0xabcd, peers, ..enrp::Settings::default() };
        let mut registrar = Registrar::new(Instant::now(), settings, enrp, 7);
        let from = IpAddr::from([10, 0, 0, 1]);
        asap(&mut registrar, Input::Up { association: A, from, port: 5000, addresses: vec![from] });
        registrar.handle_timeout(Instant::now());
        let (queries, asked) = Queries::channel();
        let (steps, to_do) = mpsc::unbounded_channel();
        let slices = Arc::new(AtomicUsize::new(0));
        let machine = tokio::spawn(machine(registrar, asked, to_do, Arc::clone(&slices)));
        let site = tokio::spawn(http.serve(queries));
        Self { address, steps, slices, machine, site }
    }

    /// Has something done to the machine, and waits for it.
    async fn step(&self, step: impl FnOnce(&mut Registrar) + Send + 'static) {
        let (done, wait) = tokio::sync::oneshot::channel();
        let step: Step = Box::new(move |registrar| {
            step(registrar);
            let _ = done.send(());
        });
        self.steps.send(step).unwrap();
        wait.await.unwrap();
    }

    async fn register(&self, handle: PoolHandle, element: PoolElement) {
        self.step(move |registrar| register(registrar, handle, element)).await;
    }

    /// A connection with a request on it.
    async fn ask(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn answer(&self, request: &str) -> Answer {
        let mut stream = self.ask(request).await;
        let mut bytes = Vec::new();
        tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        parse(&bytes)
    }

    async fn get(&self, target: &str) -> Answer {
        self.answer(&format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked && !body.is_empty() { dechunk(body) } else { body.to_owned() };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body }
}

/// The octets of a chunked body that has ended in good order.
fn dechunk(mut text: &str) -> String {
    let mut whole = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").expect("a chunk's end");
    }
}
