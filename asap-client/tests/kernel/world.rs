//! A mobile host with two access networks, and the network of the registrars behind them.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use asap_client::Timers;
use asap_client::client::{ElementConfig, Event};
use asap_client::driver::{Config, Events, RegistrarClient};
use asap_client::wire::{Policy, PoolHandle, TransportUse};
use nix::sched::{CloneFlags, setns};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The registrars' addresses.
pub(crate) const FIRST: &str = "10.9.0.1:3863";
pub(crate) const SECOND: &str = "10.9.0.2:3863";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces. This thread is in the host's from now on.
pub(crate) struct World {
    pub(crate) host: String,
    pub(crate) registrars: String,
}

/// Runs a program once for many commands: starting one costs more than anything else here.
fn batch(program: &str, namespace: Option<&str>, commands: &str) {
    let mut child = Command::new(program)
        .args(namespace.into_iter().flat_map(|namespace| ["-n", namespace]))
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program}: {commands}");
}

/// Runs `ip` in a namespace.
pub(crate) fn ip(namespace: &str, commands: &str) {
    batch("ip", Some(namespace), commands);
}

/// Puts this thread into a namespace.
pub(crate) fn enter(namespace: &str) {
    let file = File::open(format!("/var/run/netns/{namespace}")).unwrap();
    setns(file, CloneFlags::CLONE_NEWNET).expect("these tests need root");
}

impl World {
    /// So many milliseconds each way.
    pub(crate) fn new(delay: u32) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (host, registrars) = (format!("h{number}"), format!("r{number}"));
        let world = Self { host, registrars };
        let Self { host: h, registrars: r } = &world;
        batch("ip", None, &format!("netns add {h}\nnetns add {r}\n"));
        ip(
            h,
            &format!(
                "link set lo up\nlink add m1 type veth peer name r1 netns {r}\nlink add m2 type veth peer name r2 netns {r}\n"
            ),
        );
        ip(
            r,
            "link set lo up\n\
             addr add 10.9.0.1/32 dev lo\naddr add 10.9.0.2/32 dev lo\naddr add fd09::1/128 dev lo nodad\n\
             addr add 10.1.0.1/24 dev r1\naddr add fd01::1/64 dev r1 nodad\nlink set r1 up\n\
             addr add 10.2.0.1/24 dev r2\naddr add fd02::1/64 dev r2 nodad\nlink set r2 up\n",
        );
        if delay > 0 {
            for (namespace, device) in [(h, 'm'), (r, 'r')] {
                let late = |n| format!("qdisc add dev {device}{n} root netem delay {delay}ms limit 10000\n");
                batch("tc", Some(namespace), &(late(1) + &late(2)));
            }
        }
        enter(h);
        world
    }

    /// The host gets its address in this network, and its way out over it.
    pub(crate) fn arrive(&self, n: u8) -> IpAddr {
        ip(
            &self.host,
            &format!(
                "link set m{n} up\naddr replace 10.{n}.0.2/24 dev m{n}\nroute replace default via 10.{n}.0.1 dev m{n}\n"
            ),
        );
        [10, n, 0, 2].into()
    }

    /// The same with IPv6.
    pub(crate) fn arrive6(&self, n: u8) -> IpAddr {
        ip(
            &self.host,
            &format!(
                "link set m{n} up\naddr replace fd0{n}::2/64 dev m{n} nodad\n\
                 route replace default via fd0{n}::1 dev m{n}\n"
            ),
        );
        format!("fd0{n}::2").parse().unwrap()
    }

    /// The host loses this network.
    pub(crate) fn leave(&self, n: u8) {
        ip(&self.host, &format!("addr flush dev m{n}\nlink set m{n} down\n"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Held by this thread, they end with it.
        batch("ip", None, &format!("netns del {}\nnetns del {}\n", self.host, self.registrars));
    }
}

/// A client of these registrars.
pub(crate) fn client(registrars: &[&str]) -> (RegistrarClient, Events) {
    client_with(registrars, Timers::mobile())
}

pub(crate) fn client_with(registrars: &[&str], timers: Timers) -> (RegistrarClient, Events) {
    let listed = registrars.iter().map(|address| vec![address.parse::<SocketAddr>().unwrap()]).collect();
    RegistrarClient::spawn(Config { timers, ..Config::mobile(listed, None) })
}

/// One whose element 9 is registered from this address.
pub(crate) async fn client_at(registrars: &[&str], local: IpAddr) -> (RegistrarClient, Events) {
    let (client, mut events) = client(registrars);
    client.register(element(9));
    client.set_local_addresses(vec![local]);
    assert_eq!(registered(&mut events).await, [local]);
    (client, events)
}

pub(crate) fn pool(name: &str) -> PoolHandle {
    name.parse().unwrap()
}

pub(crate) fn element(id: u32) -> ElementConfig {
    ElementConfig {
        handle: pool("EchoPool"),
        id,
        port: 7,
        use_: TransportUse::DataOnly,
        policy: Policy::RoundRobin,
        life: Some(Duration::from_secs(60)),
        addresses: None,
    }
}

/// Waits for an event that fits.
pub(crate) async fn until<T>(events: &mut Events, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
    let waiting = async {
        loop {
            let event = events.next().await.expect("the client lives");
            if let Some(found) = fits(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("waited for in vain")
}

/// Waits until an element is registered; with what addresses.
pub(crate) async fn registered(events: &mut Events) -> Vec<IpAddr> {
    until(events, |event| match event {
        Event::Registered { addresses, .. } => Some(addresses.clone()),
        _ => None,
    })
    .await
}

/// Waits for news of a pool: the addresses of its elements.
pub(crate) async fn located(events: &mut Events) -> Vec<IpAddr> {
    until(events, locations).await
}

fn locations(event: &Event) -> Option<Vec<IpAddr>> {
    let Event::Pool { answer, .. } = event else { return None };
    Some(answer.elements.iter().flat_map(|element| element.user.addresses().to_vec()).collect())
}

/// Waits for both, whichever is first: they come over associations of their own.
pub(crate) async fn registered_and_located(events: &mut Events) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let (mut at, mut located) = (None, None);
    until(events, |event| {
        match event {
            Event::Registered { addresses, .. } => at = Some(addresses.clone()),
            event => located = locations(event).or(located.take()),
        }
        at.clone().zip(located.clone())
    })
    .await
}

/// Runs a test's async part on this thread, in this thread's namespace.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
