//! What is registered at one registrar of a cluster is known at all, and what leaves is gone at all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::TooSlow;
use super::element::{Element, LIFE_MS};
use super::member::{Kind, Member, members};
use super::programs::{self, Listed, REREGISTRATION, Service, interrupt};
use super::stage::Stage;
use super::user::{self, Place};
use crate::clock::{self, Nanos};
use crate::process::Program;
use Kind::{Ours, Rsplib};

/// The pool of the testbed's own elements, one at each registrar.
pub(super) const POOL: &str = "pool";
/// The pool of rsplib's.
pub(super) const ECHO: Service<'_> = Service { option: "-echo", pool: "EchoPool", id: 0xe1, more: &[] };

/// The host of the testbed's own element that registers at this registrar.
pub(super) const fn host(registrar: u8) -> u8 {
    20 + registrar
}
/// The host of rsplib's element.
const ECHO_HOST: u8 = 30;

pub(super) fn ours(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Ours, Ours])
}

pub(super) fn three_of_ours(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Ours, Ours, Ours])
}

pub(super) fn rsplib_later(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Ours, Rsplib])
}

pub(super) fn ours_later(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Rsplib, Ours])
}

pub(super) fn two_of_ours(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Ours, Ours, Rsplib])
}

pub(super) fn two_of_rsplib(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Rsplib, Rsplib, Ours])
}

/// A cluster with an element at each registrar, and one of rsplib's at one of them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) members: Vec<Member>,
    pub(super) elements: Vec<Element>,
    /// rsplib's element, once there, and where it serves.
    echo: Option<(Program, Place)>,
}

impl Cluster {
    pub(super) fn new(kinds: &[Kind]) -> Self {
        Self { members: members(kinds), elements: Vec::new(), echo: None }
    }

