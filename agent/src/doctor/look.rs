//! Looking at the host. Nothing is changed, and what cannot be read is taken to be as it should.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use asap_client::client::Event;
use asap_client::driver::{self, RegistrarClient};
use nix::time::{ClockId, clock_gettime};
use sctp_sys::probe::{Probe, Sysctl};

use super::NamespaceFacts;
use super::facts::{AddressFacts, Daemon, Facts, InterfaceFacts, KernelFacts, NetworkFacts, PoolFacts};
use crate::associations::effective_capabilities;
use crate::config::{Config, Sources};
use crate::control::protocol::{Reply, Request};
use crate::control::{AddressReport, AssociationReport, Client, ConfigurationReport, PoolsReport};
use crate::net::{Monitor, Unusable, View};

/// How long a registrar may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the daemon needs: bit and name (capabilities(7)).
const RIGHTS: [(u32, &str); 4] =
    [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (19, "CAP_SYS_PTRACE"), (2, "CAP_DAC_READ_SEARCH")];

/// Looks at the host, and asks the daemon of this runtime directory. `file`: the configuration, where the daemon does not
/// tell which one it reads.
pub fn look(directory: &Path, file: Option<PathBuf>) -> Facts {
    let asked = ask(directory);
    let main = asked.configuration.as_ref().and_then(main_file).or(file);
    let (config, mistake) = match Sources::new(main, None).load() {
        Ok(loaded) => (loaded.config, None),
        Err(error) => (Config::default(), Some(error.to_string())),
    };
    let kernel = kernel();
    let setting = |key: &str| {
        let settings = asked.configuration.iter().flat_map(|report| &report.settings);
        settings.into_iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
    };
    let manages_routes = setting("agent.manage_routes").map_or(config.agent.manage_routes, |it| it == "true");
    let registrars = setting("registrars.static").map_or(!config.registrars.is_empty(), |list| {
        list != "[]" || setting("registrars.groups").is_some_and(|groups| groups != "[]")
    });
    let associations = match &asked.daemon {
        Daemon::Running { associations, .. } => associations.clone(),
        Daemon::Silent { .. } => Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (mut addresses, mut answered) = (Vec::new(), None);
    if let Ok(runtime) = runtime {
        (addresses, answered) = runtime.block_on(async {
            let addresses = addresses_now(&config, &associations).await;
            let ask = registrars && asked.pools.is_none() && kernel.sctp;
            let usable = addresses.iter().filter(|it| it.verdict.is_ok()).map(|it| it.address).collect();
            (addresses, if ask { Some(a_registrar_answers(&config, usable).await) } else { None })
        });
    }
    for it in &mut addresses {
        if let Some(verdict) = asked.verdicts.get(&(it.address, it.interface.clone())) {
            it.verdict.clone_from(verdict);
        }
    }
    let (suspends, suspended) = suspensions();
    let needed = match &asked.pools {
        Some(report) => !report.elements.is_empty() || !report.peers.is_empty(),
        None => !config.elements.is_empty() || !config.peers.is_empty(),
    };
    let known = asked.pools.as_ref().is_some_and(|report| report.registrar.is_some()) || needed;
    Facts {
        interfaces: interfaces(&addresses),
        kernel,
        daemon: asked.daemon,
        configuration: mistake,
        manages_routes,
        addresses,
        namespaces: namespaces(),
        network: network(),
        pools: PoolFacts { configured: registrars || known, needed, report: asked.pools, answered },
        suspends,
        suspended,
    }
}

/// What the daemon says.
struct Asked {
    daemon: Daemon,
    configuration: Option<ConfigurationReport>,
    pools: Option<PoolsReport>,
    /// By address and interface: one that has lost it may hold it on the loopback interface.
    verdicts: BTreeMap<(IpAddr, String), Result<(), Unusable>>,
}

fn ask(directory: &Path) -> Asked {
    let mut asked = Asked {
        daemon: Daemon::Silent { why: String::new(), elsewhere: false },
        configuration: None,
        pools: None,
        verdicts: BTreeMap::new(),
    };
    let outcome = Client::connect(directory).and_then(|mut client| {
        let Reply::Status(status) = client.ask(Request::Status)? else { return Ok(()) };
        let Reply::Associations(associations) = client.ask(Request::Associations)? else { return Ok(()) };
        if let Reply::Addresses(addresses) = client.ask(Request::Addresses)? {
            let verdict = |reason: Option<Unusable>| reason.map_or(Ok(()), Err);
            let named = |it: AddressReport| ((it.address, it.interface), verdict(it.reason));
            asked.verdicts = addresses.into_iter().map(named).collect();
        }
        let lacks = lacking(status.pid);
        asked.daemon = Daemon::Running { status, associations, lacks };
        // A daemon of an earlier version does not know these.
        if let Ok(Reply::Pools(pools)) = client.ask(Request::Pools) {
            asked.pools = Some(*pools);
        }
        if let Ok(Reply::Configuration(configuration)) = client.ask(Request::Configuration) {
            asked.configuration = Some(*configuration);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        asked.daemon = Daemon::Silent { why: error.to_string(), elsewhere: is_watched("/proc/net/unix") };
    }
    asked
}

/// The file beside whose drop-ins a daemon's configuration lies.
fn main_file(report: &ConfigurationReport) -> Option<PathBuf> {
    let files = report.files.iter().map(PathBuf::from);
    files
        .into_iter()
        .find(|file| file.parent().and_then(Path::extension).is_none_or(|extension| extension != "d"))
}

fn lacking(pid: u32) -> Vec<String> {
    let Some(bits) = effective_capabilities(pid.cast_signed()) else { return Vec::new() };
    RIGHTS.iter().filter(|(bit, _)| bits >> bit & 1 == 0).map(|(_, name)| (*name).to_owned()).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn number(path: &str) -> Option<i64> {
    read(path).trim().parse().ok()
}

/// The files of a kind that these directories hold, as `modprobe.d` is read.
fn files(directories: &[&str]) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for directory in directories {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        found.extend(
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "conf")),
        );
    }
    found.into_iter().collect()
}

fn kernel() -> KernelFacts {
    let probe = Probe::look();
    let release = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let keeps_out = |line: &&str| {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("blacklist"), Some("sctp")) => true,
            (Some("install"), Some("sctp")) => {
                words.next().is_some_and(|what| what.ends_with("false") || what.ends_with("true"))
            }
            _ => false,
        }
    };
    let mut blacklisted = Vec::new();
    for file in files(&["/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"]) {
        let text = read(&file);
        blacklisted.extend(
            text.lines().map(str::trim).filter(keeps_out).map(|line| (file.clone(), line.to_owned())),
        );
    }
    let mut lists = files(&["/etc/modules-load.d", "/run/modules-load.d", "/usr/lib/modules-load.d"]);
    lists.push("/etc/modules".into());
    let named = lists.iter().any(|file| read(file).lines().any(|line| line.trim() == "sctp"));
    let built_in = read(format!("/lib/modules/{release}/modules.builtin")).contains("/sctp.ko");
    let setting = |sysctl: Sysctl| sysctl.read().ok();
    KernelFacts {
        release,
        sctp: probe.sctp,
        blacklisted,
        loaded_at_start: named || built_in,
        diag: probe.diag,
        addip: probe.addip,
        auth: probe.auth,
        addip_noauth: probe.addip_noauth,
        auto_asconf: probe.default_auto_asconf,
        scope_policy: setting(Sysctl::AddrScopePolicy),
        udp: (setting(Sysctl::UdpPort).unwrap_or(0), setting(Sysctl::EncapPort).unwrap_or(0)),
    }
}

