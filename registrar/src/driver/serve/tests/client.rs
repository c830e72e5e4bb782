//! asap-client's pool user over TCP at this service.

use super::*;
use asap_client::client::{ElementConfig, Event};
use asap_client::driver::{self, Events, Over, RegistrarClient};

/// A client on loopback.
fn client(registrars: &[SocketAddr]) -> (RegistrarClient, Events) {
    let registrars = vec![registrars.to_vec()];
    let config = driver::Config { over: Over::Tcp, ..driver::Config::mobile(registrars, None) };
    let (client, events) = RegistrarClient::spawn(config);
    client.set_local_addresses(vec!["127.0.0.1".parse().unwrap()]);
    (client, events)
}

async fn until<T>(events: &mut Events, mut fits: impl FnMut(Event) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = fits(events.next().await.expect("the client lives")) {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("waited for in vain")
}

/// The elements that the next event about pool "p" names, in order of their identifiers.
async fn members(events: &mut Events) -> Vec<u32> {
    until(events, |event| match event {
        Event::Pool { handle, answer } if handle == pool("p") => {
            let mut ids: Vec<_> = answer.elements.iter().map(|element| element.id).collect();
            ids.sort_unstable();
            Some(ids)
        }
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_program_without_sctp_resolves_subscribes_and_reports() {
    let mut config = Config::default();
    config.asap.max_bad_pe_report = 0;
    let served = Served::start(config, 3);
    let (client, mut events) = client(&[served.address]);
    let answer = client.resolve(pool("p"), Duration::ZERO).await.unwrap();
    assert_eq!(answer.elements.iter().map(|element| element.id).collect::<Vec<_>>(), [1, 2, 3]);
    let unknown = client.resolve(pool("none"), Duration::ZERO).await.unwrap();
    assert_eq!(unknown.error.unwrap()[0].code, Cause::UNKNOWN_POOL_HANDLE);
    client.subscribe(pool("p"));
    while members(&mut events).await.len() != 3 {}
    client.unreachable(pool("p"), 2);
    while members(&mut events).await != [1, 3] {}
}

#[tokio::test]
async fn a_registrar_that_comes_back_is_found_again_and_subscribed_to() {
    let served = Served::start(Config::default(), 1);
    // The first of its addresses is nobody's.
    let (client, mut events) = client(&["127.0.0.1:1".parse().unwrap(), served.address]);
    client.subscribe(pool("p"));
    assert_eq!(members(&mut events).await, [1]);
    let address = served.address;
    drop(served);
    until(&mut events, |event| (event == Event::HomeLost).then_some(())).await;
    while std::net::TcpStream::connect(address).is_ok() {
        tokio::task::yield_now().await;
    }
    let served = Served::start_at(address, Config::default(), 2);
    while members(&mut events).await != [1, 2] {}
    drop(served);
}

#[tokio::test]
async fn a_program_that_knows_no_registrar_finds_one_by_its_announcements() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let group: SocketAddr = ([239, 255, 7, 9], port).into();
    let mut config = Config { listen: vec![([127, 0, 0, 1], port).into()], ..Config::default() };
    config.multicast.asap = true;
    config.multicast.interfaces = vec!["lo".to_owned()];
    config.multicast.asap_groups = vec![group];
    config.multicast.t6_serverannounce = Duration::from_millis(100);
    let _served = Served::start(config, 1);
    let over =
        driver::Config { over: Over::Tcp, groups: vec![group], ..driver::Config::mobile(Vec::new(), None) };
    let (client, mut events) = RegistrarClient::spawn(over);
    client.subscribe(pool("p"));
    client.set_local_addresses(vec!["127.0.0.1".parse().unwrap()]);
    assert_eq!(members(&mut events).await, [1]);
}

#[tokio::test]
async fn an_element_is_rejected_since_it_has_to_use_sctp() {
    let served = Served::start(Config::default(), 1);
    let (client, mut events) = client(&[served.address]);
    client.register(ElementConfig {
        handle: pool("q"),
        id: 9,
        port: 7,
        use_: TransportUse::DataOnly,
        policy: Policy::RoundRobin,
        life: None,
        addresses: None,
    });
    let causes = until(&mut events, |event| match event {
        Event::Rejected { id: 9, causes, .. } => Some(causes),
        _ => None,
    })
    .await;
    assert_eq!(causes[0].code, Cause::SECURITY);
}
