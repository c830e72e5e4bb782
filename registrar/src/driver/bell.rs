//! Waiting in a thread that belongs to the service: for sockets, for the clock, and for what other threads have for it.
//!
//! The SCTP sockets are not with tokio's reactor. Whoever waits for a one-to-many socket is looked at by the kernel with
//! each message that any peer acknowledges, once for every association of the socket. epoll waits all the time; poll(2)
//! only while there is nothing to do.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

/// What other threads ring when there is something for the one that waits.
#[derive(Debug)]
pub(super) struct Bell {
    event: OwnedFd,
    rung: AtomicBool,
    /// Whether the thread waits, or is about to: only then has the kernel to be troubled.
    waits: AtomicBool,
    over: AtomicBool,
}

impl Bell {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (rung, waits, over) = Default::default();
        Ok(Arc::new(Self { event, rung, waits, over }))
    }

    /// Whether it was rung since this was asked last.
    pub(super) fn was_rung(&self) -> bool {
        self.is_rung() && self.rung.swap(false, Ordering::SeqCst)
    }

    /// Whether there is something for the thread that it has not asked for yet.
    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// Whether the thread is to end.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Tells the thread to end.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.ring();
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) && self.waits.load(Ordering::SeqCst) {
            // It cannot be full: it is emptied each time that the thread has waited.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }

    /// Waits until one of the sockets can be read, the bell has been rung, or `limit` has passed; now and then for less.
    /// Says of each socket whether it may be read.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn wait<'a>(
        &self,
        sockets: impl Iterator<Item = BorrowedFd<'a>>,
        readable: &mut Vec<bool>,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        self.waits.store(true, Ordering::SeqCst);
        let limit = if self.rung.load(Ordering::SeqCst) { Some(Duration::ZERO) } else { limit };
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        let event = PollFd::new(&self.event, PollFlags::IN);
        let sockets = sockets.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let mut all: Vec<_> = std::iter::once(event).chain(sockets).collect();
        let ready = poll(&mut all, limit.as_ref());
        self.waits.store(false, Ordering::SeqCst);
        match ready {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        let mut ready = all.iter().map(|fd| !fd.revents().is_empty());
        if ready.next() == Some(true) {
            let _ = rustix::io::read(&self.event, &mut [0; 8]);
        }
        readable.clear();
        readable.extend(ready);
        Ok(())
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::task::{Context, Waker};
    use tokio::sync::mpsc;

    #[test]
    fn what_was_rung_before_is_not_waited_for() {
        let bell = Bell::new().unwrap();
        Waker::from(Arc::clone(&bell)).wake();
        bell.wait(std::iter::empty(), &mut Vec::new(), None).unwrap();
        assert!(bell.was_rung() && !bell.was_rung());
    }

    #[test]
    fn a_socket_that_can_be_read_ends_the_wait_and_is_named_until_it_is_empty() {
        let bell = Bell::new().unwrap();
        let ((silent, _other), (mut heard, mut peer)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        peer.write_all(b"x").unwrap();
        let mut readable = Vec::new();
        bell.wait([silent.as_fd(), heard.as_fd()].into_iter(), &mut readable, None).unwrap();
        assert_eq!(readable, [false, true]);
        heard.read_exact(&mut [0]).unwrap();
        bell.wait([silent.as_fd(), heard.as_fd()].into_iter(), &mut readable, Some(Duration::ZERO)).unwrap();
        assert_eq!(readable, [false, false]);
    }

    /// Each number is sent when the one before has been heard, so that nearly each has to wake the thread.
    #[test]
    fn nothing_that_another_thread_sends_is_slept_over() {
        let bell = Bell::new().unwrap();
        let ((there, mut heard), (mut send, answers)) = (mpsc::channel(1), UnixStream::pair().unwrap());
        let sender = std::thread::spawn(move || {
            let mut answers = answers;
            for number in 0..10_000u32 {
                there.blocking_send(number).unwrap();
                if number % 3 == 0 {
                    answers.read_exact(&mut [0]).unwrap();
                }
            }
        });
        let waker = Waker::from(Arc::clone(&bell));
        let mut expected = 0;
        while expected < 10_000 {
            while let std::task::Poll::Ready(Some(number)) = heard.poll_recv(&mut Context::from_waker(&waker))
            {
                assert_eq!(number, expected);
                expected += 1;
                if number % 3 == 0 {
                    send.write_all(b"x").unwrap();
                }
            }
            if expected < 10_000 {
                bell.wait(std::iter::empty(), &mut Vec::new(), None).unwrap();
                bell.was_rung();
            }
        }
        sender.join().unwrap();
    }

    #[test]
    fn the_end_wakes_whoever_waits() {
        let bell = Bell::new().unwrap();
        let waiting = Arc::clone(&bell);
        let thread = std::thread::spawn(move || {
            while !waiting.is_over() {
                waiting.wait(std::iter::empty(), &mut Vec::new(), None).unwrap();
                waiting.was_rung();
            }
        });
        bell.end();
        thread.join().unwrap();
    }
}
