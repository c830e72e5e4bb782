//! What registrars agree on after it went wrong between them.

use std::time::Duration;

use asap_client::wire::{self, Message, PoolElement};

use super::cluster::{Cluster, Host, pool};
use super::element::registration;
use super::stranger::{Stranger, announced, checksum, table, update};
use crate::Association;
use crate::asap::Input;
use crate::enrp::wire::{Body, UpdateAction};
use crate::handlespace::Element;
use crate::machine;

const SECOND: Duration = Duration::from_secs(1);

fn kept(cluster: &Cluster, at: usize, id: u32) -> Option<&Element> {
    cluster.at(at).handlespace().pool(&pool())?.element(id)
}

#[test]
fn an_element_that_changed_while_an_association_broke_is_known_as_it_is() {
    let mut cluster = Cluster::of(2, 1);
    let element = cluster.element(0);
    cluster.pass(SECOND);
    let id = cluster.elements[element].id;
    let (_, link) = cluster.elements[element].home.unwrap();
    let host = Host::Element(element);
    let changed = PoolElement { life: 600, ..registration(id, host) };
    cluster.partition(&[(Host::Registrar(1), 1)]);
    cluster.send(link, host, Message::Registration { handle: pool(), element: changed }.encode());
    cluster.pass(Duration::from_millis(50));
    // The update is on its way, and never comes; the checksums are the same.
    let between = cluster.at(0).enrp().peers().next().unwrap().association.unwrap();
    cluster.abort(between.0, Host::Registrar(0));
    cluster.heal();
    assert_eq!([0, 1].map(|at| kept(&cluster, at, id).unwrap().life), [600, 300]);
    cluster.pass(2 * SECOND);
    assert_eq!([0, 1].map(|at| kept(&cluster, at, id).unwrap().life), [600, 600]);
}

#[test]
fn of_two_that_have_no_association_with_an_element_only_the_smaller_gives_it_to_the_other() {
    const ELEMENT: u32 = 0xe1;
    let home = |cluster: &Cluster| kept(cluster, 0, ELEMENT).map(|element| element.home);
    for (other, before) in [(0x500, 0x1001), (0x2000, 0x2000)] {
        let mut cluster = Cluster::of(1, 2);
        // An element that cannot be reached is taken over from a dead registrar ...
        let dead = cluster.stranger(0, 0x3000, 0);
        cluster.say(&dead, update(UpdateAction::Add, pool(), announced(ELEMENT, 0x3000, 9)));
        cluster.pass(Duration::from_millis(50));
        cluster.abort(dead.link, Host::Stranger(0));
        cluster.pass(2 * SECOND);
        assert_eq!(home(&cluster), Some(0x1001));
        // ... by another one, too.
        let mut peer = cluster.silent_stranger(1, other, 0);
        peer.checksum = checksum(&[ELEMENT]);
        let tells = |_: &mut _, body: &Body| {
            matches!(body, Body::HandleTableRequest { .. }).then(|| table(&[ELEMENT], other, 9))
        };
        cluster.live(&mut peer, Duration::from_millis(500), tells);
        assert_eq!(home(&cluster), Some(before), "{other:#x}");
        // It does not answer us: it is the other's.
        cluster.live(&mut peer, 5 * SECOND, tells);
        assert_eq!(home(&cluster), Some(other));
    }
}

#[test]
fn of_elements_that_share_an_association_one_decides_which_registrar_is_suggested_to_all() {
    let mut cluster = Cluster::of(2, 3);
    for at in [0, 1] {
        cluster.crash(at, false);
        cluster.nodes[at].settings.suggest_takeovers = true;
        cluster.boot(at);
    }
    cluster.pass(3 * SECOND);
    let element = (0..3).map(|_| cluster.element(0)).last().unwrap();
    cluster.pass(SECOND);
    // The first is best where it is; the other one would be better at 0x1002.
    let (first, second) = (cluster.elements[element].id, 0xe4);
    let better = |id: u32| [0x1001, 0x1002].into_iter().max_by_key(|home| home ^ id);
    assert_eq!((better(first), better(second)), (Some(0x1001), Some(0x1002)));
    let (_, link) = cluster.elements[element].home.unwrap();
    let host = Host::Element(element);
    let message = Message::Registration { handle: pool(), element: registration(second, host) };
    cluster.send(link, host, message.encode());
    cluster.pass(2 * SECOND);
    for id in [first, second] {
        assert_eq!([0, 1].map(|at| kept(&cluster, at, id).map(|kept| kept.home)), [Some(0x1001); 2]);
    }
}

#[test]
fn an_element_that_does_not_follow_to_the_registrar_that_is_suggested_is_suggested_to_it_once() {
    let mut cluster = Cluster::of(1, 3);
    cluster.crash(0, false);
    cluster.nodes[0].settings.suggest_takeovers = true;
    cluster.boot(0);
    cluster.pass(3 * SECOND);
    // The higher the first bit in which they differ, the better.
    let mut best = cluster.stranger(0, 0xffff_1002, 0);
    let element = cluster.element(0);
    let suggested = |peer: &Stranger| {
        let is_it = |body: &&Body| matches!(body, Body::HandleUpdate { takeover_suggested: true, .. });
        (peer.heard.iter().filter(is_it).count(), peer.heard.len())
    };
    cluster.live(&mut best, 20 * SECOND, |_, _| None);
    let (suggestions, all) = suggested(&best);
    assert_eq!(suggestions, 1);
    assert!(all > 4, "it has registered again since");
    // Another one that is as good is told, and so is one that comes back.
    cluster.abort(best.link, Host::Stranger(0));
    cluster.pass(5 * SECOND);
    let mut back = cluster.stranger(0, 0xffff_1002, 0);
    cluster.live(&mut back, 10 * SECOND, |_, _| None);
    assert_eq!(suggested(&back).0, 1);
    assert_eq!(kept(&cluster, 0, cluster.elements[element].id).unwrap().home, 0x1001);
}

