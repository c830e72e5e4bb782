//! What is done with the packages under systemd: their services start, are confined as their units say, move associations
//! and live through kills, are reloaded and stopped, and go with their packages.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use roam_registrar::driver::fetch_dump;
use sctp_sys::Family::V4;

use super::manager::{PATIENCE, Unit, asked, done, systemctl};
use crate::clock;
use crate::guest;
use crate::netns::Namespace;
use crate::network::Stage;
use crate::network::stage::{CLIENT_PORT, SERVER_PORT};
use crate::package::trial::{changes, dpkg, everything, leave_the_index_of_manuals_alone};
use crate::process::Program;
use crate::registrar::Scenery as _;
use crate::result::Agent;
use crate::scenario::leftovers;
use crate::topology::{A1, A2, B1, B2, Host, Place, registrar_address};
use crate::unit;

const PACKAGES: [&str; 2] = ["roam-agent", "roam-registrar"];

/// Where the agent at A, the registrar, and the agent's drop-ins are.
const AGENT: &str = "/run/roam";
const REGISTRAR: &str = "/run/roam-registrar";
const CONFIGURATION: &str = "/etc/roam/agent.d";
const ADOPTION: &str = "/etc/systemd/system/roamd.service.d/adoption.conf";

/// Images of containers have it: it forbids packages to start their services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// How long a host has no address.
const OUTAGE: Duration = Duration::from_millis(500);

/// A call of the system that the unit does not grant ends who makes it, so that it is seen.
const STRICT: &str = "SystemCallErrorNumber=kill";

/// Long for a slow machine, and short for who waits.
const WATCHDOG: &str = "WatchdogSec=10s";

/// Installs the packages of a directory on this host, whose first process is systemd, uses and removes them.
///
/// # Errors
/// What was not as it should be.
pub fn run(directory: &Path) -> Result<ExitCode> {
    if Path::new(POLICY).exists() {
        fs::remove_file(POLICY)?;
    }
    guest::demand_throw_away()?;
    leave_the_index_of_manuals_alone()?;
    // For namespaces' names.
    fs::create_dir_all("/run/netns")?;
    let before = everything()?;
    let mut course = Course {
        stage: Stage::around(Namespace::own("A")?, Agent::Roam, false)?,
        agent: Unit("roamd.service".to_owned()),
        other: Unit(String::new()),
        registrar: Unit("roam-registrar.service".to_owned()),
        begin: clock::now(),
    };
    course.other = Unit(format!("roamd@{}.service", course.stage.network.host(Host::B).name()));
    if let Err(error) = course.run(directory) {
        course.stage.print_logs(&format!("{error:#}"));
        let (_, journal) = asked("journalctl", &["--no-pager", "--output=short-monotonic", "--lines=120"])?;
        println!("{journal}");
        return Err(error);
    }
    drop(course);
    let changed = changes(&before, &everything()?);
    ensure!(changed.is_empty(), "after their removal there are other files than before: {changed:?}");
    Ok(ExitCode::SUCCESS)
}

struct Course {
    stage: Stage,
    /// The agents of A, which is systemd's own host, and of B, which is a namespace.
    agent: Unit,
    other: Unit,
    registrar: Unit,
    begin: clock::Nanos,
}

impl Course {
    fn run(&mut self, directory: &Path) -> Result<()> {
        self.tell("the packages are installed");
        let packages: Vec<_> = PACKAGES.iter().map(|name| package(directory, name)).collect::<Result<_>>()?;
        dpkg("--install", packages.iter().map(|path| path.as_os_str()))?;
        self.services_run()?;
        self.tell("the units are looked at");
        self.units_are_good()?;
        self.tell("two hosts and a registrar");
        self.configure()?;
        self.stage.network.up(Host::A, &[A1])?;
        self.stage.talk()?;
        self.stage.until_settled()?;
        self.reloads()?;
        self.tell("a handover");
        self.moves(&[A1], &[A2])?;
        self.tell("a handover in which the agent is killed");
        self.is_killed_in_a_handover()?;
        self.tell("the agent stands still");
        self.agent.restarts_after("STOP")?;
        self.stage.until_flows()?;
        self.stage.until_settled()?;
        self.tell("the registrar is killed");
        self.registrar.restarts_after("KILL")?;
        self.until_registered()?;
        self.tell("both ends move");
        self.moves(&[A1, B1], &[A2, B2])?;
        self.stage.finish()?;
        self.has_written_to_the_journal()?;
        self.tell("without the drop-in for adoption");
        self.without_adoption()?;
        self.tell("the agent is killed, and the next one refuses its configuration");
        self.dies_for_good()?;
        self.nothing_failed()?;
        self.tell("the packages are removed");
        self.are_purged()
    }

