//! What the service manager is told (sd_notify(3)), if it waits for it.

use std::os::unix::net::UnixDatagram;

use nix::time::{ClockId, clock_gettime};

/// The daemon is ready, or has taken its configuration over.
pub(super) fn ready() {
    say("READY=1");
}

/// The configuration is being read again; systemd wants to know when that was, in microseconds.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
    let microseconds = i128::from(now.tv_sec()) * 1_000_000 + i128::from(now.tv_nsec()) / 1_000;
    say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// The daemon is about to end.
pub(super) fn stopping() {
    say("STOPPING=1");
}

fn say(what: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let sent = UnixDatagram::unbound().and_then(|socket| {
        let path = path.to_string_lossy().into_owned();
        match path.strip_prefix('@') {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                socket.send_to_addr(what.as_bytes(), &address)
            }
            None => socket.send_to(what.as_bytes(), path),
        }
    });
    if let Err(error) = sent {
        tracing::warn!(%error, what, "the service manager could not be told");
    }
}