#[test]
fn an_element_that_answers_another_registrar_too_stays_at_the_one_where_it_registered() {
    for home in [0, 1] {
        let other = 1 - home;
        let mut cluster = Cluster::of(2, 4);
        cluster.crash(home, false);
        cluster.nodes[home].settings.suggest_takeovers = true;
        cluster.boot(home);
        cluster.pass(3 * SECOND);
        // The other one would be the better home, is told so, and asks the element.
        let ids = cluster.nodes.iter().map(|node| node.id).collect::<Vec<_>>();
        let element = loop {
            let element = cluster.element(home);
            cluster.elements[element].stays = true;
            let id = cluster.elements[element].id;
            if id ^ ids[other] > id ^ ids[home] {
                break element;
            }
        };
        let id = cluster.elements[element].id;
        let homes = |cluster: &Cluster| [home, other].map(|at| kept(cluster, at, id).map(|kept| kept.home));
        let mut disagreed = false;
        for _ in 0..100 {
            cluster.pass(SECOND / 100);
            disagreed |= kept(&cluster, other, id).is_some_and(|kept| kept.owner.is_some());
        }
        assert!(disagreed, "it has answered the other");
        cluster.pass(2 * SECOND);
        assert_eq!(homes(&cluster), [Some(ids[home]); 2]);
        assert!(kept(&cluster, home, id).unwrap().owner.is_some());
        assert_eq!(kept(&cluster, other, id).unwrap().owner, None);
    }
}

#[test]
fn an_element_that_registers_anew_in_the_moment_in_which_it_is_given_up_is_not_its_claimants() {
    const NEW: Association = Association(1 << 40);
    let mut cluster = Cluster::of(2, 5);
    let element = cluster.element(0);
    cluster.pass(SECOND);
    let id = cluster.elements[element].id;
    let mut claimant = cluster.stranger(0, 0x3000, 0);
    claimant.checksum = checksum(&[id]);
    cluster.say(&claimant, update(UpdateAction::Add, pool(), announced(id, 0x3000, 9)));
    cluster.live(&mut claimant, SECOND / 2, |_, _| None);
    assert_eq!(kept(&cluster, 0, id).unwrap().home, 0x1001, "it answers, and the claim is kept");
    // Its host is in another network from now on; the old association does not answer.
    cluster.partition(&[(Host::Element(element), 1)]);
    let moved = Host::Element(7);
    let mut say = |association, from: Host, message: Message| {
        let addresses = vec![from.ip()];
        let up = Input::Up { association, from: from.ip(), port: 6000, addresses };
        let (ppid, bytes) = (wire::PPID, message.encode());
        for input in [up, Input::Message { association, ppid, bytes }] {
            cluster.give(0, machine::Input::Asap(input));
        }
    };
    say(NEW, moved, Message::Registration { handle: pool(), element: registration(id, moved) });
    // Before its time to answer is over, so many say that it cannot be reached that it is taken out.
    for number in 1..=4 {
        let report = Message::EndpointUnreachable { handle: pool(), id };
        say(Association(NEW.0 + number), Host::Element(10 + usize::try_from(number).unwrap()), report);
    }
    let is_here = |cluster: &Cluster| kept(cluster, 0, id).map(|kept| (kept.home, kept.owner));
    assert_eq!(is_here(&cluster), Some((0x1001, Some(NEW))));
    cluster.live(&mut claimant, SECOND / 2, |_, _| None);
    assert_eq!(is_here(&cluster), Some((0x1001, Some(NEW))));
    let there = kept(&cluster, 1, id).map(|kept| (kept.home, kept.user.addresses().to_vec()));
    assert_eq!(there, Some((0x1001, vec![moved.ip()])), "and others are told so");
}

#[test]
fn an_element_that_keeps_two_registrars_costs_neither_its_word_for_other_elements() {
    let mut cluster = Cluster::of(3, 8);
    let moves = cluster.element(0);
    let twice = [cluster.element(0), cluster.element(1)];
    cluster.elements[twice[1]].id = cluster.elements[twice[0]].id;
    let id = cluster.elements[twice[0]].id;
    cluster.pass(30 * SECOND);
    // Each is right to call it its own, and says so against the other.
    for (at, own) in [(0, 0x1001), (1, 0x1002)] {
        assert_eq!(kept(&cluster, at, id).map(|kept| kept.home), Some(own));
        assert!(cluster.at(at).enrp().counters().claims_refuted > 10);
    }
    for to in [1, 0, 1, 0, 1, 0] {
        // It has no address any more that its home could hear from, and registers with another.
        let (_, before) = cluster.elements[moves].home.take().unwrap();
        let side = cluster.links[&before].ends.iter().position(|end| end.0 == Host::Element(moves)).unwrap();
        cluster.close(before, side, true);
        cluster.try_registrar(moves, to);
        cluster.pass(Duration::from_millis(100));
        let home = [0x1001, 0x1002][to];
        assert_eq!(cluster.home_of(2, moves), Some(home), "the third believes what it is told");
        cluster.pass(20 * SECOND);
    }
    // It has made up its mind.
    cluster.kill(twice[1], false);
    cluster.pass(40 * SECOND);
    assert_eq!([0, 1, 2].map(|at| kept(&cluster, at, id).map(|kept| kept.home)), [Some(0x1001); 3]);
}
