//! Sessions with elements that come and go.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asap_client::driver::RegistrarClient;
use asap_client::driver::session::{Config, Lost, OnLoss, Session};
use asap_client::session::KeyRing;
use asap_client::session::cookie::Refusal;
use asap_client::session::service::Left;
use asap_client::session::user::{Decision, End, Event, Exchange, Loss, SendOptions};
use asap_client::wire::Message;
use tokio::sync::Semaphore;

use crate::element::{Does, Element, MUTE, PORT, Told, digest, listed};
use crate::registrar::Registrar;
use crate::world::*;

const REQUESTS: u64 = 1000;
/// Requests under way at a time: so many may have been answered before the test sees it.
const FLIGHT: usize = 50;
const DIGEST: Does = Does::Digest { cookie_every: 10 };

type Elements = BTreeMap<u8, Element>;

fn elements(world: &World, count: u8, does: Does) -> Elements {
    (1..=count).map(|id| (id, Element::start(world, id, does))).collect()
}

/// Longer than any failover takes.
pub(crate) fn patient(exchange: Exchange) -> Config {
    let mut config = Config::new(pool("EchoPool"), exchange);
    config.session.waits.patience = PATIENCE;
    config
}

pub(crate) fn user(world: &World) -> RegistrarClient {
    let here = world.arrive(1);
    let (client, _) = client(&[FIRST]);
    client.set_local_addresses(vec![here]);
    client
}

pub(crate) fn request(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub(crate) fn here(session: &Session) -> u8 {
    u8::try_from(session.element().expect("the session is at an element")).unwrap()
}

/// Waits for an event that fits.
async fn happens<T>(session: &Session, mut fits: impl FnMut(Event) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = fits(session.next().await) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("waited for in vain")
}

/// Waits until something is so, while all else goes on.
async fn comes_true(mut is: impl FnMut() -> bool) {
    let waiting = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("waited for in vain");
}

/// Sends all requests and sees that each is answered once, in order and with the right answer; `at` is called with each
/// number that was answered.
async fn ask_all(session: &Session, mut at: impl FnMut(u64)) {
    let flight = Semaphore::new(FLIGHT);
    let sending = async {
        for number in 1..=REQUESTS {
            flight.acquire().await.unwrap().forget();
            assert_eq!(session.send(request(number)).await, Ok(number));
        }
    };
    let receiving = async {
        let mut state = 0;
        for number in 1..=REQUESTS {
            let answer = tokio::time::timeout(PATIENCE, session.recv()).await.expect("an answer").unwrap();
            state = digest(state, number);
            assert_eq!(answer.number, Some(number));
            assert_eq!(answer.octets, state.to_be_bytes()[..], "the answer to request {number}");
            at(number);
            flight.add_permits(1);
        }
    };
    tokio::join!(sending, receiving);
}

#[test]
fn every_answer_is_seen_once_and_in_order_while_each_of_three_elements_is_killed_and_started_again() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let mut elements = elements(&world, 3, DIGEST);
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Transactions)).await.unwrap();
        let mut killed = Vec::new();
        ask_all(&session, |number| {
            if number % 150 == 0 {
                // Where it is not at the moment, it is about to be somewhere else.
                if let Some(id) = session.element().map(|id| u8::try_from(id).unwrap()) {
                    elements.remove(&id).unwrap().kill();
                    elements.insert(id, Element::start(&world, id, DIGEST));
                    killed.push(id);
                }
            }
        })
        .await;
        let counters = session.counters();
        assert_eq!(killed.iter().collect::<BTreeSet<_>>().len(), 3, "{killed:?}");
        assert_eq!((counters.losses, counters.afresh, counters.nonsense), (killed.len() as u64, 0, 0));
        assert_eq!(session.close().await, End::Done);
    });
}

#[test]
fn a_session_goes_on_elsewhere_when_its_elements_host_is_gone_and_the_registrar_hears_of_it() {
    let world = World::new(0);
    let registrar = Registrar::start(&world, FIRST);
    let elements = elements(&world, 2, DIGEST);
    let gone = run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Transactions)).await.unwrap();
        let mut gone = 0;
        ask_all(&session, |number| {
            if number == 500 {
                gone = here(&session);
                elements[&gone].cut_off();
            }
        })
        .await;
        assert_eq!((session.counters().losses, session.counters().afresh), (1, 0));
        assert_ne!(here(&session), gone);
        session.close().await;
        gone
    });
    let report = Message::EndpointUnreachable { handle: pool("EchoPool"), id: gone.into() };
    registrar.hear(|message| *message == report);
}

