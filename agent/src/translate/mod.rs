//! Rewriting of the IP addresses of SCTP packets at the host's edge, by stateless nftables rules. SCTP's checksum
//! covers no IP address, so nothing else of a packet changes.
//!
//! The table `inet roam` is made once, when the daemon starts (`table.nft`, one `nft` process). In a handover only
//! the elements of its sets and maps change, by netlink, in one atomic batch.
//!
//! Where the host takes SCTP in UDP (RFC 6951, `net.sctp.udp_port`), the same rules hold for those packets, too
//! (`udp.nft`). There nftables knows no chunks: what begins with an ASCONF, its answer or a HEARTBEAT-ACK, or with an AUTH
//! chunk (of SHA-1 or SHA-256) and one of these behind it, is told by the octets, which is how Linux sends them.

mod element;
mod netlink;
mod rule;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::{Command, Stdio};

pub use rule::{Pair, Rule};
pub use watch::{Loss, TableWatch};

use element::Wrapped;
use netlink::Batch;

const TABLE: &str = include_str!("table.nft");
const TABLE_OF_UDP: &str = include_str!("udp.nft");

/// Why addresses cannot be translated.
#[derive(Debug, thiserror::Error)]
pub enum TranslateError {
    /// `nft` is not installed.
    #[error("nft is not installed; install the package nftables")]
    NoNft,
    /// The kernel or a missing right forbids it.
    #[error(
        "nft refused the table `inet roam` ({0}); the daemon needs CAP_NET_ADMIN and a kernel with nf_tables"
    )]
    Refused(String),
    /// Changing the elements failed.
    #[error("the elements of table `inet roam` could not be changed: {0}")]
    Elements(#[source] io::Error),
    /// Running `nft` or opening netlink failed.
    #[error("nftables cannot be reached: {0}")]
    Io(#[from] io::Error),
}

/// The table, and the rules in it. Several associations may want the same rule (they may have the same ports): it is
/// in force while one of them does.
#[derive(Debug)]
pub struct Translator {
    netlink: netlink::Socket,
    /// The port at which SCTP is taken in UDP.
    udp: Option<u16>,
    /// The rules in force, and how many want each.
    wanted: BTreeMap<Rule, usize>,
    /// The table was made anew, which looks to whoever watches as if somebody had deleted it.
    remade: bool,
}

impl Translator {
    /// Makes the table with these rules in it, each as often as somebody wants it. A table that an earlier daemon left
    /// is replaced in the same transaction, so that packets of a handover in progress find no gap. `udp`: the port at which
    /// this host takes SCTP in UDP.
    ///
    /// # Errors
    /// See [`TranslateError`].
    pub fn install(rules: impl IntoIterator<Item = Rule>, udp: Option<u16>) -> Result<Self, TranslateError> {
        let mut wanted = BTreeMap::new();
        for rule in rules {
            *wanted.entry(rule).or_default() += 1;
        }
        make_table(&wanted, udp)?;
        Ok(Self { netlink: netlink::Socket::open()?, udp, wanted, remade: false })
    }

    /// Makes the table anew with all that is wanted in it, in one step: somebody has deleted it, or some of it.
    ///
    /// # Errors
    /// See [`TranslateError`]; then nothing has changed.
    pub fn restore(&mut self) -> Result<(), TranslateError> {
        make_table(&self.wanted, self.udp)
    }

    /// From now on the host takes SCTP in UDP at this port.
    ///
    /// # Errors
    /// See [`TranslateError`]; then nothing has changed.
    pub fn set_udp(&mut self, udp: Option<u16>) -> Result<(), TranslateError> {
        if self.udp != udp {
            make_table(&self.wanted, udp)?;
            self.udp = udp;
            self.remade = true;
        }
        Ok(())
    }

    /// Whether the table was made anew here since this was last asked.
    pub fn take_remade(&mut self) -> bool {
        std::mem::take(&mut self.remade)
    }

    /// The number by which the kernel knows who changes the table's elements here.
    pub fn port(&self) -> u32 {
        self.netlink.port
    }

    /// The rules in force.
    pub fn installed(&self) -> impl Iterator<Item = &Rule> {
        self.wanted.keys()
    }

    /// One who wanted the rules `before` wants `now` from now on. What changes in the table does so in one atomic step,
    /// and costs what changes, however many rules others want.
    ///
    /// # Errors
    /// [`TranslateError::Elements`]; then nothing has changed.
    pub fn change(&mut self, before: &BTreeSet<Rule>, now: &BTreeSet<Rule>) -> Result<(), TranslateError> {
        let wants = |rule: &Rule| self.wanted.get(rule).copied().unwrap_or_default();
        let mut batch = Batch::new();
        for rule in before.difference(now).filter(|rule| wants(rule) == 1) {
            for wrapped in ways(self.udp) {
                element::Element::of(rule, wrapped).iter().for_each(|it| batch.element(false, it));
            }
        }
        for rule in now.difference(before).filter(|rule| wants(rule) == 0) {
            for wrapped in ways(self.udp) {
                element::Element::of(rule, wrapped).iter().for_each(|it| batch.element(true, it));
            }
        }
        if !batch.is_empty() {
            self.netlink.commit(batch).map_err(TranslateError::Elements)?;
        }
        for rule in before.difference(now) {
            if let Some(others) = self.wanted.get_mut(rule) {
                *others -= 1;
                if *others == 0 {
                    self.wanted.remove(rule);
                }
            }
        }
        for rule in now.difference(before) {
            *self.wanted.entry(*rule).or_default() += 1;
        }
        Ok(())
    }

    /// Removes the table.
    ///
    /// # Errors
    /// See [`TranslateError`].
    pub fn uninstall(self) -> Result<(), TranslateError> {
        remove_leftovers()
    }
}

/// Removes the table, if it is there.
///
/// # Errors
/// See [`TranslateError`].
pub fn remove_leftovers() -> Result<(), TranslateError> {
    run_nft("add table inet roam\ndelete table inet roam\n")
}

/// Makes the table, in the place of one that is there.
fn make_table(wanted: &BTreeMap<Rule, usize>, udp: Option<u16>) -> Result<(), TranslateError> {
    let mut script = String::from("add table inet roam\ndelete table inet roam\n");
    script.push_str(TABLE);
    if let Some(port) = udp {
        script.push_str(&TABLE_OF_UDP.replace("PORT", &port.to_string()));
    }
    let elements = wanted.keys().flat_map(|rule| ways(udp).map(move |wrapped| element::text(rule, wrapped)));
    for (set, text) in elements.flatten() {
        script.push_str(&format!("add element inet roam {set} {{ {text} }}\n"));
    }
    run_nft(&script)
}

/// How packets may be wrapped on this host.
fn ways(udp: Option<u16>) -> impl Iterator<Item = Wrapped> {
    std::iter::once(Wrapped::InIp).chain(udp.map(|_| Wrapped::InUdp))
}

fn run_nft(script: &str) -> Result<(), TranslateError> {
    let spawned = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TranslateError::NoNft),
        Err(error) => return Err(error.into()),
    };
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(TranslateError::Refused(text.lines().next().unwrap_or("no reason given").trim().to_owned()))
}
