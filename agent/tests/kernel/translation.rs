//! What each rule of the translation table does to the packets of real associations: two hosts, each a network
//! namespace, on one link.
#![expect(clippy::disallowed_methods, reason = "patience is measured")]

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use roam_agent::translate::{Pair, Rule, Translator};
use sctp_sys::{Family, Received, SendInfo, Socket, Style, sockopt};

/// Longer than anything here takes, software emulation and SCTP's timers included.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host: its network namespace, and what it translates.
pub(super) struct Host {
    namespace: std::fs::File,
    translator: Translator,
}

impl Host {
    /// Makes this thread one of this host.
    pub(super) fn enter(&self) {
        setns(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
    }

    pub(super) fn rules(&mut self, rules: &[Rule]) {
        self.enter();
        let before = self.translator.installed().copied().collect();
        self.translator.change(&before, &rules.iter().copied().collect()).unwrap();
    }

    /// How often a packet from `from` to `to` was seen by this host's counter `set`.
    pub(super) fn seen(&self, set: &str, from: IpAddr, to: IpAddr) -> u64 {
        self.enter();
        let family = if from.is_ipv4() { 4 } else { 6 };
        let listing = run("nft", &format!("list set inet seen {set}{family}"));
        let key = format!("{from} . {to} counter packets ");
        listing.split(&key).nth(1).map_or(0, |rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        })
    }
}

/// The two hosts and an association between them, the client on A.
pub(super) struct World {
    pub(super) a: Host,
    pub(super) b: Host,
    pub(super) client: Socket,
    pub(super) server: Socket,
    family: Family,
}

pub(super) const CLIENT: u16 = 7001;
pub(super) const SERVER: u16 = 7000;
pub(super) const AT_A: Pair = Pair { local_port: CLIENT, peer_port: SERVER };
const AT_B: Pair = Pair { local_port: SERVER, peer_port: CLIENT };

/// Counts SCTP packets on the wire, before anything of ours sees what enters and after all of ours saw what leaves,
/// and what SCTP gives to be sent.
const COUNTERS: &str = "table inet seen {
  set entered4 { type ipv4_addr . ipv4_addr; flags dynamic; counter; }
  set entered6 { type ipv6_addr . ipv6_addr; flags dynamic; counter; }
  set aborts4 { type ipv4_addr . ipv4_addr; flags dynamic; counter; }
  set aborts6 { type ipv6_addr . ipv6_addr; flags dynamic; counter; }
  set acks4 { type ipv4_addr . ipv4_addr; flags dynamic; counter; }
  set acks6 { type ipv6_addr . ipv6_addr; flags dynamic; counter; }
  set given4 { type ipv4_addr . ipv4_addr; flags dynamic; counter; }
  set given6 { type ipv6_addr . ipv6_addr; flags dynamic; counter; }
  chain entering {
    type filter hook prerouting priority -400;
    meta l4proto sctp add @entered4 { ip saddr . ip daddr }
    meta l4proto sctp add @entered6 { ip6 saddr . ip6 daddr }
    sctp chunk abort exists add @aborts4 { ip saddr . ip daddr }
    sctp chunk abort exists add @aborts6 { ip6 saddr . ip6 daddr }
    sctp chunk asconf-ack exists add @acks4 { ip saddr . ip daddr }
    sctp chunk asconf-ack exists add @acks6 { ip6 saddr . ip6 daddr }
  }
  chain given {
    type filter hook output priority -400;
    meta l4proto sctp add @given4 { ip saddr . ip daddr }
    meta l4proto sctp add @given6 { ip6 saddr . ip6 daddr }
  }
}
";

pub(super) fn run(program: &str, words: &str) -> String {
    let output = Command::new(program).args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A new network namespace, this thread in it.
pub(super) fn namespace() -> std::fs::File {
    unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root: they make network namespaces");
    let settings = ["net/sctp/addip_enable", "net/sctp/auth_enable"];
    Socket::new(Style::OneToOne, Family::V4).expect("these tests need a kernel with SCTP");
    for setting in settings {
        std::fs::write(format!("/proc/sys/{setting}"), "1").unwrap();
    }
    for interface in ["all", "default"] {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "0").unwrap();
        // An address that goes does not take the others of its subnet along.
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/promote_secondaries"), "1").unwrap();
    }
    run("ip", "link set lo up");
    std::fs::File::open("/proc/thread-self/ns/net").unwrap()
}