    /// The registrars that run.
    pub(super) fn up(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_up())
    }

    /// The registrar of this number. It is one of those that [`Self::new`] made.
    pub(super) fn member(&mut self, number: u8) -> &mut Member {
        &mut self.members[usize::from(number) - 1]
    }

    /// An element registers at a registrar. Its identifier tells which that was.
    pub(super) fn register(&mut self, stage: &mut Stage, registrar: u8) -> Result<()> {
        let id = 0xa0 + u32::from(registrar);
        let element = Element::register(stage, host(registrar), self.member(registrar), POOL, id)?;
        self.elements.push(element);
        Ok(())
    }

    /// rsplib's element registers at a registrar, and knows no other.
    pub(super) fn register_echo(&mut self, stage: &mut Stage, registrar: u8) -> Result<()> {
        let program = ECHO.start(stage, ECHO_HOST, &[registrar])?;
        let place =
            super::until("rsplib's element", || user::places(stage, registrar, ECHO.pool).remove(&ECHO.id))?;
        self.echo = Some((program, place));
        Ok(())
    }

    /// Kills rsplib's element with SIGKILL; says when.
    pub(super) fn kill_echo(&mut self, stage: &Stage) -> Result<Nanos> {
        let (mut program, _) = self.echo.take().context("rsplib's element is not there")?;
        let at = clock::now();
        program.kill();
        stage.note("rsplib's element is killed (SIGKILL)");
        Ok(at)
    }

    /// Nobody was taken for dead yet.
    ///
    /// # Errors
    /// [`TooSlow`].
    pub(super) fn not_taken_over(&self) -> Result<()> {
        match self.elements.iter().find(|element| !element.new_homes().is_empty()) {
            Some(element) => {
                bail!(TooSlow(format!("element {:#x} was taken over while all registrars lived", element.id)))
            }
            None => Ok(()),
        }
    }

    /// What every registrar is to tell of the testbed's own pool, and of rsplib's.
    pub(super) fn wanted(&self) -> [(&'static str, BTreeMap<u32, Place>); 2] {
        let own = self.elements.iter().map(|element| (element.id, element.place())).collect();
        let echo = self.echo.iter().map(|(_, place)| (ECHO.id, place.clone())).collect();
        [(POOL, own), (ECHO.pool, echo)]
    }

    /// Waits until every registrar tells the same of both pools.
    pub(super) fn until_known_at_all(&self, stage: &mut Stage) -> Result<()> {
        for (pool, wanted) in self.wanted() {
            for member in self.up() {
                member.until_told(stage, pool, &wanted)?;
            }
        }
        Ok(())
    }

    /// Waits until every registrar has these homes for the elements of both pools, by their identifiers.
    pub(super) fn until_homes(&self, stage: &mut Stage, wanted: &BTreeMap<u32, u32>) -> Result<()> {
        for member in self.up() {
            let mut homes = BTreeMap::new();
            let waited = super::until("homes", || {
                let seen = [POOL, ECHO.pool].map(|pool| member.homes(stage, pool));
                homes = seen.into_iter().flatten().flatten().collect();
                (homes == *wanted).then_some(())
            });
            if matches!(waited, Err(clock::Waited::TooLong { .. })) {
                bail!("{} has the homes {homes:x?}, and not {wanted:x?}", member.name());
            }
            waited?;
        }
        Ok(())
    }

    /// Waits until all registrars have the same homes for all elements of both pools, whichever they are.
    pub(super) fn until_agreed(&self, stage: &mut Stage) -> Result<()> {
        let wanted: BTreeSet<u32> =
            self.wanted().into_iter().flat_map(|(_, pool)| pool.into_keys()).collect();
        let mut seen = Vec::new();
        let waited = super::until("agreement", || {
            seen.clear();
            for member in self.up() {
                let homes = [POOL, ECHO.pool].map(|pool| member.homes(stage, pool));
                seen.push(homes.into_iter().flatten().flatten().collect::<BTreeMap<_, _>>());
            }
            let complete = seen.first()?.keys().copied().collect::<BTreeSet<_>>() == wanted;
            (complete && seen.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
        });
        if matches!(waited, Err(clock::Waited::TooLong { .. })) {
            bail!("the registrars do not agree on the homes of {wanted:x?}: {seen:x?}");
        }
        Ok(waited?)
    }

    /// All elements leave, and are gone everywhere.
    pub(super) fn leave(&mut self, stage: &mut Stage) -> Result<()> {
        while let Some(element) = self.elements.pop() {
            element.deregister(stage)?;
            self.until_known_at_all(stage)?;
        }
        if let Some((mut program, _)) = self.echo.take() {
            interrupt(&mut program)?;
            stage.note("rsplib's element is interrupted (SIGINT)");
            self.until_known_at_all(stage)?;
        }
        self.members.iter_mut().try_for_each(Member::check)
    }

    /// Waits until ours know of each other registrar how it reads the RFCs.
    pub(super) fn until_profiles(&self) -> Result<()> {
        let mut wrong = None;
        let waited = super::until("profiles", || {
            wrong = self.wrong_profile();
            wrong.is_none().then_some(())
        });
        if matches!(waited, Err(clock::Waited::TooLong { .. })) {
            bail!(wrong.unwrap_or_default());
        }
        Ok(waited?)
    }

    fn wrong_profile(&self) -> Option<String> {
        for own in self.up().filter(|member| member.kind == Ours) {
            let log = own.log();
            for other in self.up().filter(|member| member.number != own.number) {
                let line = format!("registrar {:#010x} reads the RFCs as Rsplib does", other.id());
                let found = log.contains(&line);
                if found != (other.kind == Rsplib) {
                    let not = if found { "" } else { "not " };
                    return Some(format!("{} has {not}taken {} for rsplib's", own.name(), other.name()));
                }
            }
        }
        None
    }
}

/// All but the last are started, an element registers at each; then the last is started.
fn one_starts_later(stage: &mut Stage, kinds: &[Kind]) -> Result<String> {
    let mut cluster = Cluster::new(kinds);
    let last = u8::try_from(kinds.len())?;
    for number in 1..last {
        cluster.member(number).start(stage)?;
    }
    for number in 1..last {
        cluster.register(stage, number)?;
    }
    cluster.register_echo(stage, 1)?;
    cluster.until_known_at_all(stage)?;
    stage.note("the elements are known at all registrars");

    cluster.member(last).start(stage)?;
    cluster.until_known_at_all(stage)?;
    stage.note("they are known at the one that has just been started, too");
    // Before anything has happened that would show it.
    cluster.until_profiles()?;
    lives(stage, &cluster)?;
    cluster.register(stage, last)?;
    cluster.until_known_at_all(stage)?;

    let mut homes: BTreeMap<u32, u32> = (1..=u32::from(last)).map(|number| (0xa0 + number, number)).collect();
    homes.insert(ECHO.id, 1);
    cluster.until_homes(stage, &homes)?;
    lives(stage, &cluster)?;
    cluster.until_profiles()?;
    stage.note("all have the same homes for them");
    cluster.leave(stage)?;
    Ok(format!(
        "{} elements, registered at each of {last} registrars, were known at all of them until they left",
        homes.len()
    ))
}

/// rsplib's registrars have the lives of elements in milliseconds, ours tell them so. (rsplib forgets others' elements
/// at the end of their lives.) An element of rsplib's says milliseconds itself, and at ours nobody can know that.
fn lives(stage: &mut Stage, cluster: &Cluster) -> Result<()> {
    let fits = |listed: &Listed| match listed.pool.as_str() {
        POOL => listed.life == LIFE_MS,
        _ => [1, 1000].contains(&(listed.life / u64::from(3 * REREGISTRATION))),
    };
    for member in cluster.up().filter(|member| member.kind == Rsplib) {
        let mut wrong = None;
        let waited = super::until("lives in milliseconds", || {
            wrong = programs::hsdump(stage, member.number).ok()?.into_iter().find(|listed| !fits(listed));
            wrong.is_none().then_some(())
        });
        if let Some(listed) = wrong {
            bail!("{} has a life of {} ms for {listed:x?}", member.name(), listed.life);
        }
        waited?;
    }
    Ok(())
}
