//! One rule and one table per address, held addresses, and that nothing of it is left behind.

mod common;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use common::{in_namespace, ip, ip_all, small_buffer, start, until, until_verdict, uplink};
use roam_agent::config::Config;
use roam_agent::journal::{Entry, Journal, cleanup};
use roam_agent::net::{Monitor, View};
use roam_agent::routing::{Holder, Reconciled, Routing};
use tokio::sync::watch;

const FAR: &str = "203.0.113.9";
const FAR6: &str = "2001:db8:9::9";

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The interface by which a packet from `from` to `to` leaves, as the kernel says.
fn leaves_by(monitor: &Monitor, from: &str, to: &str) -> String {
    let answer = monitor.route_check(at(from), at(to)).unwrap();
    nix::net::if_::if_indextoname(answer.ifindex).unwrap().into_string().unwrap()
}

/// Two uplinks with a default route each, of which main knows only how to use the first.
async fn two_uplinks(views: &mut watch::Receiver<Arc<View>>) {
    for n in [1, 2] {
        uplink(&format!("u{n}"));
        ip(&format!("addr add 10.{n}.0.2/24 dev u{n}"));
        ip(&format!("addr add fd00:{n}::2/64 dev u{n} nodad"));
        ip(&format!("route add default via 10.{n}.0.1 dev u{n} metric {n}"));
        ip(&format!("route add default via fd00:{n}::1 dev u{n} metric {n}"));
    }
    for address in ["10.1.0.2", "10.2.0.2", "fd00:1::2", "fd00:2::2"] {
        until_verdict(views, address, Some(Ok(()))).await;
    }
}

fn reconcile(routing: &mut Routing, views: &mut watch::Receiver<Arc<View>>) -> Reconciled {
    let view = Arc::clone(&views.borrow_and_update());
    routing.reconcile(&view, &[]).unwrap()
}

fn assert_nothing_left() {
    for family in ["-4", "-6"] {
        let rules = ip(&format!("{family} rule show"));
        assert!(!rules.contains("7600"), "{rules}");
        let routes = ip(&format!("{family} route show table all proto 76"));
        assert_eq!(routes, "");
    }
    let held = ip("addr show dev lo");
    assert!(!held.contains("10.9.9.9") && !held.contains("fd99::9"), "{held}");
}

fn in_use(journal: &Journal) -> usize {
    journal.pending().len()
}

#[test]
fn what_comes_from_an_address_leaves_by_its_interface() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, Journal::open(run.path()).unwrap()).unwrap();
        two_uplinks(&mut views).await;
        assert_eq!(leaves_by(&monitor, "10.2.0.2", FAR), "u1");
        let done = reconcile(&mut routing, &mut views);
        assert!(done.added >= 12 && done.removed == 0, "{done:?}");
        assert_eq!(leaves_by(&monitor, "10.1.0.2", FAR), "u1");
        assert_eq!(leaves_by(&monitor, "10.2.0.2", FAR), "u2");
        assert_eq!(leaves_by(&monitor, "fd00:1::2", FAR6), "u1");
        assert_eq!(leaves_by(&monitor, "fd00:2::2", FAR6), "u2");
        assert_eq!(reconcile(&mut routing, &mut views), Reconciled::default(), "idempotent");
    });
}

#[test]
fn our_own_changes_are_no_news() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, Journal::open(run.path()).unwrap()).unwrap();
        two_uplinks(&mut views).await;
        reconcile(&mut routing, &mut views);
        let lost = views.borrow().lost;
        routing.remove_all().unwrap();
        ip("addr add 10.3.0.2/24 dev u1");
        until(&mut views, "the next address", |view| view.find(at("10.3.0.2")).is_some()).await;
        assert_eq!(views.borrow().lost, lost);
        assert_nothing_left();
    });
}

#[test]
fn a_rule_deleted_by_somebody_else_is_put_back() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, Journal::open(run.path()).unwrap()).unwrap();
        two_uplinks(&mut views).await;
        reconcile(&mut routing, &mut views);
        let lost = views.borrow_and_update().lost;
        ip("rule del from 10.2.0.2 priority 7600");
        ip("-6 rule del from fd00:2::2 priority 7600");
        let table = routing.table_of(at("10.2.0.2")).unwrap();
        ip(&format!("route del default table {table}"));
        assert_eq!(leaves_by(&monitor, "10.2.0.2", FAR), "u1");
        until(&mut views, "three losses", |view| view.lost == lost + 3).await;
        assert_eq!(reconcile(&mut routing, &mut views).added, 3);
        assert_eq!(leaves_by(&monitor, "10.2.0.2", FAR), "u2");
        assert_eq!(leaves_by(&monitor, "fd00:2::2", FAR6), "u2");
    });
}

