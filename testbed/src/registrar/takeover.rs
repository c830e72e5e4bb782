//! A registrar dies: another takes over its elements, exactly one does, and nobody loses sight of them. It comes back.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};

use super::TooSlow;
use super::cluster::{Cluster, ECHO};
use super::member::{Kind, Member};
use super::stage::Stage;
use super::user::resolve;
use crate::clock::{Waited, ms_between};
use Kind::{Ours, Rsplib};

pub(super) fn ours_of_two(stage: &mut Stage) -> Result<String> {
    dies(stage, &[Ours, Ours], 1, Ours).map(|(_, seen)| seen)
}

pub(super) fn ours_of_three(stage: &mut Stage) -> Result<String> {
    dies(stage, &[Ours, Ours, Ours], 1, Ours).map(|(_, seen)| seen)
}

pub(super) fn rsplib_of_two(stage: &mut Stage) -> Result<String> {
    dies(stage, &[Ours, Rsplib], 2, Ours).map(|(_, seen)| seen)
}

pub(super) fn ours_beside_rsplib(stage: &mut Stage) -> Result<String> {
    dies(stage, &[Ours, Ours, Rsplib], 2, Ours).map(|(_, seen)| seen)
}

pub(super) fn rsplib_beside_rsplib(stage: &mut Stage) -> Result<String> {
    dies(stage, &[Ours, Rsplib, Rsplib], 2, Ours).map(|(_, seen)| seen)
}

/// rsplib's registrar alone takes over nobody: there are two of them.
pub(super) fn by_rsplib(stage: &mut Stage) -> Result<String> {
    dies(stage, &[Ours, Rsplib, Rsplib], 1, Rsplib).map(|(_, seen)| seen)
}

pub(super) fn ours_returns(stage: &mut Stage) -> Result<String> {
    returns(stage, &[Ours, Ours], 1, Ours)
}

pub(super) fn rsplib_returns(stage: &mut Stage) -> Result<String> {
    returns(stage, &[Ours, Rsplib], 2, Ours)
}

pub(super) fn ours_returns_to_rsplib(stage: &mut Stage) -> Result<String> {
    returns(stage, &[Ours, Rsplib, Rsplib], 1, Rsplib)
}

pub(super) fn ours_vanishes(stage: &mut Stage) -> Result<String> {
    lose(stage, &[Ours, Ours], 1, Ours, End::CutOff).map(|(_, seen)| seen)
}

pub(super) fn ours_was_cut_off(stage: &mut Stage) -> Result<String> {
    heals(stage, &[Ours, Ours], 1, Until::TakenOver)
}

pub(super) fn ours_was_cut_off_for_long(stage: &mut Stage) -> Result<String> {
    heals(stage, &[Ours, Ours], 1, Until::Empty)
}

pub(super) fn rsplib_was_cut_off(stage: &mut Stage) -> Result<String> {
    heals(stage, &[Ours, Rsplib], 2, Until::TakenOver)
}

/// For how long a registrar is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Until the other has taken it over, and it the other, perhaps: both believe that all elements are theirs.
    TakenOver,
    /// Until it has no elements any more (ours).
    Empty,
}

/// How a registrar ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its program is killed, and its associations with it.
    Killed,
    /// Its host reaches nobody any more: it is silent.
    CutOff,
}

/// A cluster in which a registrar has died, and who has taken it over.
struct Survived {
    cluster: Cluster,
    taker: u8,
}

/// One registrar is lost. The others, one of them of this kind, see to its elements.
fn lose(stage: &mut Stage, kinds: &[Kind], killed: u8, by: Kind, end: End) -> Result<(Survived, String)> {
    let mut cluster = Cluster::new(kinds);
    for member in &mut cluster.members {
        member.start(stage)?;
    }
    for number in (1..).take(kinds.len()) {
        cluster.register(stage, number)?;
    }
    cluster.register_echo(stage, killed)?;
    cluster.until_known_at_all(stage)?;
    stage.note("the elements are known at all registrars");

    cluster.not_taken_over()?;
    let died = match end {
        End::Killed => cluster.member(killed).kill(stage),
        End::CutOff => cluster.member(killed).cut_off(stage)?,
    };
    let own = usize::from(killed) - 1;
    let mut missing = None;
    let heard = super::until("a keep-alive with H", || {
        missing = missing.take().or_else(|| missing_somewhere(stage, &cluster));
        cluster.elements[own].new_homes().first().copied()
    })?;
    if let Some(missing) = missing {
        let missing = format!("{missing} while nobody had taken it over");
        let not_answered =
            cluster.up().filter_map(|member| Some(member.dump(stage)?.counters.keep_alives_missed));
        if not_answered.sum::<u64>() > 0 {
            bail!(TooSlow(missing));
        }
        bail!(missing);
    }
    let after = ms_between(died, heard.at);
    let taker = u8::try_from(heard.server)?;
    stage.note(format!("registrar {taker} says to the element that it is its home now, after {after:.0} ms"));
    let kind = cluster.up().find(|member| member.number == taker).map(|member| member.kind);
    ensure!(kind == Some(by), "registrar {taker} has taken over, which is {kind:?}");

    // All the survivors agree in the end, and nobody else has said that it is the home.
    cluster.until_known_at_all(stage)?;
    let home = |number: u8| u32::from(if number == killed { taker } else { number });
    let mut homes: BTreeMap<u32, u32> =
        (1..).take(kinds.len()).map(|number| (0xa0 + u32::from(number), home(number))).collect();
    homes.insert(ECHO.id, taker.into());
    cluster.until_homes(stage, &homes)?;
    let servers: BTreeSet<_> = cluster.elements[own].new_homes().iter().map(|heard| heard.server).collect();
    ensure!(servers.len() == 1, "several registrars say that they are its home: {servers:x?}");
    let done: Vec<_> =
        cluster.up().filter(|member| has_taken_over(member, killed)).map(Member::name).collect();
    ensure!(done.len() == 1, "taken over by {done:?}");
    for element in cluster.elements.iter().filter(|element| element.id != cluster.elements[own].id) {
        if !element.new_homes().is_empty() {
            bail!(TooSlow(format!("element {:#x} was taken over, too", element.id)));
        }
    }
    let asked = cluster.elements[own].keep_alives();
    super::until("another keep-alive of the new home", || {
        (cluster.elements[own].keep_alives() > asked).then_some(())
    })?;
    let seen = format!("{} took over after {after:.0} ms", cluster.member(taker).name());
    Ok((Survived { cluster, taker }, seen))
}

