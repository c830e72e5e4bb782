//! A session's task: it waits for whatever comes first, and does what the program's calls leave to it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use sctp_sys::tokio::AsyncSocket;

use super::super::task::until;
use super::super::{RegistrarClient, ResolveError, random};
use super::config::{Config, OnLoss};
use super::core::{Shared, Todo};
use super::link::{Link, Means};
use crate::pool_user::Answer;
use crate::session::user::{Decision, Input, Output, User};

type Resolving = Pin<Box<dyn Future<Output = Result<Answer, ResolveError>> + Send>>;

struct Task {
    shared: Arc<Shared>,
    registrar: RegistrarClient,
    on_loss: Option<OnLoss>,
    resolving: Option<Resolving>,
    /// An association that ends in good order.
    leaving: Option<Link>,
}

/// Starts a session.
pub(super) fn spawn(registrar: &RegistrarClient, config: Config) -> Arc<Shared> {
    let Config { session, on_loss, tuning, local, longest, unread } = config;
    let mut session = session;
    session.ask |= on_loss.is_some();
    (session.seed, session.turn) = (u64::from_ne_bytes(random()), registrar.next_turn());
    let means = Means { tuning, local, longest, exchange: session.exchange };
    let machine = User::new(Instant::now(), session);
    let shared = Arc::new(Shared::new(machine, means, unread.max(1), on_loss.is_some()));
    let task = Task {
        shared: Arc::clone(&shared),
        registrar: registrar.clone(),
        on_loss,
        resolving: None,
        leaving: None,
    };
    tokio::spawn(task.run());
    shared
}

impl Task {
    async fn run(mut self) {
        loop {
            while let Some(todo) = self.shared.next_todo() {
                self.carry_out(todo);
            }
            let outlook = self.shared.outlook();
            if outlook.over {
                break;
            }
            let socket = outlook.socket.as_deref();
            tokio::select! {
                () = readable(socket), if outlook.reads => self.shared.read(),
                () = writable(socket), if outlook.writes => self.shared.flush(),
                answer = resolved(&mut self.resolving) => {
                    self.resolving = None;
                    self.shared.give(answer.map_or(Input::Unanswered, Input::Pool));
                }
                () = self.shared.wake.notified() => {}
                () = until(outlook.timeout) => self.shared.time_out(),
            }
        }
        if let Some(link) = self.leaving
            && let Err(error) = link.line.shut_down().await
        {
            tracing::debug!(%error, "the association did not end in good order");
        }
        self.shared.go();
    }

    fn carry_out(&mut self, todo: Todo) {
        match todo {
            Todo::Decide(lost) => {
                let decision = self.on_loss.as_mut().map_or(Decision::Continue, |on_loss| (on_loss.0)(lost));
                self.shared.give(Input::Decision(decision));
            }
            Todo::Output(Output::Resolve { handle, fresh }) => {
                let registrar = self.registrar.clone();
                self.resolving = Some(Box::pin(async move { registrar.resolve(handle, fresh).await }));
            }
            Todo::Output(Output::Unreachable { handle, id }) => self.registrar.unreachable(handle, id),
            Todo::Output(Output::Open { link, element }) => self.shared.open(link, &element),
            Todo::Output(Output::Abort(link)) => self.shared.abort(link),
            Todo::Output(Output::Shutdown(link)) => self.leaving = self.shared.release(link),
            // These never wait for the task.
            Todo::Output(
                Output::Control { .. }
                | Output::Data { .. }
                | Output::Look(_)
                | Output::Probe(_)
                | Output::Event(_),
            ) => {}
        }
    }
}

async fn resolved(resolving: &mut Option<Resolving>) -> Result<Answer, ResolveError> {
    match resolving {
        Some(resolving) => resolving.await,
        None => std::future::pending().await,
    }
}

/// Errors come with reading.
async fn readable(socket: Option<&AsyncSocket>) {
    match socket {
        Some(socket) => drop(socket.readable().await),
        None => std::future::pending().await,
    }
}

async fn writable(socket: Option<&AsyncSocket>) {
    match socket {
        Some(socket) => drop(socket.writable().await),
        None => std::future::pending().await,
    }
}
