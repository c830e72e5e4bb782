//! What the kernel reports, and keeps silent about, when a host's network changes; and what we make of it.

mod common;

use common::{in_namespace, ip, ip_all, run, small_buffer, start, until, until_verdict, uplink};
use roam_agent::config::Config;
use roam_agent::net::{Change, Monitor, Unusable, diff};

const OK: Option<Result<(), Unusable>> = Some(Ok(()));

fn not(reason: Unusable) -> Option<Result<(), Unusable>> {
    Some(Err(reason))
}

#[test]
fn an_address_is_usable_only_when_a_route_leads_out() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        until_verdict(&mut views, "10.1.0.2", not(Unusable::NoRoute)).await;
        ip("route add default via 10.1.0.1 dev u1");
        let view = until_verdict(&mut views, "10.1.0.2", OK).await;
        let local = view.find("10.1.0.2".parse().unwrap()).unwrap();
        assert_eq!(local.gateway, Some("10.1.0.1".parse().unwrap()));
        assert_eq!((local.interface.as_str(), local.prefix), ("u1", 24));
    });
}

#[test]
fn what_was_there_before_the_start_is_seen_at_once() {
    in_namespace(|| async {
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        let (_monitor, views) = start(&Config::default()).await;
        assert!(views.borrow().is_usable("10.1.0.2".parse().unwrap()));
    });
}

#[test]
fn without_a_default_route_a_peer_within_reach_makes_an_address_usable() {
    in_namespace(|| async {
        let (monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        until_verdict(&mut views, "10.1.0.2", not(Unusable::NoRoute)).await;
        monitor.set_peers(["10.1.0.7".parse().unwrap()].into());
        let view = until_verdict(&mut views, "10.1.0.2", OK).await;
        let local = view.find("10.1.0.2".parse().unwrap()).unwrap();
        assert!(local.reaches("10.1.0.7".parse().unwrap()) && !local.reaches("10.2.0.7".parse().unwrap()));
    });
}

#[test]
fn another_configuration_judges_anew() {
    in_namespace(|| async {
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        let (monitor, mut views) = start(&Config::default()).await;
        until_verdict(&mut views, "10.1.0.2", OK).await;
        let without = Config::parse("x".as_ref(), "[interfaces]\ndeny = [\"u*\"]\n").unwrap();
        monitor.set_config(&without);
        until_verdict(&mut views, "10.1.0.2", not(Unusable::InterfaceDenied)).await;
        monitor.set_config(&Config::default());
        until_verdict(&mut views, "10.1.0.2", OK).await;
    });
}

#[test]
fn lost_carrier_overrules_the_routes_that_stay() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.2", OK).await;
        ip("link set pu1 down");
        let view = until_verdict(&mut views, "10.1.0.2", not(Unusable::NoCarrier)).await;
        assert!(!view.find("10.1.0.2".parse().unwrap()).unwrap().routes.is_empty());
        ip("link set pu1 up");
        until_verdict(&mut views, "10.1.0.2", OK).await;
    });
}

#[test]
fn a_link_taken_down_and_up_has_lost_its_default_route_without_a_word() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.2", OK).await;
        ip("link set u1 down");
        until_verdict(&mut views, "10.1.0.2", not(Unusable::LinkDown)).await;
        ip("link set u1 up");
        until_verdict(&mut views, "10.1.0.2", not(Unusable::NoRoute)).await;
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.2", OK).await;
    });
}

#[test]
fn deleting_the_address_removes_the_default_route_without_a_word() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.2", OK).await;
        ip("addr del 10.1.0.2/24 dev u1");
        until_verdict(&mut views, "10.1.0.2", None).await;
        ip("addr add 10.1.0.3/24 dev u1");
        until_verdict(&mut views, "10.1.0.3", not(Unusable::NoRoute)).await;
    });
}

#[test]
fn deleting_a_primary_address_takes_its_secondaries_along() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("addr add 10.1.0.3/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.3", OK).await;
        run("sysctl", "-qw net.ipv4.conf.u1.promote_secondaries=0");
        ip("addr del 10.1.0.2/24 dev u1");
        until_verdict(&mut views, "10.1.0.3", None).await;
    });
}

