//! Which registrar is home: found, lost, silent, taken over; and who else sets up associations.

use super::*;

#[test]
fn a_registrar_that_announces_itself_becomes_home_and_is_tried_no_more_once_it_is_silent() {
    let mut world = World::new(0);
    world.give(Input::Register(element()));
    world.give(Input::Local(vec![ip(1)]));
    assert_eq!(world.client.poll_timeout(), None, "nobody to be asked");
    let heard = || Input::Announced { server: 7, addresses: vec![registrar(1)] };
    let opened = |seen: &[Seen]| {
        seen.iter().find_map(|seen| match seen {
            Seen::Open(link, _, remote) => Some((*link, remote.clone())),
            _ => None,
        })
    };
    let (link, remote) = opened(&world.give(heard())).expect("it is asked at once");
    assert_eq!(remote, [registrar(1)]);
    assert_eq!(opened(&world.give(heard())), None);
    world.give(Input::Up(link));
    assert!(world.client.is_home_up());
    assert!(opened(&world.give(Input::Down(link))).is_some(), "it is looked for again");
    let end = world.now + Timers::default().t7_outdate * 3;
    let mut last = world.now;
    while let Some(at) = world.client.poll_timeout().filter(|at| *at <= end) {
        world.now = at;
        world.client.handle_timeout(at);
        let seen = world.seen();
        if let Some((link, _)) = opened(&seen) {
            last = at;
            world.give(Input::Down(link));
        }
    }
    assert!(last < end - Timers::default().t7_outdate, "for T7 only");
    assert!(opened(&world.give(heard())).is_some(), "until it is heard again");
}

#[test]
fn with_several_unknown_registrars_only_the_first_to_connect_is_spoken_to() {
    let mut world = World::new(3);
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    let links = opened(&seen);
    assert_eq!(links.len(), 3);
    assert!(links.iter().all(|link| said(&seen, *link).is_empty()));
    let seen = world.give(Input::Up(links[1]));
    assert_eq!(registered(&said(&seen, links[1])), [[ip(1)]]);
    assert!(seen.contains(&Seen::Close(links[0])) && seen.contains(&Seen::Close(links[2])));
}

#[test]
fn without_a_seed_the_first_of_the_list_is_spoken_to_at_once() {
    let registrars = (1..=3).map(|last| vec![registrar(last)]).collect();
    let mut world = World::with(Config { registrars, timers: Timers::default(), seed: None });
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    assert!(matches!(&seen[1], Seen::Open(_, _, remote) if *remote == [registrar(1)]));
    assert_eq!(registered(&said(&seen, opened(&seen)[0])), [[ip(1)]]);
    let seen = world.give(Input::Down(opened(&seen)[0]));
    let order: Vec<_> =
        seen.iter().filter_map(|s| if let Seen::Open(_, _, r) = s { Some(r[0]) } else { None }).collect();
    assert_eq!(order, [registrar(2), registrar(3)]);
}

#[test]
fn when_the_association_is_lost_another_registrar_is_tried_before_the_same() {
    let mut world = World::with(Config {
        registrars: (1..=2).map(|last| vec![registrar(last)]).collect(),
        timers: Timers { at_once: 1, ..Timers::default() },
        seed: Some(1),
    });
    world.give(Input::Register(element()));
    let first = world.local(&[1]);
    let link = opened(&first)[0];
    world.give(Input::Up(link));
    let seen = world.give(Input::Down(link));
    assert!(seen.contains(&Seen::Event(Event::HomeLost)));
    let (Seen::Open(_, _, before), Seen::Open(_, _, now)) = (&first[1], &seen[0]) else { panic!("{seen:?}") };
    assert_ne!(before, now);
}

#[test]
fn a_single_registrar_that_refuses_is_tried_again_with_pauses_and_registered_at_when_it_is_back() {
    let mut world = World::new(1);
    world.give(Input::Register(element()));
    let mut link = opened(&world.local(&[1]))[0];
    for pause in [1000, 2000, 4000] {
        assert_eq!(world.give(Input::Down(link)), []);
        let (millis, seen) = world.wait();
        assert_eq!(millis, pause);
        link = opened(&seen)[0];
        assert_eq!(registered(&said(&seen, link)), [[ip(1)]]);
    }
    world.give(Input::Up(link));
    assert!(matches!(world.hear(link, &accepted())[..], [Seen::Event(Event::Registered { .. })]));
}

#[test]
fn a_home_that_does_not_answer_is_hunted_for_from_another_port_and_then_left() {
    let mut world = World::new(1);
    world.give(Input::Register(element()));
    let link = opened(&world.local(&[1]))[0];
    world.give(Input::Up(link));
    let (millis, seen) = world.wait();
    assert_eq!(millis, 30_000);
    bound(&seen);
    let second = opened(&seen)[0];
    assert_eq!(said(&seen, second), Vec::<&Message>::new());
    let seen = world.give(Input::Up(second));
    assert_eq!(registered(&said(&seen, second)), [[ip(1)]]);
}

#[test]
fn a_home_that_answers_after_all_stays_home() {
    let mut world = World::new(2);
    world.give(Input::Register(element()));
    let links = opened(&world.local(&[1]));
    world.give(Input::Up(links[0]));
    let (_, seen) = world.wait();
    let hunted = opened(&seen);
    let seen = world.hear(links[0], &accepted());
    assert!(hunted.iter().all(|link| seen.contains(&Seen::Close(*link))));
    assert_eq!(world.give(Input::Up(hunted[0])), [], "it has been given up");
}

