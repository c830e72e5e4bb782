//! The kernel's timer for address events, started beforehand.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use roam_agent::journal::Journal;
use roam_agent::routing::Holder;
use sctp_sys::sockopt::AssocId;
use sctp_sys::{Family, Socket, Style, sockopt};

use super::translation::{namespace, run, until};

/// A wildcard socket that reacts to address events, with an association over lo.
struct Wildcard {
    client: Socket,
    association: AssocId,
    _server: Socket,
}

impl Wildcard {
    fn new() -> Self {
        let server = Socket::new(Style::OneToOne, Family::V6).unwrap();
        server.bind("[::]:7000".parse().unwrap()).unwrap();
        server.listen(1).unwrap();
        let client = Socket::new(Style::OneToOne, Family::V6).unwrap();
        client.bind("[::]:7001".parse().unwrap()).unwrap();
        client.connect("[::1]:7000".parse().unwrap()).unwrap();
        sockopt::set_auto_asconf(client.as_fd(), true).unwrap();
        let association = sockopt::status(client.as_fd(), sockopt::FUTURE_ASSOC).unwrap().assoc;
        Self { client, association, _server: server }
    }

    /// The association's own addresses, not those of the endpoint: that has all of the host's at once.
    fn local(&self) -> Vec<IpAddr> {
        let addresses = sockopt::local_addrs(self.client.as_fd(), self.association).unwrap();
        addresses.iter().map(SocketAddr::ip).collect()
    }
}

fn holder(directory: &Path) -> (Holder, Journal) {
    let journal = Journal::open(directory).unwrap();
    (Holder::open(journal.clone()).unwrap(), journal)
}

/// What the kernel says of its timers: a buffer of its tracing for this test alone, until dropped.
struct Trace(PathBuf);

impl Trace {
    fn start() -> Self {
        let root = Path::new("/sys/kernel/tracing");
        if !root.join("instances").exists() {
            // For this thread alone.
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
                .unwrap();
            mount(Some("tracefs"), root, Some("tracefs"), MsFlags::empty(), None::<&str>)
                .expect("this test needs a kernel with event tracing");
        }
        let own = root.join(format!("instances/roam-{}", std::process::id()));
        fs::create_dir(&own).unwrap();
        let trace = Self(own);
        for event in ["timer_start", "timer_expire_entry"] {
            fs::write(trace.0.join(format!("events/timer/{event}/enable")), "1").unwrap();
        }
        trace
    }

    /// What was traced of timers for address events, those of other namespaces included.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.join("trace")).unwrap();
        assert!(!text.contains("LOST"), "events were lost");
        let is_ours = |line: &&str| line.contains("function=sctp_addr_wq_timeout_handler");
        text.lines().filter(is_ours).map(str::to_owned).collect()
    }

    /// The timer that this thread has started.
    fn started_here(&self) -> Option<String> {
        let thread = format!("-{} ", nix::unistd::gettid());
        let lines = self.lines();
        let start = lines.iter().find(|line| line.contains("timer_start:") && line.contains(&thread))?;
        start.split(' ').find(|word| word.starts_with("timer=")).map(str::to_owned)
    }

    /// How often a timer was started, or put off, and how often it ran out.
    fn starts_and_ends(&self, timer: &str) -> (usize, usize) {
        let lines = self.lines();
        let of = |event: &str| {
            lines
                .iter()
                .filter(|line| line.contains(event) && line.split(' ').any(|word| word == timer))
                .count()
        };
        (of("timer_start:"), of("timer_expire_entry:"))
    }

    fn clear(&self) {
        fs::write(self.0.join("trace"), "").unwrap();
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn starting_the_timer_leaves_nothing_and_no_wildcard_socket_reacts_but_to_the_address_that_comes() {
    let _namespace = namespace();
    let new: IpAddr = [10, 7, 7, 7].into();
    let socket = Wildcard::new();
    let before = socket.local();

    let directory = tempfile::tempdir().unwrap();
    let (mut holder, journal) = holder(directory.path());
    let addresses = run("ip", "address show");
    holder.tick().unwrap();
    assert_eq!(run("ip", "address show"), addresses);
    assert!(journal.pending().is_empty());

    run("ip", &format!("address add {new}/32 dev lo"));
    until("the association has the new address", || socket.local().contains(&new).then_some(()));
    let mut expected = before;
    expected.push(new);
    assert_eq!(socket.local(), expected);
}

#[test]
fn an_address_that_comes_while_the_timer_runs_is_added_when_that_timer_ends_and_starts_none_of_its_own() {
    let _namespace = namespace();
    let socket = Wildcard::new();
    let directory = tempfile::tempdir().unwrap();
    let (mut holder, _journal) = holder(directory.path());
    let trace = Trace::start();
    let mut numbers = 1..=u8::MAX;
    let mut come = |holder: &mut Holder| {
        let new: IpAddr = [10, 7, 7, numbers.next().unwrap()].into();
        holder.hold(new).unwrap();
        until("the association has the new address", || socket.local().contains(&new).then_some(()));
    };
    // Then all has been acted on that came before, and no timer runs.
    come(&mut holder);
    // A slow machine may come too late with the address, after the end of the timer; that shows nothing yet.
    until("an address came while the timer ran", || {
        trace.clear();
        holder.tick().unwrap();
        let timer = trace.started_here().expect("the timer was not started");
        if trace.starts_and_ends(&timer) != (1, 0) {
            return None;
        }
        come(&mut holder);
        // Had the address started it, there would be two.
        (trace.starts_and_ends(&timer) == (1, 1)).then_some(())
    });
}