/// The addresses, and by where packets from them leave.
async fn addresses_now(config: &Config, associations: &[AssociationReport]) -> Vec<AddressFacts> {
    let Ok((monitor, view)) = Monitor::start(config).await else { return Vec::new() };
    let view: std::sync::Arc<View> = view.borrow().clone();
    let names: BTreeMap<u32, &str> =
        view.addresses.iter().map(|local| (local.ifindex, local.interface.as_str())).collect();
    // What goes to an address of this host never leaves.
    let here = |peer: &IpAddr| view.addresses.iter().any(|local| local.address == *peer);
    let peers = associations.iter().flat_map(|it| it.peer.iter().copied());
    let peers: Vec<IpAddr> = peers.filter(|peer| !here(peer)).collect();
    let of_interest = |reason: &Unusable| {
        !matches!(reason, Unusable::Loopback | Unusable::Held | Unusable::InterfaceDenied)
    };
    let locals = view.addresses.iter().filter(|local| local.verdict.as_ref().err().is_none_or(of_interest));
    let facts = locals.map(|local| {
        let near = |peer: &&IpAddr| peer.is_ipv4() == local.address.is_ipv4() && local.reaches(**peer);
        let to = peers.iter().find(near).copied().or(local.gateway);
        let leaves_by = to.map(|to| {
            let answer = monitor.route_check(local.address, to).map_err(|refusal| refusal.to_string())?;
            let name = names.get(&answer.ifindex).copied();
            Ok(name.map_or_else(|| format!("interface number {}", answer.ifindex), str::to_owned))
        });
        AddressFacts {
            address: local.address,
            prefix: local.prefix,
            interface: local.interface.clone(),
            verdict: local.verdict.clone(),
            gateway: local.gateway,
            leaves_by,
        }
    });
    facts.collect()
}