    fn tell(&self, what: &str) {
        println!("units: {:4.0} s  {what}", clock::ms_between(self.begin, clock::now()) / 1000.0);
    }

    /// What was installed runs, with the rights of its unit.
    fn services_run(&self) -> Result<()> {
        for unit in [&self.agent, &self.registrar] {
            for (property, wanted) in
                [("UnitFileState", "enabled"), ("ActiveState", "active"), ("NRestarts", "0")]
            {
                let found = unit.property(property)?;
                ensure!(found == wanted, "{} is {found}, not {wanted}", unit.0);
            }
        }
        self.agent.is_confined(&unit::capabilities_of_the_agent(&[unit::AGENT, unit::ADOPTION]))?;
        self.registrar.is_confined(&[])?;
        done("roam", &["status"])?;
        let (_, doctor) = asked("roam", &["doctor"])?;
        ensure!(doctor.contains("roamd may do all that it needs"), "the doctor says: {doctor}");
        done("roam-registrar", &["dump"]).map(|_| ())
    }

    /// What systemd-analyze says of the units.
    fn units_are_good(&self) -> Result<()> {
        let instance = &self.other.0;
        let (_, said) = asked("systemd-analyze", &["verify", &self.agent.0, instance, &self.registrar.0])?;
        let wrong: Vec<_> =
            said.lines().filter(|line| line.contains("roam") && !is_of_later_systemd(line)).collect();
        ensure!(wrong.is_empty(), "systemd-analyze verify: {wrong:?}");
        for (unit, most) in [(&self.agent, "35"), (&self.registrar, "15")] {
            let threshold = format!("--threshold={most}");
            done("systemd-analyze", &["security", "--no-pager", &threshold, &unit.0])?;
        }
        Ok(())
    }

    /// The registrar at the registrar's host, an agent at B, and everybody's configuration.
    fn configure(&mut self) -> Result<()> {
        let namespace =
            format!("NetworkNamespacePath=/run/netns/{}\n", self.stage.network.registrar().name());
        self.registrar.with("trial", &(namespace + STRICT))?;
        systemctl(&["restart", &self.registrar.0])?;
        let own = std::env::current_exe()?;
        fs::create_dir_all(CONFIGURATION)?;
        // What is one's element is the other's peer: each host finds its own by the port.
        let mut text = format!("[[manage]]\nexecutable = {:?}\n", own.display().to_string());
        for port in [SERVER_PORT, CLIENT_PORT] {
            text += &format!("[[element]]\nhandle = \"at-{port}\"\nport = {port}\n");
            text += &format!("[[peer]]\nhandle = \"at-{port}\"\nport = {port}\n");
        }
        text += &format!("[registrars]\nstatic = [\"{}:3863\"]\n", registrar_address(V4));
        fs::write(Path::new(CONFIGURATION).join("trial.toml"), text)?;
        for unit in [&self.agent, &self.other] {
            unit.with("trial", &format!("{STRICT}\n{WATCHDOG}"))?;
        }
        systemctl(&["restart", &self.agent.0])?;
        systemctl(&["start", &self.other.0])?;
        self.stage.has_daemon_of(Path::new(AGENT));
        Ok(())
    }

    /// The configuration is taken over; what is wrong is refused, told, and changes nothing.
    fn reloads(&self) -> Result<()> {
        let (agent, registrar) = (self.agent.process()?, self.registrar.process()?);
        systemctl(&["reload", &self.agent.0, &self.other.0, &self.registrar.0])?;
        let wrong = mistaken()?;
        let (done, _) = asked("systemctl", &["reload", &self.agent.0])?;
        ensure!(!done, "a configuration with a mistake is taken over");
        fs::remove_file(wrong)?;
        let shipped = "/etc/roam-registrar/registrar.toml";
        let before = fs::read(shipped)?;
        fs::write(shipped, "nonsense = 1\n")?;
        let (done, _) = asked("systemctl", &["reload", &self.registrar.0])?;
        ensure!(!done, "a configuration of the registrar with a mistake is taken over");
        fs::write(shipped, before)?;
        let now = (self.agent.process()?, self.registrar.process()?);
        ensure!(now == (agent, registrar), "they are not the same processes as before the reload");
        ensure!(
            self.stage.addresses().into_iter().flatten().any(|it| it.usable),
            "no address is usable any more"
        );
        Ok(())
    }

