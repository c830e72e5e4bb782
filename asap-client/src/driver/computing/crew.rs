//! The elements that a job's parts are done by.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::task::JoinSet;

use super::super::RegistrarClient;
use super::super::session::{self, Session};
use super::super::task::until;
use crate::computing::{Part, Taken, Unfit};
use crate::session::user::{End, Event, Exchange, Loss, SendOptions, Waits};
use crate::wire::PoolHandle;

/// The longest time that one session's beginning keeps others from theirs.
const OPENING: Duration = Duration::from_millis(300);

/// How a job is done by a pool.
#[derive(Clone, Debug)]
pub struct Crew {
    /// The pool.
    pub handle: PoolHandle,
    /// Parts at a time, each over a session of its own. 8.
    pub sessions: usize,
    /// As for each session; with `fresh` of zero and a patience of a minute, so that each part goes to the element that
    /// is used least then, and waits for one.
    pub waits: Waits,
    /// After so long an element that says nothing is left; after half of it, it is asked whether it is there. 10 s.
    pub silence: Duration,
    /// Before a part that was refused is offered again. 200 ms.
    pub pause: Duration,
    /// How often a part is asked for again because elements forget it or make no sense. 16.
    pub attempts: u32,
}

impl Crew {
    /// With the defaults that the fields name.
    pub fn new(handle: PoolHandle) -> Self {
        let waits = Waits { patience: Duration::from_secs(60), fresh: Duration::ZERO, ..Waits::default() };
        Self {
            handle,
            sessions: 8,
            waits,
            silence: Duration::from_secs(10),
            pause: Duration::from_millis(200),
            attempts: 16,
        }
    }
}

/// What is told of a part while it is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is at this element now. `restored`: it goes on from a cookie.
    At {
        /// The element.
        element: u32,
        /// Whether there was a cookie.
        restored: bool,
    },
    /// It has left this element.
    Lost {
        /// The element.
        element: u32,
        /// Why.
        why: Loss,
    },
    /// Something came of it.
    Came,
    /// It is asked for again.
    Again,
    /// It is done.
    Done,
}

/// Why a job is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Failed {
    /// No element could be had.
    #[error(transparent)]
    Ended(#[from] End),
    /// Its elements forget a part again and again, or do not agree; that was the last reason.
    #[error("a part was asked for too often{}", .0.map(|unfit| format!(": {unfit}")).unwrap_or_default())]
    Attempts(Option<Unfit>),
}

type Tell<P> = Box<dyn Fn(&P, Told) + Send + Sync>;

/// What the sessions of a job share.
struct Job<P> {
    registrar: RegistrarClient,
    crew: Crew,
    waiting: Mutex<VecDeque<P>>,
    /// One after the other asks who is used least: each sees that the one before is somewhere.
    opening: tokio::sync::Mutex<()>,
    tell: Tell<P>,
}

/// Has all parts done, each by whichever element is used least when it is its turn. Those that are lost are replaced by
/// others. Dropped, it ends all sessions.
///
/// # Errors
/// A part could not be done; all others are given up.
pub async fn compute<P: Part>(
    registrar: &RegistrarClient,
    crew: Crew,
    parts: Vec<P>,
    tell: impl Fn(&P, Told) + Send + Sync + 'static,
) -> Result<Vec<P>, Failed> {
    let count = parts.len().min(crew.sessions.max(1));
    let job = Arc::new(Job {
        registrar: registrar.clone(),
        crew,
        waiting: Mutex::new(parts.into()),
        opening: tokio::sync::Mutex::new(()),
        tell: Box::new(tell),
    });
    let mut sessions = JoinSet::new();
    (0..count).for_each(|_| drop(sessions.spawn(Arc::clone(&job).one_after_the_other())));
    let mut done = Vec::new();
    while let Some(ended) = sessions.join_next().await {
        match ended {
            Ok(parts) => done.extend(parts?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Nobody aborts them.
            Err(_) => {}
        }
    }
    Ok(done)
}

impl<P: Part> Job<P> {
    async fn one_after_the_other(self: Arc<Self>) -> Result<Vec<P>, Failed> {
        let mut done = Vec::new();
        while let Some(mut part) = self.next() {
            let mut attempts = 0;
            while let Some(missing) = self.attempt(&mut part).await? {
                attempts += 1;
                if attempts > self.crew.attempts {
                    return Err(Failed::Attempts(missing.0));
                }
                (self.tell)(&part, Told::Again);
                tokio::time::sleep(self.crew.pause).await;
            }
            (self.tell)(&part, Told::Done);
            done.push(part);
        }
        Ok(done)
    }

    fn next(&self) -> Option<P> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    async fn open(&self) -> Result<Session, End> {
        let mut config = session::Config::new(self.crew.handle.clone(), Exchange::Covered);
        config.session.waits = self.crew.waits.clone();
        let mut opening = std::pin::pin!(Session::connect(&self.registrar, config));
        {
            let _turn = self.opening.lock().await;
            if let Ok(session) = tokio::time::timeout(OPENING, &mut opening).await {
                return session;
            }
        }
        opening.await
    }

    /// Has a part done over one session. Something may be missing then.
    async fn attempt(&self, part: &mut P) -> Result<Option<Missing>, End> {
        let session = self.open().await?;
        let options = SendOptions { ppid: P::PPID, ..SendOptions::default() };
        if let Some(element) = session.element() {
            (self.tell)(part, Told::At { element, restored: false });
        }
        // If it is over, the next event says why.
        let _over = session.send_with(part.request(), options).await;
        let half = self.crew.silence / 2;
        let (mut heard, mut asked) = (Instant::now(), false);
        loop {
            let event = tokio::select! {
                event = session.next() => event,
                () = until(Some(heard + half)) => {
                    match part.prod() {
                        _ if asked => session.leave(None, true),
                        Some(prod) => answer::<P>(&session, prod),
                        None => {}
                    }
                    (heard, asked) = (Instant::now(), true);
                    continue;
                }
            };
            (heard, asked) = (Instant::now(), false);
            match event {
                Event::Data { octets, .. } => match part.take(&octets) {
                    Ok(Taken::More) => (self.tell)(part, Told::Came),
                    Ok(Taken::Answer(octets)) => answer::<P>(&session, octets),
                    Ok(Taken::Done) => {
                        session.close().await;
                        return Ok(None);
                    }
                    Ok(Taken::Missing) => return Ok(Some(Missing(None))),
                    Ok(Taken::Refused) => {
                        tokio::time::sleep(self.crew.pause).await;
                        session.leave(None, false);
                    }
                    Err(unfit) => return Ok(Some(Missing(Some(unfit)))),
                },
                Event::At { id, restored } => (self.tell)(part, Told::At { element: id, restored }),
                Event::Lost { id, why, .. } => (self.tell)(part, Told::Lost { element: id, why }),
                // The element knows nothing of the request.
                Event::Afresh => return Ok(Some(Missing(None))),
                Event::Ended(end) => return Err(end),
                event => tracing::debug!(?event, "a part's session"),
            }
        }
    }
}

/// Why something is missing, if an element made no sense.
struct Missing(Option<Unfit>);

/// Says something that is for the present element alone.
fn answer<P: Part>(session: &Session, octets: Vec<u8>) {
    let options = SendOptions { ppid: P::PPID, failover: false, ..SendOptions::default() };
    if let Err(error) = session.try_send_with(octets, options) {
        tracing::debug!(%error, "it is not said");
    }
}
