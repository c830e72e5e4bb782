//! A network namespace with a registrar in it, and clients over plain sockets.

use asap_client::wire::{self, Message, Policy, PoolElement, PoolHandle, Transport, TransportUse};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use roam_registrar::driver::fetch_dump;
use roam_registrar::dump::Dump;
use sctp_sys::{FUTURE_ASSOC, Family, Received, SendInfo, Socket, Style, sockopt};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// The registrar's address; 10.0.0.2 to 10.0.0.9 are for clients.
pub(crate) const REGISTRAR: &str = "10.0.0.1:3863";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registrar in a namespace. This thread is in that namespace from now on.
pub(crate) struct World {
    pub(crate) child: Child,
    pub(crate) dir: tempfile::TempDir,
    /// What it says on stderr, if somebody wants to hear it.
    pub(crate) log: Option<BufReader<ChildStderr>>,
    /// What the registrar is started through, if anything.
    wrapper: Vec<&'static str>,
}

pub(crate) fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

impl World {
    /// `config` is the registrar's.
    pub(crate) fn new(config: &str) -> Self {
        Self::through(&[], config)
    }

    /// The registrar has no rights beyond those of any user.
    pub(crate) fn unprivileged(config: &str) -> Self {
        Self::through(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], config)
    }

    /// The kernel gives each association of the registrar's sockets a send buffer of its own.
    pub(crate) fn with_send_buffers(config: &str) -> Self {
        let set = "echo 1 > /proc/sys/net/sctp/sndbuf_policy && exec \"$0\" \"$@\"";
        Self::through(&["sh", "-c", set], config)
    }

    fn through(wrapper: &[&'static str], config: &str) -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        sh("ip link set lo up; ip link add d0 type dummy; ip link set d0 up");
        for last in 1..10 {
            sh(&format!("ip addr add 10.0.0.{last}/24 dev d0; ip addr add fd00::{last}/64 dev d0 nodad"));
        }
        Self::here(wrapper, config)
    }

    /// Another registrar in the namespace that this thread is in.
    pub(crate) fn beside(config: &str) -> Self {
        Self::here(&[], config)
    }

    fn here(wrapper: &[&'static str], config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("registrar.toml"), config).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let wrapper = wrapper.to_vec();
        let child = start(&wrapper, &dir, false);
        Self { child, dir, log: None, wrapper }
    }

    /// As [`Self::new`], and what the registrar says is to be had.
    pub(crate) fn told(config: &str) -> Self {
        let mut world = Self::new(config);
        world.signal(Signal::SIGTERM);
        world.child = start(&world.wrapper, &world.dir, true);
        world.log = world.child.stderr.take().map(BufReader::new);
        world
    }

    /// Waits until the registrar's log says this.
    pub(crate) fn until_said(&mut self, wanted: &str) -> String {
        let log = self.log.as_mut().expect("a world that is told");
        loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "{wanted:?} was not said");
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// Has the registrar read another configuration.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(self.dir.path().join("registrar.toml"), config).unwrap();
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    }

    /// Has the program do something else beside the registrar, and waits for its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roam-registrar"));
        command.args(arguments).arg("--runtime-dir").arg(self.dir.path().join("run"));
        command
    }

    pub(crate) fn dump(&self) -> Dump {
        fetch_dump(&self.dir.path().join("run")).unwrap()
    }

    /// Waits until the registrar knows what is wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&Dump) -> bool) -> Dump {
        let start = Instant::now();
        loop {
            let dump = self.dump();
            if wanted(&dump) {
                return dump;
            }
            assert!(start.elapsed() < PATIENCE, "waited for in vain: {dump}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        self.child.wait().unwrap()
    }

    pub(crate) fn restart(&mut self) {
        self.child = start(&self.wrapper, &self.dir, false);
    }

    /// The registrar lives and answers a fresh client.
    pub(crate) fn assert_serves(&self) {
        let mut client = Client::connect("10.0.0.9");
        client.say(&Message::HandleResolution { subscribe: false, handle: handle("none"), items: None });
        assert!(matches!(client.hear(), Message::HandleResolutionResponse { error: Some(_), .. }));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(wrapper: &[&str], dir: &tempfile::TempDir, told: bool) -> Child {
    let path = |name: &str| dir.path().join(name).into_os_string();
    let words = [wrapper, &[env!("CARGO_BIN_EXE_roam-registrar")]].concat();
    let log: &[&str] = if told { &[] } else { &["--log", "warn"] };
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .args(log)
        .env_remove("RUST_LOG")
        .stderr(if told { Stdio::piped() } else { Stdio::inherit() })
        .arg("--config")
        .arg(path("registrar.toml"))
        .arg("--runtime-dir")
        .arg(path("run"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    child
}

/// A host in a namespace of its own, behind an access network of this one.
pub(crate) struct Host {
    pub(crate) name: String,
    /// The registrar as seen from there.
    pub(crate) registrar: String,
}

impl Host {
    /// In network 10.n.0.0/24, with address 2.
    pub(crate) fn new(n: u8) -> Self {
        let name = format!("host-{}-{n}", std::process::id());
        sh(&format!(
            "ip netns add {name}; ip link add v{n} type veth peer name e0 netns {name}
             ip addr add 10.{n}.0.1/24 dev v{n}; ip link set v{n} up
             ip -n {name} addr add 10.{n}.0.2/24 dev e0; ip -n {name} link set e0 up; ip -n {name} link set lo up"
        ));
        Self { name, registrar: format!("10.{n}.0.1:3863") }
    }

    /// Makes sockets there.
    pub(crate) fn within<T>(&self, make: impl FnOnce() -> T) -> T {
        let here = File::open("/proc/thread-self/ns/net").unwrap();
        let there = File::open(format!("/var/run/netns/{}", self.name)).unwrap();
        setns(there, CloneFlags::CLONE_NEWNET).unwrap();
        let made = make();
        setns(here, CloneFlags::CLONE_NEWNET).unwrap();
        made
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The test says what went wrong, not this.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A client over a one-to-one socket.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        Self::connect_to(address, REGISTRAR)
    }

    pub(crate) fn connect_to(address: &str, registrar: &str) -> Self {
        Self::try_connect(address, registrar).expect("the registrar listens")
    }

    /// One whose association can be moved by ASCONF.
    pub(crate) fn mobile(address: &str, registrar: &str) -> Self {
        let socket = Socket::new(Style::OneToOne, Family::V4).unwrap();
        sockopt::set_auth_supported(socket.as_fd(), FUTURE_ASSOC, true).unwrap();
        sockopt::set_asconf_supported(socket.as_fd(), FUTURE_ASSOC, true).unwrap();
        Self::over(socket, address, registrar.parse().unwrap()).expect("the registrar listens")
    }

    /// `None` if nobody listens there.
    pub(crate) fn try_connect(address: &str, registrar: &str) -> Option<Self> {
        let registrar: SocketAddr = registrar.parse().unwrap();
        Self::over(Socket::new(Style::OneToOne, Family::of(registrar)).unwrap(), address, registrar)
    }

    fn over(socket: Socket, address: &str, registrar: SocketAddr) -> Option<Self> {
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(registrar).ok()?;
        let patience = TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimeout, &patience).unwrap();
        Some(Self { socket, buffer: Vec::new() })
    }

    pub(crate) fn say(&self, message: &Message) {
        self.send(wire::PPID, &message.encode());
    }

    pub(crate) fn send(&self, ppid: u32, bytes: &[u8]) {
        self.socket.send(&SendInfo { ppid, ..SendInfo::default() }, bytes).unwrap();
    }

    /// The next message that is no keep-alive; those are answered.
    pub(crate) fn hear(&mut self) -> Message {
        loop {
            match self.socket.recv(&mut self.buffer).unwrap() {
                Some(Received::Message(info)) => assert_eq!(info.ppid, wire::PPID),
                other => panic!("no message: {other:?}"),
            }
            match wire::decode(&self.buffer).unwrap().message {
                Message::EndpointKeepAlive { handle, id: Some(id), .. } => {
                    self.say(&Message::EndpointKeepAliveAck { handle, id });
                }
                other => return other,
            }
        }
    }

    pub(crate) fn ask(&mut self, message: &Message) -> Message {
        self.say(message);
        self.hear()
    }

    pub(crate) fn register(&mut self, pool: &str, id: u32, address: &str) {
        let answer = self.ask(&registration(pool, id, address));
        assert_eq!(answer, accepted(pool, id));
    }

    /// Whether the association has ended.
    pub(crate) fn ended(&mut self) -> bool {
        loop {
            match self.socket.recv(&mut self.buffer) {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }
}

pub(crate) fn handle(name: &str) -> PoolHandle {
    PoolHandle::new(name).unwrap()
}

pub(crate) fn registration(pool: &str, id: u32, address: &str) -> Message {
    let user = Transport::Sctp {
        port: 7000,
        use_: TransportUse::DataOnly,
        addresses: vec![address.parse().unwrap()].into(),
    };
    let element = PoolElement { id, home: 0, life: 300, user, policy: Policy::RoundRobin, asap: None };
    Message::Registration { handle: handle(pool), element }
}

pub(crate) fn accepted(pool: &str, id: u32) -> Message {
    Message::RegistrationResponse { rejected: false, handle: handle(pool), id, error: None }
}

pub(crate) fn resolution(pool: &str, subscribe: bool) -> Message {
    Message::HandleResolution { subscribe, handle: handle(pool), items: None }
}

/// Where the elements are that a response names.
pub(crate) fn places(message: &Message) -> Vec<(u32, Vec<IpAddr>)> {
    match message {
        Message::HandleResolutionResponse { elements, .. } => {
            elements.iter().map(|e| (e.id, e.user.addresses().to_vec())).collect()
        }
        other => panic!("no response: {other:?}"),
    }
}

pub(crate) fn place(id: u32, address: &str) -> (u32, Vec<IpAddr>) {
    (id, vec![address.parse().unwrap()])
}
