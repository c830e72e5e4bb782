//! Start-up: with mentors, without, and with mentors that fail.

use std::net::SocketAddr;
use std::time::Duration;

use super::cluster::{Cluster, ENRP, Host, contact, enrp_settings};
use super::stranger::table;
use crate::enrp::wire::{Body, Message};
use crate::enrp::{self, Event, Limits, Settings};
use crate::machine::{Input, Output, Registrar};

const SECOND: Duration = Duration::from_secs(1);

fn mentor_of(cluster: &Cluster, number: usize) -> Option<u32> {
    let ready = cluster.events.iter().find_map(|(at, event)| match event {
        Event::Ready { mentor } if *at == number => Some(*mentor),
        _ => None,
    });
    ready.expect("it is in service")
}

#[test]
fn a_registrar_without_peers_is_in_service_at_once() {
    let mut cluster = Cluster::empty(1);
    cluster.start(enrp_settings(7));
    cluster.pass(Duration::from_millis(1));
    assert!(cluster.at(0).enrp().is_ready());
    assert_eq!(mentor_of(&cluster, 0), None);
}

#[test]
fn a_mentor_gives_the_whole_handlespace_part_by_part() {
    let mut cluster = Cluster::empty(2);
    let limits = Limits { table_elements: 3, ..Limits::default() };
    cluster.start(Settings { limits, ..enrp_settings(0x1001) });
    for _ in 0..11 {
        cluster.element(0);
    }
    cluster.pass(SECOND);
    cluster.start(Settings { peers: vec![contact(Host::Registrar(0))], ..enrp_settings(0x1002) });
    cluster.pass(Duration::from_millis(300));
    assert_eq!(mentor_of(&cluster, 1), Some(0x1001));
    assert_eq!(cluster.at(0).enrp().counters().tables_served, 1);
    assert_eq!(cluster.at(1).enrp().counters().resyncs, 0, "nothing was missing");
    cluster.assert_whole("after the start");
}

#[test]
fn registrars_that_have_one_mentor_learn_of_each_other() {
    let mut cluster = Cluster::empty(3);
    cluster.start(enrp_settings(0x1001));
    for id in [0x1002, 0x1003, 0x1004] {
        cluster.start(Settings { peers: vec![contact(Host::Registrar(0))], ..enrp_settings(id) });
        cluster.pass(Duration::from_millis(500));
    }
    cluster.pass(3 * SECOND);
    let element = cluster.element(3);
    cluster.pass(SECOND);
    assert_eq!(cluster.home_of(1, element), Some(0x1004));
    cluster.assert_whole("a full mesh");
}

#[test]
fn a_mentor_that_is_not_there_is_passed_over_for_the_next() {
    let mut cluster = Cluster::empty(4);
    cluster.start(enrp_settings(0x1001));
    cluster.element(0);
    let peers = vec![contact(Host::Registrar(9)), contact(Host::Registrar(0))];
    cluster.start(Settings { peers, ..enrp_settings(0x1002) });
    cluster.pass(SECOND);
    assert_eq!(mentor_of(&cluster, 1), Some(0x1001));
}

#[test]
fn a_mentor_that_stops_answering_is_left_for_another() {
    for refuses in [false, true] {
        let mut cluster = Cluster::empty(5);
        cluster.start(enrp_settings(0x1001));
        cluster.element(0);
        cluster.pass(SECOND);
        // The stranger is preferred, and gives nothing, or says for ever that it is starting itself.
        let peers = vec![contact(Host::Stranger(0)), contact(Host::Registrar(0))];
        let number = cluster.start(Settings { peers, ..enrp_settings(0x1002) });
        cluster.pass(Duration::from_millis(30));
        let mut stranger = cluster.silent_stranger(0, 0x1003, number);
        cluster.live(&mut stranger, 3 * SECOND, |_, body| match body {
            Body::HandleTableRequest { .. } if refuses => {
                Some(Body::HandleTableResponse { rejected: true, more: false, entries: Vec::new() })
            }
            _ => None,
        });
        assert_eq!(mentor_of(&cluster, 1), Some(0x1001), "refuses {refuses}");
    }
}

#[test]
fn a_mentor_that_promises_more_and_gives_nothing_does_not_hold_up_the_start() {
    let mut cluster = Cluster::empty(6);
    cluster.start(Settings { peers: vec![contact(Host::Stranger(0))], ..enrp_settings(0x1001) });
    let mut stranger = cluster.silent_stranger(0, 0x1003, 0);
    cluster.live(&mut stranger, 3 * SECOND, |_, body| match body {
        Body::HandleTableRequest { .. } => {
            Some(Body::HandleTableResponse { rejected: false, more: true, entries: Vec::new() })
        }
        _ => None,
    });
    assert_eq!(mentor_of(&cluster, 0), None);
    let requests = stranger.heard.iter().filter(|body| matches!(body, Body::HandleTableRequest { .. }));
    assert_eq!(requests.count(), 1);
}

