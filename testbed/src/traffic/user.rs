//! A pool user: sends numbered requests in sessions at a steady pace and keeps account of the answers, whatever becomes of
//! the elements.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use asap_client::driver::session::{self, Session};
use asap_client::driver::{Config, RegistrarClient};
use asap_client::session::user::{Event, Exchange, SendOptions};
use clap::Args;
use futures::future::join_all;
use tokio::time::MissedTickBehavior;

use super::addresses::follow;
use super::client::{drained, tell};
use super::digest::Digest;
use super::message::Message;
use super::record::{AssociationRecord, ClientRecord};
use super::{POOL, terminated};
use crate::clock;

/// What a line begins with that says at which element the session is.
const AT: &str = "at ";

/// The elements where a session was, by what the user has said so far.
pub(crate) fn elements(output: &str) -> Vec<u32> {
    let id = |line: &str| {
        let id = line.strip_prefix(AT)?.strip_prefix("0x")?.split(',').next()?;
        u32::from_str_radix(id, 16).ok()
    };
    output.lines().filter_map(id).collect()
}

/// The user's arguments.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The registrar.
    #[arg(long)]
    registrar: SocketAddr,
    /// Own addresses; the wildcard (0.0.0.0 or ::) stands for all, present and future.
    #[arg(long, value_delimiter = ',', required = true)]
    local: Vec<IpAddr>,
    /// How many sessions.
    #[arg(long, default_value_t = 1)]
    count: u16,
    /// Milliseconds from request to request.
    #[arg(long, default_value_t = 20)]
    interval: u64,
    /// Milliseconds for a path to work again once none does; without it, as long as sessions wait by default.
    #[arg(long)]
    stranded: Option<u64>,
    /// Milliseconds for which nothing may come from the element's host; without it, as long as sessions wait by default.
    #[arg(long)]
    silent: Option<u64>,
    /// Seconds for an element to be found, and at the end for answers that are missing.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// Milliseconds after which an element that does not answer is left; without it, it is waited for.
    #[arg(long)]
    answer: Option<u64>,
    /// Where the result goes, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

type Shared = Rc<RefCell<ClientRecord>>;

pub(super) async fn run(arguments: &Arguments) -> Result<()> {
    let (registrar, _) = RegistrarClient::spawn(Config::mobile(vec![vec![arguments.registrar]], None));
    let record = Shared::default();
    let mut sessions = Vec::new();
    for _ in 0..arguments.count {
        sessions.push(Session::open(&registrar, arguments.config()?));
        record.borrow_mut().associations.push(AssociationRecord::default());
    }
    let told = |usable: Vec<IpAddr>| {
        registrar.set_local_addresses(usable.clone());
        sessions.iter().for_each(|session| session.set_local_addresses(usable.clone()));
    };
    let listening = sessions.iter().enumerate().map(|(index, session)| listen(session, &record, index));
    tokio::select! {
        done = account(&sessions, &record, arguments) => done?,
        _over = join_all(listening) => {}
        done = follow(told) => done?,
    }
    for session in &sessions {
        println!("{:?}", session.counters());
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec(&*record.borrow())?)?;
    }
    let are_complete = record.borrow().associations.iter().all(AssociationRecord::complete);
    // Otherwise they would wait for the answers that do not come.
    if are_complete {
        join_all(sessions.into_iter().map(Session::close)).await;
    }
    Ok(())
}

impl Arguments {
    fn config(&self) -> Result<session::Config> {
        let mut config = session::Config::new(POOL.parse()?, Exchange::Transactions);
        let waits = &mut config.session.waits;
        waits.patience = Duration::from_secs(self.patience);
        waits.stranded = self.stranded.map_or(waits.stranded, Duration::from_millis);
        waits.silent = self.silent.map(Duration::from_millis).or(waits.silent);
        waits.answer = self.answer.map(Duration::from_millis);
        config.local = self.local.iter().copied().filter(|local| !local.is_unspecified()).collect();
        Ok(config)
    }
}

/// Sends until it is told not to, and waits for what is missing then.
async fn account(sessions: &[Session], record: &Shared, arguments: &Arguments) -> Result<()> {
    tokio::select! {
        () = send(sessions, record, arguments.interval) => {}
        () = tell(record) => {}
        signal = terminated() => signal?,
    }
    tokio::select! {
        () = drained(record, Duration::from_secs(arguments.patience)) => {}
        () = tell(record) => {}
        signal = terminated() => signal?,
    }
    Ok(())
}

/// Sends at a steady pace in each session, once it has an element. Requests that a session has no room for are not made.
async fn send(sessions: &[Session], record: &Shared, interval: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut have_begun = vec![false; sessions.len()];
    loop {
        ticks.tick().await;
        for (index, session) in sessions.iter().enumerate() {
            have_begun[index] = have_begun[index] || session.element().is_some();
            let association = &mut record.borrow_mut().associations[index];
            if !have_begun[index] || association.lost {
                continue;
            }
            let number = association.send(clock::now());
            let request = Message { association: index as u32, number }.encode();
            if session.try_send_with(request.to_vec(), SendOptions::default()).is_err() {
                association.unsend();
            }
        }
    }
}

/// Takes the answers of a session in, and says where it is, until it is over.
async fn listen(session: &Session, record: &Shared, index: usize) {
    let (mut digest, mut expected) = (Digest::default(), 0);
    loop {
        match session.next().await {
            Event::Answer { octets, .. } => {
                digest.take(expected);
                expected += 1;
                let association = &mut record.borrow_mut().associations[index];
                match digest.answered(&octets) {
                    Some(number) => association.echo(number, clock::now()),
                    None => association.foreign += 1,
                }
            }
            Event::At { id, restored } => println!("{AT}{id:#x}, restored: {restored}"),
            Event::Lost { id, why, .. } => {
                println!("lost {id:#x}: {why}");
                record.borrow_mut().associations[index].left += 1;
            }
            Event::Ended(why) => {
                println!("the session is over: {why}");
                record.borrow_mut().associations[index].lost = true;
                return;
            }
            event => println!("{event:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_where_a_session_was_are_read_from_what_the_user_says() {
        let said = "at 0xa1\n{\"at\":1}\nlost 0xa1: the association is lost\nat 0xa2, restored: true\nat \n";
        assert_eq!(elements(said), [0xa1, 0xa2]);
    }
}
