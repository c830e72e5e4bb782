//! What bad input gets: for each kind the answer, the one counter that counts it, and an association that goes on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use asap_client::wire::Cause;

use super::cluster::{enrp_settings, pool};
use super::stranger::{announced, table, update};
use crate::Association;
use crate::enrp::wire::{self, Body, Message, UpdateAction};
use crate::enrp::{Enrp, Input, Limits, Output, Reason, Settings};
use crate::handlespace::Handlespace;

const OWN: u32 = 0x1001;
const PEER: u32 = 0x2002;
const A: Association = Association(1);

/// A registrar in service, with one peer.
struct Bench {
    now: Instant,
    enrp: Enrp,
    space: Handlespace,
    aborted: Vec<Reason>,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::alone(Limits::default());
        bench.up(A, 1);
        bench.say(Body::Presence { reply_required: false, checksum: Some(0xffff), server: None });
        bench.say(Body::ListResponse { rejected: false, servers: Vec::new() });
        bench
    }

    fn alone(limits: Limits) -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let now = Instant::now();
        let enrp = Enrp::new(now, Settings { limits, ..enrp_settings(OWN) }, 7);
        let mut bench = Self { now, enrp, space: Handlespace::default(), aborted: Vec::new() };
        bench.now += Duration::from_secs(3);
        bench.enrp.handle_timeout(bench.now, &mut bench.space);
        assert!(bench.enrp.is_ready(), "nobody was there");
        bench
    }

    fn up(&mut self, association: Association, last: u8) -> Vec<Body> {
        let addresses = vec![SocketAddr::new([10, 2, 0, last].into(), 9901)];
        self.give(Input::Up { association, addresses })
    }

    fn give(&mut self, input: Input) -> Vec<Body> {
        self.enrp.handle(self.now, input, &mut self.space);
        let mut heard = Vec::new();
        while let Some(output) = self.enrp.poll_output() {
            match output {
                Output::Send { bytes, .. } => heard.push(wire::decode(&bytes).unwrap().message.body),
                Output::Abort { reason, .. } => self.aborted.push(reason),
                Output::Connect { .. } | Output::Announce { .. } | Output::Event(_) => {}
            }
        }
        heard
    }

    fn say(&mut self, body: Body) -> Vec<Body> {
        self.give(said(PEER, 0, body))
    }

    /// The counters that are not 0, by name.
    fn counted(&self) -> BTreeMap<String, u64> {
        let all = serde_json::to_value(self.enrp.counters()).unwrap();
        let all =
            all.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_u64().unwrap()));
        all.filter(|(_, value)| *value > 0).collect()
    }
}

fn said(sender: u32, receiver: u32, body: Body) -> Input {
    octets(Message { sender, receiver, body }.encode())
}

fn octets(bytes: Vec<u8>) -> Input {
    Input::Message { association: A, ppid: wire::PPID, bytes }
}

/// A message of a type from the peer, with these parameters.
fn message(type_: u8, rest: &[&[u8]]) -> Vec<u8> {
    let rest = rest.concat();
    let length = u16::try_from(12 + rest.len()).unwrap().to_be_bytes();
    [&[type_, 0, length[0], length[1]], &PEER.to_be_bytes()[..], &[0; 4], &rest].concat()
}

const HANDLE: &[u8] = b"\x00\x09\x00\x08pool";
const ADD: &[u8] = &[0; 4];

fn error(cause: Cause) -> Vec<Body> {
    vec![Body::Error(vec![cause])]
}

fn unreadable() -> Vec<(&'static str, Vec<u8>, &'static str, Vec<Body>)> {
    let unknown = |type_: u8| [type_, 0xff, 0, 8, 1, 2, 3, 4];
    let with = |type_: u8| message(5, &[&unknown(type_)]);
    let empty = [0, 9, 0, 4];
    vec![
        ("nothing", Vec::new(), "malformed", vec![]),
        ("half a header", vec![1, 0, 0], "malformed", vec![]),
        ("a length beyond the octets", vec![5, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0], "malformed", vec![]),
        ("a message without identifiers", vec![5, 0, 0, 8, 0, 0, 0, 1], "malformed", vec![]),
        ("a takeover of nobody", message(7, &[]), "malformed", vec![]),
        ("a parameter beyond the message", message(5, &[&[0x40, 9, 0, 99]]), "malformed", vec![]),
        ("message type 00", message(0x0b, &[]), "unknown_messages", vec![]),
        ("message type 10", message(0x8b, &[]), "unknown_messages", vec![]),
        ("message type 11", message(0xcb, &[]), "unknown_messages", vec![]),
        (
            "message type 01",
            message(0x4b, &[]),
            "unknown_messages",
            error(Cause::unrecognized_message(&message(0x4b, &[]))),
        ),
        ("parameter type 00", with(0), "unknown_parameters", vec![]),
        (
            "parameter type 01",
            with(0x40),
            "unknown_parameters",
            error(Cause::unrecognized_parameter(&unknown(0x40))),
        ),
        ("a list request with a pool", message(5, &[HANDLE]), "misplaced", vec![]),
        ("an update of no pool", message(4, &[ADD]), "misplaced", vec![]),
        ("an update of no element", message(4, &[ADD, HANDLE]), "misplaced", vec![]),
        ("a pool without elements", message(3, &[HANDLE]), "misplaced", vec![]),
        ("an empty error", message(10, &[]), "misplaced", vec![]),
        ("an action that does not exist", message(4, &[&[0, 2, 0, 0], HANDLE]), "invalid_values", vec![]),
        (
            "an empty handle",
            message(4, &[ADD, &empty]),
            "invalid_values",
            error(Cause::invalid_values(&empty)),
        ),
    ]
}