#[test]
fn elements_of_a_registrar_that_nobody_knows_are_taken_over() {
    let mut cluster = Cluster::empty(10);
    cluster.start(Settings { peers: vec![contact(Host::Stranger(0))], ..enrp_settings(0x1001) });
    let mut stranger = cluster.silent_stranger(0, 0x1003, 0);
    cluster.live(&mut stranger, 4 * SECOND, |_, body| match body {
        Body::HandleTableRequest { own: false } => Some(table(&[0x77], 0x7777, 5)),
        Body::InitTakeover { target } => Some(Body::InitTakeoverAck { target: *target }),
        _ => None,
    });
    assert_eq!(mentor_of(&cluster, 0), Some(0x1003));
    assert!(cluster.events.contains(&(0, Event::TookOver { target: 0x7777, elements: 1 })));
}

#[test]
fn registrars_that_start_together_do_not_wait_for_each_other() {
    for count in [2, 3, 4] {
        let mut cluster = Cluster::empty(7);
        for number in 0..count {
            let others = (0..count).filter(|other| *other != number);
            let peers = others.map(|other| contact(Host::Registrar(other))).collect();
            cluster.start(Settings { peers, ..enrp_settings(0x1001 + u32::try_from(number).unwrap()) });
        }
        for at in 0..count {
            cluster.element(at);
        }
        cluster.pass(SECOND);
        assert_eq!(mentor_of(&cluster, 0), None, "the smallest identifier begins");
        for number in 1..count {
            assert!(mentor_of(&cluster, number).is_some());
        }
        cluster.pass(4 * SECOND);
        cluster.assert_whole(&format!("{count} at once"));
    }
}

#[test]
fn a_registrar_that_is_not_ready_gives_neither_list_nor_table() {
    let mut cluster = Cluster::empty(8);
    cluster.start(Settings { peers: vec![contact(Host::Registrar(9))], ..enrp_settings(0x1001) });
    let mut stranger = cluster.silent_stranger(0, 0x1003, 0);
    // It asks us, as its only hope, and we say nothing.
    for body in [Body::ListRequest, Body::HandleTableRequest { own: true }] {
        cluster.say(&stranger, body);
    }
    cluster.live(&mut stranger, Duration::from_millis(200), |_, _| None);
    let rejected = stranger.heard.iter().filter(|body| {
        matches!(
            body,
            Body::ListResponse { rejected: true, .. } | Body::HandleTableResponse { rejected: true, .. }
        )
    });
    assert_eq!(rejected.count(), 2, "{:?}", stranger.heard);
}

#[test]
fn an_announcement_is_answered_by_a_connection_and_by_nothing_else() {
    let mut cluster = Cluster::empty(9);
    let settings = Settings { multicast: true, ..enrp_settings(0x1001) };
    let mut registrar = Registrar::new(
        cluster.now,
        crate::asap::Settings { server: 0x1001, ..crate::asap::Settings::default() },
        settings,
        1,
    );
    registrar.handle_timeout(cluster.now);
    let mut announces = 0;
    while let Some(output) = registrar.poll_output() {
        announces += usize::from(matches!(output, Output::Enrp(enrp::Output::Announce { .. })));
    }
    assert_eq!(announces, 1, "it announces itself");
    let from = SocketAddr::new(Host::Registrar(4).ip(), ENRP);
    let announcement = |sender| {
        let body = Body::Presence { reply_required: true, checksum: Some(1), server: None };
        let bytes = Message { sender, receiver: 0, body }.encode();
        Input::Enrp(enrp::Input::Announcement { from, bytes })
    };
    registrar.handle(cluster.now, announcement(0x1001));
    assert_eq!(registrar.poll_output(), None, "its own is not heard");
    for _ in 0..3 {
        registrar.handle(cluster.now, announcement(0x1009));
    }
    let outputs: Vec<_> = std::iter::from_fn(|| registrar.poll_output()).collect();
    assert_eq!(outputs, [Output::Enrp(enrp::Output::Connect { remote: vec![from] })]);
    cluster.now += SECOND;
    assert_eq!(registrar.enrp().peers().count(), 0, "it may be anybody's");
}

#[test]
fn announcements_with_invented_sources_bring_few_connections_and_none_to_ourselves() {
    let now = Cluster::empty(10).now;
    let settings = Settings { multicast: true, ..enrp_settings(0x1001) };
    let asap = crate::asap::Settings { server: 0x1001, ..crate::asap::Settings::default() };
    let mut registrar = Registrar::new(now, asap, settings, 1);
    let own = SocketAddr::new(Host::Registrar(1).ip(), ENRP);
    registrar.handle(now, Input::Enrp(enrp::Input::Local { addresses: vec![own] }));
    let invented = |number: u16| SocketAddr::new([198, 51, 100, 1].into(), 1024 + number);
    let mut connections = 0;
    for from in std::iter::once(own).chain((0..1000).map(invented)) {
        let body = Body::Presence { reply_required: false, checksum: Some(1), server: None };
        let bytes = Message { sender: 0x1009, receiver: 0, body }.encode();
        registrar.handle(now, Input::Enrp(enrp::Input::Announcement { from, bytes }));
        while let Some(output) = registrar.poll_output() {
            if let Output::Enrp(enrp::Output::Connect { remote }) = output {
                assert_ne!(remote, [own]);
                connections += 1;
                // That it is refused at once frees no place for another.
                registrar.handle(now, Input::Enrp(enrp::Input::Unreachable { remote }));
            }
        }
    }
    assert_eq!(connections, 16);
}
