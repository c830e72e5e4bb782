//! From the new address of a host that had none to the packet that tells the peer: ours, the kernel's auto-ASCONF, and
//! mptcpd's subflow of a connection of MPTCP. Each has a network of its own in the same guest, and they take turns. Every
//! repetition has an association of its own, since auto-ASCONF loses them.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};
use sctp_sys::{Family, Socket, Style};

use super::sample::Sample;
use super::site::Site;
use super::wire::{Sign, Wire};
use super::{MPTCPD, Tell};
use crate::bench::{Better, Figure, words};
use crate::clock::{self, ms_between};
use crate::process::Program;
use crate::topology::{A1, A2, Host};

/// How often each is measured.
const TIMES: u32 = 100;
/// How long the host has no address, at least.
const OUTAGE: Duration = Duration::from_millis(900);
/// From repetition to repetition it is longer by this, and then begins anew: where the kernel's timer of 500 ms stands
/// shall not be chance.
const STEP: Duration = Duration::from_millis(50);
const STEPS: u32 = 10;
/// How often a contender that may not be able to is tried.
const TRIES: u32 = 5;
/// Several times as long as the slowest of them takes.
const WATCHED: Duration = Duration::from_secs(3);
/// After an address event, before a program begins that auto-ASCONF looks after: longer than the kernel gathers events,
/// for an Add of an address that an association already has would be the end of it.
const CALM: Duration = Duration::from_millis(700);

/// Who reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Roam,
    AutoAsconf,
    Mptcpd,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Roam => "Roam",
            Self::AutoAsconf => "Linux auto-ASCONF",
            Self::Mptcpd => "mptcpd",
        }
    }

    const fn sign(self) -> Sign {
        match self {
            Self::Roam | Self::AutoAsconf => Sign::Asconf,
            Self::Mptcpd => Sign::Subflow,
        }
    }
}

/// A program's end of what moves; dropped, it is closed.
enum Connection {
    Sctp { _socket: Socket },
    Mptcp { _stream: TcpStream },
}

struct Contender {
    who: Who,
    site: Site,
    wire: Wire,
    /// mptcpd.
    _daemon: Option<Program>,
    sample: Sample,
}

impl Contender {
    fn new(who: Who) -> Result<Self> {
        let mut site = Site::new(20.0)?;
        let mut daemon = None;
        match who {
            Who::Roam => {
                site.serve_sctp()?;
                site.start_roamd()?;
            }
            Who::AutoAsconf => {
                site.at(Host::A, || fs::write("/proc/sys/net/sctp/default_auto_asconf", "1"))?;
                site.serve_sctp()?;
            }
            Who::Mptcpd => {
                for host in Host::ALL {
                    site.at(host, || fs::write("/proc/sys/net/mptcp/enabled", "1"))
                        .context("net.mptcp.enabled (is the kernel built with CONFIG_MPTCP?)")?;
                }
                // As many subflows as the kernel lets one connection have.
                crate::link::batch(
                    site.network.host(Host::A),
                    "ip",
                    &["mptcp limits set subflows 8".into()],
                )?;
                site.serve_mptcp()?;
                let mut command = Command::new(MPTCPD.0);
                command.args(["--path-manager=addr_adv", "--addr-flags=subflow"]);
                command.arg("--notify-flags=existing,skip_link_local,skip_loopback");
                daemon = Some(site.start(Host::A, "mptcpd", &mut command)?);
            }
        }
        let wire = site.at(Host::A, Wire::open)?;
        Ok(Self { who, site, wire, _daemon: daemon, sample: Sample::default() })
    }

    /// One repetition: from the call that gives the host its new address to the packet, in milliseconds.
    fn measure(&mut self, turn: u32) -> Result<Option<f64>> {
        let family = self.site.network.family();
        let (old, new) = (A1.address(family), A2.address(family));
        self.site.network.up(Host::A, &[A1])?;
        if self.who == Who::AutoAsconf {
            clock::pass(CALM)?;
        }
        let connection = self.connect(old)?;
        self.site.network.down(Host::A, &[A1])?;
        clock::pass(OUTAGE + STEP * (turn % STEPS))?;
        // The link is there before its address.
        self.site.network.carrier(Host::A, &[A2])?;
        self.wire.forget()?;
        let asked = self.site.network.address(Host::A, &[A2])?;
        let seen = self.wire.first(self.who.sign(), new, WATCHED)?;
        drop(connection);
        if self.who == Who::Roam {
            self.site.until_associations(0)?;
        }
        self.site.network.down(Host::A, &[A2])?;
        Ok(seen.map(|seen| ms_between(asked, seen)))
    }