fn interfaces(addresses: &[AddressFacts]) -> Vec<InterfaceFacts> {
    let names: BTreeSet<&str> = addresses.iter().map(|it| it.interface.as_str()).collect();
    let of = |name: &str| {
        let conf = |of: &str, key: &str| number(&format!("/proc/sys/net/ipv4/conf/{of}/{key}")).unwrap_or(0);
        let highest = |key: &str| conf("all", key).max(conf(name, key));
        let down = |it: &AddressFacts| it.verdict == Err(Unusable::NoCarrier);
        InterfaceFacts {
            name: name.to_owned(),
            carrier: !addresses.iter().any(|it| it.interface == name && down(it)),
            rp_filter: highest("rp_filter"),
            arp_filter: highest("arp_filter") > 0,
            arp_ignore: highest("arp_ignore"),
            ignores_linkdown: conf(name, "ignore_routes_with_linkdown") > 0,
            promotes_secondaries: highest("promote_secondaries") > 0,
        }
    };
    names.into_iter().map(of).collect()
}

fn namespaces() -> Vec<NamespaceFacts> {
    use std::os::unix::fs::MetadataExt;
    let name_of = |number: u64| {
        let mut entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let found = entries.find(|entry| fs::metadata(entry.path()).is_ok_and(|it| it.ino() == number))?;
        Some(found.file_name().to_string_lossy().into_owned())
    };
    let facts = |it: sctp_sys::diag::Elsewhere| NamespaceFacts {
        name: name_of(it.namespace),
        pid: it.pid,
        program: read(format!("/proc/{}/comm", it.pid)).trim().to_owned(),
        associations: it.associations,
        listening: it.listening,
        has_daemon: is_watched(&format!("/proc/{}/net/unix", it.pid)),
    };
    sctp_sys::diag::elsewhere().into_iter().map(facts).collect()
}

/// Whether a roamd looks after the network namespace whose list of Unix sockets this is.
fn is_watched(list: &str) -> bool {
    read(list).lines().any(|line| line.ends_with(" @roamd"))
}

fn network() -> NetworkFacts {
    let running: BTreeSet<String> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().chars().all(|c| c.is_ascii_digit()))
        .map(|entry| read(entry.path().join("comm")).trim().to_owned())
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    NetworkFacts {
        // Users do not have the directories of root's programs in their path.
        nft: std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|directory| directory.join("nft").exists()),
        network_manager: running.contains("NetworkManager"),
        // The kernel cuts names off after 15 characters.
        networkd: running.contains("systemd-network"),
        networkd_tolerant: networkd_is_tolerant(),
        conntrack: Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists(),
        translations: translations(),
    }
}

fn networkd_is_tolerant() -> bool {
    let mut all = vec![PathBuf::from("/etc/systemd/networkd.conf")];
    all.extend(files(&[
        "/usr/lib/systemd/networkd.conf.d",
        "/run/systemd/networkd.conf.d",
        "/etc/systemd/networkd.conf.d",
    ]));
    let text: String = all.iter().map(|file| read(file) + "\n").collect();
    ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"].iter().all(|key| {
        let said =
            text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix('='));
        said.is_some_and(|value| matches!(value.trim(), "no" | "false" | "0" | "off"))
    })
}

/// What translates addresses, outside of our own table.
fn translations() -> Vec<String> {
    let Ok(output) = Command::new("nft").args(["list", "ruleset"]).output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut ours = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("table ") {
            ours = line.starts_with("table inet roam");
        }
        let translates = |word: &str| matches!(word, "masquerade" | "snat" | "dnat");
        if !ours && !line.contains("hook") && line.split_whitespace().any(translates) {
            found.push(line.trim().to_owned());
        }
    }
    found
}

/// Whether one of the configured registrars answers.
async fn a_registrar_answers(config: &Config, usable: Vec<IpAddr>) -> bool {
    let listed = config.registrars.fixed.iter().map(|registrar| vec![*registrar]).collect();
    let groups = config.registrars.groups.clone();
    let (client, mut events) =
        RegistrarClient::spawn(driver::Config { groups, ..driver::Config::mobile(listed, None) });
    client.set_local_addresses(usable);
    let home = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Home { .. }) {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(PATIENCE, home).await.unwrap_or(false)
}

/// How often, and for how long, the host was suspended.
fn suspensions() -> (Option<u64>, Duration) {
    let now = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    let (boot, monotonic) = (now(ClockId::CLOCK_BOOTTIME), now(ClockId::CLOCK_MONOTONIC));
    let count = number("/sys/power/suspend_stats/success").and_then(|count| u64::try_from(count).ok());
    // The clocks are read one after the other.
    let slept = boot.saturating_sub(monotonic);
    (count, if slept < Duration::from_millis(100) { Duration::ZERO } else { slept })
}
