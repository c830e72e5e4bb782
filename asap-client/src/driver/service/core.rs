//! What all sessions of a service share: the machine, and who is where.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, SendInfo, Socket};

use super::super::line::Line;
use super::EVENTS;
use super::config::Config;
use super::link::Link;
use crate::session::Service;
use crate::session::service::{Event, Input, Output, Refused};
use crate::wire::PPID;

#[derive(Debug)]
struct Core {
    machine: Service,
    links: HashMap<u64, Arc<Link>>,
    last: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    longest: usize,
}

/// How long after 1970 it is now.
pub(super) fn wall() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl Shared {
    pub(super) fn new(config: &Config) -> Self {
        let machine = Service::new(config.service.clone());
        let core = Core { machine, links: HashMap::new(), last: 0 };
        Self { core: Mutex::new(core), longest: config.longest }
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask<T>(&self, question: impl FnOnce(&Service) -> T) -> T {
        question(&self.lock().machine)
    }

    /// Gives an input to which a refusal means that it is not needed any more.
    pub(super) fn give(&self, input: Input) {
        let _over = self.handle(input);
    }

    pub(super) fn handle(&self, input: Input) -> Result<(), Refused> {
        let mut core = self.lock();
        let taken = core.machine.handle(Instant::now(), input);
        let touched = core.carry_out();
        drop(core);
        for link in touched {
            // What cannot be sent now is sent, or found to be of no use, by whoever reads or sends.
            let _later = link.flush();
        }
        taken
    }

    /// An association is no more.
    pub(super) fn lost(&self, id: u64) {
        self.give(Input::Down(id));
        let link = self.lock().links.remove(&id);
        if let Some(link) = link {
            link.abort();
        }
    }

    /// Takes an association out of the listening socket.
    pub(super) fn accept(&self, listening: &Socket, assoc: AssocId) -> io::Result<Arc<Link>> {
        let socket = listening.peel_off(assoc)?;
        socket.set_message_limit(self.longest);
        sockopt::set_events(socket.as_fd(), &EVENTS)?;
        let line = Line::new(AsyncSocket::new(socket)?, assoc);
        let mut core = self.lock();
        core.last += 1;
        let id = core.last;
        let link = Arc::new(Link::new(id, line));
        core.links.insert(id, Arc::clone(&link));
        drop(core);
        self.give(Input::Clock(wall()));
        self.give(Input::Accepted { link: id, user: Vec::new() });
        Ok(link)
    }
}

impl Core {
    /// Does what the machine wants; what waits to be sent now is left to the caller, who does it without the lock.
    fn carry_out(&mut self) -> Vec<Arc<Link>> {
        let mut touched: Vec<Arc<Link>> = Vec::new();
        let mut ended = HashMap::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Control { link, octets } => {
                    let info = SendInfo { ppid: PPID, ..SendInfo::default() };
                    touched.extend(self.push(link, info, octets.into()));
                }
                Output::Data { link, ppid, octets, unordered } => {
                    let info = SendInfo { ppid, ..SendInfo::default() };
                    let info = if unordered { info.unordered() } else { info };
                    touched.extend(self.push(link, info, octets));
                }
                Output::Abort(link) => {
                    if let Some(link) = self.links.remove(&link) {
                        link.abort();
                        ended.insert(link.id(), link);
                    }
                }
                Output::Shutdown(link) => {
                    if let Some(link) = self.links.remove(&link) {
                        link.shut_down();
                        ended.insert(link.id(), link);
                    }
                }
                Output::Event(event) => {
                    let link = about(&event);
                    // Why an association was ended is said after it was.
                    if let Some(link) = self.links.get(&link).or_else(|| ended.get(&link)) {
                        link.tell(event);
                    }
                }
            }
        }
        touched
    }

    fn push(&self, link: u64, info: SendInfo, octets: bytes::Bytes) -> Option<Arc<Link>> {
        let link = self.links.get(&link)?;
        link.push(info, octets);
        Some(Arc::clone(link))
    }
}

/// The association that an event is about.
fn about(event: &Event) -> u64 {
    let (Event::Started { link, .. }
    | Event::Refused { link, .. }
    | Event::Data { link, .. }
    | Event::Card { link, .. }
    | Event::Nonsense { link, .. }
    | Event::Ended { link, .. }) = event;
    *link
}
