//! A registrar that hands its elements over before it stops.

use std::time::Duration;

use super::cluster::{Cluster, Host, contact, enrp_settings, pool};
use super::stranger::{announced, update};
use crate::enrp::wire::{Body, Profile, UpdateAction};
use crate::enrp::{Contact, Event, NoPeer};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);
const LEAVING: u32 = 0x1001;

impl Cluster {
    fn drain(&mut self, number: usize, patience: Duration) -> Result<(), NoPeer> {
        let now = self.now;
        let done = self.nodes[number].registrar.as_mut().unwrap().drain(now, patience);
        self.carry_out(number);
        done
    }

    /// How the drain of a registrar ended, if it has: how many elements were handed over, and how many are left.
    fn drained(&self, number: usize) -> Option<(usize, usize)> {
        self.events.iter().find_map(|(at, event)| match event {
            Event::Drained { handed_over, left } if *at == number => Some((*handed_over, *left)),
            _ => None,
        })
    }

    /// Lets time pass in small steps until the drain of registrar 0 has ended. At each of them every element that lives
    /// is in the books of all registrars.
    fn until_drained(&mut self) -> (usize, usize) {
        loop {
            if let Some(ended) = self.drained(0) {
                return ended;
            }
            self.pass(STEP);
            self.assert_resolvable();
        }
    }

    fn assert_resolvable(&self) {
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(registrar) = &node.registrar else { continue };
            for element in self.elements.iter().filter(|element| element.is_wanted()) {
                let there = registrar.handlespace().pool(&pool()).and_then(|pool| pool.element(element.id));
                assert!(there.is_some(), "registrar {number} does not know element {:#x}", element.id);
            }
        }
    }

    /// Registrar 0 stops as its program does after a drain, and everybody has what there is.
    fn stop_and_settle(&mut self) {
        self.crash(0, false);
        for _ in 0..1000 {
            self.pass(STEP);
            self.assert_resolvable();
        }
        self.pass(20 * SECOND);
        self.assert_whole("after the drain");
    }
}

/// Registrars that know each other, with elements at the first.
fn with(registrars: usize, elements: usize, seed: u64) -> Cluster {
    let mut cluster = Cluster::of(registrars, seed);
    for _ in 0..elements {
        cluster.element(0);
    }
    cluster.pass(3 * SECOND);
    cluster.assert_resolvable();
    cluster
}

#[test]
fn every_element_is_handed_over_and_none_is_lost_or_unresolvable_at_any_time() {
    for seed in 0..20 {
        for registrars in [2, 3] {
            let mut cluster = with(registrars, 30, seed);
            cluster.loss = [0, 8][usize::try_from(seed % 2).unwrap()];
            cluster.drain(0, 60 * SECOND).unwrap();
            assert_eq!(cluster.until_drained(), (30, 0), "seed {seed}");
            for element in 0..30 {
                assert_ne!(cluster.home_of(0, element), Some(LEAVING));
                assert!(cluster.elements[element].home.is_some_and(|(at, _)| at != 0), "it was told");
            }
            cluster.stop_and_settle();
            let takeovers: u64 = (1..registrars).map(|at| cluster.at(at).enrp().counters().takeovers).sum();
            assert_eq!(takeovers, 0, "nothing was left to be taken over");
        }
    }
}

#[test]
fn elements_are_spread_over_all_peers() {
    let mut cluster = with(3, 40, 1);
    cluster.drain(0, 60 * SECOND).unwrap();
    cluster.until_drained();
    for home in [0x1002, 0x1003] {
        let has = (0..40).filter(|element| cluster.home_of(1, *element) == Some(home)).count();
        assert!(has >= 10, "{home:#x} has {has}");
    }
}

#[test]
fn an_element_that_registers_meanwhile_is_let_in_and_handed_over_too() {
    let mut cluster = with(2, 20, 4);
    cluster.drain(0, 60 * SECOND).unwrap();
    let late = cluster.element(0);
    while cluster.drained(0).is_none() || cluster.elements[late].home.is_none_or(|(at, _)| at == 0) {
        cluster.pass(STEP);
    }
    assert_eq!(cluster.drained(0), Some((21, 0)));
    cluster.stop_and_settle();
}

#[test]
fn without_a_living_peer_nothing_is_handed_over_and_everything_goes_on() {
    let mut cluster = with(1, 3, 5);
    assert_eq!(cluster.drain(0, 60 * SECOND), Err(NoPeer));
    assert!(!cluster.at(0).enrp().is_draining());
    let late = cluster.element(0);
    cluster.pass(10 * SECOND);
    assert_eq!((cluster.home_of(0, late), cluster.drained(0)), (Some(LEAVING), None));
    // Who has nothing needs nobody.
    let mut cluster = Cluster::of(1, 5);
    assert_eq!(cluster.drain(0, 60 * SECOND), Ok(()));
    assert_eq!(cluster.drained(0), Some((0, 0)));
}

