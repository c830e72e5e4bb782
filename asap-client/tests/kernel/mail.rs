//! Messages without sessions.

use std::collections::BTreeMap;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use asap_client::driver::RegistrarClient;
use asap_client::driver::mail::{Config, Incoming, Mailbox, Message as Mail};
use asap_client::mail::{Failure, Options, To};
use asap_client::wire::Message;
use tokio::sync::oneshot;

use crate::element::{address, listed};
use crate::registrar::Registrar;
use crate::world::*;

/// A program that sends everything back to where it came from.
struct Echo {
    namespace: String,
    id: u8,
    /// What it has read.
    read: std_mpsc::Receiver<Vec<u8>>,
    die: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// At an address of its own in the registrars' network, and in the pool.
    fn start(world: &World, registrar: &Registrar, id: u8) -> Self {
        let namespace = world.registrars.clone();
        ip(&namespace, &format!("addr replace {}/32 dev lo\n", address(id).ip()));
        let (die, dies) = oneshot::channel();
        let (ready, is_ready) = std_mpsc::channel();
        let (tell, read) = std_mpsc::channel();
        let inside = namespace.clone();
        let thread = std::thread::spawn(move || {
            enter(&inside);
            run(async {
                let (nobody, _) = client(&[FIRST]);
                let mailbox = Mailbox::bind(&nobody, &[address(id)], Config::default()).unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = echo(&mailbox, &tell) => {}
                    _ = dies => {}
                }
            });
        });
        is_ready.recv_timeout(PATIENCE).unwrap();
        registrar.put(pool("EchoPool"), listed(id));
        Self { namespace, id, read, die: Some(die), thread: Some(thread) }
    }

    /// Nothing gets to it any more, and nothing comes back.
    fn cut_off(&self) {
        ip(&self.namespace, &format!("addr del {}/32 dev lo\n", address(self.id).ip()));
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let (Some(die), Some(thread)) = (self.die.take(), self.thread.take()) {
            // An error: it has ended already.
            let _ = die.send(());
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

async fn echo(mailbox: &Mailbox, tell: &std_mpsc::Sender<Vec<u8>>) {
    loop {
        match mailbox.next().await.unwrap() {
            Incoming::Message(Mail { from, ppid, octets }) => {
                assert_eq!(from.element, None, "of users nobody knows a handle");
                // The test may have ended.
                let _ = tell.send(octets.to_vec());
                let options = Options { ppid, ..Options::default() };
                mailbox.send(To::Address(from.address), octets, options).await.unwrap();
            }
            // The user has gone.
            Incoming::Returned(_) => {}
        }
    }
}

async fn next(mailbox: &Mailbox) -> Incoming {
    tokio::time::timeout(PATIENCE, mailbox.next()).await.expect("waited for in vain").unwrap()
}

async fn answer(mailbox: &Mailbox) -> Mail {
    match next(mailbox).await {
        Incoming::Message(mail) => mail,
        Incoming::Returned(returned) => panic!("{returned:?}"),
    }
}

fn mailbox(world: &World, local: &str) -> (RegistrarClient, Mailbox) {
    let here = world.arrive(1);
    let (client, _) = client(&[FIRST]);
    client.set_local_addresses(vec![here]);
    let mailbox = Mailbox::bind(&client, &[local.parse().unwrap()], Config::default()).unwrap();
    (client, mailbox)
}

#[test]
fn a_message_goes_to_a_pool_an_element_or_an_address_and_is_answered_to_where_it_came_from() {
    let world = World::new(1);
    let registrar = Registrar::start(&world, FIRST);
    let _echoes = [1, 2].map(|id| Echo::start(&world, &registrar, id));
    for local in ["0.0.0.0:0", "[::]:0"] {
        run(async {
            let (_client, mailbox) = mailbox(&world, local);
            let to = |to: To, word: &'static str| {
                mailbox.send(to, word, Options { ppid: 77, ..Options::default() })
            };
            let mut from = Vec::new();
            for word in ["one", "two"] {
                to(To::Pool(pool("EchoPool")), word).await.unwrap();
                let mail = answer(&mailbox).await;
                assert_eq!((&mail.octets[..], mail.ppid), (word.as_bytes(), 77));
                from.push(mail.from.element.unwrap().1);
            }
            from.sort_unstable();
            assert_eq!(from, [1, 2], "by the pool's Round Robin");
            to(To::Element(pool("EchoPool"), 2), "three").await.unwrap();
            let mail = answer(&mailbox).await;
            assert_eq!(mail.from.element, Some((pool("EchoPool"), 2)));
            to(To::Address(address(1)), "four").await.unwrap();
            let mail = answer(&mailbox).await;
            assert_eq!((mail.from.address, &mail.octets[..]), (address(1), &b"four"[..]));
            let all = Options { to_all: true, ..Options::default() };
            mailbox.send(To::Pool(pool("EchoPool")), "all", all).await.unwrap();
            let mut both =
                [answer(&mailbox).await, answer(&mailbox).await].map(|it| it.from.element.unwrap().1);
            both.sort_unstable();
            assert_eq!(both, [1, 2]);
            assert_eq!(mailbox.cached(&pool("EchoPool")).map(|it| it.len()), Some(2));
            mailbox.purge(&pool("EchoPool"));
            assert_eq!(mailbox.cached(&pool("EchoPool")), None);
            tokio::time::timeout(PATIENCE, mailbox.sent()).await.expect("all is acknowledged");
        });
    }
}

#[test]
fn what_an_element_that_is_cut_off_has_not_acknowledged_reaches_another_and_the_registrar_is_told() {
    const COUNT: usize = 20;
    let world = World::new(1);
    let registrar = Registrar::start(&world, FIRST);
    let echoes = [1, 2].map(|id| Echo::start(&world, &registrar, id));
    run(async {
        let (_client, mailbox) = mailbox(&world, "0.0.0.0:0");
        let to = To::Element(pool("EchoPool"), 1);
        mailbox.send(to.clone(), "first", Options::default()).await.unwrap();
        assert_eq!(answer(&mailbox).await.from.element.unwrap().1, 1);
        echoes[0].cut_off();
        for number in 0..COUNT {
            mailbox.send(to.clone(), number.to_string(), Options::default()).await.unwrap();
        }
        let mut answers = BTreeMap::new();
        for _ in 0..COUNT {
            let mail = answer(&mailbox).await;
            assert_eq!(mail.from.element.unwrap().1, 2);
            *answers.entry(String::from_utf8(mail.octets.to_vec()).unwrap()).or_insert(0) += 1;
        }
        assert!(answers.len() == COUNT && answers.values().all(|times| *times == 1), "{answers:?}");
    });
    registrar.hear(|message| matches!(message, Message::EndpointUnreachable { id: 1, .. }));
}

#[test]
fn what_is_not_to_go_elsewhere_comes_back_whole() {
    let world = World::new(1);
    let registrar = Registrar::start(&world, FIRST);
    let echo = Echo::start(&world, &registrar, 1);
    run(async {
        let (_client, mailbox) = mailbox(&world, "0.0.0.0:0");
        let long = "x".repeat(40_000);
        let stay = Options { failover: false, ..Options::default() };
        mailbox.send(To::Element(pool("EchoPool"), 1), "first", stay).await.unwrap();
        answer(&mailbox).await;
        echo.cut_off();
        let cut_off = mailbox.send(To::Pool(pool("EchoPool")), long.clone(), stay).await.unwrap();
        let nobody = mailbox.send(To::Address(address(9)), "nobody", stay).await.unwrap();
        let unknown = mailbox.send(To::Pool(pool("NoPool")), "unknown", Options::default()).await.unwrap();
        let mut returned = BTreeMap::new();
        for _ in 0..3 {
            let Incoming::Returned(it) = next(&mailbox).await else { panic!("nobody answers") };
            returned.insert(it.number, (it.why, it.octets.to_vec()));
        }
        assert_eq!(returned[&cut_off], (Failure::Lost, long.into_bytes()));
        assert_eq!(returned[&nobody], (Failure::Lost, b"nobody".to_vec()));
        assert_eq!(returned[&unknown], (Failure::UnknownPool, b"unknown".to_vec()));
        tokio::time::timeout(PATIENCE, mailbox.sent()).await.expect("nothing is under way");
    });
}

#[test]
fn much_more_than_there_is_room_for_arrives_in_order_while_who_sends_waits() {
    const COUNT: u32 = 3_000;
    let world = World::new(1);
    let registrar = Registrar::start(&world, FIRST);
    let echo = Echo::start(&world, &registrar, 1);
    run(async {
        let (_client, mailbox) = mailbox(&world, "0.0.0.0:0");
        let sending = async {
            for number in 0..COUNT {
                let mut octets = vec![0; 1024];
                octets[..4].copy_from_slice(&number.to_be_bytes());
                mailbox.send(To::Address(address(1)), octets, Options::default()).await.unwrap();
            }
        };
        let reading = async {
            for number in 0..COUNT {
                assert_eq!(answer(&mailbox).await.octets[..4], number.to_be_bytes());
            }
        };
        tokio::time::timeout(4 * PATIENCE, async { tokio::join!(sending, reading) }).await.expect("in vain");
        tokio::time::timeout(PATIENCE, mailbox.sent()).await.expect("all is acknowledged");
    });
    for number in 0..COUNT {
        assert_eq!(echo.read.recv_timeout(Duration::ZERO).unwrap()[..4], number.to_be_bytes());
    }
}
