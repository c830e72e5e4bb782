//! What clients can cost, and how slow they can be.

use tokio::net::TcpSocket;

use super::*;

/// Short, for the one of the two that a test is about.
const SHORT: Duration = Duration::from_millis(300);

/// Reads until the other side has ended the connection, in whatever way.
async fn ended(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut bytes)).await;
    drop(read.expect("the connection stays"));
    bytes
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_and_one_within_it_is_not() {
    let served = Served::new();
    let request =
        |octets: usize| format!("GET /healthz HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "x".repeat(octets));
    assert_eq!(served.answer(&request(7_000)).await.status, 200);
    let refused = ended(served.ask(&request(9_000)).await).await;
    assert!(
        refused.is_empty() || refused.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&refused)
    );
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_service_goes_on() {
    let served = Served::new();
    for junk in ["\r\n\r\n\r\n\0\0", "GET\r\n\r\n", "\u{16}\u{3}\u{1}", "GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = served.ask(junk).await;
        stream.shutdown().await.unwrap();
        assert!(!ended(stream).await.starts_with(b"HTTP/1.1 200"), "{junk:?}");
    }
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_dropped() {
    let served = Served::with(64, Patience { head: SHORT, write: LONG });
    for start in ["", "GET", "GET / HTTP/1.1\r\nHost: te"] {
        let answer = ended(served.ask(start).await).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{start:?}");
    }
}

/// A client that asks and does not read, with little room for what it does not read.
async fn silent(served: &Served, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(served.address).await.unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Asks for events, and whether they are given.
async fn event_stream(served: &Served) -> (TcpStream, bool) {
    let mut stream = served.ask("GET /events HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let mut head = [0; 12];
    tokio::time::timeout(LONG, stream.read_exact(&mut head)).await.unwrap().unwrap();
    (stream, head == *b"HTTP/1.1 200")
}

/// Waits until there is a place for an event stream.
async fn stream_is_given(served: &Served) {
    let start = Instant::now();
    while !event_stream(served).await.1 {
        assert!(start.elapsed() < LONG, "a stream's place is never given back");
    }
}

/// More on a page, and in a dump, than the kernel keeps for a client that does not read.
async fn fill(served: &Served) {
    served
        .step(|registrar| {
            for id in 0..8000_u32 {
                let mut handle = vec![0xff; if id < 400 { 1000 } else { 10 }];
                handle[..4].copy_from_slice(&id.to_be_bytes());
                register(registrar, pool(handle), element(id, Policy::RoundRobin));
            }
        })
        .await;
}

#[tokio::test]
async fn clients_that_do_not_read_are_dropped_and_give_their_places_to_others() {
    for target in ["/dump", "/events", "/"] {
        let served = Served::with(2, Patience { head: LONG, write: SHORT });
        fill(&served).await;
        // One event stream and one place are left, or both places are taken.
        let first = silent(&served, target).await;
        let second = silent(&served, if target == "/events" { "/" } else { target }).await;
        assert_eq!(served.get("/healthz").await.status, 200, "{target}");
        if target == "/events" {
            stream_is_given(&served).await;
        }
        drop((first, second));
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let served = Served::with(2, Patience { head: LONG, write: LONG });
    let idle = [served.ask("GET /healthz").await, served.ask("GET /healthz").await];
    let waiting = served.get("/healthz");
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(SHORT, &mut waiting).await.is_err(), "a third one was served");
    drop(idle);
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn event_streams_leave_places_for_others_and_give_them_back() {
    let served = Served::with(4, Patience { head: LONG, write: LONG });
    let request = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (stream, given) = event_stream(&served).await;
        assert!(given);
        streams.push(stream);
    }
    let refused = served.answer(request).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(served.get("/healthz").await.status, 200);
    drop(streams);
    stream_is_given(&served).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = config::Http { listen: vec![address], ..config::Http::default() };
    let (told, error) = Http::bind(&config).unwrap_err();
    assert_eq!((told, error.kind()), (address, std::io::ErrorKind::AddrInUse));
}

#[tokio::test]
async fn it_is_served_at_every_address_and_without_one_nowhere() {
    let listen = vec!["127.0.0.1:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
    let http = Http::bind(&config::Http { listen, connections: 4, hosts: vec!["test".to_owned()] }).unwrap();
    let addresses: Vec<_> = http.listeners.iter().map(|l| l.local_addr().unwrap()).collect();
    let (queries, _asked) = Queries::channel();
    tokio::spawn(http.serve(queries.clone()));
    for address in addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        assert!(ended(stream).await.starts_with(b"HTTP/1.1 404"));
    }
    let nowhere = Http::bind(&config::Http::default()).unwrap().serve(queries);
    assert!(tokio::time::timeout(Duration::from_millis(50), nowhere).await.is_err(), "it ends nothing");
}
