//! Takeover among registrars that read the RFCs differently, and with messages that do not come.

use std::time::Duration;

use super::cluster::{Cluster, Host, pool};
use super::stranger::{Stranger, announced, checksum, table, update};
use crate::enrp::wire::{Body, Profile, UpdateAction};
use crate::enrp::{Contact, Event, PeerState};

const SECOND: Duration = Duration::from_secs(1);
const T: u32 = 0x1001;

/// Registrar 0 is dead, with an element; registrar 1, 0x1002, is watched; the stranger is the third.
fn with(id: u32, profile: Option<Profile>) -> (Cluster, Stranger) {
    let mut cluster = Cluster::of(2, 1);
    if profile.is_some() {
        let addresses = vec![std::net::SocketAddr::new(Host::Stranger(0).ip(), 9901)];
        cluster.nodes[1].settings.peers.push(Contact { addresses, profile });
        cluster.crash(1, false);
        cluster.boot(1);
        cluster.pass(3 * SECOND);
    }
    cluster.element(0);
    cluster.pass(SECOND);
    assert_eq!(cluster.home_of(1, 0), Some(T));
    let stranger = cluster.stranger(0, id, 1);
    cluster.nodes[0].registrar = None;
    (cluster, stranger)
}

fn count(stranger: &Stranger, wanted: &Body) -> usize {
    stranger.heard.iter().filter(|body| *body == wanted).count()
}

const INIT: Body = Body::InitTakeover { target: T };
const ACK: Body = Body::InitTakeoverAck { target: T };
const TAKEN: Body = Body::TakeoverServer { target: T };

fn agrees(_: &mut Stranger, body: &Body) -> Option<Body> {
    (*body == INIT).then_some(ACK)
}

#[test]
fn whoever_has_all_acknowledgements_takes_over_and_says_so() {
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, 3 * SECOND, agrees);
    assert_eq!((count(&peer, &INIT), count(&peer, &TAKEN)), (1, 1));
    assert_eq!(cluster.home_of(1, 0), Some(0x1002));
    assert_eq!(cluster.elements[0].home.map(|(at, _)| at), Some(1), "the element was told");
}

#[test]
fn an_element_that_followed_and_was_left_to_a_claimant_is_asked_when_that_one_has_it_no_more() {
    let (mut cluster, mut peer) = with(0x2000, None);
    for _ in 0..150 {
        if cluster.elements[0].home.is_some_and(|(at, _)| at == 1) {
            break;
        }
        cluster.live(&mut peer, SECOND / 50, agrees);
    }
    let id = cluster.elements[0].id;
    let registrations = |cluster: &Cluster| cluster.at(1).asap().counters().registrations;
    let before = registrations(&cluster);
    cluster.say(&peer, update(UpdateAction::Add, pool(), announced(id, 0x2000, 0)));
    cluster.live(&mut peer, SECOND / 10, |_, _| None);
    assert_eq!(cluster.home_of(1, 0), Some(0x2000), "it has answered, and not registered");
    cluster.say(&peer, update(UpdateAction::Delete, pool(), announced(id, 0x2000, 0)));
    cluster.live(&mut peer, SECOND / 10, |_, _| None);
    assert_eq!(cluster.home_of(1, 0), Some(0x1002));
    assert_eq!(registrations(&cluster), before, "it had not to do anything");
}

#[test]
fn an_acknowledgement_that_is_missing_is_asked_for_again() {
    let (mut cluster, mut peer) = with(0x2000, None);
    let mut asked = 0;
    cluster.live(&mut peer, 5 * SECOND, |_, body| {
        asked += usize::from(*body == INIT);
        (*body == INIT && asked == 3).then_some(ACK)
    });
    assert_eq!((asked, count(&peer, &TAKEN)), (3, 1));
}

#[test]
fn a_peer_that_does_not_agree_is_asked_less_and_less_often_and_nothing_is_lost() {
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, 60 * SECOND, |_, _| None);
    assert_eq!(count(&peer, &TAKEN), 0);
    assert!((4..12).contains(&count(&peer, &INIT)), "{}", count(&peer, &INIT));
    assert_eq!(
        cluster.home_of(1, 0),
        Some(0x1002),
        "the element registered here, when its home did not answer"
    );
}

#[test]
fn a_peer_that_dies_meanwhile_is_not_waited_for() {
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, 2 * SECOND, |_, _| None);
    cluster.pass(4 * SECOND);
    assert_eq!(cluster.home_of(1, 0), Some(0x1002));
}

