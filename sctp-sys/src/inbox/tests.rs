use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;

/// A piece as the kernel would hand it over: what it belongs to, whether it is the last, its bytes.
type Sent = (MessageInfo, bool, Vec<u8>);

fn info(assoc: AssocId, stream: u16, ssn: u16) -> MessageInfo {
    MessageInfo {
        stream,
        ppid: 7,
        ssn,
        tsn: 1,
        assoc,
        from: "192.0.2.1:5".parse().unwrap(),
        unordered: false,
        context: 0,
    }
}

fn data(inbox: &mut Inbox, info: MessageInfo, end: bool, bytes: &[u8]) -> Option<(Whole, Vec<u8>)> {
    let mut buf = bytes.to_vec();
    inbox.take(&Piece { info, notification: false, end }, &mut buf, LIMIT).map(|whole| (whole, buf))
}

fn lost(assoc: AssocId) -> Notification {
    Notification::AssocChange {
        state: AssocChange::CommLost,
        error: 0,
        out_streams: 0,
        in_streams: 0,
        assoc,
        info: vec![],
    }
}

#[test]
fn what_has_begun_of_an_association_goes_with_it_to_another_socket() {
    let mut inbox = Inbox::default();
    for (assoc, stream) in [(3, 0), (3, 1), (4, 0)] {
        assert_eq!(data(&mut inbox, info(assoc, stream, 0), false, b"ab"), None);
    }
    let mut other = inbox.split_off(3);
    for (assoc, stream) in [(3, 1), (4, 0), (3, 0)] {
        let inbox = if assoc == 3 { &mut other } else { &mut inbox };
        let whole = (Whole::Message(info(assoc, stream, 0)), b"abc".to_vec());
        assert_eq!(data(inbox, info(assoc, stream, 0), true, b"c"), Some(whole));
    }
    assert_eq!((inbox.held, other.held), (0, 0));
}

#[test]
fn a_message_in_one_piece_is_whole() {
    let mut inbox = Inbox::default();
    assert_eq!(
        data(&mut inbox, info(3, 0, 0), true, b"abc"),
        Some((Whole::Message(info(3, 0, 0)), b"abc".to_vec()))
    );
}

#[test]
fn interleaved_messages_do_not_mix() {
    let mut inbox = Inbox::default();
    let unordered = MessageInfo { unordered: true, ..info(3, 1, 0) };
    assert_eq!(data(&mut inbox, info(3, 1, 0), false, b"a1"), None);
    assert_eq!(data(&mut inbox, info(4, 1, 0), false, b"b1"), None);
    assert_eq!(data(&mut inbox, unordered, false, b"u1"), None);
    assert_eq!(data(&mut inbox, info(3, 2, 0), false, b"c1"), None);
    assert_eq!(data(&mut inbox, info(3, 1, 0), true, b"a2").unwrap().1, b"a1a2");
    assert_eq!(data(&mut inbox, info(3, 2, 0), true, b"c2").unwrap().1, b"c1c2");
    assert_eq!(data(&mut inbox, unordered, true, b"u2").unwrap().1, b"u1u2");
    assert_eq!(data(&mut inbox, info(4, 1, 0), true, b"b2").unwrap().1, b"b1b2");
    assert_eq!(inbox.held, 0);
}

#[test]
fn a_message_above_the_limit_is_read_to_its_end_and_reported() {
    let mut inbox = Inbox::default();
    assert_eq!(data(&mut inbox, info(3, 0, 0), false, &[1; LIMIT]), None);
    assert_eq!(data(&mut inbox, info(3, 0, 0), false, &[2; 1]), None);
    assert_eq!(inbox.held, OVERHEAD, "nothing of it is kept once it is too long");
    let (whole, bytes) = data(&mut inbox, info(3, 0, 0), true, &[3; 5]).unwrap();
    assert_eq!(whole, Whole::TooLong { info: info(3, 0, 0), length: LIMIT as u64 + 6 });
    assert!(bytes.is_empty());
    assert_eq!(data(&mut inbox, info(3, 0, 1), true, b"next").unwrap().1, b"next");
}

#[test]
fn one_piece_above_the_limit_is_reported() {
    let mut inbox = Inbox::default();
    let (whole, bytes) = data(&mut inbox, info(3, 0, 0), true, &[0; LIMIT + 1]).unwrap();
    assert_eq!(whole, Whole::TooLong { info: info(3, 0, 0), length: LIMIT as u64 + 1 });
    assert!(bytes.is_empty());
}