#[test]
fn a_session_finds_out_by_itself_that_its_elements_host_is_gone_where_the_kernel_does_not() {
    const SILENT: Duration = Duration::from_millis(800);
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let elements = elements(&world, 2, DIGEST);
    run(async {
        let client = user(&world);
        let mut config = patient(Exchange::Requests);
        // As the agent of a host has it, for peers that may only be moving.
        (config.tuning.path_retransmissions, config.tuning.association_retransmissions) = (1000, 1000);
        // An element that lives has nothing to say by itself.
        config.tuning.heartbeat = 60_000;
        config.session.waits.silent = Some(SILENT);
        let session = Session::connect(&client, config).await.unwrap();
        let lost = async || {
            happens(&session, |event| match event {
                Event::Lost { id, why, .. } => Some((id, why)),
                _ => None,
            })
            .await
        };
        // With something unacknowledged.
        let first = here(&session);
        elements[&first].cut_off();
        session.send(request(1)).await.unwrap();
        assert_eq!(lost().await, (first.into(), Loss::Silent));
        session.recv().await.unwrap();
        // With nothing to be said.
        let heard = tokio::time::timeout(3 * SILENT, session.next()).await;
        assert!(heard.is_err(), "{heard:?} although the element is there");
        let second = here(&session);
        elements[&second].cut_off();
        assert_eq!(lost().await, (second.into(), Loss::Silent));
    });
}

#[test]
fn a_session_of_a_host_that_has_moved_goes_on_from_the_addresses_that_it_is_told() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let mut elements = elements(&world, 2, DIGEST);
    run(async {
        let before = world.arrive(1);
        let (client, _) = client(&[FIRST]);
        client.set_local_addresses(vec![before]);
        let config = Config { local: vec![before], ..patient(Exchange::Transactions) };
        let session = Session::connect(&client, config).await.unwrap();
        let first = here(&session);
        world.leave(1);
        let now = world.arrive(2);
        client.set_local_addresses(vec![now]);
        session.set_local_addresses(vec![now]);
        // Its last word does not reach a host that has moved.
        elements.remove(&first).unwrap().kill();
        ask_all(&session, |_| {}).await;
        assert_ne!(here(&session), first);
        session.close().await;
    });
}

#[test]
fn a_session_of_a_host_without_an_address_waits_for_one_and_stays_where_it_is() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let _elements = elements(&world, 2, DIGEST);
    run(async {
        let own = world.arrive(1);
        let (client, _) = client(&[FIRST]);
        client.set_local_addresses(vec![own]);
        let config = Config { local: vec![own], ..patient(Exchange::Transactions) };
        let session = Session::connect(&client, config).await.unwrap();
        let tell = |own: Vec<IpAddr>| {
            client.set_local_addresses(own.clone());
            session.set_local_addresses(own);
        };
        world.leave(1);
        tell(Vec::new());
        // Longer than it takes to find out by heartbeats that no path works, and to leave an element for that.
        tokio::time::sleep(Duration::from_secs(5)).await;
        tell(vec![world.arrive(1)]);
        ask_all(&session, |_| {}).await;
        assert_eq!(session.counters().losses, 0);
        session.close().await;
    });
}

#[test]
fn what_was_not_delivered_goes_to_the_next_element_in_order() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let mut elements = elements(&world, 2, Does::Listens);
    elements.values().for_each(Element::read);
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Stream)).await.unwrap();
        let first = here(&session);
        elements[&first].cut_off();
        for number in 1..=20 {
            session.send(request(number)).await.unwrap();
        }
        happens(&session, |event| matches!(event, Event::At { .. }).then_some(())).await;
        let next = elements.get_mut(&here(&session)).unwrap();
        assert_eq!(next.told().await, Told::Began { restored: false, refused: None });
        for number in 1..=20 {
            assert_eq!(next.told().await, Told::Message(number));
        }
        assert_eq!(session.close().await, End::Done);
        assert_eq!(next.told().await, Told::Left(Some(Left::Down)));
    });
}

