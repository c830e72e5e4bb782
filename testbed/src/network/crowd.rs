//! Much that does not matter, or not to us.

use anyhow::{Context, Result, ensure};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, A2, Host};

pub(super) fn our_rules(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("", "")?;
    stage.until_usable("10.2.0.2")?;
    for (from, interface) in [("10.1.0.2", "a1"), ("10.2.0.2", "a2")] {
        let line = format!("ip route get 10.3.0.2 from {from}");
        stage.until(&format!("{from} to leave by {interface}"), |stage| {
            let route = stage.shell(stage.network.host(Host::A), &line).ok()?;
            route.contains(&format!("dev {interface}")).then_some(())
        })?;
    }
    stage.talk_between(&["10.2.0.2".parse()?], &["10.3.0.2".parse()?])?;
    let from = clock::now();
    stage.ip(["addr del 10.2.0.2/24 dev a2"])?;
    stage.until_at(&["10.1.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    Ok(format!("each address left by its own uplink; a move took {:.0} ms", gap(&record, from)))
}

pub(super) fn no_rules(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("manage_routes = false", "")?;
    stage.talk()?;
    // By way of the lower metric, which is a1's.
    stage.until_unusable("10.2.0.2", "leave by another interface")?;
    let rules = stage.shell(stage.network.host(Host::A), "ip rule show priority 7600")?;
    ensure!(rules.is_empty(), "there are rules of ours: {rules}");
    let from = clock::now();
    stage.note("somebody adds a source route");
    stage.ip(["route add default via 10.2.0.1 dev a2 table 100", "rule add from 10.2.0.2 lookup 100"])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    Ok(format!(
        "an address without a source route was no path until it had one; a pause of {:.0} ms",
        gap(&record, from)
    ))
}

/// Routes in a table that no rule names.
const ROUTES: u32 = 100_000;

pub(super) fn many_routes(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    let before = clock::now();
    let route = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        format!("route add {}.{b}.{c}.0/24 via 10.1.0.1 dev a1 table 1000", 60 + a)
    };
    stage.ip((0..ROUTES).map(route))?;
    stage.note(format!("{ROUTES} routes are there after {:.0} ms", clock::ms_between(before, clock::now())));
    stage.start_daemon("", "")?;
    stage.talk()?;
    let counters = stage.status().context("no answer")?.network;
    // Links, addresses, rules and the routes of main and default, at start and now and then again.
    ensure!(
        counters.resyncs <= 2 && counters.listed < 200,
        "{} things were listed: {counters:?}",
        counters.listed
    );
    let from = clock::now();
    stage.ip(["link set a2 up", "addr add 10.2.0.2/24 dev a2", "route add default via 10.2.0.1 dev a2"])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.ip(["addr del 10.1.0.2/24 dev a1"])?;
    stage.until_flows()?;
    let after = stage.status().context("no answer")?.network;
    ensure!(after.listed < 300, "{} things were listed: {after:?}", after.listed);
    let record = stage.finish()?;
    Ok(format!(
        "of {ROUTES} routes none was looked at: {} things were listed in all; a move took {:.0} ms",
        after.listed,
        gap(&record, from)
    ))
}

/// Containers that come and go.
const CONTAINERS: u32 = 50;

pub(super) fn containers(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.ip(["link add lan0 type bridge", "addr add 172.30.0.1/16 dev lan0", "link set lan0 up"])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    let used = stage.daemon()?.cpu()?;
    let (begin, counters) = (clock::now(), stage.status().context("no answer")?.network);
    let inside = crate::netns::Namespace::create("container")?;
    // Names that no list of names has; the other end is in a container.
    let come = (0..CONTAINERS).flat_map(|n| {
        let name = format!("pod{n}");
        [
            format!("link add {name} type veth peer name c{n} netns {}", inside.name()),
            if n % 2 == 0 {
                format!("link set {name} master lan0")
            } else {
                format!("addr add 172.31.{n}.1/24 dev {name}")
            },
            format!("link set {name} up"),
        ]
    });
    stage.ip(come)?;
    let lines: Vec<String> = (0..CONTAINERS).map(|n| format!("link set c{n} up")).collect();
    crate::link::batch(&inside, "ip", &lines)?;
    // Even where a route to the peer leads there.
    stage.ip(["route add 10.3.0.0/24 via 172.31.1.9 dev pod1 metric 500"])?;
    stage.until_unusable("172.31.1.1", "container")?;
    let rules = stage.shell(stage.network.host(Host::A), "ip rule show priority 7600")?;
    ensure!(!rules.contains("172.31."), "containers have rules of ours: {rules}");
    stage.ip((0..CONTAINERS).map(|n| format!("link del pod{n}")))?;
    stage.until("the end of the containers' interfaces", |stage| {
        stage.addresses()?.iter().all(|it| !it.interface.starts_with("pod")).then_some(())
    })?;
    stage.until_settled()?;
    let said = stage.asconfs(begin);
    ensure!(said.is_empty(), "the peer was told of containers: {said:?}");
    let after = stage.status().context("no answer")?.network;
    let decisions = stage.told("agent", begin).into_iter().filter(|it| it.starts_with("association")).count();
    ensure!(decisions == 0, "{decisions} decisions about the association");
    ensure!(after.resyncs == counters.resyncs, "everything was looked at again: {after:?}");
    let wakeups = after.changes - counters.changes;
    ensure!(
        wakeups == 0,
        "{wakeups} changes of {} events got to the planners",
        after.events - counters.events
    );
    let spent = (stage.daemon()?.cpu()? - used).as_secs_f64();
    stage.finish()?;
    Ok(format!(
        "{CONTAINERS} containers made {} events, of which {wakeups} mattered; roamd took {spent:.2} s of processor time",
        after.events - counters.events
    ))
}
