//! What is shown of other registrars.

use super::*;
use crate::enrp::wire::{Body, Message as Enrp, PPID, Profile};
use crate::machine::Input as Whole;

/// Registrar 0x2222 at 10.0.0.2, configured as one of rsplib's kind, has said that it owns something.
pub(super) async fn with_peer() -> Served {
    let addresses: Vec<SocketAddr> = vec!["10.0.0.2:9901".parse().unwrap()];
    let contact = enrp::Contact { addresses: addresses.clone(), profile: Some(Profile::Rsplib) };
    let served = Served::around(64, Patience { head: LONG, write: LONG }, vec![contact]);
    served
        .step(move |registrar| {
            let association = Association(50);
            let mut take = |input| registrar.handle(Instant::now(), Whole::Enrp(input));
            take(enrp::Input::Up { association, addresses });
            let body = Body::Presence { reply_required: false, checksum: Some(0x3bd9), server: None };
            let bytes = Enrp { sender: 0x2222, receiver: 0, body }.encode();
            take(enrp::Input::Message { association, ppid: PPID, bytes });
        })
        .await;
    served
}

#[tokio::test]
async fn other_registrars_are_on_the_page_in_the_metrics_and_in_the_dump() {
    let served = with_peer().await;
    let page = served.get("/").await.body;
    for shown in [
        "<td>0x00002222</td>",
        "<td>10.0.0.2:9901</td>",
        "<td>active</td>",
        " s ago</td>",
        "<td>rsplib (configured)</td>",
        "<td>different</td>",
        "home to 0 elements",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    let metrics = served.get("/metrics").await.body;
    for line in [
        "roam_registrar_peers 1",
        "roam_registrar_peers_active 1",
        "roam_registrar_takeovers_running 0",
        "roam_registrar_enrp_messages_total 1",
        "roam_registrar_enrp_takeovers_total 0",
    ] {
        assert!(metrics.lines().any(|there| there == line), "{line} is not in {metrics}");
    }
    let dump: crate::dump::Dump = serde_json::from_str(&served.get("/dump").await.body).unwrap();
    let peer = &dump.peers[0];
    assert_eq!((dump.peers.len(), dump.enrp.messages), (1, 1));
    assert_eq!((peer.identifier, peer.connected, peer.elements), (0x2222, true, 0));
    assert_eq!(peer.state, enrp::PeerState::Active);
    assert_eq!((peer.profile, peer.profile_source), (Profile::Rsplib, enrp::ProfileSource::Configured));
    assert_eq!(peer.checksum_equal, Some(false));
    assert!(peer.heard_ms.is_some());
    let text = dump.to_string();
    let line = text.lines().find(|line| line.contains("0x00002222")).unwrap();
    assert!(
        line.contains("10.0.0.2:9901  active, heard ") && line.ends_with("profile: rsplib (configured)"),
        "{line}"
    );
}

#[tokio::test]
async fn a_takeover_is_shown_while_it_is_under_way_and_counted_when_it_is_done() {
    let served = with_peer().await;
    served
        .step(|registrar| {
            // Another living one, whose leave is missing.
            let association = Association(51);
            let mut take = |input| registrar.handle(Instant::now(), Whole::Enrp(input));
            take(enrp::Input::Up { association, addresses: vec!["10.0.0.3:9901".parse().unwrap()] });
            let message = |body| Enrp { sender: 0x3333, receiver: 0, body }.encode();
            let bytes = message(Body::Presence { reply_required: false, checksum: None, server: None });
            take(enrp::Input::Message { association, ppid: PPID, bytes });
            // The peer has an element, and dies.
            let mut element = element(7, Policy::RoundRobin);
            element.home = 0x2222;
            element.asap = Some(element.user.clone());
            let body = Body::HandleUpdate {
                takeover_suggested: false,
                action: crate::enrp::wire::UpdateAction::Add,
                handle: pool("p"),
                element: Box::new(element),
            };
            let bytes = Enrp { sender: 0x2222, receiver: 0, body }.encode();
            take(enrp::Input::Message { association: Association(50), ppid: PPID, bytes });
            take(enrp::Input::Down { association: Association(50) });
            registrar.handle_timeout(Instant::now() + registrar.enrp().settings().max_time_no_response);
        })
        .await;
    let page = served.get("/").await.body;
    assert!(page.contains("dead, to be taken over by us, waiting for 0x00003333, not connected"), "{page}");
    assert!(page.contains("taken over since the start: 0."), "{page}");
    let metrics = served.get("/metrics").await.body;
    assert!(metrics.contains("\nroam_registrar_takeovers_running 1\n"), "{metrics}");
    served
        .step(|registrar| {
            let bytes =
                Enrp { sender: 0x3333, receiver: 0, body: Body::InitTakeoverAck { target: 0x2222 } }.encode();
            let input = enrp::Input::Message { association: Association(51), ppid: PPID, bytes };
            registrar.handle(Instant::now(), Whole::Enrp(input));
        })
        .await;
    assert!(served.get("/").await.body.contains("taken over since the start: 1."));
    let metrics = served.get("/metrics").await.body;
    assert!(metrics.contains("\nroam_registrar_takeovers_running 0\n"));
    assert!(metrics.contains("\nroam_registrar_enrp_takeovers_total 1\n"));
    assert!(metrics.contains("\nroam_registrar_own_elements 1\n"));
}

#[tokio::test]
async fn a_registrar_that_drains_is_not_ready() {
    let served = with_peer().await;
    served.register(pool("p"), element(1, Policy::RoundRobin)).await;
    served
        .step(|registrar| {
            // Its mentor gives nothing, but lives.
            registrar.handle_timeout(Instant::now() + registrar.enrp().settings().mentor_discovery);
            let body = Body::Presence { reply_required: false, checksum: None, server: None };
            let bytes = Enrp { sender: 0x2222, receiver: 0, body }.encode();
            let input = enrp::Input::Message { association: Association(50), ppid: PPID, bytes };
            registrar.handle(Instant::now(), Whole::Enrp(input));
        })
        .await;
    assert_eq!(served.get("/readyz").await.status, 200);
    served.step(|registrar| registrar.drain(Instant::now(), LONG).unwrap()).await;
    let unready = served.get("/readyz").await;
    assert_eq!((unready.status, unready.body.as_str()), (503, "not in service: draining\n"));
    assert_eq!(served.get("/healthz").await.status, 200);
    assert!(served.get("/").await.body.contains("<dt>State</dt><dd>draining</dd>"));
}