#[test]
fn a_registrar_that_begins_the_association_anew_is_told_everything_again() {
    let (mut world, pe, pu) = World::settled();
    assert_eq!(registered(&said(&world.give(Input::Restarted(pe)), pe)), [[ip(1)]]);
    assert!(matches!(said(&world.give(Input::Restarted(pu)), pu)[..], [Message::HandleResolution { .. }]));
}

#[test]
fn registrars_of_a_family_that_the_host_does_not_have_are_passed_over() {
    let six: SocketAddr = "[2001:db8::1]:3863".parse().unwrap();
    let registrars = vec![vec![six], vec![registrar(1), six]];
    let mut world = World::with(Config { registrars, timers: Timers::default(), seed: Some(1) });
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    let [Seen::Bind(..), Seen::Open(_, _, remote)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(remote, &[registrar(1)]);
}

#[test]
fn a_listed_registrar_that_takes_over_becomes_home_and_hears_everything() {
    let mut world = World::new(2);
    world.give(Input::Register(element()));
    let seen = world.local(&[1]);
    let (port, links) = (bound(&seen), opened(&seen));
    world.give(Input::Up(links[0]));
    world.hear(links[0], &accepted());
    let Seen::Open(_, _, home) = &seen[1] else { panic!("{seen:?}") };
    let other = if home[0] == registrar(1) { registrar(2) } else { registrar(1) };
    let theirs = LinkId::Theirs(1);
    assert_eq!(world.give(Input::Accepted { link: theirs, port, peer: vec![other] }), []);
    let seen = world.hear(theirs, &keep_alive(true));
    assert!(matches!(
        said(&seen, theirs)[..],
        [Message::EndpointKeepAliveAck { .. }, Message::Registration { .. }]
    ));
    assert!(seen.contains(&Seen::Event(Event::Home { registrar: vec![other] })));
    assert!(world.hear(theirs, &accepted()).contains(&Seen::Close(links[0])));
}

#[test]
fn a_stranger_that_claims_to_be_home_is_not_believed() {
    let (mut world, home, _) = World::settled();
    let theirs = LinkId::Theirs(1);
    world.give(Input::Accepted { link: theirs, port: PortId(1), peer: vec![registrar(66)] });
    assert!(matches!(world.hear(theirs, &keep_alive(true))[..], [Seen::Say(..)]));
    assert_eq!(said(&world.give(Input::Register(ElementConfig { port: 8, ..element() })), home).len(), 1);
}

#[test]
fn an_association_over_which_a_registrar_asks_nothing_is_ended_after_a_while() {
    let (mut world, ..) = World::settled();
    let [idle, used] = [1, 2].map(LinkId::Theirs);
    for link in [idle, used] {
        world.give(Input::Accepted { link, port: PortId(1), peer: vec![registrar(7)] });
    }
    world.hear(used, &keep_alive(false));
    let (millis, seen) = world.wait();
    assert_eq!((millis, &seen[..]), (10_000, &[Seen::Close(idle)][..]));
    assert!(matches!(world.hear(used, &keep_alive(false))[..], [Seen::Say(to, _)] if to == used));
}

#[test]
fn of_two_associations_by_which_a_registrar_asks_the_older_ends_when_it_asks_over_it_no_more() {
    let (mut world, ..) = World::settled();
    let [older, younger, others] = [1, 2, 3].map(LinkId::Theirs);
    for (link, from) in [(older, 7), (younger, 7), (others, 8)] {
        world.give(Input::Accepted { link, port: PortId(1), peer: vec![registrar(from)] });
        world.hear(link, &keep_alive(false));
    }
    let mut ended = Vec::new();
    for second in 1..=120 {
        world.now += Duration::from_secs(1);
        world.client.handle_timeout(world.now);
        let closed = world.seen().into_iter().filter(|seen| matches!(seen, Seen::Close(_)));
        ended.extend(closed.map(|seen| (second, seen)));
        // Over the older one it asks, too, but not for long.
        if second <= 60 && second % 15 == 0 {
            world.hear(older, &keep_alive(false));
        }
        if second % 30 == 0 {
            world.hear(younger, &keep_alive(false));
        }
    }
    assert_eq!(ended, [(80, Seen::Close(older))], "and what another one asks over once stays");
}

#[test]
fn strangers_cannot_pile_up_associations() {
    let (mut world, ..) = World::settled();
    let accept = |n| Input::Accepted { link: LinkId::Theirs(n), port: PortId(1), peer: vec![registrar(66)] };
    for n in 0..16 {
        assert_eq!(world.give(accept(n)), []);
    }
    assert_eq!(world.give(accept(16)), [Seen::Close(LinkId::Theirs(16))]);
}

#[test]
fn a_registrar_is_home_as_long_as_it_is_that_of_elements_or_users() {
    let (mut world, pe, pu) = World::settled();
    assert!(!world.give(Input::Down(pu)).contains(&Seen::Event(Event::HomeLost)));
    assert!(world.give(Input::Down(pe)).contains(&Seen::Event(Event::HomeLost)));
}
