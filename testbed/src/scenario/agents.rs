//! Who looks after the associations: the registrar and `roamd` on the hosts, or a setting of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use roam_agent::control::protocol::{Reply, Request};
use roam_agent::control::{AssociationReport, AssociationState, Client, StatusReport};
use roam_registrar::Association;
use roam_registrar::driver::fetch_dump;
use sctp_sys::Family;

use super::plan::{Plan, configuration};
use super::story::Story;
use super::{leftovers, liar};
use crate::capture;
use crate::clock;
use crate::process::Program;
use crate::result::Agent;
use crate::topology::{self, Host, Network};
use crate::unit;

/// The port of the registrar (RFC 5352).
const REGISTRAR_PORT: u16 = asap_client::wire::PORT;
/// A user that nobody is.
pub(crate) const SERVICE: u32 = 64_321;
/// How long a daemon may take to answer after its start.
const START: Duration = Duration::from_secs(30);

/// How each pool element is registered, by its pool and identifier.
pub(super) type Registrations = BTreeMap<(String, u32), Registered>;

/// How a pool element is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    /// Over which association: its number at the registrar, and the element's port there.
    pub(super) over: (Association, u16),
    /// Where it serves.
    pub(super) at: BTreeSet<IpAddr>,
}

/// The registrar and the daemons of one round.
#[derive(Debug)]
pub(super) struct Agents<'a> {
    network: &'a Network,
    agent: Agent,
    directory: PathBuf,
    plan: Plan,
    registrar: Option<Program>,
    daemons: [Option<Program>; 2],
    story: Story,
}

impl<'a> Agents<'a> {
    pub(super) fn new(
        network: &'a Network,
        agent: Agent,
        directory: &Path,
        plan: Plan,
        story: Story,
    ) -> Self {
        let directory = directory.to_owned();
        Self { network, agent, directory, plan, registrar: None, daemons: [None, None], story }
    }

    /// What has to be there before the first program: Add-IP, the registrar and the daemons of these hosts.
    pub(super) fn prepare(&mut self, hosts: &[Host]) -> Result<()> {
        for host in Host::ALL {
            let settings: &[(&str, &str)] = match self.agent {
                // roamd switches Add-IP on by itself.
                Agent::Roam if hosts.contains(&host) => &[],
                Agent::Roam | Agent::None => &[("addip_enable", "1"), ("auth_enable", "1")],
                Agent::AutoAsconf => {
                    &[("addip_enable", "1"), ("auth_enable", "1"), ("default_auto_asconf", "1")]
                }
            };
            self.network.host(host).enter(|| {
                settings.iter().try_for_each(|(name, value)| {
                    fs::write(format!("/proc/sys/net/sctp/{name}"), value).map_err(|cause| {
                        io::Error::new(
                            cause.kind(),
                            format!("net.sctp.{name} (is the module sctp loaded?): {cause}"),
                        )
                    })
                })
            })?;
        }
        if self.agent == Agent::Roam && self.plan.pools() || self.plan.registrar {
            self.start_registrar()?;
        }
        hosts.iter().try_for_each(|&host| self.start(host))
    }

    pub(super) fn start_registrar(&mut self) -> Result<()> {
        let mut command = Command::new(beside("roam-registrar")?);
        for family in [Family::V4, Family::V6] {
            let listen = SocketAddr::new(topology::registrar_address(family), REGISTRAR_PORT);
            command.arg("--listen").arg(listen.to_string());
        }
        command.arg("--runtime-dir").arg(self.directory.join("registrar"));
        let log = self.directory.join("registrar.log");
        self.listening("roam-registrar", &log, &mut command)
    }

    /// Starts something that takes the registrar's place and says when it listens.
    fn listening(&mut self, name: &str, log: &Path, command: &mut Command) -> Result<()> {
        let said = fs::read(log).map_or(0, |bytes| bytes.len());
        let mut program = Program::start(self.network.registrar(), name, log, command)?;
        clock::until(&format!("the start of {name}"), START, || {
            let text = program.output();
            if text.get(said..).is_some_and(|text| text.contains("listening on")) {
                return Some(Ok(()));
            }
            program.ended().map(|status| Err(anyhow::anyhow!("{name} ended at once: {status}\n{text}")))
        })??;
        self.registrar = Some(program);
        Ok(())
    }

