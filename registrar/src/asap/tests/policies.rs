//! Pools of every policy, from the registration to the response.

#[path = "../../../../asap-client/tests/common/every_policy.rs"]
mod every_policy;

use super::*;
use asap_client::wire::Cause;
use every_policy::every_policy;

fn pool_of(policies: &[Policy]) -> World {
    let mut w = World::new();
    w.up(A, &["10.0.0.1"]);
    w.up(B, &["10.0.0.2"]);
    for (id, policy) in (1..).zip(policies) {
        w.registered(A, "p", PoolElement { policy: policy.clone(), ..element(id, "10.0.0.1") });
    }
    w
}

#[test]
fn every_known_policy_is_accepted_and_said_in_the_response() {
    for policy in every_policy([50, 3, 10, 20, 30, 40]) {
        let mut w = pool_of(&vec![policy.clone(); 3]);
        let answer = w.resolve(B, "p", None);
        let mut named = ids(&answer);
        named.sort_unstable();
        assert_eq!(named, [1, 2, 3], "{policy:?}");
        let Message::HandleResolutionResponse { policy: said, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(said, Some(policy));
    }
}

#[test]
fn an_element_of_another_policy_is_refused_with_the_pools_whatever_it_is() {
    let mut w = pool_of(&[Policy::WeightedRandom { weight: 5 }]);
    let answer = w.register(A, "p", element(2, "10.0.0.1"));
    let Message::RegistrationResponse { rejected: true, error: Some(causes), .. } = answer else {
        panic!("{answer:?}")
    };
    let wrand = [0, 8, 0, 12, 0, 0, 0, 4, 0, 0, 0, 5].to_vec();
    assert_eq!(causes, [Cause { code: Cause::INCONSISTENT_POLICY, data: wrand }]);
    let other = Policy::WeightedRandom { weight: 7 };
    w.registered(A, "p", PoolElement { policy: other, ..element(2, "10.0.0.1") });
}

#[test]
fn the_least_used_element_is_named_first_and_a_new_load_counts_from_the_registration_on() {
    let lu = |load| Policy::LeastUsed { load };
    let mut w = pool_of(&[lu(30), lu(10), lu(20)]);
    assert_eq!(ids(&w.resolve(B, "p", None)), [2, 3, 1]);
    assert_eq!(ids(&w.resolve(B, "p", Some(1))), [2]);
    w.registered(A, "p", PoolElement { policy: lu(5), ..element(1, "10.0.0.1") });
    assert_eq!(ids(&w.resolve(B, "p", None)), [1, 2, 3]);
}

#[test]
fn degradation_counts_responses_but_not_pushes_and_a_registration_ends_it() {
    let lud = |load| Policy::LeastUsedDegradation { load, degradation: 10 };
    let mut w = pool_of(&[lud(0), lud(5)]);
    assert_eq!(ids(&w.subscribe(B, "p")), [1, 2]);
    // 10 and 15. Each push names both.
    for load in [100, 200, 300] {
        w.registered(A, "p", PoolElement { policy: lud(load), ..element(3, "10.0.0.1") });
        assert_eq!(ids(&w.one(B)), [1, 2, 3]);
    }
    assert_eq!(ids(&w.resolve(B, "p", Some(1))), [1]);
    assert_eq!(ids(&w.resolve(B, "p", Some(1))), [2], "20 and 15");
    w.registered(A, "p", PoolElement { policy: lud(5), ..element(2, "10.0.0.1") });
    assert_eq!(ids(&w.resolve(B, "p", Some(1))), [2], "20 and 5");
}

#[test]
fn a_pool_without_any_weight_is_there_but_names_nobody() {
    let mut w = pool_of(&[Policy::WeightedRoundRobin { weight: 0 }]);
    let answer = w.resolve(B, "p", None);
    assert_eq!(cause_of(&answer), None);
    assert!(ids(&answer).is_empty());
}