    /// The hosts of these addresses lose them, and get others; the association is carried along.
    fn moves(&mut self, from: &[Place], to: &[Place]) -> Result<()> {
        for place in from {
            self.stage.network.down(place.host, &[*place])?;
        }
        clock::pass(OUTAGE)?;
        for place in to {
            self.stage.network.up(place.host, &[*place])?;
        }
        self.is_at(to[0])
    }

    /// The association works, and its end at A is there.
    fn is_at(&mut self, place: Place) -> Result<()> {
        self.stage.until_flows()?;
        self.stage.until_at(&[&place.address(V4).to_string()])
    }

    /// A's address goes; it is held for the association.
    fn loses(&mut self, place: Place) -> Result<()> {
        self.stage.network.down(Host::A, &[place])?;
        self.stage.until("a held address", |stage| {
            holds(&leftovers::of(stage.network.host(Host::A)).ok()?, place).then_some(())
        })
    }

    /// The agent is killed while an address is held. Nobody takes that away until the next one carries on.
    fn is_killed_in_a_handover(&mut self) -> Result<()> {
        self.loses(A2)?;
        let log = self.stage.log("monitor");
        let mut command = Command::new("ip");
        command.args(["-oneline", "monitor", "address"]);
        let monitor = Program::start(self.stage.network.host(Host::A), "ip monitor", &log, &mut command)?;
        // It does not say when it has begun.
        clock::until("ip monitor", PATIENCE, || {
            let _ = self.stage.ip(["addr add 127.9.9.9/32 dev lo", "addr del 127.9.9.9/32 dev lo"]);
            monitor.output().contains("127.9.9.9").then_some(())
        })?;
        self.agent.restarts_after("KILL")?;
        let now = leftovers::of(self.stage.network.host(Host::A))?;
        ensure!(holds(&now, A2), "after the kill {} is not held: {now:?}", A2.address(V4));
        let held = A2.address(V4).to_string();
        let said = monitor.output();
        let gone = said.lines().find(|line| line.contains("Deleted") && line.contains(&held));
        ensure!(gone.is_none(), "after the kill: {gone:?}");
        self.stage.has_daemon_of(Path::new(AGENT));
        self.stage.network.up(Host::A, &[A1])?;
        self.is_at(A1)
    }

    /// Waits until the elements of both hosts are at the registrar.
    fn until_registered(&mut self) -> Result<()> {
        let mut handles = Vec::new();
        let waited = clock::until("the elements of both hosts at the registrar", PATIENCE, || {
            let _ = clock::pass(Duration::from_millis(100));
            let pools = fetch_dump(Path::new(REGISTRAR)).ok()?.pools;
            handles = pools.into_iter().map(|pool| pool.handle).collect();
            (handles.len() == 2).then_some(())
        });
        waited.with_context(|| format!("there are {handles:?}"))
    }

    fn has_written_to_the_journal(&self) -> Result<()> {
        let field = format!("ROAM_ADDRESS={}", A2.address(V4));
        let found = done("journalctl", &["--no-pager", "--quiet", "--unit", &self.agent.0, &field])?;
        ensure!(!found.trim().is_empty(), "the journal has no entry with {field}");
        Ok(())
    }

    /// Without the rights to borrow others' sockets, programs hand theirs over; and a daemon that is stopped in the middle
    /// of a handover leaves nothing.
    fn without_adoption(&mut self) -> Result<()> {
        fs::remove_file(ADOPTION)?;
        // It tries what it may not do, to see what it may.
        self.agent.with("trial", "")?;
        systemctl(&["restart", &self.agent.0])?;
        self.stage.has_daemon_of(Path::new(AGENT));
        self.agent.is_confined(&unit::capabilities_of_the_agent(&[unit::AGENT]))?;
        let (_, doctor) = asked("roam", &["doctor"])?;
        ensure!(doctor.contains("have to hand their sockets over"), "the doctor does not say it: {doctor}");
        let (local, peer) = ([A2.address(V4)], [B2.address(V4)]);
        self.stage.talk_with(&local, &peer, &["--hand-over", AGENT])?;
        self.moves(&[A2], &[A1])?;
        self.loses(A1)?;
        systemctl(&["stop", &self.agent.0])?;
        self.nothing_is_left(Host::A)?;
        systemctl(&["start", &self.agent.0])?;
        // With the association of a host that has no address any more.
        self.stage.network.up(Host::A, &[A1])?;
        Ok(())
    }

