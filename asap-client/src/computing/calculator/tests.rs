//! Jobs, at their elements and at their users.

use proptest::prelude::*;

use super::super::{Part, Taken, Unfit, Work};
use super::*;

fn about(word: Word, job: u32) -> Vec<u8> {
    Message::about(word, job).encode()
}

#[test]
fn a_job_is_accepted_completed_and_told_once() {
    let mut order = Order::split(1000, 1).remove(0);
    let mut work = Calculation::begin(&order.request()).unwrap();
    assert_eq!(order.take(&work.welcome().unwrap()), Ok(Taken::More));
    assert_eq!((work.advance(999), work.is_done(), work.results(true)), (999, false, vec![]));
    assert_eq!((work.advance(999), work.is_done()), (1, true));
    let [complete] = &work.results(true)[..] else { panic!("it is told") };
    assert!(work.results(true).is_empty());
    assert_eq!((order.take(complete), order.is_done(), order.accepted()), (Ok(Taken::Done), true, 1));
}

#[test]
fn a_job_goes_on_elsewhere_from_its_cookie() {
    let mut order = Order::split(1000, 1).remove(0);
    let mut first = Calculation::begin(&order.request()).unwrap();
    first.advance(600);
    let mut second = Calculation::resume(&first.state()).unwrap();
    assert_eq!((second.advance(10_000), second.is_done()), (400, true));
    assert_eq!(order.take(&second.results(true)[0]), Ok(Taken::Done));
}

#[test]
fn who_asks_whether_the_other_is_there_is_answered() {
    let mut order = Order::split(1000, 1).remove(0);
    let mut work = Calculation::begin(&order.request()).unwrap();
    assert_eq!(work.answer(&about(Word::KeepAlive, 1)), Ok(Some(about(Word::KeepAliveAck, 1))));
    assert_eq!(work.answer(&about(Word::KeepAliveAck, 1)), Ok(None));
    assert_eq!(order.take(&about(Word::KeepAlive, 1)), Ok(Taken::Answer(about(Word::KeepAliveAck, 1))));
    assert_eq!(order.take(&about(Word::KeepAliveAck, 1)), Ok(Taken::More));
}

#[test]
fn what_is_said_of_another_job_or_is_no_answer_makes_no_sense() {
    let mut order = Order::split(1000, 1).remove(0);
    let mut work = Calculation::begin(&order.request()).unwrap();
    assert_eq!(work.answer(&about(Word::KeepAlive, 2)), Err(Unfit::Value("job")));
    assert_eq!(work.answer(&about(Word::Complete, 1)), Err(Unfit::Value("message")));
    assert_eq!(order.take(&about(Word::Complete, 1)), Err(Unfit::Value("completed")));
    assert_eq!(order.take(&about(Word::Accept, 2)), Err(Unfit::Value("job")));
    assert_eq!(order.take(&order.clone().request()), Err(Unfit::Value("message")));
    assert_eq!(Calculation::begin(&about(Word::Accept, 1)).unwrap_err(), Unfit::Value("request"));
    assert_eq!(Message::decode(&[8, 0, 0, 4]), Err(Unfit::Type(8)));
    assert_eq!(Message::decode(&[0, 0, 0, 4]), Err(Unfit::Type(0)));
    let too_much = State { job: 1, size: 5, completed: 6 };
    assert_eq!(Calculation::resume(&too_much.encode()).unwrap_err(), Unfit::Value("completed"));
}

#[test]
fn whose_job_is_not_taken_is_told_so() {
    let mut order = Order::split(1000, 1).remove(0);
    let cookie = State { job: 1, size: 1000, completed: 5 }.encode();
    for asked in [order.request(), cookie] {
        let refusal = Calculation::refusal(&asked).unwrap();
        assert_eq!((refusal.clone(), order.take(&refusal)), (about(Word::Reject, 1), Ok(Taken::Refused)));
    }
    assert_eq!(Calculation::refusal(&[1]), None);
}

proptest! {
    #[test]
    fn the_parts_of_a_job_are_the_whole_job(size: u64, parts in 0..200_u32) {
        let orders = Order::split(size, parts);
        prop_assert!(orders.len() as u64 <= u64::from(parts.max(1)));
        prop_assert_eq!(orders.iter().map(|order| u128::from(order.size())).sum::<u128>(), u128::from(size));
        prop_assert!(orders.iter().zip(1..).all(|(order, number)| order.job() == number && (order.size() > 0 || size == 0)));
    }

    #[test]
    fn no_octets_bring_anybody_down(octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = (Calculation::begin(&octets), Calculation::resume(&octets), Calculation::refusal(&octets));
        let mut order = Order::split(9, 1).remove(0);
        let mut work = Calculation::begin(&order.request()).unwrap();
        let _ = (order.take(&octets), work.answer(&octets));
    }
}