#[test]
fn a_lost_association_takes_its_beginnings_along() {
    let mut inbox = Inbox::default();
    data(&mut inbox, info(3, 0, 0), false, b"old");
    data(&mut inbox, info(4, 0, 0), false, b"kept");
    inbox.note(&lost(3));
    assert_eq!(data(&mut inbox, info(3, 0, 0), true, b"new").unwrap().1, b"new");
    assert_eq!(data(&mut inbox, info(4, 0, 0), true, b"!").unwrap().1, b"kept!");
}

#[test]
fn a_beginning_that_the_kernel_gave_up_is_forgotten() {
    let aborted =
        |stream, sequence| Notification::PartialDelivery { indication: 0, assoc: 3, stream, sequence };
    let mut inbox = Inbox::default();
    data(&mut inbox, info(3, 5, 9), false, b"old");
    data(&mut inbox, info(3, 6, 9), false, b"kept");
    inbox.note(&aborted(5, 9));
    assert_eq!(data(&mut inbox, info(3, 5, 9), true, b"new").unwrap().1, b"new");
    // Only one is left, and without interleaving the kernel does not say which.
    inbox.note(&aborted(0, 0));
    assert_eq!(data(&mut inbox, info(3, 6, 9), true, b"new").unwrap().1, b"new");
}

#[test]
fn another_sequence_number_begins_another_message() {
    let mut inbox = Inbox::default();
    data(&mut inbox, info(3, 0, 1), false, b"old");
    assert_eq!(data(&mut inbox, info(3, 0, 2), true, b"new").unwrap().1, b"new");
    assert_eq!(inbox.held, 0);
}

#[test]
fn a_notification_in_pieces_is_put_together() {
    let mut inbox = Inbox::default();
    let piece = |end| Piece { info: info(0, 0, 0), notification: true, end };
    let mut buf = b"half".to_vec();
    assert_eq!(inbox.take(&piece(false), &mut buf, LIMIT), None);
    // Data in between is not touched by it.
    assert_eq!(data(&mut inbox, info(3, 0, 0), true, b"data").unwrap().1, b"data");
    let mut buf = b"whole".to_vec();
    assert_eq!(inbox.take(&piece(true), &mut buf, LIMIT), Some(Whole::Notification));
    assert_eq!(buf, b"halfwhole");
    let mut buf = b"next".to_vec();
    assert_eq!(inbox.take(&piece(true), &mut buf, LIMIT), Some(Whole::Notification));
    assert_eq!(buf, b"next");
}

#[test]
fn all_open_messages_together_are_bounded() {
    let mut inbox = Inbox::default();
    for stream in 0..1000 {
        data(&mut inbox, info(3, stream, 0), false, &[0; 500]);
        let kept: usize = inbox.open.values().map(|open| open.bytes.len()).sum();
        assert!(kept <= LIMIT * OPEN_LIMITS + OVERHEAD);
    }
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in(
        messages in proptest::collection::vec((0i32..3, 0u16..3, proptest::collection::vec(1usize..400, 1..4)), 1..20),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        // Per association and stream, messages follow each other; pieces of different ones mix at will.
        let mut queues: BTreeMap<(i32, u16), VecDeque<Sent>> = BTreeMap::new();
        let mut expected: HashMap<(i32, u16), Vec<Option<Vec<u8>>>> = HashMap::new();
        for (number, (assoc, stream, pieces)) in messages.iter().enumerate() {
            let key = (*assoc, *stream);
            let info = info(*assoc, *stream, number as u16);
            let bytes: Vec<Vec<u8>> = pieces.iter().map(|len| vec![number as u8; *len]).collect();
            let all = bytes.concat();
            expected.entry(key).or_default().push((all.len() <= LIMIT).then_some(all));
            for (at, piece) in bytes.iter().enumerate() {
                queues.entry(key).or_default().push_back((info, at + 1 == bytes.len(), piece.clone()));
            }
        }
        let mut inbox = Inbox::default();
        let mut got: HashMap<(i32, u16), Vec<Option<Vec<u8>>>> = HashMap::new();
        let mut order = order.iter();
        while !queues.is_empty() {
            let at = order.next().map_or(0, |index| index.index(queues.len()));
            let key = *queues.keys().nth(at).unwrap();
            let (info, end, bytes) = queues.get_mut(&key).unwrap().pop_front().unwrap();
            if queues[&key].is_empty() {
                queues.remove(&key);
            }
            match data(&mut inbox, info, end, &bytes) {
                Some((Whole::Message(_), bytes)) => got.entry(key).or_default().push(Some(bytes)),
                Some((Whole::TooLong { .. }, _)) => got.entry(key).or_default().push(None),
                _ => {}
            }
        }
        prop_assert_eq!(inbox.held, 0);
        prop_assert_eq!(got, expected);
    }
}
