//! A registrar leaves: its elements are handed to another before, and users find them all the time.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::cluster::{Cluster, ECHO, POOL};
use super::member::Kind;
use super::stage::Stage;
use super::watch::Watch;
use Kind::{Ours, Rsplib};

/// How long the elements may take to find their way to the other registrar.
const SECONDS: u32 = 60;
/// The same where nobody is going to take them.
const IN_VAIN: u32 = 5;
/// What `roam-registrar drain` ends with, as its help has it.
const REFUSED: i32 = 1;
const TIMED_OUT: i32 = 3;

/// The registrar that leaves, and the other.
const LEAVING: u8 = 1;
const STAYING: u8 = 2;

pub(super) fn to_ours(stage: &mut Stage) -> Result<String> {
    let mut cluster = begin(stage, &[Ours, Ours], &[])?;
    cluster.register_echo(stage, LEAVING)?;
    cluster.until_known_at_all(stage)?;
    drained(stage, &mut cluster)?;

    // It is alone now, and nobody could take them.
    let mut alone = cluster.member(STAYING).drain(stage, SECONDS)?;
    let status = alone.wait(super::PATIENCE)?;
    ensure!(status.code() == Some(REFUSED), "the last registrar is drained: {status}: {}", alone.output());
    cluster.leave(stage)?;
    Ok("its elements were with the other registrar before it ended; the last one refused to be drained"
        .to_owned())
}

/// rsplib's registrar tells the elements that it is their home, and is so when they register again.
pub(super) fn to_rsplib(stage: &mut Stage) -> Result<String> {
    let mut cluster = begin(stage, &[Ours, Rsplib], &["-supporttakeoversuggestion"])?;
    cluster.register_echo(stage, LEAVING)?;
    cluster.until_known_at_all(stage)?;
    drained(stage, &mut cluster)?;
    cluster.leave(stage)?;
    Ok("its elements registered at rsplib's before it ended".to_owned())
}

/// By default rsplib's registrar follows no suggestions. The elements register there when ours has ended.
pub(super) fn to_rsplib_as_it_is(stage: &mut Stage) -> Result<String> {
    let mut cluster = begin(stage, &[Ours, Rsplib], &[])?;
    cluster.until_known_at_all(stage)?;
    let there = Watch::start(stage, STAYING, &[POOL])?;
    let mut drain = cluster.member(LEAVING).drain(stage, IN_VAIN)?;
    let status = drain.wait(super::PATIENCE)?;
    ensure!(status.code() == Some(TIMED_OUT), "roam-registrar drain: {status}: {}", drain.output());
    cluster.member(LEAVING).until_ended(stage)?;
    for element in cluster.elements.iter().filter(|element| element.id == 0xa0 + u32::from(LEAVING)) {
        element.register_elsewhere(stage, &cluster.members[usize::from(STAYING) - 1])?;
    }
    answers_for_all(stage, &mut cluster)?;
    told_all(&there)?;
    cluster.leave(stage)?;
    Ok("it ended when the time was over, its element registered at rsplib's, and was found all the time"
        .to_owned())
}

/// SIGTERM hands nothing over: it is as if it had died, but for the elements that see their association end.
pub(super) fn terminated(stage: &mut Stage) -> Result<String> {
    let mut cluster = begin(stage, &[Ours, Ours], &[])?;
    cluster.register_echo(stage, LEAVING)?;
    cluster.until_known_at_all(stage)?;
    let there = Watch::start(stage, STAYING, &[POOL, ECHO.pool])?;
    cluster.member(LEAVING).terminate(stage);
    cluster.member(LEAVING).until_ended(stage)?;
    answers_for_all(stage, &mut cluster)?;
    told_all(&there)?;
    cluster.leave(stage)?;
    Ok("the other registrar took its elements over, and told them all the time".to_owned())
}

/// Two registrars, and an element of the testbed's at each; but none at one of rsplib's that would suggest it to ours.
fn begin(stage: &mut Stage, kinds: &[Kind], more: &'static [&'static str]) -> Result<Cluster> {
    let mut cluster = Cluster::new(kinds);
    cluster.member(STAYING).more = more;
    for member in &mut cluster.members {
        member.start(stage)?;
    }
    cluster.register(stage, LEAVING)?;
    if more.is_empty() {
        cluster.register(stage, STAYING)?;
    }
    cluster.until_profiles()?;
    cluster.not_taken_over()?;
    Ok(cluster)
}

/// The one registrar is drained: the program `drain` ends well, and the registrar with it; in the meantime both tell all
/// elements whenever they are asked.
fn drained(stage: &mut Stage, cluster: &mut Cluster) -> Result<()> {
    let here = Watch::start(stage, LEAVING, &[POOL, ECHO.pool])?;
    let there = Watch::start(stage, STAYING, &[POOL, ECHO.pool])?;
    let mut drain = cluster.member(LEAVING).drain(stage, SECONDS)?;
    let kind = cluster.member(STAYING).kind;
    let mut registered = BTreeMap::new();
    let status = super::until("the end of the drain", || {
        // Elements register again from time to time; rsplib's registrar waits for that.
        for element in cluster.elements.iter().filter(|_| kind == Rsplib) {
            let homes = element.new_homes().len();
            if homes > registered.insert(element.id, homes).unwrap_or(0)
                && element.register_again(kind).is_ok()
            {
                stage.note(format!("element {:#x} registers again, at its new home", element.id));
            }
        }
        drain.ended()
    })?;
    ensure!(status.success(), "roam-registrar drain: {status}: {}", drain.output());
    cluster.member(LEAVING).until_ended(stage)?;
    super::until("the end of the watch", || here.has_ended().then_some(()))?;
    told_all(&here)?;
    answers_for_all(stage, cluster)?;
    told_all(&there)?;
    stage.note(format!("both told all elements, {} and {} times", here.answers(), there.answers()));
    Ok(())
}

/// The registrar that stays is the home of all elements, tells them, and asks whether they live.
fn answers_for_all(stage: &mut Stage, cluster: &mut Cluster) -> Result<()> {
    let ids = cluster.wanted().into_iter().flat_map(|(_, pool)| pool.into_keys());
    let homes = ids.map(|id| (id, u32::from(STAYING))).collect();
    cluster.until_homes(stage, &homes)?;
    cluster.until_known_at_all(stage)?;
    let before: Vec<_> = cluster.elements.iter().map(|element| element.keep_alives()).collect();
    super::until("keep-alives of the new home", || {
        cluster
            .elements
            .iter()
            .zip(&before)
            .all(|(element, before)| element.keep_alives() > *before)
            .then_some(())
    })?;
    Ok(())
}

fn told_all(watch: &Watch) -> Result<()> {
    match watch.missed() {
        Some(missed) => bail!(missed),
        None => Ok(()),
    }
}