#[test]
fn routes_that_the_kernel_dropped_silently_are_put_back_when_the_link_is_up_again() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, journal.clone()).unwrap();
        two_uplinks(&mut views).await;
        reconcile(&mut routing, &mut views);
        // Down and up between two looks of the daemon: every route through the link is gone, the address stays.
        ip("link set u2 down");
        ip("link set u2 up");
        ip("route add default via 10.2.0.1 dev u2 metric 2");
        let table = routing.table_of(at("10.2.0.2")).unwrap();
        until(&mut views, "a loss", |view| view.lost > 0 && view.is_usable(at("10.2.0.2"))).await;
        assert_eq!(ip(&format!("route show table {table}")), "");
        reconcile(&mut routing, &mut views);
        assert_eq!(leaves_by(&monitor, "10.2.0.2", FAR), "u2");
    });
}

#[test]
fn an_address_that_goes_takes_its_rule_and_table_along() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, journal.clone()).unwrap();
        two_uplinks(&mut views).await;
        reconcile(&mut routing, &mut views);
        ip("link del u1");
        ip("link set u2 down");
        ip("addr flush dev u2");
        until(&mut views, "no address", |view| view.find(at("10.2.0.2")).is_none()).await;
        until(&mut views, "no address", |view| view.find(at("fd00:1::2")).is_none()).await;
        until(&mut views, "no address", |view| view.find(at("fd00:2::2")).is_none()).await;
        reconcile(&mut routing, &mut views);
        assert_nothing_left();
        assert_eq!(in_use(&journal), 0, "{:?}", journal.pending());
    });
}

#[test]
fn a_new_gateway_takes_the_place_of_the_old_one() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, Journal::open(run.path()).unwrap()).unwrap();
        two_uplinks(&mut views).await;
        reconcile(&mut routing, &mut views);
        for (change, address, gateway) in [
            ("route replace default via 10.2.0.77 dev u2 metric 2", "10.2.0.2", "10.2.0.77"),
            ("route replace default via fd00:2::77 dev u2 metric 2", "fd00:2::2", "fd00:2::77"),
        ] {
            ip(change);
            until(&mut views, "the new gateway", |view| {
                view.find(at(address)).is_some_and(|local| local.gateway == Some(at(gateway)))
            })
            .await;
            reconcile(&mut routing, &mut views);
            let to = if gateway.contains(':') { FAR6 } else { FAR };
            let answer = monitor.route_check(at(address), at(to)).unwrap();
            assert_eq!(answer.gateway, Some(at(gateway)));
        }
    });
}

#[test]
fn a_held_address_leaves_by_the_interface_of_the_address_that_took_its_place() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        let mut routing = Routing::open(&monitor, journal.clone()).unwrap();
        let mut holder = Holder::open(journal.clone()).unwrap();
        two_uplinks(&mut views).await;
        for (old, new, to) in [("10.9.9.9", "10.2.0.2", FAR), ("fd99::9", "fd00:2::2", FAR6)] {
            assert!(monitor.route_check(at("10.9.9.9"), at(FAR)).is_err() || old != "10.9.9.9");
            holder.hold(at(old)).unwrap();
            holder.hold(at(old)).unwrap();
            let view = until(&mut views, "held", |view| view.find(at(old)).is_some()).await;
            let verdict = &view.find(at(old)).unwrap().verdict;
            assert_eq!(verdict, &Err(roam_agent::net::Unusable::Held));
            routing.reconcile(&view, &[(at(old), at(new))]).unwrap();
            assert_eq!(leaves_by(&monitor, old, to), "u2");
            // And then by another.
            let other = if old.contains(':') { "fd00:1::2" } else { "10.1.0.2" };
            routing.reconcile(&view, &[(at(old), at(other))]).unwrap();
            assert_eq!(leaves_by(&monitor, old, to), "u1");
            holder.release(at(old)).unwrap();
            holder.release(at(old)).unwrap();
            routing.reconcile(&view, &[]).unwrap();
        }
        routing.remove_all().unwrap();
        assert_nothing_left();
        assert_eq!(in_use(&journal), 0);
    });
}

#[test]
fn an_address_that_somebody_else_put_on_the_loopback_interface_is_not_ours_to_remove() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        ip("addr add 10.9.9.9/32 dev lo");
        let mut holder = Holder::open(journal.clone()).unwrap();
        holder.hold(at("10.9.9.9")).unwrap();
        assert_eq!(in_use(&journal), 0);
        holder.release(at("10.9.9.9")).unwrap();
        assert!(ip("addr show dev lo").contains("10.9.9.9"));
    });
}

/// A daemon of a host with two uplinks that dies without a chance to clean up, as by kill -9.
async fn live_and_die(run: &Path) {
    let (monitor, mut views) = start(&Config::default()).await;
    two_uplinks(&mut views).await;
    let view = Arc::clone(&views.borrow());
    let journal = Journal::open(run).unwrap();
    let mut routing = Routing::open(&monitor, journal.clone()).unwrap();
    let mut holder = Holder::open(journal).unwrap();
    holder.hold(at("10.9.9.9")).unwrap();
    holder.hold(at("fd99::9")).unwrap();
    routing.reconcile(&view, &[(at("10.9.9.9"), at("10.2.0.2")), (at("fd99::9"), at("fd00:2::2"))]).unwrap();
}

