//! What is registered at one registrar of a cluster is known at all, and what leaves is gone at all.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::element::{Element, LIFE};
use super::member::{Kind, Member, members};
use super::programs::{self, REREGISTRATION, Service, interrupt};
use super::stage::Stage;
use super::user::{self, Place};
use crate::clock;
use crate::process::Program;
use Kind::{Ours, Rsplib};

/// The pool of the testbed's own elements, one at each registrar.
pub(super) const POOL: &str = "pool";
/// The pool of rsplib's.
pub(super) const ECHO: Service<'_> = Service { option: "-echo", pool: "EchoPool", id: 0xe1, more: &[] };

/// The host of the testbed's own element that registers at this registrar.
const fn host(registrar: u8) -> u8 {
    20 + registrar
}
/// The host of rsplib's element.
const ECHO_HOST: u8 = 30;

pub(super) fn ours(stage: &mut Stage) -> Result<String> {
    one_starts_later(stage, &[Ours, Ours])
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
        let place = clock::until("rsplib's element", super::PATIENCE, || {
            user::places(stage, registrar, ECHO.pool).remove(&ECHO.id)
        })?;
        self.echo = Some((program, place));
        Ok(())
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
            let waited = clock::until("homes", super::PATIENCE, || {
                let seen = [POOL, ECHO.pool].map(|pool| member.homes(stage, pool));
                homes = seen.into_iter().flatten().flatten().collect();
                (homes == *wanted).then_some(())
            });
            if matches!(waited, Err(clock::Waited::TooLong { .. })) {
                anyhow::bail!("{} has the homes {homes:x?}, and not {wanted:x?}", member.name());
            }
            waited?;
        }
        Ok(())
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

    /// Ours know of each other registrar how it reads the RFCs.
    pub(super) fn check_profiles(&self) -> Result<()> {
        for own in self.up().filter(|member| member.kind == Ours) {
            for other in self.up().filter(|member| member.number != own.number) {
                let line = format!("registrar {:#010x} reads the RFCs as Rsplib does", other.id());
                let found = own.log().contains(&line);
                ensure!(
                    found == (other.kind == Rsplib),
                    "{} has {}taken {} for rsplib's",
                    own.name(),
                    if found { "" } else { "not " },
                    other.name()
                );
            }
        }
        Ok(())
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
    cluster.register(stage, last)?;
    cluster.until_known_at_all(stage)?;

    let mut homes: BTreeMap<u32, u32> = (1..=u32::from(last)).map(|number| (0xa0 + number, number)).collect();
    homes.insert(ECHO.id, 1);
    cluster.until_homes(stage, &homes)?;
    lives(stage, &cluster)?;
    cluster.check_profiles()?;
    stage.note(
        "all have the same homes for them, and those of rsplib's registrars their lives in milliseconds",
    );
    cluster.leave(stage)?;
    Ok(format!(
        "{} elements, registered at each of {last} registrars, were known at all of them until they left",
        homes.len()
    ))
}

/// rsplib's registrars have the lives of elements in milliseconds, ours tell them so. (rsplib forgets others' elements
/// at the end of their lives.) An element of rsplib's says milliseconds itself, and at ours nobody can know that.
fn lives(stage: &mut Stage, cluster: &Cluster) -> Result<()> {
    for member in cluster.up().filter(|member| member.kind == Rsplib) {
        for listed in programs::hsdump(stage, member.number)? {
            let life = match listed.pool.as_str() {
                POOL => LIFE.cast_unsigned() * 1000,
                _ => 3 * REREGISTRATION,
            };
            let fits = listed.life == u64::from(life)
                || (listed.pool == ECHO.pool && listed.life == u64::from(life) * 1000);
            ensure!(fits, "{} has a life of {} ms for {listed:x?}", member.name(), listed.life);
        }
    }
    Ok(())
}
