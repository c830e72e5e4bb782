//! Peers that lie, flood or speak for others: what is not theirs they can neither take nor remove.

use std::time::Duration;

use asap_client::wire::{PoolHandle, ServerInformation, Transport, TransportUse};
use proptest::prelude::*;

use super::cluster::{Cluster, Host, enrp_settings, pool};
use super::stranger::{Stranger, announced, checksum, table, update};
use crate::enrp::wire::{Body, Message, UpdateAction};
use crate::enrp::{Event, Limits, Settings};

const SECOND: Duration = Duration::from_secs(1);
const LIAR: u32 = 0x6666;

/// Three registrars; an element at the first.
fn cluster() -> Cluster {
    let mut cluster = Cluster::of(3, 1);
    cluster.element(0);
    cluster.pass(SECOND);
    cluster
}

fn everywhere(cluster: &Cluster, home: u32) -> bool {
    (0..3).all(|at| cluster.home_of(at, 0) == Some(home))
}

#[test]
fn what_is_not_the_senders_own_is_neither_added_nor_removed() {
    let mut cluster = cluster();
    let mut liar = cluster.stranger(0, LIAR, 1);
    let id = cluster.elements[0].id;
    cluster.say(&liar, update(UpdateAction::Delete, pool(), announced(id, 0x1001, 0)));
    cluster.say(&liar, update(UpdateAction::Delete, pool(), announced(id, LIAR, 0)));
    cluster.say(&liar, update(UpdateAction::Add, pool(), announced(id, 0x1001, 5)));
    cluster.say(&liar, update(UpdateAction::Add, pool(), announced(0x77, 0x1003, 5)));
    cluster.live(&mut liar, SECOND, |_, _| None);
    assert!(everywhere(&cluster, 0x1001));
    assert_eq!(cluster.at(1).enrp().counters().updates_refused, 4);
    assert_eq!(cluster.at(1).handlespace().len(), 1);
    let address = cluster.at(1).handlespace().pool(&pool()).unwrap().element(id).unwrap().user.clone();
    assert_eq!(address.addresses(), [Host::Element(0).ip()]);
}

#[test]
fn a_claim_to_an_element_that_lives_here_is_refuted() {
    let mut cluster = cluster();
    let mut liar = cluster.stranger(0, LIAR, 0);
    let id = cluster.elements[0].id;
    for _ in 0..50 {
        cluster.say(&liar, update(UpdateAction::Add, pool(), announced(id, LIAR, 5)));
        cluster.live(&mut liar, Duration::from_millis(100), |_, _| None);
        assert_eq!(cluster.home_of(0, 0), Some(0x1001));
    }
    let counters = *cluster.at(0).enrp().counters();
    assert!(counters.claims_refuted > 3 && counters.claims_refuted < 20, "{counters:?}");
    let told = liar.heard.iter().filter(|body| matches!(body, Body::HandleUpdate { .. }));
    assert!(told.count() > 3, "the liar hears it, too");
}

#[test]
fn an_element_that_leaves_us_is_the_claimants_and_is_not_announced_as_gone() {
    let mut cluster = cluster();
    let mut other = cluster.stranger(0, LIAR, 0);
    claimed(&mut cluster, &mut other);
    other.heard.clear();
    cluster.kill(0, false);
    cluster.live(&mut other, Duration::from_millis(100), |_, _| None);
    assert_eq!(cluster.home_of(0, 0), Some(LIAR));
    let told = other.heard.iter().any(|body| matches!(body, Body::HandleUpdate { .. }));
    assert!(!told, "nobody hears that it is gone");
}

/// Another registrar claims the element, in earnest, and it answers here.
fn claimed(cluster: &mut Cluster, by: &mut Stranger) {
    let id = cluster.elements[0].id;
    by.checksum = checksum(&[id]);
    cluster.say(by, update(UpdateAction::Add, pool(), announced(id, by.id, 5)));
    cluster.live(by, Duration::from_millis(500), |_, _| None);
    assert_eq!(cluster.home_of(0, 0), Some(0x1001), "it answers here");
}

fn is_deleted(body: &Body) -> bool {
    matches!(body, Body::HandleUpdate { action: UpdateAction::Delete, .. })
}

#[test]
fn an_element_that_another_does_not_claim_any_more_by_its_checksum_is_not_that_ones_when_it_is_lost() {
    let mut cluster = cluster();
    let mut other = cluster.stranger(0, LIAR, 0);
    claimed(&mut cluster, &mut other);
    // It has left the element to us, and tells nobody but by that.
    other.checksum = checksum(&[]);
    cluster.live(&mut other, SECOND, |_, _| None);
    cluster.kill(0, false);
    cluster.live(&mut other, Duration::from_millis(100), |_, _| None);
    assert_eq!([0, 1].map(|at| cluster.home_of(at, 0)), [None, None]);
    assert!(other.heard.iter().any(is_deleted));
}