#[test]
fn a_cleanup_removes_what_a_killed_daemon_left() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        live_and_die(run.path()).await;
        assert!(ip("rule show").contains("from 10.9.9.9 lookup"));
        let journal = Journal::open(run.path()).unwrap();
        journal.record(Entry::Nftables { family: "inet".into(), name: "roam".into() }).unwrap();
        common::run("nft", "add table inet roam");
        let cleaned = cleanup(&journal);
        assert!(cleaned.failed.is_empty() && cleaned.left.is_empty(), "{cleaned:?}");
        assert_nothing_left();
        assert!(!common::run("nft", "list tables").contains("roam"));
        assert_eq!(in_use(&journal), 0);
        assert!(cleanup(&journal).undone.is_empty(), "nothing is left to do");
    });
}

#[test]
fn a_cleanup_needs_no_configuration_that_is_right() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        live_and_die(run.path()).await;
        let file = run.path().join("agent.toml");
        std::fs::write(&file, "a mistake").unwrap();
        let roamd = std::process::Command::new(env!("CARGO_BIN_EXE_roamd"))
            .args(["--cleanup", "--config"])
            .args([file.as_path(), "--runtime-dir".as_ref(), run.path()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&roamd.stderr).into_owned();
        assert!(roamd.status.success() && said.contains("agent.toml:1:"), "{said}");
        assert_nothing_left();
    });
}

#[test]
fn rules_are_cleaned_up_even_if_the_journal_is_lost() {
    in_namespace(|| async {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        live_and_die(first.path()).await;
        let cleaned = cleanup(&Journal::open(second.path()).unwrap());
        assert!(cleaned.failed.is_empty(), "{cleaned:?}");
        assert!(!ip("rule show").contains("7600"));
        assert_eq!(ip("route show table all proto 76"), "");
    });
}

#[test]
fn the_next_life_takes_over_what_the_last_one_left_and_changes_nothing_needed() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        live_and_die(run.path()).await;
        let (monitor, views) = start(&Config::default()).await;
        let journal = Journal::open(run.path()).unwrap();
        let mut routing = Routing::open(&monitor, journal.clone()).unwrap();
        let mut holder = Holder::open(journal.clone()).unwrap();
        assert_eq!(holder.held().collect::<Vec<_>>(), [at("10.9.9.9"), at("fd99::9")]);
        let held = [(at("10.9.9.9"), at("10.2.0.2")), (at("fd99::9"), at("fd00:2::2"))];
        let view = Arc::clone(&views.borrow());
        assert_eq!(routing.reconcile(&view, &held).unwrap(), Reconciled::default());
        holder.release_all().unwrap();
        routing.remove_all().unwrap();
        assert_nothing_left();
        assert_eq!(in_use(&journal), 0);
    });
}

#[test]
fn after_an_overrun_our_rules_are_looked_up_anew() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let (monitor, mut views) = Monitor::start(&small_buffer()).await.unwrap();
        two_uplinks(&mut views).await;
        let mut routing = Routing::open(&monitor, Journal::open(run.path()).unwrap()).unwrap();
        reconcile(&mut routing, &mut views);
        // Nobody listens meanwhile.
        ip_all((10..250).map(|n| format!("addr add 10.5.0.{n}/24 dev pu1")));
        ip("rule del from 10.2.0.2 priority 7600");
        until(&mut views, "a loss", |view| view.lost > 0).await;
        until(&mut views, "the last address", |view| view.find(at("10.5.0.249")).is_some()).await;
        assert!(monitor.counters().overruns > 0);
        reconcile(&mut routing, &mut views);
        assert_eq!(leaves_by(&monitor, "10.2.0.2", FAR), "u2");
    });
}

#[test]
fn a_change_of_the_network_is_told_and_answered_within_a_millisecond_or_so() {
    in_namespace(|| async {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let (monitor, mut views) = start(&Config::default()).await;
        two_uplinks(&mut views).await;
        let mut routing = Routing::open(&monitor, journal.clone()).unwrap();
        let mut holder = Holder::open(journal).unwrap();
        reconcile(&mut routing, &mut views);
        let (mut told, mut answered) = (Vec::new(), Vec::new());
        for n in 1..=100u8 {
            let address = IpAddr::from([10, 99, 0, n]);
            let start = now();
            holder.hold(address).unwrap(); // an address event like any other
            let held = now();
            let view = until(&mut views, "the address", |view| view.find(address).is_some()).await;
            told.push(held.elapsed());
            let before = now();
            routing.reconcile(&view, &[(address, at("10.2.0.2"))]).unwrap();
            answered.push(before.elapsed() + (held - start));
        }
        told.sort();
        answered.sort();
        println!("told within {:?}, held and routed within {:?} (medians)", told[50], answered[50]);
        assert!(told[50].as_millis() < 20 && answered[50].as_millis() < 20, "{told:?} {answered:?}");
    });
}

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
