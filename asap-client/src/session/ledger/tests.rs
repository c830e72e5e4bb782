use proptest::prelude::*;

use super::*;
use crate::session::user::SendOptions;

fn message(octets: usize, failover: bool) -> Outgoing {
    unnumbered(vec![0; octets].into(), SendOptions { failover, ..SendOptions::default() })
}

fn ledger(exchange: Exchange, messages: usize, count: usize) -> Ledger {
    let mut ledger = Ledger::new(exchange, Limits { messages, octets: 1000, ..Limits::default() });
    for _ in 0..count {
        ledger.push(message(10, true)).unwrap();
    }
    ledger
}

/// Sends all that there is to be sent: the numbers.
fn send(ledger: &mut Ledger) -> Vec<u64> {
    std::iter::from_fn(|| ledger.send()).map(|message| message.number).collect()
}

#[test]
fn what_does_not_fit_is_refused_and_room_is_told_once_half_is_free() {
    let mut ledger = ledger(Exchange::Requests, 4, 4);
    assert_eq!(ledger.push(message(10, true)), Err(Refused::Full));
    send(&mut ledger);
    assert_eq!(ledger.answer(1), Some(1));
    assert!(!ledger.has_room_again());
    assert_eq!(ledger.answer(2), Some(2));
    assert!(ledger.has_room_again());
    assert!(!ledger.has_room_again(), "once");
}

#[test]
fn octets_are_bounded_as_messages_are() {
    let mut ledger = ledger(Exchange::Requests, 100, 0);
    ledger.push(message(600, true)).unwrap();
    assert_eq!(ledger.push(message(600, true)), Err(Refused::Full));
    assert_eq!(ledger.push(message(1001, true)), Err(Refused::TooLong));
    assert_eq!(ledger.taken(), 1);
}

#[test]
fn a_request_is_kept_until_it_is_answered() {
    let mut ledger = ledger(Exchange::Requests, 9, 4);
    assert_eq!(send(&mut ledger), [1, 2, 3, 4]);
    assert_eq!(ledger.answer(1), Some(1));
    ledger.lost();
    assert_eq!(ledger.resume(false), 2);
    assert_eq!(send(&mut ledger), [2, 3, 4]);
}

#[test]
fn a_request_that_a_cookie_covers_is_not_sent_again_to_who_is_given_the_cookie() {
    let mut ledger = ledger(Exchange::Requests, 9, 4);
    send(&mut ledger);
    ledger.cover(3);
    ledger.lost();
    assert_eq!(ledger.resume(true), 4);
    assert_eq!(send(&mut ledger), [4]);
    assert_eq!(ledger.answer(1), Some(1), "its answer is still awaited");
    ledger.lost();
    ledger.uncover();
    assert_eq!(ledger.resume(false), 2);
    assert_eq!(send(&mut ledger), [2, 3, 4], "without the cookie it is sent again");
}

#[test]
fn with_a_state_what_was_answered_behind_the_cookie_is_sent_again() {
    let mut ledger = ledger(Exchange::Transactions, 9, 4);
    send(&mut ledger);
    ledger.cover(1);
    for position in 1..=3 {
        assert_eq!(ledger.answer(position), Some(position));
    }
    ledger.lost();
    assert_eq!(ledger.resume(true), 2);
    assert_eq!(send(&mut ledger), [2, 3, 4]);
    assert_eq!(ledger.answer(2), None, "it has been seen");
    assert_eq!(ledger.answer(4), Some(4));
}

#[test]
fn a_stream_keeps_what_is_not_sent_and_what_comes_back_in_order() {
    let mut ledger = ledger(Exchange::Stream, 9, 5);
    let sent: Vec<_> = (0..4).filter_map(|_| ledger.send()).collect();
    ledger.give_back(sent[3].clone());
    ledger.give_back(sent[2].clone());
    ledger.lost();
    assert_eq!(send(&mut ledger), [3, 4, 5]);
    assert!(ledger.is_idle());
}

#[test]
fn what_must_not_go_to_another_element_is_given_back_and_the_others_close_the_gap() {
    for exchange in [Exchange::Requests, Exchange::Transactions, Exchange::Covered, Exchange::Stream] {
        let mut ledger = ledger(exchange, 9, 1);
        ledger.push(message(10, false)).unwrap();
        ledger.push(message(10, true)).unwrap();
        let sent: Vec<_> = std::iter::from_fn(|| ledger.send()).collect();
        sent.iter().for_each(|message| ledger.give_back(message.clone()));
        let returned: Vec<u64> = ledger.lost().iter().map(|message| message.number).collect();
        assert_eq!(returned, [2]);
        ledger.resume(false);
        assert_eq!(send(&mut ledger), [1, 3]);
        if exchange.one_answer_each() {
            assert_eq!([ledger.answer(1), ledger.answer(2)], [Some(1), Some(3)]);
        }
    }
}

#[test]
fn what_is_left_at_the_end_is_given_back() {
    let mut ledger = ledger(Exchange::Transactions, 9, 4);
    send(&mut ledger);
    ledger.answer(1);
    let left: Vec<u64> = ledger.drain().iter().map(|message| message.number).collect();
    assert_eq!(left, [2, 3, 4]);
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Send,
    Answer,
    Cover(u64),
    Lose { restored: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Push),
        3 => Just(Step::Send),
        2 => Just(Step::Answer),
        1 => (0..4_u64).prop_map(Step::Cover),
        1 => any::<bool>().prop_map(|restored| Step::Lose { restored }),
    ]
}

proptest! {
    /// Whatever happens: an element is sent the messages in order and without a gap, from where its cookie or what has
    /// been answered ends; no answer is told twice; and no more is kept than there is room for.
    #[test]
    fn nothing_is_ever_left_out(steps in proptest::collection::vec(step(), 1..200), stateful in any::<bool>()) {
        let exchange = if stateful { Exchange::Transactions } else { Exchange::Requests };
        let mut ledger = ledger(exchange, 8, 0);
        // The next message that the element has to be sent, what it has got, and what is answered and covered.
        let (mut next, mut got, mut answered, mut covered) = (1, 0, 0, 0);
        for step in steps {
            match step {
                Step::Push => drop(ledger.push(message(1, true))),
                Step::Send => {
                    if let Some(message) = ledger.send() {
                        prop_assert_eq!(message.number, next);
                        (got, next) = (next, next + 1);
                    } else {
                        prop_assert_eq!(next, ledger.taken() + 1);
                    }
                }
                Step::Answer if answered < got => {
                    answered += 1;
                    prop_assert_eq!(ledger.answer(answered), Some(answered));
                    prop_assert_eq!(ledger.answer(answered), None);
                }
                Step::Answer => {}
                Step::Cover(back) => {
                    let position = (next - 1_u64).saturating_sub(back);
                    if position >= covered {
                        covered = position;
                        ledger.cover(covered);
                    }
                }
                Step::Lose { restored } => {
                    prop_assert!(ledger.lost().is_empty());
                    let kept = if stateful { answered.min(covered) } else { answered };
                    let from = match (restored, stateful) {
                        (false, _) => kept,
                        (true, true) => covered,
                        (true, false) => answered.max(covered),
                    };
                    prop_assert_eq!(ledger.resume(restored), from + 1);
                    if !restored {
                        ledger.uncover();
                        covered = ledger.first() - 1;
                    }
                    (next, got) = (from + 1, from);
                    // What the state includes may be answered by it.
                    got = got.max(answered);
                }
            }
            prop_assert!(ledger.entries.len() <= 8);
            prop_assert!(ledger.octets == ledger.entries.len());
        }
    }
}