#[test]
fn an_element_that_deregisters_is_not_given_to_whoever_claims_it() {
    let mut cluster = cluster();
    let mut other = cluster.stranger(0, LIAR, 0);
    claimed(&mut cluster, &mut other);
    cluster.deregister(0);
    cluster.live(&mut other, Duration::from_millis(100), |_, _| None);
    assert_eq!([0, 1].map(|at| cluster.home_of(at, 0)), [None, None]);
    assert!(other.heard.iter().any(is_deleted));
}

#[test]
fn a_liar_that_third_parties_believed_is_believed_no_more() {
    let mut cluster = cluster();
    // The same liar at the home and at another registrar.
    let mut here = cluster.stranger(0, LIAR, 0);
    let mut there = cluster.stranger(0, LIAR, 1);
    let id = cluster.elements[0].id;
    let mut stolen = 0;
    for _ in 0..200 {
        for liar in [&here, &there] {
            cluster.say(liar, update(UpdateAction::Add, pool(), announced(id, LIAR, 5)));
        }
        cluster.live(&mut here, Duration::from_millis(60), |_, _| None);
        cluster.live(&mut there, Duration::from_millis(40), |_, _| None);
        assert_eq!(cluster.home_of(0, 0), Some(0x1001));
        stolen += usize::from(cluster.home_of(1, 0) == Some(LIAR));
    }
    assert!(stolen < 40, "stolen {stolen} times of 200");
    cluster.pass(Duration::from_secs(10));
    assert!(everywhere(&cluster, 0x1001));
}

#[test]
fn checksums_that_lie_cost_little_and_take_nothing_away() {
    let mut cluster = cluster();
    let mut liar = cluster.stranger(0, LIAR, 1);
    cluster.say(&liar, update(UpdateAction::Add, pool(), announced(0x77, LIAR, 5)));
    let mut lie = 0;
    let before = cluster.at(1).enrp().counters().resyncs;
    cluster.live(&mut liar, 60 * SECOND, |liar, body| {
        lie += 1;
        liar.checksum = lie;
        matches!(body, Body::HandleTableRequest { .. }).then(|| table(&[0x78], LIAR, 5))
    });
    let resyncs = cluster.at(1).enrp().counters().resyncs - before;
    assert!((3..=10).contains(&resyncs), "{resyncs}");
    assert!(everywhere(&cluster, 0x1001));
    let known = cluster.at(1).handlespace().pool(&pool()).unwrap();
    assert!(known.element(0x77).is_some(), "nothing goes unless the checksum agrees");
    liar.checksum = checksum(&[0x78]);
    cluster.live(&mut liar, 70 * SECOND, |_, body| {
        matches!(body, Body::HandleTableRequest { .. }).then(|| table(&[0x78], LIAR, 5))
    });
    let known = cluster.at(1).handlespace().pool(&pool()).unwrap();
    assert!(known.element(0x77).is_none() && known.element(0x78).is_some(), "now it does");
}

#[test]
fn a_table_takes_nothing_from_a_registrar_whose_checksum_claims_it_too() {
    let mut cluster = cluster();
    let mut liar = cluster.stranger(0, LIAR, 1);
    let id = cluster.elements[0].id;
    liar.checksum = checksum(&[id]);
    let mut asked = 0;
    cluster.live(&mut liar, 10 * SECOND, |_, body| {
        asked += usize::from(matches!(body, Body::HandleTableRequest { .. }));
        matches!(body, Body::HandleTableRequest { .. }).then(|| table(&[id], LIAR, 5))
    });
    assert!(asked > 0);
    assert!(everywhere(&cluster, 0x1001));
    assert!(!cluster.events.iter().any(|(_, event)| matches!(event, Event::Purged { .. })));
}

#[test]
fn a_registrar_that_lives_is_not_taken_over() {
    let mut cluster = cluster();
    let mut liar = cluster.stranger(0, LIAR, 1);
    cluster.say(&liar, Body::InitTakeover { target: 0x1001 });
    cluster.live(&mut liar, 2 * SECOND, |_, _| None);
    assert!(!liar.heard.contains(&Body::InitTakeoverAck { target: 0x1001 }), "it was heard a moment ago");
    cluster.say(&liar, Body::TakeoverServer { target: 0x1001 });
    cluster.live(&mut liar, 2 * SECOND, |_, _| None);
    assert!(everywhere(&cluster, 0x1001));
    assert!(cluster.events.contains(&(1, Event::TakeoverRefused { target: 0x1001, by: LIAR })));
}

