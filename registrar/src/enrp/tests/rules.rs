//! What elements and their registrars live through, one rule a test.

use std::time::{Duration, Instant};

use super::cluster::{ASAP, Cluster, ELEMENT, Host, contact, enrp_settings};
use crate::enrp::{self, Event, Settings};
use crate::machine::{Output, Registrar};

const SECOND: Duration = Duration::from_secs(1);

fn takeovers(cluster: &Cluster) -> usize {
    cluster.events.iter().filter(|(_, event)| matches!(event, Event::TookOver { .. })).count()
}

#[test]
fn an_element_that_registers_at_one_registrar_is_known_at_all() {
    let mut cluster = Cluster::of(3, 1);
    let element = cluster.element(0);
    cluster.pass(Duration::from_millis(100));
    for at in 0..3 {
        assert_eq!(cluster.home_of(at, element), Some(0x1001));
    }
    cluster.deregister(element);
    cluster.pass(Duration::from_millis(100));
    for at in 0..3 {
        assert_eq!(cluster.home_of(at, element), None);
    }
    cluster.assert_whole("after a deregistration");
}

#[test]
fn the_elements_of_a_dead_registrar_are_taken_over_within_three_seconds() {
    for count in [2, 3, 5] {
        let mut cluster = Cluster::of(count, 2);
        let element = cluster.element(0);
        cluster.pass(SECOND);
        // Nothing is heard of it any more, and the element does not notice: it has no other way to come back.
        cluster.nodes[0].registrar = None;
        cluster.pass(3 * SECOND);
        let homes: Vec<_> = (1..count).map(|at| cluster.home_of(at, element)).collect();
        assert!(homes[0].is_some_and(|home| home != 0x1001), "{count}: {homes:?}");
        assert!(homes.iter().all(|home| *home == homes[0]), "{count}: {homes:?}");
        assert_eq!(takeovers(&cluster), 1, "{count}");
        cluster.pass(5 * SECOND);
        cluster.assert_whole(&format!("{count} registrars"));
    }
}

#[test]
fn an_element_that_died_with_its_registrar_is_removed_after_the_takeover() {
    let mut cluster = Cluster::of(3, 3);
    let element = cluster.element(0);
    cluster.pass(SECOND);
    cluster.nodes[0].registrar = None;
    cluster.elements[element].alive = false;
    cluster.pass(3 * SECOND);
    assert_eq!(takeovers(&cluster), 1);
    cluster.pass(6 * SECOND);
    assert_eq!((cluster.home_of(1, element), cluster.home_of(2, element)), (None, None));
    cluster.assert_whole("after the takeover");
}

#[test]
fn after_a_healed_partition_no_living_element_is_lost_and_every_one_has_one_home() {
    for seed in 0..20 {
        let mut cluster = Cluster::of(3, seed);
        for at in [0, 0, 1, 2] {
            cluster.element(at);
        }
        cluster.pass(SECOND);
        // One registrar is cut off; of its elements one goes with it, the other stays with the rest.
        cluster.partition(&[(Host::Registrar(0), 1), (Host::Element(0), 1)]);
        cluster.pass(12 * SECOND);
        assert_eq!(cluster.home_of(0, 0), Some(0x1001));
        let home = cluster.home_of(1, 1);
        assert!(home.is_some() && home != Some(0x1001), "it was taken over");
        cluster.heal();
        cluster.pass(15 * SECOND);
        cluster.assert_whole(&format!("seed {seed}"));
    }
}

#[test]
fn registrars_that_lost_each_other_meet_again_without_a_third_that_both_know() {
    let mut cluster = Cluster::empty(8);
    cluster.start(enrp_settings(0x1001));
    for id in [0x1002, 0x1003] {
        cluster.start(Settings { peers: vec![contact(Host::Registrar(0))], ..enrp_settings(id) });
    }
    cluster.pass(3 * SECOND);
    let element = cluster.element(1);
    cluster.pass(SECOND);
    cluster.partition(&[(Host::Registrar(1), 1), (Host::Element(element), 1)]);
    cluster.crash(0, true);
    cluster.pass(20 * SECOND);
    assert_eq!(cluster.at(1).enrp().peers().count(), 0, "it has given up both");
    cluster.heal();
    cluster.pass(15 * SECOND);
    cluster.assert_whole("together again");
}

#[test]
fn a_registrar_that_is_started_anew_under_its_old_identifier_keeps_its_living_elements() {
    let mut cluster = Cluster::of(3, 4);
    let (stays, dies) = (cluster.element(0), cluster.element(0));
    cluster.pass(SECOND);
    cluster.crash(0, true);
    cluster.kill(dies, true);
    cluster.boot(0);
    cluster.pass(20 * SECOND);
    assert!(cluster.home_of(0, stays).is_some());
    assert_eq!(cluster.home_of(0, dies), None);
    cluster.assert_whole("after the restart");
}

#[test]
fn an_element_that_registers_elsewhere_moves_with_its_registration() {
    let mut cluster = Cluster::of(3, 5);
    let element = cluster.element(0);
    cluster.pass(SECOND);
    cluster.try_registrar(element, 1);
    cluster.pass(Duration::from_millis(300));
    for at in 0..3 {
        assert_eq!(cluster.home_of(at, element), Some(0x1002), "at {at}");
    }
    cluster.pass(5 * SECOND);
    cluster.assert_whole("after the move");
}