    /// Starts a registrar that lies in place of the one that was stopped.
    pub(super) fn start_liar(&mut self) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        let listen = SocketAddr::new(topology::registrar_address(self.network.family()), REGISTRAR_PORT);
        command.arg("liar").arg(listen.to_string());
        let log = self.directory.join("liar.log");
        self.listening("the lying registrar", &log, &mut command)
    }

    /// Ends it; an error, if it had no occasion to do its worst.
    pub(super) fn stop_liar(&mut self) -> Result<()> {
        let log = self.registrar.as_ref().map(Program::output).unwrap_or_default();
        self.stop_registrar();
        liar::has_done_its_worst(&log)
    }

    pub(super) fn stop_registrar(&mut self) {
        if let Some(mut registrar) = self.registrar.take() {
            registrar.stop(Duration::from_secs(5));
        }
    }

    /// What the registrar says; none without agents.
    pub(super) fn registrations(&self) -> Registrations {
        if self.registrar.is_none() || self.agent != Agent::Roam {
            return Registrations::new();
        }
        let Ok(dump) = fetch_dump(&self.directory.join("registrar")) else { return Registrations::new() };
        let port = |wanted: Association| {
            dump.associations.iter().find(|association| association.association == wanted).map(|it| it.port)
        };
        let elements = dump.pools.iter().flat_map(|pool| pool.elements.iter().map(move |it| (pool, it)));
        elements
            .filter_map(|(pool, element)| {
                let over = element.association?;
                let at = element.addresses.iter().copied().collect();
                Some(((pool.handle.clone(), element.id), Registered { over: (over, port(over)?), at }))
            })
            .collect()
    }

    /// The runtime directory of a host's daemon.
    pub(super) fn runtime(&self, host: Host) -> PathBuf {
        self.directory.join(format!("roamd-{}", host.name()))
    }

    /// Where the daemons look for the registrar.
    fn registrars(&self) -> Vec<SocketAddr> {
        let (own, both) = (self.network.family(), self.plan.registrar_by_both_families);
        [Family::V4, Family::V6]
            .into_iter()
            .filter(|family| both || *family == own)
            .map(|family| SocketAddr::new(topology::registrar_address(family), REGISTRAR_PORT))
            .collect()
    }

    /// Starts a host's daemon and waits until it answers.
    pub(super) fn start(&mut self, host: Host) -> Result<()> {
        if self.agent != Agent::Roam {
            return Ok(());
        }
        let runtime = self.runtime(host);
        let file = self.directory.join(format!("roamd-{}.toml", host.name()));
        fs::write(&file, configuration(&self.plan, host, &runtime, &self.registrars()))?;
        let log = self.directory.join(format!("roamd-{}.log", host.name()));
        let program = fs::File::open(beside("roamd")?)?;
        let mut command = match self.plan.as_service {
            true => self.as_service(&program, &runtime)?,
            false => Command::new(beside("roamd")?),
        };
        command.arg("--config").arg(&file).env("NO_COLOR", "1");
        let without_nftables = self.plan.without_nftables.contains(&host);
        if without_nftables {
            // roamd needs no other program.
            command.env("PATH", "");
        }
        let name = format!("roamd at {}", host.name());
        let mut program = Program::start(self.network.host(host), &name, &log, &mut command)?;
        let report = clock::until(&format!("the start of {name}"), START, || {
            if let Some(status) = program.ended() {
                return Some(Err(anyhow::anyhow!("{name} ended at once: {status}\n{}", program.output())));
            }
            status(&runtime).map(Ok)
        })??;
        if without_nftables && !report.problems.iter().any(|problem| problem.contains("nft is not installed"))
        {
            bail!("{name} has found nft all the same: {:?}", report.problems);
        }
        capture::follow(runtime, host, &self.story);
        self.daemons[host as usize] = Some(program);
        Ok(())
    }

    /// The daemon as its unit starts it: a user that owns the runtime directory and nothing else.
    fn as_service(&self, program: &fs::File, runtime: &Path) -> Result<Command> {
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o755))?;
        fs::create_dir_all(runtime)?;
        std::os::unix::fs::chown(runtime, Some(SERVICE), Some(SERVICE))?;
        Ok(unit::as_the_agent(&[unit::AGENT, unit::ADOPTION], SERVICE, SERVICE, &by_descriptor(program)?))
    }

    /// The process of a host's daemon.
    pub(super) fn pid(&self, host: Host) -> Result<i32> {
        let daemon = self.daemons[host as usize].as_ref();
        Ok(daemon.with_context(|| format!("no roamd runs at {}", host.name()))?.pid())
    }

    /// Ends a host's daemon in good order, if one runs there.
    pub(super) fn stop_one(&mut self, host: Host) -> Result<()> {
        let Some(mut daemon) = self.daemons[host as usize].take() else { return Ok(()) };
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        daemon.wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// The last lines of what a host's daemons have said.
    pub(super) fn print_log(&self, host: Host) {
        print_last(40, self.log(host).lines().collect());
    }

    /// The last of what a host's daemons have said of the association that is not at rest in the rarest way: the others may
    /// be waiting for it.
    pub(super) fn print_log_of_the_odd_one(&self, host: Host) {
        let mut reports = self.associations(host);
        reports.retain(|report| report.state != AssociationState::Settled);
        let alike = |why: &str| reports.iter().filter(|other| other.why == why).count();
        let Some(odd) = reports.iter().min_by_key(|report| alike(&report.why)) else { return };
        println!("\n  association {}-{}: {}", odd.local_port, odd.peer_port, odd.why);
        let from = format!("association={} -> ", odd.local_port);
        let to = format!(":{} ", odd.peer_port);
        print_last(
            120,
            self.log(host).lines().filter(|line| line.contains(&from) && line.contains(&to)).collect(),
        );
    }

    fn log(&self, host: Host) -> String {
        let log = fs::read(self.directory.join(format!("roamd-{}.log", host.name())));
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }

    /// Kills a host's daemon with SIGKILL.
    pub(super) fn kill(&mut self, host: Host) {
        if let Some(mut daemon) = self.daemons[host as usize].take() {
            daemon.kill();
        }
    }

    /// Whether all daemons that run are at rest: at least so many associations looked after at each host, all settled,
    /// all own pool elements registered.
    pub(super) fn settled(&self, associations: [usize; 2]) -> bool {
        Host::ALL.into_iter().filter(|&host| self.daemons[host as usize].is_some()).all(|host| {
            let registered = status(&self.runtime(host)).is_some_and(|report| {
                report.elements.iter().all(|element| element.registered)
                    && (report.elements.is_empty() || report.registrar.is_some())
            });
            let found = self.associations(host);
            registered
                && found.len() >= associations[host as usize]
                && found.iter().all(|association| association.state == AssociationState::Settled)
        })
    }

    /// What a host's daemon says of its associations.
    fn associations(&self, host: Host) -> Vec<AssociationReport> {
        match ask(&self.runtime(host), Request::Associations) {
            Some(Reply::Associations(reports)) => reports,
            _ => Vec::new(),
        }
    }

    /// What the daemons say of themselves, for a message.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for host in Host::ALL.into_iter().filter(|&host| self.daemons[host as usize].is_some()) {
            let _ = writeln!(text, "roamd at {}:", host.name());
            let Some(report) = status(&self.runtime(host)) else {
                let _ = writeln!(text, "  does not answer");
                continue;
            };
            for element in &report.elements {
                let _ = writeln!(
                    text,
                    "  element {} registered: {} at {:?} {}",
                    element.handle, element.registered, element.addresses, element.why
                );
            }
            for problem in &report.problems {
                let _ = writeln!(text, "  problem: {problem}");
            }
            for report in self.associations(host) {
                let _ = writeln!(
                    text,
                    "  association {}-{} {} local {:?} peer {:?}: {}",
                    report.local_port, report.peer_port, report.state, report.local, report.peer, report.why
                );
            }
        }
        text
    }

    /// A daemon or the registrar that ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        for program in self.daemons.iter_mut().flatten().chain(&mut self.registrar) {
            if let Some(status) = program.ended() {
                bail!("{} ended by itself: {status}", program.name());
            }
        }
        Ok(())
    }

    /// Ends the daemons in good order, then the registrar; tells what they have left behind on their hosts.
    pub(super) fn stop(&mut self) -> Result<Vec<String>> {
        for daemon in self.daemons.iter_mut().flatten() {
            daemon.signal(nix::sys::signal::Signal::SIGTERM);
        }
        for daemon in &mut self.daemons {
            if let Some(mut daemon) = daemon.take() {
                daemon.stop(Duration::from_secs(10));
            }
        }
        self.stop_registrar();
        let mut left = Vec::new();
        if self.agent == Agent::Roam {
            for host in Host::ALL {
                let found = leftovers::of(self.network.host(host))?;
                left.extend(found.into_iter().map(|line| format!("{}: {line}", host.name())));
            }
        }
        Ok(left)
    }
}