#[test]
fn the_router_is_asked_for_before_anything_is_sent() {
    in_namespace(|| async {
        let (monitor, mut views) = start(&Config::default()).await;
        monitor.set_peers(["10.3.0.2".parse().unwrap()].into());
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        // It is asked for before the view is published.
        until_verdict(&mut views, "10.1.0.2", OK).await;
        let known = ip("neigh show dev u1");
        assert!(known.contains("10.1.0.1"), "{known}");
    });
}

#[test]
fn an_ipv6_address_is_usable_when_duplicate_address_detection_is_over() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add fd00:1::2/64 dev u1");
        ip("route add default via fd00:1::1 dev u1");
        until_verdict(&mut views, "fd00:1::2", not(Unusable::Tentative)).await;
        until_verdict(&mut views, "fd00:1::2", OK).await;
        ip("addr change fd00:1::2/64 dev u1 preferred_lft 0 valid_lft 1000");
        until_verdict(&mut views, "fd00:1::2", not(Unusable::Deprecated)).await;
        ip("link set u1 down");
        until_verdict(&mut views, "fd00:1::2", None).await;
    });
}

#[test]
fn an_address_that_somebody_else_has_is_never_usable() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add fd00:1::2/64 dev pu1 nodad");
        ip("addr add fd00:1::2/64 dev u1");
        ip("route add default via fd00:1::1 dev u1");
        let address: std::net::IpAddr = "fd00:1::2".parse().unwrap();
        until(&mut views, "a duplicate", |view| {
            let on_u1 = view.addresses.iter().find(|l| l.address == address && l.interface == "u1");
            assert!(on_u1.is_none_or(|local| !local.usable()));
            on_u1.is_some_and(|local| local.verdict == Err(Unusable::Duplicate))
        })
        .await;
    });
}

#[test]
fn a_link_that_goes_takes_everything_along_with_one_event() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("addr add 10.1.0.3/24 dev u1");
        ip("route add default via 10.1.0.1 dev u1");
        let before = until_verdict(&mut views, "10.1.0.3", OK).await;
        ip("link del u1");
        let after = until_verdict(&mut views, "10.1.0.3", None).await;
        let gone = |change: &Change| matches!(change, Change::Gone { .. });
        assert!(diff(&before, &after).iter().any(gone));
    });
}

#[test]
fn interfaces_that_the_configuration_keeps_out_stay_out() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("docker0");
        ip("addr add 172.17.0.1/16 dev docker0");
        ip("route add default via 172.17.0.9 dev docker0");
        until_verdict(&mut views, "172.17.0.1", not(Unusable::InterfaceDenied)).await;
    });
}

#[test]
fn link_local_addresses_are_never_usable() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        ip("addr add 169.254.7.7/16 dev u1");
        until_verdict(&mut views, "169.254.7.7", not(Unusable::LinkLocal)).await;
        let fe80 = |view: &std::sync::Arc<roam_agent::net::View>| {
            let on_u1 = view.addresses.iter().find(|l| l.interface == "u1" && l.address.is_ipv6());
            on_u1.is_some_and(|local| local.verdict == Err(Unusable::LinkLocal))
        };
        until(&mut views, "fe80:: link-local", fe80).await;
    });
}

