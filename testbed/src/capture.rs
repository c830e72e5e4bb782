//! Address changes on the wire and the daemons' decisions, noted as they are seen.
#![expect(clippy::disallowed_methods, reason = "brings the kernel's time of day onto the testbed's clock")]

use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use nix::sys::socket::{setsockopt, sockopt};
use roam_agent::control::Client;
use roam_agent::control::protocol::StreamEvent;
use sctp_sys::watch::{AsconfParam, Seen, Sighting, Watch};

use crate::clock::{self, Nanos};
use crate::scenario::Story;
use crate::topology::{Host, Network};

/// Watches both hosts until dropped.
#[derive(Debug)]
pub(crate) struct Capture {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Capture {
    /// Notes every ASCONF, every answer and every ABORT that a mobile host sends.
    pub(crate) fn start(network: &Network, story: &Story) -> io::Result<Self> {
        keep_timestamping();
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for host in Host::ALL {
            let mut watch = network.host(host).enter(Watch::open)?;
            let (stop, story) = (Arc::clone(&stop), story.clone());
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match watch.next_within(Duration::from_millis(200)) {
                        Ok(sighting) if sighting.outgoing => note(&story, host, &sighting),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                        // An interface went down under the socket: the kernel says so once.
                        Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                        Err(error) => {
                            story.note(host.name(), "wire", format!("is no longer seen: {error}"));
                            return;
                        }
                    }
                }
            }));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Has the kernel note the time of each packet for as long as this process lives. It begins that with the first socket
/// that asks for it and ends it with the last, by patching its code while it runs; on an emulated processor with
/// several cores that was seen to crash it once in some thousand times (`int3` in `netif_rx_internal`).
pub(crate) fn keep_timestamping() {
    static KEPT: OnceLock<Option<UdpSocket>> = OnceLock::new();
    KEPT.get_or_init(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0")).ok()?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).ok()?;
        Some(socket)
    });
}

/// Follows the decisions of the daemon with this runtime directory until it ends.
pub(crate) fn follow(runtime: PathBuf, host: Host, story: &Story) {
    let story = story.clone();
    thread::spawn(move || {
        let Ok(client) = Client::connect(&runtime) else { return };
        let _ = client.monitor(0, |event| {
            if let StreamEvent::Decision(decision) = event {
                let cause =
                    if decision.cause.is_empty() { String::new() } else { format!(" ({})", decision.cause) };
                let time = SystemTime::UNIX_EPOCH + Duration::from_millis(decision.time_ms);
                let what = format!("{}: {}{cause}", decision.subject, decision.text);
                story.note_at(on_our_clock(time), host.name(), "agent", what);
            }
            true
        });
    });
}

fn note(story: &Story, host: Host, sighting: &Sighting) {
    // The registrar's associations are no part of the story.
    const REGISTRAR: u16 = 3863;
    if [sighting.source_port, sighting.destination_port].contains(&REGISTRAR) {
        return;
    }
    let at = sighting.time.map_or_else(clock::now, on_our_clock);
    let (from, to) = (sighting.source, sighting.destination);
    for chunk in &sighting.chunks {
        let what = match chunk {
            Seen::Asconf { params, .. } => {
                let params: Vec<_> = params.iter().map(words).collect();
                format!("ASCONF {from} > {to}: {}", params.join(", "))
            }
            Seen::AsconfAck { errors, .. } if errors.is_empty() => format!("ASCONF-ACK {from} > {to}"),
            Seen::AsconfAck { errors, .. } => {
                let codes: Vec<_> = errors.iter().map(|(_, code)| format!("{code:#06x}")).collect();
                format!("ASCONF-ACK {from} > {to}: refused with {}", codes.join(", "))
            }
            Seen::Abort { .. } => format!("ABORT {from} > {to}"),
            Seen::CookieEcho | Seen::CookieAck => continue,
        };
        story.note_at(at, host.name(), "wire", what);
    }
}

fn words(param: &AsconfParam) -> String {
    match param {
        AsconfParam::Add { address, .. } => format!("add {address}"),
        AsconfParam::Delete { address, .. } => format!("delete {address}"),
        AsconfParam::SetPrimary { address, .. } => format!("primary {address}"),
        AsconfParam::Other { type_, .. } => format!("{type_:#06x}"),
    }
}

/// A time of day on the testbed's clock.
pub(crate) fn on_our_clock(time: SystemTime) -> Nanos {
    let (now, today) = (clock::now(), SystemTime::now());
    match today.duration_since(time) {
        Ok(ago) => now.saturating_sub(ago.as_nanos() as Nanos),
        Err(ahead) => now + ahead.duration().as_nanos() as Nanos,
    }
}
