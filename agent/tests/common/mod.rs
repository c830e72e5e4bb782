//! A fresh network namespace for each test, on the kernel of this machine.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use roam_agent::config::Config;
use roam_agent::net::{Monitor, Unusable, View};
use tokio::sync::watch;

/// Runs a test in a thread with a network namespace of its own and a runtime on that thread alone.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root: they make network namespaces");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), test()).await.expect("stuck") });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with these words in the namespace of the test.
pub(crate) fn ip(words: &str) -> String {
    run("ip", words)
}

/// Runs a program in the namespace of the test; it has to succeed.
pub(crate) fn run(program: &str, words: &str) -> String {
    let output = Command::new(program).args(words.split_whitespace()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs many `ip` commands in one process, each of which has to succeed.
pub(crate) fn ip_all(commands: impl Iterator<Item = String>) {
    let mut batch = tempfile::NamedTempFile::new().unwrap();
    commands.for_each(|command| writeln!(batch, "{command}").unwrap());
    ip(&format!("-batch {}", batch.path().display()));
}

/// An uplink NAME with the other end pNAME, both up.
pub(crate) fn uplink(name: &str) {
    ip(&format!("link add {name} type veth peer name p{name}"));
    ip(&format!("link set p{name} up"));
    ip(&format!("link set {name} up"));
}

/// A configuration with so small a receive buffer that it runs over.
pub(crate) fn small_buffer() -> Config {
    let mut config = Config::default();
    config.agent.receive_buffer = 4096;
    config
}

pub(crate) async fn start(config: &Config) -> (Monitor, watch::Receiver<Arc<View>>) {
    Monitor::start(config).await.unwrap()
}

/// Waits for a view of which `holds` is true.
pub(crate) async fn until(
    views: &mut watch::Receiver<Arc<View>>,
    what: &str,
    holds: impl FnMut(&Arc<View>) -> bool,
) -> Arc<View> {
    let waited = tokio::time::timeout(Duration::from_secs(10), views.wait_for(holds)).await;
    let found = waited.ok().map(|view| Arc::clone(&view.expect("the monitor ended")));
    found
        .unwrap_or_else(|| panic!("waited in vain: {what}; the last view is {:#?}", views.borrow().addresses))
}

/// Waits until an address is judged so; `None`: gone.
pub(crate) async fn until_verdict(
    views: &mut watch::Receiver<Arc<View>>,
    address: &str,
    expected: Option<Result<(), Unusable>>,
) -> Arc<View> {
    let address = address.parse().unwrap();
    let what = format!("{address} should be {expected:?}");
    until(views, &what, |view| view.find(address).map(|local| local.verdict.clone()) == expected).await
}
