//! An element that computes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::RegistrarClient;
use super::super::service::{Service, Session};
use super::super::task::until;
use crate::computing::{Output, Pace, Run, Work};
use crate::session::service::Refused;
use crate::wire::Policy;

/// How an element computes.
#[derive(Clone, Debug)]
pub struct Element {
    /// How fast, and how often it tells.
    pub pace: Pace,
    /// Works at a time: who comes beyond them is sent on. 4.
    pub places: usize,
    /// How long a user waits that is sent on: at a pool that is full, all do so in turn. 200 ms.
    pub pause: Duration,
    /// As in [`ElementConfig::life`](crate::client::ElementConfig::life).
    pub life: Option<Duration>,
}

impl Default for Element {
    fn default() -> Self {
        Self { pace: Pace::default(), places: 4, pause: Duration::from_millis(200), life: None }
    }
}

/// What an element has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Works that were begun here.
    pub begun: u64,
    /// Works that were continued here.
    pub continued: u64,
    /// Works that were completed here.
    pub completed: u64,
    /// Works that were left to others, with all that was done of them.
    pub left: u64,
    /// Users who were sent on.
    pub refused: u64,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.begun += other.begun;
        self.continued += other.continued;
        self.completed += other.completed;
        self.left += other.left;
        self.refused += other.refused;
    }
}

/// What all sessions of an element share.
#[derive(Clone, Debug)]
struct Hall {
    element: Arc<Element>,
    running: watch::Sender<usize>,
    leaving: watch::Receiver<bool>,
}

