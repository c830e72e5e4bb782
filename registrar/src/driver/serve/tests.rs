//! The service over TCP alone, on loopback: what pool users are promised there is what they are promised over SCTP.

mod client;

use super::*;
use asap_client::wire::{
    self, Cause, Message, Policy, PoolElement, PoolHandle, Stream, Transport, TransportUse,
};
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use crate::driver::command::Command;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A registrar that serves on loopback until it is dropped.
struct Served {
    address: SocketAddr,
    _running: Running,
    _asking: (mpsc::Sender<Query>, mpsc::Sender<Command>),
}

impl Served {
    /// With elements in pool "p", as if they had registered over SCTP.
    fn start(config: Config, elements: u32) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), config, elements)
    }

    fn start_at(address: SocketAddr, mut config: Config, elements: u32) -> Self {
        config.listen_tcp = Some(vec![address]);
        config.asap.keep_alive_interval = None;
        let streams = Listeners::bind(&config).unwrap();
        let address = streams.addresses()[0];
        let others = Others { streams, groups: Groups::open(&config).unwrap() };
        let mut service = Service::new(
            config,
            Vec::new(),
            others,
            Vec::new(),
            7 << 32,
            Feed::default(),
            watch::channel(Vec::new()).0,
        )
        .unwrap();
        let (from, now) = (IpAddr::from([10, 0, 0, 1]), Instant::now());
        let association = Association(u64::MAX);
        let up = asap::Input::Up { association, from, port: 7, addresses: vec![from] };
        service.registrar.handle(now, Input::Asap(up));
        for id in 1..=elements {
            let user =
                Transport::Sctp { port: 7000, use_: TransportUse::DataOnly, addresses: vec![from].into() };
            let element =
                PoolElement { id, home: 0, life: 300, user, policy: Policy::RoundRobin, asap: None };
            let bytes = Message::Registration { handle: pool("p"), element }.encode();
            let input = asap::Input::Message { association, ppid: wire::PPID, bytes };
            service.registrar.handle(now, Input::Asap(input));
        }
        assert_eq!(service.registrar.handlespace().len(), usize::try_from(elements).unwrap());
        let (queries, asked) = mpsc::channel(1);
        let (commands, commanded) = mpsc::channel(1);
        let running = Running::start(service, asked, commanded).unwrap();
        Self { address, _running: running, _asking: (queries, commands) }
    }

    async fn user(&self) -> User {
        User { socket: TcpStream::connect(self.address).await.unwrap(), stream: Stream::new() }
    }
}

/// A pool user.
struct User {
    socket: TcpStream,
    stream: Stream,
}

impl User {
    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        tokio::time::timeout(LONG, async {
            loop {
                if let Some(bytes) = self.stream.message().unwrap() {
                    return Some(wire::decode(&bytes).unwrap().message);
                }
                let mut chunk = [0; 4096];
                match self.socket.read(&mut chunk).await {
                    Ok(count) if count > 0 => self.stream.push(&chunk[..count]),
                    _ => return None,
                }
            }
        })
        .await
        .expect("something comes, or the end")
    }

    async fn hear(&mut self) -> Message {
        self.next().await.expect("the connection is not ended")
    }

    async fn ask(&mut self, message: &Message) -> Message {
        self.send(&message.encode()).await;
        self.hear().await
    }
}

fn pool(name: &str) -> PoolHandle {
    PoolHandle::new(name).unwrap()
}

fn resolution(name: &str, subscribe: bool) -> Message {
    Message::HandleResolution { subscribe, handle: pool(name), items: None }
}

