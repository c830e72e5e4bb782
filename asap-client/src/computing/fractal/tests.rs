//! Whole pictures, at elements that come and go.
#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::{Output, Pace, Part, Run, Taken, Unfit, Work};
use super::*;

fn view(width: u32, height: u32) -> View {
    View::new((width, height), (0.5, 0.1), 2.7, 60, Algorithm::Mandelbrot).unwrap()
}

fn whole(canvas: &Canvas) -> Vec<u32> {
    canvas.values().expect("all points are there")
}

/// Has a band done by elements of which each is lost after so many messages; the last one stays.
fn compute(band: &mut Band, lives: &[usize]) -> u64 {
    let mut request = Some(band.request());
    let mut state = Vec::new();
    for life in lives.iter().copied().chain([usize::MAX]) {
        let mut work = match request.take() {
            Some(request) => Fractal::begin(&request).unwrap(),
            None => Fractal::resume(&state).unwrap(),
        };
        state = work.state();
        for _ in 0..life {
            work.advance(700);
            for message in work.results(true) {
                if band.take(&message).unwrap() == Taken::Done {
                    return band.repeated();
                }
            }
            state = work.state();
        }
    }
    panic!("the last one stays until it is done");
}

fn picture(view: View, rows: u32, lives: &[usize]) -> Vec<u32> {
    let mut canvas = Canvas::new(view).unwrap();
    for mut band in canvas.bands(rows) {
        compute(&mut band, lives);
        canvas.put(&band);
    }
    whole(&canvas)
}

