//! Many associations: what a move of each takes of the agent's processor time, what they take while nothing happens, and
//! how soon a new one among them is looked after.

use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use roam_agent::control::protocol::StreamEvent;
use roam_agent::decisions::Subject;
use sctp_sys::{Family, Socket, Style};

use super::Tell;
use super::sample::Sample;
use super::site::Site;
use super::wire::{Sign, Wire};
use crate::bench::{Better, Figure, words};
use crate::capture::on_our_clock;
use crate::clock::{self, Nanos, Waited, ms_between};
use crate::process::Program;
use crate::topology::{A1, A2, Host, Place};

const PROCESSES: usize = 100;
const EACH: usize = 10;
const ALL: usize = PROCESSES * EACH;
/// How long the host has no address.
const OUTAGE: Duration = Duration::from_secs(1);
/// How often one alone is moved, and all of them: there and back.
const MOVES_ALONE: u32 = 10;
const MOVES: u32 = 2;
/// After the last association has moved: what is still to do is done.
const AFTER: Duration = Duration::from_secs(3);
/// For how long nothing happens, and how long before that.
const IDLE: Duration = Duration::from_secs(60);
const BEFORE_IDLE: Duration = Duration::from_secs(10);
/// New associations.
const NEW: usize = 50;
/// Longer than a move of all of them takes on a slow emulated machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// How much more processor time each of many may take than one alone.
const FACTOR: f64 = 2.0;
/// What may be taken while nothing happens: parts of a hundred of one processor, and MiB.
const IDLE_PERCENT: f64 = 1.0;
const RESIDENT: f64 = 30.0;
/// Within how many milliseconds a new association is to be looked after.
const ADOPTED: f64 = 100.0;

/// The program: holds associations until it is killed, and sends nothing.
///
/// # Errors
/// An association cannot be had.
pub(super) fn hold(local: IpAddr, server: SocketAddr, count: usize) -> Result<()> {
    let mut sockets = (0..count).map(|_| connect(local, server)).collect::<std::io::Result<Vec<_>>>()?;
    println!("connected");
    std::io::stdout().flush()?;
    // Whoever started it ends it.
    loop {
        clock::pass(Duration::from_secs(3600)).inspect_err(|_| sockets.clear())?;
    }
}

fn connect(local: IpAddr, server: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Style::OneToOne, Family::of(server))?;
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(server)?;
    Ok(socket)
}

/// Programs that hold associations.
struct Crowd {
    _programs: Vec<Program>,
    count: usize,
}

impl Crowd {
    /// From A's first address; the agent looks after all of them then.
    fn gather(site: &mut Site, processes: usize, each: usize) -> Result<Self> {
        let local = A1.address(site.network.family());
        let mut programs = Vec::new();
        for number in 0..processes {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("hold").arg(local.to_string()).arg(site.server().to_string()).arg(each.to_string());
            let program = site.start(Host::A, &format!("hold-{processes}-{number}"), &mut command)?;
            clock::until("associations", PATIENCE, || program.output().contains("connected").then_some(()))
                .with_context(|| program.output())?;
            programs.push(program);
        }
        let count = processes * each;
        site.until_associations(count)?;
        Ok(Self { _programs: programs, count })
    }

    /// How long it takes, from the call that gives the host the other address, until all of them have it and no other,
    /// in milliseconds; and what the agent took of the processor from the loss on.
    fn hand_over(&self, site: &Site, from: Place, to: Place) -> Result<(f64, Duration)> {
        let before = site.roamd()?.cpu()?;
        site.network.down(Host::A, &[from])?;
        clock::pass(OUTAGE)?;
        site.network.carrier(Host::A, &[to])?;
        let asked = site.network.address(Host::A, &[to])?;
        let address = to.address(site.network.family());
        let mut left = 0;
        let done = clock::until("the associations to move", PATIENCE, || {
            left = self.count - site.at(Host::A, || at(address)).ok()?;
            if left == 0 {
                return Some(clock::now());
            }
            // Looking takes processor time, too.
            let _ = clock::pass(Duration::from_millis(self.count as u64 / 4));
            None
        });
        let done = done.with_context(|| format!("{left} are left behind"))?;
        clock::pass(AFTER)?;
        Ok((ms_between(asked, done), site.roamd()?.cpu()? - before))
    }
}

/// How many associations have this address here and no other.
fn at(address: IpAddr) -> std::io::Result<usize> {
    let associations = sctp_sys::diag::snapshot_by_sock_diag()?.associations;
    Ok(associations.iter().filter(|it| it.local == [address]).count())
}

/// Moves all of them to and fro, so often; what one move took on average, of the whole and of the processor.
fn moves(site: &Site, crowd: &Crowd, times: u32) -> Result<(f64, Duration)> {
    let (mut whole, mut used) = (0.0, Duration::ZERO);
    for turn in 0..times {
        let (from, to) = if turn % 2 == 0 { (A1, A2) } else { (A2, A1) };
        let (ms, cpu) = crowd.hand_over(site, from, to)?;
        println!(
            "  {} associations moved within {ms:.0} ms; roamd took {:.1} ms of the processor",
            crowd.count,
            cpu.as_secs_f64() * 1e3
        );
        whole += ms;
        used += cpu;
    }
    Ok((whole / f64::from(times), used / times))
}

/// When the agent said that it had adopted an association, by its own port.
struct Adoptions(Receiver<(u16, Nanos)>);