/// The elements that a response names, or the code of the first cause.
fn named(message: &Message) -> Result<Vec<u32>, u16> {
    match message {
        Message::HandleResolutionResponse { error: None, elements, .. } => {
            Ok(elements.iter().map(|element| element.id).collect())
        }
        Message::HandleResolutionResponse { error: Some(causes), .. }
        | Message::RegistrationResponse { error: Some(causes), .. }
        | Message::Error(causes) => Err(causes[0].code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_over_tcp_resolves_subscribes_and_reports() {
    let mut config = Config::default();
    config.asap.max_bad_pe_report = 0;
    let served = Served::start(config, 2);
    let (mut user, mut reporter) = (served.user().await, served.user().await);
    assert_eq!(named(&user.ask(&resolution("none", false)).await), Err(Cause::UNKNOWN_POOL_HANDLE));
    assert_eq!(named(&user.ask(&resolution("p", true)).await), Ok(vec![1, 2]));
    // With no patience for reports the element is removed at once, and the subscriber told.
    reporter.send(&Message::EndpointUnreachable { handle: pool("p"), id: 1 }.encode()).await;
    assert_eq!(named(&user.hear().await), Ok(vec![2]));
    // Unknown types are reported as over SCTP.
    user.send(&Message::Error(vec![Cause::bare(1)]).encode()).await;
    user.send(&[0x4f, 0, 0, 4]).await;
    let unknown = user.hear().await;
    assert_eq!(unknown, Message::Error(vec![Cause::unrecognized_message(&[0x4f, 0, 0, 4])]));
}

#[tokio::test]
async fn requests_are_answered_however_the_stream_is_cut() {
    let served = Served::start(Config::default(), 1);
    let mut user = served.user().await;
    // "abc" has padding that does not count, "p" too; the last one counts it, as rsplib does.
    let mut counted = resolution("p", false).encode();
    counted[3] = 12;
    let octets = [resolution("abc", false).encode(), resolution("p", false).encode(), counted].concat();
    for cut in [1, 2, 3, 5, 11, 12, 13, octets.len()] {
        for piece in octets.chunks(cut) {
            user.send(piece).await;
        }
        let answers = [user.hear().await, user.hear().await, user.hear().await];
        let answers: Vec<_> = answers.iter().map(named).collect();
        assert_eq!(answers, [Err(Cause::UNKNOWN_POOL_HANDLE), Ok(vec![1]), Ok(vec![1])]);
    }
}

#[tokio::test]
async fn an_element_is_refused_over_tcp() {
    let served = Served::start(Config::default(), 1);
    let mut element = served.user().await;
    let user = Transport::Tcp { port: 7000, address: "127.0.0.1".parse().unwrap() };
    let asked = PoolElement { id: 9, home: 0, life: 300, user, policy: Policy::RoundRobin, asap: None };
    let answer = element.ask(&Message::Registration { handle: pool("q"), element: asked }).await;
    assert!(matches!(answer, Message::RegistrationResponse { rejected: true, .. }));
    assert_eq!(named(&answer), Err(Cause::SECURITY));
    assert_eq!(named(&element.ask(&resolution("q", false)).await), Err(Cause::UNKNOWN_POOL_HANDLE));
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_on_is_answered_and_ended() {
    let served = Served::start(Config::default(), 1);
    let mut user = served.user().await;
    let octets = [resolution("p", false).encode(), vec![5, 0, 0, 3], vec![0xff; 1000]].concat();
    user.send(&octets).await;
    assert_eq!(named(&user.hear().await), Ok(vec![1]), "what came before is answered");
    assert_eq!(named(&user.hear().await), Err(Cause::UNRECOGNIZED_MESSAGE));
    assert_eq!(user.next().await, None);
    assert_eq!(named(&served.user().await.ask(&resolution("p", false)).await), Ok(vec![1]));
}

#[tokio::test]
async fn who_ends_its_half_is_still_answered() {
    let served = Served::start(Config::default(), 1);
    let mut user = served.user().await;
    user.send(&resolution("p", false).encode()).await;
    user.socket.shutdown().await.unwrap();
    assert_eq!(named(&user.hear().await), Ok(vec![1]));
    assert_eq!(user.next().await, None);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_the_others_are_served() {
    let mut config = Config::default();
    config.limits.outstanding_octets_per_association = 65_536;
    config.asap.unread_timeout = Duration::from_millis(500);
    let served = Served::start(config, 500);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(served.address).await.unwrap();
    let request = resolution("p", false).encode();
    let flooded = async { while deaf.write_all(&request).await.is_ok() {} };
    tokio::time::timeout(LONG, flooded).await.expect("it is dropped");
    let answer = served.user().await.ask(&resolution("p", false)).await;
    assert_eq!(named(&answer).map(|ids| ids.len()), Ok(500));
}

#[tokio::test]
async fn who_asks_faster_than_it_reads_has_to_wait_and_is_answered_all_the_same() {
    let mut config = Config::default();
    // What gathers stays small, too.
    config.limits.outstanding_octets_per_association = 65_536;
    config.limits.outstanding_octets = 3 << 20;
    config.asap.unread_timeout = LONG;
    let served = Served::start(config, 500);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = User { socket: socket.connect(served.address).await.unwrap(), stream: Stream::new() };
    let request = resolution("p", false).encode();
    // The octets of so many answers, if all were made at once, would be forty megabytes.
    let mut asked = 0;
    slow.socket.writable().await.unwrap();
    while asked < 2_000 {
        match slow.socket.try_write(&request) {
            Ok(written) if written == request.len() => asked += 1,
            Ok(written) => {
                slow.send(&request[written..]).await;
                asked += 1;
            }
            Err(_) => break,
        }
        tokio::task::yield_now().await;
    }
    assert!(asked >= 1_000, "{asked}");
    for answered in 0..asked {
        assert_eq!(named(&slow.hear().await).map(|ids| ids.len()), Ok(500), "{answered} of {asked}");
    }
}

#[tokio::test]
async fn a_message_has_to_come_whole_in_time() {
    let mut config = Config::default();
    config.asap.tcp_message_timeout = Duration::from_millis(100);
    let served = Served::start(config, 1);
    let mut slow = served.user().await;
    let request = resolution("p", false).encode();
    slow.send(&request).await;
    assert_eq!(named(&slow.hear().await), Ok(vec![1]));
    // It is not helped by an octet now and then.
    let (mut input, mut output) = slow.socket.split();
    let dripped = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for octet in [5, 0, 0xff, 0xff].iter().chain(std::iter::repeat(&7)) {
            tick.tick().await;
            if output.write_all(&[*octet]).await.is_err() {
                return;
            }
        }
    };
    let ended = async { while !matches!(input.read(&mut [0; 64]).await, Ok(0) | Err(_)) {} };
    tokio::select! {
        () = dripped => {}
        () = ended => {}
        () = tokio::time::sleep(LONG) => panic!("it is never ended"),
    }
}

#[tokio::test]
async fn who_is_silent_is_ended_unless_it_subscribes() {
    let mut config = Config::default();
    config.asap.tcp_idle_timeout = Duration::from_millis(100);
    let served = Served::start(config, 1);
    let mut subscriber = served.user().await;
    subscriber.ask(&resolution("p", true)).await;
    for _ in 0..3 {
        let mut silent = served.user().await;
        assert_eq!(silent.next().await, None);
    }
    assert_eq!(named(&subscriber.ask(&resolution("p", false)).await), Ok(vec![1]));
}

#[tokio::test]
async fn when_all_places_are_taken_who_holds_nothing_gives_way() {
    let mut config = Config::default();
    config.limits.associations = 3; // one is the elements'
    let served = Served::start(config, 1);
    let mut subscriber = served.user().await;
    subscriber.ask(&resolution("p", true)).await;
    let mut idle = served.user().await;
    idle.ask(&resolution("p", false)).await;
    let mut newcomer = served.user().await;
    assert_eq!(named(&newcomer.ask(&resolution("p", true)).await), Ok(vec![1]));
    assert_eq!(idle.next().await, None);
    assert_eq!(served.user().await.next().await, None, "both others subscribe");
    assert_eq!(named(&subscriber.ask(&resolution("p", false)).await), Ok(vec![1]));
}