proptest! {
    #[test]
    fn a_picture_is_the_same_however_it_is_split_and_whoever_is_lost(
        (width, height) in (1..40_u32, 1..30_u32),
        middle in (-1.0..1.0, -1.0..1.0),
        distance in prop_oneof![1e-3..0.1, 1e-13..1e-9],
        rows in 1..31_u32,
        lives in prop::collection::vec(0..4_usize, 0..5),
        algorithm in prop_oneof![Just(Algorithm::Mandelbrot), (2..6_u32).prop_map(Algorithm::Power)],
    ) {
        let view = View::new((width, height), middle, distance * f64::from(width), 60, algorithm).unwrap();
        prop_assert_eq!(picture(view, rows, &lives), picture(view, height, &[]));
    }

    #[test]
    fn what_a_message_says_comes_back_as_the_same_octets(x in 0..100_u32, y: u32, values in prop::collection::vec(any::<u32>(), 0..=MOST_POINTS)) {
        let message = Message::Points { x, y, values };
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn no_octets_bring_anybody_down(octets in prop::collection::vec(any::<u8>(), 0..100), x: u32, y: u32, count in 0..=MOST_POINTS) {
        let mut band = Canvas::new(view(20, 10)).unwrap().bands(4).remove(1);
        band.request();
        let _ = (band.take(&octets), Fractal::begin(&octets), Fractal::resume(&octets));
        let _ = band.take(&Message::Points { x, y, values: vec![1; count] }.encode());
        for position in [x % 30, x] {
            let _ = band.take(&Message::Points { x: position, y: y % 8, values: vec![1; count] }.encode());
        }
    }
}

#[test]
fn the_octets_are_rsplibs() {
    let parameters = Parameters {
        width: 120,
        height: 80,
        iterations: 1024,
        algorithm: Algorithm::Mandelbrot,
        from: (-1.5, 1.5),
        to: (1.5, -1.5),
    };
    let sizes = "000000780000005000000400 00000001";
    let plane = "bff8000000000000 3ff8000000000000 3ff8000000000000 bff8000000000000 4000000000000000";
    let message = Message::Parameters(parameters);
    assert_eq!(message.encode(), hex(&format!("0100003c {sizes} {plane}")));
    assert_eq!(Message::decode(&message.encode()), Ok(message));
    let state = State { parameters, x: 7, y: 3 };
    let cookie = hex(&format!("3c46472d5444313e 01000004 {sizes} {plane} 00000007 00000003"));
    assert_eq!((state.encode(), State::decode(&cookie)), (cookie, Ok(state)));
    let points = Message::Points { x: 1, y: 2, values: vec![3, 1024] };
    assert_eq!(points.encode(), hex("02000018 00000001 00000002 00000002 00000003 00000400"));
    assert_eq!(Message::End.encode(), hex("02000010 ffffffff ffffffff 00000000"));
    assert_eq!(Message::decode(&Message::End.encode()), Ok(Message::End));
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

#[test]
fn nothing_is_computed_that_is_out_of_bounds() {
    let good = view(20, 10).rows(0, 10);
    let refused = |parameters: Parameters, what| {
        let request = Message::Parameters(parameters).encode();
        assert_eq!(Fractal::begin(&request).unwrap_err(), Unfit::Value(what));
        let cookie = State { parameters, x: 0, y: 0 }.encode();
        assert_eq!(Fractal::resume(&cookie).unwrap_err(), Unfit::Value(what));
    };
    refused(Parameters { width: 0, ..good }, "size");
    refused(Parameters { height: MOST_SIZE + 1, ..good }, "size");
    refused(Parameters { iterations: MOST_ITERATIONS + 1, ..good }, "iterations");
    refused(Parameters { to: (f64::NAN, 0.0), ..good }, "coordinates");
    refused(Parameters { algorithm: Algorithm::Power(MOST_EXPONENT + 1), ..good }, "algorithm");
    let outside = State { parameters: good, x: 0, y: 11 }.encode();
    assert_eq!(Fractal::resume(&outside).unwrap_err(), Unfit::Value("position"));
    let view = |extent, middle| View::new((20, 10), middle, extent, 60, Algorithm::Mandelbrot);
    for (extent, middle) in
        [(0.0, (0.0, 0.0)), (-1.0, (0.0, 0.0)), (f64::NAN, (0.0, 0.0)), (1e-20, (0.0, 0.0))]
    {
        assert_eq!(view(extent, middle).unwrap_err(), Unfit::Value("extent"));
    }
    assert_eq!(view(1.0, (9.0, 0.0)).unwrap_err(), Unfit::Value("extent"));
    let large = View::new((MOST_SIZE, MOST_SIZE), (0.0, 0.0), 1.0, 60, Algorithm::Mandelbrot).unwrap();
    assert_eq!(Canvas::new(large).unwrap_err(), Unfit::Value("size"));
}

#[test]
fn points_that_were_not_asked_for_or_contradict_others_are_refused() {
    let mut band = Canvas::new(view(20, 10)).unwrap().bands(4).remove(0);
    band.request();
    let points = |x, y, values: &[u32]| Message::Points { x, y, values: values.to_vec() }.encode();
    assert_eq!(band.take(&points(18, 3, &[1, 2])), Ok(Taken::More));
    assert_eq!(band.take(&points(18, 3, &[1, 2, 3])), Err(Unfit::Value("position")), "beyond the last row");
    assert_eq!(band.take(&points(20, 0, &[1])), Err(Unfit::Value("position")));
    assert_eq!(band.take(&points(0, 4, &[1])), Err(Unfit::Value("position")));
    assert_eq!(band.take(&points(0, u32::MAX, &[])), Ok(Taken::More), "nothing is nowhere");
    assert_eq!((band.take(&points(19, 3, &[2])), band.repeated()), (Ok(Taken::More), 1));
    assert_eq!(band.take(&points(19, 3, &[3])), Err(Unfit::Contradiction));
    assert_eq!(band.take(&band.clone().request()), Err(Unfit::Value("answer")));
    assert_eq!((band.take(&Message::End.encode()), band.known()), (Ok(Taken::Missing), 2));
}

#[test]
fn what_is_missing_at_the_end_is_asked_for_again_and_nothing_else() {
    let view = view(20, 10);
    let mut canvas = Canvas::new(view).unwrap();
    let mut band = canvas.bands(10).remove(0);
    let mut work = Fractal::begin(&band.request()).unwrap();
    let mut all = Vec::new();
    while !work.is_done() {
        work.advance(200);
        all.extend(work.results(true));
    }
    let lost = 2..4;
    for (number, message) in all.iter().enumerate() {
        if !lost.contains(&number) {
            let last = number + 1 == all.len();
            assert_eq!(band.take(message), Ok(if last { Taken::Missing } else { Taken::More }));
        }
    }
    let Ok(Message::Parameters(asked)) = Message::decode(&band.request()) else { panic!("it asks") };
    assert!(asked.height < 10 && asked.from.1 < view.rows(0, 10).from.1, "{asked:?}");
    let again = compute(&mut band, &[]);
    assert!(again < u64::from(2 * view.width()), "{again} points came again");
    canvas.put(&band);
    assert_eq!(whole(&canvas), picture(view, 10, &[]));
    assert_eq!(canvas.colours().len(), 3 * 200);
}

#[test]
fn an_element_tells_its_cookies_nothing_that_it_has_not_told_its_user() {
    let band = &mut Canvas::new(view(50, 30)).unwrap().bands(30).remove(0);
    let begin = Instant::now();
    let pace = Pace { capacity: Some(20_000), ..Pace::default() };
    let mut run = Run::<Fractal>::begin(begin, pace, &band.request()).unwrap();
    let (mut now, mut told, mut cookies) = (begin, 0, 0);
    loop {
        while let Some(output) = run.poll_output() {
            match output {
                Output::Message(message) => {
                    if let Ok(Message::Points { values, .. }) = Message::decode(&message) {
                        told += values.len();
                    }
                    band.take(&message).unwrap();
                }
                Output::Cookie(cookie) => {
                    let State { x, y, .. } = State::decode(&cookie).unwrap();
                    assert_eq!((y * 50 + x) as usize, told);
                    cookies += 1;
                }
            }
        }
        let Some(due) = run.poll_timeout() else { break };
        now = now.max(due) + Duration::from_millis(3);
        run.handle_timeout(now, 2);
    }
    assert_eq!((told, band.take(&Message::End.encode())), (1500, Ok(Taken::Done)));
    assert!(cookies >= 3, "{cookies}");
}