#[test]
fn a_peer_that_follows_no_suggestion_ends_it_in_time_and_takes_over_what_was_left() {
    let mut cluster = Cluster::empty(6);
    let peers = |other| vec![contact(Host::Registrar(other))];
    cluster.start(crate::enrp::Settings { peers: peers(1), ..enrp_settings(LEAVING) });
    let accept_takeover_suggestions = false;
    cluster.start(crate::enrp::Settings {
        peers: peers(0),
        accept_takeover_suggestions,
        ..enrp_settings(0x1002)
    });
    cluster.pass(5 * SECOND);
    for _ in 0..5 {
        cluster.element(0);
    }
    cluster.pass(3 * SECOND);
    let begun = cluster.now;
    cluster.drain(0, 7 * SECOND).unwrap();
    assert_eq!(cluster.until_drained(), (0, 5));
    assert!((7 * SECOND..8 * SECOND).contains(&(cluster.now - begun)));
    cluster.stop_and_settle();
}

#[test]
fn a_peer_that_dies_meanwhile_is_not_waited_for() {
    let mut cluster = with(3, 30, 7);
    cluster.drain(0, 60 * SECOND).unwrap();
    // Before anything that was offered has been answered.
    cluster.pass(STEP);
    cluster.crash(2, true);
    assert_eq!(cluster.until_drained().1, 0);
    cluster.stop_and_settle();
}

#[test]
fn an_element_that_dies_meanwhile_is_not_waited_for_longer_than_it_takes_to_find_out() {
    let mut cluster = with(2, 5, 8);
    cluster.drain(0, 60 * SECOND).unwrap();
    cluster.kill(2, false);
    let begun = cluster.now;
    assert_eq!(cluster.until_drained(), (4, 0));
    assert!(cluster.now - begun < 20 * SECOND, "it took {:?}", cluster.now - begun);
    cluster.stop_and_settle();
}

#[test]
fn while_it_drains_a_registrar_takes_no_element_from_others() {
    for draining in [false, true] {
        let mut cluster = Cluster::of(2, 9);
        for at in [0, 1] {
            cluster.crash(at, false);
            cluster.nodes[at].settings.suggest_takeovers = true;
            cluster.boot(at);
        }
        cluster.pass(3 * SECOND);
        if draining {
            cluster.drain(0, 60 * SECOND).unwrap();
            assert_eq!(cluster.drained(0), Some((0, 0)));
        }
        let elements: Vec<_> = (0..8).map(|_| cluster.element(1)).collect();
        cluster.pass(3 * SECOND);
        let taken = elements.iter().filter(|element| cluster.home_of(1, **element) == Some(LEAVING)).count();
        assert_eq!(taken > 0, !draining, "{taken} were taken");
    }
}

#[test]
fn elements_that_move_and_leave_while_it_drains_are_where_they_say_or_gone() {
    for seed in 0..60 {
        let mut cluster = with(3, 12, seed);
        cluster.loss = 10;
        cluster.drain(0, 60 * SECOND).unwrap();
        for _ in 0..6 {
            let number = usize::try_from(cluster.draw(12)).unwrap();
            match cluster.draw(3) {
                0 => {
                    let at = usize::try_from(cluster.draw(3)).unwrap();
                    cluster.try_registrar(number, at);
                }
                1 => cluster.deregister(number),
                _ => {
                    let silent = cluster.draw(2) == 0;
                    cluster.kill(number, silent);
                }
            }
            let pause = Duration::from_millis(cluster.draw(20));
            cluster.pass(pause);
        }
        while cluster.drained(0).is_none() {
            cluster.pass(STEP);
        }
        assert_eq!(cluster.drained(0).map(|(_, left)| left), Some(0), "seed {seed}");
        cluster.crash(0, false);
        cluster.pass(30 * SECOND);
        cluster.assert_whole(&format!("seed {seed}"));
    }
}

#[test]
fn an_element_that_follows_rsplibs_registrar_is_kept_until_it_registers_there() {
    let mut cluster = Cluster::empty(10);
    let contact = Contact { profile: Some(Profile::Rsplib), ..contact(Host::Stranger(0)) };
    cluster.start(crate::enrp::Settings { peers: vec![contact], ..enrp_settings(LEAVING) });
    cluster.pass(5 * SECOND);
    let element = cluster.element(0);
    let mut peer = cluster.stranger(0, 0x2000, 0);
    let id = cluster.elements[element].id;
    let is_known = |cluster: &Cluster| {
        cluster.at(0).handlespace().pool(&pool()).is_some_and(|pool| pool.element(id).is_some())
    };
    cluster.drain(0, 60 * SECOND).unwrap();
    cluster.live(&mut peer, SECOND, |_, _| None);
    let suggested = |body: &&Body| matches!(body, Body::HandleUpdate { takeover_suggested: true, .. });
    assert_eq!(peer.heard.iter().filter(suggested).count(), 1);

    // It closes its association with us, as rsplib's elements do, and registers at the other half a minute later.
    cluster.kill(element, false);
    for _ in 0..30 {
        cluster.live(&mut peer, SECOND, |_, _| None);
        assert!(is_known(&cluster) && cluster.drained(0).is_none());
    }
    let at_the_other = announced(id, peer.id, element);
    cluster.say(&peer, update(UpdateAction::Add, pool(), at_the_other));
    cluster.live(&mut peer, SECOND, |_, _| None);
    assert!(is_known(&cluster));
    assert_eq!(cluster.drained(0), Some((1, 0)));
}
