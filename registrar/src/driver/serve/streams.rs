//! What happens to TCP connections, for the machine; and what it wants of them.

use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::TcpStream;

use super::super::tcp::Event;
use super::Service;
use crate::Association;
use crate::asap;
use crate::machine::Input;
use asap_client::wire;

impl Service {
    pub(super) fn stream(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Accepted(stream, from) => self.accepted(now, stream, from),
            Event::Message(association, bytes) if self.tcp.has(association) => {
                // At once: who ends its half after a question is still answered. Each round of the loop reads the sockets of
                // SCTP, where elements and registrars are, before it takes a bounded number from here.
                let input = asap::Input::Message { association, ppid: wire::PPID, bytes };
                self.registrar.handle(now, Input::Asap(input));
                self.answering = true;
                self.drain();
                self.answering = false;
            }
            Event::Garbled(association, bytes) if self.tcp.has(association) => {
                self.registrar.handle(now, Input::Asap(asap::Input::Garbled { association, bytes }));
                self.end_stream(now, association);
            }
            Event::Dry(association) => {
                self.outstanding.dry(association);
                self.flush(now, association);
            }
            Event::Idle(association) => {
                if self.tcp.has(association) && self.registrar.asap().holds_nothing(association) {
                    tracing::debug!(%association, "was silent for too long; ended");
                    self.end_stream(now, association);
                }
            }
            Event::Deaf(association) if self.tcp.has(association) => self.drop_slow(now, association),
            Event::Ended(association) if self.tcp.has(association) => {
                tracing::debug!(%association, "connection down");
                self.end_stream(now, association);
            }
            // It was ended meanwhile.
            Event::Message(..) | Event::Garbled(..) | Event::Deaf(_) | Event::Ended(_) => {}
        }
    }

    fn accepted(&mut self, now: Instant, stream: TcpStream, from: SocketAddr) {
        if self.tcp.is_full() {
            match self.registrar.asap().longest_idle_of(self.tcp.associations()) {
                Some(idle) => {
                    tracing::debug!(association = %idle, "ended: it held nothing and its place was needed");
                    self.end_stream(now, idle);
                }
                None => return tracing::debug!(%from, "not taken: too many TCP connections"),
            }
        }
        let association = Association(self.next);
        self.next += 1;
        tracing::debug!(%association, %from, "connection up");
        self.tcp.begin(association, stream);
        self.registrar.handle(now, Input::Asap(asap::Input::Connected { association, from }));
    }

    /// Ends a connection when it has been sent what the machine has for it.
    fn end_stream(&mut self, now: Instant, association: Association) {
        self.drain();
        self.tcp.finish(association);
        self.outstanding.forget(association);
        self.registrar.handle(now, Input::Asap(asap::Input::Down { association }));
    }
}