    fn connect(&mut self, local: IpAddr) -> Result<Connection> {
        let server = self.site.server();
        match self.who {
            Who::Roam | Who::AutoAsconf => {
                // The kernel's own looks after programs that are bound to no address, ours after all; this is the plain case.
                let local = if self.who == Who::Roam { local } else { "0.0.0.0".parse()? };
                let socket = self.site.at(Host::A, || {
                    let socket = Socket::new(Style::OneToOne, Family::of(server))?;
                    socket.bind(SocketAddr::new(local, 0))?;
                    socket.connect(server)?;
                    Ok(socket)
                })?;
                if self.who == Who::Roam {
                    self.site.until_associations(1)?;
                }
                Ok(Connection::Sctp { _socket: socket })
            }
            Who::Mptcpd => {
                let mut stream = self.site.at(Host::A, || mptcp_to(server))?;
                stream.set_read_timeout(Some(WATCHED))?;
                // Subflows can be joined to it when data has been acknowledged.
                stream.write_all(b"here")?;
                let mut echo = [0; 4];
                stream.read_exact(&mut echo).context("the echo over MPTCP")?;
                Ok(Connection::Mptcp { _stream: stream })
            }
        }
    }
}

fn mptcp_to(server: SocketAddr) -> std::io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::MPTCP))?;
    rustix::net::connect(fd.as_fd(), &server)?;
    Ok(fd.into())
}

/// Measures all that is there, and says why what is not.
pub(super) fn measure(tell: Tell<'_>) -> Result<()> {
    let mut contenders = vec![Contender::new(Who::Roam)?, Contender::new(Who::AutoAsconf)?];
    match mptcpd() {
        Ok(contender) => contenders.push(contender),
        Err(error) => println!("  mptcpd is not measured: {error:#}"),
    }
    for turn in 0..TIMES {
        for contender in &mut contenders {
            let ms = contender.measure(turn).with_context(|| format!("with {}", contender.who.name()))?;
            contender.sample.add(ms);
        }
    }
    for contender in &contenders {
        println!("  {}: {}", contender.who.name(), contender.sample);
    }
    let of = |who| contenders.iter().find(|it| it.who == who).map(|it| &it.sample);
    for (who, what) in [(Who::AutoAsconf, "first ASCONF"), (Who::Mptcpd, "first ASCONF, or SYN of a subflow")]
    {
        for percent in [50, 99] {
            let figures = [Who::Roam, who].map(|who| of(who).and_then(|it| it.percentile(percent)));
            let name = format!("agent: from the address to the {what}, p{percent}");
            let figure =
                Figure::compare(name.clone(), "ms", Better::Lower, figures[0], who.name(), figures[1]);
            println!("  {name}: {}", words(&figure));
            tell(figure)?;
        }
    }
    Ok(())
}

fn mptcpd() -> Result<Contender> {
    anyhow::ensure!(
        Path::new(MPTCPD.0).exists() && Path::new(super::MPTCPD_PLUGIN.0).exists(),
        "{} or its plugin is not there; Debian has them in {} and {}",
        MPTCPD.0,
        MPTCPD.1,
        super::MPTCPD_PLUGIN.1
    );
    let mut contender = Contender::new(Who::Mptcpd)?;
    // A few times beforehand: a kernel or a daemon that cannot do it is told as such, and not as a hundred misses.
    for turn in 0..TRIES {
        if contender.measure(turn)?.is_some() {
            return Ok(contender);
        }
    }
    let counted = contender.site.at(Host::A, || fs::read_to_string("/proc/thread-self/net/netstat"))?;
    bail!(
        "none of {TRIES} times a subflow was seen from the new address within {} s. The kernel's counters of joins: {}. \
         (MPJoinSynTxBindErr: mptcpd asks for the subflow as soon as it hears of the address, before the kernel lets \
         anybody bind to it, and not again)",
        WATCHED.as_secs(),
        joins(&counted)
    );
}

/// What the kernel has counted of subflows that join, from `/proc/net/netstat`: names in one line, numbers in the next.
fn joins(text: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("MPTcpExt:"));
    let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pairs = names.split_whitespace().zip(numbers.split_whitespace());
    let found: Vec<_> = pairs
        .filter(|(name, number)| name.contains("Join") && *number != "0")
        .map(|(a, b)| format!("{a} {b}"))
        .collect();
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_counted_of_joins_is_told() {
        let text = "TcpExt: SyncookiesSent X\nTcpExt: 0 1\n\
                    MPTcpExt: MPCapableSYNRX MPJoinSynTx MPJoinSynTxBindErr MPJoinAckRx\nMPTcpExt: 3 0 2 1\n";
        assert_eq!(joins(text), "MPJoinSynTxBindErr 2, MPJoinAckRx 1");
        assert_eq!(joins("TcpExt: a\nTcpExt: 1\n"), "none");
    }
}