/// A place at an element; given back when dropped.
struct Place(watch::Sender<usize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Hall {
    fn place(&self) -> Option<Place> {
        let taken = self.running.send_if_modified(|running| {
            let free = *running < self.element.places;
            *running += usize::from(free);
            free
        });
        taken.then(|| Place(self.running.clone()))
    }

    async fn is_leaving(&mut self) {
        // An error: the element is gone, which is the same.
        let _gone = self.leaving.wait_for(|leaving| *leaving).await;
    }
}

/// The part of its places that an element uses, for Least Used.
fn load(running: usize, places: usize) -> Policy {
    let (running, places) = (running.min(places) as u128, places.max(1) as u128);
    let load = u32::try_from(running * u128::from(u32::MAX) / places).unwrap_or(u32::MAX);
    Policy::LeastUsed { load }
}

/// Serves the users of a pool until `leave` is over. Then it leaves the pool, gives each user a last cookie, and ends: what
/// was done so far goes on elsewhere.
///
/// It also ends if its socket is broken.
pub async fn serve<W: Work>(
    mut service: Service,
    registrar: &RegistrarClient,
    element: Element,
    leave: impl Future<Output = ()>,
) -> Done {
    let (running, mut load_changed) = watch::channel(0);
    let (leaving, is_leaving) = watch::channel(false);
    let (places, life) = (element.places, element.life);
    let hall = Hall { element: Arc::new(element), running, leaving: is_leaving };
    let (mut done, mut sessions) = (Done::default(), JoinSet::new());
    service.join(registrar, load(0, places), life);
    let mut leave = std::pin::pin!(leave);
    loop {
        tokio::select! {
            () = &mut leave => break,
            session = service.accept() => match session {
                Some(session) => drop(sessions.spawn(attend::<W>(session, hall.clone()))),
                None => break,
            },
            _ = load_changed.changed() => {
                let running = *load_changed.borrow_and_update();
                service.join(registrar, load(running, places), life);
            }
            Some(ended) = sessions.join_next() => done.add(ended.unwrap_or_default()),
        }
    }
    // Users that look for another element now shall not find this one.
    service.leave();
    let _nobody_there = leaving.send(true);
    while let Some(ended) = sessions.join_next().await {
        done.add(ended.unwrap_or_default());
    }
    done
}

/// How a work ended here.
enum End {
    Completed,
    Left,
    /// Its user is gone, or makes no sense.
    Gone,
}

async fn attend<W: Work>(session: Session, mut hall: Hall) -> Done {
    let mut done = Done::default();
    let mut cookie = session.restored().map(|restored| restored.state.clone());
    loop {
        let request = match &cookie {
            Some(_) => None,
            None => tokio::select! {
                () = hall.is_leaving() => {
                    session.end().await;
                    return done;
                }
                request = session.recv() => match request {
                    Some(request) => Some(request.octets),
                    None => return done,
                }
            },
        };
        let asked = request.as_deref().or(cookie.as_deref()).unwrap_or_default();
        let Some(place) = hall.place() else {
            done.refused += 1;
            if let Some(refusal) = W::refusal(asked) {
                // The user is gone: that is what is wanted.
                let _gone = session.send_with(refusal, W::PPID, false).await;
            }
            tokio::time::sleep(hall.element.pause).await;
            session.end().await;
            return done;
        };
        let (now, pace) = (Instant::now(), hall.element.pace);
        let run = match &request {
            Some(request) => Run::<W>::begin(now, pace, request),
            None => Run::<W>::resume(now, pace, asked),
        };
        let mut run = match run {
            Ok(run) => run,
            Err(error) => {
                tracing::debug!(session = %session.id(), %error, "nothing that can be computed is asked for");
                return done;
            }
        };
        if request.is_some() {
            done.begun += 1
        } else {
            done.continued += 1
        }
        let end = work(&session, &mut run, &mut hall).await;
        drop(place);
        match end {
            Some(End::Completed) => done.completed += 1,
            Some(End::Left) => {
                done.left += 1;
                session.end().await;
                return done;
            }
            Some(End::Gone) | None => return done,
        }
        cookie = None;
    }
}

/// Works until the end. `None`: the session is not here any more.
async fn work<W: Work>(session: &Session, run: &mut Run<W>, hall: &mut Hall) -> Option<End> {
    loop {
        say(session, run).await?;
        let Some(due) = run.poll_timeout() else { return Some(End::Completed) };
        tokio::select! {
            biased;
            () = hall.is_leaving() => {
                run.leave(Instant::now());
                say(session, run).await?;
                return Some(End::Left);
            }
            message = session.recv() => {
                if let Err(error) = run.answer(&message?.octets) {
                    tracing::debug!(session = %session.id(), %error, "a message that makes no sense");
                    return Some(End::Gone);
                }
            }
            () = until(Some(due)) => {
                let running = *hall.running.borrow();
                run.handle_timeout(Instant::now(), running);
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn say<W: Work>(session: &Session, run: &mut Run<W>) -> Option<()> {
    while let Some(output) = run.poll_output() {
        match output {
            Output::Message(octets) => session.send_with(octets, W::PPID, false).await.ok()?,
            Output::Cookie(state) => match session.cookie(state, None).await {
                // Whoever wants no cookies begins again.
                Ok(()) | Err(Refused::NoControl) => {}
                Err(_) => return None,
            },
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_the_part_of_the_places_that_are_used() {
        let loads = [0, 1, 2, 3].map(|running| load(running, 2));
        let half = u32::MAX / 2;
        let expected = [0, half, u32::MAX, u32::MAX].map(|load| Policy::LeastUsed { load });
        assert_eq!(loads, expected);
        assert_eq!(load(0, 0), Policy::LeastUsed { load: 0 });
    }

    #[test]
    fn no_more_works_are_taken_than_there_are_places() {
        let element = Element { places: 2, ..Element::default() };
        let (running, _load) = watch::channel(0);
        let hall = Hall { element: Arc::new(element), running, leaving: watch::channel(false).1 };
        let (one, two) = (hall.place(), hall.place());
        assert!(one.is_some() && two.is_some() && hall.place().is_none());
        drop(one);
        assert!(hall.place().is_some());
    }
}
