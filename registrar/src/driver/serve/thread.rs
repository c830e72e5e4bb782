//! The service has a thread of its own: nothing else that the program does holds it up, and it waits as it likes.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::Service;
use crate::driver::bell::Bell;
use crate::driver::command::Command;
use crate::query::Query;

/// A service that runs. It ends with this.
#[derive(Debug)]
pub(in crate::driver) struct Running {
    bell: Arc<Bell>,
    /// Ready when the thread has ended.
    ended: oneshot::Receiver<()>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Starts the thread, which serves from then on.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(in crate::driver) fn start(
        service: Service,
        queries: mpsc::Receiver<Query>,
        commands: mpsc::Receiver<Command>,
    ) -> io::Result<Self> {
        let (over, ended) = oneshot::channel();
        let (bell, runtime) = (Bell::new()?, Handle::current());
        let rung = Arc::clone(&bell);
        let thread = Builder::new().name("service".to_owned()).spawn(move || {
            // TCP connections have tasks in it.
            let _context = runtime.enter();
            let outcome = service.run(queries, commands, &rung);
            drop(over);
            outcome
        })?;
        Ok(Self { bell, ended, thread: Some(thread) })
    }

    /// Waits until it has failed. To be called once.
    ///
    /// # Errors
    /// Why it has.
    ///
    /// # Panics
    /// If it has.
    pub(in crate::driver) async fn ended(&mut self) -> io::Result<()> {
        // All that it says is that there is an end.
        let _ = (&mut self.ended).await;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Ends it, its sockets closed.
    ///
    /// # Errors
    /// It had failed.
    pub(in crate::driver) async fn end(mut self) -> io::Result<()> {
        self.bell.end();
        self.ended().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.bell.end();
    }
}