#[test]
fn what_must_not_fail_over_is_given_back_to_the_program() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let elements = elements(&world, 2, Does::Listens);
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Stream)).await.unwrap();
        elements[&here(&session)].cut_off();
        let stays = SendOptions { failover: false, ..SendOptions::default() };
        // Longer than a packet: the kernel gives it back in parts.
        let long = [&request(1)[..], &[7; 20_000]].concat();
        session.send_with(long.clone(), stays).await.unwrap();
        let returned = happens(&session, |event| match event {
            Event::Returned(message) => Some(message),
            _ => None,
        });
        let returned = returned.await;
        assert_eq!((returned.number, &returned.octets[..]), (1, &long[..]));
    });
}

#[test]
fn a_user_that_is_not_read_from_has_to_wait_holds_up_nobody_else_and_loses_nothing() {
    const MANY: u64 = 1000;
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let mut element = Element::start(&world, 1, DIGEST);
    run(async {
        let client = user(&world);
        let mut config = patient(Exchange::Stream);
        config.session.limits.messages = 16;
        let unread = Session::connect(&client, config).await.unwrap();
        let sent = Cell::new(0);
        let sending = async {
            for number in MUTE..MANY {
                let long = [&request(number)[..], &[0; 8000]].concat();
                unread.send(long).await.unwrap();
                sent.set(sent.get() + 1);
            }
        };
        let other = async {
            let session = Session::connect(&client, patient(Exchange::Transactions)).await.unwrap();
            ask_all(&session, |_| {}).await;
            // Two socket buffers and the session's queue.
            assert!(sent.get() < 200, "{} messages of 8000 octets were taken", sent.get());
            element.read();
        };
        tokio::join!(sending, other);
        let mut expected = MUTE;
        while expected < MANY {
            match element.told().await {
                Told::Message(number) => {
                    assert_eq!(number, expected);
                    expected += 1;
                }
                Told::Began { .. } | Told::Left(_) => {}
            }
        }
    });
}

#[test]
fn an_unknown_pool_is_told_at_once_or_waited_for_as_the_program_likes() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    run(async {
        let client = user(&world);
        let at_once = Config::new(pool("EchoPool"), Exchange::Requests);
        assert_eq!(Session::connect(&client, at_once).await.unwrap_err(), End::UnknownPool);
        let mut for_a_while = Config::new(pool("EchoPool"), Exchange::Requests);
        for_a_while.session.waits.patience = Duration::from_millis(500);
        assert_eq!(Session::connect(&client, for_a_while).await.unwrap_err(), End::UnknownPool);
        let session = Session::open(&client, patient(Exchange::Requests));
        session.send(request(1)).await.unwrap();
        let _element = Element::start(&world, 1, DIGEST);
        assert_eq!(session.recv().await.unwrap().octets, digest(0, 1).to_be_bytes()[..]);
    });
}

#[test]
fn elements_that_do_not_answer_are_passed_over_and_each_is_reported_once() {
    let world = World::new(0);
    let registrar = Registrar::start(&world, FIRST);
    registrar.put(pool("EchoPool"), listed(1));
    registrar.put(pool("EchoPool"), listed(2));
    let _element = Element::start(&world, 3, DIGEST);
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, Config::new(pool("EchoPool"), Exchange::Requests)).await;
        assert_eq!(here(&session.unwrap()), 3);
        // The last word of this client.
        client.unreachable(pool("EchoPool"), 99);
        client.close(PATIENCE).await;
    });
    let mut reported = Vec::new();
    while reported.last() != Some(&99) {
        let heard = registrar.hear(|message| matches!(message, Message::EndpointUnreachable { .. }));
        if let Message::EndpointUnreachable { id, .. } = heard.message {
            reported.push(id);
        }
    }
    assert_eq!(reported, [1, 2, 99]);
}

#[test]
fn a_business_card_says_where_the_session_goes_next() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let mut elements = elements(&world, 4, DIGEST);
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Transactions)).await.unwrap();
        let first = here(&session);
        let preferred = (1..=4).rev().find(|id| *id != first).unwrap();
        elements[&first].set_card(vec![listed(preferred)]);
        comes_true(|| session.counters().cards == 1).await;
        elements.remove(&first).unwrap().kill();
        happens(&session, |event| matches!(event, Event::At { .. }).then_some(())).await;
        assert_eq!(here(&session), preferred);
    });
}