fn print_last(most: usize, lines: Vec<&str>) {
    for line in &lines[lines.len().saturating_sub(most)..] {
        println!("  {line}");
    }
}

fn ask(runtime: &Path, request: Request) -> Option<Reply> {
    Client::connect(runtime).ok()?.ask(request).ok()
}

/// Whether the daemon there knows an association whose peer has this address.
pub(super) fn knows(runtime: &Path, peer: IpAddr) -> bool {
    matches!(ask(runtime, Request::Associations), Some(Reply::Associations(reports))
        if reports.iter().any(|report| report.peer.contains(&peer)))
}

fn status(runtime: &Path) -> Option<StatusReport> {
    match ask(runtime, Request::Status)? {
        Reply::Status(report) => Some(*report),
        _ => None,
    }
}

/// A path by which any user can start a program, as long as it is open here: it may be where that user may not go, as in
/// root's home.
pub(crate) fn by_descriptor(program: &fs::File) -> Result<PathBuf> {
    fcntl(program, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(format!("/proc/self/fd/{}", program.as_raw_fd()).into())
}

/// The program of this name that was built together with this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path")?;
    let path = own.with_file_name(name);
    if !path.exists() {
        bail!("{} is not there: build it (cargo build -p roam-agent -p roam-registrar)", path.display());
    }
    Ok(path)
}
