//! Many sessions with one element.

use std::collections::HashSet;
use std::net::SocketAddr;

use asap_client::driver::session::Session;
use asap_client::session::user::{End, Exchange};
use futures::future::join_all;
use sctp_sys::diag;

use crate::element::{Does, Element, PORT, address, digest};
use crate::registrar::Registrar;
use crate::sessions::{here, patient, request, user};
use crate::world::*;

const SESSIONS: u64 = 200;
const EACH: u64 = 3;

/// Each session asks its own questions, and has its own answers.
async fn all_ask(sessions: &[Session], round: u64) {
    let ask = async |(index, session): (u64, &Session)| {
        let asked = |round: u64| (1..=EACH).map(move |number| 1000 * index + EACH * round + number);
        for number in asked(round) {
            session.send(request(number)).await.unwrap();
        }
        let mut state = (0..round).flat_map(asked).fold(0, digest);
        for number in asked(round) {
            state = digest(state, number);
            let answer = tokio::time::timeout(PATIENCE, session.recv()).await.expect("an answer").unwrap();
            assert_eq!(answer.octets, state.to_be_bytes()[..], "session {index}, request {number}");
        }
    };
    join_all((1..).zip(sessions).map(ask)).await;
}

#[test]
fn hundreds_of_sessions_begin_at_one_socket_of_an_element_and_all_go_on_at_another_when_it_is_gone() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let first = Element::start(&world, 1, Does::Digest { cookie_every: 1 });
    run(async {
        let client = user(&world);
        let connect = || Session::connect(&client, patient(Exchange::Transactions));
        let sessions: Vec<_> =
            join_all((0..SESSIONS).map(|_| connect())).await.into_iter().map(Result::unwrap).collect();
        all_ask(&sessions, 0).await;
        let own = diag::snapshot_by_sock_diag().unwrap();
        let at_element = own.associations.iter().filter(|association| association.peer_port == PORT);
        let ports: HashSet<_> = at_element.map(|association| association.local_port).collect();
        assert_eq!(ports.len() as u64, SESSIONS, "an endpoint of its own for each: there is one element");
        let service: SocketAddr = address(1);
        assert!(sessions.iter().all(|session| here(session) == 1), "all are at {service}");

        let _second = Element::start(&world, 2, Does::Digest { cookie_every: 1 });
        first.kill();
        all_ask(&sessions, 1).await;
        assert!(sessions.iter().all(|session| here(session) == 2));
        assert!(sessions.iter().all(|session| session.counters().losses == 1));
        let ends = join_all(sessions.into_iter().map(Session::close)).await;
        assert!(ends.iter().all(|end| *end == End::Done), "{ends:?}");
    });
}