/// The registrar has taken over the killed one, by its own words.
fn has_taken_over(member: &Member, killed: u8) -> bool {
    let log = member.log();
    match member.kind {
        Ours => log
            .lines()
            .filter_map(|line| line.split_once(": "))
            // Of another's takeover it says whose it was.
            .any(|(_, said)| {
                said.starts_with("took over") && said.ends_with(&format!("registrar {killed:#010x}"))
            }),
        Rsplib => log.contains(&format!("Takeover of peer ${killed:08x} completed")),
    }
}

/// A registrar that answers and does not tell all elements.
fn missing_somewhere(stage: &mut Stage, cluster: &Cluster) -> Option<String> {
    for (pool, wanted) in cluster.wanted() {
        for member in cluster.up() {
            let Ok(told) = resolve(stage, member.number, pool) else { continue };
            if let Some(id) = wanted.keys().find(|id| told.iter().all(|element| element.id != **id)) {
                return Some(format!("{} did not tell element {id:#x}", member.name()));
            }
        }
    }
    None
}

/// A registrar is killed and taken over; then the elements leave at their new home.
fn dies(stage: &mut Stage, kinds: &[Kind], killed: u8, by: Kind) -> Result<(u8, String)> {
    let (Survived { mut cluster, taker }, seen) = lose(stage, kinds, killed, by, End::Killed)?;
    cluster.until_profiles()?;
    cluster.leave(stage)?;
    Ok((taker, seen))
}

/// A registrar is killed, taken over, and started again.
fn returns(stage: &mut Stage, kinds: &[Kind], killed: u8, by: Kind) -> Result<String> {
    let (Survived { mut cluster, .. }, seen) = lose(stage, kinds, killed, by, End::Killed)?;
    cluster.member(killed).start(stage)?;
    let mut missing = None;
    let back = cluster.members[usize::from(killed) - 1].number;
    for (pool, wanted) in cluster.wanted() {
        let waited = super::until("the table of the one that returned", || {
            let others = cluster.up().filter(|member| member.number != back).map(|member| member.number);
            for other in others.collect::<Vec<_>>() {
                let Ok(told) = resolve(stage, other, pool) else { continue };
                let lost = wanted.keys().find(|id| told.iter().all(|element| element.id != **id));
                missing = missing.take().or(lost.map(|id| (other, *id)));
            }
            let told = super::user::places(stage, back, pool);
            (told == wanted).then_some(())
        });
        match waited {
            Err(Waited::TooLong { .. }) => bail!("registrar {back} is back and has not got pool {pool}"),
            other => other?,
        }
    }
    if let Some((other, id)) = missing {
        bail!("registrar {other} did not tell element {id:#x} when registrar {back} came back");
    }
    stage.note(format!("registrar {back} is back and knows all elements"));
    // It is one of them again: who registers there is known at all.
    let old = cluster.elements.remove(usize::from(back) - 1);
    old.deregister(stage)?;
    drop(old);
    cluster.until_known_at_all(stage)?;
    cluster.register(stage, back)?;
    cluster.until_known_at_all(stage)?;
    cluster.leave(stage)?;
    Ok(format!("{seen}; registrar {back} came back and knew all, and nothing was lost"))
}

/// A registrar is cut off and taken over, and then connected again: both it and the others believe that its elements
/// are theirs.
fn heals(stage: &mut Stage, kinds: &[Kind], lost: u8, long: Until) -> Result<String> {
    let (Survived { mut cluster, .. }, seen) = lose(stage, kinds, lost, Ours, End::CutOff)?;
    if long == Until::Empty {
        let alone = cluster.member(lost);
        super::until("the end of what it knew", || alone.dump(stage)?.pools.is_empty().then_some(()))?;
        stage.note(format!("{} has no elements any more", alone.name()));
    }
    cluster.member(lost).reconnect(stage)?;
    cluster.until_agreed(stage)?;
    cluster.until_known_at_all(stage)?;
    stage.note("all registrars tell all elements, and agree on their homes");
    cluster.leave(stage)?;
    Ok(format!("{seen}; registrar {lost} was connected again, and all agreed on all elements"))
}
