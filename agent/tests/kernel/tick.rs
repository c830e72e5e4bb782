//! The kernel's timer for address events, started beforehand.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use roam_agent::journal::Journal;
use roam_agent::routing::Holder;
use sctp_sys::{Family, Socket, Style, sockopt};

use super::translation::{namespace, run, until};

#[test]
fn starting_the_timer_leaves_nothing_and_no_wildcard_socket_reacts_but_to_the_address_that_comes() {
    let _namespace = namespace();
    let new: IpAddr = [10, 7, 7, 7].into();
    let server = Socket::new(Style::OneToOne, Family::V6).unwrap();
    server.bind("[::]:7000".parse().unwrap()).unwrap();
    server.listen(1).unwrap();
    let client = Socket::new(Style::OneToOne, Family::V6).unwrap();
    client.bind("[::]:7001".parse().unwrap()).unwrap();
    client.connect("[::1]:7000".parse().unwrap()).unwrap();
    sockopt::set_auto_asconf(client.as_fd(), true).unwrap();
    let local = || -> Vec<IpAddr> {
        let addresses = sockopt::local_addrs(client.as_fd(), 0).unwrap();
        addresses.iter().map(SocketAddr::ip).collect()
    };
    let before = local();

    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path()).unwrap();
    let mut holder = Holder::open(journal.clone()).unwrap();
    let addresses = run("ip", "address show");
    holder.tick().unwrap();
    assert_eq!(run("ip", "address show"), addresses);
    assert!(journal.pending().is_empty());

    run("ip", &format!("address add {new}/32 dev lo"));
    until("the association has the new address", || local().contains(&new).then_some(()));
    let mut expected = before;
    expected.push(new);
    assert_eq!(local(), expected);
}