/// Gives nftables a script.
pub(super) fn nft(script: &str) {
    use std::io::Write;
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "{script}");
}

/// Waits until `done` finds what it looks for.
pub(super) fn until<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, done)
}

/// As [`until`], with a patience of its own.
pub(super) fn within<T>(patience: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(start.elapsed() < patience, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

impl World {
    /// Address `n` of this world's family; A starts with 1, B with 3, and 2 and 4 are on their links too.
    pub(super) fn address(&self, n: u8) -> IpAddr {
        address(self.family, n)
    }

    pub(super) fn new(family: Family) -> Self {
        let make = |namespace: std::fs::File| Host {
            namespace,
            translator: Translator::install(std::collections::BTreeSet::new(), None).unwrap(),
        };
        let b = make(namespace());
        nft(COUNTERS);
        // A process whose number stands for B's namespace; it ends with its standard input.
        let mut other = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let a = make(namespace());
        nft(COUNTERS);
        run("ip", &format!("link add wire type veth peer name wire netns {}", other.id()));
        drop(other.stdin.take());
        other.wait().unwrap();
        let plug = |numbers: [u8; 2]| {
            run("ip", "link set wire up");
            for n in numbers {
                match family {
                    Family::V4 => run("ip", &format!("addr add {}/24 dev wire", address(family, n))),
                    Family::V6 => run("ip", &format!("addr add {}/64 dev wire nodad", address(family, n))),
                };
            }
        };
        a.enter();
        plug([1, 2]);
        b.enter();
        plug([3, 4]);
        let server = Socket::new(Style::OneToOne, family).unwrap();
        server.bind(SocketAddr::new(address(family, 3), SERVER)).unwrap();
        server.listen(2).unwrap();
        a.enter();
        let client = connect(family, CLIENT);
        let (server, _) = server.accept().unwrap();
        for socket in [&client, &server] {
            socket.set_nonblocking(true).unwrap();
        }
        Self { a, b, client, server, family }
    }
}

fn connect(family: Family, port: u16) -> Socket {
    let client = Socket::new(Style::OneToOne, family).unwrap();
    client.bind(SocketAddr::new(address(family, 1), port)).unwrap();
    let rto = sockopt::RtoInfo { initial: 500, max: 1000, min: 200 };
    sockopt::set_rto_info(client.as_fd(), 0, rto).unwrap();
    let start = Instant::now();
    // The link's other end may still be on its way up.
    while let Err(error) = client.connect(SocketAddr::new(address(family, 3), SERVER)) {
        assert!(start.elapsed() < PATIENCE, "{error}");
    }
    client
}

/// Address `n` of a family on the worlds' link.
pub(super) fn address(family: Family, n: u8) -> IpAddr {
    match family {
        Family::V4 => [10, 0, 0, n].into(),
        Family::V6 => [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)].into(),
    }
}

pub(super) fn send(socket: &Socket, text: &str) {
    socket.send(&SendInfo::default(), text.as_bytes()).unwrap();
}

/// The message that has arrived.
pub(super) fn arrived(socket: &Socket) -> Option<String> {
    let mut bytes = Vec::new();
    match socket.recv(&mut bytes) {
        Ok(Some(Received::Message(_))) => Some(String::from_utf8(bytes).unwrap()),
        _ => None,
    }
}

pub(super) fn receive(socket: &Socket) -> String {
    until("a message", || arrived(socket))
}

/// Runs a test with each family, on a thread of its own for the namespaces' sake.
pub(super) fn in_both_families(test: fn(World)) {
    for family in [Family::V4, Family::V6] {
        let thread = std::thread::spawn(move || test(World::new(family)));
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn has_peer(socket: &Socket, address: IpAddr) -> bool {
    socket.peer_addrs(0).unwrap().iter().any(|peer| peer.ip() == address)
}

#[test]
fn nothing_of_a_guarded_port_pair_enters() {
    in_both_families(|mut world| {
        let (one, three) = (world.address(1), world.address(3));
        world.a.rules(&[Rule::Guard(AT_A)]);
        let before = world.a.seen("entered", three, one);
        send(&world.server, "held back");
        until("retransmissions", || (world.a.seen("entered", three, one) >= before + 2).then_some(()));
        assert_eq!(arrived(&world.client), None);
        world.a.rules(&[]);
        assert_eq!(receive(&world.client), "held back");
    });
}

#[test]
fn associations_of_other_ports_pass_while_one_is_held_back() {
    in_both_families(|mut world| {
        world.a.enter();
        let pair = Pair { local_port: CLIENT + 1, peer_port: SERVER };
        let (one, two, three) = (world.address(1), world.address(2), world.address(3));
        world.a.rules(&[
            Rule::Guard(pair),
            Rule::Block { pair, source: one },
            Rule::OutSource { pair, from: one, to: two },
            Rule::InSource { pair, from: three, to: two },
        ]);
        send(&world.client, "out");
        assert_eq!(receive(&world.server), "out");
        send(&world.server, "in");
        assert_eq!(receive(&world.client), "in");
    });
}

#[test]
fn an_abort_of_a_host_that_knows_no_such_association_does_not_end_it() {
    in_both_families(|mut world| {
        let (one, three) = (world.address(1), world.address(3));
        world.a.rules(&[Rule::NoAbortIn(AT_A)]);
        // What the peer's program says of its end does not leave.
        world.b.enter();
        let last = [3, 4].map(|n| Rule::Block { pair: AT_B, source: world.address(n) });
        world.b.rules(&last);
        world.server.abort(0).unwrap();
        drop(world.server);
        world.b.rules(&[]);
        world.a.enter();
        send(&world.client, "to nobody");
        until("ABORTs", || (world.a.seen("aborts", three, one) >= 2).then_some(()));
        assert!(sockopt::status(world.client.as_fd(), 0).is_ok());
        world.a.rules(&[]);
        until("the end of the association", || sockopt::status(world.client.as_fd(), 0).err());
    });
}

#[test]
fn an_abort_of_the_peers_program_ends_the_association_at_once_whatever_is_kept_out() {
    in_both_families(|mut world| {
        world.a.rules(&[Rule::NoAbortIn(AT_A)]);
        world.server.abort(0).unwrap();
        drop(world.server);
        until("the end of the association", || sockopt::status(world.client.as_fd(), 0).err());
    });
}

#[test]
fn only_asconf_and_its_answers_leave_from_a_restricted_address() {
    in_both_families(|mut world| {
        let [one, two, three, four] = [1, 2, 3, 4].map(|n| world.address(n));
        let ways = [(one, three), (one, four), (two, three), (two, four)];
        world.a.rules(&ways.map(|(source, destination)| Rule::Restrict { pair: AT_A, source, destination }));
        let before = world.a.seen("given", one, three);
        send(&world.client, "held back");
        until("retransmissions", || (world.a.seen("given", one, three) >= before + 2).then_some(()));
        world.client.bindx_add(&[SocketAddr::new(two, CLIENT)]).unwrap();
        until("the address at the peer", || has_peer(&world.server, two).then_some(()));
        // The peer's ASCONF is answered.
        world.server.bindx_add(&[SocketAddr::new(four, SERVER)]).unwrap();
        until("the answer", || {
            ways.iter().any(|&(from, to)| world.b.seen("acks", from, to) > 0).then_some(())
        });
        assert!(has_peer(&world.client, four));
        assert_eq!(arrived(&world.server), None);
        world.a.rules(&[]);
        assert_eq!(receive(&world.server), "held back");
    });
}

#[test]
fn nothing_leaves_from_a_blocked_address() {
    in_both_families(|mut world| {
        let (one, two, three) = (world.address(1), world.address(2), world.address(3));
        world.a.rules(&[Rule::Block { pair: AT_A, source: one }]);
        let before = (world.a.seen("given", one, three), world.b.seen("entered", one, three));
        world.client.bindx_add(&[SocketAddr::new(two, CLIENT)]).unwrap();
        send(&world.client, "held back");
        until("retransmissions", || (world.a.seen("given", one, three) >= before.0 + 3).then_some(()));
        assert_eq!(world.b.seen("entered", one, three), before.1);
        assert!(!has_peer(&world.server, two));
        world.a.rules(&[]);
        assert_eq!(receive(&world.server), "held back");
    });
}

#[test]
fn an_association_goes_on_between_addresses_that_it_does_not_know() {
    in_both_families(|mut world| {
        let [one, two, three, four] = [1, 2, 3, 4].map(|n| world.address(n));
        // Both hosts lose the addresses of the association and hold them.
        let bits = if one.is_ipv4() { 32 } else { 128 };
        for (host, address) in [(&world.a, one), (&world.b, three)] {
            host.enter();
            let mask = if one.is_ipv4() { 24 } else { 64 };
            run("ip", &format!("addr del {address}/{mask} dev wire"));
            run("ip", &format!("addr add {address}/{bits} dev lo"));
        }
        world.a.rules(&[
            Rule::OutSource { pair: AT_A, from: one, to: two },
            Rule::OutDestination { pair: AT_A, from: three, to: four },
            Rule::InSource { pair: AT_A, from: four, to: three },
            Rule::InDestination { pair: AT_A, from: two, to: one },
        ]);
        world.b.rules(&[
            Rule::OutSource { pair: AT_B, from: three, to: four },
            Rule::OutDestination { pair: AT_B, from: one, to: two },
            Rule::InSource { pair: AT_B, from: two, to: one },
            Rule::InDestination { pair: AT_B, from: four, to: three },
        ]);
        let old = world.b.seen("entered", one, three);
        send(&world.client, "there");
        assert_eq!(receive(&world.server), "there");
        send(&world.server, "and back");
        assert_eq!(receive(&world.client), "and back");
        assert!(world.b.seen("entered", two, four) > 0 && world.a.seen("entered", four, two) > 0);
        assert_eq!(world.b.seen("entered", one, three), old);
    });
}

#[test]
fn an_answer_goes_where_it_is_sent_and_the_rest_does_not_follow() {
    in_both_families(|mut world| {
        let [one, two, three, four] = [1, 2, 3, 4].map(|n| world.address(n));
        // What the client's host gets at its second address belongs to its first.
        world.a.rules(&[Rule::InDestination { pair: AT_A, from: two, to: one }]);
        world.b.rules(&[Rule::AnswerTo { pair: AT_B, from: one, to: two }]);
        world.a.enter();
        run(
            "ip",
            &format!("addr add {}/{} dev lo", address(world.family, 9), if one.is_ipv4() { 32 } else { 128 }),
        );
        world.client.bindx_add(&[SocketAddr::new(address(world.family, 9), CLIENT)]).unwrap();
        until("the answer", || (world.a.seen("acks", three, two) >= 1).then_some(()));
        assert_eq!(world.a.seen("acks", three, one), 0);
        // The data's acknowledgement still goes to the first address.
        let before = world.a.seen("entered", three, one);
        send(&world.client, "data");
        assert_eq!(receive(&world.server), "data");
        until("its acknowledgement", || (world.a.seen("entered", three, one) > before).then_some(()));
        assert!(!has_peer(&world.client, four));
    });
}

#[test]
#[expect(clippy::print_stdout, reason = "a measurement")]
fn a_change_of_rules_costs_well_below_a_millisecond() {
    in_both_families(|mut world| {
        let [one, two, three, four] = [1, 2, 3, 4].map(|n| world.address(n));
        let rules = [
            Rule::Guard(AT_A),
            Rule::OutSource { pair: AT_A, from: one, to: two },
            Rule::OutDestination { pair: AT_A, from: three, to: four },
            Rule::InSource { pair: AT_A, from: four, to: three },
        ];
        let mut took: Vec<Duration> = (0..21)
            .map(|_| {
                let start = Instant::now();
                world.a.rules(&rules);
                let took = start.elapsed();
                world.a.rules(&[]);
                took
            })
            .collect();
        took.sort_unstable();
        println!("four rules in {} us (median of {})", took[10].as_micros(), took.len());
        // Software emulation is some ten times slower than hardware.
        assert!(took[10] < Duration::from_millis(10), "{:?}", took[10]);
    });
}