#[test]
fn a_renewed_lifetime_is_no_news() {
    in_namespace(|| async {
        let (monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        run("sysctl", "-qw net.ipv6.conf.u1.disable_ipv6=1 net.ipv6.conf.pu1.disable_ipv6=1");
        ip("addr add 10.1.0.2/24 dev u1 valid_lft 1000 preferred_lft 1000");
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.2", OK).await;
        let before = monitor.counters();
        views.mark_unchanged();
        ip_all((2000..2020).map(|lifetime| {
            format!("addr change 10.1.0.2/24 dev u1 valid_lft {lifetime} preferred_lft {lifetime}")
        }));
        ip("addr add 10.1.0.77/24 dev u1"); // the next news
        views.changed().await.unwrap();
        assert!(views.borrow().find("10.1.0.77".parse().unwrap()).is_some());
        assert!(monitor.counters().events >= before.events + 20);
    });
}

#[test]
fn after_an_overrun_everything_is_looked_at_again() {
    in_namespace(|| async {
        let (monitor, mut views) = Monitor::start(&small_buffer()).await.unwrap();
        uplink("u1");
        ip_all((0..500).map(|n| format!("addr add 10.1.{}.{}/24 dev u1", n / 250, n % 250 + 2)));
        ip("addr del 10.1.0.2/24 dev u1");
        ip("route add default via 10.1.1.1 dev u1");
        until_verdict(&mut views, "10.1.1.251", OK).await;
        assert!(monitor.counters().overruns >= 1, "{:?}", monitor.counters());
        let counters = monitor.counters();
        assert!(counters.resyncs <= 3, "looks at everything are rate-limited: {counters:?}");
        // It still hears single events afterwards.
        ip("addr add 10.9.0.2/24 dev u1");
        until_verdict(&mut views, "10.9.0.2", OK).await;
    });
}

#[test]
fn a_replaced_default_route_moves_usability_to_the_other_interface() {
    in_namespace(|| async {
        let (_monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        uplink("u2");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("addr add 10.2.0.2/24 dev u2");
        ip("route add default via 10.1.0.1 dev u1");
        until_verdict(&mut views, "10.1.0.2", OK).await;
        ip("route replace default via 10.2.0.1 dev u2");
        until_verdict(&mut views, "10.2.0.2", OK).await;
        until_verdict(&mut views, "10.1.0.2", not(Unusable::NoRoute)).await;
    });
}

#[test]
fn where_routes_are_not_ours_an_address_must_leave_by_its_own_interface() {
    in_namespace(|| async {
        let mut config = Config::default();
        config.agent.manage_routes = false;
        let (monitor, mut views) = start(&config).await;
        uplink("u1");
        uplink("u2");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("addr add 10.2.0.2/24 dev u2");
        monitor.set_peers(["203.0.113.1".parse().unwrap()].into());
        ip("route add default via 10.1.0.1 dev u1 metric 1");
        ip("route add default via 10.2.0.1 dev u2 metric 2");
        let u1 = nix::net::if_::if_nametoindex("u1").unwrap();
        let leaves_by_u1 = Unusable::NoSourceRoute { leaves_by: Some(u1) };
        until_verdict(&mut views, "10.2.0.2", not(leaves_by_u1)).await;
        until_verdict(&mut views, "10.1.0.2", OK).await;
        ip("route add default via 10.2.0.1 dev u2 table 100");
        ip("rule add from 10.2.0.2 lookup 100");
        until_verdict(&mut views, "10.2.0.2", OK).await;
        ip("rule del from 10.2.0.2 lookup 100");
        until_verdict(&mut views, "10.2.0.2", not(Unusable::NoSourceRoute { leaves_by: Some(u1) })).await;
    });
}

#[test]
fn a_resync_finds_nothing_new_when_all_events_were_understood() {
    in_namespace(|| async {
        let (monitor, mut views) = start(&Config::default()).await;
        uplink("u1");
        uplink("u2");
        ip("addr add 10.1.0.2/24 dev u1");
        ip("addr add fd00:1::2/64 dev u2 nodad");
        ip("route add default via 10.1.0.1 dev u1");
        ip("route add 10.77.0.0/16 proto static nexthop via 10.1.0.1 nexthop via 10.1.0.9");
        ip("route add default via fd00:1::1 dev u2");
        ip("route add fd77::/64 via fd00:1::1 dev u2 metric 5");
        ip("route append fd77::/64 via fd00:1::9 dev u2 metric 5");
        ip("route change default via fd00:1::3 dev u2");
        ip("route del 10.77.0.0/16");
        ip("link set u1 down");
        ip("link set u1 up");
        until_verdict(&mut views, "fd00:1::2", OK).await;
        let settled = |view: &std::sync::Arc<roam_agent::net::View>| {
            let link_local = |local: &&roam_agent::net::LocalAddress| {
                local.address.is_ipv6() && local.verdict == Err(Unusable::LinkLocal)
            };
            view.addresses.iter().filter(link_local).count() == 4
        };
        until(&mut views, "four link-local addresses", settled).await;
        ip("addr add 10.3.0.2/24 dev u2");
        until_verdict(&mut views, "10.3.0.2", not(Unusable::NoRoute)).await;
        let by_events = views.borrow_and_update().addresses.clone();
        let resyncs = monitor.counters().resyncs;
        monitor.resync();
        while monitor.counters().resyncs == resyncs {
            tokio::task::yield_now().await;
        }
        // `lost` has changed, so that routing looks too; the addresses have not.
        assert_eq!(views.borrow().addresses, by_events);
    });
}
