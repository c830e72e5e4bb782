use proptest::prelude::*;

use super::*;

fn pool(name: &str) -> PoolHandle {
    name.parse().unwrap()
}

fn ring() -> KeyRing {
    KeyRing::new(1, &[0x11; 32])
}

fn cookie(state: &[u8]) -> Cookie {
    Cookie {
        session: SessionId([9; 24]),
        sequence: 3,
        issued: 1_795_000_000_000,
        issuer: 0x1a2b_3c4d,
        counts: Counts { received: 5, sent: 4 },
        state: state.to_vec(),
    }
}

fn sealed(ring: &KeyRing, state: &[u8]) -> Vec<u8> {
    let handle = pool("EchoPool");
    seal(ring, Bound { handle: &handle, user: b"alice" }, &cookie(state), [7; 24]).unwrap()
}

fn opened(ring: &KeyRing, octets: &[u8]) -> Result<Cookie, Refusal> {
    let handle = pool("EchoPool");
    open(ring, Bound { handle: &handle, user: b"alice" }, octets)
}

#[test]
fn what_was_sealed_is_opened_by_whoever_has_the_key() {
    let octets = sealed(&ring(), b"the state");
    assert_eq!(octets.len(), OVERHEAD + "EchoPool".len() + "alice".len() + "the state".len());
    assert_eq!(opened(&ring(), &octets), Ok(cookie(b"the state")));
}

#[test]
fn the_state_is_not_to_be_read_in_the_cookie() {
    let octets = sealed(&ring(), b"the state");
    assert!(!octets.windows(9).any(|part| part == b"the state"));
    assert_eq!(counts(&octets), Some(Counts { received: 5, sent: 4 }));
}

/// The octets of `cookie/tests.hex` were made by another implementation of XChaCha20-Poly1305 (see there).
#[test]
fn the_format_is_the_documented_one_octet_for_octet() {
    let golden: Vec<u8> = include_str!("tests.hex")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect();
    assert_eq!(sealed(&ring(), b"the state"), golden);
    assert_eq!(opened(&ring(), &golden), Ok(cookie(b"the state")));
}

#[test]
fn a_cookie_of_any_other_key_is_refused() {
    let octets = sealed(&KeyRing::new(1, &[0x12; 32]), b"state");
    assert_eq!(opened(&ring(), &octets), Err(Refusal::Forged));
    let octets = sealed(&KeyRing::new(2, &[0x11; 32]), b"state");
    assert_eq!(opened(&ring(), &octets), Err(Refusal::UnknownKey));
}

#[test]
fn a_key_that_is_being_replaced_still_opens_what_it_has_sealed() {
    let octets = sealed(&ring(), b"state");
    let next = KeyRing::new(2, &[0x22; 32]).accept(1, &[0x11; 32]);
    assert_eq!(opened(&next, &octets), Ok(cookie(b"state")));
    assert_eq!(opened(&ring(), &sealed(&next, b"state")), Err(Refusal::UnknownKey));
}

#[test]
fn a_cookie_of_another_pool_or_user_is_refused() {
    let (octets, handle) = (sealed(&ring(), b"state"), pool("EchoPool"));
    let other = pool("OtherPool");
    let bound = Bound { handle: &other, user: b"alice" };
    assert_eq!(open(&ring(), bound, &octets), Err(Refusal::OtherPool));
    let bound = Bound { handle: &handle, user: b"mallory" };
    assert_eq!(open(&ring(), bound, &octets), Err(Refusal::OtherUser));
}

#[test]
fn what_is_no_cookie_of_this_library_is_refused_as_foreign() {
    let rsplib = b"<PP-TD1>\0\0\0\0\0\0\0\x02";
    assert_eq!(opened(&ring(), rsplib), Err(Refusal::Foreign));
    assert_eq!(opened(&ring(), b""), Err(Refusal::Foreign));
    assert_eq!(counts(rsplib), None);
}

#[test]
fn what_does_not_fit_into_a_message_is_not_sealed() {
    let handle = pool("p");
    let bound = Bound { handle: &handle, user: b"" };
    let most = MAX - OVERHEAD - 1;
    assert_eq!(seal(&ring(), bound, &cookie(&vec![0; most]), [7; 24]).unwrap().len(), MAX);
    assert_eq!(seal(&ring(), bound, &cookie(&vec![0; most + 1]), [7; 24]), None);
    let echo = crate::wire::Message::CookieEcho(vec![0; MAX]).encode();
    assert!(!echo.is_empty());
}

proptest! {
    #[test]
    fn any_state_comes_back_as_it_was(state in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(opened(&ring(), &sealed(&ring(), &state)), Ok(cookie(&state)));
    }

    #[test]
    fn a_cookie_with_any_bit_changed_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut octets = sealed(&ring(), b"state");
        let at = at.index(octets.len());
        octets[at] ^= 1 << bit;
        let why = opened(&ring(), &octets).unwrap_err();
        let expected = match at {
            0..4 => Refusal::Foreign,
            4..6 => Refusal::Truncated,
            8..12 => Refusal::UnknownKey,
            _ => Refusal::Forged,
        };
        prop_assert_eq!(why, expected);
    }

    #[test]
    fn a_cookie_cut_short_or_lengthened_is_refused(at in any::<prop::sample::Index>(), more in 1..20_usize) {
        let mut octets = sealed(&ring(), b"state");
        let cut = at.index(octets.len());
        let expected = if cut < 4 { Refusal::Foreign } else { Refusal::Truncated };
        prop_assert_eq!(opened(&ring(), &octets[..cut]), Err(expected));
        octets.resize(octets.len() + more, 0);
        prop_assert_eq!(opened(&ring(), &octets), Err(Refusal::Truncated));
    }

    #[test]
    fn octets_of_any_kind_are_refused_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(opened(&ring(), &octets).is_err());
        let mut mine = b"RSC1".to_vec();
        mine.extend_from_slice(&octets);
        prop_assert!(opened(&ring(), &mine).is_err());
    }
}