#[test]
fn a_takeover_of_ourselves_is_answered_by_our_presence_and_takes_no_living_element() {
    let mut cluster = cluster();
    let mut liar = cluster.stranger(0, LIAR, 0);
    cluster.say(&liar, Body::TakeoverServer { target: 0x1001 });
    cluster.live(&mut liar, 2 * SECOND, |_, _| None);
    assert!(everywhere(&cluster, 0x1001));
    let announced = liar.heard.iter().any(|body| matches!(body, Body::HandleUpdate { .. }));
    assert!(announced, "the element that answered is announced again");
}

#[test]
fn updates_that_come_too_fast_are_dropped_and_asked_for_later() {
    let mut cluster = Cluster::empty(4);
    let limits = Limits { updates_per_second: 10, ..Limits::default() };
    cluster.start(Settings { limits, ..enrp_settings(0x1001) });
    let mut flood = cluster.stranger(0, LIAR, 0);
    let ids: Vec<u32> = (1..=30).collect();
    flood.checksum = checksum(&ids);
    for id in &ids {
        cluster.say(&flood, update(UpdateAction::Add, pool(), announced(*id, LIAR, 5)));
    }
    cluster.pass(Duration::from_millis(20));
    assert_eq!(cluster.at(0).handlespace().len(), 10);
    assert_eq!(cluster.at(0).enrp().counters().updates_dropped, 20);
    cluster.live(&mut flood, 3 * SECOND, |_, body| {
        matches!(body, Body::HandleTableRequest { .. }).then(|| table(&ids, LIAR, 5))
    });
    assert_eq!(cluster.at(0).handlespace().len(), 30);
}

#[test]
fn a_peer_fills_no_more_than_its_part() {
    let mut cluster = Cluster::empty(5);
    let limits = Limits { elements_per_peer: 5, elements: 8, peers: 2, ..Limits::default() };
    cluster.start(Settings { limits, ..enrp_settings(0x1001) });
    let first = cluster.stranger(0, LIAR, 0);
    let second = cluster.stranger(1, LIAR + 1, 0);
    for id in 1..=20 {
        cluster.say(&first, update(UpdateAction::Add, pool(), announced(id, LIAR, 5)));
        cluster.say(&second, update(UpdateAction::Add, pool(), announced(id + 20, LIAR + 1, 5)));
    }
    let long = PoolHandle::new(vec![b'x'; 2000]).unwrap();
    cluster.say(&first, update(UpdateAction::Add, long, announced(1, LIAR, 5)));
    cluster.pass(Duration::from_millis(50));
    let space = cluster.at(0).handlespace();
    assert_eq!((space.count_of_home(LIAR), space.count_of_home(LIAR + 1)), (5, 3));
    cluster.stranger(2, LIAR + 2, 0);
    assert_eq!(cluster.at(0).enrp().peers().count(), 2, "a third is not let in");
}

#[test]
fn nobody_speaks_for_a_registrar_that_speaks_for_itself() {
    let mut cluster = cluster();
    cluster.stranger(0, 0x1001, 1);
    assert!(cluster.events.iter().any(|(at, e)| *at == 1 && matches!(e, Event::Impostor { .. })));
    let liar = cluster.stranger(1, LIAR, 1);
    cluster.say(&super::stranger::Stranger { id: 0x1003, ..liar }, Body::TakeoverServer { target: 0x1001 });
    cluster.pass(SECOND);
    assert_eq!(
        cluster.events.iter().filter(|(at, e)| *at == 1 && matches!(e, Event::Impostor { .. })).count(),
        2
    );
    cluster.pass(5 * SECOND);
    cluster.assert_whole("the strangers are gone");
}

/// Registrars of a list that somebody made up, at addresses where nobody is.
fn made_up(count: u32) -> Body {
    let servers = (0..count).map(|number| {
        let addresses = vec![[10, 2, 9, 9].into(); 2000];
        let transport =
            Transport::Sctp { port: 9901, use_: TransportUse::DataOnly, addresses: addresses.into() };
        ServerInformation { server: 0x9000 + number, transport }
    });
    Body::ListResponse { rejected: false, servers: servers.collect() }
}