    /// An agent that is killed, and cannot be followed by another, leaves nothing either.
    fn dies_for_good(&self) -> Result<()> {
        let table = |lines: Vec<String>| lines.iter().any(|line| line == "table inet roam");
        let host = self.stage.network.host(Host::A);
        clock::until("the agent's table", PATIENCE, || table(leftovers::of(host).ok()?).then_some(()))?;
        let wrong = mistaken()?;
        self.agent.kill("KILL")?;
        clock::until("the end of the agent", PATIENCE, || {
            let _ = clock::pass(Duration::from_millis(50));
            (self.agent.property("ActiveState").ok()? == "failed").then_some(())
        })?;
        self.nothing_is_left(Host::A)?;
        fs::remove_file(wrong)?;
        systemctl(&["start", &self.agent.0]).map(|_| ())
    }

    fn nothing_is_left(&self, host: Host) -> Result<()> {
        let left = leftovers::of(self.stage.network.host(host))?;
        ensure!(left.is_empty(), "left at {}: {left:?}", host.name());
        Ok(())
    }

    /// Nothing that the agents wanted to do on the hosts has failed.
    fn nothing_failed(&self) -> Result<()> {
        for unit in [&self.agent, &self.other] {
            let journal = done("journalctl", &["--no-pager", "--quiet", "--unit", &unit.0])?;
            let failed: Vec<_> = journal.lines().filter(|line| line.contains("could not be")).collect();
            ensure!(failed.is_empty(), "{} says: {failed:?}", unit.0);
        }
        Ok(())
    }

    /// Whoever is rid of the packages is rid of all of it.
    fn are_purged(&self) -> Result<()> {
        let units = [&self.agent, &self.other, &self.registrar];
        let processes: Vec<_> = units.iter().map(|unit| unit.process()).collect::<Result<_>>()?;
        fs::remove_dir_all(CONFIGURATION)?;
        for unit in units {
            fs::remove_dir_all(format!("/run/systemd/system/{}.d", unit.0))?;
        }
        dpkg("--purge", PACKAGES.map(AsRef::as_ref).into_iter())?;
        for (unit, process) in units.into_iter().zip(processes) {
            ensure!(process > 0, "{} did not run", unit.0);
            ensure!(!Path::new(&format!("/proc/{process}")).exists(), "{} still runs", unit.0);
            let state = unit.property("LoadState")?;
            ensure!(state == "not-found", "{} is {state}", unit.0);
        }
        Host::ALL.into_iter().try_for_each(|host| self.nothing_is_left(host))
    }
}

/// Makes a mistake in the agent's configuration; returns the file that has it.
fn mistaken() -> Result<std::path::PathBuf> {
    let wrong = Path::new(CONFIGURATION).join("wrong.toml");
    fs::write(&wrong, "[interfaces]\nallow = []\nnonsense = 1\n")?;
    Ok(wrong)
}

/// Whether this address is held, and the agent's table is there.
fn holds(lines: &[String], place: Place) -> bool {
    let address = format!("inet {}/32", place.address(V4));
    lines.iter().any(|line| line.contains(" lo ") && line.contains(&address))
        && lines.iter().any(|line| line == "table inet roam")
}

/// Whether a line of systemd-analyze tells of a setting that only later versions know, and that others may ignore.
fn is_of_later_systemd(line: &str) -> bool {
    ["RestartSteps", "RestartMaxDelaySec"].iter().any(|key| line.contains("nknown key") && line.contains(key))
}

/// The file of a package in a directory.
fn package(directory: &Path, name: &str) -> Result<std::path::PathBuf> {
    let mut files = fs::read_dir(directory)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let begin = format!("{name}_");
    files
        .find(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begin)))
        .with_context(|| format!("there is no package {name} in {}", directory.display()))
}