#[test]
fn the_programs_callback_decides_where_the_session_goes_on_and_whether_it_does() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let mut elements = elements(&world, 3, DIGEST);
    run(async {
        let client = user(&world);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut config = patient(Exchange::Transactions);
        config.on_loss = Some(OnLoss::new({
            let seen = Arc::clone(&seen);
            move |lost: Lost| {
                let mut seen = seen.lock().unwrap();
                seen.push(lost);
                if seen.len() == 1 { Decision::ToElement(3) } else { Decision::GiveUp }
            }
        }));
        let session = Session::connect(&client, config).await.unwrap();
        assert_eq!(here(&session), 1);
        for number in 1..=10 {
            session.send(request(number)).await.unwrap();
        }
        comes_true(|| session.has_cookie()).await;
        elements.remove(&1).unwrap().kill();
        comes_true(|| session.element() == Some(3)).await;
        elements.remove(&3).unwrap().kill();
        let end = happens(&session, |event| match event {
            Event::Ended(end) => Some(end),
            _ => None,
        });
        assert_eq!(end.await, End::GivenUp);
        let seen = seen.lock().unwrap();
        assert_eq!(
            seen.iter().map(|lost| (lost.id, lost.cookie)).collect::<Vec<_>>(),
            [(1, true), (3, true)]
        );
        assert!(seen.iter().all(|lost| matches!(lost.why, Loss::Lost | Loss::Shutdown)), "{seen:?}");
    });
}

#[test]
fn a_cookie_that_the_next_element_refuses_is_told_to_the_program_on_both_sides() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let first = Element::start(&world, 1, DIGEST);
    let mut other = Element::start_with(&world, 2, DIGEST, KeyRing::new(1, &[0x77; 32]));
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Transactions)).await.unwrap();
        for number in 1..=10 {
            session.send(request(number)).await.unwrap();
            session.recv().await.unwrap();
        }
        comes_true(|| session.has_cookie()).await;
        first.kill();
        happens(&session, |event| matches!(event, Event::Afresh).then_some(())).await;
        assert_eq!(other.told().await, Told::Began { restored: false, refused: Some(Refusal::Forged) });
        session.send(request(11)).await.unwrap();
        assert_eq!(session.recv().await.unwrap().octets, digest(0, 11).to_be_bytes()[..], "a new session");
    });
}

#[test]
fn calls_that_are_dropped_half_way_lose_nothing() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    let _element = Element::start(&world, 1, DIGEST);
    run(async {
        let client = user(&world);
        let session = Session::connect(&client, patient(Exchange::Requests)).await.unwrap();
        for number in 1..=100 {
            session.send(request(number)).await.unwrap();
        }
        let mut dropped = 0;
        let mut seen = 0;
        let waiting = async {
            while seen < 100 {
                tokio::select! {
                    biased;
                    answer = session.recv() => {
                        seen += 1;
                        assert_eq!(answer.unwrap().number, Some(seen));
                    }
                    () = tokio::task::yield_now() => dropped += 1,
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("all answers");
        assert!(dropped > 0, "nothing was ever waited for");
    });
}

/// Associations of this host with elements.
fn associations() -> usize {
    let table = fs::read_to_string("/proc/thread-self/net/sctp/assocs").unwrap();
    let port = PORT.to_string();
    table.lines().filter(|line| line.split_whitespace().any(|column| column == port)).count()
}

#[test]
fn a_session_that_is_dropped_at_whatever_moment_leaves_no_association() {
    let world = World::new(5);
    let _registrar = Registrar::start(&world, FIRST);
    let mut element = Element::start(&world, 1, DIGEST);
    run(async {
        let client = user(&world);
        let mut most = 0;
        for turns in [1, 10, 100, 1000, 10_000] {
            let mut connecting = std::pin::pin!(Session::connect(&client, patient(Exchange::Requests)));
            for _ in 0..turns {
                tokio::select! {
                    biased;
                    _ = &mut connecting => break,
                    () = tokio::task::yield_now() => {}
                }
                most = most.max(associations());
            }
        }
        let session = Session::connect(&client, patient(Exchange::Requests)).await.unwrap();
        session.send(request(1)).await.unwrap();
        session.recv().await.unwrap();
        most = most.max(associations());
        drop(session);
        assert!(most > 0, "there was one to be left");
        comes_true(|| associations() == 0).await;
        while element.told().await != Told::Left(Some(Left::Down)) {}
    });
}
