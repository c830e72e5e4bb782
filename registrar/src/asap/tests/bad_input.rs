//! What bad input gets: for each kind the answer, the one counter that counts it, and an association that goes on.

use super::*;
use asap_client::wire::Cause;

/// What came, by which counter it is counted, and what is answered to it.
struct Case {
    what: &'static str,
    input: Input,
    counter: &'static str,
    answer: Vec<Message>,
}

fn case(what: &'static str, counter: &'static str, bytes: &[u8], answer: &[Message]) -> Case {
    let input = Input::Message { association: A, ppid: wire::PPID, bytes: bytes.to_vec() };
    Case { what, input, counter, answer: answer.to_vec() }
}

fn of_ppid(ppid: u32) -> Case {
    let bytes = Message::HandleResolution { subscribe: true, handle: handle("pool"), items: None }.encode();
    let input = Input::Message { association: A, ppid, bytes };
    Case { what: "a resolution under another identifier", input, counter: "wrong_ppid", answer: Vec::new() }
}

fn said(message: &Message, counter: &'static str) -> Case {
    Case { what: "a message that is in order", ..case("", counter, &message.encode(), &[]) }
}

fn error(cause: Cause) -> Vec<Message> {
    vec![Message::Error(vec![cause])]
}

/// A message of a type with these parameters.
fn message(type_: u8, parameters: &[&[u8]]) -> Vec<u8> {
    let body = parameters.concat();
    let length = u16::try_from(4 + body.len()).unwrap().to_be_bytes();
    [&[type_, 0, length[0], length[1]], &body[..]].concat()
}

const HANDLE: &[u8] = b"\x00\x09\x00\x08pool";
const ID: &[u8] = &[0, 0xe, 0, 8, 0, 0, 0, 1];

/// A pool element parameter with this user transport and policy.
fn registering(transport: &[u8], policy: &[u8]) -> Vec<u8> {
    let length = u8::try_from(16 + transport.len() + policy.len()).unwrap();
    let fixed = [0, 0xa, 0, length, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 60];
    message(1, &[HANDLE, &fixed, transport, policy])
}

fn transport(use_: u8) -> Vec<u8> {
    vec![0, 4, 0, 16, 0, 7, 0, use_, 0, 1, 0, 8, 10, 0, 0, 1]
}

const ROUND_ROBIN: &[u8] = &[0, 8, 0, 8, 0, 0, 0, 1];

fn unreadable() -> Vec<Case> {
    let bad_use = transport(7);
    let bare = [registering(&[], ROUND_ROBIN), registering(&transport(0), &[])];
    let bad_policy = [0, 8, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0];
    let unknown = |type_: u8| [type_, 0xff, 0, 8, 1, 2, 3, 4];
    let invalid = |tlv: &[u8]| error(Cause::invalid_values(tlv));
    let with = |type_: u8| message(5, &[HANDLE, &unknown(type_)]);
    let unknown_parameter = |type_| Cause::unrecognized_parameter(&unknown(type_));
    vec![
        case("nothing", "malformed", &[], &[]),
        case("half a header", "malformed", &[5, 0, 0], &[]),
        case("a length below the header's", "malformed", &[5, 0, 0, 3], &[]),
        case(
            "a length beyond the octets",
            "malformed",
            &[5, 0, 0, 24, 0, 9, 0, 8, b'p', b'o', b'o', b'l'],
            &[],
        ),
        case("octets beyond the length", "malformed", &[&message(5, &[HANDLE])[..], &[0; 4]].concat(), &[]),
        case("a parameter shorter than its header", "malformed", &message(5, &[&[0, 9, 0, 3]]), &[]),
        case("a parameter beyond the message", "malformed", &message(5, &[&[0, 9, 0, 9, 1, 2, 3, 4]]), &[]),
        case("a parameter beyond its element", "malformed", &registering(&[0, 4, 0, 99], &[]), &[]),
        case("a fixed field cut short", "malformed", &message(7, &[&[0, 0]]), &[]),
        case("message type 00", "unknown_messages", &message(0x0f, &[]), &[]),
        case("message type 0", "unknown_messages", &message(0, &[]), &[]),
        case("message type 10", "unknown_messages", &message(0x8f, &[]), &[]),
        case("message type 11", "unknown_messages", &message(0xcf, &[]), &[]),
        case(
            "message type 01",
            "unknown_messages",
            &message(0x4f, &[HANDLE]),
            &error(Cause::unrecognized_message(&message(0x4f, &[HANDLE]))),
        ),
        case("parameter type 00", "unknown_parameters", &with(0x00), &[]),
        case("parameter type 01", "unknown_parameters", &with(0x40), &error(unknown_parameter(0x40))),
        case("a resolution of no pool", "misplaced", &message(5, &[]), &[]),
        case("a resolution of two pools", "misplaced", &message(5, &[HANDLE, HANDLE]), &[]),
        case("a registration without an element", "misplaced", &message(1, &[HANDLE]), &[]),
        case("a registration with an identifier", "misplaced", &message(1, &[HANDLE, ID]), &[]),
        case("an element without a transport", "invalid_values", &bare[0], &invalid(&bare[0][12..])),
        case("an element without a policy", "invalid_values", &bare[1], &invalid(&bare[1][12..])),
        case("a deregistration of nobody", "misplaced", &message(2, &[HANDLE]), &[]),
        case("an empty error", "misplaced", &message(14, &[]), &[]),
        case("an empty handle", "invalid_values", &message(5, &[&[0, 9, 0, 4]]), &invalid(&[0, 9, 0, 4])),
        case(
            "a use of transport that does not exist",
            "invalid_values",
            &registering(&bad_use, ROUND_ROBIN),
            &invalid(&bad_use),
        ),
        case(
            "a policy of a wrong length",
            "invalid_values",
            &registering(&transport(0), &bad_policy),
            &invalid(&bad_policy),
        ),
    ]
}

