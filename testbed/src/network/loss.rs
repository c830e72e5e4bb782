//! Links and addresses that go, or only seem to.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, A2, Host};

/// A pause that an emulated machine makes at such a move, in milliseconds, at most.
const BOUND: f64 = 4000.0;

pub(super) fn carrier(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    stage.ip(["link set a2 up"])?;
    stage.talk()?;
    // The kernel tells of carriers once a second, and of the first one after a quiet second at once.
    clock::pass(Duration::from_millis(1200))?;
    stage.router(["link set ra1 down"])?;
    stage.until_unusable("10.1.0.2", "carrier")?;
    let kept = stage.shell(stage.network.host(Host::A), "ip addr show dev a1; ip route show dev a1")?;
    ensure!(
        kept.contains("10.1.0.2/24") && kept.contains("default"),
        "address and route are to stay: {kept}"
    );
    let there = clock::now();
    stage.ip(["addr add 10.2.0.2/24 dev a2", "route add default via 10.2.0.1 dev a2 metric 200"])?;
    stage.until_flows()?;
    stage.until_at(&["10.2.0.2"])?;
    stage.note("the carrier comes back");
    stage.router(["link set ra1 up"])?;
    stage.until_at(&["10.1.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    let pause = gap(&record, there);
    ensure!(pause < BOUND, "the longest pause was {pause:.0} ms");
    Ok(format!("moved there and back again; the longest pause was {pause:.0} ms"))
}

pub(super) fn carrier_of_one(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("", "")?;
    stage.talk_between(&["10.1.0.2".parse()?, "10.2.0.2".parse()?], &["10.3.0.2".parse()?])?;
    // As above.
    clock::pass(Duration::from_millis(1200))?;
    let lost = clock::now();
    stage.router(["link set ra1 down"])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    let pause = gap(&record, lost);
    ensure!(pause < 2.0 * BOUND, "the longest pause was {pause:.0} ms");
    Ok(format!("of two networks one was left; the pause was {pause:.0} ms"))
}

pub(super) fn link_down(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("", "[[interface]]\nname = \"a*\"")?;
    stage.talk()?;
    stage.note("both links are taken down");
    stage.ip(["link set a1 down", "link set a2 down"])?;
    stage.until_unusable("10.1.0.2", "interface is down")?;
    stage.ip(["link set a1 up"])?;
    // The address is there again, and so is the link; the default route is gone, and no event has said so.
    stage.until_unusable("10.1.0.2", "no route")?;
    let begin = clock::now();
    stage.ip(["route add default via 10.1.0.1 dev a1"])?;
    stage.until_usable("10.1.0.2")?;
    stage.until_flows()?;
    let record = stage.finish()?;
    let pause = gap(&record, begin);
    ensure!(pause < BOUND, "the longest pause after the route was {pause:.0} ms");
    Ok(format!("it went on {pause:.0} ms after the route had come"))
}

pub(super) fn renewal(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("", "")?;
    stage.talk_between(&["10.1.0.2".parse()?, "10.2.0.2".parse()?], &["10.3.0.2".parse()?])?;
    let begin = clock::now();
    for _ in 0..3 {
        stage.ip([
            "addr del 10.2.0.2/24 dev a2",
            "addr add 10.2.0.2/24 dev a2",
            "route add default via 10.2.0.1 dev a2 metric 200",
        ])?;
        stage.until_usable("10.2.0.2")?;
        clock::pass(Duration::from_millis(700))?;
    }
    stage.until_settled()?;
    let said = stage.asconfs(begin);
    ensure!(said.is_empty(), "the peer was told: {said:?}");
    stage.note("the address goes for good");
    stage.ip(["addr del 10.2.0.2/24 dev a2"])?;
    stage.until_at(&["10.1.0.2"])?;
    let record = stage.finish()?;
    Ok(format!(
        "three renewals, and no ASCONF; {} when it was gone for good; {} messages came back",
        stage.asconfs(begin).len(),
        record.echoes()
    ))
}