fn out_of_place() -> Vec<(&'static str, Input, &'static str, Vec<Body>)> {
    let list = || Message { sender: PEER, receiver: 0, body: Body::ListRequest }.encode();
    vec![
        ("ASAP", Input::Message { association: A, ppid: 11, bytes: list() }, "wrong_ppid", vec![]),
        ("no protocol", Input::Message { association: A, ppid: 0, bytes: list() }, "wrong_ppid", vec![]),
        ("an endless message", Input::Oversized { association: A }, "oversized", vec![]),
        ("to another registrar", said(PEER, 0x3003, Body::ListRequest), "misdirected", vec![]),
        ("in our name", said(OWN, 0, Body::ListRequest), "misdirected", vec![]),
        ("in nobody's name", said(0, 0, Body::ListRequest), "misdirected", vec![]),
        ("a table that nobody asked for", said(PEER, 0, table(&[1], PEER, 1)), "unexpected", vec![]),
        (
            "a list that nobody asked for",
            said(PEER, 0, Body::ListResponse { rejected: false, servers: Vec::new() }),
            "unexpected",
            vec![],
        ),
        (
            "leave to take over that nobody asked for",
            said(PEER, 0, Body::InitTakeoverAck { target: 0x3003 }),
            "unexpected",
            vec![],
        ),
        (
            "an update in another's name",
            said(PEER, 0, update(UpdateAction::Add, pool(), announced(1, 0x3003, 1))),
            "updates_refused",
            vec![],
        ),
        ("an error", said(PEER, 0, Body::Error(vec![Cause::bare(3)])), "errors_received", vec![]),
    ]
}

fn all() -> impl Iterator<Item = (&'static str, Input, &'static str, Vec<Body>)> {
    let unreadable = unreadable().into_iter();
    let unreadable = unreadable.map(|(what, bytes, counter, answer)| (what, octets(bytes), counter, answer));
    unreadable.chain(out_of_place())
}

#[test]
fn each_kind_of_bad_message_from_a_peer_is_answered_by_the_rules_and_counted_and_the_association_is_kept() {
    for (what, input, counter, answer) in all() {
        let mut bench = Bench::new();
        let mut expected = bench.counted();
        assert_eq!(bench.give(input), answer, "{what}");
        *expected.entry("messages".to_owned()).or_default() += 1;
        *expected.entry(counter.to_owned()).or_default() += 1;
        if !answer.is_empty() {
            *expected.entry("errors_sent".to_owned()).or_default() += 1;
        }
        assert_eq!(bench.counted(), expected, "{what}");
        assert!(bench.space.is_empty(), "{what}");
        assert!(matches!(bench.say(Body::ListRequest)[..], [Body::ListResponse { .. }]), "{what}");
        assert_eq!(bench.aborted, [], "{what}");
    }
}

#[test]
fn a_parameter_that_is_to_be_skipped_and_reported_is_both() {
    let mut bench = Bench::new();
    let unknown = [0xc0, 0xff, 0, 8, 1, 2, 3, 4];
    let heard = bench.give(octets(message(5, &[&unknown])));
    let report = Body::Error(vec![Cause::unrecognized_parameter(&unknown)]);
    assert!(matches!(&heard[..], [Body::ListResponse { .. }, error] if *error == report), "{heard:?}");
    assert_eq!(bench.enrp.counters().faults.unknown_parameters, 1);
}

#[test]
fn an_error_among_registrars_is_never_answered() {
    let mut bench = Bench::new();
    for type_ in [0x40, 0xc0] {
        let unknown = [type_, 0xff, 0, 8, 1, 2, 3, 4];
        assert_eq!(bench.give(octets(message(10, &[&[0, 0xc, 0, 8, 0, 1, 0, 4], &unknown]))), []);
    }
    assert_eq!(bench.enrp.counters().errors_sent, 0);
}

#[test]
fn a_peer_that_sends_bad_messages_only_is_still_a_peer() {
    let mut bench = Bench::new();
    for _ in 0..40 {
        for (_, input, ..) in all() {
            bench.give(input);
        }
    }
    bench.say(update(UpdateAction::Add, pool(), announced(1, PEER, 1)));
    assert_eq!(bench.space.count_of_home(PEER), 1);
    assert_eq!(bench.aborted, []);
}

#[test]
fn a_peer_or_an_association_beyond_the_limit_is_told_why_it_is_not_let_in() {
    let mut bench = Bench::alone(Limits { peers: 1, associations: 2, ..Limits::default() });
    let refusal = Body::Error(vec![Cause::bare(Cause::LACK_OF_RESOURCES)]);
    bench.up(A, 1);
    bench.up(Association(2), 2);
    assert_eq!(bench.up(Association(3), 3), std::slice::from_ref(&refusal));
    assert_eq!(bench.aborted, [Reason::TooMany]);
    bench.say(Body::ListRequest);
    let bytes = Message { sender: PEER + 1, receiver: 0, body: Body::ListRequest }.encode();
    let heard = bench.give(Input::Message { association: Association(2), ppid: wire::PPID, bytes });
    assert_eq!(heard, [refusal]);
    assert_eq!(bench.aborted, [Reason::TooMany; 2]);
    assert_eq!(bench.enrp.peers().count(), 1);
}