fn out_of_place() -> Vec<Case> {
    let (handle, id) = (handle("pool"), 1);
    let not_for_registrars = [
        accepted("pool", 1),
        Message::DeregistrationResponse { handle: handle.clone(), id, error: None },
        Message::HandleResolutionResponse {
            subscribed: true,
            handle: handle.clone(),
            policy: None,
            elements: vec![element(1, "10.0.0.1")],
            error: None,
        },
        Message::EndpointKeepAlive { home: true, server: 9, handle: handle.clone(), id: Some(1) },
        Message::ServerAnnounce { server: 9, transports: Vec::new() },
        Message::Cookie(vec![1]),
        Message::CookieEcho(vec![1]),
        Message::BusinessCard { handle: handle.clone(), elements: Vec::new() },
        // Of an element that is not there, and of one that is another's.
        Message::EndpointKeepAliveAck { handle: handle.clone(), id: 99 },
        Message::EndpointKeepAliveAck { handle: handle.clone(), id },
    ];
    let mut cases: Vec<_> = not_for_registrars.iter().map(|m| said(m, "unexpected")).collect();
    cases.push(said(&Message::Error(vec![Cause::bare(3)]), "errors_received"));
    cases.push(said(&Message::EndpointUnreachable { handle, id: 99 }, "unreachable_reports"));
    cases.push(of_ppid(0));
    cases.push(of_ppid(12));
    let input = Input::Oversized { association: A };
    cases.push(Case { what: "an endless message", input, counter: "oversized", answer: Vec::new() });
    cases
}

/// The counters that are not 0, by name.
fn counted(w: &World) -> BTreeMap<&'static str, u64> {
    w.registrar.counters().named().iter().map(|c| (c.name, c.value)).filter(|(_, value)| *value > 0).collect()
}

#[test]
fn each_kind_of_bad_message_is_answered_by_the_rules_and_counted_and_the_association_is_kept() {
    for Case { what, input, counter, answer } in unreadable().into_iter().chain(out_of_place()) {
        let mut w = World::new();
        w.up(A, &["10.0.0.1"]);
        w.up(B, &["10.0.0.2"]);
        w.registered(B, "pool", element(1, "10.0.0.2"));
        w.heard(B);
        let mut expected = counted(&w);
        let what = format!("{what}: {input:?}");
        w.give(input);
        assert_eq!(w.heard(A), answer, "{what}");
        *expected.entry("messages").or_default() += 1;
        *expected.entry(counter).or_default() += 1;
        if !answer.is_empty() {
            *expected.entry("errors_sent").or_default() += 1;
        }
        assert_eq!(counted(&w), expected, "{what}");
        assert!(w.aborted.is_empty() && w.heard(B).is_empty(), "{what}");
        assert_eq!(ids(&w.resolve(A, "pool", None)), [1], "{what}");
        assert!(w.registrar.subscription_count() == 0, "{what}");
    }
}

#[test]
fn a_thousand_bad_messages_later_the_association_still_registers() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    for _ in 0..25 {
        for Case { input, .. } in unreadable().into_iter().chain(out_of_place()) {
            w.give(input);
        }
    }
    w.heard(A);
    w.registered(A, "pool", element(1, "10.0.0.1"));
}