impl Adoptions {
    fn follow(site: &Site) -> Result<Self> {
        let client = site.client()?;
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let _ = client.monitor(0, |event| {
                let StreamEvent::Decision(decision) = event else { return true };
                let Subject::Association { local_port, peer_port: Some(_), .. } = decision.subject else {
                    return true;
                };
                if decision.text != "adopted" {
                    return true;
                }
                let time = SystemTime::UNIX_EPOCH + Duration::from_millis(decision.time_ms);
                tell.send((local_port, on_our_clock(time))).is_ok()
            });
        });
        Ok(Self(told))
    }

    fn of(&self, port: u16) -> Result<Option<Nanos>> {
        let mut all = HashMap::new();
        let found = clock::until("adoption", Duration::from_secs(20), || {
            all.extend(self.0.try_iter());
            all.get(&port).copied()
        });
        match found {
            Ok(at) => Ok(Some(at)),
            Err(Waited::TooLong { .. }) => Ok(None),
            Err(interrupted) => Err(interrupted.into()),
        }
    }
}

/// From the packet that makes an association to the agent's word that it looks after it.
fn adoption(site: &Site) -> Result<Sample> {
    let mut wire = site.at(Host::A, Wire::open)?;
    let adoptions = Adoptions::follow(site)?;
    let local = A1.address(site.network.family());
    let mut sample = Sample::default();
    for _ in 0..NEW {
        wire.forget()?;
        let server = site.server();
        let socket = site.at(Host::A, || connect(local, server))?;
        let port = socket.local_addrs(0)?.first().context("a socket without an address")?.port();
        let Some(begun) = wire.first(Sign::Begun, local, Duration::from_secs(5))? else {
            bail!("no COOKIE-ACK was seen");
        };
        sample.add(adoptions.of(port)?.map(|adopted| ms_between(begun, adopted)));
        drop(socket);
    }
    Ok(sample)
}

/// One association alone, and a thousand of a hundred programs.
pub(super) fn measure(tell: Tell<'_>) -> Result<()> {
    let mut compare = |name: &str, unit: &str, ours: Option<f64>, peer: &str, most: Option<f64>| {
        let figure = Figure::compare(format!("agent: {name}"), unit, Better::Lower, ours, peer, most);
        println!("  {name}: {}", words(&figure));
        tell(figure)
    };
    let adopted = |sample: &Sample, percent| sample.percentile(percent);
    let mut site = Site::new(20.0)?;
    site.serve_sctp()?;
    site.start_roamd()?;
    site.network.up(Host::A, &[A1])?;
    let sample = adoption(&site)?;
    println!("  a new association, the only one, is looked after: {sample}");
    compare(
        "a new association, the only one, is looked after, p99",
        "ms",
        adopted(&sample, 99),
        "the aim",
        Some(ADOPTED),
    )?;
    site.until_associations(0)?;
    let one = Crowd::gather(&mut site, 1, 1)?;
    let (_, alone) = moves(&site, &one, MOVES_ALONE)?;
    drop(one);
    site.until_associations(0)?;
    let many = Crowd::gather(&mut site, PROCESSES, EACH)?;
    ensure!(many.count == ALL, "not all are there");
    let (percent, mib) = idle(&site)?;
    compare(
        "idle with 1,000 associations",
        "% of a processor",
        Some(percent),
        "the aim",
        Some(IDLE_PERCENT),
    )?;
    compare("memory with 1,000 associations", "MiB", Some(mib), "the aim", Some(RESIDENT))?;
    let sample = adoption(&site)?;
    println!("  a new association among 1,000 is looked after: {sample}");
    compare(
        "a new association among 1,000 is looked after, p99",
        "ms",
        adopted(&sample, 99),
        "the aim",
        Some(ADOPTED),
    )?;
    site.until_associations(ALL)?;
    let (whole, used) = moves(&site, &many, MOVES)?;
    let each = used / ALL as u32;
    let ms = |time: Duration| Some(time.as_secs_f64() * 1e3);
    let alone = ms(alone);
    compare("processor's time of a move, each of 1,000", "ms", ms(each), "one alone", alone)?;
    let most = alone.map(|alone| FACTOR * alone);
    compare("processor's time of a move, each of 1,000 (aim)", "ms", ms(each), "twice one alone", most)?;
    compare("1,000 associations have moved after", "ms", Some(whole), "nobody", None)?;
    let (percent, mib) = idle(&site)?;
    compare(
        "idle with 1,000 associations that have moved",
        "% of a processor",
        Some(percent),
        "the aim",
        Some(IDLE_PERCENT),
    )?;
    compare("memory with 1,000 associations that have moved", "MiB", Some(mib), "the aim", Some(RESIDENT))
}

/// What the agent takes while nothing happens: parts of a hundred of a processor, and MiB.
fn idle(site: &Site) -> Result<(f64, f64)> {
    clock::pass(BEFORE_IDLE)?;
    let (before, woken) = (site.roamd()?.cpu()?, site.roamd()?.sleeps()?);
    clock::pass(IDLE)?;
    let (used, woken) = (site.roamd()?.cpu()? - before, site.roamd()?.sleeps()? - woken);
    println!(
        "  nothing happens for {} s: roamd was woken {woken} times and took {:.0} ms of the processor",
        IDLE.as_secs(),
        used.as_secs_f64() * 1e3
    );
    let percent = used.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    Ok((percent, site.roamd()?.resident()? as f64 / f64::from(1 << 20)))
}
