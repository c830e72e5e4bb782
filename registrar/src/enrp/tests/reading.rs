//! How a peer reads the RFCs is found out when it is met.

use std::time::Duration;

use asap_client::wire::{Cause, PoolElement};

use super::cluster::{Cluster, Host, pool};
use super::stranger::{Stranger, announced, update};
use crate::enrp::wire::{Body, Profile, UNKNOWN_PARAMETER, UpdateAction, decode};
use crate::enrp::{Event, PeerStatus};

const PEER: u32 = 0x2001;
const SOON: Duration = Duration::from_millis(100);

/// rsplib's answer to a LIST_REQUEST with an unknown parameter, as it was seen (rspregistrar 3.4.4):
/// the two identifiers are the wrong way round.
const RSPLIB_ANSWER: &[u8] = b"\x0a\0\0\x14\0\0\x10\x01\0\0\x20\x01\0\x0c\0\x08\0\x10\0\x04";

/// A registrar with one element, and a peer that has shown itself and has not answered yet.
fn met() -> (Cluster, Stranger) {
    let mut cluster = Cluster::of(1, 1);
    cluster.element(0);
    let stranger = cluster.stranger(0, PEER, 0);
    (cluster, stranger)
}

fn peer(cluster: &Cluster) -> PeerStatus {
    cluster.at(0).enrp().peers().find(|peer| peer.id == PEER).unwrap()
}

fn answer_as_rsplib(cluster: &mut Cluster, stranger: &Stranger) {
    cluster.send(stranger.link, Host::Stranger(stranger.number), RSPLIB_ANSWER.to_vec());
}

fn answer_as_the_rfc(cluster: &mut Cluster, stranger: &Stranger) {
    let parameter = [UNKNOWN_PARAMETER.0.to_be_bytes(), [0, 4]].concat();
    cluster.say(stranger, Body::Error(vec![Cause::unrecognized_parameter(&parameter)]));
}

/// The lives in the tables that a peer was given, as on the wire.
fn lives(stranger: &Stranger) -> Vec<i32> {
    let entries = stranger.heard.iter().filter_map(|body| match body {
        Body::HandleTableResponse { rejected: false, entries, .. } => Some(entries),
        _ => None,
    });
    entries.flatten().flat_map(|entry| &entry.elements).map(|element| element.life).collect()
}

#[test]
fn the_question_is_a_list_request_that_has_its_unknown_parameter_reported_by_the_rfc() {
    let octets = crate::enrp::wire::Message::question(0x1001, PEER);
    let decoded = decode(&octets).unwrap();
    assert_eq!(decoded.message.body, Body::ListRequest);
    assert_eq!(decoded.reports, [Cause::unrecognized_parameter(b"\xff\xfe\0\x04")]);
}

#[test]
fn a_registrar_that_calls_the_question_invalid_is_rsplib_and_is_asked_again_in_plain_words() {
    let (mut cluster, mut stranger) = met();
    assert_eq!(peer(&cluster).profile, Profile::Rfc);
    let before = cluster.at(0).enrp().counters().errors_received;
    answer_as_rsplib(&mut cluster, &stranger);
    cluster.pass(SOON);
    assert_eq!(peer(&cluster).profile, Profile::Rsplib);
    assert!(cluster.events.contains(&(0, Event::ProfileFound { peer: PEER, profile: Profile::Rsplib })));
    let asked = cluster.heard.iter().filter(|(_, message)| message.body == Body::ListRequest).count();
    assert_eq!(asked, 1, "the question was no LIST_REQUEST to it");
    assert_eq!(cluster.at(0).enrp().counters().errors_received, before, "it is an answer, and no error");
    cluster.live(&mut stranger, SOON, |_, _| None);
}

#[test]
fn a_table_that_is_asked_for_before_the_answer_has_the_lives_that_the_answer_asks_for() {
    for (answer, life) in [
        (answer_as_rsplib as fn(&mut Cluster, &Stranger), 300_000),
        (answer_as_the_rfc as fn(&mut Cluster, &Stranger), 300),
    ] {
        let (mut cluster, mut stranger) = met();
        cluster.say(&stranger, Body::HandleTableRequest { own: false });
        cluster.live(&mut stranger, SOON, |_, _| None);
        assert!(lives(&stranger).is_empty(), "it waits for the answer");
        answer(&mut cluster, &stranger);
        cluster.live(&mut stranger, SOON, |_, _| None);
        assert_eq!(lives(&stranger), [life]);
    }
}

#[test]
fn a_registrar_that_does_not_answer_is_given_its_table_nevertheless() {
    let (mut cluster, mut stranger) = met();
    cluster.say(&stranger, Body::HandleTableRequest { own: true });
    cluster.live(&mut stranger, Duration::from_secs(1), |_, _| None);
    assert_eq!(lives(&stranger), [300]);
    assert_eq!(peer(&cluster).profile, Profile::Rfc);
}

#[test]
fn an_answer_that_comes_late_counts_too() {
    let (mut cluster, mut stranger) = met();
    cluster.live(&mut stranger, Duration::from_secs(2), |_, _| None);
    answer_as_rsplib(&mut cluster, &stranger);
    cluster.say(&stranger, Body::HandleTableRequest { own: true });
    cluster.live(&mut stranger, SOON, |_, _| None);
    assert_eq!(peer(&cluster).profile, Profile::Rsplib);
    assert_eq!(lives(&stranger), [300_000]);
}

#[test]
fn long_lives_do_not_make_a_registrar_rsplib_since_rsplibs_elements_may_be_at_any() {
    let (mut cluster, mut stranger) = met();
    // What an element of rsplib's registers for 15 s.
    let element = PoolElement { life: 15_000, ..announced(7, PEER, 3) };
    cluster.say(&stranger, update(UpdateAction::Add, pool(), element));
    cluster.live(&mut stranger, SOON, |_, _| None);
    assert_eq!(peer(&cluster).profile, Profile::Rfc);
}

#[test]
fn registrars_of_this_kind_know_each_other_by_their_answers() {
    let cluster = Cluster::of(3, 2);
    for at in 0..3 {
        for peer in cluster.at(at).enrp().peers() {
            assert_eq!(peer.profile, Profile::Rfc);
        }
        assert_eq!(cluster.at(at).enrp().counters().errors_received, 0);
    }
}
