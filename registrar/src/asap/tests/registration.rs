use super::*;
use asap_client::wire::Cause;

#[test]
fn the_first_element_makes_the_pool() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let pool = w.registrar.handlespace().pool(&handle("p")).unwrap();
    let kept = pool.element(1).unwrap();
    assert_eq!(kept.home, 0x1111);
    assert_eq!(kept.owner, Some(A));
    let asap = Transport::Sctp {
        port: 5000,
        use_: TransportUse::DataOnly,
        addresses: vec!["10.0.0.1".parse().unwrap()].into(),
    };
    assert_eq!(kept.asap, asap, "where it was heard from");
}

#[test]
fn an_element_of_another_policy_is_refused_with_the_pools() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let answer = w.register(A, "p", PoolElement { policy: Policy::Random, ..element(2, "10.0.0.1") });
    let Message::RegistrationResponse { rejected: true, error: Some(causes), .. } = answer else {
        panic!("{answer:?}")
    };
    let rr = [0, 8, 0, 8, 0, 0, 0, 1].to_vec();
    assert_eq!(causes, [Cause { code: Cause::INCONSISTENT_POLICY, data: rr }]);
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn an_element_of_another_transport_is_refused_with_one_of_the_pools_type() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let user = Transport::Tcp { port: 7000, address: "10.0.0.1".parse().unwrap() };
    let answer = w.register(A, "p", PoolElement { user, ..element(2, "10.0.0.1") });
    let Message::RegistrationResponse { rejected: true, error: Some(causes), .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(causes[0].code, Cause::INCONSISTENT_TRANSPORT);
    assert_eq!(causes[0].data[..2], [0, 4], "an SCTP transport");
}

#[test]
fn an_element_of_another_use_is_refused() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let user = Transport::Sctp {
        port: 7000,
        use_: TransportUse::DataOnly,
        addresses: vec!["10.0.0.1".parse().unwrap()].into(),
    };
    let answer = w.register(A, "p", PoolElement { user, ..element(2, "10.0.0.1") });
    assert_eq!(cause_of(&answer), Some(Cause::INCONSISTENT_CONTROL));
}

#[test]
fn an_unknown_policy_is_refused_with_itself() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    let policy = Policy::Unknown { code: 0xb000_2004, data: vec![0, 0, 0, 5] };
    let answer = w.register(A, "p", PoolElement { policy, ..element(1, "10.0.0.1") });
    let Message::RegistrationResponse { rejected: true, error: Some(causes), .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(causes, [Cause::invalid_values(&[0, 8, 0, 12, 0xb0, 0, 0x20, 4, 0, 0, 0, 5])]);
    assert!(w.registrar.handlespace().is_empty());
}

#[test]
fn a_life_or_port_that_means_nothing_is_refused() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    for life in [0, -2, i32::MIN] {
        let answer = w.register(A, "p", PoolElement { life, ..element(1, "10.0.0.1") });
        assert_eq!(cause_of(&answer), Some(Cause::INVALID_VALUES));
    }
    let user = sctp(0, &["10.0.0.1"]);
    let answer = w.register(A, "p", PoolElement { user, ..element(1, "10.0.0.1") });
    assert_eq!(cause_of(&answer), Some(Cause::INVALID_VALUES));
}

#[test]
fn only_the_associations_addresses_are_kept() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1", "fd00::1"]);
    let user = sctp(7000, &["10.0.0.9", "fd00::1", "10.0.0.1", "10.0.0.1"]);
    w.registered(A, "p", PoolElement { user, ..element(1, "10.0.0.1") });
    let kept: Vec<IpAddr> = vec!["fd00::1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    assert_eq!(w.seen("p"), [(1, kept)]);
    let answer = w.register(A, "p", element(2, "10.0.0.9"));
    assert_eq!(cause_of(&answer), Some(Cause::INVALID_VALUES), "none is left");
}

