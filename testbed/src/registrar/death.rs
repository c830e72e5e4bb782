//! How soon it is known that an element or a registrar is dead: ours by their defaults, and rsplib's beside.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::cluster::{Cluster, ECHO, POOL, host};
use super::member::Kind;
use super::stage::Stage;
use super::watch::Watch;
use crate::clock::{self, Nanos, Waited, ms_between};
use Kind::{Ours, Rsplib};

/// Within this time ours know of an element or a registrar that is silent, and its elements are taken over.
const SILENT_MS: f64 = 3000.0;
/// An element whose association ends is gone at once: so long may the news of it take on an emulated machine.
const AT_ONCE_MS: f64 = 1000.0;

/// After this time two registrars of rsplib's have not taken each other over.
const NEVER: Duration = Duration::from_secs(20);

/// How long it took, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// An element's program was killed: until no registrar told it any more.
    broken: f64,
    /// An element's host reached nobody any more: the same.
    silent: f64,
    /// A registrar's host reached nobody any more: until its element heard of its new home.
    taken_over: f64,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { broken, silent, taken_over } = self;
        write!(
            f,
            "an element whose association broke was gone everywhere after {broken:.0} ms, one whose host was silent after \
             {silent:.0} ms; the elements of a silent registrar were taken over after {taken_over:.0} ms"
        )
    }
}

/// Ours: the promise.
pub(super) fn ours(stage: &mut Stage) -> Result<String> {
    let (mut cluster, known) = known(stage, &[Ours, Ours])?;
    cluster.until_known_at_all(stage)?;
    cluster.leave(stage)?;
    let Known { broken, silent, taken_over } = known;
    ensure!(broken <= AT_ONCE_MS && silent.max(taken_over) <= SILENT_MS, "{known}");
    Ok(known.to_string())
}

/// rsplib's: figures to compare with, whatever they are.
pub(super) fn rsplib(stage: &mut Stage) -> Result<String> {
    let (mut cluster, known) = known(stage, &[Rsplib, Rsplib, Rsplib])?;
    let element = cluster.elements.len() - 1;
    let cut_off = cluster.member(3).cut_off(stage)?;
    let heard = clock::until("a takeover", NEVER, || cluster.elements[element].new_homes().first().copied());
    let alone = match heard {
        Ok(heard) => format!("with two registrars after {:.0} ms", ms_between(cut_off, heard.at)),
        Err(Waited::TooLong { .. }) => format!("with two registrars not within {} s", NEVER.as_secs()),
        Err(interrupted) => bail!(interrupted),
    };
    stage.note(&alone);
    Ok(format!("{known}, {alone}"))
}

/// In a cluster with an element at each registrar, one of rsplib's at the first, one after the other goes.
fn known(stage: &mut Stage, kinds: &[Kind]) -> Result<(Cluster, Known)> {
    let mut cluster = Cluster::new(kinds);
    for member in &mut cluster.members {
        member.start(stage)?;
    }
    for number in (1..).take(kinds.len()) {
        cluster.register(stage, number)?;
    }
    cluster.register_echo(stage, 1)?;
    cluster.until_known_at_all(stage)?;
    stage.note("the elements are known at all registrars");

    let watches: Result<Vec<_>> =
        (1..).take(kinds.len()).map(|number| Watch::start(stage, number, &[POOL, ECHO.pool])).collect();
    let watches = watches?;
    let killed = cluster.kill_echo(stage)?;
    let broken = ms_between(killed, until_gone(&watches, ECHO.id)?);
    stage.note(format!("its association broke, and it is gone everywhere after {broken:.0} ms"));

    let first = cluster.elements.remove(0);
    let cut_off = clock::now();
    stage.link(host(1), false)?;
    stage.note(format!("the host of element {:#x} is cut off", first.id));
    let silent = ms_between(cut_off, until_gone(&watches, first.id)?);
    stage.note(format!("it is gone everywhere after {silent:.0} ms"));
    drop((watches, first));

    cluster.not_taken_over()?;
    let cut_off = cluster.member(2).cut_off(stage)?;
    let heard = super::until("a keep-alive with H", || cluster.elements[0].new_homes().first().copied())?;
    let taken_over = ms_between(cut_off, heard.at);
    stage.note(format!("registrar {} says that it is the home now, after {taken_over:.0} ms", heard.server));
    Ok((cluster, Known { broken, silent, taken_over }))
}

/// Waits until no registrar tells an element any more; since when.
fn until_gone(watches: &[Watch], id: u32) -> Result<Nanos> {
    Ok(super::until(&format!("the end of element {id:#x}"), || {
        let gone: Option<Vec<_>> = watches.iter().map(|watch| watch.gone(id)).collect();
        gone?.into_iter().max()
    })?)
}
