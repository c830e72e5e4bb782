//! A network namespace for each test, and sockets in it.
#![expect(clippy::disallowed_methods, reason = "a deadline for conditions that never come")]

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use sctp_sys::event::Notification;
use sctp_sys::probe::Sysctl;
use sctp_sys::sockopt::AssocId;
use sctp_sys::watch::{Seen, Sighting, Watch};
use sctp_sys::{Family, MessageInfo, Received, Socket, Style};

/// How long a condition is waited for before the test fails.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Runs a command in the calling thread's network namespace.
pub(crate) fn run(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output =
        Command::new(words[0]).args(&words[1..]).output().unwrap_or_else(|e| panic!("{command}: {e}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs commands of iproute2 in the calling thread's network namespace, in one process.
pub(crate) fn ip_batch(commands: &str) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "{commands}");
}

/// Runs a test in a network namespace with Add-IP on, the loopback interface up, and on it the addresses
/// 192.0.2.1, .2, .9 and 2001:db8::1, ::2, ::9.
///
/// The namespace is that of a thread made for the test: `unshare(CLONE_NEWNET)` changes the calling thread
/// alone, so neither the test harness nor other tests notice, and it is gone with the thread. Sockets keep
/// the namespace that they were made in, wherever they are used.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            enter_namespace();
            ip_batch(
                "addr add 192.0.2.1/32 dev lo\naddr add 192.0.2.2/32 dev lo\naddr add 192.0.2.9/32 dev lo\n\
                 addr add 2001:db8::1/128 dev lo nodad\naddr add 2001:db8::2/128 dev lo nodad\n\
                 addr add 2001:db8::9/128 dev lo nodad\n",
            );
            test();
        });
        if let Err(panic) = done.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Puts the calling thread into a network namespace of its own with Add-IP on.
pub(crate) fn enter_namespace() {
    static MODULES: Once = Once::new();
    MODULES.call_once(|| run("modprobe -a sctp sctp_diag"));
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own takes CAP_SYS_ADMIN");
    run("ip link set lo up");
    // The first socket of a namespace may load the module, which makes the settings.
    Socket::new(Style::OneToMany, Family::V4).expect("this kernel has no SCTP: run this in the guest");
    Sysctl::AddipEnable.write(1).unwrap();
    Sysctl::AuthEnable.write(1).unwrap();
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Client's and server's address of a family, and one more of the client.
pub(crate) fn addresses(family: Family) -> [SocketAddr; 3] {
    match family {
        Family::V4 => [at("192.0.2.1:6000"), at("192.0.2.9:5000"), at("192.0.2.2:6000")],
        Family::V6 => [at("[2001:db8::1]:6000"), at("[2001:db8::9]:5000"), at("[2001:db8::2]:6000")],
    }
}

/// A socket that gives up waiting, so that a failing test ends.
pub(crate) fn socket(style: Style, family: Family) -> Socket {
    let socket = Socket::new(style, family).unwrap();
    impatient(&socket);
    socket
}

pub(crate) fn impatient(socket: &Socket) {
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::new(LONG.as_secs().cast_signed(), 0)).unwrap();
    setsockopt(socket, sockopt::SendTimeout, &TimeVal::new(LONG.as_secs().cast_signed(), 0)).unwrap();
}

pub(crate) fn listener(style: Style, addr: SocketAddr) -> Socket {
    let listener = socket(style, Family::of(addr));
    listener.bind(addr).unwrap();
    listener.listen(16).unwrap();
    listener
}

/// A one-to-one association: the client's socket and the server's.
pub(crate) fn pair(family: Family) -> (Socket, Socket) {
    let [client_addr, server_addr, _] = addresses(family);
    let listener = listener(Style::OneToOne, server_addr);
    let client = socket(Style::OneToOne, family);
    client.bind(client_addr).unwrap();
    client.connect(server_addr).unwrap();
    let (server, from) = listener.accept().unwrap();
    assert_eq!(from, client_addr);
    impatient(&server);
    (client, server)
}

/// The next message; notifications before it are passed over.
pub(crate) fn message(socket: &Socket) -> (MessageInfo, Vec<u8>) {
    let mut buf = Vec::new();
    loop {
        match socket.recv(&mut buf).expect("a message") {
            Some(Received::Message(info)) => return (info, buf),
            Some(Received::Notification(_)) => {}
            other => panic!("{other:?} instead of a message"),
        }
    }
}

/// The next notification that fits; messages and other notifications before it are passed over.
pub(crate) fn notification<T>(socket: &Socket, fits: impl Fn(&Notification) -> Option<T>) -> T {
    let mut buf = Vec::new();
    let mut before = Vec::new();
    loop {
        match socket.recv(&mut buf) {
            Ok(Some(Received::Notification(notification))) => match fits(&notification) {
                Some(found) => return found,
                None => before.push(notification),
            },
            Ok(Some(_)) => {}
            other => panic!("{other:?} instead of the notification; before it came {before:#?}"),
        }
    }
}

/// The association that a one-to-many socket has.
pub(crate) fn only_association(socket: &Socket) -> AssocId {
    match sctp_sys::sockopt::assoc_ids(socket.as_fd()).unwrap()[..] {
        [one] => one,
        ref other => panic!("associations {other:?}"),
    }
}

/// Waits for a condition that nothing announces.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "never came: {what}");
        // Let others run; the condition alone decides.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// The next sighting with a chunk that fits.
pub(crate) fn sighting(watch: &mut Watch, outgoing: bool, fits: impl Fn(&Seen) -> bool) -> Sighting {
    loop {
        let sighting = watch.next_within(LONG).expect("a sighting");
        if sighting.outgoing == outgoing && sighting.chunks.iter().any(&fits) {
            return sighting;
        }
    }
}
