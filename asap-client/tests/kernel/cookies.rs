//! Cookies that users should not be believed.

use std::os::fd::AsFd;

use asap_client::session::KeyRing;
use asap_client::session::control::Control;
use asap_client::session::cookie::Refusal;
use asap_client::wire::{Cause, PPID};
use sctp_sys::event::EventType;
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, Family, Received, SendInfo, Socket, Style};

use crate::element::{Does, Element, Told, address, digest};
use crate::registrar::Registrar;
use crate::world::*;

/// A user that says what it likes.
struct Raw {
    socket: AsyncSocket,
    assoc: AssocId,
}

impl Raw {
    async fn at(element: u8) -> Self {
        let socket = Socket::new(Style::OneToMany, Family::V4).unwrap();
        sockopt::set_nodelay(socket.as_fd(), true).unwrap();
        sockopt::set_events(socket.as_fd(), &[EventType::AssocChange]).unwrap();
        let socket = AsyncSocket::new(socket).unwrap();
        let assoc = socket.connectx(&[address(element)]).await.unwrap();
        Self { socket, assoc }
    }

    async fn say(&self, ppid: u32, octets: &[u8]) {
        let info = SendInfo { assoc: self.assoc, ppid, ..SendInfo::default() };
        self.socket.send(&info, octets).await.unwrap();
    }

    async fn echo(&self, cookie: &[u8]) {
        self.say(PPID, &Control::CookieEcho(cookie.to_vec()).encode()).await;
    }

    async fn hear(&self) -> (u32, Vec<u8>) {
        let mut octets = Vec::new();
        let hearing = async {
            loop {
                if let Some(Received::Message(info)) = self.socket.recv(&mut octets).await.unwrap() {
                    return info.ppid;
                }
            }
        };
        let ppid = tokio::time::timeout(PATIENCE, hearing).await.expect("heard in vain");
        (ppid, octets)
    }

    async fn hear_control(&self) -> Control {
        let (ppid, octets) = self.hear().await;
        assert_eq!(ppid, PPID, "{octets:?}");
        Control::read(&octets).control.unwrap()
    }

    /// Asks, and gets the digest and a cookie.
    async fn ask(&self, request: u64) -> (u64, Vec<u8>) {
        self.say(0, &request.to_be_bytes()).await;
        let (ppid, answer) = self.hear().await;
        assert_eq!(ppid, 0);
        let Control::Cookie(cookie) = self.hear_control().await else { panic!("no cookie") };
        (u64::from_be_bytes(answer.try_into().unwrap()), cookie)
    }
}

const DIGEST: Does = Does::Digest { cookie_every: 1 };

struct Cookies {
    /// Of one session, after its first and its second request.
    first: Vec<u8>,
    second: Vec<u8>,
}

/// Two cookies of an element.
async fn cookies(element: &mut Element, id: u8) -> Cookies {
    let raw = Raw::at(id).await;
    let (_, first) = raw.ask(1).await;
    let (answer, second) = raw.ask(2).await;
    assert_eq!(answer, digest(digest(0, 1), 2));
    assert_eq!(element.told().await, Told::Began { restored: false, refused: None });
    drop(raw);
    assert!(matches!(element.told().await, Told::Left(_)));
    Cookies { first, second }
}

/// The element refuses this, says so on the control channel, and the session is a new one.
async fn is_refused(element: &mut Element, id: u8, cookie: &[u8], why: Refusal) {
    let raw = Raw::at(id).await;
    raw.echo(cookie).await;
    let Control::Error(causes) = raw.hear_control().await else { panic!("no error for {why:?}") };
    assert_eq!(causes.iter().map(|cause| cause.code).collect::<Vec<_>>(), [Cause::SECURITY]);
    assert_eq!(raw.ask(7).await.0, digest(0, 7), "afresh");
    assert_eq!(element.told().await, Told::Began { restored: false, refused: Some(why) });
    drop(raw);
    assert!(matches!(element.told().await, Told::Left(_)));
}

#[test]
fn a_cookie_continues_the_session_at_another_element_and_none_of_its_session_does_so_again() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    world.arrive(1);
    let mut one = Element::start(&world, 1, DIGEST);
    let mut other = Element::start(&world, 2, DIGEST);
    run(async {
        let Cookies { first, second } = cookies(&mut one, 1).await;
        let raw = Raw::at(2).await;
        raw.echo(&second).await;
        let Control::Cookie(_) = raw.hear_control().await else {
            panic!("no cookie in place of the used one")
        };
        assert_eq!(raw.ask(3).await.0, digest(digest(digest(0, 1), 2), 3));
        assert_eq!(other.told().await, Told::Began { restored: true, refused: None });
        is_refused(&mut other, 2, &first, Refusal::Replayed).await;
    });
}

#[test]
fn a_forged_truncated_or_foreign_cookie_is_refused_and_the_session_starts_afresh() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    world.arrive(1);
    let mut one = Element::start(&world, 1, DIGEST);
    let mut other_key = Element::start_with(&world, 2, DIGEST, KeyRing::new(1, &[0x77; 32]));
    let mut other_id =
        Element::start_with(&world, 3, DIGEST, KeyRing::new(2, &[0x77; 32]).accept(1, &[0x5a; 32]));
    run(async {
        let good = cookies(&mut one, 1).await.second;
        for at in [12, good.len() - 1] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            is_refused(&mut one, 1, &changed, Refusal::Forged).await;
        }
        is_refused(&mut one, 1, &good[..good.len() - 4], Refusal::Truncated).await;
        is_refused(&mut one, 1, &good[..10], Refusal::Truncated).await;
        is_refused(&mut one, 1, b"<PP-TD1>\0\0\0\0\0\0\0\x02", Refusal::Foreign).await;
        let foreign = cookies(&mut other_key, 2).await.second;
        is_refused(&mut one, 1, &foreign, Refusal::Forged).await;
        let foreign = cookies(&mut other_id, 3).await.second;
        is_refused(&mut one, 1, &foreign, Refusal::UnknownKey).await;
    });
}

#[test]
fn an_echo_that_does_not_come_first_is_refused_without_disturbing_the_session() {
    let world = World::new(0);
    let _registrar = Registrar::start(&world, FIRST);
    world.arrive(1);
    let mut one = Element::start(&world, 1, DIGEST);
    run(async {
        let good = cookies(&mut one, 1).await.second;
        let raw = Raw::at(1).await;
        assert_eq!(raw.ask(5).await.0, digest(0, 5));
        raw.echo(&good).await;
        assert_eq!(raw.ask(6).await.0, digest(digest(0, 5), 6));
    });
}