#[test]
fn of_two_candidates_the_larger_identifier_takes_over() {
    // The stranger's is larger: it gets our leave, and takes over.
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, 3 * SECOND, |_, body| (*body == INIT).then_some(INIT));
    assert_eq!(count(&peer, &ACK), 1);
    cluster.say(&peer, TAKEN);
    cluster.say(&peer, update(UpdateAction::Add, pool(), announced(0xe0, 0x2000, 0)));
    peer.checksum = checksum(&[0xe0]);
    cluster.live(&mut peer, SECOND, |_, _| None);
    assert_eq!(cluster.home_of(1, 0), Some(0x2000));
    assert!(cluster.at(1).enrp().peers().all(|peer| peer.id != T));
    // The stranger's is smaller: it gets none, and gives its own.
    let (mut cluster, mut peer) = with(0x0500, None);
    while count(&peer, &INIT) == 0 {
        cluster.live(&mut peer, Duration::from_millis(20), |_, body| (*body == INIT).then_some(INIT));
    }
    cluster.live(&mut peer, Duration::from_millis(200), |_, _| None);
    assert_eq!((count(&peer, &ACK), count(&peer, &TAKEN)), (0, 0));
    cluster.say(&peer, ACK);
    cluster.live(&mut peer, SECOND, |_, _| None);
    assert_eq!((count(&peer, &ACK), count(&peer, &TAKEN)), (0, 1));
}

#[test]
fn against_rsplib_the_smaller_identifier_takes_over() {
    let (mut cluster, mut peer) = with(0x0500, Some(Profile::Rsplib));
    cluster.live(&mut peer, 3 * SECOND, |_, body| (*body == INIT).then_some(INIT));
    assert_eq!(count(&peer, &ACK), 1);
    let (mut cluster, mut peer) = with(0x2000, Some(Profile::Rsplib));
    cluster.live(&mut peer, 3 * SECOND, |_, body| (*body == INIT).then_some(INIT));
    assert_eq!(count(&peer, &ACK), 0);
}

#[test]
fn a_peer_that_follows_rsplibs_rule_is_known_by_that() {
    // With the smaller identifier it does not give way.
    let (mut cluster, mut peer) = with(0x0500, None);
    cluster.live(&mut peer, 4 * SECOND, |_, body| (*body == INIT).then_some(INIT));
    let found = Event::ProfileFound { peer: 0x0500, profile: Profile::Rsplib };
    assert!(cluster.events.contains(&(1, found)));
    assert!(count(&peer, &ACK) >= 1, "and then we do");
    // With the larger it does, although it had begun. We did too, and look again.
    let (mut cluster, mut peer) = with(0x2000, None);
    let mut begun = false;
    cluster.live(&mut peer, 8 * SECOND, |_, body| {
        let answer = if begun { ACK } else { INIT };
        begun |= *body == INIT;
        (*body == INIT).then_some(answer)
    });
    assert_eq!(cluster.home_of(1, 0), Some(0x1002), "in the end it is done");
}

#[test]
fn a_winner_that_does_not_finish_is_taken_the_place_of() {
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, 3 * SECOND, |_, body| (*body == INIT).then_some(INIT));
    assert_eq!(count(&peer, &ACK), 1);
    let state = cluster.at(1).enrp().peers().find(|peer| peer.id == T).map(|peer| peer.state);
    assert_eq!(state, Some(PeerState::Yielded));
    cluster.live(&mut peer, 5 * SECOND, agrees);
    assert_eq!(cluster.home_of(1, 0), Some(0x1002));
}

#[test]
fn a_takeover_that_is_never_told_is_learned_from_the_table() {
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, 3 * SECOND, |_, body| (*body == INIT).then_some(INIT));
    assert_eq!(count(&peer, &ACK), 1);
    // rsplib's TAKEOVER_SERVER is never sent.
    peer.checksum = checksum(&[0xe0]);
    cluster.live(&mut peer, SECOND, |_, body| {
        matches!(body, Body::HandleTableRequest { own: true }).then(|| table(&[0xe0], 0x2000, 0))
    });
    assert_eq!(cluster.home_of(1, 0), Some(0x2000));
    let found = Event::ProfileFound { peer: 0x2000, profile: Profile::Rsplib };
    assert!(cluster.events.contains(&(1, found)));
}

#[test]
fn one_that_was_believed_dead_and_speaks_is_taken_over_by_nobody() {
    let (mut cluster, mut peer) = with(0x2000, None);
    cluster.live(&mut peer, Duration::from_millis(2300), |_, _| None);
    assert_eq!(count(&peer, &INIT), 1);
    cluster.crash(0, true);
    cluster.boot(0);
    cluster.live(&mut peer, 5 * SECOND, agrees);
    assert_eq!(count(&peer, &TAKEN), 0);
}

#[test]
fn a_suggested_takeover_is_followed_and_an_unwanted_one_is_not() {
    for accept in [true, false] {
        let mut cluster = Cluster::of(2, 3);
        for at in [0, 1] {
            cluster.crash(at, false);
            cluster.nodes[at].settings.suggest_takeovers = true;
            cluster.nodes[at].settings.accept_takeover_suggestions = accept;
            cluster.boot(at);
        }
        cluster.pass(3 * SECOND);
        let elements: Vec<_> = (0..8).map(|_| cluster.element(0)).collect();
        cluster.pass(3 * SECOND);
        for element in elements {
            let id = cluster.elements[element].id;
            let best = if accept { [T, 0x1002].into_iter().max_by_key(|home| home ^ id) } else { Some(T) };
            assert_eq!(cluster.home_of(0, element), best, "element {id:#x}");
        }
        cluster.assert_whole("after the suggestions");
    }
}
