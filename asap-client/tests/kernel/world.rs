//! A mobile host with two access networks, and the network of the registrars behind them.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
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

pub(crate) fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
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
        sh(&format!("ip netns add {host}; ip netns add {registrars}"));
        let world = Self { host, registrars };
        let Self { host: h, registrars: r } = &world;
        sh(&format!("ip -n {h} link set lo up; ip -n {r} link set lo up"));
        sh(&format!("ip -n {r} addr add 10.9.0.1/32 dev lo; ip -n {r} addr add 10.9.0.2/32 dev lo"));
        sh(&format!("ip -n {r} addr add fd09::1/128 dev lo nodad"));
        for n in [1, 2] {
            sh(&format!("ip link add m{n} netns {h} type veth peer name r{n} netns {r}"));
            sh(&format!(
                "ip -n {r} addr add 10.{n}.0.1/24 dev r{n}; ip -n {r} addr add fd0{n}::1/64 dev r{n} nodad"
            ));
            sh(&format!("ip -n {r} link set r{n} up"));
            if delay > 0 {
                for (namespace, device) in [(h, 'm'), (r, 'r')] {
                    sh(&format!(
                        "tc -n {namespace} qdisc add dev {device}{n} root netem delay {delay}ms limit 10000"
                    ));
                }
            }
        }
        enter(h);
        world
    }

    /// The host gets its address in this network, and its way out over it.
    pub(crate) fn arrive(&self, n: u8) -> IpAddr {
        let h = &self.host;
        sh(&format!("ip -n {h} link set m{n} up; ip -n {h} addr replace 10.{n}.0.2/24 dev m{n}"));
        sh(&format!("ip -n {h} route replace default via 10.{n}.0.1 dev m{n}"));
        [10, n, 0, 2].into()
    }

    /// The same with IPv6.
    pub(crate) fn arrive6(&self, n: u8) -> IpAddr {
        let h = &self.host;
        sh(&format!("ip -n {h} link set m{n} up; ip -n {h} addr replace fd0{n}::2/64 dev m{n} nodad"));
        sh(&format!("ip -n {h} -6 route replace default via fd0{n}::1 dev m{n}"));
        format!("fd0{n}::2").parse().unwrap()
    }

    /// The host loses this network.
    pub(crate) fn leave(&self, n: u8) {
        let h = &self.host;
        sh(&format!("ip -n {h} addr flush dev m{n}; ip -n {h} link set m{n} down"));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for namespace in [&self.host, &self.registrars] {
            // What is left ends with the guest.
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
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
    until(events, |event| match event {
        Event::Pool { answer, .. } => {
            Some(answer.elements.iter().flat_map(|element| element.user.addresses().to_vec()).collect())
        }
        _ => None,
    })
    .await
}

/// Runs a test's async part on this thread, in this thread's namespace.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
