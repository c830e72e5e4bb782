//! Links that are not alike: backups, those that cost more, those that come and go, those that are for nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Stage;
use super::stage::gap;
use crate::clock;
use crate::topology::{A1, A2, Host};

/// How long the traffic is counted.
const COUNTED: Duration = Duration::from_millis(1500);

const PRIMARY_BACK: [&str; 2] = ["link set a1 up", "route replace default via 10.1.0.1 dev a1 metric 100"];

pub(super) fn warm(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("return_after = \"1s\"", "[[interface]]\nname = \"a2\"\nrole = \"backup\"")?;
    stage.talk()?;
    stage.until_at(&["10.1.0.2", "10.2.0.2"])?;
    let quiet = carried(stage, "with_data")?;
    stage.note("the primary link is taken down");
    let from = clock::now();
    stage.ip(["link set a1 down"])?;
    stage.until_flows()?;
    ensure!(carried(stage, "with_data")? > 0, "nothing went by the backup");
    stage.note("the primary link is there again");
    stage.ip(PRIMARY_BACK)?;
    stage.until_at(&["10.1.0.2", "10.2.0.2"])?;
    stage.until_flows()?;
    let after = carried(stage, "with_data")?;
    ensure!(quiet == 0 && after == 0, "{quiet} and {after} packets with data went by the backup");
    let heard = stage.told("wire", 0).len();
    let record = stage.finish()?;
    Ok(format!(
        "the backup carried no data but while it was needed, {heard} packets with address changes in all; \
         it took over with a pause of {:.0} ms",
        gap(&record, from)
    ))
}

pub(super) fn cold(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon(
        "return_after = \"1s\"",
        "[[interface]]\nname = \"a2\"\nrole = \"backup\"\nstandby = \"cold\"",
    )?;
    stage.talk()?;
    let quiet = carried(stage, "in_all")?;
    stage.until_at(&["10.1.0.2"])?;
    let from = clock::now();
    stage.ip(["link set a1 down"])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.until_flows()?;
    stage.note("the primary link is there again");
    stage.ip(PRIMARY_BACK)?;
    stage.until_at(&["10.1.0.2"])?;
    stage.until_flows()?;
    let after = carried(stage, "in_all")?;
    ensure!(quiet == 0 && after == 0, "{quiet} and {after} packets went by the cold backup");
    let record = stage.finish()?;
    Ok(format!(
        "nothing at all went by the backup but while it was needed; a pause of {:.0} ms",
        gap(&record, from)
    ))
}

pub(super) fn never(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1, A2])?;
    stage.start_daemon("", "[[interface]]\nkind = \"veth\"\nname = \"a2\"\nrole = \"never\"")?;
    stage.talk()?;
    stage.until_unusable("10.2.0.2", "keeps its interface out")?;
    stage.ip(["link set a1 down"])?;
    let sent = carried(stage, "in_all")?;
    ensure!(sent == 0, "{sent} packets went by a link that is for nothing");
    stage.ip(PRIMARY_BACK)?;
    stage.until_flows()?;
    stage.finish()?;
    Ok("it waited, rather than use a link that is for nothing".to_owned())
}

/// How many packets with this go by A's second network in a while.
fn carried(stage: &mut Stage, what: &str) -> Result<u64> {
    const METER: &str = "\
        nft -f - <<'END'\n\
        add table inet counted\n\
        delete table inet counted\n\
        table inet counted {\n\
          counter packets_with_data { }\n\
          counter packets_in_all { }\n\
          chain forward {\n\
            type filter hook forward priority 0;\n\
            iifname ra2 meta l4proto sctp counter name packets_in_all\n\
            oifname ra2 meta l4proto sctp counter name packets_in_all\n\
            iifname ra2 sctp chunk data exists counter name packets_with_data\n\
            oifname ra2 sctp chunk data exists counter name packets_with_data\n\
          }\n\
        }\nEND";
    stage.until_settled_or_stranded()?;
    stage.shell(stage.network.router(), METER)?;
    clock::pass(COUNTED)?;
    let listed =
        stage.shell(stage.network.router(), &format!("nft list counter inet counted packets_{what}"))?;
    let number =
        listed.split("packets ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no counter in {listed}"))
}

pub(super) fn unequal(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    let costs = "[[interface]]\nname = \"a1\"\ncost = 10\n[[interface]]\nname = \"a2\"\ncost = 1";
    stage.start_daemon("return_after = \"2s\"", costs)?;
    stage.talk()?;
    let begin = clock::now();
    for _ in 0..2 {
        stage.note("the cheaper link is there for a moment");
        stage.network.up(Host::A, &[A2])?;
        stage.until_usable("10.2.0.2")?;
        clock::pass(Duration::from_millis(700))?;
        stage.network.down(Host::A, &[A2])?;
        clock::pass(Duration::from_millis(300))?;
    }
    let said = stage.asconfs(begin);
    ensure!(said.is_empty(), "it was used at once: {said:?}");
    stage.note("the cheaper link is there to stay");
    stage.network.up(Host::A, &[A2])?;
    stage.until_at(&["10.2.0.2"])?;
    stage.note("the cheaper link goes: there is no time to lose");
    let from = clock::now();
    stage.network.down(Host::A, &[A2])?;
    stage.until_at(&["10.1.0.2"])?;
    stage.until_flows()?;
    let record = stage.finish()?;
    Ok(format!(
        "the cheaper link was used when it had lasted, and left at once; a pause of {:.0} ms",
        gap(&record, from)
    ))
}

/// How often a link comes and goes.
const FLAPS: usize = 12;

pub(super) fn flaps(stage: &mut Stage) -> Result<String> {
    stage.network.up(Host::A, &[A1])?;
    stage.start_daemon("", "")?;
    stage.talk()?;
    let mut said = Vec::new();
    for flap in 0..FLAPS {
        let begin = clock::now();
        stage.network.up(Host::A, &[A2])?;
        clock::pass(Duration::from_millis(600))?;
        stage.network.down(Host::A, &[A2])?;
        clock::pass(Duration::from_millis(400))?;
        if flap + 1 == FLAPS / 2 {
            stage.until_flows()?;
            stage.until_at(&["10.1.0.2"])?;
        }
        said.push(stage.asconfs(begin).len());
    }
    stage.until_flows()?;
    let late: usize = said[FLAPS / 2..].iter().sum();
    ensure!(late == 0, "the peer was told of a link that comes and goes: {said:?} ASCONFs");
    let record = stage.finish()?;
    Ok(format!(
        "{FLAPS} times a link came and went: {said:?} ASCONFs, and all {} messages came back",
        record.echoes()
    ))
}