#[test]
fn loopback_addresses_are_for_loopback_associations() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1", "127.0.0.1"]);
    assert_eq!(cause_of(&w.register(A, "p", element(1, "127.0.0.1"))), Some(Cause::INVALID_VALUES));
    w.up(B, &["127.0.0.1", "10.0.0.2"]);
    w.registered(B, "p", element(2, "127.0.0.1"));
    let user = sctp(7000, &["127.0.0.1", "10.0.0.2"]);
    w.registered(B, "p", PoolElement { user, ..element(3, "127.0.0.1") });
    let lo: IpAddr = "127.0.0.1".parse().unwrap();
    let real: IpAddr = "10.0.0.2".parse().unwrap();
    assert_eq!(w.seen("p"), [(2, vec![lo]), (3, vec![real])], "others cannot use a loopback address");
    let mut w = World::with(Settings { allow_loopback: true, ..Settings::default() });
    w.up(A, &["10.0.0.1", "127.0.0.1"]);
    w.registered(A, "p", element(1, "127.0.0.1"));
}

#[test]
fn link_local_addresses_are_left_out() {
    let mut w = World::new();
    w.up(A, &["fd00::1", "fe80::1"]);
    let user = sctp(7000, &["fe80::1", "fd00::1"]);
    w.registered(A, "p", PoolElement { user, ..element(1, "fd00::1") });
    assert_eq!(w.seen("p"), [(1, vec!["fd00::1".parse().unwrap()])]);
}

#[test]
fn a_registration_ends_with_its_life_and_the_element_is_told() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", PoolElement { life: 10, ..element(1, "10.0.0.1") });
    w.pass(second(9));
    w.registered(A, "p", PoolElement { life: 10, ..element(1, "10.0.0.1") });
    w.pass(second(9));
    assert_eq!(w.seen("p").len(), 1, "it registered again");
    w.pass(second(1));
    assert!(w.seen("p").is_empty());
    let told = Message::DeregistrationResponse { handle: handle("p"), id: 1, error: None };
    assert_eq!(w.one(A), told);
}

#[test]
fn a_registration_for_ever_does_not_end() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", PoolElement { life: 5, ..element(1, "10.0.0.1") });
    w.registered(A, "p", PoolElement { life: -1, ..element(1, "10.0.0.1") });
    w.pass(second(100_000_000));
    assert_eq!(w.seen("p").len(), 1);
}

#[test]
fn an_element_deregisters_and_the_pool_goes_with_the_last() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.say(A, &Message::Deregistration { handle: handle("p"), id: 1 });
    assert_eq!(w.one(A), Message::DeregistrationResponse { handle: handle("p"), id: 1, error: None });
    assert!(w.registrar.handlespace().is_empty());
}

#[test]
fn deregistering_what_is_not_there_is_answered_with_success() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.say(A, &Message::Deregistration { handle: handle("p"), id: 9 });
    assert_eq!(w.one(A), Message::DeregistrationResponse { handle: handle("p"), id: 9, error: None });
}

#[test]
fn a_foreign_host_cannot_deregister_an_element_but_its_own_host_can() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.up(C, &["10.0.0.1"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    let ask = Message::Deregistration { handle: handle("p"), id: 1 };
    w.say(B, &ask);
    assert_eq!(cause_of(&w.one(B)), Some(Cause::SECURITY));
    assert_eq!(w.seen("p").len(), 1);
    assert!(w.events.iter().any(|e| matches!(e, Event::NotDeregistered { association: B, id: 1, .. })));
    assert_eq!(w.registrar.counters().deregistrations_refused, 1);
    w.say(C, &ask);
    assert_eq!(cause_of(&w.one(C)), None);
    assert!(w.seen("p").is_empty());
}

#[test]
fn the_end_of_the_owners_association_removes_its_elements() {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    w.registered(A, "p", element(1, "10.0.0.1"));
    w.registered(A, "q", element(2, "10.0.0.1"));
    w.registered(B, "p", element(3, "10.0.0.2"));
    w.down(A);
    assert_eq!(w.seen("p").len(), 1);
    assert!(w.seen("q").is_empty());
}
