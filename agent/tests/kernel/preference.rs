//! What is asked of the kernel must not crash it. Without the care that is taken, this guest most often does not survive.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use roam_agent::associations::act;
use sctp_sys::{Family, Socket, Style, sockopt};

use super::translation::{namespace, run, until};

/// So many associations that the kernel meets one in the middle of a request at nearly each of its ticks.
const ASSOCIATIONS: u16 = 20;
/// So many addresses come at once, and so many times.
const ADDRESSES: u8 = 12;
const TIMES: u8 = 10;

/// Ends the asking, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_peer_may_be_asked_to_prefer_an_address_while_the_kernel_acts_on_address_events() {
    let own: IpAddr = [10, 7, 0, 1].into();
    let here = namespace();
    run("ip", &format!("address add {own}/24 dev lo"));
    let server = Socket::new(Style::OneToMany, Family::V4).unwrap();
    server.bind(SocketAddr::new(own, 7000)).unwrap();
    server.listen(ASSOCIATIONS.into()).unwrap();
    let clients: Vec<_> = (0..ASSOCIATIONS)
        .map(|number| {
            let port = 7001 + number;
            let client = Socket::new(Style::OneToOne, Family::V4).unwrap();
            client.bind(SocketAddr::new([0, 0, 0, 0].into(), port)).unwrap();
            client.connect(SocketAddr::new(own, 7000)).unwrap();
            sockopt::set_auto_asconf(client.as_fd(), true).unwrap();
            let association = sockopt::status(client.as_fd(), sockopt::FUTURE_ASSOC).unwrap().assoc;
            (client, association, SocketAddr::new(own, port))
        })
        .collect();

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for (client, association, own) in &clients {
                    act::ask_to_prefer(client.as_fd(), *association, *own).unwrap();
                }
            }
        });
        setns(&here, CloneFlags::CLONE_NEWNET).unwrap();
        for time in 1..=TIMES {
            let new = |number: u8| IpAddr::from([10, 7, time, number]);
            for number in 1..=ADDRESSES {
                run("ip", &format!("address add {}/32 dev lo", new(number)));
            }
            let has_one = |(client, association, _): &(Socket, _, _)| {
                let addresses = sockopt::local_addrs(client.as_fd(), *association).unwrap();
                (1..=ADDRESSES).any(|number| addresses.iter().any(|address| address.ip() == new(number)))
            };
            // Those that are just not looking miss them.
            until("most associations have new addresses", || {
                (clients.iter().filter(|it| has_one(it)).count() * 2 > clients.len()).then_some(())
            });
        }
    });
    for (client, association, _) in &clients {
        assert!(sockopt::auto_asconf(client.as_fd()).unwrap(), "it looks as before");
        sockopt::status(client.as_fd(), *association).expect("it lives");
    }
}