#[test]
fn a_list_of_registrars_that_was_not_asked_for_is_ignored_and_none_takes_all_places() {
    let mut cluster = Cluster::empty(6);
    let limits = Limits { peers: 6, ..Limits::default() };
    cluster.start(Settings { limits, ..enrp_settings(0x1001) });
    let mut liar = cluster.stranger(0, LIAR, 0);
    cluster.say(&liar, made_up(3));
    cluster.pass(Duration::from_millis(50));
    assert_eq!(cluster.at(0).enrp().peers().count(), 1);
    assert_eq!(cluster.at(0).enrp().counters().unexpected, 1);
    let mut most = 0;
    for _ in 0..60 {
        cluster.live(&mut liar, SECOND / 4, |_, _| None);
        // It answers, if it is asked just now.
        cluster.say(&liar, made_up(3));
        cluster.pass(Duration::from_millis(10));
        most = most.max(cluster.at(0).enrp().peers().count());
    }
    assert!(most <= 3, "{most}");
    for number in 1..4 {
        cluster.stranger(number, LIAR + u32::try_from(number).unwrap(), 0);
    }
    let known: Vec<_> = cluster.at(0).enrp().peers().map(|peer| peer.id).collect();
    assert!((LIAR..LIAR + 4).all(|id| known.contains(&id)), "{known:x?}");
}

#[test]
fn a_peer_that_fills_the_handlespace_leaves_room_for_what_registers_here() {
    let mut cluster = Cluster::empty(8);
    let limits = Limits { pools: 3, elements_per_pool: 4, pool_handles_octets: 100_000, ..Limits::default() };
    cluster.start(Settings { limits, ..enrp_settings(0x1001) });
    let liar = cluster.stranger(0, LIAR, 0);
    for number in 0..10_u32 {
        let handle = PoolHandle::new(format!("{number:060000}")).unwrap();
        cluster.say(&liar, update(UpdateAction::Add, handle, announced(1, LIAR, 5)));
        let handle = PoolHandle::new(format!("pool {number}")).unwrap();
        cluster.say(&liar, update(UpdateAction::Add, handle, announced(1, LIAR, 5)));
        cluster.say(
            &liar,
            update(UpdateAction::Add, PoolHandle::new("pool 0").unwrap(), announced(number, LIAR, 5)),
        );
    }
    cluster.pass(Duration::from_millis(50));
    let space = cluster.at(0).handlespace();
    assert_eq!((space.pool_count(), space.handle_octets(), space.len()), (3, 60_012, 6));
    cluster.element(0);
    cluster.pass(SECOND);
    assert_eq!(cluster.home_of(0, 0), Some(0x1001));
}

#[test]
fn while_a_peer_floods_another_is_heard_and_an_element_registers() {
    let mut cluster = Cluster::of(2, 9);
    let flood = cluster.stranger(0, LIAR, 0);
    let before = cluster.sent;
    for id in 1_000_000..1_020_000 {
        cluster.say(&flood, update(UpdateAction::Add, pool(), announced(id, LIAR, 5)));
    }
    let said = cluster.sent - before;
    cluster.element(0);
    cluster.element(1);
    cluster.pass(SECOND / 2);
    assert_eq!((cluster.home_of(0, 0), cluster.home_of(0, 1)), (Some(0x1001), Some(0x1002)));
    assert_eq!((cluster.home_of(1, 0), cluster.home_of(1, 1)), (Some(0x1001), Some(0x1002)));
    let counters = cluster.at(0).enrp().counters();
    assert_eq!((counters.updates_dropped, cluster.at(0).handlespace().count_of_home(LIAR)), (15_000, 5_000));
    assert!(cluster.sent - before < said + 200, "a flood is not answered by another");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_stranger_says_our_own_living_elements_stay_ours(
        words in prop::collection::vec((0_u8..12, any::<u8>(), prop::collection::vec(any::<u8>(), 0..60)), 1..30),
        targets in prop::collection::vec((6_u8..9, 0x1000_u32..0x1005), 0..10),
    ) {
        let mut cluster = Cluster::of(2, 9);
        cluster.element(0);
        cluster.pass(SECOND);
        let liar = cluster.stranger(0, LIAR, 0);
        for (type_, flags, rest) in words {
            let length = u16::try_from(12 + rest.len()).unwrap().to_be_bytes();
            let mut bytes = vec![type_, flags, length[0], length[1]];
            bytes.extend(LIAR.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(rest);
            cluster.send(liar.link, Host::Stranger(0), bytes);
        }
        for (kind, target) in targets {
            let body = match kind {
                6 => Body::InitTakeover { target },
                7 => Body::InitTakeoverAck { target },
                _ => Body::TakeoverServer { target },
            };
            let bytes = Message { sender: LIAR, receiver: 0, body }.encode();
            cluster.send(liar.link, Host::Stranger(0), bytes);
        }
        cluster.pass(2 * SECOND);
        prop_assert_eq!(cluster.home_of(0, 0), Some(0x1001));
        cluster.at(0).handlespace().check();
    }
}