#[test]
fn an_element_that_deregisters_at_another_registrar_than_its_home_is_gone_everywhere() {
    let mut cluster = Cluster::of(3, 7);
    let element = cluster.element(0);
    cluster.pass(SECOND);
    let remote = vec![std::net::SocketAddr::new(Host::Registrar(1).ip(), ASAP)];
    let link = cluster.connect(Host::Element(element), ELEMENT, remote).unwrap();
    cluster.pass(Duration::from_millis(20));
    let home = cluster.elements[element].home.replace((1, link));
    cluster.deregister(element);
    cluster.pass(Duration::from_millis(20));
    assert_eq!((cluster.home_of(1, element), cluster.home_of(2, element)), (None, None));
    cluster.elements[element].home = home;
    cluster.pass(10 * SECOND);
    cluster.assert_whole("after the deregistration");
}

#[test]
fn a_cluster_at_rest_sends_heartbeats_and_nothing_else() {
    let mut cluster = Cluster::of(4, 6);
    cluster.pass(20 * SECOND);
    let before = cluster.sent;
    cluster.pass(10 * SECOND);
    let (sent, heartbeats) = (cluster.sent - before, 4 * 3 * 20);
    assert!((heartbeats * 8 / 10..=heartbeats * 12 / 10).contains(&sent), "{sent} messages");
    for at in 0..4 {
        assert_eq!(cluster.at(at).enrp().counters().checksum_mismatches, 0);
    }
}

impl Cluster {
    /// A registrar's program has read its configuration again.
    fn reload(&mut self, number: usize, settings: Settings) {
        let now = self.now;
        let registrar = self.nodes[number].registrar.as_mut().unwrap();
        let asap = registrar.asap().settings().clone();
        registrar.reconfigure(now, asap, settings);
        self.carry_out(number);
    }
}

#[test]
fn a_peer_and_a_profile_that_are_configured_while_it_runs_are_taken_up() {
    let mut cluster = Cluster::empty(11);
    for id in [0x1001, 0x1002] {
        cluster.start(enrp_settings(id));
    }
    cluster.pass(5 * SECOND);
    assert_eq!(cluster.at(0).enrp().peers().count(), 0);
    let peer = |profile| crate::enrp::Contact { profile, ..contact(Host::Registrar(1)) };
    let with = |profile| Settings { peers: vec![peer(profile)], ..enrp_settings(9) };
    cluster.reload(0, with(None));
    cluster.pass(SECOND);
    assert_eq!(cluster.at(0).enrp().settings().server, 0x1001, "the identifier stays");
    assert_eq!(cluster.at(1).enrp().peers().map(|peer| peer.id).collect::<Vec<_>>(), [0x1001]);
    let profile = |cluster: &Cluster| {
        let peer = cluster.at(0).enrp().peers().next().unwrap();
        (peer.id, peer.profile, peer.profile_source)
    };
    use crate::enrp::ProfileSource;
    use crate::enrp::wire::Profile;
    assert_eq!(profile(&cluster), (0x1002, Profile::Rfc, ProfileSource::Found));
    cluster.reload(0, with(Some(Profile::Rsplib)));
    assert_eq!(profile(&cluster), (0x1002, Profile::Rsplib, ProfileSource::Configured));
    // One that is not named any more stays as long as it lives.
    cluster.reload(0, enrp_settings(9));
    cluster.pass(5 * SECOND);
    assert_eq!(cluster.at(0).enrp().peers().count(), 1);
}

#[test]
fn times_that_are_changed_while_it_runs_hold_at_once() {
    let slow = Duration::from_secs(3600);
    let mut cluster = Cluster::of(2, 12);
    let settings = cluster.at(0).enrp().settings().clone();
    let patient = Settings {
        peer_heartbeat_cycle: slow,
        max_time_last_heard: 3 * slow,
        max_time_no_response: slow,
        ..settings.clone()
    };
    cluster.reload(0, patient);
    cluster.pass(SECOND);
    cluster.nodes[1].registrar = None;
    let found_dead = (0, Event::PeerDead { peer: 0x1002 });
    cluster.pass(30 * SECOND);
    assert!(!cluster.events.contains(&found_dead), "it is patient");
    cluster.reload(0, settings);
    cluster.pass(3 * SECOND);
    assert!(cluster.events.contains(&found_dead));
}

#[test]
fn a_registrar_that_was_held_up_itself_asks_once_more_before_it_believes_another_dead() {
    fn step(registrar: &mut Registrar, now: Instant) -> Vec<Event> {
        registrar.handle_timeout(now);
        let outputs = std::iter::from_fn(|| registrar.poll_output());
        let event = |output| match output {
            Output::Enrp(enrp::Output::Event(event)) => Some(event),
            _ => None,
        };
        outputs.filter_map(event).collect()
    }
    let (silent, dead) = (Event::PeerSilent { peer: 0x1002 }, Event::PeerDead { peer: 0x1002 });
    let mut cluster = Cluster::of(2, 9);
    cluster.element(1);
    cluster.pass(SECOND);
    let mut now = cluster.now;
    let registrar = cluster.nodes[0].registrar.as_mut().unwrap();
    // Nothing comes from now on. The other is asked in time...
    let until = |registrar: &mut Registrar, now: &mut Instant, wanted: &Event| loop {
        *now = registrar.poll_timeout().unwrap();
        if step(registrar, *now).contains(wanted) {
            return;
        }
    };
    until(registrar, &mut now, &silent);
    // ...and then the machine is paused, and its answer may wait in the socket.
    now += 5 * SECOND;
    let events = step(registrar, now);
    assert!(events.contains(&silent) && !events.contains(&dead), "{events:?}");
    let asked = now;
    until(registrar, &mut now, &dead);
    assert!(now - asked <= Settings::default().max_time_no_response);
}
